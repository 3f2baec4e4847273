"""1-Lipschitz layers against dense matrices, in one to three dimensions, single and double."""

import math

import pytest
import torch

from odl_learned import networks
from odl_learned.networks.lipschitz import CORRELATE

BOUNDARIES = {"circular": networks.Circular, "zero": networks.Zero,
              "reflecting": networks.Reflecting}  # fmt: skip
SHAPES = {1: (7,), 2: (5, 6), 3: (4, 3, 5)}


def dense(f, shape, dtype=torch.float64):
    unit = torch.eye(math.prod(shape), dtype=dtype).reshape(-1, *shape)
    with torch.no_grad():
        return f(unit).flatten(1).double()


def norm(f, shape, dtype=torch.float64):
    return float(torch.linalg.matrix_norm(dense(f, shape, dtype), 2))


@pytest.mark.parametrize("dimension", SHAPES)
@pytest.mark.parametrize("name", BOUNDARIES)
@pytest.mark.parametrize("size", (2, 3))
def test_bounds_of_norms_hold(name, dimension, size):
    boundary, shape = BOUNDARIES[name](), SHAPES[dimension]
    for seed, (before, after) in enumerate(((1, 3), (3, 2))):
        kernel = torch.randn(after, before, *[size] * dimension, dtype=torch.float64,
                             generator=torch.Generator().manual_seed(seed))

        def convolution(x):
            return CORRELATE[dimension](boundary(x, (size,) * dimension), kernel)  # noqa: B023

        true = norm(convolution, (before, *shape))
        here = float(boundary.largest_square(kernel, shape)) ** 0.5
        everywhere = float(boundary.largest_square(kernel)) ** 0.5
        assert true <= here <= everywhere * (1 + 1e-11)
        if name == "circular":
            assert here == pytest.approx(true, rel=1e-11)


@pytest.mark.parametrize("name", BOUNDARIES)
def test_folding_is_the_transpose_of_padding(name):
    boundary = BOUNDARIES[name]()
    P = dense(lambda x: boundary(x, (3, 4)), (5, 6))
    padded = boundary(torch.zeros(1, 5, 6), (3, 4)).shape[1:]
    assert torch.equal(dense(lambda y: boundary.fold(y, (3, 4)), padded), P.T)


def test_the_reflecting_bound_is_exact_for_differences_and_more_than_the_symbol_for_shifts():
    shift = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).reshape(1, 1, 3)
    difference = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64).reshape(1, 1, 3)
    boundary = networks.Reflecting()

    def true(kernel):
        return norm(lambda x: CORRELATE[1](boundary(x, (3,)), kernel), (1, 8))

    assert true(shift) == pytest.approx(2**0.5, rel=1e-12)  # the last entry is read twice
    for kernel in (shift, difference):
        assert float(boundary.largest_square(kernel, (8,))) ** 0.5 == pytest.approx(
            true(kernel), rel=1e-5)
    assert float(networks.Circular().largest_square(shift, (8,))) < 1.0001


@pytest.mark.parametrize("dtype", (torch.float32, torch.float64))
@pytest.mark.parametrize("dimension", SHAPES)
def test_normalized_convolutions_have_norm_one_at_most(dimension, dtype):
    for boundary in (networks.Circular(), networks.Zero(), networks.Reflecting()):
        layer = networks.NormalizedConvolution(
            2, 3, 3, boundary, dimension=dimension,
            generator=torch.Generator().manual_seed(0)).to(dtype)
        kernel = layer.kernel().detach()
        assert kernel.dtype == dtype
        assert float(boundary.largest_square(kernel)) <= 1
        exact = layer.double()
        exact.kernel = lambda kernel=kernel: kernel.double()
        value = norm(exact, (2, *SHAPES[dimension]))
        assert 0.2 < value <= 1


@pytest.mark.parametrize("dimension", SHAPES)
def test_orthogonal_convolutions_keep_norms(dimension):
    shape = SHAPES[dimension]
    for before, after in ((3, 3), (2, 4)):
        layer = networks.OrthogonalConvolution(
            before, after, 3, networks.Circular(), dimension=dimension,
            generator=torch.Generator().manual_seed(1)).double()
        values = torch.linalg.svdvals(dense(layer, (before, *shape)))
        assert float(values[0]) <= 1 and float(values[-1]) > 1 - 1e-10
        zero = networks.OrthogonalConvolution(
            after, before, 3, networks.Zero(), dimension=dimension,
            generator=torch.Generator().manual_seed(1)).double()
        assert norm(zero, (after, *shape)) <= 1


def test_group_sort_permutes_and_keeps_distances_from_growing():
    x, y = torch.randn(2, 50, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for group in (2, 3):
        sort = networks.GroupSort(group)
        assert torch.equal(sort(x).sort(dim=1).values, x.sort(dim=1).values)
        assert torch.equal(sort(x), x.unflatten(1, (-1, group)).sort(2).values.flatten(1, 2))
        assert bool(((sort(x) - sort(y)).flatten(1).norm(dim=1)
                     <= (x - y).flatten(1).norm(dim=1)).all())


def test_convex_splines_are_clipping_at_slope_one_and_derivatives_of_their_potential():
    spline = networks.ConvexSpline(2, 4, 1.5).double()
    t = torch.linspace(-3, 3, 61, dtype=torch.float64).expand(1, 2, 61).clone().requires_grad_()
    with torch.no_grad():
        spline.logits.fill_(40.0)
    assert torch.allclose(spline(t), t.clamp(-1.5, 1.5), atol=1e-14)
    with torch.no_grad():
        spline.logits.copy_(torch.randn(2, 4, generator=torch.Generator().manual_seed(0)))
    (slope,) = torch.autograd.grad(spline.potential(t).sum(), t)
    assert torch.allclose(slope, spline(t), atol=1e-14)
    steps = spline(t).diff(dim=2) / 0.1
    assert bool((steps >= -1e-14).all() and (steps <= 1 + 1e-14).all())
    value = torch.trapezoid(spline(t.detach()[..., 30:]), t.detach()[..., 30:])
    assert torch.allclose(spline.potential(t)[..., -1], value, atol=2e-3)
