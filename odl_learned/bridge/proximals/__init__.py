"""Proximals of functionals as batched torch modules."""

from odl_learned.bridge.proximals import (  # noqa: F401  (importing registers the rules)
    entropies,
    expressions,
    h1_seminorm,
    least_squares,
    norms,
    sets,
    variation,
)
from odl_learned.bridge.proximals.lowering import (
    ProximalModule,
    as_proximal_module,
    lower_proximal,
)

__all__ = ["ProximalModule", "as_proximal_module", "lower_proximal"]
