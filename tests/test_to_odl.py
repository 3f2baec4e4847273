"""Torch modules as ODL operators, functionals and proximals, in solvers and in files."""

import copy
import functools
import io
import pickle

import instances
import numpy as np
import odl
import pytest
import torch
from instances import GRAD, RA, XC, F, V, X, element, plane

from odl_learned import functionals, networks
from odl_learned.bridge import (
    ImplicitRegularizer,
    as_functional,
    as_module,
    as_operator,
    as_proximal,
    as_proximal_module,
    as_stepped_proximal,
)
from odl_learned.bridge.nested import each
from odl_learned.conformance.modules import as_tensor, entries, stack
from odl_learned.conformance.sampling import flat, sample

build = functools.cache(lambda table, name: getattr(instances, table)[name]())
NAMES = [(table, name) for table in ("OPERATORS", "FUNCTIONALS")
         for name in getattr(instances, table)]


class SoftThreshold(torch.nn.Module):
    """The proximal of ``level |.|_1``."""

    def __init__(self, level):
        super().__init__()
        self.level = torch.nn.Parameter(torch.tensor(level, dtype=torch.float64))

    def forward(self, x):
        return x.sign() * (x.abs() - self.level).clamp(min=0)


class SteppedThreshold(torch.nn.Module):
    """The proximal of ``sigma alpha |.|_1``."""

    def __init__(self, alpha):
        super().__init__()
        self.alpha = alpha

    def forward(self, x, sigma):
        return x.sign() * (x.abs() - self.alpha * sigma).clamp(min=0)


class Integral(torch.nn.Module):
    """``x -> sum_j |net(x)_j|^2`` for every sample."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        y = self.net(x)
        return y.abs().square().flatten(1).sum(1)


def saved(obj):
    """The object as torch.save and torch.load return it."""
    file = io.BytesIO()
    torch.save(obj, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES = {"pickle": lambda obj: pickle.loads(pickle.dumps(obj)), "deepcopy": copy.deepcopy,
          "torch.save": saved}


def channels_net(c_in, c_out, dtype=torch.float64):
    """A network with several channels ``(N, c_in, H, W) -> (N, c_out, H, W)``."""
    torch.manual_seed(0)
    return networks.CNN(c_in, c_out, width=4, depth=2).to(dtype)


def image_net(channels):
    """A network on images, real or complex, that is far from the identity."""
    generator = torch.Generator().manual_seed(0)
    net = networks.OnImages(instances.net(channels, channels))
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.3 * torch.randn(p.shape, dtype=p.dtype, generator=generator))
    return net


# ---- lowered modules: files, copies, state ----


@pytest.mark.parametrize("how", ["pickle", "deepcopy"])
@pytest.mark.parametrize(("table", "name"), NAMES, ids=[name for _, name in NAMES])
def test_lowered_modules_are_copied_and_hold_no_state(table, name, how, rng):
    op = build(table, name)
    module = as_module(op)
    x = stack(as_tensor(op, sample(op, rng)))
    expected = entries(module(x))
    other = COPIES[how](module)
    assert np.array_equal(entries(other(x)), expected, equal_nan=True)
    assert not module.state_dict(), "operators are given by their formula, not by a checkpoint"


def test_state_of_a_reconstruction_is_what_is_trainable():
    model = instances.MODULES["GradientStep"]()[0]
    trainable = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    assert set(model.state_dict()) == trainable


OBJECTS = {
    "linear operator": lambda: as_operator(as_module(GRAD), X, V),
    "network": lambda: as_operator(image_net(1), X, X),
    "complex network": lambda: as_operator(image_net(2), XC, XC),
    "channels": lambda: as_operator(channels_net(3, 2), X**3, X**2),
    "functional": lambda: as_functional(Integral(image_net(1)), X),
    "denoiser": lambda: as_proximal(image_net(1), X)(0.5),
    "denoiser with step": lambda: as_stepped_proximal(SteppedThreshold(0.2), X)(0.5),
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", OBJECTS)
def test_operators_and_functionals_are_copied(name, how):
    op = OBJECTS[name]()
    x = element(op.domain)
    other = COPIES[how](op)
    assert other.domain == op.domain and other.range == op.range
    assert other.is_linear == op.is_linear
    assert np.array_equal(flat(other(x)), flat(op(x)))
    if isinstance(op, F.Functional):
        assert np.array_equal(flat(other.gradient(x)), flat(op.gradient(x)))
    else:
        y, at = element(op.range, 2), (op.derivative(x), other.derivative(x))
        assert np.array_equal(flat(at[1].adjoint(y)), flat(at[0].adjoint(y)))
        assert np.array_equal(flat(COPIES[how](at[0])(x)), flat(at[0](x)))


@pytest.mark.parametrize("how", COPIES)
def test_implicit_regularizers_are_copied(how):
    f = ImplicitRegularizer(as_proximal(image_net(1), X))
    x = element(X)
    assert np.array_equal(flat(COPIES[how](f).proximal(0.3)(x)), flat(f.proximal(0.3)(x)))


def test_a_deep_copy_has_parameters_of_its_own():
    op, x = as_operator(image_net(1), X, X), element(X)
    before, other = flat(op(x)), copy.deepcopy(op)
    with torch.no_grad():
        for parameter in other.module.parameters():
            parameter.add_(1.0)
    assert np.array_equal(flat(op(x)), before)
    assert not np.array_equal(flat(other(x)), before)


def test_training_continues_in_the_operator():
    """The operator holds the module itself, so that a step of an optimizer shows."""
    net = image_net(1)
    op, x = as_operator(net, X, X), element(X)
    before = flat(op(x))
    with torch.no_grad():
        next(net.parameters()).add_(1.0)
    assert not np.array_equal(flat(op(x)), before)


# ---- spaces ----


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_several_channels(dtype):
    space = plane(dtype=dtype)
    net = channels_net(3, 2, getattr(torch, dtype))
    op, x = as_operator(net, space**3, space**2), element(space**3)
    stacked = torch.stack([torch.from_numpy(part.data) for part in x])
    with torch.no_grad():
        np.testing.assert_array_equal(flat(op(x)), net(stacked.unsqueeze(0)).numpy().ravel())
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
    pair = odl.ProductSpace(instances.R, X)
    f = F.SeparableSum(F.L2NormSquared(instances.R), F.Huber(X, 0.3))
    assert_gradient(as_functional(as_module(f), pair), element(pair))


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


class SteppedNet(torch.nn.Module):
    """A network that is given the step, and does not use it."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, sigma):
        return self.net(x)


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


# ---- denoisers as proximals ----


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
    F.SeparableSum(F.L1Norm(instances.R), F.L2Norm(X)),
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
    np.testing.assert_array_equal(flat(prox(x)), entries(net(tensor)))
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
