"""Lowered and wrapped modules in files: copies, pickles, state."""

import copy
import functools
import io
import pickle

import instances
import numpy as np
import pytest
import torch
from bridge_comparison import nodes
from instances.spaces import GRAD, XC, F, V, X, element
from wrapped_networks import Integral, SteppedThreshold, channels_net, image_net

from odl_learned.bridge import (
    ImplicitRegularizer,
    as_functional,
    as_module,
    as_operator,
    as_proximal,
    as_stepped_proximal,
)
from odl_learned.conformance.sampling import flat, sample
from odl_learned.conformance.tensors import as_tensor, entries, stack

build = functools.cache(lambda table, name: getattr(instances, table)[name]())
NAMES = [(table, name) for table in ("OPERATORS", "FUNCTIONALS")
         for name in getattr(instances, table)]


def saved(obj):
    """The object as torch.save and torch.load return it."""
    file = io.BytesIO()
    torch.save(obj, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES = {"pickle": lambda obj: pickle.loads(pickle.dumps(obj)), "deepcopy": copy.deepcopy,
          "torch.save": saved}


def learned(op):
    """What an operator learned: the parameters of the torch modules that it holds."""
    modules = [value for node in nodes(op) for value in vars(node).values()
               if isinstance(value, torch.nn.Module)]
    return {id(parameter) for module in modules for parameter in module.parameters()}


# A copy computes the same operations on tensors of the same shapes: the same bits (`rounding`).
@pytest.mark.parametrize("how", ["pickle", "deepcopy"])
@pytest.mark.parametrize(("table", "name"), NAMES, ids=[name for _, name in NAMES])
def test_lowered_modules_are_copied_and_their_state_is_what_was_learned(table, name, how, rng):
    op = build(table, name)
    module = as_module(op)
    x = stack(as_tensor(op, sample(op, rng)))
    expected = entries(module(x))
    other = COPIES[how](module)
    assert np.array_equal(entries(other(x)), expected, equal_nan=True)
    state = {id(value) for value in module.state_dict(keep_vars=True).values()}
    assert state == learned(op), "operators are given by their formula, not by a checkpoint"


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
