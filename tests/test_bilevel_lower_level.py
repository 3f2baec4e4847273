"""Lower levels: certificates that hold, warm starts that save work, samples that do not mix."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from bilevel_energies import ENERGIES, build, formula, norm
from rounding import EPS, assert_rounded

from odl_learned.energies import AutogradEnergy, Denoising, FourierSampling, VariationEnergy
from odl_learned.energies.coefficients import decimal, decimal_alpha, natural, squared_weights
from odl_learned.energies.potentials import Charbonnier, CubicAbsolute
from odl_learned.energies.transforms import BackwardDifferences, ForwardDifferences, Separate
from odl_learned.learning.bilevel import BilevelProblem, SquaredError
from odl_learned.learning.bilevel.lower import (
    Accelerated,
    FixedIterations,
    GradientDescent,
    LowerLevel,
    Newton,
    PrimalDual,
    Restarted,
)
from odl_learned.solvers.smooth.gradient_descent import gradient_descent

F64 = torch.float64
EASY = [name for name in ENERGIES if "no regularizer" not in name]


def problem(name, seed=0, size=3):
    energy, x, params, data = build(name, seed, size=size)
    return BilevelProblem(energy, data, SquaredError(x), torch.zeros_like(x)), params


def signals(size, count=256, seed=0):
    """Piecewise constant signals and noisy ones, as in Ehrhardt and Roberts 2021."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 1, count)
    truth = np.zeros((size, count))
    for x in truth:
        center, radius, height = rng.uniform(0.4, 0.6), rng.uniform(0.05, 0.25), 1.0
        x[np.abs(t - center) < radius] = height
    data = truth + 0.1 * rng.standard_normal(truth.shape)
    return torch.from_numpy(truth), torch.from_numpy(data)


@pytest.mark.parametrize("name", EASY)
def test_the_certificate_is_a_bound_and_sharp(name):
    """Over energies, parameters and solvers, 252 batches; the truth is solved to 1e-11.

    The bound is at most the condition number times the error. Without weights, where the spectrum
    of the fidelity is one, the median ratio is at most 5.
    """
    tightness = []
    for seed in range(6):
        p, params = problem(name, seed)
        condition = p.energy.lipschitz(params) / p.energy.strong_convexity(params)
        exact = LowerLevel(p, Newton()).solve(params, 1e-11)
        assert set(exact.reason) == {"accuracy"}
        for solver, accuracy in ((Newton(), 1e-2), (Accelerated(), 1e-1), (Accelerated(), 1e-4)):
            solution = LowerLevel(p, solver).solve(params, accuracy)
            error = norm(solution.x - exact.x).numpy()
            assert set(solution.reason) == {"accuracy"}
            assert (error <= solution.error_bound + 1e-11).all()
            assert (solution.error_bound <= accuracy).all()
            assert (solution.error_bound <= 1.001 * condition * (error + 1e-11)).all()
            tightness.extend(solution.error_bound / np.maximum(error, 1e-11))
    if not name.startswith(("sampling", "inpainting")):
        assert np.median(tightness) <= 5, np.median(tightness)


@pytest.mark.parametrize("solver", [
    Newton(), Accelerated(), Restarted(), GradientDescent(), PrimalDual(), FixedIterations(40),
    FixedIterations(40, gradient_descent),
])  # fmt: skip
@pytest.mark.parametrize("name", ["signal, three parameters", "sampling, cubic", "images"])
def test_samples_are_solved_alone_as_in_batches(name, solver):
    p, params = problem(name, size=5)
    accuracy = np.array([1e-2, 1e-6, 1e-1, 1e-4, 10.0])
    together = LowerLevel(p, solver).solve(params, accuracy)
    exact = LowerLevel(p).solve(params, 1e-10)
    error = norm(together.x - exact.x).numpy()
    assert (error <= together.error_bound + 1e-10).all()
    if not isinstance(solver, FixedIterations):
        assert (together.error_bound <= accuracy).all()
        assert len(set(together.niter)) > 2
    # Each step rounds by some eps |x|, and the contraction adds that up to L / mu times as much.
    rounding = 100 * EPS * p.energy.lipschitz(params) / p.energy.strong_convexity(params)
    for i in range(5):
        alone = LowerLevel(p.take([i]), solver).solve(params, accuracy[i])
        assert alone.niter[0] == together.niter[i]
        assert_rounded(alone.x[0], together.x[i], rounding)
    order = [3, 0, 4]
    some = LowerLevel(p.take(order), solver).solve(params, accuracy[order])
    assert_rounded(some.x, together.x[order], rounding)


def test_all_solvers_find_the_same_reconstruction():
    for name in ("signal, three parameters", "sampling, lines", "images, directions apart",
                 "inpainting", "wavelets", "sampling, wavelets"):  # fmt: skip
        p, params = problem(name, size=2)
        expected = LowerLevel(p).solve(params, 1e-9).x
        for solver in (Accelerated(), GradientDescent(), PrimalDual()):
            actual = LowerLevel(p, solver).solve(params, 1e-5).x
            assert float((actual - expected).abs().max()) < 1.1e-5


def test_newton_agrees_for_energies_through_autograd():
    name = "images"
    p, params = problem(name)
    other = AutogradEnergy(formula(name)._function, p.energy.lipschitz, p.energy.strong_convexity)
    q = BilevelProblem(other, p.data, p.loss, p.x0)
    expected, actual = (LowerLevel(r).solve(params, 1e-9) for r in (p, q))
    assert float((actual.x - expected.x).abs().max()) < 1e-8


def test_good_samples_cost_only_the_certificate():
    truth, data = signals(10)
    energy = VariationEnergy(Denoising(), BackwardDifferences(256), Charbonnier(), decimal)
    params = torch.tensor([-0.5, -2.0, -3.0], dtype=F64)
    level = LowerLevel(BilevelProblem(energy, data, SquaredError(truth), data), Accelerated())
    level.solve(params, 1e-4)
    before = level.work.gradients
    again = level.solve(params, 1e-3)
    assert level.work.gradients == before + 10 and (again.niter == 0).all()
    accuracy = np.full(10, 1e-3)
    accuracy[3] = 1e-8
    mixed = level.solve(params, accuracy)
    assert (np.delete(mixed.niter, 3) == 0).all() and mixed.niter[3] > 0
    assert level.work.gradients <= before + 20 + 1 + mixed.niter[3]
    assert level.work.solves == 3 and level.work.seconds > 0


def test_warm_starts_save_work():
    truth, data = signals(8)
    energy = VariationEnergy(Denoising(), BackwardDifferences(256), Charbonnier(),
                             decimal_alpha(1e-2, 1e-3))  # fmt: skip
    p = BilevelProblem(energy, data, SquaredError(truth), data)
    path = [torch.tensor([a], dtype=F64) for a in np.linspace(-0.5, -0.3, 9)]
    for solver in (Accelerated(), Newton()):
        warm, cold = LowerLevel(p, solver), LowerLevel(p, solver, memory=0)
        for params in path:
            one, two = warm.solve(params, 1e-3), cold.solve(params, 1e-3)
            assert (norm(one.x - two.x).numpy() <= one.error_bound + two.error_bound).all()
        assert warm.work.gradients < 0.8 * cold.work.gradients


def test_the_nearest_parameters_are_the_start_and_memory_is_bounded():
    p, params = problem("signal, three parameters")
    level = LowerLevel(p, memory=3)
    assert torch.equal(level.start(params), p.x0)
    found = {}
    for i in range(5):
        found[i] = level.solve(params + i, 1e-3).x
    assert torch.equal(level.start(params + 4.2), found[4])
    assert torch.equal(level.start(params - 9), found[2])  # the first two are forgotten
    assert len(level.state()["images"]) == 3
    level.solve(params + 2, 1e-8)
    assert len(level.state()["images"]) == 3
    given = level.solve(params, 1e-3, x0=p.x0)
    assert torch.equal(given.x, found[0])


@pytest.mark.parametrize("solver", [Newton(), Accelerated()])
def test_a_restored_state_continues_exactly(solver, tmp_path):
    p, params = problem("images")
    first = LowerLevel(p, solver, memory=2)
    for i in range(3):
        first.solve(params + 0.1 * i, 1e-2)
    torch.save(first.state(), tmp_path / "state.pt")
    second = LowerLevel(p, solver, memory=2)
    second.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    for i in range(3):
        one, two = (level.solve(params - 0.1 * i, 1e-4) for level in (first, second))
        assert torch.equal(one.x, two.x) and (one.error_bound == two.error_bound).all()
    assert first.work.gradients == second.work.gradients
    third = LowerLevel(p)
    third.restore(LowerLevel(p).state())
    assert torch.equal(third.start(params), p.x0)


@pytest.mark.parametrize("name", ["signal, three parameters", "sampling, cubic", "images"])
@pytest.mark.parametrize("solver", [Newton(), Accelerated(), PrimalDual()])
def test_single_precision_is_certified_in_double(name, solver):
    p, params = problem(name)
    exact = LowerLevel(p).solve(params, 1e-10).x
    low = torch.complex64 if p.x0.is_complex() else torch.float32
    data = p.data.to(torch.complex64 if p.data.is_complex() else torch.float32)
    single = BilevelProblem(p.energy, data, SquaredError(p.loss.truth.to(low)), p.x0.to(low))
    # The data are rounded, too: their certificate is about the rounded ones.
    rounded = LowerLevel(BilevelProblem(p.energy, data.to(p.data.dtype), p.loss, p.x0))
    reference = rounded.solve(params, 1e-10).x
    assert norm(reference - exact).max() < 1e-4
    for accuracy in (1e-2, 1e-3, 1e-9):
        solution = LowerLevel(single, solver).solve(params, accuracy)
        assert solution.x.dtype == low
        error = norm(solution.x.to(reference.dtype) - reference).numpy()
        assert (error <= solution.error_bound + 1e-10).all()
        met = solution.error_bound <= accuracy
        assert (met == (solution.reason == "accuracy")).all()
        assert met.all() == (accuracy > 1e-4) and (solution.error_bound < 1e-2).all()
    assert set(solution.reason) <= {"rounding", "maxiter"}


def test_impossible_accuracy_stops_in_double_precision():
    p, params = problem("signal, three parameters")
    for solver in (Newton(), Accelerated(maxiter=20000)):
        solution = LowerLevel(p, solver).solve(params, 1e-17)
        assert set(solution.reason) == {"rounding"}
        assert (solution.error_bound < 1e-12).all()


def test_gradient_counts_of_dynamic_learning():
    """At log10 alpha = -0.3149 the number of iterations is that of sqrt(L / mu), as published."""
    truth, data = signals(10)
    energy = VariationEnergy(Denoising(), BackwardDifferences(256), Charbonnier(),
                             decimal_alpha(1e-3, 1e-3))  # fmt: skip
    p = BilevelProblem(energy, data, SquaredError(truth), data)
    params = torch.tensor([-0.3149], dtype=F64)
    rate = math.sqrt(energy.lipschitz(params) / energy.strong_convexity(params))
    assert 43 < rate < 46
    work = [LowerLevel(p, Accelerated()) for _ in range(3)]
    counts = []
    for level, accuracy in zip(work, (1e-1, 1e-3, 1e-10), strict=True):
        level.solve(params, accuracy)
        counts.append(level.work.gradients / 10)
    assert 60 < counts[0] < 400 and counts[0] < counts[1] < counts[2] < 60 * rate
    fixed = LowerLevel(p, FixedIterations(200))
    solution = fixed.solve(params, 1e-3)
    assert fixed.work.gradients == 2010 and (solution.niter == 200).all()
    assert set(solution.reason) == {"maxiter"} and (solution.error_bound > 1e-3).any()


def test_a_small_smoothing_does_not_stop_newton():
    """With nu = 1e-7 the problem is nearly that of exact total variation."""
    truth, data = signals(6)
    energy = VariationEnergy(Denoising(), BackwardDifferences(256), Charbonnier(), decimal)
    level = LowerLevel(BilevelProblem(energy, data, SquaredError(truth), data))
    for params in ([-0.4, -7.0, -3.0], [-2.0, -7.0, -7.0], [1.0, -6.0, 0.0]):
        solution = level.solve(torch.tensor(params, dtype=F64), 1e-3, x0=data)
        assert set(solution.reason) == {"accuracy"} and solution.niter.max() <= 40
    assert level.work.values == 0  # no step was safeguarded


def test_sampling_of_a_quarter_of_the_points():
    """Newton's method and first-order methods agree where the fidelity alone is singular."""
    rng = np.random.default_rng(0)
    truth = torch.zeros(2, 16, 16, dtype=torch.complex128)
    truth[:, 4:11, 3:9] = 1 + 0.5j
    energy = VariationEnergy(FourierSampling(), ForwardDifferences((16, 16)), Charbonnier(),
                             squared_weights((16, 16), 1e-2, 1e-2))  # fmt: skip
    weights = (rng.uniform(size=256) < 0.25).astype(float)
    params = torch.from_numpy(np.append(weights, 1e-2))
    noise = 0.02 * torch.from_numpy(rng.standard_normal((2, 16, 16)))
    data = energy.fidelity.forward(truth + noise)
    p = BilevelProblem(energy, data, SquaredError(truth), torch.zeros_like(truth))
    newton, first = LowerLevel(p), LowerLevel(p, Accelerated())
    one, two = newton.solve(params, 1e-6), first.solve(params, 1e-4)
    assert (norm(one.x - two.x).numpy() <= one.error_bound + two.error_bound).all()
    assert newton.work.gradients + newton.work.hessian_products < first.work.gradients / 2


def test_errors_name_the_value():
    p, params = problem("signal, three parameters")
    level = LowerLevel(p)
    with pytest.raises(ValueError, match=r"accuracy is 0.0.*expected positive"):
        level.solve(params, 0.0)
    with pytest.raises(ValueError, match="params has entries that are not finite"):
        level.solve(params * math.nan, 1.0)
    with pytest.raises(ValueError, match="memory"):
        LowerLevel(p, memory=-1)
    q, params = problem("images")
    other = AutogradEnergy(formula("images")._function, q.energy.lipschitz,
                           q.energy.strong_convexity)  # fmt: skip
    with pytest.raises(TypeError, match="PrimalDual needs.*VariationEnergy"):
        LowerLevel(BilevelProblem(other, q.data, q.loss, q.x0), PrimalDual()).solve(params, 1.0)
    e, parts = q.energy, ("forward", "adjoint", "preconditioner", "rounding")
    plain = type("Plain", (), {name: vars(type(e.fidelity))[name] for name in parts})()
    other = VariationEnergy(plain, e.transform, e.potential, e.coefficients)
    with pytest.raises(TypeError, match="PrimalDual needs.*but Plain has none"):
        LowerLevel(BilevelProblem(other, q.data, q.loss, q.x0), PrimalDual()).solve(params, 1.0)


@pytest.mark.slow
def test_published_problems_have_their_published_values():
    """Reconstructions of the codes of the papers, and exact values of the upper level."""
    if "ODL_LEARNED_DATA" not in os.environ:
        pytest.skip("set ODL_LEARNED_DATA to the folder that holds bilevel/*.npz")
    folder = Path(os.environ["ODL_LEARNED_DATA"]) / "bilevel"

    def upper(energy, data, truth, params, accuracy=1e-6):
        data, truth = torch.from_numpy(data), torch.from_numpy(truth)
        p = BilevelProblem(energy, data, SquaredError(truth), data)
        solution = LowerLevel(p).solve(torch.tensor(params, dtype=F64), accuracy)
        assert set(solution.reason) == {"accuracy"}
        return float(p.loss.value(solution.x).sum())

    signal = np.load(folder / "dfo_1d.npz")
    one = VariationEnergy(Denoising(), BackwardDifferences(256), Charbonnier(),
                          decimal_alpha(1e-3, 1e-3))  # fmt: skip
    value = upper(one, signal["data_1param"], signal["truth_1param"], [-0.314921])
    np.testing.assert_allclose(value, 1.3714888, atol=1e-6)
    three = VariationEnergy(Denoising(), BackwardDifferences(256), Charbonnier(), decimal)
    for params, weight, expected in (([-0.41091, -2.51211, -7], 1e-6, 2.8268742),
                                     ([-0.55266, -1.88480, -7], 1e-4, 4.9796783)):  # fmt: skip
        value = upper(three, signal["data_3param"], signal["truth_3param"], params)
        alpha, nu, xi = (10.0**p for p in params)
        value += weight * ((1 + 4 * alpha / nu + xi) / (1 + xi)) ** 2
        np.testing.assert_allclose(value, expected, atol=1e-5)

    kodak = np.load(folder / "tv_kodak_96.npz")
    images = VariationEnergy(
        Denoising(), Separate(ForwardDifferences((96, 96))), Charbonnier(),
        lambda p: natural(p)._replace(alpha=0.5 * p[0].exp()))  # fmt: skip
    value = upper(images, kodak["data"].astype(float), kodak["truth"].astype(float),
                  [-2.07, -4.60], 1e-4) / 50  # fmt: skip
    np.testing.assert_allclose(value, 8.45543, atol=5e-4)

    mri = np.load(folder / "mri_hypergradient_192_full.npz")
    energy = VariationEnergy(
        FourierSampling(), ForwardDifferences((192, 192)), CubicAbsolute(),
        squared_weights((192, 192), float(mri["gamma"]), float(mri["epsilon"])))  # fmt: skip
    params = torch.from_numpy(np.append(mri["weights"].ravel(), mri["alpha"]))
    data, truth = torch.from_numpy(mri["data"]), torch.from_numpy(mri["truth"])
    p = BilevelProblem(energy, data, SquaredError(truth), torch.zeros_like(truth))
    level = LowerLevel(p)
    solution = level.solve(params, 1e-8)
    error = norm(solution.x - torch.from_numpy(mri["reconstruction"]))
    assert float(error) < 1e-6 and level.work.hessian_products < 120
