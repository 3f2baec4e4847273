"""The bridge between ODL and torch: the only room where a tensor meets an element."""

from odl_learned.bridge import (  # noqa: F401  (importing registers the native rules)
    blocks,
    differences,
    expressions,
    fourier,
    functionals,
    odl_fourier,
    pointwise,
    ray,
)
from odl_learned.bridge.lowering import OperatorModule, as_module, lower
from odl_learned.bridge.to_odl import as_functional, as_operator

__all__ = ["OperatorModule", "as_functional", "as_module", "as_operator", "lower"]
