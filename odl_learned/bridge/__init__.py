"""The bridge between ODL and torch: the only room where a tensor meets an element."""

from odl_learned.bridge import ray, rules  # noqa: F401  (importing registers the native rules)
from odl_learned.bridge.batches.batch_space import BatchSpace
from odl_learned.bridge.batches.batched import as_batch
from odl_learned.bridge.batches.twins import BatchFunctional, BatchOperator
from odl_learned.bridge.gradients import as_gradient_module
from odl_learned.bridge.learned.denoisers import (
    ImplicitRegularizer,
    as_proximal,
    as_stepped_proximal,
)
from odl_learned.bridge.learned.to_odl import as_functional, as_operator
from odl_learned.bridge.lowering import OperatorModule, as_module, lower
from odl_learned.bridge.parametric import EnergyModule, as_energy
from odl_learned.bridge.proximals import ProximalModule, as_proximal_module, lower_proximal
from odl_learned.bridge.ray import interpolated  # noqa: F401  (registers its rules)
from odl_learned.bridge.transposes import as_transpose_module
from odl_learned.functionals import fix_block

__all__ = [
    "BatchFunctional",
    "BatchOperator",
    "BatchSpace",
    "EnergyModule",
    "ImplicitRegularizer",
    "OperatorModule",
    "ProximalModule",
    "as_batch",
    "as_energy",
    "as_functional",
    "as_gradient_module",
    "as_module",
    "as_operator",
    "as_proximal",
    "as_proximal_module",
    "as_stepped_proximal",
    "as_transpose_module",
    "fix_block",
    "lower",
    "lower_proximal",
]
