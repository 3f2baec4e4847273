"""No certificate is below the true error: every certified solver on random problems and spaces.

The ordinary run takes a few problems of each kind of space, the slow one two hundred.
"""

import math

import numpy as np
import odl
import pytest
from random_problems import KINDS, LeastSquares, entries, is_complex, random_space

from odl_learned import solvers, variational
from odl_learned.bridge import as_batch
from odl_learned.functionals import BoxConstraint, MagnitudeBound, l2_fidelity
from odl_learned.solvers import fixed_point

MANY = 200


def honest(solution, error, accuracy, slack):
    """Assert that a bound of the distance holds, and that "accuracy" has one as small."""
    bound = solution.error_bound
    assert bound is not None and error <= bound * (1 + 1e-9) + slack, (error, solution)
    if solution.reason == "accuracy":
        assert math.isfinite(bound) and bound <= accuracy, solution


# Solvers with a bound of the distance, on the same problems

def _gradient(solver):
    return lambda f, x0, accuracy: solver(f, x0, accuracy, 1000)


def _lsqr(f, x0, accuracy):
    return solvers.lsqr(f.A, f.data, x0, accuracy, 200, damp=math.sqrt(f.mu))


def _conjugate_gradient(f, x0, accuracy):
    return solvers.conjugate_gradient(
        f.hessian, f.A.adjoint(f.data), x0, accuracy, 200, lower_bound=f.mu)


def _proximal(solver):
    """With ``|x|^2`` in the nonsmooth part."""
    def solve(f, x0, accuracy):
        g = (f.mu / 2) * odl.functionals.L2NormSquared(f.space)
        return solver(f.fidelity * f.A, g, x0, accuracy, 300, lipschitz=f.grad_lipschitz,
                      g_strong_convexity=f.mu)  # fmt: skip

    return solve


def _searching(f, x0, accuracy):
    return solvers.fista(f, odl.functionals.ZeroFunctional(f.space), x0, accuracy, 300,
                         solvers.Backtracking(), f.mu)  # fmt: skip


def _fixed_point(f, x0, accuracy):
    L, mu = f.grad_lipschitz, f.mu
    s = fixed_point(lambda x: x - (2 / (L + mu)) * f.gradient(x), x0, accuracy, 1000,
                    contraction=(L - mu) / (L + mu) * (1 + 1e-12))  # fmt: skip
    return s._replace(reason="")  # its accuracy is that of the residual


def _tikhonov(f, x0, accuracy):
    problem = variational.tikhonov_problem(f.A, f.fidelity, f.mu)
    s = solvers.primal_dual(problem, x0, accuracy=1e-5, maxiter=300)
    assert s.reason != "accuracy" or (math.isfinite(s.gap) and s.gap <= 1e-5 * problem.value(s.x))
    excess = problem.value(s.x) - problem.value(f.exact)
    assert excess <= s.gap + 1e-13 * problem.value(s.x)
    return s._replace(reason="")


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


def check_smooth(kind, seed, names):
    """Problems with solutions by dense linear algebra."""
    rng = np.random.default_rng(seed)
    f = LeastSquares(kind, rng)
    x0 = f.start(rng)
    size = x0.norm() + f.exact.norm()
    # Rounding errors of gradients, over mu.
    slack = 1e-14 * f.grad_lipschitz / f.mu * (size + f.data.norm() / f.grad_lipschitz**0.5)
    for name in names:
        accuracy = 10 ** rng.uniform(-8, 0) * size
        s = SMOOTH[name](f, x0, accuracy)
        honest(s, (s.x - f.exact).norm(), accuracy, slack)


# Problems of variation: the reference is a longer run, of which the bound or gap is added

def _denoising(space, rng):
    return variational.tv_problem(odl.IdentityOperator(space), _data(space, rng), _alpha(rng))


def _constrained(space, rng):
    bound = MagnitudeBound(space, 2.0) if is_complex(space) else BoxConstraint(space, -1, 1)
    mask = odl.MultiplyOperator(space.element((rng.random(space.shape) < 0.7) + 0.0))
    return variational.tv_problem(mask, _data(space, rng), _alpha(rng), bound)


def _smoothed(space, rng):
    return variational.h1_problem(odl.IdentityOperator(space), _data(space, rng), _alpha(rng))


def _generalized(space, rng):
    return variational.tgv_problem(odl.IdentityOperator(space), _data(space, rng), _alpha(rng),
                                   10 ** rng.uniform(-0.5, 0.5))  # fmt: skip


def _data(space, rng):
    return l2_fidelity(space.element(entries(space, rng)))


def _alpha(rng):
    return float(10 ** rng.uniform(-2, 0.5))


PROBLEMS = {"tv": _denoising, "tv, constrained": _constrained, "h1": _smoothed,
            "tgv": _generalized}  # fmt: skip


def is_refusal(error):
    """A space that is refused with a reason; differences need two points along every axis."""
    expected = "expected" if isinstance(error, TypeError) else "at least two elements required"
    return expected in str(error)


def check_problems(kind, name, count, longest):
    """Batches of one space: gaps against the value of a longer run."""
    rng = np.random.default_rng(count)
    space = random_space(kind, rng)
    try:
        P = as_batch([PROBLEMS[name](space, rng) for _ in range(count)])
        best = solvers.primal_dual(P, accuracy=1e-10, maxiter=longest)
    except (TypeError, ValueError) as error:
        assert is_refusal(error), error
        return
    least = P.value(best.x)
    rules = [solvers.AdaptiveSteps(), solvers.FixedSteps()]
    if name in ("tv", "h1"):
        rules.append(solvers.Accelerated(1.0))
    for rule in rules:
        accuracy, maxiter = 10 ** rng.uniform(-4, -1), int(rng.integers(1, longest // 2))
        s = solvers.primal_dual(P, accuracy=accuracy, maxiter=maxiter, steps=rule)
        value, done = P.value(s.x), s.reason == "accuracy"
        assert np.all(value - least <= s.gap + 1e-13 * value)
        assert np.all(np.isfinite(s.gap[done])) and np.all(s.gap[done] <= accuracy * value[done])
        if s.error_bound is not None:
            error = P.L.domain.norm(s.x - best.x).numpy()
            assert np.all(error <= s.error_bound + best.error_bound)


def check_denoising(kind, seed):
    """`rof` and `tgv_denoising`, with values by the problems of `variational`."""
    rng = np.random.default_rng(seed)
    space = random_space(kind, rng)
    y, alpha, beta = space.element(entries(space, rng)), _alpha(rng), 10 ** rng.uniform(-0.5, 0.5)
    for solve in (lambda accuracy, n: solvers.rof(y, alpha, accuracy, n),
                  lambda accuracy, n: solvers.tgv_denoising(y, alpha, beta, accuracy, n)):
        try:
            best = solve(1e-9, 1000)
        except TypeError as error:
            assert is_refusal(error), error
            continue
        for accuracy, maxiter in ((1e-1, 300), (1e-4, 300), (1e-9, 20)):
            s = solve(accuracy, maxiter)
            error = (s.x - best.x).norm()
            assert error <= s.error_bound + best.error_bound, (error, s, best)
            assert math.isfinite(s.gap) and s.error_bound == pytest.approx(math.sqrt(2 * s.gap))


def check_all(kind, names, count, longest):
    for seed in np.random.default_rng(0).integers(2**31, size=count):
        check_smooth(kind, seed, SMOOTH)
        check_denoising(kind, seed)
    for name in names:
        check_problems(kind, name, count, longest)


@pytest.mark.parametrize("kind", KINDS, ids=", ".join)
def test_certificates_hold(kind):
    names = list(PROBLEMS)
    check_all(kind, [names[KINDS.index(kind) % 3], names[KINDS.index(kind) % 4]], 1, 40)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=", ".join)
def test_certificates_hold_on_two_hundred_problems(kind):
    check_all(kind, PROBLEMS, MANY, 1000)
