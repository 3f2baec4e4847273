"""Input-convex networks: convex by construction, with constants that hold and certificates."""

import math

import numpy as np
import odl
import pytest
import torch

from odl_learned import learning, networks, reconstruction, regularizers
from odl_learned.conformance import checks_for
from odl_learned.regularizers import certificates

BOUNDARIES = {"reflecting": networks.Reflecting, "circular": networks.Circular,
              "zero": networks.Zero}  # fmt: skip


def net(boundary=networks.Reflecting, dimension=2, seed=0, depth=3):
    """A network whose parameters were moved as by learning."""
    generator = torch.Generator().manual_seed(seed)
    result = regularizers.InputConvex(3, depth, 3, boundary(), dimension=dimension, convexity=0.01,
                                      generator=generator).double()
    with torch.no_grad():
        for parameter in result.parameters():
            parameter += 0.5 * torch.randn(parameter.shape, generator=generator)
    return result


def images(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("dimension", "shape"), ((2, (4, 5)), (1, (9,)), (3, (3, 2, 3))))
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_hessians_are_between_the_constants(boundary, dimension, shape):
    R = net(BOUNDARIES[boundary], dimension)
    L, rho = R.constants()
    xi = math.exp(float(R.log_convexity.detach()))
    assert rho == 0.0
    highest = 0.0
    for scale in (0.0, 0.3, 3.0):
        hessian = torch.autograd.functional.hessian(R, scale * images(*shape))
        values = torch.linalg.eigvalsh(hessian.reshape(math.prod(shape), -1))
        assert values[0] >= xi * (1 - 1e-9) and values[-1] <= L
        highest = max(highest, float(values[-1]))
    assert highest > 2e-4 * L


def test_convexity_is_certified_and_a_negative_weight_is_found():
    R, generator = net(), torch.Generator().manual_seed(0)
    xi = math.exp(float(R.log_convexity.detach()))
    for modulus, kind in ((xi, certificates.Certified), (1e3, certificates.Refuted)):
        verdict = certificates.certify_convexity(R, modulus, shape=(3, 4), generator=generator)
        assert type(verdict) is kind

    class Negative(regularizers.InputConvex):
        def nonnegative_kernels(self):
            return [-V for V in super().nonnegative_kernels()]

    R.__class__ = Negative
    verdict = certificates.certify_convexity(R, shape=(3, 4), generator=generator)
    assert not isinstance(verdict, certificates.Certified)


def test_it_is_a_functional_of_odl():
    space = odl.uniform_discr([0, 0], [1, 2], (5, 6))
    R = net()
    f = regularizers.network_functional(R, space)
    x = space.element(images(5, 6).numpy())
    value = float(R(images(5, 6)).detach())
    assert f(x) == pytest.approx(space.cell_volume * value, rel=1e-13)
    assert f.grad_lipschitz == R.constants()[0]
    for check in checks_for(f):
        check(f, np.random.default_rng(0))
    y = 2 * x + 1
    half = f(0.5 * (x + y))
    assert half < 0.5 * (f(x) + f(y))


def test_bilevel_training_in_the_one_loop_denoises(tmp_path):
    jumps = images(12, 10, 9)
    clean = torch.cumsum(jumps * (jumps > 1.5), 1)
    noisy = clean + 0.5 * images(12, 10, 9, seed=4)
    R = regularizers.InputConvex(4, 2, 3, networks.Reflecting(), dimension=2, strength=0.1,
                                 generator=torch.Generator().manual_seed(0)).double()
    model = reconstruction.RegularizedLeastSquares(
        torch.nn.Identity(), torch.nn.Identity(), R, noise_level=0.5, norm=1.0, coercivity=1.0,
        dimension=2, accuracy=1e-3, maxiter=40)

    def error():
        with torch.no_grad():
            return float((model(noisy) - clean).square().mean())

    before = error()
    learning.train(model, list(zip(noisy, clean)), steps=12, batch_size=12, progress=False,
                   optimizer=torch.optim.Adam(R.parameters(), 3e-2))
    assert error() < 0.95 * before and min(V.min() for V in R.nonnegative_kernels()) > 0
    learning.save_regularizer(tmp_path / "net.pt", R)
    found = learning.load_regularizer(tmp_path / "net.pt")
    assert torch.equal(found(noisy), R(noisy)) and found.constants() == R.constants()


def test_errors():
    with pytest.raises(TypeError, match="which keep sizes"):
        regularizers.InputConvex(2, 2, 3, networks.Inside(), dimension=2)
    with pytest.raises(ValueError, match="odd"):
        regularizers.InputConvex(2, 2, 4, networks.Zero(), dimension=2)
    with pytest.raises(TypeError, match="real images"):
        regularizers.network_functional(net(), odl.cn((5, 6)))
    with pytest.raises(ValueError, match="real tensor"):
        net()(torch.ones(5, 6, dtype=torch.complex128))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_images_have_finite_derivatives(dtype):
    R = net().to(dtype)
    x = (100 * torch.randn(5, 6, dtype=dtype)).requires_grad_()
    (slope,) = torch.autograd.grad(R(x), x, create_graph=True)
    (bent,) = torch.autograd.grad(slope.sum(), x)
    assert bool(torch.isfinite(slope).all()) and bool(torch.isfinite(bent).all())
