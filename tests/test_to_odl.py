"""Torch modules as ODL operators and functionals on all kinds of spaces."""

import copy

import numpy as np
import odl
import pytest
import torch
from instances.spaces import RA, XC, F, R, X, element, plane
from rounding import assert_rounded
from wrapped_networks import Integral, channels_net, image_net

from odl_learned import functionals
from odl_learned.bridge import (
    as_functional,
    as_module,
    as_operator,
    as_proximal,
    as_proximal_module,
    as_stepped_proximal,
)
from odl_learned.conformance.sampling import flat


def assert_adjoint(op, x, tolerance):
    """``Re <F'(x) h, y>_Y = Re <h, F'(x)* y>_X``, and ``F'`` is the derivative."""
    h, y = element(op.domain, 3), element(op.range, 4)
    at = op.derivative(x)
    left, right = np.real(at(h).inner(y)), np.real(h.inner(at.adjoint(y)))
    assert abs(left - right) <= tolerance * at(h).norm() * y.norm()
    if tolerance < 1e-9:
        t = 1e-6
        quotient = (op(x + t * h) - op(x - t * h)) / (2 * t)
        # Central differences: rounding eps/t and truncation t^2.
        assert (quotient - at(h)).norm() <= 1e-7 * max(at(h).norm(), 1.0)


def assert_gradient(f, x):
    """``Re <grad f(x), h>_X`` is the directional derivative, and the Hessian is its derivative."""
    h, t = element(f.domain, 3), 1e-5
    quotient = (f(x + t * h) - f(x - t * h)) / (2 * t)
    scale = f.gradient(x).norm() * h.norm()
    assert abs(quotient - np.real(f.gradient(x).inner(h))) <= 1e-7 * max(scale, 1.0)
    hessian = f.gradient.derivative(x)
    quotient = (f.gradient(x + t * h) - f.gradient(x - t * h)) / (2 * t)
    assert (quotient - hessian(h)).norm() <= 1e-6 * max(hessian(h).norm(), 1.0)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_several_channels(dtype):
    space = plane(dtype=dtype)
    net = channels_net(3, 2, getattr(torch, dtype))
    op, x = as_operator(net, space**3, space**2), element(space**3)
    stacked = torch.stack([torch.from_numpy(part.data) for part in x])
    with torch.no_grad():
        expected = net(stacked.unsqueeze(0))
    assert_rounded(flat(op(x)), expected, 1e-6 if dtype == "float32" else 1e-14)
    assert op(x) in space**2
    assert_adjoint(op, x, 1e-12 if dtype == "float64" else 1e-5)


def test_channels_with_weights():
    weighted = odl.ProductSpace(X, 3, weighting=[1.0, 2.0, 0.5])
    op = as_operator(channels_net(3, 2), weighted, odl.ProductSpace(X, 2, weighting=4.0))
    assert_adjoint(op, element(weighted), 1e-12)
    f = as_functional(Integral(channels_net(3, 1)), weighted)
    assert_gradient(f, element(weighted))


def test_complex():
    op = as_operator(image_net(2), XC, XC)
    assert_adjoint(op, element(XC), 1e-12)
    assert_gradient(as_functional(Integral(image_net(2)), XC), element(XC))
    assert_gradient(as_functional(as_module(F.GroupL1Norm(XC**2)), XC**2), element(XC**2))


def test_array_weights():
    op = as_operator(as_module(odl.PowerOperator(RA, 2.0)), RA, RA)
    assert_adjoint(op, element(RA), 1e-12)
    assert_gradient(as_functional(as_module(F.L2NormSquared(RA)), RA), element(RA))


def test_a_pair_of_spaces():
    pair = odl.ProductSpace(R, X)
    f = F.SeparableSum(F.L2NormSquared(R), F.Huber(X, 0.3))
    assert_gradient(as_functional(as_module(f), pair), element(pair))


class SteppedNet(torch.nn.Module):
    """A network that is given the step, and does not use it."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, sigma):
        return self.net(x)


@pytest.mark.parametrize("wrap", [
    lambda net: as_operator(net, X, X),
    lambda net: as_functional(Integral(net), X),
    lambda net: as_proximal(net, X)(1.0),
    lambda net: as_stepped_proximal(SteppedNet(net), X)(1.0),
])
def test_elements_follow_the_parameters_to_their_device(wrap):
    """The meta device needs no hardware: data that stayed on the CPU would show."""
    op = wrap(image_net(1).to("meta"))
    assert op.to_tensor(element(X)).device.type == "meta"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_the_gpu():
    space = plane(dtype="float32")
    net = image_net(1).float()
    here = as_operator(net, space, space)
    there = as_operator(copy.deepcopy(net).to("cuda"), space, space)
    x = element(space)
    np.testing.assert_allclose(flat(there(x)), flat(here(x)), atol=1e-5)
    y, z = here.derivative(x).adjoint(x), there.derivative(x).adjoint(x)
    np.testing.assert_allclose(flat(z), flat(y), atol=1e-5)
    f = as_functional(Integral(copy.deepcopy(net)).to("cuda"), space)
    g = as_functional(Integral(net), space)
    np.testing.assert_allclose(flat(f.gradient(x)), flat(g.gradient(x)), atol=1e-4)
    for f in (F.LpNorm(space, np.inf), F.KullbackLeiblerCrossEntropy(space), F.Huber(space, 0.1),
              functionals.l2_fidelity(x), F.IndicatorBox(space, 0, 1), F.IndicatorSimplex(space)):
        module, t = as_proximal_module(f), torch.from_numpy(x.data)
        got = copy.deepcopy(module).to("cuda")(t.to("cuda"), 0.7)
        np.testing.assert_allclose(got.cpu().numpy(), module(t, 0.7).numpy(), atol=1e-5)
