"""Checkpointed steps have the values and gradients of the steps, and keep less."""

import pytest
import torch
from instances.modules import IMAGE, MASK, net
from torch import nn

from odl_learned import bridge, networks
from odl_learned.reconstruction import Checkpointed, GradientStep, LearnedProximalGradient


def unrolled(wrap, count=4, dropout=0.0):
    def step():
        network = nn.Sequential(networks.OnImages(net(1, 1), dimension=2), nn.Dropout(dropout))
        return wrap(GradientStep(network, 0.5))

    return LearnedProximalGradient(
        bridge.as_module(MASK), bridge.as_module(MASK.adjoint), [step() for _ in range(count)])


def plain(step):
    return step


def gradients(model, data):
    torch.manual_seed(0)
    y = data.clone().requires_grad_()
    value = model(y).square().sum()
    return value, torch.autograd.grad(value, [y, *model.parameters()])


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_values_and_gradients_have_the_same_bits(dropout):
    data = torch.stack([IMAGE, -0.5 * IMAGE])
    expected, found = (gradients(unrolled(wrap, dropout=dropout), data)
                       for wrap in (plain, Checkpointed))
    assert torch.equal(found[0], expected[0])
    assert all(torch.equal(*pair) for pair in zip(found[1], expected[1], strict=True))


def saved(model, data):
    """Bytes that a forward pass saves for the backward pass."""
    sizes = {}

    def pack(x):
        sizes[x.data_ptr()] = x.numel() * x.element_size()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        value = model(data.clone().requires_grad_()).sum()
    value.backward()
    return sum(sizes.values())


def test_the_inside_of_a_step_is_not_kept():
    """Of a step, its inputs remain, the image and the gradient; and once the mask of A."""
    data = torch.stack([IMAGE] * 8)
    kept = [[saved(unrolled(wrap, count), data) for count in (1, 4)]
            for wrap in (plain, Checkpointed)]
    image = data.numel() * data.element_size()
    assert kept[0][1] - kept[0][0] > 3 * 8 * image  # four channels of two hidden layers, at least
    assert kept[1][1] - kept[1][0] <= 3 * 2 * image + IMAGE.numel() * IMAGE.element_size()


def test_it_comes_back_as_an_operator_and_has_second_derivatives():
    model, expected = (unrolled(wrap, 2) for wrap in (Checkpointed, plain))
    op, twin = (bridge.as_operator(m, MASK.range, MASK.domain) for m in (model, expected))
    y = MASK.range.element(IMAGE.numpy())
    h = MASK.domain.element(IMAGE.numpy() ** 2)
    assert op(y) == twin(y)
    assert op.derivative(y)(y) == twin.derivative(y)(y)
    assert op.derivative(y).adjoint(h) == twin.derivative(y).adjoint(h)
    step = Checkpointed(nn.Sequential(nn.Linear(3, 3), nn.Tanh()).double())
    x = IMAGE[:2, :3].clone().requires_grad_()
    assert torch.autograd.gradgradcheck(step, (x,))


def test_functional_call_differentiates_at_the_parameters_that_it_was_given():
    step = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    x = IMAGE[:2, :3]
    found = []
    for module, prefix in ((step, ""), (Checkpointed(step), "step.")):
        given = {prefix + name: (2 * p.detach()).requires_grad_()
                 for name, p in step.named_parameters()}  # fmt: skip
        torch.func.functional_call(module, given, (x,)).sum().backward()
        found.append([p.grad for p in given.values()])
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


def test_errors():
    with pytest.raises(TypeError, match="expected a torch module, such as a GradientStep"):
        Checkpointed(lambda u: u)
    with pytest.raises(ValueError, match="part '1' of the step is a BatchNorm1d"):
        Checkpointed(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)))
