"""Checks of the bridge, and of torch modules by themselves.

The module of an operator is compared with the operator itself, sample by sample; its derivatives
with finite differences (torch's gradcheck, in double precision) and with the generic module that
loops through ODL.
"""

import copy
import io

import numpy as np
import torch
from torch.autograd.gradcheck import GradcheckError

from odl_learned.bridge import (
    as_functional,
    as_gradient_module,
    as_module,
    as_operator,
    as_proximal_module,
)
from odl_learned.bridge.generic import GenericLinear, GenericNonlinear
from odl_learned.bridge.nested import each
from odl_learned.conformance.failure import ConformanceError, require, require_small
from odl_learned.conformance.sampling import (
    available,
    flat,
    has_gradient,
    has_proximal,
    positive,
    precision,
    sample,
)
from odl_learned.conformance.tensors import as_tensor, entries, leaves, require_same, stack


def check_module_value(op, rng):
    """``as_module(A)(x)`` is ``A(x)``, without batch axes and with any number of them."""
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


def check_module_dtype(op, rng):
    """Results keep the precision of the space; values of functionals are real."""
    y = as_module(op)(as_tensor(op, sample(op, rng)))
    for part in leaves(y):
        single = part.dtype in (torch.float32, torch.complex64)
        require(single == (precision(op) > 1e-9), f"result is {part.dtype}, the space is not")


def check_module_gradients(op, rng):
    """First and second derivatives of the module agree with finite differences, in double."""
    if precision(op) > 1e-9:
        return
    module, x = as_module(op), as_tensor(op, sample(op, rng))
    x = stack(x, as_tensor(op, sample(op, rng)))
    inputs = tuple(part.requires_grad_() for part in leaves(x))

    def evaluate(*parts):
        return leaves(module(parts if isinstance(x, tuple) else parts[0]))

    outputs = evaluate(*inputs)
    if not all(torch.isfinite(y).all() for y in outputs):
        return
    varying = [i for i, y in enumerate(outputs) if y.requires_grad]
    if not varying:
        return

    def function(*parts):
        y = evaluate(*parts)
        return tuple(y[i] for i in varying)

    compare_with_differences(torch.autograd.gradcheck, function, inputs, "first")
    if not isinstance(module.native, GenericNonlinear):
        compare_with_differences(torch.autograd.gradgradcheck, function, inputs, "second")


def compare_with_differences(check, function, inputs, order):
    """Torch's ``gradcheck`` or ``gradgradcheck``; raise ConformanceError where it fails."""
    try:
        check(function, inputs, fast_mode=True)
    except GradcheckError as error:
        raise ConformanceError(
            f"{order} derivatives of the module differ from finite differences: {error}"
        ) from error


def check_module_transforms(op, rng):
    """``vmap`` of the module is the module on a batch; ``jvp`` and ``vjp`` are transposed."""
    module = as_module(op)
    x, h = as_tensor(op, sample(op, rng)), as_tensor(op, sample(op, rng))
    batch = stack(x, h)
    mapped = torch.func.vmap(module)(batch)
    require_same(entries(mapped), entries(module(batch)), op, "vmap(module) = module")
    y, transpose = torch.func.vjp(module, x)
    if not all(torch.isfinite(part).all() for part in leaves(y)):
        return
    _, derivative = torch.func.jvp(module, (x,), (h,))
    g = each(lambda part: torch.randn_like(part), y)
    (back,) = transpose(g)
    left = np.vdot(entries(g), entries(derivative)).real
    right = np.vdot(entries(back), entries(h)).real
    scale = positive(np.linalg.norm(entries(g)) * np.linalg.norm(entries(derivative)))
    require_small(abs(left - right) / scale, 10 * precision(op), "<g, J h> = <J^H g, h>")


def check_module_native(op, rng):
    """The native rule agrees with the loop through ODL, in value and in gradient."""
    generic = (GenericLinear if op.is_linear else GenericNonlinear)(op)
    native = as_module(op).native
    if isinstance(native, (GenericLinear, GenericNonlinear)):
        return
    x = stack(as_tensor(op, sample(op, rng)), as_tensor(op, sample(op, rng)))
    values = native(x), generic(x)
    require_same(entries(values[0]), entries(values[1]), op, "native = generic")
    if not _differentiable(op, rng) or not np.isfinite(entries(values[1])).all():
        return
    g = each(torch.randn_like, values[0])
    gradients = [torch.func.vjp(module, x)[1](g)[0] for module in (native, generic)]
    require_same(entries(gradients[0]), entries(gradients[1]), op, "native = generic, gradient")


def check_round_trip(op, rng):
    """``as_operator(as_module(A))`` is ``A``, with its derivative and adjoint."""
    back = as_operator(as_module(op), op.domain, op.range)
    x = sample(op, rng)
    require_same(flat(back(x)), flat(op(x)), op, "as_operator(as_module(A)) = A")
    if op.is_linear:
        y = sample(op.adjoint, rng)
        require_same(flat(back.adjoint(y)), flat(op.adjoint(y)), op, "its adjoint = A*")


def check_functional_round_trip(f, rng):
    """``as_functional(as_module(f))`` is ``f``, with its gradient (a Riesz representative)."""
    back, x = as_functional(as_module(f), f.domain), sample(f, rng)
    value = f(x)
    require_same(np.array([back(x)]), np.array([value]), f, "as_functional(as_module(f)) = f")
    if np.isfinite(value) and _differentiable(f, rng):
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


def check_module_hessian(f, rng):
    """Forward over reverse gives the Hessian product of reverse over reverse."""
    module, x, h = as_module(f), as_tensor(f, sample(f, rng)), as_tensor(f, sample(f, rng))
    if isinstance(module.native, (GenericLinear, GenericNonlinear)):
        return
    if not torch.isfinite(module(x)):
        return
    gradient = torch.func.grad(module)
    _, forward = torch.func.jvp(gradient, (x,), (h,))
    _, transpose = torch.func.vjp(gradient, x)
    (reverse,) = transpose(h)
    scale = np.abs(entries(gradient(x))).max() + np.abs(entries(reverse)).max()
    error = np.abs(entries(forward) - entries(reverse)).max() / positive(scale)
    require_small(error, 10 * precision(f), "forward over reverse = reverse over reverse")


def check_batch(module, example):
    """A batch of two gives what its samples give one by one, and keeps the dtype."""
    with torch.no_grad():
        both = module(torch.stack([example, 0.5 * example]))
        single = module(torch.stack([0.5 * example]))
    scale = positive(both.abs().max())
    single_precision = example.dtype in (torch.float32, torch.complex64)
    error = float((both[1] - single[0]).abs().max()) / scale
    require_small(error, 1e-5 if single_precision else 1e-12, "module([x, z])[1] = module([z])[0]")
    require(both.dtype == example.dtype, f"result is {both.dtype}, input is {example.dtype}")


def check_state_dict(module, example):
    """Saving, spoiling and loading the state gives the same module back."""
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    other = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
        other.load_state_dict(torch.load(file, weights_only=True))
        batch = torch.stack([example])
        require(torch.equal(other(batch), module(batch)), "loading the state changed the module")


BRIDGE = (
    check_module_value,
    check_module_empty_batch,
    check_module_dtype,
    check_module_gradients,
    check_module_transforms,
    check_module_native,
)
OPERATOR = (*BRIDGE, check_round_trip)
FUNCTIONAL = (
    *BRIDGE,
    check_module_hessian,
    check_functional_round_trip,
    check_gradient_module,
    check_proximal_module,
)
MODULE = (check_batch, check_state_dict)


def _differentiable(op, rng):
    """Whether ODL knows the derivative and its adjoint, and there is one: not for indicators."""
    if op.is_linear:
        return available(lambda: op.adjoint)
    if np.isinf(flat(op(sample(op, rng)))).any():
        return False
    return available(lambda: op.derivative(sample(op, rng)).adjoint)
