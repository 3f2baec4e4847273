"""Repairs of spaces, of operators in general, and of two operators of ODL."""

import numpy as np
from odl.core.array_API_support.utils import _registered_array_backends, get_array_and_backend
from odl.core.discr.diff_ops import Divergence
from odl.core.operator import ComplexEmbedding, ImagPart, Operator, RealPart, ZeroOperator
from odl.core.set.space import LinearSpace, LinearSpaceElement, LinearSpaceTypeError
from odl.core.space import ProductSpace
from odl.core.space.base_tensors import TensorSpace

from odl_learned.odl_fixes.registry import cures, everywhere


@cures("np.float64(2) * x raises; so do FISTA, and PDHG with its own step sizes.")
def numpy_scalars():
    yield LinearSpaceElement, "__array_ufunc__", None
    for space_type in (TensorSpace, ProductSpace):
        yield space_type, "_elementwise_num_operation", _with_python_scalars(space_type)


def _with_python_scalars(space_type):
    original = space_type._elementwise_num_operation

    def _elementwise_num_operation(self, operation, x1, x2=None, *args, **kwargs):
        x1 = x1.item() if isinstance(x1, np.generic) else x1
        x2 = x2.item() if isinstance(x2, np.generic) else x2
        return original(self, operation, x1, x2, *args, **kwargs)

    return _elementwise_num_operation


@cures("Every inner product is computed twice.")
def inner_once():
    def inner(self, x1, x2):
        for name, x in (("x1", x1), ("x2", x2)):
            if x not in self:
                raise LinearSpaceTypeError(f"`{name}` {x} is not an element of {self}")
        value = self._inner(x1, x2)
        return value if self.field is None else self.field.element(value)

    yield LinearSpace, "inner", inner


@cures("lincomb(a, x) computes a x + 0 x: NaN where x is infinite, at twice the cost.")
def lincomb_one_term():
    original = LinearSpace.lincomb

    def lincomb(self, a, x1, b=None, x2=None, out=None):
        valid = x1 in self and (self.field is None or a in self.field)
        if b is not None or x2 is not None or not valid or (out is not None and out not in self):
            return original(self, a, x1, b, x2, out)
        if out is None:
            return a * x1
        out.assign(a * x1)
        return out

    yield LinearSpace, "lincomb", lincomb


@cures("Every look-up of a torch tensor's backend prints the tensor many times.")
def array_lookup():
    def lookup(x, must_be_contiguous=False):
        for backend in _registered_array_backends.values():
            if isinstance(x, backend.array_type):
                return (backend.make_contiguous(x) if must_be_contiguous else x), backend
        return get_array_and_backend(x, must_be_contiguous)

    yield from everywhere(get_array_and_backend, lookup)


@cures("prox(x, out=x) of the L1 and group L1 norms returns zero; ADMM and DCA rely on it.")
def aliasing():
    original = Operator.__call__

    def __call__(self, x, out=None, **kwargs):
        if out is not None and out is x:
            x = x.copy()
        return original(self, x, out, **kwargs)

    yield Operator, "__call__", __call__


@cures("norm(estimate=True) forgets its result, runs again and gives another random estimate.")
def norm_cache():
    original = Operator.norm

    def norm(self, estimate=False, **kwargs):
        if not estimate or kwargs:
            return original(self, estimate, **kwargs)
        if "_estimated_norm" not in vars(self):
            self._estimated_norm = float(original(self, True))
        return self._estimated_norm

    yield Operator, "norm", norm


@cures("Divergence and Gradient.adjoint raise a bare AssertionError with out= on pytorch.")
def divergence_out():
    original = Divergence._call

    def _call(self, x, out=None):
        if out is None or self.range.impl == "numpy":
            return original(self, x, out)
        out.assign(original(self, x))
        return out

    yield Divergence, "_call", _call


@cures("The adjoints of RealPart and ImagPart start from the complex space instead of the real.")
def real_part_adjoint():
    def adjoint(scalar, of_real):
        def embedding(self):
            return of_real(self) if self.space_is_real else ComplexEmbedding(self.range, scalar)

        return property(embedding)

    yield RealPart, "adjoint", adjoint(1, lambda op: op)
    yield ImagPart, "adjoint", adjoint(1j, lambda op: ZeroOperator(op.domain))
