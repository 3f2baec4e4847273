"""How well one parameter does: its risk, from two solves."""

import math
from typing import NamedTuple

from odl_learned.variational.parameter_choice.solving import checked


class Fit(NamedTuple):
    """How well one parameter does.

    Attributes
    ----------
    alpha : float
    residual : float
        ``|A x - y|``, over the norm of the noise where that is known.
    degrees : float
        Share of the data that the image may follow, its degrees of freedom.
    risk : float
        What is minimized.
    error : float
        Bound of the distance of the risk to that of the exact minimizers, by their gaps, infinite
        for cross-validation where they do not tell ``1 - degrees`` from zero; the error
        of the probe, about ``sqrt(2 degrees / n)``, is the same for all parameters.

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> from odl_learned import data, functionals, variational
    >>> from odl_learned.variational import parameter_choice
    >>> X, rng = odl.uniform_discr([0, 0], [8, 8], (8, 8)), np.random.default_rng(0)
    >>> y = data.add_white_noise(odl.phantom.shepp_logan(X, modified=True), 0.2, rng)
    >>> identity = odl.IdentityOperator(X)
    >>> def problem_of(alpha, y):
    ...     return variational.tv_problem(identity, functionals.l2_fidelity(y), alpha)
    ...
    >>> choice = parameter_choice.by_unbiased_risk(
    ...     problem_of, identity, y, 0.2, start=0.1, rng=rng, rtol=0.2)
    >>> isinstance(choice.path[0], parameter_choice.Fit)
    True
    >>> print(min(choice.path, key=lambda fit: fit.risk).alpha == choice.alpha)
    True
    """

    alpha: float
    residual: float
    degrees: float
    risk: float
    error: float


# The changes of both where rho and delta are off by at most e and d.
def unbiased(rho, delta, e, d):
    """Stein's estimate of the error of the data, and the change of it."""
    return rho**2 - 1 + 2 * delta, (2 * rho + e) * e + 2 * d


def cross_validation(rho, delta, e, d):
    """Generalized cross-validation, and the change of it, infinite where the rest may be zero."""
    rest = max(1 - delta, 1e-6)
    risk = (rho / rest) ** 2
    return risk, ((rho + e) / (rest - d)) ** 2 - risk if rest > d else math.inf


class Risk:
    """The risk of a parameter, as a function that remembers where its solves ended."""

    def __init__(self, problem_of, forward_op, data, probe, criterion, unit, rtol, solve, step):
        self.problem_of, self.forward_op, self.data = problem_of, forward_op, data
        self.probe, self.criterion, self.solve = probe, criterion, solve
        self.unit, self.rtol, self.step = unit, rtol, step
        self.ends = [None, None]
        self.size = 1.0  # of the objective, in units of the data term of the noise
        self.slack = 0.0  # the bound of the error of the last degrees of freedom, by the gaps

    def __call__(self, alpha):
        """Return the solution and the `Fit` of a parameter."""
        found, image, e = self._solved(0, alpha, self.data)
        rho = float((image - self.data).norm()) / self.probe.norm
        if self.unit is None:  # the noise is unknown: the residual of the start
            self.unit = _require_residual(rho)
        t = self.step * self.unit
        _, disturbed, other = self._solved(1, alpha, self.probe.disturbed(self.data, t))
        delta = self.probe.degrees(image, disturbed, t)
        if not math.isfinite(rho + delta + e + other):
            raise ValueError("solve returns an x or a gap that is NaN or infinite; expected finite "
                             "numbers. A gap is finite where images are bounded by a constraint.")
        self.slack = (e + other) / t
        return found, Fit(alpha, rho, delta, *self.criterion(rho, delta, e, self.slack))

    def _solved(self, k, alpha, data):
        """A solution, ``A x``, and the error of it in units of ``|b|``."""
        problem = self.problem_of(alpha, data)
        accuracy = self.rtol**2 / self.size
        for _ in range(4):
            self.ends[k] = found = checked(self.solve(problem, accuracy, self.ends[k]))
            image = self.forward_op(found.x)
            error = math.sqrt(2 * max(float(found.gap), 0.0)) / self.probe.norm
            unit = self.unit or float((image - data).norm()) / self.probe.norm
            wanted = self.rtol * unit
            if found.reason != "accuracy" or not error > wanted:
                break
            accuracy *= min(max((wanted / error) ** 2, 1e-3), 0.5)
        if unit > 0:
            self.size = min(max((error / unit) ** 2 / accuracy, 1.0), 1e6)
        return found, image, error


def _require_residual(rho):
    if not rho > 0:
        raise ValueError("the residual of the start is zero; expected data that no image of the "
                         "start explains. Zero data have no best parameter.")
    return rho
