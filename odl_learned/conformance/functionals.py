"""Checks of ODL functionals: values, gradients, constants, proximals, conjugates.

What a functional does not bring is not checked.
"""

import numpy as np
import odl

from odl_learned.conformance import operators
from odl_learned.conformance.accuracy import gradient_gap
from odl_learned.conformance.failure import require, require_small
from odl_learned.conformance.proximals import (
    check_fenchel_young,
    check_firmly_nonexpansive,
    check_moreau,
    check_proximal,
    check_proximal_aliasing,
)
from odl_learned.conformance.sampling import (
    available,
    draw,
    has_gradient,
    has_proximal,
    has_value,
    inner,
    norm,
    positive,
    precision,
    sample,
)
from odl_learned.conformance.spectra import curved_pairs


def check_real_valued(f, rng):
    """Values are Python floats, also on complex spaces.

    Behind a nonlinear functional ODL's complex values are cut to their real parts, as is right for
    ``f + <u, .>``; a functional of one's own has no imaginary part to be cut.
    """
    if not has_value(f):
        return
    x = sample(f, rng)
    value = f(x)
    require(isinstance(value, float), f"value {value!r} is {type(value).__name__}, expected float")
    if not type(f).__module__.startswith("odl."):
        raw = odl.Operator.__call__(f, x)
        require_small(abs(np.imag(raw)) / positive(abs(raw)), precision(f), "Im f(x) = 0",
                      f"_call returns {raw!r}, expected a real number; of an inner product take "
                      ".real.")


def check_linear(f, rng):
    """``f(2 x - z / 2) = 2 f(x) - f(z) / 2`` where the functional claims to be linear."""
    if f.is_linear and has_value(f):
        operators.check_linear(f, rng)


def check_input_kept(f, rng):
    """``f(x)``, ``grad f(x)`` and ``prox(x)`` leave ``x`` as it is."""
    if has_value(f):
        operators.check_input_kept(f, rng)
    for op in parts(f):
        operators.check_input_kept(op, rng, like=f)


def check_repeatable(f, rng):
    """``f(x)``, ``grad f(x)`` and ``prox(x)`` are the same again after another call."""
    if has_value(f):
        operators.check_repeatable(f, rng)
    for op in parts(f):
        operators.check_repeatable(op, rng, like=f)


def check_in_place(f, rng):
    """``grad f(x, out=y)`` and ``prox(x, out=y)`` write what they return, whatever ``y`` held."""
    for op in parts(f):
        operators.check_in_place(op, rng, like=f)


def check_gradient(f, rng, draws=3):
    """``Re <grad f(x), h>`` is the directional derivative, by central differences.

    Where a draw is near a kink, another one decides. A gradient with a ``gap`` is a subgradient up
    to that, also at points on the ray through ``x``, where norms are linear.
    """
    if not has_gradient(f) or not has_value(f):
        return
    x = sample(f, rng)
    gap = gradient_gap(f, x)
    if gap > 0:
        _check_subgradient(f, x, gap, rng)
        return
    step = precision(f) ** (1 / 3)
    for _ in range(draws):
        x, h = sample(f, rng), draw(f.domain, rng)
        quotient = (f(x + step * h) - f(x - step * h)) / (2 * step)
        gradient = f.gradient(x)
        slope = np.real(inner(gradient, h))
        error = abs(quotient - slope) / positive(max(abs(slope), norm(gradient) * norm(h)))
        if error <= 100 * precision(f) ** (2 / 3):
            return
    require_small(error, 100 * precision(f) ** (2 / 3), "Re <grad f(x), h> = f'(x) h",
                  f"The left side is {slope:.6g}, differences give {quotient:.6g}. The gradient is "
                  "the Riesz representative in the weighted inner product: the partial derivatives "
                  "over the weights.")


def _check_subgradient(f, x, gap, rng):
    value, gradient = f(x), f.gradient(x)
    for h in (x, draw(f.domain, rng), draw(f.domain, rng)):
        for step in (-1.0, -0.03, 0.03, 1.0):
            excess = f(x + step * h) - value - step * np.real(inner(gradient, h))
            rounding = 100 * precision(f) * (abs(value) + norm(gradient) * norm(h))
            require(excess >= -gap - rounding,
                    f"f(z) - f(x) - Re <grad f(x), z - x> is {excess:.6g}, expected at least "
                    f"{-gap:.6g}, the gap that the gradient declares")


def check_gradient_derivative(f, rng):
    """The derivative of the gradient, the Hessian, is its derivative, linear and self-adjoint."""
    if not has_gradient(f) or not available(lambda: f.gradient.derivative(sample(f, rng))):
        return
    operators.check_derivative(f.gradient, rng, like=f)
    operators.check_derivative_linear(f.gradient, rng, like=f)
    operators.check_derivative_adjoint(f.gradient, rng, like=f)
    hessian = f.gradient.derivative(sample(f, rng))
    h, k = draw(f.domain, rng), draw(f.domain, rng)
    left, right = np.real(inner(hessian(h), k)), np.real(inner(h, hessian(k)))
    require_small(abs(left - right) / positive(norm(hessian(h)) * norm(k)), 10 * precision(f),
                  "Re <H h, k> = Re <h, H k> for H = grad f'(x)",
                  f"The left side is {left:.6g}, the right one {right:.6g}.")


def check_lipschitz(f, rng):
    """``|grad f(x) - grad f(z)| <= L |x - z|`` where a finite ``grad_lipschitz`` is declared.

    At random pairs, and near random points in directions of the largest curvature. Points outside
    of the domain of the functional, where its value is infinite, do not count.
    """
    if not has_gradient(f) or not np.isfinite(f.grad_lipschitz):
        return
    for x, z in pairs(f, rng):
        change, bound = f.gradient(x) - f.gradient(z), f.grad_lipschitz * norm(x - z)
        require(norm(change) <= bound * (1 + 1e-4) + rounding(f, x, z),
                f"gradient varies by {norm(change) / positive(norm(x - z)):.6g}, more than the "
                f"declared grad_lipschitz {f.grad_lipschitz:.6g}")


def check_strong_convexity(f, rng):
    """``Re <grad f(x) - grad f(z), x - z> >= mu |x - z|^2`` where ``strong_convexity`` is given.

    At the pairs of `check_lipschitz`, and in directions of the least curvature.
    """
    strong_convexity = getattr(f, "strong_convexity", None)
    if strong_convexity is None or not has_gradient(f):
        return
    for x, z in pairs(f, rng):
        product = np.real(inner(f.gradient(x) - f.gradient(z), x - z))
        square = positive(norm(x - z) ** 2)
        slack = 1e-4 * strong_convexity * square + rounding(f, x, z) * norm(x - z)
        require(product >= strong_convexity * square - slack,
                f"gradient is monotone only with {product / square:.6g}, less than the declared "
                f"strong_convexity {strong_convexity:.6g}")


def parts(f, sigma=0.7):
    """The operators that a functional brings: its gradient and its proximal."""
    if has_gradient(f):
        yield f.gradient
    if has_proximal(f):
        yield f.proximal(sigma)


def pairs(f, rng):
    """Pairs of points at which the gradient of a functional varies much or little."""
    x = sample(f, rng)
    found = [(x, x + scale * (sample(f, rng) - x)) for scale in (1e-2, 1.0, 1e2)]
    for point in (x, 1e-2 * x):
        found += curved_pairs(f, point, rng)
    return [(x, z) for x, z in found if not has_value(f) or np.isfinite([f(x), f(z)]).all()]


def rounding(f, x, z):
    """What rounding of gradients may add to their difference."""
    return precision(f) * (norm(f.gradient(x)) + norm(f.gradient(z)))


FUNCTIONAL = (
    check_real_valued,
    check_linear,
    check_input_kept,
    check_repeatable,
    check_in_place,
    check_gradient,
    check_gradient_derivative,
    check_lipschitz,
    check_strong_convexity,
    check_proximal,
    check_proximal_aliasing,
    check_firmly_nonexpansive,
    check_moreau,
    check_fenchel_young,
)
