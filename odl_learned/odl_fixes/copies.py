"""Repairs of pickling, without which operators do not reach other processes.

ODL makes the classes of some adjoints, inverses, derivatives and gradients inside functions, where
pickle does not find them. Such an object is determined by what it was taken from, which the
functions of its class hold in their closures; so it is stored as a path, "the adjoint of A", and
taken from the copy of A again.
"""

import functools

import numpy as np
from odl.applications.tomo import RayTransform
from odl.applications.tomo.geometry import ConeBeamGeometry, FanBeamGeometry
from odl.core.array_API_support.utils import ArrayBackend, lookup_array_backend
from odl.core.operator import ComplexModulusSquared, Operator
from odl.core.operator.tensor_ops import MatrixOperator, WeightedSumSamplingOperator
from odl.core.sparse.sparse_template import SparseMatrixFormat, _registered_sparse_formats
from odl.functionals.functional import FunctionalComp
from odl.trafos.wavelet.wavelet import WaveletTransformBase

from odl_learned.odl_fixes.adjoints import WeightedAdjoint
from odl_learned.odl_fixes.registry import cures

INSIDE = ".<locals>."
#: Owners that the functions do not hold, from what they hold.
OWNERS = {
    "FunctionalComp": lambda held: FunctionalComp(held["func"], held["op"]),
    "ComplexModulusSquared": lambda held: ComplexModulusSquared(held["x"].space),
}


@cures("Objects whose classes ODL makes inside functions, such as back projections, don't pickle.")
def pickled_classes():
    yield Operator, "__reduce_ex__", _reduced


def _reduced(self, protocol):
    cls = type(self)
    if cls.__module__.split(".")[0] == "odl" and INSIDE in cls.__qualname__:
        path = _path(cls)
        if path is not None and type(_follow(*path)).__qualname__ == cls.__qualname__:
            return _follow, path
    return object.__reduce_ex__(self, protocol)


def _path(cls):
    """``(A, steps)``, what an object of a class inside functions is taken from, and how."""
    *functions, _ = cls.__qualname__.split(INSIDE)
    held = _held(cls)
    owner_name, _, _ = functions[0].rpartition(".")
    owners = [value for value in held.values() if any(
        base.__qualname__ == owner_name and base.__module__.split(".")[0] == "odl"
        for base in type(value).__mro__)]
    if not owners:
        try:
            owners = [OWNERS[owner_name](held)]
        except KeyError:
            return None
    names = [function.rpartition(".")[2] for function in functions]
    return owners[0], [(name, held.get("x")) if name == "derivative" else (name,)
                       for name in names]


def _held(cls):
    """The variables that the functions of a class found outside, by name."""
    functions = [getattr(value, "fget", value) for value in vars(cls).values()]
    held = {}
    for function in functions:
        if getattr(function, "__closure__", None):
            for name, cell in zip(function.__code__.co_freevars, function.__closure__, strict=True):
                held.setdefault(name, cell.cell_contents)
    return held


def _follow(owner, steps):
    """Take the attributes one after the other, and the derivative at its point."""
    for name, *point in steps:
        owner = getattr(owner, name)
        owner = owner(*point) if point else owner
        if isinstance(owner, WeightedAdjoint):  # what it is a repair of
            owner = owner.multiple
    return owner


@cures("Matrices, and products with vectors, don't pickle: their spaces' backends are modules.")
def pickled_backends():
    yield ArrayBackend, "__reduce__", lambda self: (lookup_array_backend, (self.impl,))
    yield SparseMatrixFormat, "__reduce__", lambda self: (
        sparse_format, (self.impl, self.sparse_format))
    for cls, name in ((MatrixOperator, "_MatrixOperator__arr_ns"),
                      (WeightedSumSamplingOperator, "namespace")):
        yield cls, "__getstate__", functools.partialmethod(_without_namespace, name)
        yield cls, "__setstate__", functools.partialmethod(_with_namespace, name)


def _without_namespace(self, name):
    return {key: value for key, value in vars(self).items() if key != name}


def _with_namespace(self, name, state):
    vars(self).update(state)
    setattr(self, name, self.range.array_backend.array_namespace)


def sparse_format(impl, name):
    """The format of sparse matrices of this name."""
    from odl.core.sparse import sparse_matrix

    sparse_matrix._initialize_if_needed()
    return _registered_sparse_formats[impl][name]


@cures("Ray transforms with fan or cone beams don't pickle; others take handles of ASTRA along.")
def pickled_rays():
    # The default of ODL for shifts of source and detector is a lambda inside of __init__.
    for cls, ndim in ((FanBeamGeometry, 2), (ConeBeamGeometry, 3)):
        yield cls, "__getstate__", functools.partialmethod(_state_of_geometry, ndim)
    yield RayTransform, "__getstate__", lambda self: {
        **vars(self), "_adjoint": None, "_RayTransform__cached_impl": None}


def _state_of_geometry(self, ndim):
    unshifted = functools.partial(no_shift, ndim)
    state = {name: unshifted if _is_default(value) else value for name, value in vars(self).items()}
    return {**state, "_Geometry__implementation_cache": {}}


def _is_default(value):
    return getattr(value, "__qualname__", "").endswith("BeamGeometry.__init__.<locals>.<lambda>")


def no_shift(ndim, angle):
    """The shift of a source or detector that stays on its circle."""
    return np.zeros((1, ndim))


@cures("Copies of wavelet transforms have no adjoint: those of PyWavelets' wavelets forget flags.")
def copied_wavelets():
    yield WaveletTransformBase, "__getstate__", _with_flags
    yield WaveletTransformBase, "__setstate__", _set_flags


def _with_flags(self):
    wavelet = self.pywt_wavelet
    return {**vars(self), "pywt_wavelet": (wavelet, wavelet.orthogonal, wavelet.biorthogonal)}


def _set_flags(self, state):
    wavelet, orthogonal, biorthogonal = state["pywt_wavelet"]
    wavelet.orthogonal, wavelet.biorthogonal = orthogonal, biorthogonal
    vars(self).update({**state, "pywt_wavelet": wavelet})
