"""Algebraic reconstruction: weights by row and column sums, for SIRT and for SART."""

import dataclasses
import math
import typing
from collections.abc import Callable, Sequence

import numpy as np
from array_api_compat import array_namespace

from odl_learned.solvers.arithmetic.active import Active
from odl_learned.solvers.arithmetic.samples import Batch, Element, restricted
from odl_learned.solvers.checks import per_sample
from odl_learned.solvers.landweber import arithmetic_of
from odl_learned.solvers.solution import DivergenceError, Solution
from odl_learned.solvers.types import Data, Image, LinearMap, Numbers
from odl_learned.validation import is_finite_number, require_count, shown

#: Sums below so many roundings of the largest one are roundings: transforms add up in log2(n).
ROUNDINGS = 16


# Let A have nonnegative entries; then so has A*, as inner products have positive weights. Entrywise
#     C A* R A 1 = C A* R (A 1) <= C A* 1 <= 1,
# so that the nonnegative matrix C A* R A has the norm of largest row sums at most 1, and no
# eigenvalue exceeds 1. They are those of B* B with B = R^(1/2) A C^(1/2), and R and C, which are
# diagonal, are selfadjoint: |B| <= 1. With s = R^(1/2) (y - A x) an iteration is
#     s_(k+1) = (I - omega B B*) s_k,
# Landweber's for B, which converges for 0 < omega < 2, and |s_k| never grows. The norm of the
# residual itself may. Smaller weights, such as zero, keep all inequalities.
@typing.final
@dataclasses.dataclass(frozen=True)
class RowColumnWeights:
    r"""Weights of SIRT for `landweber`: the inverses of row and column sums.

    .. math:: x_{k+1} = x_k + \omega \, C A^* R (y - A x_k), \qquad
              R = \frac{1}{A 1}, \quad C = \frac{1}{A^* 1}

    in the inner products of the spaces, with zeros where a sum is zero: data that see nothing, and
    pixels that nothing sees, which stay as they are. For operators with nonnegative entries it
    converges for ``0 < omega < 2``, without a norm to be computed, to the minimizer of
    ``<R (y - A x), y - A x>`` that is nearest to ``x0`` in the norm ``<C^-1 v, v>^(1/2)``. Of the
    entries only the sums are looked at; where some are negative, `landweber` may diverge, and says
    so.

    References
    ----------
    Gilbert, P. Iterative methods for the three-dimensional reconstruction of an object from
    projections. J. Theor. Biol. 36 (1972). Jiang, M. and Wang, G. Convergence of the simultaneous
    algebraic reconstruction technique (SART). IEEE Trans. Image Process. 12 (2003).

    See Also
    --------
    sart : the same over subsets of the data, one after the other.
    """

    def weights(
        self,
        forward_op: LinearMap[Image, Data],
        data: Data,
        x0: Image,
        samples: Element | Batch,
        residuals: Element | Batch,
    ) -> "Weights":
        """Return the `Weights` for operator, data and start, as `landweber` asks for them.

        Raises
        ------
        TypeError
            If the spaces are not those of real arrays.
        ValueError
            If a sum is negative or not finite, or all are zero.
        """
        for name, x, arithmetic in (("data", data, residuals), ("x0", x0, samples)):
            values = getattr(x, "data", None) if isinstance(arithmetic, Element) else x
            dtype = getattr(values, "dtype", None)
            real = dtype is not None and array_namespace(values).isdtype(dtype, "real floating")
            if not real:
                raise TypeError(
                    f"{name} is {shown(x)}; expected a real array, or an element of a space of "
                    "them: only nonnegative entries have row and column sums that bound the "
                    "operator. Leave preconditioner out.")
        rows = _inverses("A 1", forward_op(samples.ones(x0)), residuals)
        columns = _inverses("A* 1", forward_op.adjoint(residuals.ones(data)), samples)
        return Weights(rows, columns, samples, residuals)


@dataclasses.dataclass(frozen=True)
class Weights:
    """Positive diagonal operators on the range and on the domain, as elements or batches."""

    rows: typing.Any
    columns: typing.Any
    samples: typing.Any
    residuals: typing.Any

    def direction(self, adjoint, residual):
        """``C A* R r``."""
        return self.columns * adjoint(self.rows * residual)

    def size(self, residual):
        """``<R r, r>^(1/2)`` for every sample."""
        return np.sqrt(np.maximum(self.residuals.inner(self.rows * residual, residual), 0))

    def take(self, index):
        """The weights of some of the samples."""
        return Weights(self.residuals.take(self.rows, index),
                       self.samples.take(self.columns, index),
                       self.samples.subset(index), self.residuals.subset(index))


def sart(
    forward_ops: Sequence[LinearMap[Image, Data]],
    data: Sequence[Data],
    x0: Image,
    noise_norm: Numbers,
    tau: float = 1.1,
    omega: Numbers = 1.0,
    maxiter: int = 100,
    callback: Callable[[Image], object] | None = None,
) -> Solution[Image]:
    r"""Solve ``A_i x = y_i`` by algebraic steps over subsets of the data, one after the other.

    .. math:: x \leftarrow x + \omega \, C_i A_i^* R_i (y_i - A_i x), \quad i = 1, \dots, n,
              \qquad \text{until} \quad
              \Bigl( \sum_i |A_i x - y_i|^2 \Bigr)^{1/2} \le \tau \, |\text{noise}| ,

    with the weights of `RowColumnWeights` for each operator. With one view in a subset this is
    SART, with several OS-SART, with all SIRT. One iteration costs up to half more than one of
    SIRT, for residuals at its end, and at first gets up to ``n`` times as far. It need not
    converge: with noise it ends in a cycle.

    Parameters
    ----------
    forward_ops : list of linear operators, or of their twins
        The operators ``A_i``, nonnegative, with one domain; see ``operators.view_subsets``.
    data : list of elements or batches ``(B, ...)``
        Measurements ``y_i``, real, in the ranges of the operators.
    x0 : element of the domain, or batch ``(B, ...)``
        Starting point, not changed.
    noise_norm : float or array (B,)
        Norm of the noise of all data, the root of the sum of squares of those in the ranges, as
        ``variational.parameter_choice.white_noise_norm`` gives for each; not that in the range of
        the whole, since ranges weigh a view by the angle that it stands for in its subset.
    tau : float, optional
        Safety factor, at least one.
    omega : float or array (B,), optional
        Step size, between 0 and 2.
    maxiter : int, optional
        Largest number of iterations, each through all subsets.
    callback : callable, optional
        Called with the iterate (the whole batch) after each iteration.

    Returns
    -------
    solution : Solution
        With reason ``"discrepancy"`` or ``"maxiter"``; no error bound.

    Raises
    ------
    DivergenceError
        If residuals are not finite any more.
    TypeError, ValueError
        As `landweber` and `RowColumnWeights`, and if there are not as many data as operators.

    References
    ----------
    Andersen, A. H. and Kak, A. C. Simultaneous algebraic reconstruction technique (SART). Ultrason.
    Imaging 6 (1984). Wang, G. and Jiang, M. Ordered-subset simultaneous algebraic reconstruction
    techniques (OS-SART). J. X-Ray Sci. Technol. 12 (2004).
    """
    for name, parts in (("forward_ops", forward_ops), ("data", data)):
        if not isinstance(parts, list | tuple):
            raise TypeError(f"{name} is {shown(parts)}; expected a list, one entry for each "
                            "subset, such as operators.view_subsets gives.")
    if not len(forward_ops) == len(data) > 0:
        raise ValueError(f"there are {len(forward_ops)} operators and {len(data)} data; expected "
                         "as many of each, at least one; pass one for each subset.")
    pairs = [arithmetic_of(op, y, x0) for op, y in zip(forward_ops, data, strict=True)]
    samples = pairs[0][0]
    noise_norm, omega = (per_sample(name, value, samples) for name, value in (
        ("noise_norm", noise_norm), ("omega", omega)))
    if not (omega < 2).all():
        raise ValueError(f"omega is {omega.max():g}; expected less than 2, beyond which residuals "
                         "grow. Leave it out to get 1.")
    if not (is_finite_number(tau) and tau >= 1):
        raise ValueError(f"tau is {tau!r}; expected a finite number of at least 1, such as 1.1.")
    require_count("maxiter", maxiter, 0)
    weigh = RowColumnWeights().weights
    subsets = [(op, y, weigh(op, y, x0, samples, residuals))
               for op, y, (_, residuals) in zip(forward_ops, data, pairs, strict=True)]

    active, x = Active(samples, x0), samples.scale(1.0, x0)
    for niter in range(maxiter + 1):
        first, size = None, 0.0
        for op, y, weights in subsets:
            residual = weights.residuals.difference(y, op(x))
            first = residual if first is None else first
            size = np.hypot(size, weights.residuals.norm(residual))
        bad = ~np.isfinite(size)
        if bad.any():
            raise DivergenceError(
                f"sart diverges: the residual{active.name(bad)} is not finite at iteration "
                f"{niter}. Check that the operators have nonnegative entries.")
        done = size <= tau * noise_norm
        if niter == maxiter or done.any():
            reason = np.where(done, "discrepancy", "maxiter")
            rest = active.finish(done | (niter == maxiter), x, niter, reason)
            if not rest.size:
                break
            first = subsets[0][2].residuals.take(first, rest)
            subsets = [(restricted(op, rest), weights.residuals.take(y, rest), weights.take(rest))
                       for op, y, weights in subsets]
            x, samples, omega, noise_norm = (samples.take(x, rest), samples.subset(rest),
                                             omega[rest], noise_norm[rest])
        for k, (op, y, weights) in enumerate(subsets):
            residual = first if k == 0 else y - op(x)
            x = samples.add(x, omega, weights.direction(op.adjoint, residual))
        if callback is not None:
            callback(active.whole(x))
    return active.solution()


def _inverses(name, sums, samples):
    """Return ``1 / sums``, zero where they are roundings of the largest one of their sample."""
    values = sums.data[None] if isinstance(samples, Element) else sums
    xp, axes = array_namespace(values), tuple(range(1, values.ndim))
    info = xp.finfo(values.dtype)
    largest = xp.max(values, axis=axes, keepdims=True)
    rounding = ROUNDINGS * info.eps * largest
    least = float(xp.min(values)) if math.prod(values.shape) else 0.0
    if not (bool(xp.all(xp.isfinite(values))) and bool(xp.all(values >= -rounding))):
        raise ValueError(
            f"{name} has the minimum {least:g}, expected nonnegative numbers; row and column "
            "weights are for operators with nonnegative entries, such as ray transforms. Leave "
            "preconditioner out.")
    if bool(xp.any(largest < info.smallest_normal)):
        raise ValueError(f"{name} is zero, expected a positive sum somewhere; check that the "
                         "operator sees its domain.")
    seen = (values > rounding) & (values >= info.smallest_normal)  # so that inverses are finite
    inverses = xp.where(seen, 1 / xp.where(seen, values, xp.ones_like(values)),
                        xp.zeros_like(values))
    return sums.space.element(inverses[0]) if isinstance(samples, Element) else inverses
