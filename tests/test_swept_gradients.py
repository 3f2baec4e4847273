"""Compiled gradients, lengths of fields and linear proximals of the bridge, against plain forms."""

import numpy as np
import odl
import pytest
import torch

from odl_learned import compiled, operators
from odl_learned.bridge import as_module
from odl_learned.bridge.proximals import as_proximal_module
from odl_learned.compiled import pool
from odl_learned.variational.feasibility import _largest_length


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
@pytest.mark.parametrize("shape", [(1, 6), (6, 1), (2, 2), (200, 90)])
def test_gradients_and_divergences(shape, dtype, threads, monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.setattr(pool, "thread_count", lambda: threads)
    space = odl.uniform_discr([0, 0], [1, 2], shape, dtype=dtype)
    L = 0.3 * operators.gradient(space)
    generator = torch.Generator().manual_seed(0)
    x, p = (torch.randn(5, 2, *lead, *shape, dtype=getattr(torch, dtype), generator=generator)
            for lead in ((), (2,)))  # fmt: skip
    for module, value in ((as_module(L), x), (as_module(L.adjoint), p)):
        want = module(value.clone().requires_grad_()).detach()
        with torch.no_grad():
            got, one = module(value), module(value[3:4])
            turned = module(value.transpose(0, 1).contiguous().transpose(0, 1))
        assert torch.equal(got[3:4], one) and torch.equal(got, turned)
        # three roundings of each of at most four terms
        bound = 12 * torch.finfo(want.dtype).eps * float(want.abs().max())
        torch.testing.assert_close(got, want, rtol=0, atol=bound)


@pytest.mark.parametrize("component", [None, 1])
def test_largest_lengths(component, rng, monkeypatch):
    field = rng.standard_normal((3, 3, 40, 31)).astype("float32")
    field[1, 1, 7, 5] = np.nan
    field[2] = 0
    given = (field, torch.from_numpy(field), torch.from_numpy(field).mT.contiguous().mT)
    found = [_largest_length(part, component) for part in given]
    monkeypatch.setattr(compiled, "is_available", lambda: False)
    want = _largest_length(field, component)
    assert np.isnan(want[1]) and want[2] == 0 and want[0] > 3
    for got in found:
        np.testing.assert_array_equal(got, want)


def test_a_translated_quadratic_moves_towards_its_center(rng):
    """``prox (x) = v + (x - v) / (1 + 2 c s^2 sigma)`` for ``c |s (. - v)|^2``, with its slopes."""
    space = odl.rn(7)
    v = space.element(rng.standard_normal(7))
    f = (0.5 * odl.functionals.L2NormSquared(space) * 3.0).translated(v)
    module = as_proximal_module(f)
    x = torch.from_numpy(rng.standard_normal((4, 7)))
    sigma = torch.tensor([0.1, 1.0, 10.0, 0.3], dtype=torch.float64)
    y = torch.from_numpy(v.data)
    want = y + (x - y) / (1 + 9 * sigma[:, None])
    with torch.no_grad():
        torch.testing.assert_close(module(x, sigma), want, rtol=1e-14, atol=1e-15)
        assert torch.equal(module(x, sigma)[2:3], module(x[2:3], sigma[2:3]))
    one = f.proximal(0.1)(space.element(x[0].numpy())).data
    assert np.allclose(module(x[:1], 0.1)[0], one, rtol=1e-13)
    torch.autograd.gradcheck(module, (x.clone().requires_grad_(), sigma.requires_grad_()))
