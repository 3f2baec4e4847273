"""Hypergradients of every converging mode against differences, dense matrices, published ones."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypergradient_problems import PROBLEMS, denoising, odds, step

from odl_learned.energies import FourierSampling, VariationEnergy
from odl_learned.energies.coefficients import Coefficients
from odl_learned.energies.potentials import CubicAbsolute
from odl_learned.energies.transforms import ForwardDifferences
from odl_learned.learning.bilevel import BilevelProblem, SquaredError
from odl_learned.learning.bilevel.hypergradients import (
    Direct,
    Implicit,
    Piggyback,
    Unrolled,
    check_hypergradient,
)
from odl_learned.learning.bilevel.hypergradients.unrolled import plain
from odl_learned.learning.bilevel.lower import LowerLevel

# Condition numbers are at most 90: after 250 accelerated steps, errors are below 1e-9.
MODES = {
    "implicit": Implicit(),
    "direct": Direct(),
    "unrolled": Unrolled(250),
    "piggyback": Piggyback(1000),
}


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("mode", MODES)
def test_hypergradients_agree_with_differences(mode, name, rng):
    """Of the value at exact reconstructions."""
    problem, params = PROBLEMS[name](rng)
    check_hypergradient(problem, params, MODES[mode], rng, 1e-6, step(problem))


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("mode", [Unrolled(250), Piggyback(1000), Piggyback(3000, scheme=plain)],
                         ids=["unrolled", "piggyback", "piggyback, plain"])  # fmt: skip
def test_converged_iterations_are_direct(mode, name, rng):
    problem, params = PROBLEMS[name](rng)
    found, direct = (m(LowerLevel(problem), params, 1e-9, 1e-9) for m in (mode, Direct()))
    error = float((found.gradient - direct.gradient).norm())
    assert error <= 1e-8 * float(direct.gradient.norm())


@pytest.mark.parametrize("name", PROBLEMS)
def test_implicit_is_direct(name, rng):
    problem, params = PROBLEMS[name](rng)
    implicit, direct = (mode(LowerLevel(problem), params, 1e-8, 1e-12)
                        for mode in (Implicit(), Direct()))
    torch.testing.assert_close(implicit.adjoint, direct.adjoint, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(implicit.gradient, direct.gradient, rtol=1e-9, atol=1e-9)
    assert implicit.value == direct.value


def test_the_checker_finds_wrong_gradients(rng):
    problem, params = denoising(rng)

    def wrong(lower, params, accuracy, adjoint_accuracy):
        found = Implicit()(lower, params, accuracy, adjoint_accuracy)
        return found._replace(gradient=found.gradient * torch.tensor([1 + 1e-4, 1]))

    with pytest.raises(AssertionError, match="hypergradient has the slope"):
        check_hypergradient(problem, params, wrong, rng)
    with pytest.raises(AssertionError, match="pass a smaller step"):
        check_hypergradient(problem, params, Implicit(), rng, 1e-14, directions=1)


def test_the_checker_stays_inside_of_the_bounds(rng):
    problem, params = odds(rng)
    params[:3] = 0.99
    check_hypergradient(problem, params, Implicit(), rng)
    with pytest.raises(ValueError, match="on their bounds"):
        check_hypergradient(problem, torch.full_like(params, 0.99), Implicit(), rng)


@pytest.mark.slow
def test_the_hypergradient_of_published_code():
    """192 x 192, computed by PDHG to 1e-10 and CG to 1e-6 with the code of Sherry et al. 2020."""
    folder = os.environ.get("ODL_LEARNED_DATA")
    if folder is None:
        pytest.skip("ODL_LEARNED_DATA is no folder with bilevel/mri_hypergradient_192_full.npz")
    file = np.load(Path(folder) / "bilevel" / "mri_hypergradient_192_full.npz")
    truth, data = (torch.as_tensor(file[name]) for name in ("truth", "data"))
    shape = tuple(truth.shape[1:])
    gamma, epsilon = float(file["gamma"]), float(file["epsilon"])
    beta = file["beta"]
    pixels = truth[0].numel()

    def sparsity(params):
        s = params[:-1]
        return (beta[0] * s.sum() + beta[1] * (s * (1 - s)).sum()) / pixels

    def coefficients(params):
        return Coefficients(params[-1], gamma, epsilon, params[:-1].reshape(shape) ** 2)

    energy = VariationEnergy(FourierSampling(), ForwardDifferences(shape), CubicAbsolute(),
                             coefficients)
    loss = SquaredError(truth, 1 / (2 * pixels))
    problem = BilevelProblem(energy, data, loss, torch.zeros_like(truth), sparsity)
    params = torch.as_tensor(np.append(file["weights"].ravel(), file["alpha"]))
    found = Implicit()(LowerLevel(problem), params, 1e-6, 1e-11)
    weights, alpha = found.gradient[:-1].reshape(shape).numpy(), float(found.gradient[-1])
    expected = file["hypergradient_weights"]
    assert np.linalg.norm(weights - expected) <= 1e-5 * np.linalg.norm(expected)
    assert alpha == pytest.approx(float(file["hypergradient_alpha"]), rel=1e-5)
