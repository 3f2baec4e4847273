"""Repairs of ODL 1.0.0 where it raises or is silently wrong, applied when the package is imported.

Rule: the repairs belong to ODL 1.0.0 and to no other version. With another version `apply` changes
nothing and warns. The environment variable ``ODL_LEARNED_FIXES=0`` turns all of them off.
`docs/odl_1_0.md` lists them for readers.
"""

from odl_learned.odl_fixes import (  # noqa: F401  (importing registers repairs)
    adjoints,
    boxes,
    copies,
    differences,
    entropies,
    functionals,
    nuclear_norms,
    projections,
    quadratic_forms,
    spaces,
    tomography,
    unit_balls,
)
from odl_learned.odl_fixes.registry import (
    ODL_VERSION,
    REPAIRS,
    SWITCH,
    Repair,
    applied,
    apply,
    remove,
)

__all__ = ["ODL_VERSION", "REPAIRS", "SWITCH", "Repair", "applied", "apply", "remove"]
