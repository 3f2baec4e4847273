"""The primal-dual solver: elements and batches, certificates, starting and stopping."""

import numpy as np
import odl
import pytest
import torch
from instances.operators import emission
from primal_dual_problems import (
    IDENTITY,
    PROBLEMS,
    SHAPE,
    X,
    denoising,
    h1,
    inpainting,
    magnetic_resonance,
    noisy,
    tikhonov,
)
from rounding import EPS, assert_rounded

from odl_learned import variational
from odl_learned.bridge import as_batch
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.functionals import BoxConstraint, KullbackLeiblerFidelity, l2_fidelity
from odl_learned.solvers import AdaptiveSteps, FixedSteps, primal_dual


def parts(x):
    return list(x) if isinstance(x, tuple) else [x]


def sample_of(x, i):
    return [part[i] for part in parts(x)]


def tensors(x):
    return parts(layout_of(x.space).to_tensor(x))


# Elements and batches


@pytest.mark.parametrize("make", PROBLEMS)
def test_a_batch_has_the_iterates_of_its_samples(make):
    problems = [make(np.random.default_rng(i)) for i in range(2)]
    batch = primal_dual(as_batch(problems), accuracy=1e-9, maxiter=20, steps=AdaptiveSteps())
    for i, problem in enumerate(problems):
        alone = primal_dual(problem, accuracy=1e-9, maxiter=20, steps=AdaptiveSteps())
        assert type(alone.gap) is float and type(alone.niter) is int
        assert alone.niter == batch.niter[i] and alone.reason == batch.reason[i]
        assert batch.gap[i] == pytest.approx(alone.gap, rel=1e-6, abs=1e-13)
        for got, want in ((batch.x, alone.x), (batch.dual, alone.dual)):
            for a, b in zip(sample_of(got, i), tensors(want), strict=True):
                np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * float(b.abs().max()))


@pytest.mark.parametrize("make", PROBLEMS)
@pytest.mark.parametrize("steps", [FixedSteps(), AdaptiveSteps()])
def test_samples_do_not_know_of_each_other(make, steps):
    problems = [make(np.random.default_rng(i)) for i in range(16)]
    batch = primal_dual(as_batch(problems), accuracy=1e-2, maxiter=150, steps=steps)
    for i in (0, 7, 15):
        alone = primal_dual(as_batch([problems[i]]), accuracy=1e-2, maxiter=150, steps=steps)
        # 150 iterations, none of which enlarges what rounding has done before
        assert_rounded(sample_of(alone.x, 0), sample_of(batch.x, i), 150 * 10 * EPS)
        assert_rounded(sample_of(alone.dual, 0), sample_of(batch.dual, i), 150 * 10 * EPS)
        assert alone.gap[0] == pytest.approx(batch.gap[i], rel=1e-9)
        assert alone.niter[0] == batch.niter[i]


@pytest.mark.parametrize("make", PROBLEMS)
def test_the_accuracy_asked_for_is_reached(make):
    problems = [make(np.random.default_rng(i)) for i in range(4)]
    P = as_batch(problems)
    accuracy = np.array([1e-1, 1e-2, 3e-3, 1e-3])
    solution = primal_dual(P, accuracy=accuracy, steps=AdaptiveSteps(), maxiter=20000)
    assert set(solution.reason) == {"accuracy"}
    assert np.all(solution.gap <= accuracy * P.value(solution.x))
    # The gap is a difference of values.
    rounded = np.abs(P.gap(solution.x, solution.dual) - solution.gap)
    assert np.all(rounded <= 1e-13 * P.value(solution.x))


@pytest.mark.parametrize("make", [denoising, inpainting, h1, magnetic_resonance])
def test_odl_reaches_the_same_minimizer(make, rng):
    problem = make(rng)
    ours = primal_dual(problem, accuracy=1e-6, maxiter=800, steps=AdaptiveSteps())
    x, y = problem.L.domain.zero(), problem.L.range.zero()
    tau, sigma = problem.step_sizes()
    odl.solvers.pdhg(x, *problem, niter=200, tau=tau, sigma=sigma, y=y)
    least = problem.value(x)
    # both minima are certified
    assert problem.value(ours.x) - least <= ours.gap <= 1e-2 * least
    assert least - problem.value(ours.x) <= problem.gap(x, y) <= 2e-2 * least


# Certificates


def test_the_gap_bounds_the_suboptimality_of_a_thousand_cases():
    ratios, cases = [], 0
    for make in (denoising, inpainting):
        P = as_batch([make(np.random.default_rng(i)) for i in range(100)])
        best = primal_dual(P, accuracy=1e-5, maxiter=500)
        assert np.median(best.gap / P.value(best.x)) <= 5e-4
        for accuracy in (3e-1, 1e-1, 3e-2, 1e-2, 3e-3):
            s = primal_dual(P, accuracy=accuracy)
            excess = P.value(s.x) - P.value(best.x)
            assert np.all(s.gap >= excess) and np.all(s.gap >= 0)
            ratios.extend(s.gap / np.maximum(excess, 1e-300))
            cases += len(s.gap)
    assert cases == 1000
    assert np.median(ratios) <= 5


@pytest.mark.parametrize("make", [denoising, tikhonov])
def test_the_error_bound_holds_where_the_objective_is_strongly_convex(make):
    P = as_batch([make(np.random.default_rng(i)) for i in range(30)])
    best = primal_dual(P, accuracy=1e-6, maxiter=500)
    for accuracy in (3e-1, 1e-1, 1e-2):
        s = primal_dual(P, accuracy=accuracy)
        distance = P.L.domain.norm(s.x - best.x).numpy()
        assert np.all(s.error_bound >= distance - best.error_bound)
        np.testing.assert_allclose(s.error_bound, np.sqrt(2 * s.gap / P.strong_convexity))
    assert np.median(best.error_bound) < 0.05 * np.median(P.L.domain.norm(best.x))


def test_no_error_bound_without_strong_convexity(rng):
    assert primal_dual(inpainting(rng), maxiter=10).error_bound is None


def test_single_precision_gaps_are_not_negative():
    space = odl.uniform_discr([0, 0], SHAPE, SHAPE, dtype="float32")
    A = odl.IdentityOperator(space)
    problems = [variational.tv_problem(A, l2_fidelity(space.element(
        noisy(np.random.default_rng(i)).data)), 0.2) for i in range(20)]
    P = as_batch(problems)
    exact = as_batch([denoising(np.random.default_rng(i)) for i in range(20)])
    s = primal_dual(P, accuracy=1e-12, maxiter=300)
    best = primal_dual(exact, accuracy=1e-9, maxiter=1000)
    excess = exact.value(s.x.double()) - exact.value(best.x)
    assert np.all(s.gap >= 0) and np.all(s.gap >= excess - best.gap)
    assert np.all(s.gap <= 1e-2 * P.value(s.x))


# Stopping and starting


def test_samples_that_are_done_cost_nothing():
    P = as_batch([inpainting(np.random.default_rng(i), alpha=0.1) for i in range(16)])
    counted = []
    s = primal_dual(P, accuracy=1e-3, callback=lambda x: counted.append(len(x)))
    assert sum(counted) == s.niter.sum()
    assert sum(counted) <= 0.8 * 16 * s.niter.max()


def test_warm_starts_go_on_where_the_solution_ended(rng):
    batch = as_batch([inpainting(rng), inpainting(rng)])
    for problem in (denoising(rng), batch):
        first = primal_dual(problem, accuracy=1e-2)
        again = primal_dual(problem, first.x, accuracy=1e-2, dual0=first.dual)
        assert np.all(np.asarray(again.niter) <= 10)
        longer = primal_dual(problem, first.x, accuracy=1e-3, dual0=first.dual)
        assert np.all(longer.niter <= primal_dual(problem, accuracy=1e-3).niter)


def test_emission_tomography(rng):
    A = emission()
    truth = A.domain.element((np.indices(A.domain.shape)[0] > 2) * 1.0)
    background = 0.5 * A.range.one()
    counts = [A.range.element(rng.poisson((A(truth) + background).data)) for _ in range(3)]
    P = as_batch([variational.tv_problem(A, KullbackLeiblerFidelity(c, background), 0.05,
                                         BoxConstraint(A.domain, 0, 3)) for c in counts])
    s = primal_dual(P, accuracy=1e-2)
    assert set(s.reason) == {"accuracy"} and s.x.dtype == torch.float32
    assert np.all(P.value(s.x) < P.value(torch.ones_like(s.x)))


def test_one_problem_for_all_samples(rng):
    problem = denoising(rng)
    P = as_batch(problem)
    x0 = torch.from_numpy(rng.standard_normal((3, *SHAPE)))
    kept = x0.clone()
    s = primal_dual(P, x0, accuracy=1e-6)
    assert torch.equal(x0, kept) and s.x.shape == x0.shape
    np.testing.assert_allclose(s.x[0], s.x[2], atol=1e-2)
    with pytest.raises(ValueError, match="starting point"):
        primal_dual(P)


def test_zero_data_are_solved_at_once():
    problem = variational.tv_problem(IDENTITY, l2_fidelity(X.zero()), 0.1)
    s = primal_dual(problem)
    # A relative gap of the value zero is out of reach; 1e-154 is the root of the smallest number.
    assert s.niter == 10 and s.reason == "rounding" and s.x == X.zero()
    assert s.gap <= 1e-300 and s.error_bound <= 1e-150
