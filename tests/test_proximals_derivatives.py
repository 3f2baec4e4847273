"""Derivatives of proximal modules in the point and in the step, and their transforms."""

import numpy as np
import pytest
import torch
from instances.spaces import F, R
from proximal_cases import CASES, DOUBLE, batch, leaves

from odl_learned.bridge import as_proximal_module
from odl_learned.bridge.layouts.nested import each
from odl_learned.conformance.tensors import entries


@pytest.mark.parametrize("name", DOUBLE)
def test_derivatives_in_the_point_and_in_the_step(name):
    f = CASES[name]()
    _, x = batch(f, 2)
    steps = torch.tensor([0.4, 0.9], dtype=torch.float64, requires_grad=True)
    module = as_proximal_module(f)
    inputs = tuple(part.requires_grad_() for part in leaves(x))

    def function(steps, *parts):
        rest = iter(parts)
        return tuple(leaves(module(each(lambda _: next(rest), x), steps)))

    if not any(part.requires_grad for part in leaves(function(steps, *inputs))):
        assert "zero indicator" in name
        return
    torch.autograd.gradcheck(function, (steps, *inputs), fast_mode=True)
    torch.autograd.gradgradcheck(function, (steps, *inputs), fast_mode=True)


@pytest.mark.parametrize("name", DOUBLE)
def test_vmap_and_jvp(name):
    f = CASES[name]()
    _, x = batch(f, 2)
    steps = torch.tensor([0.4, 0.9], dtype=torch.float64)
    module = as_proximal_module(f)
    mapped = torch.func.vmap(module)(x, steps)
    np.testing.assert_allclose(entries(mapped), entries(module(x, steps)), rtol=0, atol=1e-12)
    y, dy = torch.func.jvp(lambda x: module(x, steps), (x,), (x,))
    h = 1e-6
    around = [entries(module(each(lambda part, s=s: (1 + s * h) * part, x), steps))
              for s in (1, -1)]
    np.testing.assert_allclose(entries(dy), (around[0] - around[1]) / (2 * h), atol=1e-6)


def test_gradient_where_the_prior_vanishes():
    f = F.KullbackLeibler(R, prior=R.zero())
    x = torch.tensor([-1.0, 0.5, 0.7, 2.0], dtype=torch.float64, requires_grad=True)
    (g,) = torch.autograd.grad(as_proximal_module(f)(x, 0.5).sum(), x)
    assert torch.equal(g, torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=torch.float64))
