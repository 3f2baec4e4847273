"""Expectation maximization for Poisson counts with a background, with and without subsets."""

import numpy as np

from odl_learned.solvers.solution import Solution
from odl_learned.validation import require_count, require_finite, require_positive, shown
from odl_learned.weights import has_constant_weight, unweigh


def mlem(forward_op, data, x0, background=None, maxiter=50, tau=None, callback=None):
    r"""Maximize the likelihood of Poisson counts by expectation maximization.

    .. math:: x_{k+1} = \frac{x_k}{A^* 1} \, A^* \frac{y}{A x_k + r} .

    The iterates stay nonnegative and the Kullback-Leibler divergence of ``y`` from ``A x_k + r``
    never grows. Where nothing is expected and nothing was counted, the quotient ``0 / 0`` counts as
    zero; pixels that no data depend on (``A* 1 = 0``) stay as they are.

    Parameters
    ----------
    forward_op : linear odl.Operator
        The operator ``A``, nonnegative with its adjoint, such as ``emission_operator(...)``.
    data : element of the range
        Counts ``y``, nonnegative.
    x0 : element of the domain
        Starting point, positive wherever the solution may be; not changed.
    background : element of the range, optional
        Expected background ``r``, nonnegative. Default: none.
    maxiter : int, optional
        Largest number of iterations.
    tau : float, optional
        Stop as soon as the mean deviance ``2 / m sum_i d(y_i, (A x + r)_i)`` over the ``m`` data is
        at most ``tau``. For the truth it is 1 where many counts are expected, 1.02 for 10 per
        datum, up to 1.16 for 1 to 2, and less than 1 for 0.4 or less, 0.47 for 0.1. Default: do
        not.
    callback : callable, optional
        Called with the iterate after each iteration.

    Returns
    -------
    solution : Solution
        With reason ``"discrepancy"`` or ``"maxiter"``; no error bound.

    Raises
    ------
    TypeError
        If data, background or starting point are not elements of the spaces of the operator.
    ValueError
        If a value is negative or not finite, a number out of bounds, or counts are seen where
        nothing is expected, which no image explains better.

    References
    ----------
    Shepp, L. A. and Vardi, Y. Maximum likelihood reconstruction for emission tomography. IEEE
    Trans. Med. Imaging 1 (1982). For the stopping rule, Bertero, M. et al. A discrepancy principle
    for Poisson data. Inverse Problems 26 (2010), 105004.
    """
    backgrounds = None if background is None else [background]
    return osem([forward_op], [data], x0, backgrounds, maxiter, tau, callback)


def osem(forward_ops, data, x0, backgrounds=None, maxiter=10, tau=None, callback=None):
    r"""Expectation maximization with ordered subsets of the data, one after the other.

    .. math:: x \leftarrow \frac{x}{A_i^* 1} \, A_i^* \frac{y_i}{A_i x + r_i}, \qquad
              i = 1, \dots, n .

    One iteration runs through all subsets, for about the price of one iteration of `mlem`, and at
    first gets about ``n`` times as far. It need not converge: with noise it ends in a cycle.

    Parameters
    ----------
    forward_ops : sequence of linear odl.Operator
        The operators ``A_i``, with one domain; see ``operators.view_subsets``.
    data : sequence of elements
        Counts ``y_i``, in the ranges of the operators.
    x0 : element of the domain
        Starting point, as for `mlem`.
    backgrounds : sequence of elements, optional
        Expected backgrounds ``r_i``. Default: none.
    maxiter, tau, callback : optional
        As for `mlem`; the deviance is that of all data.

    Returns
    -------
    solution : Solution
        With reason ``"discrepancy"`` or ``"maxiter"``; no error bound.

    Raises
    ------
    TypeError, ValueError
        As `mlem`, and if the numbers of operators, data and backgrounds differ.

    References
    ----------
    Hudson, H. M. and Larkin, R. S. Accelerated image reconstruction using ordered subsets of
    projection data. IEEE Trans. Med. Imaging 13 (1994), equation 4.
    """
    for name, parts in (("forward_ops", forward_ops), ("data", data),
                        ("backgrounds", () if backgrounds is None else backgrounds)):  # fmt: skip
        if not isinstance(parts, list | tuple):
            raise TypeError(f"{name} is {shown(parts)}; expected a list, one entry for each "
                            "subset, such as operators.view_subsets gives.")
    for op in forward_ops:
        if not (hasattr(op, "range") and hasattr(op, "adjoint")) or isinstance(op, type):
            raise TypeError(f"the forward operator is {shown(op)}; expected a linear ODL operator "
                            "such as emission_operator(ray_transform, attenuation).")
    if backgrounds is None:
        backgrounds = [op.range.zero() for op in forward_ops]
    if not len(forward_ops) == len(data) == len(backgrounds) > 0:
        raise ValueError(
            f"there are {len(forward_ops)} operators, {len(data)} data and {len(backgrounds)} "
            "backgrounds; expected as many of each, at least one; pass one for each subset."
        )
    for op, y, r in zip(forward_ops, data, backgrounds, strict=True):
        _require_counts("data", y, op.range)
        _require_counts("background", r, op.range)
        _require_counts("x0", x0, op.domain)
    require_count("maxiter", maxiter, 0)
    if tau is not None:
        require_positive("tau", tau)

    sensitivities = [_projected_back(op, op.range.one()) for op in forward_ops]
    x = x0.copy()
    subsets = list(zip(forward_ops, data, backgrounds, sensitivities, strict=True))
    for niter in range(maxiter + 1):
        if tau is not None and _mean_deviance(subsets, x) <= tau:
            return Solution(x, None, niter, "discrepancy")
        if niter == maxiter:
            return Solution(x, None, niter, "maxiter")
        for op, y, r, sensitivity in subsets:
            ratio = op.range.element(_ratio(y.data, (op(x) + r).data))
            update = _projected_back(op, ratio).data
            seen = sensitivity.data > 0
            factor = np.divide(update, sensitivity.data, out=np.ones_like(update), where=seen)
            x = op.domain.element(x.data * factor)
        if callback is not None:
            callback(x)


# The likelihood counts all data alike: it needs A^T = W_X A* W_Y^-1. In the quotient of two of them
# W_X cancels, and so does W_Y where it is one number.
def _projected_back(op, z):
    return op.adjoint(z if has_constant_weight(op.range) else unweigh(z))


def _ratio(y, expected):
    """``y / expected``, with ``0 / 0 = 0``."""
    possible = expected > 0
    if np.any((y > 0) & ~possible):
        raise ValueError(
            f"data has counts in {np.count_nonzero((y > 0) & ~possible)} places where A x + r is "
            "zero, expected none; pass the background, start from a positive x0, and check that "
            "the detector sees nothing but the domain."
        )
    return np.divide(y, expected, out=np.zeros_like(y), where=possible)


def _mean_deviance(subsets, x):
    """``2 / m sum_i (s_i - y_i + y_i log(y_i / s_i))`` with ``s = A x + r``."""
    total, count = 0.0, 0
    for op, y, r, _ in subsets:
        expected = (op(x) + r).data.astype(np.float64)
        ratio = _ratio(y.data.astype(np.float64), expected)
        logarithm = np.log(ratio, out=np.zeros_like(ratio), where=ratio > 0)
        total += float(np.sum(expected - y.data + y.data * logarithm))
        count += y.data.size
    return 2 * total / count


def _require_counts(name, x, space):
    if x not in space:
        raise TypeError(
            f"{name} is of type {type(x).__name__} and not an element of {space!r}; pass "
            "space.element(array) for the space of the operator."
        )
    require_finite(name, x.data)
    if x.data.min() < 0:
        raise ValueError(
            f"{name} has the minimum {x.data.min():g}, expected nonnegative numbers; a background "
            "that was subtracted from the data must be passed as background in its place."
        )
