"""Bounds of hypergradients of filter energies: norms, variations on balls, certificates."""

import dataclasses

import numpy as np
import pytest
import torch
from dense_hessians import jacobians

from odl_learned.energies import FixedEnergy, check_energy
from odl_learned.energies.filters import ExpertsEnergy, RidgeEnergy, dct_filters, fixed_filters
from odl_learned.energies.filters.filter_norms import Patches, product_norm, row_norms
from odl_learned.energies.filters.reflecting_filters import ReflectingFilters
from odl_learned.energies.hessian_variation import variation
from odl_learned.energies.potentials import Charbonnier, CubicAbsolute, HalfSquare
from odl_learned.energies.samples import sample_norms
from odl_learned.learning.bilevel import BilevelProblem, SquaredError
from odl_learned.learning.bilevel.hypergradients import Direct, Implicit
from odl_learned.learning.bilevel.hypergradients.certificates import Reconstruction, certified
from odl_learned.learning.bilevel.lower import Accelerated, LowerLevel

SHAPE = (5, 6)
NODES, SHARES = np.polynomial.legendre.leggauss(8)


def draw(rng, *shape):
    return torch.as_tensor(rng.standard_normal(shape))


def dense(filters):
    """Matrices of the filters, ``(K, N, N)``."""
    size = filters.shape[0] * filters.shape[1]
    unit = torch.eye(size, dtype=torch.float64).view(size, *filters.shape)
    return filters.forward(unit).flatten(2).permute(1, 2, 0)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (3, 3), (4, 2), (5, 6)])
def test_norms_are_those_of_matrices(shape, rng):
    filters = ReflectingFilters(SHAPE, draw(rng, 3, *shape))
    matrices = dense(filters)
    torch.testing.assert_close(row_norms(filters).flatten(1), matrices.norm(dim=2))

    weights = torch.as_tensor(rng.uniform(-1, 1, (2, 3, *SHAPE))) ** 5
    bounds = product_norm(filters, weights.abs())
    for weight, bound in zip(weights.flatten(2), bounds, strict=True):
        one, other = (float(torch.linalg.matrix_norm(
            torch.einsum("kip,ki,kiq->pq", matrices, part, matrices), 2))
            for part in (weight, weight.abs()))  # fmt: skip
        assert max(one, other) <= bound * (1 + 1e-12) and bound <= 8 * other
    alone = torch.zeros(1, 3, *SHAPE, dtype=torch.float64)
    assert float(product_norm(filters, alone)) == 0
    alone[0, 1, 2, 3] = 2.0
    expected = 2 * float(row_norms(filters)[1, 2, 3]) ** 2
    assert float(product_norm(filters, alone)) == pytest.approx(expected, rel=1e-2)

    patches, x = Patches(filters), draw(rng, 2, *SHAPE)
    size = shape[0] * shape[1]
    all_patches = dense(ReflectingFilters(SHAPE, torch.eye(size).double().view(size, *shape)))
    assert patches.norm == pytest.approx(float(torch.linalg.matrix_norm(
        all_patches.flatten(0, 1), 2)))  # fmt: skip
    roots = draw(rng, 3, 2, size)
    found = patches.norms(roots, x, weights)
    for b in range(2):
        X = torch.einsum("aip,p->ia", all_patches, x[b].flatten())
        for k in range(3):
            matrix = roots[k] @ X.T * weights[b, k].flatten()
            expected = float(torch.linalg.matrix_norm(matrix, 2))
            assert float(found[b, k]) == pytest.approx(expected, rel=1e-9)


def mixing(params):
    """Every filter and weight depends on all parameters."""
    waves = torch.arange(24, dtype=params.dtype)[:, None] + torch.arange(1, 5).to(params)
    mixed = torch.sin(waves * params).sum(1)
    return mixed[:18].view(2, 3, 3), 0.3 * mixed[18:22].view(2, 2).exp()


def raw(params):
    """Two filters and squares of weights, nothing normalized."""
    return params[:18].view(2, 3, 3), params[18:].view(2, 2).square()


ENERGIES = {
    "ridge": (lambda: RidgeEnergy(SHAPE, (3, 3, 3), (0.05, 0.5), 0.1), 33),
    "raw": (lambda: ExpertsEnergy(SHAPE, CubicAbsolute(), (0.1, 0.7), raw, 0.2), 22),
    "mixing": (lambda: ExpertsEnergy(SHAPE, Charbonnier(), (0.1, 0.7), mixing, 0.0), 4),
    "quadratic": (lambda: ExpertsEnergy(SHAPE, HalfSquare(), (1.0, 1.0), raw, 0.2), 22),
    "fixed": (lambda: ExpertsEnergy(SHAPE, Charbonnier(), (0.1,), fixed_filters(dct_filters(2)),
                                    0.0), 3),
}  # fmt: skip


def point(name, rng):
    build, count = ENERGIES[name]
    params = draw(rng, count)
    params = params.abs() if name == "fixed" else params
    return build(), draw(rng, 2, *SHAPE), params, draw(rng, 2, *SHAPE), draw(rng, 2, *SHAPE)


#: The bounds that are compared with points of the ball.
BOUNDS = ("hessian", "mean_hessian", "mixed", "jacobian")


def worst(energy, x, params, data, q):
    """Directions along which ``H q``, and along which ``J^T q`` changes most, of one sample."""
    units = torch.eye(x.numel(), dtype=torch.float64).view(-1, *SHAPE)
    here = energy.linearize(x, params, data)
    changes = [[], []]
    for unit in units:
        there = energy.linearize(x + 1e-6 * unit, params, data)
        changes[0].append((there.hessian(q) - here.hessian(q)).flatten())
        changes[1].append(there.mixed_adjoint(q) - here.mixed_adjoint(q))
    return [torch.linalg.svd(torch.stack(rows))[0][:, 0].view(1, *SHAPE) for rows in changes]


def assert_on_the_ball(energy, x, params, data, q, radius):
    """Compare with points of the ball; return bounds over the largest changes found."""
    ratios = []
    for i in range(len(x)):
        one, y, p = x[i:i + 1], data[i:i + 1], q[i:i + 1]
        found = variation(energy, one, params, y, np.array([radius]), p)
        ((H0, J0),) = jacobians(energy, one, params, y)
        assert float(found.pencil) == np.inf  # a pencil is known of expressions only
        most = dict.fromkeys(BOUNDS, 0.0)
        directions = worst(energy, one, params, y, p)
        for d in [*directions, *(-d for d in directions)]:
            flat = p.flatten()
            mean = sum(share / 2 * energy.linearize(one + (t + 1) / 2 * radius * d, params, y)
                       .hessian(p).flatten() for t, share in zip(NODES, SHARES, strict=True))
            ((H, J),) = jacobians(energy, one + radius * d, params, y)
            changes = ((H - H0) @ flat, mean - H0 @ flat, (J - J0) @ flat,
                       torch.linalg.matrix_norm(J, 2))
            for name, change in zip(BOUNDS, changes, strict=True):
                size, bound = float(change.norm()), float(getattr(found, name))
                assert size <= bound * (1 + 1e-9) + 1e-12, (name, i)
                most[name] = max(most[name], size)
        ratios.append([float(getattr(found, name)) / max(most[name], 1e-300)
                       for name in BOUNDS])
    return np.median(ratios, axis=0)


@pytest.mark.parametrize("radius", [1e-4, 0.3])
@pytest.mark.parametrize("name", ENERGIES)
def test_variations_hold_on_the_ball(name, radius, rng):
    energy, x, params, data, q = point(name, rng)
    ratios = assert_on_the_ball(energy, x, params, data, q, radius)
    if name != "quadratic" and radius < 1e-3:
        assert (ratios < [5, 5, 25, 25]).all(), ratios


def test_one_pixel_filters_leave_little_room(rng):
    """Hessians are diagonal, and every bound is attained up to signs and |F| = |f|."""
    def experts(params):
        return params[:1].view(1, 1, 1), params[1:].view(1, 1)

    energy = ExpertsEnergy(SHAPE, Charbonnier(), (0.3,), experts, 0.0)
    _, x, _, data, q = point("ridge", rng)
    params = torch.tensor([0.8, 0.5], dtype=torch.float64)
    ratios = assert_on_the_ball(energy, x, params, data, q, 1e-4)
    assert (ratios < [1.01, 1.01, 4, 2]).all(), ratios


def test_quadratic_energies_of_one_pixel_leave_none():
    """``E = p^3 x^2`` plus fidelity: ``J = 6 p^2 x``, of which every part counts."""
    def experts(params):
        return params.expand(2).view(2, 1, 1), params.expand(2).view(2, 1)

    energy = ExpertsEnergy((1, 1), HalfSquare(), (1.0,), experts, 0.0)
    x, q, p, e = (torch.tensor([[[z]]], dtype=torch.float64)
                  for z in (0.7, -0.3, 0.4, 0.25))  # fmt: skip
    found = energy.variation_bound(x, p.flatten(), x, e.flatten(), q)
    assert float(found.hessian) == 0
    assert float(found.mixed) == pytest.approx(6 * 0.4**2 * 0.3 * 0.25, rel=1e-9)
    assert float(found.jacobian) == pytest.approx(6 * 0.4**2 * (0.7 + 0.25), rel=1e-9)


def test_weights_of_opposite_slopes_do_not_cancel(rng):
    filters = torch.tensor([[[1.0, 1.0]], [[1.0, -1.0]]]).double()

    def experts(params):
        return filters, torch.stack([params, 1 - params])

    energy = ExpertsEnergy(SHAPE, HalfSquare(), (1.0,), experts, 0.0)
    q = torch.zeros(1, *SHAPE).double()
    q[0, 2, 3] = 1.0
    x = draw(rng, 1, *SHAPE)
    assert_on_the_ball(energy, x, torch.tensor([0.5]).double(), x, q, 0.1)


def test_a_sample_alone_has_its_own_bounds(rng):
    energy, x, params, data, q = point("ridge", rng)
    e = np.array([1e-3, 1e-1])
    whole = energy.variation_bound(x, params, data, e, q)
    for i in range(2):
        part = energy.variation_bound(x[[i]], params, data[[i]], e[[i]], q[[i]])
        for name in BOUNDS:
            a, b = getattr(whole, name), getattr(part, name)
            torch.testing.assert_close(a[[i]], b, rtol=1e-12, atol=0)


def random_problem(rng):
    """Two images with edges; filters and weights drawn over two decades."""
    truth = torch.zeros(2, 6, 7, dtype=torch.float64)
    for image in truth:
        image[rng.integers(1, 5):] += rng.uniform(0.3, 1)
        image[:, rng.integers(1, 6):] -= rng.uniform(0.3, 1)
    data = truth + 0.1 * draw(rng, *truth.shape)
    shape = [(3, 3, 3), (4, 2, 2), (2, 1, 4)][rng.integers(3)]
    energy = RidgeEnergy((6, 7), shape, (0.05, 0.5), 0.0)
    params = energy.params(draw(rng, *shape),
                           torch.as_tensor(10 ** rng.uniform(-2.5, -0.5, (shape[0], 2))))
    return BilevelProblem(energy, data, SquaredError(truth), data), params


def perturbed(problem, params, exact, size, rng):
    """A certificate near the exact one."""
    x = exact.x + size * draw(rng, *exact.x.shape)
    q = exact.adjoint + size * 10 ** rng.uniform(-3, 0) * draw(rng, *exact.x.shape)
    f = FixedEnergy(problem.energy, params, problem.data)
    for _ in range(20):
        x = x - f.gradient(x) / f.grad_lipschitz
    e = (sample_norms(f.gradient(x)) / f.strong_convexity).numpy()
    lower = LowerLevel(problem)
    return certified(Reconstruction(lower, params, x, e, dataclasses.asdict(lower.work)), q)


def test_two_hundred_random_certificates_hold_and_are_tight(rng):
    ratios = []
    for _ in range(50):
        problem, params = random_problem(rng)
        exact = Direct()(LowerLevel(problem), params, 1e-13, 1e-13)
        accuracies = 10 ** rng.uniform(-6, -3, 2)
        found = [Implicit()(LowerLevel(problem, Accelerated()), params, a, a / 10)
                 for a in accuracies]
        found += [perturbed(problem, params, exact, 10 ** rng.uniform(-6, -1), rng)
                  for _ in range(2)]
        for one in found:
            error = float((one.gradient - exact.gradient).norm())
            assert error <= one.gradient_bound + exact.gradient_bound
            assert abs(one.corrected_value - exact.value) <= (
                one.corrected_value_bound + exact.value_bound)
            ratios.append(one.gradient_bound / error)
    assert len(ratios) == 200 and np.median(ratios) < 1e3, np.median(ratios)


@pytest.mark.parametrize("name", ["hessian", "mean_hessian", "mixed", "jacobian"])
def test_wrong_variations_are_found(name, rng):
    class Planted(RidgeEnergy):
        def variation_bound(self, *args):
            found = super().variation_bound(*args)
            return found._replace(**{name: 1e-3 * getattr(found, name)})

    energy, x, params, data, _ = point("ridge", rng)
    check_energy(energy, x, params, data, rng)
    energy.__class__ = Planted
    with pytest.raises(AssertionError, match=f"{name} of the variation on a ball .*at least"):
        check_energy(energy, x, params, data, rng)
