"""The fused smoothed total variation against the same formula in torch's own operations."""

import odl
import pytest
import torch

from odl_learned import compiled, functionals, operators
from odl_learned.bridge import as_module
from odl_learned.bridge.rules.expressions import Composition
from odl_learned.bridge.rules.functionals import swept_variation, variation
from odl_learned.bridge.rules.functionals.entrywise_variation import (
    entrywise_slopes,
    entrywise_values,
)
from odl_learned.bridge.rules.functionals.variation import SmoothedVariation
from odl_learned.compiled import pool

SHAPES = [(7,), (5, 6), (3, 1, 4)]


def reference(x, sides, weight, alpha, nu, xi):
    """Forward differences with the last one zero, squared, added, in torch."""
    axes = tuple(range(-len(sides), 0))
    square = sum(
        (torch.diff(x, dim=i, append=x.narrow(i, x.shape[i] - 1, 1)) / h).square()
        for i, h in zip(axes, sides)
    )
    return weight * (alpha * (square + nu**2).sqrt().sum(axes) + xi / 2 * x.square().sum(axes))


def case(shape, batch=(3, 2)):
    sides = [0.5 + 0.25 * i for i in range(len(shape))]
    term = SmoothedVariation(sides, 0.3, 0.7, 0.2, 0.05)
    generator = torch.Generator().manual_seed(0)
    x, h = torch.randn(2, *batch, *shape, dtype=torch.float64, generator=generator)
    return term, lambda z: reference(z, sides, 0.3, 0.7, 0.2, 0.05), x, h


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("chunk", [1, 70, 2**18])
@pytest.mark.parametrize("swept", [True, False])
def test_value_gradient_and_hessian(shape, chunk, swept, monkeypatch):
    monkeypatch.setattr(variation, "CHUNK", chunk)
    monkeypatch.setattr(swept_variation, "BLOCK", chunk)
    if not swept:
        monkeypatch.setattr(compiled, "is_available", lambda: False)
    term, expected, x, h = case(shape)
    g = torch.linspace(-1, 2, 6, dtype=torch.float64).reshape(3, 2)
    results = []
    for function in (term, expected):
        z = x.clone().requires_grad_(True)
        values = function(z)
        (slopes,) = torch.autograd.grad(values, z, g, create_graph=True)
        (products,) = torch.autograd.grad(slopes, z, h, create_graph=True)
        (third,) = torch.autograd.grad(products, z, h)
        results.append((values, slopes, products, third))
    for got, want in zip(*results):
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(term(x), results[1][0].detach())


@pytest.mark.parametrize("threads", [1, 3])
def test_sweeps_have_the_same_bits_on_threads_and_alone(threads, monkeypatch):
    pytest.importorskip("numba")
    term, _, x, h = case((130, 140), (4,))

    def computed(where):
        ones = torch.ones(len(x[where]), dtype=torch.float64)
        return *term.values_and_slopes(x[where]), term.curvatures(x[where], h[where], ones)

    monkeypatch.setattr(pool, "thread_count", lambda: threads)
    found = computed(slice(0, 4))
    for n in range(4):
        for one, of_all in zip(computed(slice(n, n + 1)), found, strict=True):
            assert torch.equal(one[0], of_all[n])


def test_sweeps_take_what_torch_makes():
    # views, negative bits, single precision, samples without pixels
    term, expected, x, h = case((5, 6))
    for z in (x.transpose(0, 1), x.flip(-1)[:, ::2], torch.complex(x, h).conj().imag, x.float(),
              x[:0], x[..., :1, :], x[..., :1], x[..., ::2, 1::2]):  # fmt: skip
        results = []
        for function in (term, expected):
            leaf = z.detach().requires_grad_(True)
            (slopes,) = torch.autograd.grad(function(leaf).sum(), leaf, create_graph=True)
            results.append((function(z), slopes, *torch.autograd.grad(slopes.sum(), leaf)))
        for got, want in zip(*results, strict=True):
            tolerance = 1e-12 if z.dtype == torch.float64 else 1e-5
            torch.testing.assert_close(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("shape", SHAPES)
def test_formulas_of_the_compiler(shape):
    term, expected, x, _ = case(shape)
    torch.testing.assert_close(entrywise_values(term, x), expected(x), rtol=1e-13, atol=0)
    z = x.clone().requires_grad_(True)
    (slopes,) = torch.autograd.grad(expected(z).sum(), z)
    torch.testing.assert_close(entrywise_slopes(term, x), slopes, rtol=1e-12, atol=1e-12)


def test_function_transforms():
    term, expected, x, h = case((5, 6))
    for transform in (
        lambda f: torch.func.vmap(f, in_dims=1)(x),
        lambda f: torch.func.vmap(torch.func.grad(lambda z: f(z).sum()), in_dims=1)(x),
        lambda f: torch.func.jvp(f, (x,), (h,))[1],
        lambda f: torch.func.jvp(torch.func.grad(lambda z: f(z).sum()), (x,), (h,))[1],
        lambda f: torch.func.grad(lambda z: torch.func.jvp(f, (z,), (h,))[1].sum())(x),
        lambda f: torch.func.hessian(f)(x[0, 0]),
    ):
        torch.testing.assert_close(transform(term), transform(expected), rtol=1e-12, atol=1e-12)


def test_what_is_fused():
    X = odl.uniform_discr([0, 0], [1, 2], (5, 7))
    D, C = operators.gradient(X), odl.Gradient(X, method="central", pad_mode="symmetric")
    length = functionals.SmoothedGroupL1(X**2, 0.1)
    assert isinstance(as_module(functionals.SmoothedTV(X, 1, 1, 1)).native, SmoothedVariation)
    assert isinstance(as_module(length @ D).native, SmoothedVariation)
    assert as_module(0.7 * length @ D).native.alpha == 0.7
    assert isinstance(as_module(length @ C).native, Composition)
    other = 0.7 * odl.functionals.L2NormSquared(X**2)
    assert isinstance(as_module(other @ D).native, Composition)
