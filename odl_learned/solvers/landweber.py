"""Landweber iteration with the discrepancy principle."""

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from odl_learned.solvers.arithmetic.active import Active
from odl_learned.solvers.arithmetic.samples import restricted, samples_of
from odl_learned.solvers.checks import per_sample, require_forward_operator, require_start
from odl_learned.solvers.solution import DivergenceError, Solution
from odl_learned.solvers.types import Data, Image, LinearMap, Numbers
from odl_learned.validation import is_finite_number, require_count, shown

# For r_k = y - A x_k one step gives r_(k+1) = (I - omega A A*) r_k, and |I - omega A A*| <= 1 for
# 0 < omega <= 2 / |A|^2. So residuals never grow unless omega is too large or the adjoint wrong;
# the margin is for rounding errors.
GROWTH = 1.01
#: What to do where residuals grow although they cannot, for steps that were given or computed.
GIVEN_STEP = "leave it out to get 1 / |A|^2."
UNKNOWN_STEP = ("1 / |A|^2 was computed by power iteration, so check that forward_op is linear and "
                "forward_op.adjoint its adjoint, or pass a smaller omega.")
WEIGHTED_STEP = ("with weights |A| is at most 1 if forward_op and its adjoint have nonnegative "
                 "entries, so check that, or leave omega or the preconditioner out.")


class Preconditioner(Protocol):
    """What makes the weights of a run, `RowColumnWeights`."""

    def weights(self, forward_op: Any, data: Any, x0: Any, samples: Any, residuals: Any, /) -> Any:
        """Return them, for operator, data and start, and the arithmetic of both spaces."""


def landweber(
    forward_op: LinearMap[Image, Data],
    data: Data,
    x0: Image,
    noise_norm: Numbers,
    tau: float = 1.1,
    omega: Numbers | None = None,
    maxiter: int = 1000,
    callback: Callable[[Image], object] | None = None,
    preconditioner: Preconditioner | None = None,
) -> Solution[Image]:
    r"""Solve ``A x = y`` by Landweber iteration, stopped by Morozov's discrepancy principle.

    .. math:: x_{k+1} = x_k + \omega A^* (y - A x_k)
              \quad \text{until} \quad |A x_k - y| \le \tau \, |\text{noise}| .

    Only needs ``forward_op(x)``, ``forward_op.adjoint(y)``, and elements that know ``+``, ``-``,
    multiplication by a number and ``norm()``; ODL elements do. Samples of a batch stop one by one.

    Parameters
    ----------
    forward_op : linear operator
        For batches with ``take(index)``, unless it is the same for all samples.
    data : element of the range, or batch ``(B, ...)``
        Measurement ``y``.
    x0 : element of the domain, or batch ``(B, ...)``
        Starting point, not changed.
    noise_norm : float or array (B,)
        Norm of the noise in the norm of the range (or a bound of it), positive.
    tau : float, optional
        Safety factor, at least one.
    omega : float or array (B,), optional
        Step size, between 0 and ``2 / |A|^2``. Default: ``1 / |A|^2``, by power iteration.
    maxiter : int, optional
        Largest number of iterations.
    callback : callable, optional
        Called with the iterate after each iteration.
    preconditioner : RowColumnWeights, optional
        Weights ``C`` and ``R`` in ``x_k + omega C A* R (y - A x_k)``; then ``omega`` is at most 2,
        by default 1, and the norm that never grows is ``<R r, r>^(1/2)`` of ``r = y - A x``. When
        to stop is decided in the norm of the range as without.

    Returns
    -------
    solution : Solution
        The first iterate that satisfies the principle; no error bound.

    Raises
    ------
    DivergenceError
        If the residual grows, which it cannot for an admissible step size.
    TypeError
        If the operator is nonlinear, or data or starting point do not belong to its spaces.
    ValueError
        If a number is out of bounds or the data are not finite.

    References
    ----------
    Engl, H. W., Hanke, M. and Neubauer, A. Regularization of Inverse Problems. Kluwer 1996,
    section 6.1.
    """
    samples, residuals = arithmetic_of(forward_op, data, x0)
    noise_norm = per_sample(
        "noise_norm", noise_norm, samples,
        ": the discrepancy principle never stops without noise. For exact data choose a small "
        "fraction of data.norm()")
    if not (is_finite_number(tau) and tau >= 1):
        raise ValueError(f"tau is {tau!r}; expected a finite number of at least 1, such as 1.1.")
    cure = UNKNOWN_STEP
    if omega is not None:
        omega, cure = per_sample("omega", omega, samples), GIVEN_STEP
    require_count("maxiter", maxiter, 0)
    weights = None
    if preconditioner is not None:
        if isinstance(preconditioner, type) or not hasattr(preconditioner, "weights"):
            raise TypeError(f"preconditioner is {shown(preconditioner)}; expected "
                            "solvers.RowColumnWeights(), or leave it out.")
        weights = preconditioner.weights(forward_op, data, x0, samples, residuals)
        omega, cure = np.ones(samples.size) if omega is None else omega, WEIGHTED_STEP

    active = Active(samples, x0)
    x = samples.scale(1.0, x0)
    residual = residuals.difference(data, forward_op(x))
    adjoint = forward_op.adjoint
    if omega is None:
        omega = 1 / _squared_norm(forward_op, adjoint, adjoint(residual), samples)
    smallest = np.full(samples.size, math.inf)
    for niter in range(maxiter + 1):
        size = residuals.norm(residual)
        never_grows = size if weights is None else weights.size(residual)
        bad = ~(never_grows <= GROWTH * smallest)
        if bad.any():
            k = np.argmax(bad)
            raise DivergenceError(
                f"landweber diverges: the residual{active.name(bad)} grew from {smallest[k]:.3g} "
                f"to {never_grows[k]:.3g} at iteration {niter}. The step omega = {omega[k]:.3g} "
                f"must be less than 2 / |A|^2; {cure}"
            )
        smallest = np.minimum(smallest, never_grows)
        done = size <= tau * noise_norm
        if niter == maxiter or done.any():
            reason = np.where(done, "discrepancy", "maxiter")
            rest = active.finish(done | (niter == maxiter), x, niter, reason)
            if not rest.size:
                break
            x, data, residual = samples.take(x, rest), *(
                residuals.take(v, rest) for v in (data, residual))
            omega, noise_norm, smallest = (v[rest] for v in (omega, noise_norm, smallest))
            samples, residuals = samples.subset(rest), residuals.subset(rest)
            forward_op = restricted(forward_op, rest)
            adjoint = forward_op.adjoint
            weights = None if weights is None else weights.take(rest)
        direction = adjoint(residual) if weights is None else weights.direction(adjoint, residual)
        x = samples.add(x, omega, direction)
        residual = residuals.difference(data, forward_op(x))
        if callback is not None:
            callback(active.whole(x))
    return active.solution()


def arithmetic_of(forward_op, data, x0):
    """Return the arithmetic of the domain and of the range, or refuse what does not fit."""
    require_forward_operator(forward_op)
    samples, residuals = (samples_of(x, getattr(forward_op, side, None))
                          for x, side in ((x0, "domain"), (data, "range")))
    for name, x, arithmetic, side in (
        ("data", data, residuals, "range"), ("x0", x0, samples, "domain")
    ):
        require_start(name, x, arithmetic, getattr(forward_op, side, None), f"forward_op.{side}")
    if samples.size != residuals.size:
        raise ValueError(f"data has {residuals.size} samples, expected {samples.size} as x0.")
    return samples, residuals


def _squared_norm(forward_op, adjoint, start, samples, niter=50):
    """Return ``|A|^2`` from below, by power iteration on ``A* A`` from the first direction.

    All steps of Landweber lie in the span of ``(A* A)^k start``, so that the norm on it matters.
    The number of a sample is the first one that settles, whatever the other samples do.
    """
    size = samples.norm(start)
    result, settled = np.ones(samples.size), size == 0
    x = samples.scale(1 / np.where(settled, 1, size), start)
    for _ in range(niter):
        if settled.all():
            break
        x = adjoint(forward_op(x))
        previous, size = size, samples.norm(x)
        bad = ~settled & ~((size > 0) & np.isfinite(size))
        if bad.any():
            raise ValueError(
                f"forward_op.adjoint(forward_op(x)) has norm {size[np.argmax(bad)]} for x of norm "
                "one; expected a positive number. Check the operator, or pass omega."
            )
        result = np.where(settled, result, size)
        settled = settled | (np.abs(size - previous) <= 1e-3 * size)
        x = samples.scale(1 / np.where(size > 0, size, 1), x)
    return result
