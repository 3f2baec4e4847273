"""Checks of ODL operators, linear and nonlinear."""

import numpy as np

from odl_learned.conformance.failure import require, require_small
from odl_learned.conformance.sampling import (
    dense_matrix,
    dense_weights,
    is_real_linear,
    positive,
    precision,
    sample,
)
from odl_learned.operators import exact_norm, operator_norm


def check_linear(op, rng):
    """``A(2x - z) = 2 A x - A z``."""
    x, z = sample(op, rng), sample(op, rng)
    difference = op(2 * x - z) - 2 * op(x) + op(z)
    require_small(difference.norm() / positive(op(x).norm()), 10 * precision(op), "linearity")


def check_adjoint(op, rng):
    """``<A x, y>_Y = <x, A* y>_X``, relative to ``|A x| |y|``: 1e-6 in single, 1e-12 in double.

    The real parts alone where ``A`` is linear over the real numbers only.
    """
    adjoint = op.adjoint
    require(adjoint.domain == op.range, f"A* has domain {adjoint.domain}, expected {op.range}")
    require(adjoint.range == op.domain, f"A* has range {adjoint.range}, expected {op.domain}")
    x, y = sample(op, rng), sample(adjoint, rng)
    image = op(x)
    difference = image.inner(y) - x.inner(adjoint(y))
    difference = difference.real if is_real_linear(op) else difference
    error = abs(difference) / positive(image.norm() * y.norm())
    require_small(error, precision(op), "<A x, y> = <x, A* y>")


def check_adjoint_of_adjoint(op, rng):
    """``A** = A``."""
    x = sample(op, rng)
    difference = (op.adjoint.adjoint(x) - op(x)).norm()
    require_small(difference / positive(op(x).norm()), precision(op), "A** = A")


def check_in_place(op, rng):
    """``A(x, out=y)`` writes what ``A(x)`` returns, and leaves ``x`` alone."""
    x = sample(op, rng)
    before, out = x.copy(), op.range.element()
    op(x, out=out)
    require_small((out - op(x)).norm() / positive(out.norm()), precision(op), "A(x, out=y) = A(x)")
    require((x - before).norm() == 0, "A(x, out=y) changed x")


def check_dense_twin(op, rng):
    """The matrix of ``A*`` is ``W_X^-1 M^H W_Y``, ``M`` that of ``A`` (small sizes only)."""
    real = is_real_linear(op)
    matrix = dense_matrix(op, real)
    if matrix is None:
        return
    weights_x, weights_y = dense_weights(op.domain, real), dense_weights(op.range, real)
    expected = matrix.conj().T * weights_y[None, :] / weights_x[:, None]
    error = np.abs(dense_matrix(op.adjoint, real) - expected).max()
    require_small(error / positive(np.abs(expected).max()), 10 * precision(op), "dense twin of A*")


def check_norm(op, rng):
    """``operator_norm(A)`` bounds the largest singular value, and is within 1 % of it.

    It agrees up to rounding where `operators.exact_norm` knows it in closed form.
    """
    real = is_real_linear(op)
    matrix = dense_matrix(op, real)
    if matrix is None:
        return
    scaled = matrix * np.sqrt(dense_weights(op.range, real))[:, None]
    scaled = scaled / np.sqrt(dense_weights(op.domain, real))[None, :]
    exact, declared = np.linalg.norm(scaled, 2), operator_norm(op)
    require(isinstance(declared, float), f"norm {declared!r} is not a Python float")
    rounding = 10 * precision(op)
    room = rounding if exact_norm(op) is not None else 0.01
    require(declared >= (1 - rounding) * exact, f"declared norm {declared} < largest {exact}")
    require(declared <= (1 + room) * exact + 1e-12, f"declared norm {declared} > largest {exact}")


def check_derivative(op, rng):
    """``|F(x + t h) - F(x) - t F'(x) h| = O(t^2)``: halving ``t`` divides it by four."""
    x, h = sample(op, rng), sample(op, rng)
    value, slope = op(x), op.derivative(x)(h)
    scale = positive(value.norm() + slope.norm())
    step = precision(op) ** 0.25
    errors = [(op(x + t * h) - value - t * slope).norm() / scale for t in (step, step / 2)]
    require(errors[1] <= 0.35 * errors[0] + 100 * precision(op),
            f"Taylor remainder {errors[0]:.1e} at t = {step:.1e} only falls to {errors[1]:.1e} at "
            "half of it; a remainder of second order falls to a quarter")


def check_derivative_adjoint(op, rng):
    """``F'(x)`` passes the adjoint check."""
    check_adjoint(op.derivative(sample(op, rng)), rng)


LINEAR = (
    check_linear,
    check_adjoint,
    check_adjoint_of_adjoint,
    check_in_place,
    check_dense_twin,
    check_norm,
)
NONLINEAR = (check_in_place, check_derivative, check_derivative_adjoint)
