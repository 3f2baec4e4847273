"""Parameters by Stein's unbiased risk and by cross-validation, against closed forms."""

import math

import numpy as np
import odl
import pytest
from scipy.optimize import minimize_scalar

from odl_learned import data, functionals, solvers, variational
from odl_learned.variational.parameter_choice import (
    by_cross_validation,
    by_unbiased_risk,
    first_alpha,
    white_noise_norm,
)
from odl_learned.variational.parameter_choice.cross_validation import decides
from odl_learned.variational.parameter_choice.divergence import Probe

LEVEL = 0.1


def rng(seed=0):
    return np.random.default_rng(seed)


class Diagonal:
    """Tikhonov's method for a diagonal operator, in closed form."""

    def __init__(self, space):
        self.singular = np.linspace(0.2, 2, space.size).reshape(space.shape)
        self.space = space
        self.A = odl.MultiplyOperator(space.element(self.singular.astype(space.dtype)))

    def solve(self, problem, accuracy, start):
        alpha, y = problem
        x = self.singular * y.data / (self.singular**2 + alpha)
        return solvers.Solution(self.space.element(x), None, 1, "accuracy", gap=0.0)

    def followed(self, alpha):
        """The factors by which ``A x`` follows the data."""
        return self.singular**2 / (self.singular**2 + alpha)


def pair(alpha, y):
    return alpha, y


SPACES = [odl.rn(40), odl.cn(40, weighting=7.0), odl.rn(40, weighting=np.linspace(1, 3, 40)),
          odl.uniform_discr(0, 1, 40, nodes_on_bdry=True)]  # fmt: skip


def weights_of(space):
    """``w_j``, by unit vectors."""
    units = (space.element(row.astype(space.dtype)) for row in np.eye(space.size))
    return np.array([float(np.real(u.inner(u))) for u in units])


@pytest.mark.parametrize("space", SPACES, ids=range(4))
def test_risks_are_those_of_the_closed_form(space):
    case, w = Diagonal(space), weights_of(space)
    levels = LEVEL * np.linspace(0.5, 2, 40)
    levels[7] = 0  # not measured
    sigma = space.element(levels.astype(space.dtype))
    y = data.add_white_noise(case.A(space.one()), LEVEL, rng())
    y = space.element(np.where(levels > 0, y.data, 0))
    parts = 1 if space.is_real else 2
    noise = parts * np.sum(w * levels**2)

    def terms(alpha):
        h = case.followed(alpha)
        residual = np.sum(w * np.abs((1 - h) * y.data) ** 2) / noise
        return residual, parts * np.sum(w * levels**2 * h) / noise

    found = by_unbiased_risk(pair, case.A, y, sigma, 0.05, rng(), solve=case.solve)
    assert math.isclose(white_noise_norm(space, sigma) ** 2, noise, rel_tol=1e-12)
    for fit in found.path:
        residual, degrees = terms(fit.alpha)
        assert np.isclose(fit.residual**2, residual, rtol=1e-9)
        assert np.isclose(fit.degrees, degrees, rtol=1e-9)
        assert np.isclose(fit.risk, residual - 1 + 2 * degrees, rtol=1e-9)
    best = minimize_scalar(lambda t: terms(math.exp(t))[0] + 2 * terms(math.exp(t))[1],
                           bounds=(-8, 4), method="bounded").x  # fmt: skip
    assert abs(math.log(found.alpha) - best) < math.log(1.2)
    assert found.bracket[0] < math.exp(best) < found.bracket[1]

    found = by_cross_validation(pair, case.A, y, 0.05, rng(), solve=case.solve, measured=sigma)
    for fit in found.path:
        residual, degrees = terms(fit.alpha)
        assert np.isclose(fit.risk, residual / (1 - degrees) ** 2, rtol=1e-9)
    best = minimize_scalar(lambda t: terms(math.exp(t))[0] / (1 - terms(math.exp(t))[1]) ** 2,
                           bounds=(-8, 4), method="bounded").x  # fmt: skip
    assert abs(math.log(found.alpha) - best) < math.log(1.2)


@pytest.mark.parametrize("space", SPACES[:2], ids=range(2))
def test_risk_has_the_mean_of_the_error(space):
    # Soft thresholds are not linear: x = sign(y) max(|y| - alpha, 0).
    sparse = np.where(np.arange(40) % 4, 0.0, 0.5)
    A, truth = odl.IdentityOperator(space), space.element(sparse.astype(space.dtype))

    def solve(problem, accuracy, start):
        alpha, y = problem
        size = np.abs(y.data)
        x = y.data * np.maximum(1 - alpha / np.maximum(size, 1e-300), 0)
        return solvers.Solution(space.element(x), None, 1, "accuracy", gap=0.0)

    differences, generator = [], rng()
    for _ in range(300):
        y = data.add_white_noise(truth, LEVEL, generator)
        fit = by_unbiased_risk(pair, A, y, LEVEL, 0.1, generator, solve=solve,
                               step=0.01).path[0]  # fmt: skip
        x = solve((0.1, y), None, None).x
        differences.append(fit.risk - float((x - truth).norm()) ** 2 / white_noise_norm(
            space, LEVEL) ** 2)
    error = np.std(differences) / math.sqrt(len(differences))
    assert error < 0.03 and abs(np.mean(differences)) < 4 * error


def variation(n=12):
    X = odl.uniform_discr([0, 0], [n, n], (n, n))
    values = np.zeros(X.shape)
    values[3:8, 2:9] = 1
    return odl.IdentityOperator(X), data.add_white_noise(X.element(values), LEVEL, rng())


class Denoising:
    def __init__(self, alpha, y):
        self.alpha, self.y = alpha, y


def by_rof(problem, accuracy, start):
    return solvers.rof(problem.y, problem.alpha, accuracy)


def denoising(alpha, y):
    return Denoising(alpha, y)


def exact(problem, accuracy, start):
    return solvers.rof(problem.y, problem.alpha, 1e-9)


def test_gaps_bound_the_error_of_the_risk():
    A, y = variation()
    start = first_alpha(A, LEVEL)

    def fits(solve, by=by_unbiased_risk, noise=(LEVEL,)):
        return {fit.alpha: fit for fit in by(
            denoising, A, y, *noise, start, rng(), rtol=0.3, solve=solve).path}

    def too_sure(problem, accuracy, start):
        found = solvers.rof(problem.y, problem.alpha, 0.5, maxiter=2)
        return found._replace(gap=1e-8 * found.gap, reason="accuracy")

    for by, noise in ((by_unbiased_risk, (LEVEL,)), (by_cross_validation, ())):
        truth = fits(exact, by, noise)[start]
        loose, wrong = fits(by_rof, by, noise)[start], fits(too_sure, by, noise)[start]
        if by is by_unbiased_risk:  # the other one has another step, as the residual differs
            assert abs(loose.risk - truth.risk) <= loose.error + truth.error
        assert abs(wrong.risk - truth.risk) > wrong.error + truth.error


def test_answers_of_solves_that_stopped_early_are_warned_of():
    A, y = variation()

    def stopped(problem, accuracy, start):
        return by_rof(problem, accuracy, start)._replace(reason="maxiter")

    for by, noise in ((by_unbiased_risk, (LEVEL,)), (by_cross_validation, ())):
        with pytest.warns(RuntimeWarning, match="ended with the reason 'maxiter' and a gap of"):
            choice = by(denoising, A, y, *noise, first_alpha(A, LEVEL), rng(), solve=stopped)
        assert choice.reason == "maxiter"


def test_problems_of_the_package_are_solved_from_where_they_were():
    A, y = variation(8)
    box = functionals.BoxConstraint(A.domain, -1, 2)
    found = by_unbiased_risk(
        lambda alpha, z: variational.tv_problem(A, functionals.l2_fidelity(z), alpha, box), A, y,
        LEVEL, first_alpha(A, LEVEL), rng(), rtol=0.1)
    reference = by_unbiased_risk(denoising, A, y, LEVEL, first_alpha(A, LEVEL), rng(), rtol=0.1,
                                 solve=exact)
    assert found.reason == "accuracy"
    common = {fit.alpha: fit.risk for fit in reference.path}
    assert all(abs(fit.risk - common[fit.alpha]) <= fit.error + 1e-3
               for fit in found.path[:3] if fit.alpha in common)


def test_units_change_nothing():
    first, second = Diagonal(odl.rn(40)), Diagonal(odl.rn(40, weighting=100.0))
    level = 3 * LEVEL
    y = data.add_white_noise(first.A(first.space.one()), level, rng(1))
    z = second.space.element(y.data)
    for by, noise in ((by_unbiased_risk, (level,)), (by_cross_validation, ())):
        found, again = (by(pair, case.A, v, *noise, 0.05, rng(), solve=case.solve)
                        for case, v in ((first, y), (second, z)))
        assert np.isclose(found.alpha, again.alpha, rtol=1e-9)
        assert np.allclose([f.degrees for f in found.path], [f.degrees for f in again.path])


@pytest.mark.parametrize("far", [3e-4, 0.02, 30.0, 3e3])
def test_starts_far_away_lead_to_the_same_minimum(far):
    case, level = Diagonal(odl.rn(40)), 3 * LEVEL
    y = data.add_white_noise(case.A(case.space.one()), level, rng())
    near = by_unbiased_risk(pair, case.A, y, level, 0.1, rng(), solve=case.solve)
    found = by_unbiased_risk(pair, case.A, y, level, far * near.alpha, rng(), solve=case.solve)
    assert np.isclose(found.alpha, near.alpha, rtol=0.2)  # both are as near as the width
    assert found.bracket[0] < found.alpha < found.bracket[1]


@pytest.mark.parametrize("far", [5e-4, 0.01, 100.0, 1e3])
def test_cross_validation_comes_from_far_away_to_the_least_error(far):
    X = odl.uniform_discr([0, 0], [16, 12], (16, 12))
    values = np.zeros(X.shape)
    values[4:11, 3:9] = 1
    A, truth = odl.IdentityOperator(X), X.element(values)
    y = data.add_white_noise(truth, LEVEL, rng())
    start = first_alpha(A, LEVEL)
    found = by_cross_validation(denoising, A, y, far * start, rng(1), solve=by_rof)
    images = [solvers.rof(y, alpha, 1e-6).x for alpha in np.geomspace(0.02, 0.5, 12)]
    least = min(float((x - truth).norm()) for x in images)
    assert float((found.solution.x - truth).norm()) < 1.25 * least
    assert float((y - truth).norm()) > 2 * least  # where all of the data is followed
    answer = next(fit for fit in found.path if fit.alpha == found.alpha)
    assert found.bracket[0] < found.alpha < found.bracket[1] and answer.degrees < 0.5


@pytest.mark.parametrize("by", [by_unbiased_risk, by_cross_validation])
def test_starts_where_images_are_constant_are_left(by):
    """The risk is flat there, up to errors of the solves that make minima of their own."""
    A, y = variation()
    errors = rng(2)

    def loose(problem, accuracy, start):
        found = by_rof(problem, accuracy, start)
        size = 1e-3 * float(problem.y.norm()) / math.sqrt(y.size)
        error = size * errors.standard_normal(y.shape)
        return found._replace(x=found.x + A.range.element(error))

    start, noise = first_alpha(A, LEVEL), (LEVEL,) if by is by_unbiased_risk else ()
    for seed in range(4):
        found = by(denoising, A, y, *noise, 1e3 * start, rng(seed), solve=loose)
        assert found.path[0].degrees < 0.02
        assert 0.2 * start < found.alpha < 5 * start


def test_deviations_of_the_rest_are_no_larger_than_derived():
    n = 30
    vectors, _ = np.linalg.qr(rng().standard_normal((n, n)))
    rest = np.zeros(n)
    rest[:3] = 1, 0.5, 0.1  # eigenvalues of I - J
    matrix, r = (vectors * rest) @ vectors.T, rest.sum() / n
    X = odl.rn(n, weighting=3.0)
    probes = [Probe.of_noise(X, LEVEL, rng(k)) for k in range(400)]
    found = [1 - p.degrees(X.zero(), p.direction - X.element(matrix @ p.direction.data), 1.0)
             for p in probes]
    assert np.isclose(probes[0].count, n) and abs(np.mean(found) - r) < 0.2 * r
    assert 0.3 * math.sqrt(2 * r / n) < np.std(found) <= math.sqrt(2 * r / n)
    assert decides(2.1 / n, 0.0, n) and not decides(1.9 / n, 0.0, n)
    assert not decides(2.1 / n, 0.1, n)


# --- what may go wrong ----------------------------------------------------------------------------


def test_a_risk_without_a_minimum_says_where_it_falls_to():
    case = Diagonal(odl.rn(40))
    noise = data.add_white_noise(case.space.zero(), LEVEL, rng())
    with pytest.raises(ValueError, match=r"falls all the way up to alpha .* expected a minimum"):
        by_unbiased_risk(pair, case.A, noise, 2 * LEVEL, 0.05, rng(), solve=case.solve)


def test_cross_validation_decides_nothing_where_two_of_forty_numbers_are_left():
    case = Diagonal(odl.rn(40))
    y = data.add_white_noise(case.A(case.space.one()), LEVEL, rng())
    with pytest.raises(ValueError, match=r"falls down to alpha .* 0\.9\d* degrees.*unbiased_risk"):
        by_cross_validation(pair, case.A, y, 0.05, rng(), solve=case.solve)


def test_cross_validation_without_a_residual_names_a_larger_start():
    case = Diagonal(odl.rn(40))
    y = data.add_white_noise(case.A(case.space.one()), LEVEL, rng())
    with pytest.raises(ValueError, match=r"follow 1 of the data.*larger parameter"):
        by_cross_validation(pair, case.A, y, 1e-6, rng(), solve=case.solve, factor=100)


def test_zero_data_and_zero_noise_are_refused():
    case = Diagonal(odl.rn(40))
    zero = case.space.zero()
    with pytest.raises(ValueError, match="Zero data have no best parameter"):
        by_cross_validation(pair, case.A, zero, 0.05, rng(), solve=case.solve)
    with pytest.raises(ValueError, match="noise_level is 0.0, zero everywhere"):
        by_unbiased_risk(pair, case.A, case.space.one(), 0.0, 0.05, rng(), solve=case.solve)


def test_infinite_gaps_are_refused():
    case = Diagonal(odl.rn(40))

    def endless(problem, accuracy, start):
        return case.solve(problem, accuracy, start)._replace(gap=math.inf)

    with pytest.raises(ValueError, match="bounded by a constraint"):
        by_unbiased_risk(pair, case.A, case.space.one(), LEVEL, 0.05, rng(), solve=endless)
