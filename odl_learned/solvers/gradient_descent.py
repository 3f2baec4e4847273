"""Accelerated gradient descent with a certified error."""

import math

from odl_learned.solvers.solution import DivergenceError, Solution
from odl_learned.validation import require_count, require_positive


def accelerated_gradient(
    f, x0, accuracy, maxiter, lipschitz=None, strong_convexity=None, callback=None
):
    r"""Minimize a smooth, strongly convex functional up to a certified distance.

    .. math:: x_{k+1} = y_k - \tfrac1L \nabla f(y_k), \qquad
              y_{k+1} = x_{k+1} + \frac{\sqrt L - \sqrt \mu}{\sqrt L + \sqrt \mu}
              (x_{k+1} - x_k),

    until ``|y_k - x_hat| <= |grad f(y_k)| / mu <= accuracy``, which bounds the distance of ``y_k``
    to the minimizer ``x_hat``. Needs about ``sqrt(L / mu) log(1 / accuracy)`` iterations. Only
    needs ``f.gradient(x)``, and elements that know ``+``, ``-``, multiplication by a number and
    ``norm()``.

    Gradients at successive points differ by at least ``mu`` and at most ``L`` times their distance;
    a pair that does not proves a constant wrong, and with it the certificate.

    Parameters
    ----------
    f : functional
        With a gradient in the inner product whose norm the elements have.
    x0 : element
        Starting point, not changed.
    accuracy : float
        Distance to the minimizer to reach, positive, in the norm of the space. The bound is exact
        up to rounding errors of the gradient.
    maxiter : int
        Largest number of iterations.
    lipschitz : float, optional
        Lipschitz constant ``L`` of the gradient. Default: ``f.grad_lipschitz``.
    strong_convexity : float, optional
        Constant ``mu`` of strong convexity. Default: ``f.strong_convexity``.
    callback : callable, optional
        Called with the iterate after each iteration.

    Returns
    -------
    solution : Solution
        ``error_bound`` is valid for either reason to stop, ``"accuracy"`` or ``"maxiter"``.

    Raises
    ------
    DivergenceError
        If ``lipschitz`` is too small or ``strong_convexity`` too large, or values are not finite.
    TypeError
        If ``f`` has no gradient, or the starting point does not belong to its domain.
    ValueError
        If a constant is unknown or out of bounds, or the starting point is not finite.

    References
    ----------
    Nesterov, Y. Introductory Lectures on Convex Optimization. Kluwer 2004, (2.2.22).
    """
    if getattr(f, "gradient", None) is None:
        raise TypeError(
            f"f is {f!r}; expected a functional with a gradient. A torch module becomes one by "
            "bridge.as_functional(module, domain)."
        )
    L = _constant("lipschitz", lipschitz, getattr(f, "grad_lipschitz", math.nan))
    mu = _constant("strong_convexity", strong_convexity, getattr(f, "strong_convexity", math.nan))
    if mu > L:
        raise ValueError(
            f"strong_convexity is {mu}, expected at most {L}, the value of lipschitz: gradients "
            "cannot change by more than lipschitz and less than strong_convexity times a distance."
        )
    require_positive("accuracy", accuracy)
    require_count("maxiter", maxiter, 0)
    if hasattr(f, "domain") and x0 not in f.domain:
        raise TypeError(f"x0 is not an element of {f.domain!r}; pass f.domain.element(array).")
    if not math.isfinite(x0.norm()):
        raise ValueError("x0 contains NaN or infinite values; expected finite numbers only.")

    momentum = (math.sqrt(L) - math.sqrt(mu)) / (math.sqrt(L) + math.sqrt(mu))
    gradient = f.gradient
    x = y = 1 * x0
    slope = gradient(y)
    for niter in range(maxiter + 1):
        bound = float(slope.norm()) / mu
        if not math.isfinite(bound):
            raise DivergenceError(
                f"accelerated_gradient diverges: the gradient is not finite at iteration {niter}. "
                f"Pass a lipschitz larger than {L:.6g}, or check f.gradient(x0)."
            )
        if bound <= accuracy:
            return Solution(y, bound, niter, "accuracy")
        if niter == maxiter:
            return Solution(y, bound, niter, "maxiter")
        x_next = y - (1 / L) * slope
        y_next = x_next + momentum * (x_next - x)
        slope_next = gradient(y_next)
        _require_constants(y_next, y_next - y, slope_next - slope, L, mu)
        x, y, slope = x_next, y_next, slope_next
        if callback is not None:
            callback(y)


def _constant(name, given, known):
    if given is None:
        if not math.isfinite(known) or known <= 0:
            raise ValueError(
                f"{name} of the functional is {known}, expected a known positive number; pass "
                f"{name}=... (a bound that holds), or add xi / 2 |x|^2 for strong convexity."
            )
        return float(known)
    require_positive(name, given)
    return float(given)


# In a precision eps, gradients carry errors of about eps L |y|. Pairs further apart than 1e-4 |y|
# have differences that are right to 1e-3 in single precision, and the margins are twice that.
def _require_constants(y, step, change, L, mu):
    distance = float(step.norm())
    if distance <= 1e-4 * float(y.norm()):
        return
    rate = float(change.norm()) / distance
    if rate > L * (1 + 2e-3):
        raise DivergenceError(
            f"accelerated_gradient may diverge: lipschitz is {L:.6g}, but gradients changed by "
            f"{rate:.6g} times the distance of their points. Pass a larger lipschitz."
        )
    if rate + 2e-3 * L < mu:
        raise DivergenceError(
            f"accelerated_gradient has no certificate: strong_convexity is {mu:.6g}, but gradients "
            f"changed by only {rate:.6g} times the distance of their points. Pass a smaller one."
        )
