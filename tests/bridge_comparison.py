"""Modules of operators against ODL, and whether they fall back."""

import numpy as np
import odl

from odl_learned.bridge import as_module
from odl_learned.bridge.layouts.nested import each
from odl_learned.bridge.loops.generic import GenericLinear, GenericNonlinear
from odl_learned.bridge.loops.generic_functional import GenericFunctional
from odl_learned.conformance.sampling import flat
from odl_learned.conformance.tensors import as_tensor, entries, stack


def nodes(op):
    """An expression and everything inside it."""
    yield op
    for value in vars(op).values():
        for child in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(child, odl.Operator):
                yield from nodes(child)


def fallbacks(module):
    """Names of the generic modules inside a module."""
    return [type(part).__name__ for part in module.modules()
            if isinstance(part, (GenericLinear, GenericNonlinear, GenericFunctional))]


def compare(op, x, tolerance=1e-12):
    """The module against ODL, for a batch of the element and its double."""
    module = as_module(op)
    both = module(stack(as_tensor(op, x), as_tensor(op, 2 * x)))
    for i, point in enumerate((x, 2 * x)):
        expected = flat(op(point))
        got = entries(each(lambda part: part[i], both))
        scale = max(1.0, np.abs(expected[np.isfinite(expected)]).max(initial=0.0))
        np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * scale)
    assert not fallbacks(module), f"{op} falls back to {fallbacks(module)}"
