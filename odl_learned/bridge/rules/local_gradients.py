"""Native rules for ODL's gradient operators, classes that it defines inside functions.

Their functional lives in the closure of their methods, under the name ``func`` or ``functional``;
the gradient of a composition ``func @ op`` keeps ``op`` as well. Proximal operators of ODL keep no
functional: `as_proximal_module` lowers the proximal of a functional instead.
"""

import inspect

import odl

from odl_learned.bridge.gradients import Gradient
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.loops.generic import GenericLinear, GenericNonlinear
from odl_learned.bridge.lowering import generic, local_rules, lower

#: Names of the classes.
GRADIENTS = (
    "FunctionalCompositionGradient",
    "FunctionalProductGradient",
    "FunctionalQuotientGradient",
    "HuberGradient",
    "KLCCGradient",
    "KLCrossEntCCGradient",
    "KLCrossEntropyGradient",
    "KLGradient",
    "L1Gradient",
    "L2Gradient",
    "GroupL1Gradient",
    "RosenbrockGradient",
)


def functional_of(op):
    """The functional whose gradient an operator of ODL is, or None."""
    found = {}
    for method in vars(type(op)).values():
        if inspect.isfunction(method):
            found |= inspect.getclosurevars(method).nonlocals
    functional = found.get("functional", found.get("func"))
    if not isinstance(functional, odl.functionals.Functional):
        return None
    if type(op).__name__ == "FunctionalCompositionGradient":
        functional = functional @ found["op"]
    return functional if functional.domain == op.domain else None


def _gradient(op):
    functional = functional_of(op)
    # A functional without a rule is differentiated by this very operator.
    if functional is None or lower.dispatch(type(functional)) is generic:
        return GenericLinear(op) if op.is_linear else GenericNonlinear(op)
    return Gradient(lower(functional), layout_of(op.domain))


local_rules.update(dict.fromkeys(GRADIENTS, _gradient))
