"""Native rules for the ray transform and its back projection.

ASTRA's projector ``M`` is linear in the pixels, ``vec(A x) = M vec(x)``, and ODL's adjoint is
``A* = (w_Y / w_X) M^T``. Four ways to compute the pair ``M, M^T`` are tried in turn:

=============================  ====================================  =====================
ray transform                  pair                                  precision, device
=============================  ====================================  =====================
``astra_cpu``, parallel, fan   ``sparse.SparsePair``: matrices       single, double; any
the same, over SPARSE_LIMIT    ``linked.LinkedPair``: ASTRA          single; CPU
parallel beams in 3D           ``stacked.StackedPair`` of these      as these
``astra_cuda``, also in 3D     ``linked.LinkedVolumePair``: ASTRA    single; CUDA, CPU
``JosephImpl``, cone           ``cone.ConePair``: compiled loops     single, double; CPU
=============================  ====================================  =====================

A symmetrized ray transform has the mean of the matrices over quarter turns, and where there is no
matrix that of the values. Complex images are projected part by part. Any other ray transform is
looped through ODL.
"""

import torch
from odl.applications.tomo import Parallel2dGeometry, RayTransform
from odl.applications.tomo.backends.astra_cuda import (
    astra_cuda_bp_scaling_factor,
    astra_cuda_fp_scaling_factor,
)
from torch import nn

from odl_learned.bridge.graphs import outside_graphs
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.loops.generic import GenericLinear, LinearMap
from odl_learned.bridge.lowering import local_rules, lower
from odl_learned.bridge.ray.cone import ConePair
from odl_learned.bridge.ray.linked import LinkedPair, LinkedVolumePair
from odl_learned.bridge.ray.pair import Pair
from odl_learned.bridge.ray.sparse import sparse_pair
from odl_learned.bridge.ray.stacked import StackedPair
from odl_learned.bridge.ray.symmetrized import TurnedPair, ViewTurn
from odl_learned.bridge.rules.expressions import Composition, Scale
from odl_learned.operators import (
    SinogramTurn,
    SymmetrizedRayTransform,
    SymmetrizedRayTransformAdjoint,
)
from odl_learned.operators.tomography.cone.implementation import JosephImpl
from odl_learned.operators.tomography.projectors.geometry import ray_geometry
from odl_learned.operators.tomography.projectors.implementation import runs_on_cpu
from odl_learned.operators.tomography.projectors.matrices import cache_folder, fits_in_memory
from odl_learned.operators.tomography.projectors.stacked import is_stacked, plane_of
from odl_learned.operators.tomography.projectors.turned import SymmetrizedGeometry
from odl_learned.weights import weighting_constant

__all__ = ["RayBackprojector", "RayProjector", "cache_folder"]


class RayProjector(nn.Module):
    """``x -> M x`` on images ``(*batch, *source)``, the transpose as its backward.

    The pair follows the module to another device or precision, or says that it cannot. Copies of
    the module share it; see ``ray_sparse.SparsePair`` on pickles.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import bridge, operators
    >>> from odl_learned.bridge import ray
    >>> X = odl.uniform_discr([-1, -1], [1, 1], (8, 8), dtype="float32")
    >>> A = operators.parallel_ray_transform(X, num_angles=4)
    >>> with ray.cache_folder("matrices"):  # matrices of rays are kept there
    ...     module = bridge.as_module(A)
    ...
    >>> any(isinstance(part, ray.RayProjector) for part in module.modules())
    True
    >>> back = bridge.as_module(A.adjoint)
    >>> any(isinstance(part, ray.RayBackprojector) for part in back.modules())
    True
    """

    def __init__(self, pair: Pair, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("_probe", torch.empty(0, dtype=dtype), persistent=False)
        self.pair = _following(pair, self._probe)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return outside_graphs(LinearMap.apply, x, self.pair.project, self.pair.backproject)

    def extra_repr(self) -> str:
        return f"{type(self.pair).__name__}, {self.pair.geometry.matrix_shape}"

    def _apply(self, fn, recurse=True):
        pair = _following(self.pair, fn(self._probe))
        super()._apply(fn, recurse)
        self.pair = pair
        return self

    def __setstate__(self, state):
        super().__setstate__(state)
        self.pair = _following(self.pair, self._probe)


class RayBackprojector(RayProjector):
    """``y -> M^T y`` on data ``(*batch, *target)``."""

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return outside_graphs(LinearMap.apply, y, self.pair.backproject, self.pair.project)


@lower.register
def _(op: RayTransform):
    pair = _pair(op)
    return GenericLinear(op) if pair is None else RayProjector(pair, layout_of(op.domain).dtype)


def back_projection(op):
    """Lower ODL's back projection, a class local to its ray transform."""
    pair = _pair(op.adjoint)
    if pair is None:
        return GenericLinear(op)
    weight = _constants_ratio(op.domain, op.range)
    return Composition(Scale(weight), RayBackprojector(pair, layout_of(op.domain).dtype))


local_rules["RayBackProjection"] = back_projection


def _pair(op):
    """The pair that computes a ray transform, or None where ODL has to."""
    if is_stacked(op):
        return StackedPair(_pair(plane_of(op)), op.domain.shape[2])
    if runs_on_cpu(op):
        geometry = ray_geometry(op, "cpu")
        return sparse_pair(geometry) if fits_in_memory(geometry) else LinkedPair(geometry)
    if op.impl == JosephImpl.__name__:
        return ConePair(op.get_impl().geometry)
    if op.impl in ("astra_cuda", "AstraCudaImpl") and op.range.ndim == op.domain.ndim:
        back = astra_cuda_bp_scaling_factor(op.range, op.domain, op.geometry)
        weight = _constants_ratio(op.domain, op.range)
        return LinkedVolumePair(ray_geometry(op, "cuda"),
                                float(astra_cuda_fp_scaling_factor(op.geometry)),
                                weight * float(back))
    return None


@lower.register
def _(op: SymmetrizedRayTransform):
    pair = _symmetrized_pair(op)
    return GenericLinear(op) if pair is None else RayProjector(pair, layout_of(op.domain).dtype)


@lower.register
def _(op: SymmetrizedRayTransformAdjoint):
    pair = _symmetrized_pair(op.adjoint)
    if pair is None:
        return GenericLinear(op)
    weight = _constants_ratio(op.domain, op.range)
    return Composition(Scale(weight), RayBackprojector(pair, layout_of(op.domain).dtype))


def _symmetrized_pair(op):
    """The mean of the matrices where there is one, else of the values of the pair."""
    plane = plane_of(op.forward_op)
    pair = _symmetrized_plane(plane, isinstance(plane.geometry, Parallel2dGeometry))
    return StackedPair(pair, op.domain.shape[2]) if is_stacked(op.forward_op) else pair


def _symmetrized_plane(forward_op, flips):
    if runs_on_cpu(forward_op):
        geometry = ray_geometry(forward_op, "cpu")
        if fits_in_memory(geometry):
            return sparse_pair(SymmetrizedGeometry(geometry, flips))
        return TurnedPair(LinkedPair(geometry), flips)
    pair = _pair(forward_op)
    return pair if pair is None else TurnedPair(pair, flips)


@lower.register
def _(op: SinogramTurn):
    return ViewTurn(op.k, op.flips, op.domain.ndim)


def _constants_ratio(over, under):
    """The ratio by which ODL scales; `odl_fixes.adjoints` brings in the weights that it forgets."""
    return weighting_constant(over) / weighting_constant(under)


def _following(pair, probe):
    """The pair on the device and in the precision of a tensor."""
    return pair.to(probe.device, probe.real.dtype)
