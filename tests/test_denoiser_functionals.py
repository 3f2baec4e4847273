"""Gradient-step denoisers and regularization by denoising: functionals where there are any."""

import numpy as np
import odl
import pytest
import torch
from torch import nn

from odl_learned import bridge, functionals, networks, regularizers
from odl_learned.conformance import checks_for
from odl_learned.conformance.sampling import flat
from odl_learned.reconstruction import plug_and_play as pnp
from odl_learned.regularizers import certificates

X = odl.uniform_discr([0, 0], [1, 2], (6, 7))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def free(parts=1):
    """A network that is no gradient, smooth."""
    net = nn.Sequential(nn.Conv2d(parts, 4, 3, padding=1), nn.ELU(),
                        nn.Conv2d(4, parts, 3, padding=1))  # fmt: skip
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(0.3 * torch.randn(p.shape, generator=generator(1)))
    net.in_channels = parts
    return networks.OnImages(net.double(), dimension=2)


class Tied(nn.Module):
    """``x -> W^T relu(W x)``: symmetric and homogeneous, the gradient of ``|relu(W x)|^2 / 2``."""

    def __init__(self, power=1):
        super().__init__()
        self.weight = nn.Parameter(
            0.3 * torch.randn(4, 1, 3, 3, generator=generator(2), dtype=torch.float64))
        self.power = power

    def forward(self, x):
        flat = x.reshape(-1, 1, *x.shape[-2:])
        y = torch.relu(nn.functional.conv2d(flat, self.weight, padding=1)) ** self.power
        return nn.functional.conv_transpose2d(y, self.weight, padding=1).reshape(x.shape)


def test_a_gradient_step_denoiser_is_a_gradient():
    D = regularizers.GradientStepDenoiser(free(), dimension=2)
    verdict = certificates.certify_symmetric_jacobian(D, shape=X.shape, generator=generator())
    assert type(verdict) is certificates.Certified and verdict.measured < 1e-6
    R = regularizers.gradient_step_functional(D, X)
    x = X.element(np.random.default_rng(0).standard_normal(X.shape))
    image = torch.from_numpy(x.asarray())
    np.testing.assert_allclose(flat(x - R.gradient(x)), D(image).detach().numpy().ravel(),
                               rtol=0, atol=1e-14)
    rest = x - bridge.as_operator(free(), X, X)(x)
    assert R(x) == pytest.approx(0.5 * rest.norm() ** 2, rel=1e-12)
    for check in checks_for(R):
        check(R, np.random.default_rng(1))


def test_gradient_step_denoisers_of_complex_images():
    XC = odl.uniform_discr([0, 0], [1, 2], (6, 7), dtype="complex128")
    D = regularizers.GradientStepDenoiser(free(2), dimension=2)
    R = regularizers.gradient_step_functional(D, XC)
    z = torch.randn(2, 6, 7, dtype=torch.complex128, generator=generator())
    (slope,) = torch.autograd.grad(D.potential(z.requires_grad_()).sum(), z)
    torch.testing.assert_close(z - D(z), slope, rtol=0, atol=1e-13)
    x = XC.element(z[0].detach().numpy())
    assert R(x) == pytest.approx(X.cell_volume * D.potential(z[0]).item(), rel=1e-12)


def test_red_is_a_functional_where_the_network_has_one():
    x = X.element(np.random.default_rng(0).standard_normal(X.shape))
    R = regularizers.red_functional(Tied(), X, generator())
    N = bridge.as_operator(Tied(), X, X)
    assert R(x) == pytest.approx(0.5 * x.inner(x - N(x)), rel=1e-12)
    np.testing.assert_allclose(flat(R.gradient(x)), flat(x - N(x)), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(
        flat(regularizers.red_operator(Tied(), X)(x)), flat(x - N(x)))


def test_red_says_what_was_measured_where_there_is_none():
    with pytest.raises(ValueError, match=r"asymmetry of its Jacobian is 0\.\d+, expected at most"):
        regularizers.red_functional(free(), X, generator())
    with pytest.raises(ValueError, match=r"inhomogeneity, .* is \d.*, expected at most 1e-06"):
        regularizers.red_functional(Tied(power=2), X, generator())
    x = X.one()
    rest = regularizers.red_operator(free(), X)(x)
    np.testing.assert_allclose(flat(rest), flat(x - bridge.as_operator(free(), X, X)(x)))
    with pytest.raises(TypeError, match="real images"):
        regularizers.red_functional(free(2), odl.cn((6, 7)), generator())
    with pytest.raises(TypeError, match="GradientStepDenoiser"):
        regularizers.gradient_step_functional(free(), X)


def test_homogeneity_is_certified_measured_and_refuted():
    chain = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.LeakyReLU(),
                          nn.Conv2d(4, 1, 3, padding=1, bias=False))  # fmt: skip
    kinds = {"chain": (chain, certificates.Certified),
             "no rule": (Tied(), certificates.Unknown),
             "bias": (free().net, certificates.Refuted)}  # fmt: skip
    for name, (module, kind) in kinds.items():
        shape = (1, 6, 7) if name != "no rule" else (6, 7)
        verdict = certificates.certify_homogeneous(module, shape=shape, generator=generator())
        assert type(verdict) is kind, name
        assert (verdict.measured < 1e-12) == (kind is not certificates.Refuted)


def test_plug_and_play_with_a_gradient_step_denoiser_never_rises():
    D = regularizers.GradientStepDenoiser(free(), dimension=2)
    g = regularizers.gradient_step_functional(D, X)
    rng = np.random.default_rng(0)
    A = odl.MultiplyOperator(X.element((rng.random(X.shape) < 0.6).astype(float)))
    f = functionals.LeastSquares(A, A(X.element(rng.standard_normal(X.shape))), accuracy=1e-12)
    values = []
    answer = pnp.descent(f, 0.5 * g, X.zero(), 5e-3, 200, tau=50.0,
                         callback=lambda x: values.append(f(x) + 0.5 * g(x)))
    assert answer.reason == "accuracy" and isinstance(answer.guarantee, pnp.Monotone)
    start = f(X.zero()) + 0.5 * g(X.zero())
    falls = -np.diff([start, *values, answer.objective])
    assert falls.min() >= 0 and falls[0] > 0.01 * start
    slope = f.gradient(answer.x) + 0.5 * g.gradient(answer.x)
    assert slope.norm() < 0.1 * f.gradient(X.zero()).norm()
    # Batches have the iterates of their samples, each with a step of its own.
    x0 = torch.stack([torch.zeros(X.shape), torch.ones(X.shape)]).double()
    both = pnp.descent(bridge.as_batch(f), bridge.as_batch(0.5 * g), x0, 5e-3, 200,
                       tau=np.array([50.0, 0.1]))
    assert both.niter[0] == answer.niter and both.niter[0] != both.niter[1]
    np.testing.assert_allclose(both.x[0], answer.x.asarray(), rtol=0, atol=1e-9)


def test_descent_ends_where_rounding_begins():
    f = functionals.LeastSquares(odl.IdentityOperator(X), X.one())
    answer = pnp.descent(f, functionals.SmoothedTV(X, 0.1, 0.1, 0.1), X.zero(), None, 500)
    assert answer.reason == "rounding" and answer.niter < 500
    with pytest.raises(TypeError, match="functional with a gradient"):
        pnp.descent(f, odl.functionals.IndicatorBox(X, 0, 1), X.zero(), 1e-3, 5)
