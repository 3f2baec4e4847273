"""Checks of the derivatives of lowered operators: autograd, forward mode, their mixtures.

Against finite differences (torch's gradcheck, in double precision) and against each other. A leaf
without a native rule knows only the derivatives that ODL knows of it; where one is missing, a clear
NotImplementedError is what is promised, never a wrong number.
"""

import contextlib

import numpy as np
import torch
from torch.autograd.gradcheck import GradcheckError

from odl_learned.bridge import as_module
from odl_learned.bridge.layouts.nested import each
from odl_learned.bridge.loops.generic import GenericNonlinear
from odl_learned.bridge.loops.generic_functional import GenericFunctional
from odl_learned.conformance.accuracy import is_approximate
from odl_learned.conformance.failure import ConformanceError, require, require_small
from odl_learned.conformance.sampling import (
    available,
    is_differentiable,
    positive,
    precision,
    sample,
)
from odl_learned.conformance.tensors import as_tensor, entries, leaves, like, require_same, stack


def check_module_gradients(op, rng):
    """First and second derivatives of the module agree with finite differences, in double.

    Where a gradient is known up to a gap, the round trip of the bridge compares it with ODL's.
    """
    if precision(op) > 1e-9 or is_approximate(op, rng):
        return
    module, x = as_module(op), as_tensor(op, sample(op, rng))
    x = stack(x, as_tensor(op, sample(op, rng)))
    inputs = tuple(part.requires_grad_() for part in leaves(x))

    def evaluate(*parts):
        return leaves(module(like(x, parts)))

    outputs = evaluate(*inputs)
    if not all(torch.isfinite(y).all() for y in outputs):
        return
    varying = [i for i, y in enumerate(outputs) if y.requires_grad]
    if not varying:
        return

    def function(*parts):
        y = evaluate(*parts)
        return tuple(y[i] for i in varying)

    with known_if(is_differentiable(op, rng), "the first derivative"):
        compare_with_differences(torch.autograd.gradcheck, function, inputs, "first")
        with known_if(has_second_derivative(op, module, rng), "the second derivative"):
            compare_with_differences(torch.autograd.gradgradcheck, function, inputs, "second")


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
    g = each(torch.randn_like, y)
    with known_if(is_differentiable(op, rng), "the first derivative"):
        _, derivative = torch.func.jvp(module, (x,), (h,))
        (back,) = transpose(g)
        left, right = product(g, derivative), product(back, h)
        scale = positive(np.linalg.norm(entries(g)) * np.linalg.norm(entries(derivative)))
        require_small(abs(left - right) / scale, 10 * precision(op), "<g, J h> = <J^H g, h>",
                      f"The left side is {left:.6g}, by jvp, the right one {right:.6g}, by vjp.")


def check_module_second_derivatives(op, rng):
    """``jvp`` of ``jvp`` gives what ``vjp`` of ``jvp`` does, for ``x -> module(x x)``."""
    module = as_module(op)
    x, h = as_tensor(op, sample(op, rng)), as_tensor(op, sample(op, rng))

    def along(function):
        return lambda z: torch.func.jvp(function, (z,), (h,))[1]

    def first(z):
        return along(lambda u: module(each(torch.square, u)))(z)

    if not all(torch.isfinite(part).all() for part in leaves(module(each(torch.square, x)))):
        return
    with known_if(has_second_derivative(op, module, rng), "the second derivative"):
        y, transpose = torch.func.vjp(first, x)
        g = each(torch.randn_like, y)
        left, right = product(g, along(first)(x)), product(transpose(g)[0], h)
        scale = positive(abs(right) + np.linalg.norm(entries(g)) * np.linalg.norm(entries(y)))
        require_small(abs(left - right) / scale, 10 * precision(op), "jvp of jvp = vjp of jvp",
                      f"Along random directions, the left side is {left:.6g}, the right one "
                      f"{right:.6g}; see bridge.forward_mode.")


def check_module_hessian(f, rng):
    """Forward over reverse gives the Hessian product of reverse over reverse."""
    module, x, h = as_module(f), as_tensor(f, sample(f, rng)), as_tensor(f, sample(f, rng))
    if not torch.isfinite(module(x)):
        return
    with known_if(has_second_derivative(f, module, rng), "the Hessian"):
        gradient = torch.func.grad(lambda z: module(z).real)
        _, forward = torch.func.jvp(gradient, (x,), (h,))
        _, transpose = torch.func.vjp(gradient, x)
        (reverse,) = transpose(h)
        scale = np.abs(entries(gradient(x))).max() + np.abs(entries(reverse)).max()
        error = np.abs(entries(forward) - entries(reverse)).max() / positive(scale)
        require_small(error, 10 * precision(f), "forward over reverse = reverse over reverse")


#: What torch's message goes on with, before it prints both Jacobians with all their entries.
SLOW_MODE = "The above quantities relating"


def compare_with_differences(check, function, inputs, order):
    """Torch's ``gradcheck`` or ``gradgradcheck``; raise ConformanceError where it fails."""
    try:
        check(function, inputs, fast_mode=True)
    except GradcheckError as error:
        raise ConformanceError(
            f"{order} derivatives of the module differ from finite differences: "
            f"{str(error).partition(SLOW_MODE)[0].strip()}"
        ) from error


@contextlib.contextmanager
def known_if(known, what):
    """Let a NotImplementedError pass, as it is promised, where the derivative is not known."""
    try:
        yield
    except NotImplementedError as error:
        require(not known, f"{what} of the module raises {error!r}, though ODL knows it")


def has_second_derivative(op, module, rng):
    """Whether the second derivative of a module is promised.

    A nonlinear operator without a rule has none; a functional has one where ODL knows the
    derivative of its gradient.
    """
    if not is_differentiable(op, rng):
        return False
    if isinstance(module.native, GenericFunctional):
        return available(lambda: op.gradient.derivative(sample(op, rng)).adjoint)
    return not any(isinstance(part, GenericNonlinear) for part in module.modules())


def product(a, b):
    """``Re sum_j conj(a_j) b_j`` of tensors, or tuples of them."""
    return float(np.vdot(entries(a), entries(b)).real)


OPERATOR = (check_module_gradients, check_module_transforms, check_module_second_derivatives)
FUNCTIONAL = (*OPERATOR, check_module_hessian)
