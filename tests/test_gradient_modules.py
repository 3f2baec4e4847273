"""Gradients of functionals as torch modules, against ODL and autograd."""

import instances
import numpy as np
import odl
import pytest
import torch
from instances.spaces import GRAD, PAIR, RA, XC, F, X
from proximal_cases import batch, leaves

from odl_learned import functionals
from odl_learned.bridge import BatchSpace, as_gradient_module, as_module
from odl_learned.bridge.gradients import Gradient
from odl_learned.bridge.layouts.nested import each
from odl_learned.conformance.sampling import flat, positive, precision, sample
from odl_learned.conformance.tensors import as_tensor, entries, stack
from odl_learned.operators import mask_operator, random_element

GRADIENTS = [name for name in instances.FUNCTIONALS if name not in ("as_functional",)]


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient_equals_that_of_odl(name, rng):
    f = instances.FUNCTIONALS[name]()
    try:
        f.gradient
    except NotImplementedError:
        with pytest.raises(NotImplementedError, match="ODL has no gradient"):
            as_gradient_module(f)
        return
    samples = [sample(f, rng) for _ in range(3)]
    y = as_gradient_module(f)(stack(*[as_tensor(f, x) for x in samples]))
    try:
        expected = [flat(f.gradient(x)) for x in samples]
    except NotImplementedError:
        return
    for i, e in enumerate(expected):
        got = entries(each(lambda t: t[i], y))
        assert np.abs(got - e).max() <= 10 * precision(f) * positive(np.abs(e).max())


@pytest.mark.parametrize("space", [X, RA, XC, PAIR], ids=["X", "array", "complex", "pair"])
def test_derivatives_of_gradients(space):
    f = F.L2NormSquared(space) + 0.5 * F.L1Norm(space)
    module, (_, x) = as_gradient_module(f), batch(f, 2)
    inputs = tuple(part.requires_grad_() for part in leaves(x))

    def function(*parts):
        return module(parts if isinstance(x, tuple) else parts[0])

    torch.autograd.gradcheck(function, inputs, fast_mode=True)
    torch.autograd.gradgradcheck(function, inputs, fast_mode=True)


@pytest.mark.parametrize("space", [X, RA, XC], ids=["X", "array", "complex"])
def test_expressions_follow_the_chain_rule(space, rng):
    """No backward pass of autograd where functionals and operators have rules."""
    mask = mask_operator(space, rng.random(space.shape) < 0.5)
    data = random_element(mask.range, rng)
    f = 0.3 * functionals.l2_fidelity(data) * mask + 2 * F.L2NormSquared(space).translated(
        random_element(space, rng)) + 1.5  # fmt: skip
    module = as_gradient_module(f)
    assert not any(isinstance(part, Gradient) for part in module.modules())
    _, x = batch(f)
    (euclidean,) = torch.autograd.grad(as_module(f)(x.requires_grad_()).sum(), x)
    expected = BatchSpace(space).layout.unweigh(euclidean)
    torch.testing.assert_close(module(x), expected, rtol=1e-13, atol=1e-13)


def test_without_rules_for_both_sides_autograd_has_the_gradient(rng):
    f = functionals.l2_fidelity(random_element(X, rng)) * Flip()
    assert isinstance(as_gradient_module(f).native, Gradient)
    x = random_element(X, rng)
    expected = as_tensor(f, f.gradient(x))
    torch.testing.assert_close(as_gradient_module(f)(as_tensor(f, x)), expected)


class Flip(odl.Operator):
    """Without a rule in the bridge."""

    def __init__(self):
        super().__init__(X, X, linear=True)

    def _call(self, x):
        return X.element(x.data[::-1].copy())

    @property
    def adjoint(self):
        return self


def test_gradient_module_is_the_derivative_of_the_functional():
    f = functionals.SmoothedTV(X, 0.7, 0.1, 0.01)
    _, x = batch(f)
    weight = float(X.weighting.const)
    x.requires_grad_()
    (euclidean,) = torch.autograd.grad(as_module(f)(x).sum(), x, create_graph=True)
    torch.testing.assert_close(weight * as_gradient_module(f)(x), euclidean)
    none = as_gradient_module(f)(x[:0])
    assert none.shape == (0, 5, 7)
    with pytest.raises(TypeError, match="expected an ODL functional"):
        as_gradient_module(GRAD)
