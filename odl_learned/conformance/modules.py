"""Checks of the bridge: the module of an operator is compared with the operator, by samples.

And a native rule with the generic module that loops through ODL. What has no value in ODL, such as
a Moreau envelope, has nothing to be compared with.
"""

import numpy as np
import torch

from odl_learned.bridge import (
    as_functional,
    as_gradient_module,
    as_module,
    as_operator,
    as_proximal_module,
)
from odl_learned.bridge.layouts.nested import each
from odl_learned.bridge.loops.generic import GenericLinear, GenericNonlinear
from odl_learned.bridge.loops.generic_functional import GenericFunctional
from odl_learned.conformance.failure import require, require_small
from odl_learned.conformance.sampling import (
    available,
    flat,
    has_gradient,
    has_proximal,
    has_value,
    is_differentiable,
    positive,
    precision,
    sample,
)
from odl_learned.conformance.tensors import (
    as_tensor,
    dtypes_of_range,
    entries,
    leaves,
    require_same,
    stack,
)


def check_module_value(op, rng):
    """``as_module(A)(x)`` is ``A(x)``, without batch axes and with any number of them."""
    if not has_value(op):
        return
    x, z = sample(op, rng), sample(op, rng)
    module = as_module(op)
    expected = [flat(op(x)), flat(op(z))]
    one = module(as_tensor(op, x))
    require_same(entries(one), expected[0], op, "module(x) = A(x)")
    both = module(stack(as_tensor(op, x), as_tensor(op, z)))
    require_same(entries(each(lambda t: t[1], both)), expected[1], op, "module([x, z])[1] = A(z)")
    deep = module(stack(stack(as_tensor(op, x), as_tensor(op, z))))
    require_same(entries(deep), entries(both), op, "module([[x, z]]) = [module([x, z])]")


def check_module_empty_batch(op, rng):
    """A batch of no samples gives no results of the right shape and dtype."""
    x = as_tensor(op, sample(op, rng))
    y = as_module(op)(stack(x))
    none = as_module(op)(each(lambda part: part.new_empty((0, *part.shape)), x))
    for got, like in zip(leaves(none), leaves(y)):
        require(got.shape == (0, *like.shape[1:]), f"{tuple(got.shape)}, expected (0, ...)")
        require(got.dtype == like.dtype, f"{got.dtype} for no samples, {like.dtype} for one")


def check_module_input_kept(op, rng):
    """The module leaves its input as it is."""
    x = stack(as_tensor(op, sample(op, rng)))
    before = each(torch.clone, x)
    as_module(op)(x)
    require(np.array_equal(entries(x), entries(before)),
            "module(x) changed x; a rule that computes in place needs a copy, x.clone()")


def check_module_dtype(op, rng):
    """Results have the dtype of the range; values of functionals are real."""
    y = as_module(op)(as_tensor(op, sample(op, rng)))
    for part, expected in zip(leaves(y), dtypes_of_range(op), strict=True):
        require(part.dtype == expected, f"module(x) is {part.dtype}, expected {expected}")


def check_module_native(op, rng):
    """The native rule agrees with the loop through ODL, in value and in gradient."""
    native = as_module(op).native
    if isinstance(native, WITHOUT_RULE) or not has_value(op):
        return
    generic = (GenericLinear if op.is_linear else GenericNonlinear)(op)
    x = stack(as_tensor(op, sample(op, rng)), as_tensor(op, sample(op, rng)))
    values = native(x), generic(x)
    require_same(entries(values[0]), entries(values[1]), op, "native = generic")
    if not is_differentiable(op, rng) or not np.isfinite(entries(values[1])).all():
        return
    g = each(torch.randn_like, values[0])
    gradients = [torch.func.vjp(module, x)[1](g)[0] for module in (native, generic)]
    require_same(entries(gradients[0]), entries(gradients[1]), op, "native = generic, gradient")


def check_round_trip(op, rng):
    """``as_operator(as_module(A))`` is ``A``, with its derivative and adjoint."""
    back = as_operator(as_module(op), op.domain, op.range)
    x = sample(op, rng)
    require_same(flat(back(x)), flat(op(x)), op, "as_operator(as_module(A)) = A")
    if op.is_linear and available(lambda: op.adjoint):
        y = sample(op.adjoint, rng)
        require_same(flat(back.adjoint(y)), flat(op.adjoint(y)), op, "its adjoint = A*")


def check_functional_round_trip(f, rng):
    """``as_functional(as_module(f))`` is ``f``, with its gradient (a Riesz representative)."""
    if not has_value(f):
        return
    back, x = as_functional(as_module(f), f.domain), sample(f, rng)
    value = f(x)
    require_same(np.array([back(x)]), np.array([value]), f, "as_functional(as_module(f)) = f")
    if np.isfinite(value) and is_differentiable(f, rng):
        require_same(flat(back.gradient(x)), flat(f.gradient(x)), f, "its gradient = grad f")


def check_proximal_module(f, rng):
    """``as_proximal_module(f)(x, sigma)`` is ``f.proximal(sigma)(x)``, one step for each sample."""
    if not has_proximal(f):
        return
    samples, steps = [sample(f, rng) for _ in range(2)], (0.7, 0.2)
    module, x = as_proximal_module(f), stack(*[as_tensor(f, x) for x in samples])
    y = module(x, torch.tensor(steps, dtype=torch.float64))
    for i, (point, step) in enumerate(zip(samples, steps)):
        expected = flat(f.proximal(step)(point))
        # A projection may be tiny or zero; rounding is relative to the point.
        scale = positive(max(np.abs(expected).max(), np.abs(flat(point)).max()))
        error = np.abs(entries(each(lambda t: t[i], y)) - expected).max() / scale
        require_small(error, precision(f), "module(x, sigma) = prox_{sigma f}(x)")
    deep = module(stack(x), torch.tensor([steps], dtype=torch.float64))
    require_same(entries(deep), entries(y), f, "module([[x, z]]) = [module([x, z])]")
    none = module(each(lambda part: part[:0], x), torch.empty(0))
    for got, like in zip(leaves(none), leaves(y)):
        require(got.shape == (0, *like.shape[1:]), f"{tuple(got.shape)}, expected (0, ...)")
        require(got.dtype == like.dtype, f"{got.dtype} for no samples, {like.dtype} for one")


def check_gradient_module(f, rng):
    """``as_gradient_module(f)`` is ``f.gradient``, on a batch."""
    if not has_gradient(f):
        return
    samples = [sample(f, rng) for _ in range(2)]
    y = as_gradient_module(f)(stack(*[as_tensor(f, x) for x in samples]))
    for i, point in enumerate(samples):
        expected = flat(f.gradient(point))
        got = entries(each(lambda t: t[i], y))
        require_same(got, expected, f, "gradient module(x) = grad f(x)")


#: Modules that loop through ODL.
WITHOUT_RULE = (GenericLinear, GenericNonlinear, GenericFunctional)
BRIDGE = (
    check_module_value,
    check_module_empty_batch,
    check_module_input_kept,
    check_module_dtype,
    check_module_native,
)
OPERATOR = (*BRIDGE, check_round_trip)
FUNCTIONAL = (
    *BRIDGE,
    check_functional_round_trip,
    check_gradient_module,
    check_proximal_module,
)
