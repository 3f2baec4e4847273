"""Normal operators as one map: rules of the bridge, and reconstructions that take them."""

import numpy as np
import odl
import pytest
import torch
from instances.modules import Half
from instances.spaces import XC, X, element, filters, mask
from torch import nn

from odl_learned import data, networks, operators, reconstruction
from odl_learned.bridge import as_module
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.rules.expressions import Composition
from odl_learned.bridge.rules.frequencies.convolution import Multiplier, RealMultiplier
from odl_learned.bridge.rules.frequencies.fourier import FourierNormal
from odl_learned.bridge.rules.frequencies.multicoil import CoilFourierNormal
from odl_learned.learning import load_reconstruction, save_reconstruction
from odl_learned.networks import RadialBasis


def coils(space=XC):
    maps = data.simulated_sensitivities(space, 3)
    return operators.MultiCoilFourier(space, mask(space.shape), maps)


OPERATORS = {
    "coils": coils,
    "coils, scaled": lambda: 0.5 * coils(),
    "one coil, scaled": lambda: (1 / 3) * operators.SampledFourier(XC, mask(XC.shape)),
    "convolution": lambda: operators.PeriodicConvolution(X, filters(1, (3, 5))[0]),
    "complex convolution": lambda: operators.PeriodicConvolution(
        XC, filters(1, (3, 5))[0] + 1j * filters(2, (3, 5))[1]),
    "mask": lambda: operators.mask_operator(X, mask(X.shape)),
    "complex factors": lambda: odl.MultiplyOperator(element(XC)),
    "complex multiple": lambda: (2 + 1j) * operators.SampledFourier(XC, mask(XC.shape)),
    "multiple of a sum": lambda: 2 * (odl.IdentityOperator(X) + odl.IdentityOperator(X)),
}
FUSED = {"coils": CoilFourierNormal, "coils, scaled": CoilFourierNormal,
         "one coil, scaled": FourierNormal, "convolution": RealMultiplier,
         "complex convolution": Multiplier}


def batch(layout, size=2):
    source = torch.Generator().manual_seed(3)
    return torch.randn(size, *layout.shape, dtype=layout.dtype, generator=source)


@pytest.mark.parametrize("name", OPERATORS)
def test_the_product_is_that_of_both_factors(name):
    op = OPERATORS[name]()
    normal = as_module(op.adjoint @ op)
    u = batch(layout_of(op.domain))
    expected = as_module(op.adjoint)(as_module(op)(u))
    assert (normal(u) - expected).abs().max() <= 1e-14 * 10 * expected.abs().max()
    if name in FUSED:
        assert [part for part in normal.modules() if isinstance(part, FUSED[name])]
        assert sum(isinstance(part, Composition) for part in normal.modules()) <= 1


def image_network(parts, seed=0):
    """A network on images with random weights everywhere."""
    net = networks.CNN(parts, parts, 4, 2)
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(0.2 * torch.randn(p.shape, generator=source))
    return networks.OnImages(net.double(), dimension=2)


def state(in_channels, out_channels):
    net = networks.CNN(in_channels, out_channels, 4, 2).double()
    source = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(0.2 * torch.randn(p.shape, dtype=p.dtype, generator=source))
    return reconstruction.StateStep(net, dimension=2)


def gradient_steps(A, normal, **options):
    step = reconstruction.GradientStep(image_network(2), reconstruction.LearnedStepSize(0.5))
    return reconstruction.LearnedProximalGradient(
        as_module(A), as_module(A.adjoint), [step, step, step], normal=normal, **options).double()


def variational(A, normal):
    activations = RadialBasis(2, 5, 2.0, slope=0.5).double()
    step = reconstruction.VariationalStep(2, 3, activations, 0.5, dimension=2, parts=2,
                                          generator=torch.Generator().manual_seed(0)).double()
    return reconstruction.LearnedProximalGradient(
        as_module(A), as_module(A.adjoint), [step, step], normal=normal)


def primal(A, normal):
    return reconstruction.LearnedPrimalDual(
        as_module(A), as_module(A.adjoint), [reconstruction.DataResidual()] * 3,
        [state(6, 4) for _ in range(3)], dual_memory=1, primal_memory=2, dimension=2,
        normal=normal)


def equilibrium(A, normal):
    return reconstruction.DeepEquilibrium(
        as_module(A), as_module(A.adjoint), reconstruction.GradientStep(Half(), 0.5), dimension=2,
        accuracy=1e-13, backward_accuracy=1e-13, normal=normal)


MAPS = {
    "gradient": gradient_steps,
    "gradient from a start": lambda A, normal: gradient_steps(
        A, normal, initial=as_module(A.adjoint)),
    "variational": variational,
    "primal": primal,
    "equilibrium": equilibrium,
}


@pytest.mark.parametrize("name", MAPS)
def test_maps_are_the_same_with_it_and_their_derivatives_too(name):
    A = 0.5 * coils()
    results = []
    for normal in (None, as_module(A.adjoint @ A)):
        model = MAPS[name](A, normal)
        y = batch(layout_of(A.range), 3).requires_grad_()
        u = model(y)
        parameters = [p for p in model.parameters() if p.requires_grad]
        u.abs().square().sum().backward()
        results.append([u.detach(), y.grad, *(p.grad for p in parameters)])
    for split, fused in zip(*results, strict=True):
        assert split.abs().max() > 1e-3
        assert (split - fused).abs().max() <= 1e-11 * split.abs().max()


class Counted(nn.Module):
    """A map that counts how often it is called."""

    def __init__(self, map):
        super().__init__()
        self.map, self.calls = map, 0

    def forward(self, x):
        self.calls += 1
        return self.map(x)


@pytest.mark.parametrize("name", MAPS)
def test_the_adjoint_is_called_once_and_the_operator_never(name):
    A = coils()
    model = MAPS[name](A, as_module(A.adjoint @ A))
    model.forward_op, model.adjoint_op = Counted(model.forward_op), Counted(model.adjoint_op)
    with torch.no_grad():
        model(batch(layout_of(A.range)))
    # An equilibrium needs it for the axes of its start, for the limit, and for the derivative.
    assert model.adjoint_op.calls == (3 if name == "equilibrium" else 1)
    assert model.forward_op.calls == 0


def test_a_fused_map_is_stored_with_its_normal_operator(tmp_path):
    A = coils()
    model = gradient_steps(A, as_module(A.adjoint @ A)).eval()
    save_reconstruction(tmp_path / "map.pt", model, A)
    found = load_reconstruction(tmp_path / "map.pt")
    y = batch(layout_of(A.range))
    assert torch.equal(found.model(y), model(y))
    assert found.model.normal_op is not None


def test_another_normal_operator_is_refused():
    A = coils()
    other = as_module((2 * A).adjoint @ A)
    for make in MAPS.values():
        with pytest.raises(ValueError, match="normal is not the product"):
            make(A, other)
    with pytest.raises(TypeError, match="normal is an operator on spaces"):
        gradient_steps(A, A.adjoint @ A)
    with pytest.raises(ValueError, match="not all dual steps are DataResidual"):
        reconstruction.LearnedPrimalDual(
            as_module(A), as_module(A.adjoint), [nn.Identity()], [state(6, 4)], dual_memory=1,
            primal_memory=2, dimension=2, normal=as_module(A.adjoint @ A))
    with pytest.raises(ValueError, match="A\\* y, the adjoint of the data, has shape"):
        model = gradient_steps(A, as_module(A.adjoint @ A))
        model.gradient(torch.zeros(1, *XC.shape, dtype=torch.complex128), batch(layout_of(A.range)))


def test_no_samples_and_no_batch_axes():
    A = coils()
    model = gradient_steps(A, as_module(A.adjoint @ A))
    y = batch(layout_of(A.range))
    assert model(y[:0]).shape == (0, *XC.shape)
    np.testing.assert_allclose(model(y[0]).detach(), model(y)[0].detach(), atol=1e-14)
