"""Checks of ODL operators, linear and nonlinear.

What an operator does not bring, such as an adjoint or a derivative, is not checked. ``like`` is an
object with the same domain that says which of its points are admissible, such as the functional of
a gradient.
"""


import numpy as np
import odl

from odl_learned.conformance.failure import require, require_small
from odl_learned.conformance.norms import check_norm, check_own_lipschitz, check_own_norm
from odl_learned.conformance.sampling import (
    available,
    dense_matrix,
    dense_weights,
    draw,
    flat,
    inner,
    is_real_linear,
    norm,
    positive,
    precision,
    sample,
)
from odl_learned.conformance.tensors import require_same


def check_linear(op, rng):
    """``A(2 x - z / 2) = 2 A x - A z / 2``; the factors do not add up to one, as in affine maps."""
    x, z = sample(op, rng), sample(op, rng)
    images = op(x), op(z)
    difference = op(2 * x - 0.5 * z) - 2 * images[0] + 0.5 * images[1]
    require_small(norm(difference) / positive(norm(images[0]) + norm(images[1])),
                  10 * precision(op), "A(2 x - z / 2) = 2 A x - A z / 2",
                  "An affine map such as A x + b is not linear: declare linear=False.")


def check_adjoint(op, rng):
    """``<A x, y>_Y = <x, A* y>_X``, relative to ``|A x| |y|``: 1e-6 in single, 1e-12 in double.

    The real parts alone where ``A`` is linear over the real numbers only.
    """
    if not available(lambda: op.adjoint):
        return
    adjoint = op.adjoint
    require(isinstance(adjoint, odl.Operator), f"A.adjoint is {adjoint!r}, expected an operator")
    require(adjoint.domain == op.range, f"A* has domain {adjoint.domain}, expected {op.range}")
    require(adjoint.range == op.domain, f"A* has range {adjoint.range}, expected {op.domain}")
    require(adjoint.is_linear, "A* is not linear; declare linear=True")
    x, y = sample(op, rng), sample(adjoint, rng)
    image = op(x)
    left, right = inner(image, y), inner(x, adjoint(y))
    if is_real_linear(op):
        left, right = left.real, right.real
    require_small(abs(left - right) / positive(norm(image) * norm(y)), precision(op),
                  "<A x, y> = <x, A* y>",
                  f"The left side is {left:.6g}, the right one {right:.6g}. With the weights W of "
                  "the inner products and the matrix M of A, A* is W_X^-1 M^H W_Y.")


def check_adjoint_of_adjoint(op, rng):
    """``A** = A``."""
    if not available(lambda: op.adjoint):
        return
    require(available(lambda: op.adjoint.adjoint),
            "A* has no adjoint, expected A; define the property adjoint of A.adjoint")
    x = sample(op, rng)
    twice, image = op.adjoint.adjoint, op(x)
    require(isinstance(twice, odl.Operator), f"A.adjoint.adjoint is {twice!r}, expected A")
    require_small(norm(twice(x) - image) / positive(norm(image)), precision(op), "A** = A",
                  "Let the adjoint of A.adjoint be A itself.")


def check_input_kept(op, rng, like=None):
    """``A(x)`` leaves ``x`` as it is."""
    x = sample(like or op, rng)
    before = copied(x)
    op(x)
    require(same(x, before), "A(x) changed x; compute on a copy, x.copy()")


def check_repeatable(op, rng, like=None):
    """``A(x)`` is the same again, whatever was evaluated, or done to a result, in between."""
    x, z = sample(like or op, rng), sample(like or op, rng)
    first = op(copied(x))
    before = copied(first)
    op(z)
    require(same(first, before),
            "A(z) changed the result of A(x), computed before; return an element of its own")
    if hasattr(first, "assign"):
        first.assign(draw(op.range, rng))
    require_same(flat(op(x)), flat(before), op, "A(x) = A(x), evaluated twice",
                 "Keep nothing from one call to the next, take randomness as an argument, and "
                 "return no element that the operator goes on using.")


def check_in_place(op, rng, like=None):
    """``A(x, out=y)`` writes what ``A(x)`` returns whatever ``y`` held, and leaves ``x`` alone."""
    if isinstance(op.range, odl.core.set.Field):
        return
    x = sample(like or op, rng)
    before, image = copied(x), op(x)
    for _ in range(2):
        out = draw(op.range, rng)
        require(op(x, out=out) is out, "A(x, out=y) returns something else than y")
        require_same(flat(out), flat(image), op, "A(x, out=y) = A(x)",
                     "Overwrite all of y, whatever it held.")
    require(same(x, before), "A(x, out=y) changed x; compute on a copy, x.copy()")


def check_dense_twin(op, rng):
    """The matrix of ``A*`` is ``W_X^-1 M^H W_Y``, ``M`` that of ``A`` (small sizes only)."""
    if not available(lambda: op.adjoint):
        return
    real = is_real_linear(op)
    matrix = dense_matrix(op, real)
    if matrix is None:
        return
    weights_x, weights_y = dense_weights(op.domain, real), dense_weights(op.range, real)
    expected = matrix.conj().T * weights_y[None, :] / weights_x[:, None]
    errors = np.abs(dense_matrix(op.adjoint, real) - expected)
    row, column = np.unravel_index(errors.argmax(), errors.shape)
    require_small(errors.max() / positive(np.abs(expected).max()), 10 * precision(op),
                  "matrix of A* = W_X^-1 M^H W_Y",
                  f"They differ most in row {row}, column {column}.")


def check_derivative(op, rng, like=None, draws=3):
    """``F'(x) h = (F(x + t h) - F(x - t h)) / (2 t) + O(t^2)``.

    Where a draw is near a kink of ``F`` the difference is large without a mistake; then another one
    decides.
    """
    if not available(lambda: op.derivative(sample(like or op, rng))):
        return
    step = 1e-4 if precision(op) < 1e-9 else 1e-3
    for _ in range(draws):
        x, h = sample(like or op, rng), draw(op.domain, rng)
        slope, forward, backward = op.derivative(x)(h), op(x + step * h), op(x - step * h)
        quotient = (1 / (2 * step)) * (forward - backward)
        scale = positive(norm(slope) + norm(quotient))
        # Rounding of the values, over the step; precision() has room for a thousand of them.
        rounding = precision(op) * (norm(forward) + norm(backward)) / step / scale
        tolerance = max(100 * precision(op) ** (2 / 3), min(rounding, 0.5))
        error = norm(slope - quotient) / scale
        if error <= tolerance:
            return
    require_small(error, tolerance, "F'(x) h = lim (F(x + t h) - F(x - t h)) / (2 t)",
                  f"|F'(x) h| is {norm(slope):.6g}, that of the quotient {norm(quotient):.6g}.")


def check_derivative_linear(op, rng, like=None):
    """``F'(x)`` is a linear operator between the spaces of ``F``."""
    x = sample(like or op, rng)
    if not available(lambda: op.derivative(x)):
        return
    derivative = op.derivative(x)
    require(isinstance(derivative, odl.Operator) and derivative.is_linear,
            f"F.derivative(x) is {derivative!r}, expected a linear operator")
    for end in ("domain", "range"):
        got, expected = getattr(derivative, end), getattr(op, end)
        require(got == expected, f"F.derivative(x) has {end} {got}, expected {expected}")
    check_linear(derivative, rng)


def check_derivative_adjoint(op, rng, like=None):
    """``F'(x)`` passes the adjoint check."""
    x = sample(like or op, rng)
    if available(lambda: op.derivative(x)):
        check_adjoint(op.derivative(x), rng)


def same(x, z):
    """Whether two elements, or numbers, have the same entries."""
    return np.array_equal(flat(x), flat(z), equal_nan=True)


def copied(x):
    """An element of its own; a number is one already."""
    return x.copy() if hasattr(x, "copy") else x


EVERY = (check_input_kept, check_repeatable, check_in_place)
LINEAR = (
    check_linear,
    check_adjoint,
    check_adjoint_of_adjoint,
    *EVERY,
    check_dense_twin,
    check_norm,
    check_own_norm,
    check_derivative,
)
NONLINEAR = (
    *EVERY,
    check_own_lipschitz,
    check_derivative,
    check_derivative_linear,
    check_derivative_adjoint,
)
