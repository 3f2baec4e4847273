"""No certificate is below the true error: every certified solver on random problems and spaces.

Problems of a space are one batch, in which every sample has its own data, start, parameters and
accuracy, and stops by itself; a few of them are solved as elements, too. The ordinary run takes a
few problems of each kind of space, the slow one two hundred.
"""

import numpy as np
import odl
import pytest
from random_batches import LeastSquaresBatch
from random_problems import KINDS, entries, is_complex, random_space

from odl_learned import solvers, variational
from odl_learned.bridge import as_batch
from odl_learned.bridge.layouts.nested import each
from odl_learned.functionals import BoxConstraint, MagnitudeBound, l2_fidelity
from odl_learned.solvers import fixed_point


def honest(solution, error, accuracy, slack):
    """Assert that a bound of the distance holds, and that "accuracy" has one as small."""
    bound, reason = np.atleast_1d(solution.error_bound), np.atleast_1d(solution.reason)
    assert solution.error_bound is not None
    assert np.all(error <= bound * (1 + 1e-9) + slack), (error / bound, slack, solution)
    reached = np.broadcast_to(reason == "accuracy", bound.shape)
    assert np.all(np.isfinite(bound[reached]) & (bound <= accuracy)[reached]), solution


# Solvers with a bound of the distance, on the same problems, one or a batch of them

def _gradient(solver):
    return lambda f, x0, accuracy, maxiter: solver(f, x0, accuracy, maxiter)


def _lsqr(f, x0, accuracy, maxiter):
    return solvers.lsqr(f.A, f.data, x0, accuracy, maxiter, damp=np.sqrt(f.mu))


def _conjugate_gradient(f, x0, accuracy, maxiter):
    return solvers.conjugate_gradient(
        f.hessian, f.A.adjoint(f.data), x0, accuracy, maxiter, lower_bound=f.mu)


def _proximal(solver):
    """With ``|x|^2`` in the nonsmooth part."""
    def solve(f, x0, accuracy, maxiter):
        return solver(*f.smooth_and_ridge(), x0, accuracy, maxiter, lipschitz=f.grad_lipschitz,
                      g_strong_convexity=f.mu)  # fmt: skip

    return solve


def _searching(f, x0, accuracy, maxiter):
    zero = odl.functionals.ZeroFunctional(getattr(f.domain, "space", f.domain))
    zero = zero if zero.domain is f.domain else as_batch(zero)
    return solvers.fista(f, zero, x0, accuracy, maxiter, solvers.Backtracking(), f.mu)


def _fixed_point(f, x0, accuracy, maxiter):
    L, mu = f.grad_lipschitz, f.mu
    s = fixed_point(f.steps(), x0, 1e-8, maxiter,
                    contraction=float(np.max((L - mu) / (L + mu))) * (1 + 1e-12))  # fmt: skip
    return s._replace(reason="")  # its accuracy is that of the residual


def _tikhonov(f, x0, accuracy, maxiter):
    problem = f.tikhonov()
    s = solvers.primal_dual(problem, x0, accuracy=1e-5, maxiter=maxiter)
    gap, value = np.atleast_1d(s.gap), np.atleast_1d(problem.value(s.x))
    reached = np.atleast_1d(s.reason) == "accuracy"
    assert np.all(np.isfinite(gap[reached]) & (gap <= 1e-5 * value)[reached])
    assert np.all(value - problem.value(f.exact) <= gap + 1e-13 * value)
    return s._replace(reason="")  # its accuracy is that of the gap


SMOOTH = {
    "gradient_descent": _gradient(solvers.gradient_descent),
    "accelerated_gradient": _gradient(solvers.accelerated_gradient),
    "restarted_gradient": _gradient(solvers.restarted_gradient),
    "newton_krylov": _gradient(solvers.newton_krylov),
    "lsqr": _lsqr,
    "conjugate_gradient": _conjugate_gradient,
    "proximal_gradient": _proximal(solvers.proximal_gradient),
    "fista": _proximal(solvers.fista),
    "fista, searching": _searching,
    "fixed_point": _fixed_point,
    "primal_dual, tikhonov": _tikhonov,
}


def check_smooth(f, x0, accuracy, maxiter, names):
    """Solutions are known by dense linear algebra."""
    size = f.norm(x0) + f.norm(f.exact)
    # Rounding errors of gradients, over mu.
    slack = 1e-14 * f.grad_lipschitz / f.mu * (size + f.data_norm / f.grad_lipschitz**0.5)
    for name in names:
        s = SMOOTH[name](f, x0, accuracy, maxiter)
        honest(s, np.atleast_1d(f.norm(s.x - f.exact)), accuracy, slack)


def check_smooth_batches(kind, seed, count, maxiter, names, alone):
    """A batch with the solvers of these names, and of it the samples ``alone`` with theirs."""
    rng = np.random.default_rng(seed)
    f = LeastSquaresBatch.random(kind, rng, count)
    x0 = f.start(rng)
    accuracy = 10 ** rng.uniform(-8, 0, count) * (f.norm(x0) + f.norm(f.exact))
    check_smooth(f, x0, accuracy, maxiter, names)
    for i, names in alone.items():
        check_smooth(f.problems[i], f.problems[i].domain.element(x0[i].numpy()),
                     float(accuracy[i]), maxiter, names)  # fmt: skip


# Problems of variation: the reference is a longer run, of which the bound or gap is added

def _denoising(space, rng):
    return variational.tv_problem(odl.IdentityOperator(space), _data(space, rng), _alpha(rng))


def _constrained(space, rng, mask):
    bound = MagnitudeBound(space, 2.0) if is_complex(space) else BoxConstraint(space, -1, 1)
    return variational.tv_problem(mask, _data(space, rng), _alpha(rng), bound)


def _invertible(build):
    """Without a constraint, where the dual problem has an equation that iterates violate."""
    return lambda space, rng, A, *more: build(A, _data(space, rng), _alpha(rng), *more)


def _smoothed(space, rng):
    return variational.h1_problem(odl.IdentityOperator(space), _data(space, rng), _alpha(rng))


def _generalized(space, rng, beta):
    return variational.tgv_problem(odl.IdentityOperator(space), _data(space, rng), _alpha(rng),
                                   beta)  # fmt: skip


def _data(space, rng):
    return l2_fidelity(space.element(10 ** rng.uniform(-1, 1) * entries(space, rng)))


def _alpha(rng):
    return float(10 ** rng.uniform(-2, 0.5))


def problems_of(name, space, rng, count):
    """Problems that make a batch, with one operator."""
    ratio = float(10 ** rng.uniform(-0.5, 0.5))
    common = {
        "tv, invertible": lambda: [_factor(space, rng)],
        "h1, invertible": lambda: [_factor(space, rng)],
        "tgv, invertible": lambda: [_factor(space, rng), ratio],
        "tv, constrained": lambda: [odl.MultiplyOperator(
            space.element((rng.random(space.shape) < 0.7) + 0.0))],
        "tgv": lambda: [ratio],
    }.get(name, list)()  # fmt: skip
    return [PROBLEMS[name](space, rng, *common) for _ in range(count)]


def _factor(space, rng):
    """Multiplication by numbers of magnitudes between 1/2 and 2."""
    values = entries(space, rng)
    return odl.MultiplyOperator(space.element(
        values / np.abs(values) * 2 ** rng.uniform(-1, 1, space.shape)))  # fmt: skip


PROBLEMS = {"tv": _denoising, "tv, constrained": _constrained, "h1": _smoothed,
            "tgv": _generalized, "tv, invertible": _invertible(variational.tv_problem),
            "h1, invertible": _invertible(variational.h1_problem),
            "tgv, invertible": _invertible(variational.tgv_problem)}  # fmt: skip


def is_refusal(error):
    """A space that is refused with a reason; differences need two points along every axis."""
    expected = "expected" if isinstance(error, TypeError) else "at least two elements required"
    return expected in str(error)


def check_problems(kind, name, seed, count, longest, alone):
    """A batch against the values of a longer run, with each rule of steps; some samples alone."""
    rng = np.random.default_rng(seed)
    space = random_space(kind, rng)
    try:
        single = problems_of(name, space, rng, count)
        P = as_batch(single)
        best = solvers.primal_dual(P, accuracy=1e-12, maxiter=longest)
    except (TypeError, ValueError) as error:
        assert is_refusal(error), error
        return
    least = P.value(best.x)
    rules = [solvers.AdaptiveSteps(), solvers.FixedSteps()]
    if name in ("tv", "h1"):
        rules.append(solvers.Accelerated(1.0))
    for rule in rules:
        accuracy, maxiter = 10 ** rng.uniform(-6, -1, count), int(rng.integers(1, longest // 2))
        s = solvers.primal_dual(P, accuracy=accuracy, maxiter=maxiter, steps=rule)
        check_gaps(P, s, accuracy, best, least)
    for i in range(alone):
        s = solvers.primal_dual(single[i], accuracy=1e-3, maxiter=longest)
        x = P.f.domain.layout.to_element(each(lambda part, i=i: part[i], best.x))
        bound = None if best.error_bound is None else best.error_bound[i]
        part = best._replace(x=x, error_bound=bound)
        check_gaps(single[i], s, 1e-3, part, least[i])


def check_gaps(problem, s, accuracy, best, least):
    """Assert that gaps and bounds hold against the best known values and images."""
    value, gap, reason = (np.atleast_1d(v) for v in (problem.value(s.x), s.gap, s.reason))
    assert np.all(value - least <= gap + 1e-13 * np.abs(value)), (value - least, gap)
    done = reason == "accuracy"
    assert np.all(np.isfinite(gap[done]) & (gap <= accuracy * value)[done])
    if s.error_bound is not None:
        domain = problem.L.domain
        error = np.asarray(domain.norm(s.x - best.x))
        assert np.all(error <= s.error_bound + best.error_bound)


def check_denoising(kind, seed, count, longest, alone):
    """`rof` and `tgv_denoising`, on a batch of arrays, and on elements."""
    rng = np.random.default_rng(seed)
    space = random_space(kind, rng)
    scales = 10 ** rng.uniform(-2, 2, (count, *[1] * space.ndim))
    y = np.stack([entries(space, rng) for _ in range(count)]) * scales
    alpha, beta = 10 ** rng.uniform(-2, 0.5, count), 10 ** rng.uniform(-0.5, 0.5)
    sides, few = tuple(space.cell_sides), slice(alone)
    for solve in (lambda y, alpha, *stop: solvers.rof(y, alpha, *stop, cell_sides=sides),
                  lambda y, alpha, *stop: solvers.tgv_denoising(y, alpha, beta, *stop,
                                                                cell_sides=sides)):  # fmt: skip
        best = solve(y, alpha, 1e-12, longest)
        for accuracy, maxiter in ((1e-1, 300), (1e-4, 300), (1e-9, 20)):
            s = solve(y, alpha, accuracy, maxiter)
            error = np.linalg.norm((s.x - best.x).reshape(count, -1), axis=1)
            assert np.all(error <= s.error_bound + best.error_bound)
            assert np.all(np.isfinite(s.gap)), s
            assert s.error_bound == pytest.approx(np.sqrt(2 * s.gap))
        for data, a, x, bound in zip(y[few], alpha[few], best.x, best.error_bound):
            try:
                s = solve(space.element(data), float(a), 1e-4, 300)
            except TypeError as error:
                assert is_refusal(error), error
                continue
            weight = space.weighting.const
            error = (s.x - space.element(x)).norm()
            assert error <= s.error_bound + np.sqrt(weight) * bound
            assert s.error_bound == pytest.approx(np.sqrt(2 * s.gap))


@pytest.mark.parametrize("kind", KINDS, ids=", ".join)
def test_certificates_hold(kind):
    k, problems, names = KINDS.index(kind), list(PROBLEMS), list(SMOOTH)
    check_smooth_batches(kind, k, 4, 30, names[k % 2 :: 2], {0: names[(k + k // 4) % 4 :: 4]})
    check_problems(kind, problems[(k + k // 4) % len(problems)], k, 4, 30, 1)
    if k < 8:
        check_denoising(kind, k, 4, 100, 1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=", ".join)
def test_certificates_hold_on_two_hundred_problems(kind):
    for seed in range(2):
        check_smooth_batches(kind, seed, 100, 300, SMOOTH, dict.fromkeys(range(2), SMOOTH))
        check_denoising(kind, seed, 100, 1000, 2)
    for name in PROBLEMS:
        check_problems(kind, name, 2, 50, 400, 2)
