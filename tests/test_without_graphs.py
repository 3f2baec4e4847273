"""Modules on plain tensors: what is written in place or compiled, against what autograd sees."""

import numpy as np
import odl
import pytest
import torch
from rounding import assert_rounded

from odl_learned import compiled
from odl_learned.bridge import as_module, as_proximal_module
from odl_learned.operators import gradient


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(5, 7), (2, 2), (1, 4), (6,), (3, 4, 2)])
def test_batches_without_graphs_have_the_numbers_of_those_with(shape, dtype, rng, monkeypatch):
    """Gradients and divergences have the same bits; torch's roots are off by a unit of the last."""
    space = odl.uniform_discr([0] * len(shape), [1.3 * n for n in shape], shape, dtype=dtype)
    D = gradient(space)
    v = 2 * torch.from_numpy(rng.standard_normal((3, len(shape), *shape)).astype(dtype))
    v[0, :, 0] = 0
    for module, point in ((as_module(D), v[:, 0]), (as_module(D.adjoint), v)):
        with torch.no_grad():
            assert torch.equal(module(point), module(point.clone().requires_grad_()))
    project = as_proximal_module(odl.functionals.IndicatorGroupL1UnitBall(D.range))
    with torch.no_grad():
        found, alone = project(v, 0.5), project(v[1:2], 0.5)
    assert torch.equal(found[1:2], alone)
    length = np.sqrt((v.double().numpy() ** 2).sum(1, keepdims=True))
    eps = 4 * torch.finfo(v.dtype).eps
    assert_rounded(found.double().numpy(), v.double().numpy() / np.maximum(length, 1), eps)
    assert_rounded(found, project(v.clone().requires_grad_(), 0.5), eps)
    assert_rounded(torch.func.vmap(lambda x: project(x, 0.5))(v), found, eps)
    # a multiple of the norm has the ball of another radius as its conjugate
    multiple = as_proximal_module((0.3 * odl.functionals.GroupL1Norm(D.range)).convex_conj)
    with torch.no_grad():
        smaller = multiple(v, 0.5)
    assert_rounded(smaller, multiple(v.clone().requires_grad_(), 0.5), eps)
    monkeypatch.setattr(compiled, "is_available", lambda: False)
    with torch.no_grad():
        assert_rounded(project(v, 0.5), found, eps)
        assert_rounded(multiple(v, 0.5), smaller, eps)
