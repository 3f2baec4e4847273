"""Parameters by the discrepancy principle: certified, in any units, for elements and batches."""

import math

import numpy as np
import odl
import pytest
import torch

from odl_learned import bridge, data, functionals, operators, solvers, variational
from odl_learned.solvers import Discrepancy, Solution
from odl_learned.variational.parameter_choice import (
    by_discrepancy,
    by_primal_dual,
    constant_alpha,
    first_alpha,
    white_noise_norm,
    zero_alpha,
)
from odl_learned.weights import unweigh, weigh

LEVEL = 0.1


def space_of(side=1.0, dtype="float64", n=12):
    return odl.uniform_discr([0, 0], [n * side, n * side], (n, n), dtype=dtype)


def steps(X):
    """An image of two levels."""
    values = np.zeros(X.shape)
    values[3:8, 2:9] = 1
    return X.element(values.astype(X.dtype))


def denoising(side=1.0, weight=1.0, seed=0):
    """A measurement ``A, y`` of an image in pixels of a side, in data of a weight."""
    X = space_of(side)
    Y = odl.uniform_discr(X.min_pt, X.max_pt, X.shape, weighting=weight * float(X.cell_volume))
    A = Copy(X, Y)
    y = data.add_white_noise(A(steps(X)), LEVEL, np.random.default_rng(seed))
    return A, y


class Copy(odl.Operator):
    """The identity between spaces with weights of their own."""

    def __init__(self, domain, range):
        super().__init__(domain, range, linear=True)

    def _call(self, x):
        return self.range.element(x.data)

    @property
    def adjoint(self):
        return CopyAdjoint(self)


class CopyAdjoint(odl.Operator):
    """Its adjoint, which knows the weights."""

    def __init__(self, op):
        super().__init__(op.range, op.domain, linear=True)
        self.op = op

    def _call(self, y):
        return unweigh(self.range.element(weigh(y).data))

    @property
    def adjoint(self):
        return self.op


def tv(A, y):
    box = functionals.BoxConstraint(A.domain, -1, 2)
    return lambda alpha: variational.tv_problem(A, functionals.l2_fidelity(y), alpha, box)


def noise_of(A, y, factor=1.0):
    return Discrepancy(A, y, factor * white_noise_norm(A.range, LEVEL), 1.0)


class Denoising:
    """What `rof` solves, for an element or a batch."""

    def __init__(self, y, alpha):
        self.y, self.alpha = y, alpha

    def take(self, index):
        return Denoising(self.y[index], self.alpha[index])


def by_rof(problem, accuracy, start):
    sides = None if hasattr(problem.y, "space") else (1, 1)
    accuracy = np.min(accuracy).item()
    return solvers.rof(problem.y, problem.alpha, accuracy, cell_sides=sides)


# --- noise ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", [
    odl.rn(50), odl.cn(50, weighting=3.0), odl.rn(50, weighting=np.linspace(1, 2, 50)),
    odl.uniform_discr(0, 1, 50, nodes_on_bdry=True),
    odl.ProductSpace(odl.rn(20), odl.rn(30), weighting=[1.0, 5.0])], ids=range(5))
def test_norm_of_white_noise_is_that_of_samples(space):
    rng = np.random.default_rng(0)
    squares = [float(np.real(z.inner(z))) for z in (
        data.add_white_noise(space.zero(), LEVEL, rng) for _ in range(400))]
    # The standard deviation of |z|^2 over its mean is at most sqrt(2 / 10) in these spaces.
    assert np.isclose(white_noise_norm(space, LEVEL) ** 2, np.mean(squares),
                      rtol=4 * math.sqrt(0.2 / 400))
    assert np.isclose(white_noise_norm(space, LEVEL * space.one()),
                      white_noise_norm(space, LEVEL), rtol=1e-12)


def test_noise_of_different_levels_counts_where_it_is():
    X = odl.cn(4, weighting=2.0)
    assert np.isclose(white_noise_norm(X, X.element([0, 0, 3, 0])) ** 2, 2 * 2 * 9, rtol=1e-12)
    with pytest.raises(ValueError, match="standard deviations of at least"):
        white_noise_norm(X, X.element([1j, 0, 3, 0]))
    with pytest.raises(TypeError, match="element of"):
        white_noise_norm(X, odl.rn(4).one())


# --- the discrepancy principle --------------------------------------------------------------------


def exact_root(y, target):
    """The parameter of denoising by total variation, by bisection with accurate solves."""
    low, high = 1e-2, 1.0
    for _ in range(12):
        middle = math.sqrt(low * high)
        x = solvers.rof(y, middle, 1e-8).x
        low, high = (middle, high) if float((x - y).norm()) < target else (low, middle)
    return low, high


def test_bracket_of_denoising_holds_the_exact_parameter():
    X = space_of()
    y = data.add_white_noise(steps(X), LEVEL, np.random.default_rng(0))
    A = odl.IdentityOperator(X)
    noise = noise_of(A, y)
    below, above = exact_root(y, noise.limit.item())
    start = first_alpha(A, LEVEL)
    for problem, solve, rtol in ((tv(A, y), by_primal_dual, 0.02),
                                 (lambda alpha: Denoising(y, alpha), by_rof, 2e-3)):
        found = by_discrepancy(problem, noise, start, rtol, solve)
        assert found.reason == "accuracy"
        assert found.bracket[0] < above and below < found.bracket[1]
        assert 1 - 5 * rtol < found.alpha / below and found.alpha / above < 1 + 5 * rtol
        for trial in found.path[-3:]:  # what is proven is true
            exact = solvers.rof(y, trial.alpha, 1e-9).x
            assert trial.lower <= float((exact - y).norm()) / noise.noise_norm <= trial.upper


def test_accuracy_is_loose_first_and_tight_near_the_root():
    X = space_of()
    A, asked = odl.IdentityOperator(X), []
    y = data.add_white_noise(steps(X), LEVEL, np.random.default_rng(0))

    def solve(problem, accuracy, start):
        asked.append(accuracy)
        return by_rof(problem, accuracy, start)

    path = by_discrepancy(lambda alpha: Denoising(y, alpha), noise_of(A, y),
                          first_alpha(A, LEVEL) / 30, solve=solve).path
    assert asked[0] > 0.05 and asked[-1] < 1e-3
    assert path[-1].upper - path[-1].lower <= 0.02 * (1 + 1e-9)


def test_planted_gaps_are_found_out():
    X = space_of()
    y = data.add_white_noise(steps(X), LEVEL, np.random.default_rng(0))
    noise = noise_of(odl.IdentityOperator(X), y)

    def too_sure(problem, accuracy, start):
        found = by_rof(problem, 0.3, None)
        return found._replace(gap=1e-9 * found.gap)

    found = by_discrepancy(lambda alpha: Denoising(y, alpha), noise, 0.05, 1e-4, too_sure, 1e-4)
    exact = solvers.rof(y, found.alpha, 1e-9).x
    value = float((exact - y).norm()) / noise.noise_norm
    assert not found.path[-1].lower <= value <= found.path[-1].upper


def test_certificates_that_contradict_each_other_are_an_error():
    A, y = denoising()
    truth = steps(A.domain)

    def falling(alpha, accuracy, start):
        x = truth + (1 - 1 / alpha) * (y - truth)
        return Solution(x, None, 1, "accuracy", gap=0.0)

    with pytest.raises(solvers.DivergenceError, match="contradict"):
        by_discrepancy(lambda alpha: alpha, noise_of(A, y), 0.5, solve=falling)


@pytest.mark.parametrize("side, weight", [(10.0, 1.0), (1.0, 100.0)])
def test_units_change_nothing(side, weight):
    A, y = denoising()
    B, z = denoising(side, weight)
    start, other = first_alpha(A, LEVEL), first_alpha(B, LEVEL)
    # 1/2 |u - y|^2 has the factor weight * side^2, the variation the factor side.
    assert np.isclose(other / start, side * weight, rtol=1e-12)
    found, again = (by_discrepancy(tv(*case), noise_of(*case), 2.5 * s, 0.1, width=0.3)
                    for case, s in (((A, y), start), ((B, z), other)))
    assert np.isclose(again.alpha / found.alpha, side * weight, rtol=1e-6)
    assert np.allclose(again.solution.x.data, found.solution.x.data, atol=1e-6)
    assert [t.niter for t in again.path] == [t.niter for t in found.path]
    bounds, others = constant_alpha(A, y), constant_alpha(B, z)
    assert np.allclose(others, np.array(bounds) * side * weight, rtol=1e-9)


def test_samples_of_a_batch_choose_as_they_would_alone():
    X = space_of()
    A, rng = odl.IdentityOperator(X), np.random.default_rng(0)
    ys = [data.add_white_noise(steps(X), LEVEL, rng) for _ in range(3)]
    batch = torch.stack([torch.from_numpy(y.data) for y in ys])
    starts = 2.5 * first_alpha(A, LEVEL) * np.array([1.0, 300.0, 0.2])
    norms = white_noise_norm(X, LEVEL) * np.array([1.0, 1.2, 0.9])
    noise = Discrepancy(bridge.as_batch(A), batch, norms, 1.0)
    found = by_discrepancy(lambda alphas: Denoising(batch, alphas), noise, starts, solve=by_rof)
    assert list(found.reason) == ["accuracy"] * 3
    lengths = [len(path) for path in found.path]
    assert min(lengths) < max(lengths), "all stopped together, so that none was left out"
    for k, y in enumerate(ys):
        alone = by_discrepancy(lambda alpha: Denoising(y, alpha),
                               Discrepancy(A, y, norms[k], 1.0), starts[k], solve=by_rof)
        # Each is within one percent of the same discrepancy, or of a bracket of five.
        assert np.isclose(found.alpha[k], alone.alpha, rtol=0.1)
        value = float((X.element(found.solution.x[k].numpy()) - y).norm())
        assert np.isclose(value, norms[k], rtol=0.02)


def test_problems_of_a_batch_go_on_from_where_they_were():
    X = space_of(n=6)
    A, rng = odl.IdentityOperator(X), np.random.default_rng(0)
    ys = [data.add_white_noise(X.one(), LEVEL, rng) for _ in range(2)]
    noise = Discrepancy(bridge.as_batch(A), torch.stack([torch.from_numpy(y.data) for y in ys]),
                        white_noise_norm(X, LEVEL) * np.array([0.5, 0.8]), 1.0)
    found = by_discrepancy(lambda alphas: bridge.as_batch([variational.tv_problem(
        A, functionals.l2_fidelity(y), float(a)) for y, a in zip(ys, alphas)]), noise, 0.05)
    assert list(found.reason) == ["accuracy"] * 2 and found.solution.gap.shape == (2,)
    values = np.linalg.norm((found.solution.x - noise.data).reshape(2, -1).numpy(), axis=1)
    assert np.allclose(values, noise.noise_norm, rtol=0.02)


def test_complex_data_of_real_images():
    X = odl.uniform_discr([0, 0], [8, 8], (8, 8), dtype="complex128")
    A = operators.SampledFourier(X, np.ones((8, 8)))
    truth = X.element(np.kron(np.eye(2), np.ones((4, 4))) + 0j)
    y = data.add_white_noise(A(truth), LEVEL, np.random.default_rng(0))
    bound = functionals.MagnitudeBound(X, 3.0)
    found = by_discrepancy(
        lambda alpha: variational.tv_problem(A, functionals.l2_fidelity(y), alpha, bound),
        noise_of(A, y), 2 * first_alpha(A, LEVEL), 0.02)
    assert abs(float((A(found.solution.x) - y).norm()) / noise_of(A, y).noise_norm - 1) < 0.04


def test_tikhonov_agrees_with_the_closed_form():
    X = odl.rn(12)
    singular = np.linspace(0.1, 2, 12)
    A = odl.MultiplyOperator(X.element(singular))
    y = X.element(np.cos(np.arange(12.0)))
    noise = Discrepancy(A, y, 0.3 * float(y.norm()), 1.0)
    found = by_discrepancy(
        lambda alpha: variational.tikhonov_problem(A, functionals.l2_fidelity(y), alpha), noise,
        1.0, 1e-4, width=1e-4)
    residual = np.linalg.norm(found.alpha / (singular**2 + found.alpha) * y.data)
    assert abs(residual / noise.noise_norm - 1) <= 1e-4


def test_an_energy_with_an_error_bound_can_be_searched():
    X = space_of(n=8)
    y = data.add_white_noise(X.one(), LEVEL, np.random.default_rng(0))
    penalty = functionals.SmoothedTV(X, 1.0, 0.05, 0.0)

    def solve(alpha, accuracy, start):
        f = functionals.l2_fidelity(y) + alpha * penalty
        x0 = y if start is None else start.x
        found = solvers.accelerated_gradient(
            f, x0, 1e-2, 500, lipschitz=1 + alpha * penalty.grad_lipschitz, strong_convexity=1.0)
        # The error bound is |grad f| / mu, and |grad f|^2 / 2 mu bounds the gap.
        return found._replace(gap=found.error_bound**2 / 2)

    noise = noise_of(odl.IdentityOperator(X), y, 0.8)
    found = by_discrepancy(lambda alpha: alpha, noise, 0.01, 0.02, solve)
    assert found.reason == "accuracy"
    # A solver that does not become more accurate is asked three times.
    with pytest.warns(RuntimeWarning, match="ended undecided"):
        found = by_discrepancy(lambda alpha: alpha, noise, 0.01, 1e-4, solve, 1e-4)
    assert found.reason == "maxiter" and found.path[-1].lower < 1 < found.path[-1].upper


# --- what may go wrong ----------------------------------------------------------------------------


def test_noise_larger_than_the_data_is_refused():
    A, y = denoising()
    for z in (0.0 * y, 0.1 * y):
        with pytest.raises(ValueError, match="Zero explains"):
            by_discrepancy(tv(A, z), noise_of(A, z), 1.0)


def test_a_constant_that_explains_the_data_is_named():
    X = space_of()
    y = data.add_white_noise(steps(X) + 3 * X.one(), LEVEL, np.random.default_rng(0))
    noise = noise_of(odl.IdentityOperator(X), y, 10.0)
    with pytest.raises(ValueError, match=r"no alpha up to .* constant image"):
        by_discrepancy(lambda alpha: Denoising(y, alpha), noise, 1.0, solve=by_rof, factor=1e3)


def test_data_that_no_image_explains_are_named():
    A, y = denoising()
    box = functionals.BoxConstraint(A.domain, 0.2, 0.4)
    with pytest.raises(ValueError, match=r"no alpha down to .* inconsistent"):
        by_discrepancy(lambda alpha: variational.tv_problem(
            A, functionals.l2_fidelity(y), alpha, box), noise_of(A, y), 0.1, factor=1e3)


def test_a_solver_that_stops_early_says_so():
    A, y = denoising()

    def short(problem, accuracy, start):
        return solvers.primal_dual(problem, None, accuracy, maxiter=3)

    with pytest.warns(RuntimeWarning, match=r"'maxiter', at alpha = .* between .*more iterations"):
        found = by_discrepancy(tv(A, y), noise_of(A, y), first_alpha(A, LEVEL), solve=short)
    assert found.reason == "maxiter" and found.path[-1].lower < 1 < found.path[-1].upper


def test_nothing_that_is_not_finite_is_believed():
    A, y = denoising()

    def nothing(problem, accuracy, start):
        return Solution(math.nan * y, None, 1, "accuracy", gap=0.0)

    with pytest.raises(ValueError, match="NaN"):
        by_discrepancy(tv(A, y), noise_of(A, y), 1.0, solve=nothing)
    with pytest.raises(ValueError, match="NaN"):
        noise_of(A, math.nan * y)
    with pytest.raises(TypeError, match="Solution"):
        by_discrepancy(tv(A, y), noise_of(A, y), 1.0, solve=lambda *_: y)


# --- where images become constant -----------------------------------------------------------------


def test_bounds_hold_the_parameter_that_makes_images_constant():
    X = space_of(n=8)
    A = odl.IdentityOperator(X)
    y = data.add_white_noise(steps(X), LEVEL, np.random.default_rng(0))
    lower, upper = constant_alpha(A, y)
    mean = y.data.mean()
    # The error bound of rof proves that an image is not constant, but only that it is nearly so.
    for alpha, is_constant in ((0.99 * lower, False), (1.01 * upper, True)):
        found = solvers.rof(y, alpha, 1e-10, maxiter=100000)
        distance = float((found.x - X.element(np.full(X.shape, mean))).norm())
        assert (distance <= found.error_bound) == is_constant
    assert lower >= 0.5 * upper


def test_constant_data_need_no_parameter():
    X = space_of(n=8)
    assert constant_alpha(odl.IdentityOperator(X), 3 * X.one()).upper < 1e-12


def test_first_alpha_wants_noise():
    A, _ = denoising()
    with pytest.raises(ValueError, match="noise_level is 0"):
        first_alpha(A, 0.0)
    with pytest.raises(TypeError, match="uniform_discr"):
        first_alpha(odl.IdentityOperator(odl.rn(4)), 0.1)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_wavelets_make_images_zero_from_their_parameter_on(dtype):
    X = space_of(2.0, dtype, n=8)
    W = functionals.WaveletL1(X, "haar", 2)
    A, rng = odl.IdentityOperator(X), np.random.default_rng(0)
    y = operators.random_element(X, rng)
    alpha = zero_alpha(A, y, W.transform)
    for factor, is_zero in ((0.999, False), (1.001, True)):
        x = W.proximal(factor * alpha)(y)
        assert (float(x.norm()) < 1e-12 * float(y.norm())) == is_zero
    assert np.isclose(zero_alpha(3 * A, y, W.transform), 3 * alpha, rtol=1e-12)


def test_noise_of_different_size_is_white_in_the_right_weights():
    sizes = np.linspace(0.02, 0.3, 12)
    Y, X = odl.rn(12, weighting=1 / sizes**2), odl.rn(12)
    A = Copy(X, Y)
    y = Y.element(np.cos(np.arange(12.0)) + sizes)
    norm = white_noise_norm(Y, Y.element(sizes))
    assert np.isclose(norm, math.sqrt(12), rtol=1e-12)
    found = by_discrepancy(
        lambda alpha: variational.tikhonov_problem(A, functionals.l2_fidelity(y), alpha),
        Discrepancy(A, y, norm, 1.0), 1.0, 1e-3, width=1e-3)
    factors = found.alpha / (1 / sizes**2 + found.alpha)
    assert np.isclose(np.linalg.norm(factors * y.data / sizes), norm, rtol=1e-3)


@pytest.mark.slow
def test_problems_with_more_than_an_image_name_the_part_that_is_measured():
    X = space_of(n=8)
    A, box = odl.IdentityOperator(X), functionals.BoxConstraint(X, -1, 2)
    y = data.add_white_noise(steps(X), LEVEL, np.random.default_rng(0))

    def tgv(alpha):
        return variational.tgv_problem(A, functionals.l2_fidelity(y), alpha, 2.0, box)

    image = A @ odl.ComponentProjection(tgv(1.0).L.domain, 0)
    found = by_discrepancy(tgv, noise_of(image, y), 2 * first_alpha(A, LEVEL), 0.1, width=0.3)
    assert found.reason == "accuracy" and found.solution.x[0] in X
    reference = solvers.tgv_denoising(y, found.alpha, 2.0, 1e-6)
    value = float((reference.x - y).norm()) / noise_of(A, y).noise_norm
    assert found.path[-1].lower <= value <= found.path[-1].upper
