"""Forward mode of forward mode through the autograd functions of the bridge."""

import numpy as np
import pytest
import torch
from instances.spaces import RA, XC, F, X, element

from odl_learned import functionals
from odl_learned.bridge import as_module
from odl_learned.bridge.forward_mode import jvp_rule
from odl_learned.bridge.layouts.nested import each
from odl_learned.bridge.proximals.entropies import LogLambertW
from odl_learned.conformance.tensors import as_tensor, entries


class Cube(torch.autograd.Function):
    """``x^3``, with rules of plain operations."""

    @staticmethod
    def forward(x):
        return x**3

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_forward(*inputs)
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        return 3 * ctx.saved_tensors[0] ** 2 * g

    @staticmethod
    @jvp_rule
    def jvp(ctx, saved, dx):
        return 3 * saved[0] ** 2 * dx


def along(function, h):
    """Its derivative in a direction."""
    return lambda x: torch.func.jvp(function, (x,), (h,))[1]


X0, ONE = torch.tensor(2.0, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64)
FORWARD, REVERSE = (lambda f: along(f, ONE)), torch.func.grad


@pytest.mark.parametrize("first", [FORWARD, REVERSE], ids=["forward", "reverse"])
@pytest.mark.parametrize("second", [FORWARD, REVERSE], ids=["forward", "reverse"])
@pytest.mark.parametrize("third", [FORWARD, REVERSE], ids=["forward", "reverse"])
def test_every_mixture_of_three_derivatives(first, second, third):
    assert first(Cube.apply)(X0) == 12
    assert second(first(Cube.apply))(X0) == 12
    assert third(second(first(Cube.apply)))(X0) == 6


@pytest.mark.parametrize("f", [
    functionals.SmoothedTV(X, 0.7, 0.1, 0.01),
    functionals.SmoothedTV(X, 0.7, 0.1, 0.0) + F.L2NormSquared(X).translated(element(X)),
    functionals.FieldsOfExperts(XC, np.ones((2, 2, 2)), [0.5, 1.0], 0.1),
], ids=["SmoothedTV", "sum", "experts"])
def test_second_derivatives_along_a_line(f):
    """``d^2/dt^2 f(x + t h)``, zero for total variation before, against second differences."""
    x, h = (as_tensor(f, element(f.domain, seed)) for seed in (1, 2))
    module, t = as_module(f), 1e-4
    second = along(along(module, h), h)(x)
    quotient = (module(x + t * h) - 2 * module(x) + module(x - t * h)) / t**2
    torch.testing.assert_close(second, quotient, rtol=1e-5, atol=0)


def test_second_derivative_of_lambert():
    """``W(e^z)'' = w / (1 + w)^3``."""
    z = torch.linspace(-3, 3, 7, dtype=torch.float64)
    w = LogLambertW.apply(z)
    second = along(along(LogLambertW.apply, torch.ones_like(z)), torch.ones_like(z))(z)
    torch.testing.assert_close(second, w / (1 + w) ** 3, rtol=1e-13, atol=0)


def test_tangents_pass_a_linear_operator_without_a_rule(rng):
    """``d^2/dt^2 A((x + t h)^2) = 2 A(h^2)``, where the tangent enters by the argument."""
    from sound_objects import LINE, Means, matrix

    op = Means(LINE, RA, matrix(4, 11))
    x, h = (as_tensor(op, element(LINE, seed)) for seed in (1, 2))
    module = as_module(op)
    second = along(along(lambda z: module(each(torch.square, z)), h), h)(x)
    np.testing.assert_allclose(entries(second), entries(2 * module(h * h)), rtol=1e-12)
