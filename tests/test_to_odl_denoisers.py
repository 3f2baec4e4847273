"""Denoisers as proximals in ODL's solvers."""

import numpy as np
import odl
import pytest
import torch
from instances.spaces import GRAD, RA, XC, F, R, V, X, element
from rounding import assert_rounded
from wrapped_networks import SteppedThreshold, channels_net, image_net

from odl_learned import functionals
from odl_learned.bridge import (
    ImplicitRegularizer,
    as_proximal,
    as_proximal_module,
    as_stepped_proximal,
)
from odl_learned.bridge.layouts.nested import each
from odl_learned.conformance.sampling import flat
from odl_learned.conformance.tensors import as_tensor, entries


class SoftThreshold(torch.nn.Module):
    """The proximal of ``level |.|_1``."""

    def __init__(self, level):
        super().__init__()
        self.level = torch.nn.Parameter(torch.tensor(level, dtype=torch.float64))

    def forward(self, x):
        return x.sign() * (x.abs() - self.level).clamp(min=0)


def lasso():
    """A small problem ``|A x - y|^2 / 2 + alpha |x|_1`` with the norm of ``A`` below one."""
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((6, 8))
    forward_op = odl.MatrixOperator(matrix / np.linalg.norm(matrix, 2))
    data = forward_op(forward_op.domain.element([0, 2.0, 0, 0, -1.0, 0, 0, 0.5]))
    fidelity = functionals.l2_fidelity(data)
    return forward_op, fidelity, 0.03


def test_proximal_gradient_with_a_denoiser():
    forward_op, fidelity, alpha = lasso()
    space, gamma = forward_op.domain, 0.9
    smooth = fidelity @ forward_op
    expected, with_step, without = space.zero(), space.zero(), space.zero()
    args = (smooth, gamma, 200)
    odl.solvers.proximal_gradient(expected, alpha * F.L1Norm(space), *args)
    stepped = as_stepped_proximal(SteppedThreshold(alpha), space)
    odl.solvers.proximal_gradient(with_step, ImplicitRegularizer(stepped), *args)
    plain = as_proximal(SoftThreshold(alpha * gamma), space)
    odl.solvers.proximal_gradient(without, ImplicitRegularizer(plain), *args)
    assert expected.norm() > 0.5
    assert (with_step - expected).norm() <= 1e-6
    assert (without - expected).norm() <= 1e-6


def test_pdhg_with_a_denoiser():
    """As the first functional by its proximal, as the second by Moreau's identity."""
    forward_op, fidelity, alpha = lasso()
    space, tau, sigma = forward_op.domain, 0.9, 0.9
    identity = odl.IdentityOperator(space)
    stepped = ImplicitRegularizer(as_stepped_proximal(SteppedThreshold(alpha), space))
    smooth = functionals.l2_fidelity(space.element(np.linspace(-1, 1, 8)))
    for first, second, op in ((stepped, fidelity, forward_op), (smooth, stepped, identity)):
        norm = [alpha * F.L1Norm(space) if f is stepped else f for f in (first, second)]
        got, expected = space.zero(), space.zero()
        odl.solvers.pdhg(got, first, second, op, niter=100, tau=tau, sigma=sigma)
        odl.solvers.pdhg(expected, *norm, op, niter=100, tau=tau, sigma=sigma)
        assert expected.norm() > 0.1
        assert (got - expected).norm() <= 1e-6


def test_admm_with_a_denoiser():
    forward_op, fidelity, alpha = lasso()
    space = forward_op.domain
    stepped = ImplicitRegularizer(as_stepped_proximal(SteppedThreshold(alpha), space))
    got, expected = space.zero(), space.zero()
    for x, f in ((got, stepped), (expected, alpha * F.L1Norm(space))):
        odl.solvers.admm_linearized(x, f, fidelity, forward_op, tau=0.9, sigma=1.0, niter=100)
    assert expected.norm() > 0.1
    assert (got - expected).norm() <= 1e-6


@pytest.mark.parametrize("f", [
    F.GroupL1Norm(V), F.L1Norm(XC), F.IndicatorLpUnitBall(RA, 1), F.KullbackLeibler(X),
    F.SeparableSum(F.L1Norm(R), F.L2Norm(X)),
], ids=["GroupL1", "complex", "ball", "KL", "pair"])
def test_stepped_proximal_is_the_inverse_of_the_module(f):
    factory = as_stepped_proximal(as_proximal_module(f), f.domain)
    x = element(f.domain)
    np.testing.assert_allclose(flat(factory(0.7)(x)), flat(f.proximal(0.7)(x)), atol=1e-12)


def test_denoiser_as_module_again():
    """``as_proximal_module`` of a regularizer made of a module is the module, also in a sum."""
    x = torch.from_numpy(element(X).data)
    denoiser = SoftThreshold(0.2)
    plain = ImplicitRegularizer(as_proximal(denoiser, X))
    got = as_proximal_module(plain.translated(X.one()))(x, 0.7)
    torch.testing.assert_close(got, 1 + denoiser(x - 1))
    stepped = ImplicitRegularizer(as_stepped_proximal(SteppedThreshold(0.2), X))
    got = as_proximal_module(3.0 * stepped)(x, 0.7)
    torch.testing.assert_close(got, as_proximal_module(0.6 * F.L1Norm(X))(x, 0.7))
    (g,) = torch.autograd.grad(as_proximal_module(plain)(x, 0.7).sum(), denoiser.level)
    assert g != 0
    from_odl = as_proximal_module(ImplicitRegularizer(F.L1Norm(X).proximal))(x, 0.7)
    torch.testing.assert_close(from_odl, as_proximal_module(F.L1Norm(X))(x, 0.7))


def test_denoiser_on_channels_and_complex_images():
    x = element(X**3)
    net = channels_net(3, 3)
    prox = as_proximal(net, X**3)(0.1)
    tensor = each(lambda t: t.unsqueeze(0), as_tensor(prox, x))
    assert_rounded(flat(prox(x)), entries(net(tensor)), 1e-14)
    z = element(XC)
    assert as_proximal(image_net(2), XC)(0.1)(z) in XC


def test_errors_of_denoisers():
    with pytest.raises(TypeError, match="expected a torch.nn.Module"):
        as_proximal(F.L1Norm(X).proximal, X)
    with pytest.raises(TypeError, match="expected a torch.nn.Module"):
        as_stepped_proximal(lambda x, sigma: x, X)
    with pytest.raises(ValueError, match="sigma is -1.0"):
        as_stepped_proximal(SteppedThreshold(0.2), X)(-1.0)
    with pytest.raises(TypeError, match="expected a factory"):
        ImplicitRegularizer(image_net(1))
    with pytest.raises(TypeError, match="expected a factory"):
        ImplicitRegularizer(lambda sigma: GRAD)
    with pytest.raises(NotImplementedError, match="has no value"):
        ImplicitRegularizer(as_proximal(SoftThreshold(0.2), X))(element(X))
