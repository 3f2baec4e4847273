"""Gradient descent with restarts: it never goes uphill, and finds curvature nobody told of."""

import numpy as np
import odl
import pytest
import torch
from quadratics import Energies, random_hessians

from odl_learned import functionals
from odl_learned.energies import FourierSampling, VariationEnergy
from odl_learned.energies.coefficients import Coefficients
from odl_learned.energies.potentials import Charbonnier
from odl_learned.energies.transforms import BackwardDifferences
from odl_learned.learning.bilevel import BilevelProblem, SquaredError
from odl_learned.learning.bilevel.lower import Accelerated, LowerLevel, Restarted
from odl_learned.solvers import accelerated_gradient, restarted_gradient
from odl_learned.solvers.arithmetic.samples import samples_of
from odl_learned.solvers.smooth.momentum import ConstantMomentum, RestartedMomentum


def iterates(momentum, f, x0, niter):
    """The points x_k, not those where gradients are taken, and how often they stood still."""
    samples, L, mu = samples_of(x0), f.grad_lipschitz, f.strong_convexity
    momentum, x, y, seen = momentum(L, mu), x0, x0, [x0]
    for _ in range(niter):
        slope = f.gradient(y)
        x, y = momentum.extrapolate(samples, x, y, slope, samples.add(y, -1 / L, slope))
        seen.append(x)
    return seen


def values(f, x):
    """``f`` of every sample of `Energies`."""
    quadratic = np.einsum("bi,bij,bj->b", x, 0.5 * f.H.matrices, x) - np.einsum("bi,bi->b", f.b, x)
    return quadratic + f.c * np.sqrt(1 + x**2).sum(1)


@pytest.fixture
def energies(rng):
    return Energies(random_hessians(rng, 8, 20, 1e3), rng.standard_normal((8, 20)), 0.5)


def test_the_functional_never_increases_where_constant_momentum_overshoots(energies, rng):
    x0 = 10 * rng.standard_normal((8, 20))
    heights = {momentum: np.array([values(energies, x)
                                   for x in iterates(momentum, energies, x0, 300)])
               for momentum in (ConstantMomentum, RestartedMomentum)}  # fmt: skip
    scale = np.abs(heights[RestartedMomentum]).max()
    assert np.diff(heights[RestartedMomentum], axis=0).max() <= 1e-13 * scale
    assert np.diff(heights[ConstantMomentum], axis=0).max() > 1e-4 * scale


def test_a_restart_returns_to_the_last_point_and_begins_with_a_gradient_step(energies, rng):
    points = iterates(RestartedMomentum, energies, rng.standard_normal((8, 20)), 300)
    stood = [(k, b) for k in range(1, 299) for b in range(8)
             if np.array_equal(points[k][b], points[k - 1][b])]  # fmt: skip
    assert len(stood) >= 8  # every sample restarts now and then
    for k, b in stood:
        step = energies.gradient(points[k])[b] / energies.grad_lipschitz[b]
        assert np.allclose(points[k + 1][b], points[k][b] - step, rtol=0, atol=1e-13)


def test_from_one_restart_to_the_next_the_rate_of_nesterov_holds(energies, rng):
    x0 = 10 * rng.standard_normal((8, 20))
    points = iterates(RestartedMomentum, energies, x0, 400)
    best = accelerated_gradient(energies, x0, 1e-12, 10**5).x
    least, L = values(energies, best), energies.grad_lipschitz
    root, checked = np.sqrt(energies.strong_convexity / L), 0
    start, since = np.full(8, np.inf), np.zeros(8)  # no bound before the first restart
    for before, x in zip(points, points[1:], strict=False):
        gap = values(energies, x) - least
        stood = (x == before).all(1)
        start = np.where(stood, gap + 0.5 * L * ((x - best) ** 2).sum(1), start)
        since = np.where(stood, 0, since + 1)
        bound = np.minimum((1 - root) ** since, 4 / (since + 2) ** 2) * start
        assert np.all(gap <= bound * (1 + 1e-9) + 1e-11)
        checked += np.sum((since > 5) & (bound < np.inf))
    assert checked >= 500


def test_curvature_around_the_minimizer_is_found(rng):
    # The constant mu is that of images that are not seen; smoothed total variation sees them.
    truth = torch.from_numpy(np.repeat(rng.uniform(0, 1, (6, 8)), 8, axis=1))
    weights = torch.from_numpy((np.arange(64) % 3 < 2).astype(float))
    weights[:5] = weights[-4:] = 1.0
    energy = VariationEnergy(
        FourierSampling(), BackwardDifferences(64), Charbonnier(),
        lambda p: Coefficients(1e-2, 1e-2, 1e-3, weights))  # fmt: skip
    data = torch.fft.fft(truth, norm="ortho")
    problem = BilevelProblem(energy, data, SquaredError(truth), 0 * truth)
    params = torch.zeros(1, dtype=torch.float64)
    slow, fast = (LowerLevel(problem, solver()).solve(params, 1e-6)
                  for solver in (Accelerated, Restarted))  # fmt: skip
    assert np.all(fast.error_bound <= 1e-6) and (fast.x - slow.x).norm(dim=1).max() <= 2e-6
    assert max(fast.niter) <= 0.5 * min(slow.niter)


def test_weighted_spaces_of_odl_have_their_own_inner_product(rng):
    X = odl.uniform_discr([0, 0], [0.1, 0.1], (16, 16))
    noisy = X.element(rng.standard_normal((16, 16)))
    R = functionals.SmoothedTV(X, 0.01, 0.1, 0.01)
    f = functionals.l2_fidelity(noisy) + R
    constants = {"lipschitz": 1 + R.grad_lipschitz, "strong_convexity": 1.01}
    plain, restarted = (solve(f, noisy, 1e-7, 10**4, **constants)
                        for solve in (accelerated_gradient, restarted_gradient))  # fmt: skip
    assert (plain.x - restarted.x).norm() <= 2e-7
    assert restarted.error_bound <= 1e-7 and restarted.niter <= 1.5 * plain.niter
