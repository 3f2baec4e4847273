"""Ridge energies against their formula, and their constants."""

import numpy as np
import pytest
import scipy.ndimage
import torch
from bilevel_energies import F64, close

from odl_learned.energies.filters import RidgeEnergy


def ridge(dtype=F64):
    """An energy of three filters with two scales each, and random parameters."""
    energy = RidgeEnergy((6, 7), (3, 3, 2), (0.05, 0.5), 0.1)
    generator = torch.Generator().manual_seed(0)
    filters = torch.randn(3, 3, 2, dtype=F64, generator=generator)
    filters -= filters.mean((1, 2), keepdim=True)
    filters /= filters.square().sum((1, 2), keepdim=True).sqrt()
    weights = 0.1 + torch.rand(3, 2, dtype=F64, generator=generator)
    x, data = torch.randn(2, 2, 6, 7, dtype=dtype, generator=generator)
    return energy, x, energy.params(filters, weights), data, filters, weights


def test_ridge_energies_are_their_formula():
    energy, x, params, data, filters, weights = ridge()
    value = 0.5 * (x - data).square().sum((1, 2)) + 0.05 * x.square().sum((1, 2))
    for k in range(3):
        response = torch.from_numpy(np.stack([
            scipy.ndimage.correlate(image, filters[k].numpy(), mode="reflect")
            for image in x.numpy()]))  # fmt: skip
        for weight, nu in zip(weights[k], (0.05, 0.5), strict=True):
            value = value + weight * ((response**2 + nu**2).sqrt() - nu).sum((1, 2))
    close(energy.value(x, params, data), value)
    raw = energy.params(5 * filters + 0.7, weights)
    for got, expected in zip(energy.split(raw), (filters, weights), strict=True):
        close(got, expected)


def test_ridge_energies_have_constants_that_bound_their_spectrum():
    energy, x, params, data, *_ = ridge()
    basis = torch.eye(42, dtype=F64).reshape(42, 6, 7)
    flat = energy.linearize(torch.zeros_like(basis), params, torch.zeros_like(basis))
    spectrum = torch.linalg.eigvalsh(flat.hessian(basis).flatten(1))
    # Filters without symmetry are up to four times below the bound.
    assert 0.25 * energy.lipschitz(params) < spectrum[-1] <= energy.lipschitz(params)
    rough = energy.linearize(x[:1].expand(42, 6, 7), params, data[:1].expand(42, 6, 7))
    spectrum = torch.linalg.eigvalsh(rough.hessian(basis).flatten(1))
    assert energy.strong_convexity(params) == 1.1 and spectrum[0] >= 1.1 - 1e-12
    assert spectrum[-1] < energy.lipschitz(params)
    with pytest.raises(ValueError, match="filters.*expected"):
        energy.params(torch.zeros(3, 3, 3), torch.ones(3, 2))
    with pytest.raises(ValueError, match="weights.*positive"):
        energy.params(torch.zeros(3, 3, 2), torch.zeros(3, 2))
    with pytest.raises(ValueError, match="filters has a constant filter"):
        energy.params(torch.ones(3, 3, 2), torch.ones(3, 2))
