"""Potentials of lower levels: their constants and proximals."""

import math

import numpy as np
import pytest
import torch
from bilevel_energies import F64

from odl_learned.energies.potentials import (
    Charbonnier,
    CubicAbsolute,
    HalfSquare,
    HuberPotential,
)


@pytest.mark.parametrize("potential", [Charbonnier(), CubicAbsolute(), HalfSquare()])
def test_constants_of_potentials(potential):
    """On a fine grid of lengths, in one dimension, by differences of the formulas."""
    for nu in (0.3, 2.0):
        t = torch.linspace(1e-4, 8 * nu, 40001, dtype=F64)
        h = t[1] - t[0]
        n = torch.tensor(nu, dtype=F64)
        phi = potential.value(t**2, n)
        w, k = potential.weight_and_curvature(t**2, n)
        first, second = w * t, w + k * t**2
        np.testing.assert_allclose((phi[2:] - phi[:-2]) / (2 * h), first[1:-1], atol=1e-6)
        np.testing.assert_allclose((first[2:] - first[:-2]) / (2 * h), second[1:-1], atol=1e-3)
        step = 1e-5
        slope = (potential.weight(t**2, n + step) - potential.weight(t**2, n - step)) / (2 * step)
        np.testing.assert_allclose(potential.weight_slope(t**2, n), slope, atol=1e-3 / nu)
        bounds = potential.constants(nu)
        for values, bound in (
            (first, bounds.slope), (second, bounds.curvature),
            ((second[1:] - second[:-1]) / h, bounds.third),
            (t * potential.weight_slope(t**2, n), bounds.slope_in_nu),
            ((t * potential.weight_slope(t**2, n)).diff() / h, bounds.curvature_in_nu),
        ):  # fmt: skip
            largest = float(values.abs().max())
            assert largest <= bound * (1 + 1e-9)
            if bound and math.isfinite(bound):
                assert largest >= 0.98 * bound
        flat = torch.zeros(3, dtype=F64)
        assert all(torch.isfinite(z).all() for z in potential.weight_and_curvature(flat, n))


@pytest.mark.parametrize("potential", [Charbonnier(), CubicAbsolute(), HalfSquare(),
                                       HuberPotential()])
@pytest.mark.parametrize("dtype", [F64, torch.float32])
def test_proximals_of_potentials_solve_their_equation(potential, dtype):
    for nu in (1e-6, 0.3, 2.0):
        for step in (1e-3, 1.0, 50.0):
            lengths = torch.cat([torch.logspace(-8, 3, 60), torch.tensor([0.0])]).to(dtype)
            t = potential.proximal(lengths, step, nu)
            assert t.dtype == dtype and (t >= 0).all()
            again = t + step * potential.weight(t * t, nu) * t
            np.testing.assert_allclose(again, lengths, rtol=100 * torch.finfo(dtype).eps,
                                       atol=1e-30)  # fmt: skip
