"""Modules that mix the samples of a batch are found where they meet a space."""

import random

import numpy as np
import odl
import pytest
import torch
from torch import nn

from odl_learned import networks, reconstruction
from odl_learned.bridge import (
    ImplicitRegularizer,
    as_functional,
    as_module,
    as_operator,
    as_proximal,
    as_stepped_proximal,
)
from odl_learned.learning import train

SIGNALS = odl.uniform_discr(0, 1, 12)
IMAGES = odl.uniform_discr([0, 0], [1, 1], (6, 5))
VOLUMES = odl.uniform_discr([0] * 3, [1] * 3, (4, 3, 5))
SPACES = [SIGNALS, IMAGES, VOLUMES]


def network(dimension, kind=networks.CNN, channels=1):
    """As it is made: its last layer is zero, and nothing of its axes can be seen."""
    generator = torch.Generator().manual_seed(0)
    return kind(channels, channels, 4, 2, dimension=dimension, generator=generator).double()


def on_images(dimension, kind=networks.CNN, channels=1):
    return networks.OnImages(network(dimension, kind, channels), dimension=dimension)


class Stepped(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, sigma):
        return self.net(x)


class Sum(nn.Module):
    """A value per sample, behind a network."""

    def __init__(self, net, axes):
        super().__init__()
        self.net, self.axes = net, axes

    def forward(self, x):
        return self.net(x).abs().sum(self.axes)


def unrolled(space, step):
    identity = odl.IdentityOperator(space)
    return reconstruction.LearnedProximalGradient(as_module(identity), as_module(identity), [step])


def trained(space, step):
    """Training of a map that knows no space, so that only the pairs can tell."""
    model = reconstruction.LearnedProximalGradient(nn.Identity(), nn.Identity(), [step])
    pair = space.element(np.random.default_rng(0).random(space.shape)).data
    return train(model, [(pair, pair)] * 3, steps=1, progress=False,
                 optimizer=torch.optim.SGD(model.parameters(), 0.1))  # fmt: skip


def memory_step(dimension):
    net = networks.CNN(3, 2, 4, 2, dimension=dimension).double()
    return reconstruction.MemoryStep(net, 1, 0.1, dimension=dimension)


def gradient_step(dimension):
    return reconstruction.GradientStep(on_images(dimension, networks.ResidualCNN), 0.1)


MEETINGS = {
    "operator": lambda space, d: as_operator(on_images(d), space, space),
    "residual": lambda space, d: as_operator(on_images(d, networks.ResidualCNN), space, space),
    "functional": lambda space, d: as_functional(
        Sum(on_images(d), tuple(range(-len(space.shape), 0))), space),
    "proximal": lambda space, d: as_proximal(on_images(d), space),
    "stepped": lambda space, d: as_stepped_proximal(Stepped(on_images(d)), space),
    "regularizer": lambda space, d: ImplicitRegularizer(as_proximal(on_images(d), space)),
    "gradient step": lambda space, d: unrolled(space, gradient_step(d)),
    "memory step": lambda space, d: unrolled(space, memory_step(d)),
    "training": lambda space, d: trained(space, memory_step(d)),
}


@pytest.mark.parametrize("meet", MEETINGS.values(), ids=MEETINGS)
@pytest.mark.parametrize("space", SPACES, ids=["signals", "images", "volumes"])
def test_the_dimension_is_that_of_the_space(space, meet):
    meet(space, len(space.shape))


@pytest.mark.parametrize("meet", MEETINGS.values(), ids=MEETINGS)
@pytest.mark.parametrize("dimension", [2, 3])
def test_a_batch_axis_taken_for_an_axis_of_the_image_is_an_error(meet, dimension):
    space = SPACES[dimension - 2]
    pattern = r"relative difference is \d.*, expected at most 0.001.*dimension of the space"
    with pytest.raises(ValueError, match=pattern):
        meet(space, dimension)


def test_complex_images_and_tuples():
    space = odl.uniform_discr(0, 1, 12, dtype="complex128")
    as_operator(on_images(1, channels=2), space, space)
    with pytest.raises(ValueError, match="relative difference"):
        as_operator(on_images(2, channels=2), space, space)
    pair = odl.ProductSpace(SIGNALS, odl.rn(3))

    class Both(nn.Module):
        def __init__(self, scale):
            super().__init__()
            self.scale = scale

        def forward(self, x):
            return x[0], x[1] + self.scale * x[0].mean()

    as_operator(Both(0), pair, pair)
    with pytest.raises(ValueError, match="relative difference"):
        as_operator(Both(1), pair, pair)


class Body(nn.Module):
    """Two layers with something between them."""

    def __init__(self, between, dimension=2):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), between, nn.Conv2d(4, 1, 3, padding=1))  # fmt: skip

    def forward(self, x):
        return self.layers(x.unsqueeze(1)).squeeze(1)


@pytest.mark.parametrize("between", [nn.BatchNorm2d(4), nn.Dropout(0.5)], ids=["norm", "dropout"])
def test_training_mode_is_an_error_and_evaluation_mode_is_not(between):
    model = Body(between).double()
    kind = type(between).__name__
    for part in (model, between):  # also if one part alone was forgotten
        model.eval()
        part.train()
        with pytest.raises(ValueError, match=rf"in training mode.*{kind}.*module.eval\(\) first"):
            as_operator(model, IMAGES, IMAGES)
        assert part.training
    as_operator(model.eval(), IMAGES, IMAGES)
    # In training it is as it should be: a step is made.
    pair = np.ones(IMAGES.shape)
    train(model, [(pair, pair)] * 3, steps=1, batch_size=2, progress=False,
          optimizer=torch.optim.SGD(model.parameters(), 0.1))  # fmt: skip


def test_batch_normalization_that_needs_a_batch_says_what_to_do():
    model = nn.BatchNorm1d(12).double()
    with pytest.raises(ValueError, match="fails on one sample.*more than 1 value.*eval"):
        as_operator(model, SIGNALS, SIGNALS)


class Given(nn.Module):
    """A module of a function."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.gate = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, x):
        return self.function(self, x)


def lost(module, x):
    raise RuntimeError("CUDA out of memory" if len(x) == 1 else "lost")


@pytest.mark.parametrize(("function", "pattern"), [
    (lambda module, x: x - x.mean(), "relative difference"),
    (lambda module, x: x + module.gate * x.mean(0), "relative difference"),  # a gate that is shut
    (lambda module, x: x.cumsum(0), "relative difference"),
    (lambda module, x: x.reshape(1, 12), r"fails on a batch of two samples .*invalid for input"),
    (lambda module, x: x[:1], r"mapped to the shape \(1, 12\)"),
    (lambda module, x: x / (len(x) == 1), "difference is inf"),
])  # fmt: skip
def test_other_ways_to_mix(function, pattern):
    with pytest.raises(ValueError, match=pattern):
        as_operator(Given(function), SIGNALS, SIGNALS)


def test_what_cannot_be_compared_is_let_through():
    as_operator(Given(lambda module, x: x + torch.randn_like(x)), SIGNALS, SIGNALS)  # a sampler
    as_operator(Given(lambda module, x: (x - 2).log()), SIGNALS, SIGNALS)  # NaN, both ways
    as_operator(Given(lost), SIGNALS, SIGNALS)  # fails on one sample: on call, that is said
    as_operator(nn.LazyLinear(12), SIGNALS, SIGNALS)
    as_operator(on_images(1).to("meta"), SIGNALS, SIGNALS)

    def no_memory(module, x):
        if len(x) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return x

    as_operator(Given(no_memory), SIGNALS, SIGNALS)


def test_nothing_is_changed_by_the_comparison():
    model = Body(nn.Sequential(nn.BatchNorm2d(4), nn.Dropout(0.5))).double()
    model.layers[1][1].eval()
    nn.init.zeros_(model.layers[2].weight)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    expected = torch.rand(2), np.random.rand(), random.random()
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    modes = [part.training for part in model.modules()]
    with pytest.raises(ValueError, match="BatchNorm2d"):
        as_operator(model, IMAGES, IMAGES)
    as_operator(Given(lambda module, x: x + random.random() + np.random.rand()), SIGNALS, SIGNALS)
    assert [part.training for part in model.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    found = torch.rand(2), np.random.rand(), random.random()
    assert torch.equal(found[0], expected[0]) and found[1:] == expected[1:]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_step_that_is_used_several_times_keeps_its_weights():
    """`torch.func.functional_call` would leave the numbers of the comparison in it."""
    step = reconstruction.MemoryStep(network(2, channels=2), 0, 0.1, dimension=2)
    step.net = nn.Sequential(networks.CNN(2, 1, 4, 2).double(), nn.BatchNorm2d(1).double())
    expected = {name: tensor.clone() for name, tensor in step.state_dict().items()}
    kept = list(step.parameters())
    op = as_module(odl.IdentityOperator(IMAGES))
    model = reconstruction.LearnedProximalGradient(op, op, [step] * 3)
    as_operator(model.eval(), IMAGES, IMAGES)
    assert all(p is q for p, q in zip(step.parameters(), kept, strict=True))
    assert all(torch.equal(t, expected[name]) for name, t in step.state_dict().items())


def test_a_weight_of_several_parts_is_shown_in_all_of_them():
    """Behind a zero in one of two places that share it, nothing of the mixing would be seen."""
    first, second = nn.Linear(5, 5, bias=False).double(), nn.Linear(5, 5, bias=False).double()
    nn.init.zeros_(first.weight)
    second.weight = first.weight

    class Mixes(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = first, second

        def forward(self, x):
            return x + self.second(self.first(x) - self.first(x).mean(0))

    with pytest.raises(ValueError, match="in a batch of two"):
        as_operator(Mixes(), IMAGES, IMAGES)
    assert not first.weight.any() and second.weight is first.weight


def test_scripted_modules():
    for body in (nn.Identity(), nn.Dropout(0.5), nn.BatchNorm2d(4)):
        script = torch.jit.script(Body(body).double().eval())
        as_operator(script, IMAGES, IMAGES)
    script.train()
    state = {name: value.clone() for name, value in script.state_dict().items()}
    with pytest.raises(ValueError, match="in training mode"):
        as_operator(script, IMAGES, IMAGES)
    assert all(torch.equal(value, state[name]) for name, value in script.state_dict().items())
    with pytest.raises(ValueError, match="relative difference"):
        as_operator(torch.jit.trace(Given(lambda module, x: x - x.mean()),
                                    torch.ones(3, 12).double()), SIGNALS, SIGNALS)  # fmt: skip


def test_it_costs_two_evaluations_and_steps_of_a_proximal_none():
    sizes = []

    def counted(module, x):
        sizes.append(len(x))
        return x

    as_operator(Given(counted), SIGNALS, SIGNALS)
    assert sizes == [1, 2]
    factory = as_stepped_proximal(Stepped(Given(counted)), SIGNALS)
    for sigma in (0.1, 0.2, 0.3):
        factory(sigma)
    assert sizes == [1, 2, 1, 2]
    as_operator(as_module(odl.IdentityOperator(SIGNALS)), SIGNALS, SIGNALS)  # known by its kind
