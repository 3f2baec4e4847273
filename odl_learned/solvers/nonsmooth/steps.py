r"""Rules for the steps of primal-dual methods: fixed, adaptive, accelerated, linearly convergent.

A rule is a value; ``rule.start(problem, samples)`` makes the steps of one run, with a number per
sample. All keep ``tau sigma |L|^2 <= 1``.
"""

import abc
import dataclasses
import math

import numpy as np

from odl_learned.solvers.arithmetic.samples import Batch, Element
from odl_learned.solvers.solution import DivergenceError
from odl_learned.solvers.types import CertifiedProblem
from odl_learned.validation import is_finite_number, require_positive


class Steps:
    """Steps ``tau``, ``sigma`` and extrapolation ``theta`` of a run, arrays of shape (size,).

    ``advance`` is called between the primal and the dual step of an iteration, and ``observe``
    after it with the norms of the residuals, if ``needs_residuals``.
    """

    needs_residuals = False

    def __init__(self, tau, sigma, theta=1.0):
        self.tau, self.sigma = np.atleast_1d(tau), np.atleast_1d(sigma)
        self.theta = np.broadcast_to(theta, self.tau.shape).copy()

    def advance(self):
        """Change the steps between the primal and the dual step."""

    def observe(self, primal, dual):
        """Hear the norms of the residuals of a step, if ``needs_residuals``."""

    def take(self, index):
        """Return the steps of some of the samples."""
        result = object.__new__(type(self))
        for name, value in vars(self).items():
            is_array = isinstance(value, np.ndarray)
            setattr(result, name, value[index] if is_array else value)
        return result


class StepRule(abc.ABC):
    """How the steps of a primal-dual method are chosen."""

    @abc.abstractmethod
    def start(self, problem: CertifiedProblem, samples: Element | Batch) -> Steps:
        """Return the `Steps` of a run."""


@dataclasses.dataclass(frozen=True)
class FixedSteps(StepRule):
    r"""Steps that never change, with ``theta = 1``.

    Parameters
    ----------
    ratio : float, optional
        Factor of the natural ratio of steps, see `variational.Problem.step_sizes`.
    tau, sigma : float, optional
        Steps given by hand, both or none, with ``tau sigma |L|^2 <= 1``.

    References
    ----------
    Chambolle, A. and Pock, T. A first-order primal-dual algorithm for convex problems with
    applications to imaging. JMIV 40 (2011), algorithm 1.
    """

    ratio: float = 1.0
    tau: float | None = None
    sigma: float | None = None

    def __post_init__(self):
        require_positive("ratio", self.ratio)
        if (self.tau is None) != (self.sigma is None):
            raise ValueError(
                f"tau is {self.tau!r} and sigma is {self.sigma!r}; expected both or none. Leave "
                "both out for those of problem.step_sizes(ratio)."
            )
        if self.tau is not None:
            require_positive("tau", self.tau)
            require_positive("sigma", self.sigma)

    def start(self, problem: CertifiedProblem, samples: Element | Batch) -> Steps:
        """Return the steps of a run."""
        if self.tau is None or self.sigma is None:
            return Steps(*_natural(problem, samples, self.ratio))
        # The norm is a bound that is at most two percent too large.
        product = self.tau * self.sigma * np.max(np.asarray(problem.operator_norm)) ** 2
        if product > 1.05:
            raise DivergenceError(
                f"primal_dual would diverge: tau sigma |L|^2 is {product:.3g}, expected at most "
                f"one. With tau = {self.tau:.3g}, take sigma = {self.sigma / product:.3g}, or "
                "leave both out for those of problem.step_sizes()."
            )
        ones = np.ones(samples.size)
        return Steps(self.tau * ones, self.sigma * ones)


@dataclasses.dataclass(frozen=True)
class AdaptiveSteps(StepRule):
    r"""Steps that balance the residuals of the optimality conditions.

    .. math:: p = |(x_k - x_{k+1}) / \tau - L^* (y_k - y_{k+1})|, \qquad
              d = |(y_k - y_{k+1}) / \sigma - L (x_k - x_{k+1})| .

    Where ``p > 1.5 d / b``, with the ``balance`` ``b`` of the problem, ``tau`` grows and ``sigma``
    shrinks by ``1 / (1 - a)``; where ``p < d / (1.5 b)``, the other way; every change
    multiplies ``a`` by ``decay``, so that the steps converge.

    Parameters
    ----------
    ratio : float, optional
        Factor of the natural ratio to start with.
    change : float, optional
        First ``a``, between 0 and 1.
    decay : float, optional
        Between 0 and 1.

    References
    ----------
    Goldstein, T., Li, M. and Yuan, X. Adaptive primal-dual splitting methods for statistical
    learning and image processing. NIPS 2015, algorithm 1.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import functionals, solvers, variational
    >>> X = odl.uniform_discr([0, 0], [16, 16], (16, 16))
    >>> y = functionals.l2_fidelity(100 * odl.phantom.shepp_logan(X, modified=True))
    >>> problem = variational.tv_problem(odl.IdentityOperator(X), y, alpha=10.0)
    >>> solution = solvers.primal_dual(problem, accuracy=1e-3, steps=solvers.AdaptiveSteps())
    >>> print(solution.gap <= 1e-3 * problem.value(solution.x))
    True
    """

    ratio: float = 1.0
    change: float = 0.5
    decay: float = 0.95

    def __post_init__(self):
        require_positive("ratio", self.ratio)
        for name in ("change", "decay"):
            value = getattr(self, name)
            if not (is_finite_number(value) and 0 < value < 1):
                raise ValueError(f"{name} is {value!r}; expected a number between 0 and 1.")

    def start(self, problem: CertifiedProblem, samples: Element | Batch) -> Steps:
        """Return the steps of a run."""
        return _Balanced(self, problem, samples)


class _Balanced(Steps):
    needs_residuals = True

    def __init__(self, rule, problem, samples):
        super().__init__(*_natural(problem, samples, rule.ratio))
        self.decay, self.change = rule.decay, np.full(self.tau.shape, rule.change)
        self.balance = np.broadcast_to(np.asarray(problem.balance, float), self.tau.shape)

    def observe(self, primal, dual):
        """Change the steps where the residuals differ."""
        dual = dual / self.balance
        longer, shorter = primal > 1.5 * dual, primal < dual / 1.5
        factor = np.where(longer, 1 / (1 - self.change), np.where(shorter, 1 - self.change, 1.0))
        self.tau, self.sigma = self.tau * factor, self.sigma / factor
        self.change = np.where(longer | shorter, self.decay * self.change, self.change)


@dataclasses.dataclass(frozen=True)
class Accelerated(StepRule):
    r"""Steps for a strongly convex ``f``: values converge like ``1 / k^2``.

    .. math:: \theta_k = (1 + 2 \mu \tau_k)^{-1/2}, \qquad \tau_{k+1} = \theta_k \tau_k, \qquad
              \sigma_{k+1} = \sigma_k / \theta_k .

    Parameters
    ----------
    strong_convexity : float
        Constant ``mu`` of ``f``, positive, in the norm of ``L.domain``.
    ratio : float, optional
        Factor of the natural ratio to start with. The primal steps shrink to ``1 / (mu k)``
        wherever they start, so that it only must not be small.

    References
    ----------
    Chambolle, A. and Pock, T. A first-order primal-dual algorithm for convex problems with
    applications to imaging. JMIV 40 (2011), algorithm 2.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import functionals, operators, solvers, variational
    >>> X = odl.uniform_discr([0, 0], [8, 8], (8, 8))
    >>> y, D = odl.phantom.shepp_logan(X, modified=True), operators.gradient(X)
    >>> tv = 0.1 * odl.functionals.GroupL1Norm(D.range)
    >>> problem = variational.Problem(functionals.l2_fidelity(y), tv, D, strong_convexity=1.0)
    >>> fast = solvers.primal_dual(problem, accuracy=1e-4, steps=solvers.Accelerated(1.0))
    >>> slow = solvers.primal_dual(problem, accuracy=1e-4, steps=solvers.FixedSteps())
    >>> print(fast.reason, fast.niter < slow.niter)
    accuracy True
    >>> isinstance(fast, solvers.Solution)
    True
    """

    strong_convexity: float
    ratio: float = 10.0

    def __post_init__(self):
        require_positive("strong_convexity", self.strong_convexity)
        require_positive("ratio", self.ratio)

    def start(self, problem: CertifiedProblem, samples: Element | Batch) -> Steps:
        """Return the steps of a run."""
        return _Shrinking(self, problem, samples)


class _Shrinking(Steps):
    def __init__(self, rule, problem, samples):
        super().__init__(*_natural(problem, samples, rule.ratio))
        self.strong_convexity = rule.strong_convexity

    def advance(self):
        """Shrink the primal and lengthen the dual step."""
        self.theta = 1 / np.sqrt(1 + 2 * self.strong_convexity * self.tau)
        self.tau, self.sigma = self.theta * self.tau, self.sigma / self.theta


@dataclasses.dataclass(frozen=True)
class LinearRate(StepRule):
    r"""Steps for strongly convex ``f`` and ``g*``: squared distances shrink by ``theta`` per step.

    .. math:: m = \frac{2 \sqrt{\gamma \delta}}{|L|}, \qquad \tau = \frac{m}{2 \gamma}, \qquad
              \sigma = \frac{m}{2 \delta}, \qquad \theta = \frac{1}{1 + m} .

    Parameters
    ----------
    primal : float
        Constant ``gamma`` of strong convexity of ``f``, positive, in the norm of ``L.domain``.
    dual : float
        Constant ``delta`` of strong convexity of ``g*``, positive, in the norm of ``L.range``: one
        over the Lipschitz constant of the gradient of ``g``.

    References
    ----------
    Chambolle, A. and Pock, T. A first-order primal-dual algorithm for convex problems with
    applications to imaging. JMIV 40 (2011), algorithm 3.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import functionals, operators, solvers, variational
    >>> X = odl.uniform_discr([0, 0], [8, 8], (8, 8))
    >>> y, D = odl.phantom.shepp_logan(X, modified=True), operators.gradient(X)
    >>> square = 0.5 * odl.functionals.L2NormSquared(D.range)
    >>> problem = variational.Problem(functionals.l2_fidelity(y), square, D, strong_convexity=1.0)
    >>> solution = solvers.primal_dual(problem, accuracy=1e-8, steps=solvers.LinearRate(1.0, 1.0))
    >>> exact = functionals.H1Seminorm(X).proximal(1.0)(y)
    >>> print(solution.reason, (solution.x - exact).norm() < 1e-3)
    accuracy True
    """

    primal: float
    dual: float

    def __post_init__(self):
        require_positive("primal", self.primal)
        require_positive("dual", self.dual)

    def start(self, problem: CertifiedProblem, samples: Element | Batch) -> Steps:
        """Return the steps of a run."""
        norm = np.broadcast_to(np.asarray(problem.operator_norm, float), (samples.size,))
        m = 2 * math.sqrt(self.primal * self.dual) / norm
        return Steps(m / (2 * self.primal), m / (2 * self.dual), 1 / (1 + m))


def _natural(problem, samples, ratio):
    """The natural steps, one per sample."""
    return [np.broadcast_to(np.asarray(step, float), (samples.size,)).copy()
            for step in problem.step_sizes(ratio)]
