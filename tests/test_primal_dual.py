"""The primal-dual solver: elements and batches, certificates, step rules, stopping."""

import instances
import numpy as np
import odl
import pytest
import torch

from odl_learned import solvers, variational
from odl_learned.bridge import as_batch
from odl_learned.bridge.layout import layout_of
from odl_learned.functionals import (
    BoxConstraint,
    KullbackLeiblerFidelity,
    MagnitudeBound,
    l2_fidelity,
)
from odl_learned.operators import SampledFourier, mask_operator, random_element
from odl_learned.solvers import Accelerated, AdaptiveSteps, FixedSteps, LinearRate, primal_dual

SHAPE = (8, 6)
X = odl.uniform_discr([0, 0], SHAPE, SHAPE)
XC = odl.uniform_discr([0, 0], SHAPE, SHAPE, dtype="complex128")
IDENTITY = odl.IdentityOperator(X)
BOX = BoxConstraint(X, -5, 5)


def noisy(rng, noise=0.3):
    """A step with noise, or another one."""
    step = (np.indices(SHAPE)[0] > rng.integers(1, 7)) * rng.uniform(0.5, 2)
    return X.element(step + noise * rng.standard_normal(SHAPE))


def denoising(rng, alpha=0.2):
    return variational.tv_problem(IDENTITY, l2_fidelity(noisy(rng)), alpha)


def inpainting(rng, alpha=0.1):
    A = mask_operator(X, rng.random(SHAPE) < 0.6)
    return variational.tv_problem(A, l2_fidelity(A(noisy(rng))), alpha, BOX)


def tgv(rng):
    return variational.tgv_problem(IDENTITY, l2_fidelity(noisy(rng)), 0.2, 2.0)


def h1(rng):
    A = 3.0 * mask_operator(X, np.indices(SHAPE)[0] % 2 == 0)
    return variational.h1_problem(A, l2_fidelity(A(noisy(rng))), 0.3, BOX)


def tikhonov(rng):
    A = 3.0 * mask_operator(X, np.indices(SHAPE)[0] % 2 == 0)
    return variational.tikhonov_problem(A, l2_fidelity(A(noisy(rng))), 0.3)


def emission(rng):
    A = 3.0 * mask_operator(X, rng.random(SHAPE) < 0.8)
    mean = A(X.element(1 + abs(noisy(rng).data))) + X.one()
    D = KullbackLeiblerFidelity(X.element(rng.poisson(mean.data)), X.one())
    return variational.tv_problem(A, D, 0.3, BoxConstraint(X, 0, 20))


def magnetic_resonance(rng):
    mask = np.indices(SHAPE)[1] % 2 == 0
    A = SampledFourier(XC, mask | (np.indices(SHAPE)[0] < 5))
    truth = XC.element(noisy(rng, 0.0).data * np.exp(0.3j * np.indices(SHAPE)[1]))
    data = A(truth) + 0.05 * random_element(A.range, rng)
    return variational.tv_problem(A, l2_fidelity(data), 0.02, MagnitudeBound(XC, 3.0))


PROBLEMS = [denoising, inpainting, tgv, h1, tikhonov, emission, magnetic_resonance]


def parts(x):
    return list(x) if isinstance(x, tuple) else [x]


def sample_of(x, i):
    return [part[i] for part in parts(x)]


def tensors(x):
    return parts(layout_of(x.space).to_tensor(x))


def equal(a, b):
    return all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


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
        assert equal(sample_of(alone.x, 0), sample_of(batch.x, i))
        assert equal(sample_of(alone.dual, 0), sample_of(batch.dual, i))
        assert alone.gap[0] == batch.gap[i] and alone.niter[0] == batch.niter[i]


@pytest.mark.parametrize("make", PROBLEMS)
def test_the_accuracy_asked_for_is_reached(make):
    problems = [make(np.random.default_rng(i)) for i in range(4)]
    P = as_batch(problems)
    accuracy = np.array([1e-1, 1e-2, 3e-3, 1e-3])
    solution = primal_dual(P, accuracy=accuracy, steps=AdaptiveSteps(), maxiter=20000)
    assert set(solution.reason) == {"accuracy"}
    assert np.all(solution.gap <= accuracy * P.value(solution.x))
    assert np.all(P.gap(solution.x, solution.dual) == solution.gap)


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


# Step rules


def test_linear_rate_of_smooth_and_strongly_convex_problems(rng):
    """Squared distances shrink by theta = 1 / (1 + m) at least."""
    problem = variational.h1_problem(IDENTITY, l2_fidelity(noisy(rng)), 2.0)
    # f = |x - d|^2 / 2 and g = c |z|^2 / 2, g* = |p|^2 / (2 c)
    c, norm = 2 * problem.g.scalar, problem.operator_norm
    rule = LinearRate(1.0, 1 / c)
    theta = 1 / (1 + 2 * np.sqrt(1 / c) / norm)
    P = as_batch([problem])
    best = primal_dual(P, accuracy=1e-15, maxiter=400, steps=rule).x
    distances = []
    primal_dual(P, accuracy=1e-15, maxiter=60, steps=rule,
                callback=lambda x: distances.append(float(P.L.domain.norm(x - best)[0]) ** 2))
    k = np.arange(10, 50)
    rate = np.exp(np.polyfit(k, np.log(np.array(distances)[k]), 1)[0])
    assert rate <= theta
    fixed = primal_dual(P, accuracy=1e-10, steps=FixedSteps()).niter
    assert primal_dual(P, accuracy=1e-10, steps=rule).niter <= fixed


def test_acceleration_pays_on_denoising(rng):
    space = odl.uniform_discr([0, 0], [64, 64], [64, 64], dtype="float32")
    truth = odl.phantom.shepp_logan(space, modified=True)
    data = [truth + 0.1 * random_element(space, rng) for _ in range(2)]
    P = as_batch([variational.tv_problem(odl.IdentityOperator(space), l2_fidelity(d), 0.1)
                  for d in data])
    plain = primal_dual(P, accuracy=1e-4, steps=FixedSteps()).niter
    fast = primal_dual(P, accuracy=1e-4, steps=Accelerated(P.strong_convexity)).niter
    assert np.all(fast < 0.9 * plain)


@pytest.mark.parametrize("make", [denoising, inpainting, magnetic_resonance])
@pytest.mark.parametrize("ratio", [1 / 50, 50])
def test_adaptive_steps_repair_a_bad_balance(make, ratio):
    P = as_batch([make(np.random.default_rng(i)) for i in range(4)])
    fixed = primal_dual(P, accuracy=1e-2, maxiter=600, steps=FixedSteps(ratio)).niter
    adaptive = primal_dual(P, accuracy=1e-2, maxiter=600, steps=AdaptiveSteps(ratio)).niter
    assert np.mean(adaptive) < 0.7 * np.mean(fixed)


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
    A = instances.emission()
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


def test_without_a_finite_gap_iterations_run_out(rng):
    A = mask_operator(X, rng.random(SHAPE) < 0.5)
    s = primal_dual(variational.tv_problem(A, l2_fidelity(A(noisy(rng))), 0.1), maxiter=30)
    assert (s.niter, s.reason, s.gap) == (30, "maxiter", np.inf)


def test_zero_data_are_solved_at_once():
    problem = variational.tv_problem(IDENTITY, l2_fidelity(X.zero()), 0.1)
    s = primal_dual(problem)
    assert s.niter == 10 and s.gap == 0 and s.x == X.zero()


# Errors


@pytest.mark.parametrize("batched", [False, True])
def test_steps_that_are_too_large_are_named(batched, rng):
    problem = as_batch([inpainting(rng)]) if batched else inpainting(rng)
    norm = float(problem.operator_norm)
    primal_dual(problem, maxiter=10, steps=FixedSteps(tau=0.5 / norm, sigma=2 / norm))
    with pytest.raises(solvers.DivergenceError, match=r"tau sigma \|L\|\^2 is 4, expected at most"):
        primal_dual(problem, steps=FixedSteps(tau=2 / norm, sigma=2 / norm))


def test_a_wrong_norm_is_found_out_within_ten_iterations(rng):
    problem = inpainting(rng)
    wrong = variational.Problem(problem.f, problem.g, problem.L, norm=0.2, balance=problem.balance)
    calls = []
    with pytest.raises(solvers.DivergenceError, match=r"tau sigma \|L\|\^2 is at least"):
        primal_dual(wrong, callback=calls.append)
    assert len(calls) < 10


def test_values_that_are_not_finite_are_named(rng):
    class Broken(odl.functionals.Functional):
        @property
        def proximal(self):
            return lambda sigma: odl.ConstantOperator(X.element(np.nan * np.ones(SHAPE)))

    problem = denoising(rng)
    wrong = variational.Problem(Broken(X), problem.g, problem.L, f_conj=problem.f_conj)
    with pytest.raises(solvers.DivergenceError, match="not finite at iteration 1"):
        primal_dual(wrong)


WRONG = [
    ("x0 elsewhere", lambda p: dict(x0=odl.rn(3).one()), TypeError, "x0 is not an element"),
    ("dual elsewhere", lambda p: dict(dual0=X.one()), TypeError, "dual0 is not an element"),
    ("x0 NaN", lambda p: dict(x0=np.nan * X.one()), ValueError, "x0 contains NaN"),
    ("accuracy", lambda p: dict(accuracy=0), ValueError, "accuracy is 0; expected"),
    ("maxiter", lambda p: dict(maxiter=-1), ValueError, "maxiter is -1; expected"),
]


@pytest.mark.parametrize("name, arguments, error, message", WRONG, ids=[w[0] for w in WRONG])
def test_wrong_arguments(name, arguments, error, message, rng):
    problem = inpainting(rng)
    with pytest.raises(error, match=message):
        primal_dual(problem, **arguments(problem))


def test_wrong_arguments_of_batches(rng):
    P = as_batch([inpainting(rng), inpainting(rng)])
    with pytest.raises(ValueError, match=r"accuracy has shape \(3,\)"):
        primal_dual(P, accuracy=np.ones(3))
    with pytest.raises(TypeError, match="x0 is not an element"):
        primal_dual(P, torch.zeros(3, *SHAPE, dtype=torch.float64))
    with pytest.raises(TypeError, match="x0 is not an element"):
        primal_dual(P, torch.zeros(2, *SHAPE))


@pytest.mark.parametrize("make, message", [
    (lambda: FixedSteps(0), "ratio is 0"),
    (lambda: FixedSteps(tau=1.0), "expected both or none"),
    (lambda: FixedSteps(tau=1.0, sigma=-1.0), "sigma is -1"),
    (lambda: AdaptiveSteps(change=1.0), "change is 1.0; expected a number between 0 and 1"),
    (lambda: AdaptiveSteps(decay=0), "decay is 0"),
    (lambda: Accelerated(0), "strong_convexity is 0"),
    (lambda: LinearRate(1.0, np.inf), "dual is inf"),
])
def test_wrong_rules(make, message):
    with pytest.raises(ValueError, match=message):
        make()
