"""Total deep variation: bounds, values, functionals, flows; sums of regularizers."""

import math
import pickle

import numpy as np
import odl
import pytest
import torch

from odl_learned import bridge, learning, networks, reconstruction, regularizers
from odl_learned.conformance import checks_for
from odl_learned.regularizers import certificates

BOUNDARIES = {"reflecting": networks.Reflecting, "circular": networks.Circular,
              "zero": networks.Zero}  # fmt: skip


def net(boundary=networks.Reflecting, dimension=2, seed=0, blocks=2, shaken=0.2):
    """A network whose parameters were moved as by learning."""
    generator = torch.Generator().manual_seed(seed)
    result = regularizers.TotalDeepVariation(2, 2, blocks, boundary(), dimension=dimension,
                                             generator=generator).double()
    with torch.no_grad():
        for parameter in result.parameters():
            parameter += shaken * torch.randn(parameter.shape, generator=generator)
    return result


def images(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def curvature(R, x):
    hessian = torch.autograd.functional.hessian(R, x).reshape(x.numel(), -1)
    return torch.linalg.eigvalsh(hessian)


@pytest.mark.parametrize(("dimension", "shape"), ((2, (4, 5)), (1, (9,)), (3, (3, 2, 3))))
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_hessians_are_between_the_constants(boundary, dimension, shape):
    R = net(BOUNDARIES[boundary], dimension)
    L, rho = R.constants()
    values = torch.cat([curvature(R, s * images(*shape)) for s in (0.0, 0.3, 3.0)])
    assert L == rho and math.isfinite(L)
    assert -rho <= values.min() < -1e-3 and 1e-2 < values.max() <= L


def test_the_constant_is_attained_where_nothing_is_lost():
    # One scale and one block, no noise in the kernels: z + K phi(z) of one filter, w = 1. At zero
    # the Hessian is J^T J with the one filter, whose norm is that of the bound.
    R = regularizers.TotalDeepVariation(1, 1, 1, networks.Circular(), dimension=1).double()
    with torch.no_grad():
        for block in R.blocks[0].down:
            for kernel in (block.first, block.second):
                kernel.zero_()
                kernel[0, 0, 1] = 1.0
    highest = curvature(R, torch.zeros(60, dtype=torch.float64))[-1]
    assert highest <= R.constants()[0] <= 1.05 * highest


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_largest_sums_are_those_of_the_matrix_and_nearly_reached(boundary):
    boundary, reached = BOUNDARIES[boundary](), []
    for size, shape in ((3, (4, 5)), (5, (2, 3)), (5, (6, 7)), (4, (3, 5)), (3, (1, 2))):
        kernel = images(2, 1, size, size, seed=size)
        unit = torch.eye(math.prod(shape), dtype=torch.float64).reshape(-1, 1, *shape)
        # |K| of the matrix is at most the matrix of |K|, where mirrored entries meet.
        columns = torch.nn.functional.conv2d(boundary(unit, (size, size)), kernel.abs())
        sums = columns.flatten(2).sum(2).amax(0)
        bound = boundary.largest_sums(kernel)[:, 0]
        assert (sums <= bound * (1 + 1e-13)).all()
        reached.append(float((sums / bound).max()))
    assert max(reached) > 0.8


def test_values_do_not_see_constants_and_scale_with_the_noise_level():
    R, x = net(), images(2, 3, 5, 6)
    assert R(x).shape == (2, 3)
    assert torch.allclose(R(x + 5), R(x), atol=1e-11)
    at, near = R.at(0.3), R.at(0.1)
    assert torch.allclose(at.value(3 * x), 9 * near.value(x))
    x.requires_grad_()
    (slope,) = torch.autograd.grad(at.value(x).sum(), x)
    assert torch.allclose(slope, at.gradient(x), atol=1e-12)
    z = torch.complex(x, x.flip(-1))
    assert torch.allclose(R(z), R(z.real) + R(z.imag))


def test_the_size_of_the_paper_can_be_built():
    R = regularizers.TotalDeepVariation(32, 3, 3, networks.Reflecting(), dimension=2)
    x = torch.randn(1, 9, 10)
    assert R.at(0.1).gradient(x).isfinite().all()
    assert 350_000 < sum(p.numel() for p in R.parameters()) < 450_000


@pytest.mark.parametrize("space", (
    odl.uniform_discr([0, 0], [1, 2], (5, 6)), odl.cn((5, 6), weighting=0.5),
    odl.uniform_discr([0] * 3, [1, 2, 3], (3, 4, 2), dtype="float32")))  # fmt: skip
def test_it_is_a_functional_of_odl(space):
    R = net(dimension=space.ndim, shaken=0.1, blocks=1)
    f = regularizers.network_functional(R, space, 0.5)
    x = images(*space.shape)
    x = torch.complex(x, x.flip(0)) if space.is_complex else x.to(
        torch.float32 if space.dtype_identifier == "float32" else torch.float64)  # fmt: skip
    R.requires_grad_(False)
    value = float(R.double().at(0.5).value(x.to(torch.promote_types(x.dtype, torch.float64))))
    assert f(space.element(x.numpy())) == pytest.approx(
        bridge_weight(space) * value, rel=1e-12 if x.real.dtype == torch.float64 else 1e-5)
    assert f.grad_lipschitz == f.weak_convexity == pytest.approx(R.constants()[0], rel=1e-4)
    for check in checks_for(f):
        check(f, np.random.default_rng(0))
    again = pickle.loads(pickle.dumps(f))
    assert again(space.one()) == f(space.one())
    batch = torch.stack([x, 2 * x])
    module = bridge.as_module(f)
    alone = [float(f(space.element(one.numpy()))) for one in batch]
    assert np.allclose(module(batch).detach().numpy(), alone, rtol=1e-5)


def bridge_weight(space):
    return float(space.one().inner(space.one()).real) / space.size


def test_certificates_say_unknown_of_convexity_and_refute_a_false_claim():
    R, generator = net(), torch.Generator().manual_seed(0)
    for modulus, kind in ((-1e9, certificates.Unknown), (1.0, certificates.Refuted)):
        verdict = certificates.certify_convexity(R, modulus, shape=(4, 5), generator=generator)
        assert type(verdict) is kind


def test_flows_learn_to_denoise_and_are_saved(tmp_path):
    jumps = images(8, 10, 9)
    clean = torch.cumsum(jumps * (jumps > 1.5), 1)
    noisy = clean + 0.5 * images(8, 10, 9, seed=4)
    R = net(shaken=0.0, blocks=1)
    step = reconstruction.FlowStep(R, 0.5, reconstruction.LearnedStepSize(0.2))
    flow = reconstruction.LearnedProximalGradient(
        torch.nn.Identity(), torch.nn.Identity(), [step] * 4, torch.nn.Identity()).double()

    def error(model):
        with torch.no_grad():
            return float((model(noisy) - clean).square().mean())

    before = error(flow)
    learning.train(flow, list(zip(noisy, clean)), steps=12, batch_size=8, progress=False,
                   optimizer=torch.optim.Adam(flow.parameters(), 2e-2))
    assert error(flow) < 0.8 * before
    learning.save_regularizer(tmp_path / "net.pt", R)
    found = learning.load_regularizer(tmp_path / "net.pt")
    assert torch.equal(found(noisy), R(noisy)) and found.constants() == R.constants()


def test_the_end_of_the_flow_has_the_implicit_derivative():
    R, y = net(shaken=0.02, blocks=1), images(2, 6, 5)
    limit = reconstruction.DeepEquilibrium(
        torch.nn.Identity(), torch.nn.Identity(), reconstruction.FlowStep(R, 0.5, 0.2),
        dimension=2, initial=torch.nn.Identity(), accuracy=1e-12, backward_accuracy=1e-11,
        maxiter=300)  # fmt: skip

    def error():
        return (limit(y) - 1).square().sum()

    error().backward()
    (slope,) = (p.grad for p in [R.log_strength])
    u = limit(y).detach()
    assert (u - y + R.at(0.5).gradient(u)).norm() < 1e-9 < 1e-2 < (u - y).norm()
    values = []
    for step in (1e-4, -1e-4):
        with torch.no_grad():
            R.log_strength += step
            values.append(float(error()))
            R.log_strength -= step
    # Central differences: 1e-8 from the third derivative, 1e-12 / 1e-4 from the accuracy.
    assert float(slope) == pytest.approx((values[0] - values[1]) / 2e-4, rel=1e-5)
    assert abs(float(slope)) > 1e-2


def test_a_sum_of_convex_terms_is_certified(tmp_path):
    convex = regularizers.InputConvex(4, 2, 3, networks.Reflecting(), dimension=2, convexity=0.01,
                                      generator=torch.Generator().manual_seed(0))
    filters = regularizers.ComposedFilters((1, 4), 3, networks.Reflecting(), dimension=2)
    bank = regularizers.Ridge(filters, regularizers.LogCosh())
    R, x = regularizers.Sum([convex, bank]).double(), images(2, 4, 5)
    assert torch.allclose(R(x), convex(x) + bank(x))
    assert torch.allclose(R.at(0.3).gradient(x),
                          convex.at(0.3).gradient(x) + bank.at(0.3).gradient(x))
    L, rho = R.constants()
    assert rho == 0 and L == convex.constants()[0] + bank.constants()[0]
    assert float(curvature(R, x[0])[-1]) <= L
    generator = torch.Generator().manual_seed(0)
    for modulus, kind in ((0.0099, certificates.Certified), (1e3, certificates.Refuted)):
        verdict = certificates.certify_convexity(R, modulus, shape=(4, 5), generator=generator)
        assert type(verdict) is kind
    learning.save_regularizer(tmp_path / "sum.pt", R)
    assert torch.equal(learning.load_regularizer(tmp_path / "sum.pt")(x), R(x))
    with pytest.raises(TypeError, match="real images"):
        regularizers.network_functional(R, odl.cn((4, 5)))


def test_errors():
    R = net()
    with pytest.raises(TypeError, match="which keep sizes"):
        regularizers.TotalDeepVariation(2, 2, 1, networks.Inside(), dimension=2)
    with pytest.raises(ValueError, match="expected a tensor"):
        R(torch.zeros(5, dtype=torch.float64))
    with pytest.raises(TypeError, match="convert one"):
        R(torch.zeros(5, 6))
    with pytest.raises(ValueError, match="axes"):
        regularizers.network_functional(R, odl.rn(5))
    with pytest.raises(ValueError, match="at least one term"):
        regularizers.Sum([])
    with pytest.raises(TypeError, match="expected a regularizer"):
        regularizers.Sum([torch.nn.Identity()])
    with pytest.raises(TypeError, match="at\\(noise_level\\)"):
        reconstruction.FlowStep(torch.nn.Identity(), 0.1, 0.1)


def test_a_flow_in_the_place_of_its_regularizer_is_told():
    with pytest.raises(TypeError, match=r"Its \.regularizer is a TotalDeepVariation: pass that"):
        regularizers.network_functional(learning.load_regularizer(learning.DEEP_VARIATION),
                                        odl.uniform_discr([0, 0], [1, 1], (8, 8)))


def test_that_of_the_package_denoises():
    """An image unlike the photographs that it was learned from."""
    step = learning.load_regularizer(learning.DEEP_VARIATION)
    jumps = images(24, 24) * (images(24, 24, seed=3) > 1.5)
    x = torch.cumsum(jumps, 1).float()
    x = (x - x.min()) / (x.max() - x.min())
    y = x + step.noise_level * images(24, 24, seed=4).float()
    flow = reconstruction.LearnedProximalGradient(
        torch.nn.Identity(), torch.nn.Identity(), [step] * 8, torch.nn.Identity())
    with torch.no_grad():
        assert (flow(y) - x).square().mean() < 0.4 * (y - x).square().mean()


@pytest.mark.parametrize("level", [0.0, -1.0, math.nan])
def test_levels_of_noise_are_positive(level):
    """At a negative level, values would be finite, and wrong."""
    ridge = learning.load_regularizer(learning.CONVEX_RIDGE)
    convex = regularizers.InputConvex(4, 1, 3, networks.Reflecting(), dimension=2)
    for R in (net(), ridge, convex, regularizers.Sum([ridge, convex])):
        with pytest.raises(ValueError, match="noise_level is"):
            R.at(level)
