"""Energies in closed form against the same formula through autograd, and their constants."""

import math

import numpy as np
import pytest
import scipy.sparse.linalg
import torch
from bilevel_energies import C128, ENERGIES, F64, build, close, formula, norm, real
from rounding import assert_rounded

from odl_learned.energies import FourierSampling, VariationEnergy
from odl_learned.energies.coefficients import Coefficients
from odl_learned.energies.transforms import ForwardDifferences


@pytest.mark.parametrize("name", ENERGIES)
def test_closed_form_agrees_with_autograd(name):
    energy, x, params, data = build(name)
    reference = formula(name)
    close(energy.value(x, params, data), reference.value(x, params, data))
    expected = reference.linearize(x, params, data)
    close(energy.gradient(x, params, data), expected.gradient)
    actual = energy.linearize(x, params, data)
    close(actual.gradient, expected.gradient)
    v = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(5))
    close(actual.hessian(v), expected.hessian(v))
    close(actual.mixed_adjoint(v), expected.mixed_adjoint(v))
    assert actual.mixed_adjoint(v).abs().min() > 0


@pytest.mark.parametrize("name", ENERGIES)
def test_preconditioners_are_symmetric_positive_and_exact_where_they_can_be(name):
    energy, x, params, data = build(name)
    lin = energy.linearize(x, params, data)
    dimension = real(x).shape[1]
    basis = torch.eye(dimension, dtype=F64)
    shape = (dimension, *x.shape[1:])
    if x.is_complex():
        basis = torch.view_as_complex(basis.reshape(*shape, 2))
    basis = basis.reshape(shape)
    one = energy.linearize(x[:1].expand(shape), params, data[:1].expand(shape))
    hessian, inverse = real(one.hessian(basis)), real(one.precondition(basis))
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-12)
    np.testing.assert_allclose(inverse, inverse.T, atol=1e-12)
    assert torch.linalg.eigvalsh(inverse).min() > 0
    if name.startswith("signal") or name in ("wavelets", "sampling, no regularizer"):
        np.testing.assert_allclose(inverse @ hessian, np.eye(dimension), atol=1e-11)
    first = lin.precondition(x)[:1]
    alone = energy.linearize(x[:1], params, data[:1]).precondition(x[:1])
    assert_rounded(first, alone, 1e-12)


@pytest.mark.parametrize("name", ["images, directions apart", "sampling, cubic"])
def test_preconditioners_save_iterations(name):
    """Conjugate gradients at a piecewise constant image need at most 60 % of the iterations."""
    fidelity, _, potential, _, _, dtype, _ = ENERGIES[name]
    shape, params = (16, 16), torch.tensor([0.1, 0.01], dtype=F64)
    mask = (torch.rand(shape, generator=torch.Generator().manual_seed(1)) < 0.4).to(F64)
    weights = mask if isinstance(fidelity, FourierSampling) else None
    energy = VariationEnergy(fidelity, ForwardDifferences(shape), potential,
                             lambda p: Coefficients(p[0], p[1], 0.01, weights))  # fmt: skip
    x = torch.zeros(1, *shape, dtype=dtype)
    x[:, 3:9, 2:7] = 1
    x = (x + 0.005 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))).expand(
        256, *shape)
    basis = torch.eye(256, dtype=F64).reshape(256, *shape).to(dtype)
    lin = energy.linearize(x, params, x)
    hessian, inverse = (product(basis).real.flatten(1).numpy()
                        for product in (lin.hessian, lin.precondition))  # fmt: skip
    right, count = np.random.default_rng(0).standard_normal(256), []
    for preconditioner in (None, inverse):
        steps = []
        _, info = scipy.sparse.linalg.cg(hessian, right, rtol=1e-6, M=preconditioner,
                                         callback=steps.append)
        assert info == 0
        count.append(len(steps))
    assert count[1] <= 0.6 * count[0], count


@pytest.mark.parametrize("name", ENERGIES)
def test_constants_are_bounds(name):
    for seed in range(12):
        energy, x, params, data = build(name, seed, scale=10.0 ** (seed % 4 - 2), size=4)
        mu, lipschitz = energy.strong_convexity(params), energy.lipschitz(params)
        v = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(seed))
        if seed % 2:  # the highest frequency attains the norm of differences
            index = sum(torch.meshgrid(*[torch.arange(n) for n in x.shape[1:]], indexing="ij"))
            v = ((-1.0) ** index).to(x.dtype).expand(x.shape)
        lin = energy.linearize(x, params, data)
        product = lin.hessian(v)
        inner = (real(v) * real(product)).sum(1)
        assert (inner >= 0.999999 * mu * norm(v) ** 2).all()
        assert (norm(product) <= 1.000001 * lipschitz * norm(v)).all()
        third, mixed, jacobian = energy.curvature_constants(params)
        other = x + 10.0 ** (seed % 3 - 2) * torch.randn_like(x)
        there = energy.linearize(other, params, data)
        change, distance = norm(there.hessian(v) - product), norm(other - x)
        assert (change <= 1e-10 + 1.000001 * third * distance * norm(v)).all()
        for i in (0, 1):
            one = energy.linearize(x[i:i + 1], params, data[i:i + 1])
            two = energy.linearize(other[i:i + 1], params, data[i:i + 1])
            q = v[i:i + 1]
            size = float(norm(q))
            slope = one.mixed_adjoint(q)
            assert float(slope.norm()) <= 1.000001 * jacobian * size
            change = float((two.mixed_adjoint(q) - slope).norm())
            assert change <= 1e-10 + 1.000001 * mixed * size * float(distance[i])


def test_the_constants_of_one_parameter_are_attained():
    """Bounds may be large, but not by more than what a random search finds."""
    energy, _, params, data = build("signal, one parameter", size=1)
    flat = torch.zeros_like(data)
    lin = energy.linearize(flat, params, data)
    v = torch.sin(math.pi * 17 / 19 * torch.arange(1, 10, dtype=F64))[None]
    assert float(norm(lin.hessian(v)) / norm(v)) > 0.999 * energy.lipschitz(params)


def test_float32_agrees_with_float64_within_the_rounding_bound():
    for name in ENERGIES:
        if "wavelet" in name:
            continue
        for seed in range(5):
            energy, x, params, data = build(name, seed, scale=10.0 ** (seed % 4 - 2))
            single = torch.complex64 if x.is_complex() else torch.float32
            x, data = x.to(single), data.to(
                torch.complex64 if data.is_complex() else torch.float32)
            double = torch.complex128 if data.is_complex() else F64
            exact = energy.gradient(x.to(C128 if x.is_complex() else F64), params,
                                    data.to(double))
            slope = energy.gradient(x, params, data)
            assert slope.dtype == single
            error = norm(slope.to(exact.dtype) - exact)
            bound = energy.rounding(x, params, data)
            assert (error <= bound).all(), name
            assert (bound < 3e-3 * (1 + norm(exact))).all(), name
