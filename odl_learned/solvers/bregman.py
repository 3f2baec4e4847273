"""Linearized Bregman iteration, stopped by the discrepancy principle."""

import math
from collections.abc import Callable

import numpy as np

from odl_learned.solvers.arithmetic.active import Active
from odl_learned.solvers.arithmetic.samples import restricted, samples_of
from odl_learned.solvers.checks import (
    knows,
    per_sample,
    require_forward_operator,
    require_start,
)
from odl_learned.solvers.discrepancy import Discrepancy
from odl_learned.solvers.landweber import GIVEN_STEP, GROWTH, UNKNOWN_STEP, _squared_norm
from odl_learned.solvers.solution import DivergenceError, Solution
from odl_learned.solvers.types import Data, Image, LinearMap, Numbers, Proximable
from odl_learned.validation import real_numbers, require_count, shown


# With J(u) = |u|^2 / 2 + alpha R(u) and v_k a subgradient of J at u_k, the optimality condition of
# the step is v_(k+1) = v_k - omega_k A* (A u_k - y), and u_k = grad J*(v_k) = prox_(alpha R)(v_k).
# Since J* is 1-smooth and v_k = v_0 + A* p_k, this is gradient ascent for the dual problem
#     max_p  <p, y> - J*(v_0 + A* p),      p_(k+1) = p_k + omega_k (y - A u_k),
# whose gradient, the residual, never grows for omega_k <= 2 / |A|^2 (Baillon and Haddad). GROWTH
# leaves a margin for rounding errors.
def linearized_bregman(
    forward_op: LinearMap[Image, Data],
    data: Data,
    v0: Image,
    regularizer: Proximable[Image],
    alpha: Numbers,
    noise_norm: Numbers,
    tau: float = 1.1,
    omega: Numbers | Callable[[int], Numbers] | None = None,
    maxiter: int = 1000,
    callback: Callable[[Image], object] | None = None,
) -> Solution[Image]:
    r"""Solve ``A u = y`` by linearized Bregman iteration, stopped at the level of the noise.

    .. math:: u_{k+1} = \text{argmin}_u \; \omega_k \langle u, \nabla E(u_k) \rangle
              + D_J^{v_k}(u, u_k), \qquad E(u) = \tfrac12 |A u - y|^2, \quad
              J(u) = \tfrac12 |u|^2 + \alpha R(u),

    with the Bregman distance :math:`D_J^v(u, u_k) = J(u) - J(u_k) - \langle v, u - u_k \rangle`:

    .. math:: v_{k+1} = v_k - \omega_k A^* (A u_k - y), \qquad
              u_{k+1} = \text{prox}_{\alpha R}(v_{k+1}) .

    For exact data the limit minimizes ``J`` among all solutions; for ``R = |.|_1`` and a large
    ``alpha`` it is a solution of least L1 norm. With ``R = 0`` it is Landweber's iteration.

    Parameters
    ----------
    forward_op : linear operator
        ``A`` with ``A(u)`` and ``A.adjoint(y)``, an ODL operator or its twin for batches.
    data : element of the range, or batch ``(B, ...)``
        Measurement ``y``.
    v0 : element of the domain, or batch
        First subgradient of ``J``, not changed; the iteration starts at ``prox(v0)``. Zero is
        usual.
    regularizer : functional
        ``R`` on the domain with ``R.proximal(alpha)(v)``, for example `WaveletL1`.
    alpha : float or array (B,)
        Regularization parameter, positive; the larger, the closer to ``R`` alone, and the slower.
    noise_norm : float or array (B,)
        Norm of the noise in the norm of the range (or a bound of it), positive.
    tau : float, optional
        Safety factor, at least one.
    omega : float, array (B,) or callable, optional
        Step sizes between 0 and ``2 / |A|^2``; a callable gets the number of the iteration, from
        zero. Default: ``1 / |A|^2``, by power iteration.
    maxiter : int, optional
        Largest number of iterations.
    callback : callable, optional
        Called with the iterate after each iteration (of all samples, whether they run or not).

    Returns
    -------
    solution : Solution
        The first iterate that satisfies the principle; no error bound.

    Raises
    ------
    DivergenceError
        If the residual grows, which it cannot for admissible steps.
    TypeError
        If the operator is nonlinear or the regularizer has no proximal, or data or start do not
        belong to its spaces.
    ValueError
        If a number is out of bounds, or an entry is not finite.

    References
    ----------
    Yin, W. Analysis and generalizations of the linearized Bregman method. SIAM J. Imaging Sci. 3
    (2010). Cai, J.-F., Osher, S. and Shen, Z. Linearized Bregman iterations for compressed sensing.
    Math. Comp. 78 (2009).

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> from odl_learned import solvers
    >>> X, rng = odl.rn(6), np.random.default_rng(0)
    >>> A, l1 = odl.MatrixOperator(rng.standard_normal((4, 6))), odl.functionals.L1Norm(X)
    >>> truth = X.element([0, 2, 0, 0, 0, 0])
    >>> solution = solvers.linearized_bregman(A, A(truth), X.zero(), l1, 5.0, noise_norm=1e-3)
    >>> print(solution.x.data.round(2), solution.reason)  # sparse, from four numbers
    [0. 2. 0. 0. 0. 0.] discrepancy
    """
    _check_arguments(forward_op, regularizer, maxiter)
    principle = Discrepancy(forward_op, data, noise_norm, tau)
    samples = samples_of(v0, getattr(forward_op, "domain", None))
    of_data = samples_of(data, getattr(forward_op, "range", None))
    for name, x, side, where in (("data", data, of_data, "range"), ("v0", v0, samples, "domain")):
        space = getattr(forward_op, where, None)
        require_start(name, x, side, space, f"forward_op.{where}")
    space = getattr(regularizer, "domain", None)
    require_start("v0", v0, samples, space, "regularizer.domain")
    alpha = per_sample("alpha", alpha, samples) if np.ndim(alpha) else _positive("alpha", alpha)
    cure = UNKNOWN_STEP if omega is None else GIVEN_STEP
    run = _Run(principle, v0, samples, of_data, regularizer, alpha, cure)
    if omega is None:
        adjoint = forward_op.adjoint
        start = adjoint(of_data.add(data, -1.0, forward_op(v0)))
        omega = 1 / _squared_norm(forward_op, adjoint, start, samples)
    return run.solve(omega, maxiter, callback)


class _Run:
    """The running samples, and the iteration."""

    def __init__(self, principle, v0, samples, of_data, regularizer, alpha, cure):
        self.principle, self.R, self.alpha = principle, regularizer, alpha
        self.samples, self.of_data, self.cure = samples, of_data, cure
        self.active = Active(samples, v0)
        self.v = samples.scale(1.0, v0)
        self.u = regularizer.proximal(_step(alpha))(self.v)
        self.smallest = np.full(samples.size, math.inf)

    def solve(self, omega, maxiter, callback):
        for niter in range(maxiter + 1):
            op = self.principle.forward_op
            residual = self.of_data.add(self.principle.data, -1.0, op(self.u))
            size = self.of_data.norm(residual)
            self._require_decrease(size, niter)
            self.smallest = np.minimum(self.smallest, size)
            done = size <= self.principle.limit
            if niter == maxiter or done.any():
                reason = np.where(done, "discrepancy", "maxiter")
                rest = self.active.finish(done | (niter == maxiter), self.u, niter, reason)
                if not rest.size:
                    break
                residual = self.of_data.take(residual, rest)
                self._restrict(rest)
            slope = self.principle.forward_op.adjoint(residual)
            self.v = self.samples.add(self.v, self._omega(omega, niter), slope)
            self.u = self.R.proximal(_step(self.alpha))(self.v)
            if callback is not None:
                callback(self.active.whole(self.u))
        return self.active.solution()

    def _omega(self, omega, niter):
        """The step sizes of the running samples in this iteration."""
        value = omega(niter) if callable(omega) else omega
        value = _positive("omega", value)
        return _step(value if value.ndim == 0 else value[self.active.index])

    def _restrict(self, rest):
        self.principle, self.R = self.principle.take(rest), restricted(self.R, rest)
        self.v, self.u = (self.samples.take(x, rest) for x in (self.v, self.u))
        self.alpha = self.alpha if self.alpha.ndim == 0 else self.alpha[rest]
        self.smallest = self.smallest[rest]
        self.samples, self.of_data = self.samples.subset(rest), self.of_data.subset(rest)

    def _require_decrease(self, size, niter):
        grown = ~(size <= GROWTH * self.smallest)
        if grown.any():
            first = np.flatnonzero(grown)[0]
            raise DivergenceError(
                f"linearized_bregman diverges: the residual{self.active.name(grown)} grew from "
                f"{self.smallest[first]:.3g} to {size[first]:.3g} at iteration {niter}. The step "
                f"omega must be less than 2 / |A|^2; {self.cure} Or regularizer.proximal is none."
            )


def _step(values):
    """Numbers of samples as steps: a float for all of them, or an array."""
    return float(values) if values.ndim == 0 else values


def _positive(name, values):
    values = real_numbers(name, values)
    if not (np.all(np.isfinite(values)) and np.all(values > 0)):
        raise ValueError(f"{name} is {values}; expected finite numbers greater than zero.")
    return values


def _check_arguments(forward_op, regularizer, maxiter):
    require_forward_operator(forward_op)
    if isinstance(regularizer, type) or not knows(regularizer, "proximal"):
        raise TypeError(
            f"regularizer is {shown(regularizer)}; expected a functional with a proximal, such as "
            "functionals.WaveletL1, or odl.functionals.ZeroFunctional for Landweber's iteration."
        )
    require_count("maxiter", maxiter, 0)
