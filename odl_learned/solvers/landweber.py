"""Landweber iteration with the discrepancy principle."""

import math

from odl_learned.solvers.solution import DivergenceError, Solution
from odl_learned.validation import is_finite_number, require_count, require_positive

# For r_k = y - A x_k one step gives r_(k+1) = (I - omega A A*) r_k, and |I - omega A A*| <= 1 for
# 0 < omega <= 2 / |A|^2. So residuals never grow unless omega is too large or the adjoint wrong;
# the margin is for rounding errors.
GROWTH = 1.01


def landweber(forward_op, data, x0, noise_norm, tau=1.1, omega=None, maxiter=1000, callback=None):
    r"""Solve ``A x = y`` by Landweber iteration, stopped by Morozov's discrepancy principle.

    .. math:: x_{k+1} = x_k + \omega A^* (y - A x_k)
              \quad \text{until} \quad |A x_k - y| \le \tau \, |\text{noise}| .

    Only needs ``forward_op(x)``, ``forward_op.adjoint(y)``, and elements that know ``+``, ``-``,
    multiplication by a number and ``norm()``; ODL elements do.

    Parameters
    ----------
    forward_op : linear operator
    data : element of the range
        Measurement ``y``.
    x0 : element of the domain
        Starting point, not changed.
    noise_norm : float
        Norm of the noise in the norm of the range (or a bound of it), positive.
    tau : float, optional
        Safety factor, at least one.
    omega : float, optional
        Step size, between 0 and ``2 / |A|^2``. Default: ``1 / |A|^2``, by power iteration.
    maxiter : int, optional
        Largest number of iterations.
    callback : callable, optional
        Called with the iterate after each iteration.

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
    if not getattr(forward_op, "is_linear", True):
        raise TypeError(
            f"forward_op is {forward_op!r}; expected a linear operator. Linearize it with "
            "forward_op.derivative(x)."
        )
    for name, element, side in (("data", data, "range"), ("x0", x0, "domain")):
        if hasattr(forward_op, side) and element not in getattr(forward_op, side):
            raise TypeError(
                f"{name} is not an element of the {side} of forward_op, "
                f"{getattr(forward_op, side)!r}; pass forward_op.{side}.element(array)."
            )
        if not math.isfinite(element.norm()):
            raise ValueError(
                f"{name} contains NaN or infinite values; expected finite numbers only. Find them "
                "with numpy.isfinite and mask or replace them first."
            )
    if not (is_finite_number(noise_norm) and noise_norm > 0):
        raise ValueError(
            f"noise_norm is {noise_norm!r}; expected a finite number greater than zero: the "
            "discrepancy principle never stops without noise. For exact data choose a small "
            "fraction of data.norm()."
        )
    if not (is_finite_number(tau) and tau >= 1):
        raise ValueError(f"tau is {tau!r}; expected a finite number of at least 1, such as 1.1.")
    if omega is not None:
        require_positive("omega", omega)
    require_count("maxiter", maxiter, 0)

    x = 1 * x0
    residual = data - forward_op(x)
    if omega is None:
        omega = 1 / _squared_norm(forward_op, forward_op.adjoint(residual))
    smallest = math.inf
    for niter in range(maxiter + 1):
        size = float(residual.norm())
        if not size <= GROWTH * smallest:
            raise DivergenceError(
                f"landweber diverges: the residual grew from {smallest:.3g} to {size:.3g} at "
                f"iteration {niter}. The step omega = {omega:.3g} must be less than 2 / |A|^2; "
                "leave it out to get 1 / |A|^2, and check that forward_op.adjoint is the adjoint."
            )
        if size <= tau * noise_norm:
            return Solution(x, None, niter, "discrepancy")
        if niter == maxiter:
            return Solution(x, None, niter, "maxiter")
        smallest = min(smallest, size)
        x = x + omega * forward_op.adjoint(residual)
        residual = data - forward_op(x)
        if callback is not None:
            callback(x)


def _squared_norm(forward_op, start, niter=50):
    """Return ``|A|^2`` from below, by power iteration on ``A* A`` from the first direction.

    All steps of Landweber lie in the span of ``(A* A)^k start``, so that the norm on it matters.
    """
    size = float(start.norm())
    if size == 0:
        return 1.0
    x = (1 / size) * start
    for _ in range(niter):
        x = forward_op.adjoint(forward_op(x))
        previous, size = size, float(x.norm())
        if size == 0 or not math.isfinite(size):
            raise ValueError(
                f"forward_op.adjoint(forward_op(x)) has norm {size} for x of norm one; expected a "
                "positive number. Check the operator, or pass omega."
            )
        if abs(size - previous) <= 1e-3 * size:
            break
        x = (1 / size) * x
    return size
