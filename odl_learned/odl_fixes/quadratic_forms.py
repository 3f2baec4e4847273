r"""Repair of the conjugate of a quadratic form.

With ``f(x) = Re <x, A x> + Re <b, x> + c`` and ``S = A + A*``, ``<p, x> - f(x)`` is largest where
``p = S x + b``; inserted, that is

.. math:: f^*(p) = \tfrac12 \text{Re} \langle p - b, S^{-1} (p - b) \rangle - c
          = \tfrac14 \langle p, A^{-1} p \rangle - \tfrac12 \text{Re} \langle A^{-1} b, p \rangle
          + \tfrac14 \langle b, A^{-1} b \rangle - c \qquad (A = A^*).

ODL knows inverses of operators, but none of sums, so that ``A`` has to be self-adjoint.
"""

import numpy as np
from odl.core.operator import OperatorLeftScalarMult
from odl.core.space import ProductSpace
from odl.functionals.default_functionals import QuadraticForm

from odl_learned.odl_fixes.registry import cures


@cures("The conjugate of QuadraticForm is four times too large, and worse where it has a vector.")
def quadratic_conjugate():
    original = QuadraticForm.convex_conj

    def convex_conj(self):
        if self.operator is None:
            return original.fget(self)
        if not _is_self_adjoint(self.operator):
            raise NotImplementedError(
                f"the operator of the quadratic form, {self.operator!r}, is not self-adjoint; "
                "expected one whose inverse is known, for a conjugate. <x, A x> has the same "
                "values with (A + A*) / 2 in place of A: pass that as an operator of your own, "
                "with its inverse."
            )
        inverse, constant, vector = self.operator.inverse, -self.constant, None
        if self.vector is not None:
            image = inverse(self.vector)
            vector = -0.5 * image
            constant = constant + 0.25 * float(np.real(image.inner(self.vector)))
        return QuadraticForm(OperatorLeftScalarMult(inverse, 0.25), vector, constant)

    yield QuadraticForm, "convex_conj", property(convex_conj)


def _is_self_adjoint(op):
    """Whether ``Re <A x, y> = Re <x, A y>`` for two points, up to rounding in single precision."""
    if not op.is_linear or op.domain != op.range:
        return False
    rng = np.random.default_rng(0)
    x, y = _point(op.domain, rng), _point(op.domain, rng)
    image, other = op(x), op(y)
    size = image.norm() * y.norm() + x.norm() * other.norm()
    return abs(np.real(image.inner(y) - x.inner(other))) <= 1e-5 * size


def _point(space, rng):
    if isinstance(space, ProductSpace):
        return space.element([_point(part, rng) for part in space])
    values = rng.standard_normal(space.shape)
    if space.dtype_identifier.startswith("complex"):
        values = values + 1j * rng.standard_normal(space.shape)
    return space.element(values.astype(space.dtype_identifier))
