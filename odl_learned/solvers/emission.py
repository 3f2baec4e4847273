"""Expectation maximization for Poisson counts with a background, with and without subsets."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from array_api_compat import array_namespace, to_device

from odl_learned.solvers.arithmetic.active import Active
from odl_learned.solvers.arithmetic.row_sums import on_host
from odl_learned.solvers.arithmetic.samples import Element, restricted, samples_of
from odl_learned.solvers.solution import Solution
from odl_learned.solvers.types import Data, Image, LinearOperator
from odl_learned.validation import require_count, require_finite, require_positive, shown
from odl_learned.weights import has_constant_weight, unweigh


def mlem(
    forward_op: LinearOperator[Image, Data],
    data: Data,
    x0: Image,
    background: Data | None = None,
    maxiter: int = 50,
    tau: float | None = None,
    callback: Callable[[Image], object] | None = None,
) -> Solution[Image]:
    r"""Maximize the likelihood of Poisson counts by expectation maximization.

    .. math:: x_{k+1} = \frac{x_k}{A^* 1} \, A^* \frac{y}{A x_k + r} .

    The iterates stay nonnegative and the Kullback-Leibler divergence of ``y`` from ``A x_k + r``
    never grows. Where nothing is expected and nothing was counted, the quotient ``0 / 0`` counts as
    zero; pixels that no data depend on (``A* 1 = 0``) stay as they are.

    Parameters
    ----------
    forward_op : linear odl.Operator, or its twin ``bridge.as_batch(forward_op)``
        The operator ``A``, nonnegative with its adjoint, such as ``emission_operator(...)``.
    data : element of the range, or batch ``(B, ...)``
        Counts ``y``, nonnegative.
    x0 : element of the domain, or batch ``(B, ...)``
        Starting point, positive wherever the solution may be; not changed.
    background : element of the range, or batch ``(B, ...)``, optional
        Expected background ``r``, nonnegative. Default: none.
    maxiter : int, optional
        Largest number of iterations.
    tau : float, optional
        Stop, every sample by itself, as soon as the mean deviance ``2 / m sum_i d(y_i, (A x +
        r)_i)`` over the ``m`` data is at most ``tau``. For the truth it is 1 where many counts are
        expected, 1.02 for 10 per datum, up to 1.16 for 1 to 2, and less than 1 for 0.4 or less,
        0.47 for 0.1. Default: do not.
    callback : callable, optional
        Called with the iterate (the whole batch) after each iteration.

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


def osem(
    forward_ops: Sequence[LinearOperator[Image, Data]],
    data: Sequence[Data],
    x0: Image,
    backgrounds: Sequence[Data] | None = None,
    maxiter: int = 10,
    tau: float | None = None,
    callback: Callable[[Image], object] | None = None,
) -> Solution[Image]:
    r"""Expectation maximization with ordered subsets of the data, one after the other.

    .. math:: x \leftarrow \frac{x}{A_i^* 1} \, A_i^* \frac{y_i}{A_i x + r_i}, \qquad
              i = 1, \dots, n .

    One iteration runs through all subsets, for about the price of one iteration of `mlem`, and at
    first gets about ``n`` times as far. It need not converge: with noise it ends in a cycle.

    Parameters
    ----------
    forward_ops : sequence of linear odl.Operator, or of their twins
        The operators ``A_i``, with one domain; see ``operators.view_subsets``.
    data : sequence of elements or batches
        Counts ``y_i``, in the ranges of the operators.
    x0 : element of the domain or batch
        Starting point, as for `mlem`.
    backgrounds : sequence of elements or batches, optional
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

    Examples
    --------
    >>> import odl
    >>> from odl_learned import operators, solvers
    >>> X = odl.uniform_discr([-1, -1], [1, 1], (8, 8), dtype="float32")
    >>> A = operators.parallel_ray_transform(X, num_angles=8)
    >>> truth = X.one() + odl.phantom.shepp_logan(X, modified=True)
    >>> parts = operators.view_subsets(A, 4)
    >>> fast = solvers.osem(parts, [part(truth) for part in parts], X.one(), maxiter=5)
    >>> slow = solvers.mlem(A, A(truth), X.one(), maxiter=5)
    >>> print((fast.x - truth).norm() < (slow.x - truth).norm())
    True
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
        backgrounds = [None] * len(forward_ops)
    if not len(forward_ops) == len(data) == len(backgrounds) > 0:
        raise ValueError(
            f"there are {len(forward_ops)} operators, {len(data)} data and {len(backgrounds)} "
            "backgrounds; expected as many of each, at least one; pass one for each subset."
        )
    for op, y, r in zip(forward_ops, data, backgrounds, strict=True):
        _require_counts("data", y, op.range)
        _require_counts("x0", x0, op.domain)
        if r is not None:
            _require_counts("background", r, op.range)
    require_count("maxiter", maxiter, 0)
    if tau is not None:
        require_positive("tau", tau)
    samples = samples_of(x0, forward_ops[0].domain)
    for name, parts in (("data", data), ("background", backgrounds)):
        for part in parts:
            if part is not None and samples_of(part).size != samples.size:
                raise ValueError(f"{name} has {samples_of(part).size} samples, expected "
                                 f"{samples.size} as x0.")

    active, x = Active(samples, x0), samples.scale(1.0, x0)
    subsets = [_Subset(op, y, r, samples) for op, y, r in zip(
        forward_ops, data, backgrounds, strict=True)]
    for niter in range(maxiter + 1):
        done = np.zeros(samples.size, dtype=bool)
        if tau is not None:
            counted = sum(subset.count for subset in subsets)
            done = 2 * sum(subset.deviance(x) for subset in subsets) / counted <= tau
        if niter == maxiter or done.any():
            reason = np.where(done, "discrepancy", "maxiter")
            rest = active.finish(done | (niter == maxiter), x, niter, reason)
            if not rest.size:
                break
            subsets = [subset.take(rest) for subset in subsets]
            x, samples = samples.take(x, rest), samples.subset(rest)
        for subset in subsets:
            x = subset.improved(x)
        if callback is not None:
            callback(active.whole(x))
    return active.solution()


# The likelihood counts all data alike: it needs A^T = W_X A* W_Y^-1. In the quotient of two of them
# W_X cancels, and so does W_Y where it is one number.
class _Subset:
    """Counts ``y`` of ``A x + r``, with the sensitivity ``A^T 1``, as elements or batches."""

    def __init__(self, op, y, r, samples):
        self.op, self.y, self.r, self.samples = op, y, r, samples
        sensitivity = _values(self.projected_back(samples_of(y, op.range).ones(y)))
        xp = array_namespace(sensitivity)
        self.seen, self.all_seen = sensitivity > 0, bool(xp.all(sensitivity > 0))
        self.sensitivity = xp.where(self.seen, sensitivity, xp.ones_like(sensitivity))
        self.count = y.data.size if isinstance(samples, Element) else math.prod(y.shape[1:])

    def take(self, index):
        """The subset of some of the samples."""
        part = object.__new__(_Subset)
        for name, value in vars(self).items():
            belongs = name in ("y", "r", "seen", "sensitivity") and value is not None
            setattr(part, name, self.samples.take(value, index) if belongs else value)
        part.op, part.samples = restricted(self.op, index), self.samples.subset(index)
        return part

    def projected_back(self, z):
        """A multiple of ``A^T z``, the same for all z."""
        space = getattr(self.op.range, "space", self.op.range)
        if has_constant_weight(space):
            return self.op.adjoint(z)
        return self.op.adjoint(unweigh(z) if space is self.op.range
                               else self.op.range.layout.unweigh(z))

    def expected(self, x):
        """``A x + r`` as an array."""
        image = _values(self.op(x))
        return image if self.r is None else image + _values(self.r)

    def improved(self, x):
        """``x / (A^T 1) A^T (y / (A x + r))``."""
        ratio = _ratio(_values(self.y), self.expected(x))
        factor = _values(self.projected_back(_as_element(self.op.range, ratio))) / self.sensitivity
        if not self.all_seen:
            factor = array_namespace(factor).where(self.seen, factor, 1.0)
        factor *= _values(x)
        return _as_element(self.op.domain, factor)

    def deviance(self, x):
        """``sum_i s_i - y_i + y_i log(y_i / s_i)`` with ``s = A x + r``, for every sample."""
        y, expected = (self._rows(values) for values in (_values(self.y), self.expected(x)))
        ratio = _ratio(y, expected)
        logarithm = np.log(ratio, out=np.zeros_like(ratio), where=ratio > 0)
        return np.sum(expected - y + y * logarithm, axis=1)

    def _rows(self, values):
        host = on_host(values)
        host = np.asarray(to_device(values, "cpu")) if host is None else host
        return host.reshape(self.samples.size, -1).astype(np.float64)


def _values(x):
    """The array of an element; a batch is one."""
    return x.data if hasattr(x, "space") else x


def _as_element(space, values):
    """An array as an element of a space of ODL; a batch stays what it is."""
    return space.element(values) if hasattr(space, "element") else values


def _ratio(y, expected):
    """``y / expected``, with ``0 / 0 = 0``."""
    possible, xp = expected > 0, array_namespace(y)
    if xp.all(possible):
        return y / expected
    missed = xp.count_nonzero((y > 0) & ~possible)
    if missed:
        raise ValueError(
            f"data has counts in {int(missed)} places where A x + r is zero, expected none; pass "
            "the background, start from a positive x0, and check that the detector sees nothing "
            "but the domain."
        )
    return xp.where(possible, y, 0.0) / xp.where(possible, expected, 1.0)


def _require_counts(name, x, space):
    if x not in space:
        raise TypeError(
            f"{name} is of type {type(x).__name__} and not an element of {space!r}; pass "
            "space.element(array) for the space of the operator, or for batches the twin "
            "bridge.as_batch(operator)."
        )
    values = _values(x)
    host = on_host(values)
    require_finite(name, np.asarray(to_device(values, "cpu")) if host is None else host)
    if values.min() < 0:
        raise ValueError(
            f"{name} has the minimum {float(values.min()):g}, expected nonnegative numbers; a "
            "background that was subtracted from the data must be passed as background in its "
            "place."
        )
