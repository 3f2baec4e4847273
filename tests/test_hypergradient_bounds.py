"""Certificates of hypergradients: no bound is ever below the true error, and none is far above."""

import dataclasses

import numpy as np
import pytest
import torch
from dense_hessians import energies, jacobians, reals
from hypergradient_problems import (
    PROBLEMS,
    by_autograd,
    denoising,
    noisy,
    pictures,
    sampling,
    signals,
)

from odl_learned.energies import Denoising, FixedEnergy, VariationEnergy
from odl_learned.energies.coefficients import natural
from odl_learned.energies.hessian_variation import global_variation, variation
from odl_learned.energies.intervals import block_variation
from odl_learned.energies.potentials import Charbonnier, CubicAbsolute
from odl_learned.energies.samples import sample_norms
from odl_learned.energies.transforms import ForwardDifferences
from odl_learned.learning.bilevel import BilevelProblem, SquaredError
from odl_learned.learning.bilevel.hypergradients import (
    Direct,
    Implicit,
    JacobianFree,
    Piggyback,
    Unrolled,
)
from odl_learned.learning.bilevel.hypergradients.bounds import corrected_value_bound, gradient_bound
from odl_learned.learning.bilevel.hypergradients.certificates import Reconstruction, certified
from odl_learned.learning.bilevel.lower import Accelerated, LowerLevel


@pytest.mark.parametrize("radius", [1e-3, 0.3])
def test_variations_hold_on_the_ball(radius, rng):
    for name, problem, params in energies(rng):
        x = LowerLevel(problem).solve(params, 1e-3).x
        q = noisy(torch.zeros_like(x), rng, 1.0)
        e = np.full(len(x), radius)
        found = variation(problem.energy, x, params, problem.data, e, q)
        here = list(jacobians(problem.energy, x, params, problem.data))
        for _ in range(2):
            d = pictures(x.shape[1:], len(x), rng, x.dtype) - pictures(
                x.shape[1:], len(x), rng, x.dtype)
            d = radius * d / sample_norms(d).reshape(-1, *[1] * (x.ndim - 1))
            there = list(jacobians(problem.energy, x + d, params, problem.data))
            nodes, weights = np.polynomial.legendre.leggauss(4)
            ways = [list(jacobians(problem.energy, x + (t + 1) / 2 * d, params, problem.data))
                    for t in nodes]
            for i, ((H0, J0), (H, J)) in enumerate(zip(here, there, strict=True)):
                qi = reals(q[i])
                mean = sum(w / 2 * (way[i][0] - H0) @ qi
                           for w, way in zip(weights, ways, strict=True))
                for value, bound in (
                    ((H - H0) @ qi, found.hessian), (mean, found.mean_hessian),
                    ((J - J0) @ qi, found.mixed)):  # fmt: skip
                    assert float(value.norm()) <= float(bound[i]) * (1 + 1e-9) + 1e-12, name
                assert float(torch.linalg.matrix_norm(J, 2)) <= float(found.jacobian[i]), name


def test_global_constants_are_weaker(rng):
    problem, params = denoising(rng)
    x = problem.x0
    q, e = noisy(torch.zeros_like(x), rng, 1.0), np.full(len(x), 1e-3)
    local = problem.energy.variation_bound(x, params, problem.data, e, q)
    everywhere = global_variation(problem.energy.curvature_constants(params), q, e)
    for a, b in zip(local, everywhere):
        assert (a <= b * (1 + 1e-12)).all()


def test_the_global_bound_is_the_published_one(rng):
    """Ehrhardt & Roberts 2024 with the constants of the energy, term by term."""
    q = pictures((4, 5), 3, rng)
    r, e = (torch.as_tensor(rng.random(3)) for _ in range(2))
    LA, LB, B, Lf, mu = 3.0, 0.7, 2.0, 1.5, 0.2
    found = gradient_bound(global_variation((LA, LB, B), q, e), r, e, Lf, mu)
    size = sample_norms(q)
    expected = B / mu * r + ((B * Lf + B * size * LA) / mu + size * LB) * e
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=0)
    second = corrected_value_bound(global_variation((LA, LB, B), q, e), r, e, Lf)
    torch.testing.assert_close(second, e * (r + Lf * e / 2 + LA * e * size / 2), rtol=1e-13,
                               atol=0)  # fmt: skip


def random_problem(rng, kind):
    """A problem of this kind with parameters drawn over two decades."""
    if kind == 0:
        problem, _ = signals(rng)
        return problem, torch.as_tensor(rng.uniform([-2, -2.5, -3], [0, -0.5, -1]))
    if kind == 1:
        problem, _ = sampling(rng)
        return problem, torch.as_tensor(np.append(rng.uniform(0, 1, 20), 10 ** rng.uniform(-3, -1)))
    truth = pictures((6, 6), 2, rng)
    data = noisy(truth, rng)
    potential = Charbonnier() if kind == 2 else CubicAbsolute()
    energy = VariationEnergy(Denoising(), ForwardDifferences((6, 6)), potential, natural)
    params = torch.as_tensor(np.log(10.0) * rng.uniform([-2, -2.5], [-0.5, -0.5]))
    return BilevelProblem(energy, data, SquaredError(truth, 0.5), data), params


def test_two_hundred_random_certificates_hold_and_are_tight(rng):
    """Reconstructions and adjoints are perturbed by 1e-6 to 1e-1; the errors are measured."""
    ratios = {"x": [], "value": [], "corrected": [], "gradient": []}
    for case in range(50):
        problem, params = random_problem(rng, case % 4)
        exact = Direct()(LowerLevel(problem), params, 1e-13, 1e-13)
        for _ in range(4):
            size = 10 ** rng.uniform(-6, -1)
            x, q = (z + noisy(torch.zeros_like(z), rng, size * 10 ** rng.uniform(-3, 0))
                    for z in (exact.x, exact.adjoint))
            f = FixedEnergy(problem.energy, params, problem.data)
            # A gradient step leaves the error where the energy is flat, as solvers do.
            for _ in range(20):
                x = x - f.gradient(x) / f.grad_lipschitz
            e = (sample_norms(f.gradient(x)) / f.strong_convexity).numpy()
            lower = LowerLevel(problem)
            at = Reconstruction(lower, params, x, e, dataclasses.asdict(lower.work))
            found = certified(at, q)
            errors = {
                "x": (float(e.sum()), float(sample_norms(x - exact.x).sum())),
                "value": (found.value_bound, abs(found.value - exact.value)),
                "corrected": (found.corrected_value_bound,
                              abs(found.corrected_value - exact.value)),
                "gradient": (found.gradient_bound,
                             float((found.gradient - exact.gradient).norm())),
            }  # fmt: skip
            for name, (bound, error) in errors.items():
                slack = exact.gradient_bound if name == "gradient" else exact.value_bound
                assert error <= bound + slack + 1e-12 * (name == "x"), (case, name, bound, error)
                ratios[name].append(bound / max(error, 1e-300))
    assert all(len(values) == 200 for values in ratios.values())
    medians = {name: float(np.median(values)) for name, values in ratios.items()}
    assert medians["x"] <= 5 and medians["value"] <= 20 and medians["gradient"] <= 20, medians


@pytest.mark.parametrize("mode", [Implicit(), JacobianFree(), Piggyback(40), Unrolled(15)],
                         ids=["implicit", "jacobian-free", "piggyback", "unrolled"])  # fmt: skip
@pytest.mark.parametrize("name", ["denoising", "sampling", "odds"])
def test_certificates_of_modes_hold(mode, name, rng):
    problem, params = PROBLEMS[name](rng)
    exact = Direct()(LowerLevel(problem), params, 1e-12, 1e-12)
    for accuracy in (1.0, 1e-2, 1e-4):
        found = mode(LowerLevel(problem, Accelerated()), params, accuracy, accuracy)
        assert abs(found.value - exact.value) <= found.value_bound + exact.value_bound
        assert abs(found.corrected_value - exact.value) <= (
            found.corrected_value_bound + exact.value_bound)
        error = float((found.gradient - exact.gradient).norm())
        assert error <= found.gradient_bound + exact.gradient_bound
        if not isinstance(mode, Unrolled):
            assert np.isfinite(found.gradient_bound)


def test_the_corrected_value_is_of_second_order(rng):
    problem, params = signals(rng)
    exact = Direct()(LowerLevel(problem), params, 1e-13, 1e-13)
    d = noisy(torch.zeros_like(exact.x), rng, 1.0)
    errors, bounds = [], []
    for size in (1e-3, 1e-4):
        x = exact.x + size * d
        e = sample_norms(size * d).numpy()
        lower = LowerLevel(problem)
        at = Reconstruction(lower, params, x, e, dataclasses.asdict(lower.work))
        operator, slope = at.operator, at.slope
        q = Implicit()(Solved(lower, x, e), params, 1.0, 1e-12).adjoint
        assert float((operator(q) - slope).norm()) < 1e-11
        found = certified(at, q)
        assert found.corrected_value_bound < found.value_bound
        errors.append(abs(found.corrected_value - exact.value))
        bounds.append(found.corrected_value_bound)
    assert errors[1] < errors[0] / 50 and bounds[1] < bounds[0] / 50


class Solved:
    """A lower level that returns this reconstruction."""

    def __init__(self, lower, x, error_bound):
        self._lower, self._answer = lower, (x, error_bound)
        self.problem, self.work, self.fixed = lower.problem, lower.work, lower.fixed
        self.adjoint = None

    def solve(self, params, accuracy):
        x, error_bound = self._answer
        return self._lower.solve(params, 1.0)._replace(x=x, error_bound=error_bound)


def test_a_worse_corrected_value_is_not_used(rng):
    """Far from the solution the plain value has the smaller bound."""
    problem, params = denoising(rng)
    found = JacobianFree(1e-9)(LowerLevel(problem, Accelerated()), params, 1.0, 1.0)
    assert found.corrected_value_bound == found.value_bound
    assert found.corrected_value == found.value


def test_unknown_constants_give_infinite_bounds_of_gradients_only(rng):
    problem, params = by_autograd(denoising)(rng)
    found = Implicit()(LowerLevel(problem), params, 1e-4, 1e-4)
    assert found.gradient_bound == np.inf
    assert np.isfinite(found.value_bound) and np.isfinite(found.corrected_value_bound)


def test_a_weight_that_decreases_is_refused(rng):
    problem, params = sampling(rng)
    params[0] = -0.5
    with pytest.raises(ValueError, match="a weight of the data decreases"):
        Implicit()(LowerLevel(problem), params, 1e-4, 1e-4)


def test_a_sample_alone_has_its_own_bounds(rng):
    problem, params = signals(rng)
    x, q = problem.x0, noisy(torch.zeros_like(problem.x0), rng, 1.0)
    e = np.array([1e-3, 1e-2, 1e-1])
    whole = variation(problem.energy, x, params, problem.data, e, q)
    for i in range(3):
        part = variation(problem.energy, x[[i]], params, problem.data[[i]], e[[i]], q[[i]])
        for a, b in zip(whole, part):
            torch.testing.assert_close(a[[i]], b, rtol=1e-14, atol=0)


def test_edges_make_bounds_small(rng):
    """Where all lengths are far above nu, the variation is far below the global one."""
    v = torch.full((1, 1, 8), 1.0, dtype=torch.float64)
    w = torch.ones_like(v)
    found = block_variation(Charbonnier(), 1e-3, v, w, 2.0, 2**0.5, np.array([1e-3]))
    third = Charbonnier().constants(1e-3).third
    assert float(found.hessian) < 1e-10 * 4 * 1e-3 * third
