"""Certificates on random problems: how often a bound is below the error, and how far above it."""

import numpy as np
import torch

import odl_learned  # noqa: F401  (imports odl first)
from odl_learned.energies import Denoising, FourierSampling, VariationEnergy
from odl_learned.energies.coefficients import natural, squared_weights
from odl_learned.energies.potentials import Charbonnier
from odl_learned.energies.transforms import ForwardDifferences
from odl_learned.learning.bilevel import BilevelProblem, SquaredError
from odl_learned.learning.bilevel.hypergradients import Implicit
from odl_learned.learning.bilevel.lower import Accelerated, LowerLevel, Newton

NAMES = "x", "f", "hypergradient"


def certificates(cases=200, seed=0):
    """Violations, and medians of bound over error, of reconstruction, value and hypergradient."""
    rng = np.random.default_rng(seed)
    ratios = np.array([_case(rng) for _ in range(cases)])
    found = {f"tightness_{name}": float(np.median(column))
             for name, column in zip(NAMES, ratios.T, strict=True)}  # fmt: skip
    return found | {"certificate_violations": int((ratios < 1).sum())}


def _case(rng):
    """Bounds over errors of one random problem; a violation is a number below one."""
    shape = tuple(rng.integers(8, 25, 2))
    problem, params = rng.choice([_denoising, _sampling])(rng, shape)
    accuracy = 10 ** rng.uniform(-5, -2)
    scheme = Accelerated() if rng.random() < 0.5 else Newton()
    found = Implicit()(LowerLevel(problem, scheme), params, accuracy, accuracy)
    exact = Implicit()(LowerLevel(problem, Newton()), params, 1e-11, 1e-11)
    lower = LowerLevel(problem, scheme).solve(params, accuracy)
    errors = (lower.x - exact.x).abs().flatten(1).norm(dim=1).numpy()
    slack = 1e-11  # of the exact solution
    return (float(np.min((lower.error_bound + slack) / np.maximum(errors, 1e-300))),
            (found.value_bound + exact.value_bound) / max(abs(found.value - exact.value), 1e-300),
            (found.gradient_bound + exact.gradient_bound)
            / max(float((found.gradient - exact.gradient).norm()), 1e-300))  # fmt: skip


def _denoising(rng, shape):
    truth = torch.as_tensor(rng.standard_normal((2, *shape)).cumsum(1).cumsum(2) / 10)
    data = truth + 0.1 * torch.as_tensor(rng.standard_normal(truth.shape))
    energy = VariationEnergy(Denoising(), ForwardDifferences(shape), Charbonnier(), natural)
    params = torch.as_tensor(rng.uniform([-3, -4], [0, -1]))
    return BilevelProblem(energy, data, SquaredError(truth), data.clone()), params


def _sampling(rng, shape):
    real, imaginary = torch.as_tensor(rng.standard_normal((2, 2, *shape)).cumsum(2) / 5)
    truth = torch.complex(real, imaginary)
    data = torch.fft.fft2(truth, norm="ortho") + 0.05 * torch.as_tensor(
        rng.standard_normal(truth.shape))  # fmt: skip
    energy = VariationEnergy(FourierSampling(), ForwardDifferences(shape), Charbonnier(),
                             squared_weights(shape, 0.05, 1e-2))  # fmt: skip
    params = torch.as_tensor(np.append(rng.uniform(0, 1, truth[0].numel()),
                                       10 ** rng.uniform(-3, -1)))
    return BilevelProblem(energy, data, SquaredError(truth), torch.zeros_like(data)), params
