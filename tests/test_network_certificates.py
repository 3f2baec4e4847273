"""Certificates of networks: planted violators are refuted with a witness, sound ones certified."""

import math

import planted_networks as planted
import pytest
import torch
from torch import nn

from odl_learned import networks
from odl_learned.regularizers import certificates
from odl_learned.regularizers.certificates import Certified, Refuted, Unknown


@pytest.mark.parametrize("name", planted.VIOLATORS)
def test_violators_are_refuted(name):
    verdict = planted.VIOLATORS[name]()
    assert type(verdict) is Refuted, verdict
    assert all(bool(torch.isfinite(part).all()) for part in verdict.witness)


@pytest.mark.parametrize("name", planted.SOUND)
def test_sound_networks_are_certified(name):
    verdict = planted.SOUND[name]()
    assert type(verdict) is Certified, verdict


def test_the_witness_of_a_norm_reproduces_it():
    verdict = planted.VIOLATORS["norm of the reshaped kernel"]()
    layer = planted.conv(16, 16, mode="circular")
    matrix = layer.weight.detach().flatten(1)
    _, h = verdict.witness
    ratio = layer(h[None]).detach().norm() / (h.norm() * torch.linalg.matrix_norm(matrix, 2))
    assert float(ratio) == pytest.approx(verdict.measured, rel=1e-12) and verdict.measured > 1.5


def test_the_witness_against_convexity_reproduces():
    verdict = planted.VIOLATORS["one negative output weight"]()
    net = planted.convex_net(-0.1).requires_grad_(False)
    x, y = verdict.witness
    slope = torch.func.grad(lambda z: net(z[None])[0])
    curvature = ((slope(x) - slope(y)) * (x - y)).sum() / (x - y).square().sum()
    assert verdict.bound == -math.inf
    assert float(curvature) == pytest.approx(verdict.measured, rel=1e-6) and curvature < 0


def test_the_witness_against_symmetry_reproduces():
    verdict = planted.VIOLATORS["a free network as a gradient"]()
    net = nn.Sequential(planted.conv(1, 8), nn.ReLU(), planted.conv(8, 1)).requires_grad_(False)
    x, v = (part[None] for part in verdict.witness)
    _, moved = torch.func.jvp(net, (x,), (v,))
    back = torch.func.vjp(net, x)[1](v)[0]
    assert float((moved - back).norm() / moved.norm()) > 0.5


def test_between_bound_and_measured_value_nothing_is_known():
    verdict = planted.lipschitz(planted.stack(1.0), 0.9)
    assert type(verdict) is Unknown and verdict.measured < 0.9 < verdict.bound


def test_a_bound_below_what_is_attained_is_an_error():
    class Doubled(nn.Module):
        def forward(self, x):
            return 2 * x

    certificates.lipschitz_bound.register(
        Doubled, lambda module, shape: certificates.Bound(1.9, "a wrong rule"))
    with pytest.raises(certificates.BrokenCertificateError, match="a wrong rule"):
        planted.lipschitz(Doubled())


def test_no_rule_no_certificate():
    class Strange(nn.Module):
        def forward(self, x):
            return 0.5 * x

    verdict = planted.lipschitz(Strange())
    assert type(verdict) is Unknown and verdict.bound == math.inf
    assert type(planted.firm(Strange())) is Unknown
    assert type(planted.symmetric(Strange())) is Unknown


def test_random_pairs_pass_what_the_iteration_refutes():
    net, generator = planted.stack(4.0), planted.generator(3)
    x, y = torch.randn(2, 500, 1, 12, 12, dtype=torch.float64, generator=generator)
    ratios = (net(x) - net(y)).flatten(1).norm(dim=1) / (x - y).flatten(1).norm(dim=1)
    assert float(ratios.max()) < 1.0
    assert type(planted.lipschitz(net)) is Refuted


TORCH_LAYERS = {
    "zeros": lambda: nn.Conv2d(2, 3, 3, padding=1),
    "circular": lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"),
    "circular, wide": lambda: nn.Conv2d(2, 3, 3, padding=2, padding_mode="circular"),
    "reflect": lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"),
    "replicate": lambda: nn.Conv2d(2, 3, (3, 5), padding=(1, 2), padding_mode="replicate"),
    "stride": lambda: nn.Conv2d(2, 3, 3, padding=1, stride=2),
    "dilation": lambda: nn.Conv2d(2, 3, 3, padding=2, dilation=2),
    "groups": lambda: nn.Conv2d(2, 4, 3, padding=1, groups=2),
    "transposed": lambda: nn.ConvTranspose2d(2, 3, 3, stride=2),
    "one axis": lambda: nn.Conv1d(2, 3, 3, padding=1),
    "three axes": lambda: nn.Conv3d(2, 1, 3, padding=1, padding_mode="replicate"),
}


@pytest.mark.parametrize("name", TORCH_LAYERS)
def test_bounds_of_torchs_convolutions_are_above_their_dense_norms(name):
    torch.manual_seed(0)
    layer = TORCH_LAYERS[name]().double()
    axes = layer.weight.ndim - 2
    shape = (2, *(4, 5, 3)[:axes])
    unit = torch.eye(math.prod(shape), dtype=torch.float64).reshape(-1, *shape)
    layer.bias.data.zero_()
    true = float(torch.linalg.matrix_norm(layer(unit).flatten(1).detach(), 2))
    bound = certificates.lipschitz_bound(layer, shape)
    assert true <= bound.value <= 2.9 * true
    verdict = certificates.certify_convolution(
        layer, 0.9 * true, shape=shape, generator=planted.generator())
    assert type(verdict) is Refuted and verdict.measured == pytest.approx(true, rel=1e-6)
    if name == "circular":
        assert bound.value == pytest.approx(true, rel=1e-10)


def test_products_of_circular_convolutions_are_exact():
    layers = [planted.conv(1, 3, mode="circular"), planted.conv(3, 2, mode="circular", seed=1)]
    unit = torch.eye(30, dtype=torch.float64).reshape(-1, 1, 5, 6)
    true = float(torch.linalg.matrix_norm(nn.Sequential(*layers)(unit).flatten(1).detach(), 2))
    verdict = certificates.certify_product(
        layers, true * (1 + 1e-9), shape=(1, 5, 6), generator=planted.generator())
    assert type(verdict) is Certified and verdict.bound == pytest.approx(true, rel=1e-10)


def test_single_precision_networks_are_certified_as_well():
    net = nn.Sequential(
        networks.NormalizedConvolution(1, 4, 3, networks.Reflecting(), dimension=2),
        networks.GroupSort(2),
        networks.OrthogonalConvolution(4, 4, 3, networks.Zero(), dimension=2),
        networks.NormalizedConvolution(4, 1, 3, networks.Circular(), dimension=2))
    denoiser = networks.OnImages(networks.Averaged(net), dimension=2)
    verdict = certificates.certify_firmly_nonexpansive(
        denoiser, shape=(9, 8), generator=planted.generator())
    assert type(verdict) is Certified and verdict.bound <= 1


class _Steeper(nn.Conv2d):
    def forward(self, x):
        return super().forward(x) + 1e-3 * x.square()


class _Alternating(nn.Sequential):
    def forward(self, x):
        return super().forward(x).cos()


def _hooked():
    layer = planted.scaled(planted.conv(1, 1, mode="circular"), 0.1)
    layer.register_forward_hook(lambda module, x, y: y.sin())
    return layer


def _replaced():
    layer = planted.conv(1, 1, mode="circular")
    layer.forward = torch.tanh
    return layer


@pytest.mark.parametrize("build", [
    lambda: planted.scaled(_Steeper(1, 1, 3, padding=1, bias=False).double(), 0.01),
    lambda: _Alternating(planted.conv(1, 1)), _hooked, _replaced,
    lambda: nn.Softplus(-1.0), lambda: nn.Softplus(1.0, 2.0),
])  # fmt: skip
def test_rules_are_about_modules_as_their_class_was_written(build):
    """Subclasses, hooks and unusual settings compute something else than the class does."""
    module = build()
    assert certificates.lipschitz_bound(module, planted.SHAPE).value == math.inf
    net = nn.Sequential(nn.Flatten(), nn.Linear(144, 1, dtype=torch.float64), module)
    assert certificates.convexity_bound(net).value == -math.inf
    assert type(planted.separate(module)) is Unknown or isinstance(module, nn.Softplus)


def test_parametrized_weights_keep_their_rule():
    layer = planted.conv(1, 2)
    expected = certificates.lipschitz_bound(layer, planted.SHAPE).value
    nn.utils.parametrize.register_parametrization(layer, "weight", nn.Identity())
    assert certificates.lipschitz_bound(layer, planted.SHAPE).value == expected
