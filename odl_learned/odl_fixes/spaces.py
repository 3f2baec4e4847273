"""Repairs of spaces, of operators in general, and of three operators of ODL."""

import numpy as np
from odl.applications.tomo import RayTransform
from odl.backends.arrays.npy_tensors import NumpyTensor
from odl.core.array_API_support.utils import _registered_array_backends, get_array_and_backend
from odl.core.discr import DiscretizedSpace
from odl.core.discr.diff_ops import Divergence
from odl.core.operator import ComplexEmbedding, ImagPart, Operator, RealPart, ZeroOperator
from odl.core.set.space import LinearSpace, LinearSpaceElement, LinearSpaceTypeError
from odl.core.space import ProductSpace
from odl.core.space.base_tensors import TensorSpace
from odl.core.space.weightings.weighting import ArrayWeighting, ConstWeighting
from odl.core.util import array_str, is_floating_dtype

from odl_learned.odl_fixes.registry import cures, everywhere
from odl_learned.validation import require_unmasked


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


@cures("x[indices] on a space with an array of weights raises, and so do Huber and group L1.")
def indexed_weights():
    original = NumpyTensor.__getitem__

    def __getitem__(self, indices):
        weighting = self.space.weighting
        if not isinstance(weighting, ArrayWeighting):
            return original(self, indices)
        indices = indices.data if isinstance(indices, NumpyTensor) else indices
        array = self.data[indices]
        if array.ndim == 0:
            return original(self, indices)
        weights = np.broadcast_to(weighting.array, self.shape)[indices]
        space = type(self.space)(
            array.shape, dtype=self.dtype,
            weighting=ArrayWeighting(weights, self.impl, self.device, weighting.exponent))
        return space.element(array, copy=False)

    yield NumpyTensor, "__getitem__", __getitem__


@cures("repr of a uniform_discr with an array of weights raises, and so do its error messages.")
def weights_shown():
    original = DiscretizedSpace.__repr__

    def __repr__(self):
        if isinstance(self.weighting, ConstWeighting):
            return original(self)
        usual = self.ndim > 0 and self.is_uniform and is_floating_dtype(self.dtype)
        twin = type(self.tspace)(self.shape, self.dtype, device=self.device,
                                 weighting=float(self.cell_volume) if usual else 1.0)
        shown = original(DiscretizedSpace(self.partition, twin))
        if not shown.startswith("uniform_discr("):
            return original(self)
        weights = getattr(self.weighting, "array", None)
        weights = repr(self.weighting) if weights is None else array_str(weights, nprint=10)
        return f"{shown.rstrip()[:-1].rstrip()}, weighting={weights})"

    yield DiscretizedSpace, "__repr__", __repr__


@cures("== of two spaces raises where one has a constant and the other one an array of weights.")
def weightings_compared():
    original = ArrayWeighting.__eq__

    def __eq__(self, other):
        return isinstance(other, ArrayWeighting) and original(self, other)

    yield ArrayWeighting, "__eq__", __eq__


@cures("space.element raises for big-endian arrays, float16 and bool, and drops masks.")
def foreign_arrays():
    original = TensorSpace.element
    of_odl = {"e": "float32", "g": "float64", "G": "complex128"}  # half and extended precision

    def element(self, inp=None, copy=None):
        if isinstance(inp, np.ndarray):
            require_unmasked("the array", inp)
            if inp.dtype.kind == "b":
                inp = inp.astype(self.dtype_identifier)
            else:
                native = inp.dtype.newbyteorder("=")
                inp = inp.astype(of_odl.get(inp.dtype.char, native), copy=False)
        return original(self, inp, copy)

    yield TensorSpace, "element", element


@cures("Ray transforms shrink an image with points on the boundary, without a word.")
def ray_pixels():
    original = RayTransform.__init__

    def __init__(self, vol_space, *args, **kwargs):
        partition = getattr(vol_space, "partition", None)
        if partition is not None and not np.allclose(partition.boundary_cell_fractions, 1.0):
            raise NotImplementedError(
                f"the domain {vol_space} has points on its boundary, expected them in the middle "
                "of pixels: the projectors fill the domain with equal pixels, as many as points, "
                "and would project a smaller image. Build it with nodes_on_bdry=False.")
        original(self, vol_space, *args, **kwargs)

    yield RayTransform, "__init__", __init__
