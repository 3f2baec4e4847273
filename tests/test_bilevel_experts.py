"""Energies of filter responses: autograd, scipy's correlation, dense spectra, ODL functionals."""

import numpy as np
import odl
import pytest
import scipy.fft
import scipy.ndimage
import torch

from odl_learned import operators
from odl_learned.energies import AutogradEnergy
from odl_learned.energies.filters import ExpertsEnergy, RidgeEnergy, dct_filters, fixed_filters
from odl_learned.energies.filters.reflecting_filters import ReflectingFilters
from odl_learned.energies.filters.weight_derivatives import second_adjoint, weight_slope
from odl_learned.energies.potentials import Charbonnier, CubicAbsolute, HalfSquare
from odl_learned.functionals import l2_fidelity
from odl_learned.learning.bilevel import BilevelProblem, SquaredError
from odl_learned.learning.bilevel.first_order import lbfgsb
from odl_learned.learning.bilevel.hypergradients import Implicit, check_hypergradient
from odl_learned.learning.bilevel.lower import LowerLevel, Newton
from odl_learned.solvers import newton_krylov

F64 = torch.float64
SHAPES = [(1, 3), (2, 3), (3, 3), (4, 2)]


def normal(seed, *shape):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", SHAPES)
def test_responses_are_those_of_the_filter_bank(shape):
    space, filters, x = odl.rn((5, 7)), normal(0, 3, *shape), normal(1, 2, 5, 7)
    bank = operators.FilterBank(space, filters.numpy())
    responses = ReflectingFilters((5, 7), filters)
    for image, response in zip(x, responses.forward(x), strict=True):
        expected = [part.data for part in bank(space.element(image.numpy()))]
        np.testing.assert_allclose(response, expected, atol=1e-13)
    p = normal(2, 2, 3, 5, 7)
    left, right = (responses.forward(x) * p).sum(), (x * responses.adjoint(p)).sum()
    assert float(left) == pytest.approx(float(right), rel=1e-12)
    weight = p.square()
    torch.testing.assert_close(responses.normal(x, weight),
                               responses.adjoint(weight * responses.forward(x)))  # fmt: skip


def test_many_samples_in_pieces_are_the_same(monkeypatch):
    module = "odl_learned.energies.filters.reflecting_filters.CHUNK"
    filters, x = ReflectingFilters((6, 5), normal(0, 2, 3, 3)), normal(1, 7, 6, 5)
    weight = normal(2, 7, 2, 6, 5).square()
    whole = filters.normal(x, weight)
    monkeypatch.setattr(module, 3 * 60)
    torch.testing.assert_close(filters.normal(x, weight), whole, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_sum_over_reflections_is_diagonal_for_cosines(shape):
    filters, basis = normal(0, 1, *shape), torch.eye(35, dtype=F64).reshape(35, 5, 7)
    total = 0.0
    for axes in ((), (1,), (2,), (1, 2)):
        # The reflected filter, with the reflected image: its center is reflected, too.
        one = ReflectingFilters((5, 7), filters)
        image = basis.flip(axes) if axes else basis
        back = one.adjoint(one.forward(image))
        total = total + (back.flip(axes) if axes else back)
    spectrum = scipy.fft.dctn(total.numpy(), axes=(1, 2), norm="ortho").reshape(35, 35)
    cosines = scipy.fft.dctn(basis.numpy(), axes=(1, 2), norm="ortho").reshape(35, 35)
    symbol = 4 * ReflectingFilters((5, 7), filters).symbols[0].flatten()
    np.testing.assert_allclose(spectrum, cosines * symbol.numpy(), atol=1e-12)


@pytest.mark.parametrize(("filters", "count"), [
    (dct_filters(3), 1), (normal(0, 4, 3, 3), 4), (dct_filters(2), 4),
    (normal(0, 1, 1, 3), 2),
])  # fmt: skip
def test_bounds_of_norms(filters, count):
    responses, basis = ReflectingFilters((6, 5), filters), torch.eye(30, dtype=F64).view(30, 6, 5)
    weights = torch.linspace(0.5, 2, len(filters), dtype=F64)
    assert set(responses.multiplicities.tolist()) == {count}
    square = responses.normal(basis, weights[None, :, None, None].expand(30, -1, 6, 5))
    largest = float(torch.linalg.eigvalsh(square.flatten(1))[-1])
    bound = responses.largest_square(weights)
    if count == 1:
        assert largest == pytest.approx(bound, rel=1e-12)
    else:
        assert bound / count <= largest * (1 + 1e-12) <= bound * (1 + 2e-12)
    dense = torch.linalg.matrix_norm(
        responses.forward(basis).transpose(0, 1).flatten(2), ord=2, dim=(1, 2))
    assert (dense <= responses.norms() * (1 + 1e-12)).all()


def test_dct_filters_are_an_orthonormal_basis_without_the_constant():
    filters = dct_filters(4).flatten(1)
    np.testing.assert_allclose(filters @ filters.T, np.eye(15), atol=1e-14)
    np.testing.assert_allclose(filters.sum(1), 0, atol=1e-14)
    expected = scipy.fft.idctn(np.eye(16).reshape(16, 4, 4), axes=(1, 2), norm="ortho")
    np.testing.assert_allclose(filters.reshape(15, 4, 4), expected[1:], atol=1e-14)
    with pytest.raises(ValueError, match="size is 1"):
        dct_filters(1)


def learned_everything(params):
    return params[:18].reshape(2, 3, 3), params[18:].reshape(2, 2).square()


ENERGIES = {
    "ridge": lambda: ExpertsEnergy((5, 6), Charbonnier(), (0.1, 0.7), learned_everything, 0.2),
    "p = 1": lambda: ExpertsEnergy((5, 6), CubicAbsolute(), (0.4,), fixed_filters(dct_filters(2)),
                                   0.0),
    "p = 2": lambda: ExpertsEnergy((5, 6), HalfSquare(), (1.0,), fixed_filters(dct_filters(2)),
                                   0.0),
}  # fmt: skip


def point(name):
    energy = ENERGIES[name]()
    params = normal(0, 22) if name == "ridge" else normal(0, 3).abs()
    return energy, params, *normal(1, 4, 2, 5, 6)


FORMULAS = {
    Charbonnier: lambda r, nu: (r.square() + nu**2).sqrt() - nu,
    CubicAbsolute: lambda r, nu: torch.where(
        r.abs() <= nu, r.square() / nu - r.abs() ** 3 / (3 * nu**2), r.abs() - nu / 3),
    HalfSquare: lambda r, nu: 0.5 * r.square(),
}  # fmt: skip


def by_autograd(energy):
    """The formula, with scipy's boundary by indices."""

    def value(x, params, data):
        filters, weights = energy.experts(params)
        total = 0.5 * (x - data).square().sum((1, 2)) + energy.xi / 2 * x.square().sum((1, 2))
        for f, row in zip(filters, weights, strict=True):
            rows, columns = (
                np.pad(np.arange(n), (s // 2, s - 1 - s // 2), mode="symmetric")
                for n, s in zip(x.shape[1:], f.shape, strict=True))
            padded = x[:, rows][:, :, columns]
            response = sum(f[i, j] * padded[:, i : i + x.shape[1], j : j + x.shape[2]]
                           for i in range(f.shape[0]) for j in range(f.shape[1]))  # fmt: skip
            for w, nu in zip(row, energy.scales, strict=True):
                total = total + w * FORMULAS[type(energy.potential)](response, nu).sum((1, 2))
        return total

    return AutogradEnergy(value, energy.lipschitz, energy.strong_convexity)


@pytest.mark.parametrize("name", ENERGIES)
def test_derivatives_are_those_of_autograd(name):
    energy, params, x, data, q, v = point(name)
    other = by_autograd(energy)
    torch.testing.assert_close(energy.value(x, params, data), other.value(x, params, data))
    got, expected = energy.linearize(x, params, data), other.linearize(x, params, data)
    first, _ = energy.linearize_from(x, params, data, None)
    for slope in (got.gradient, first.gradient, energy.gradient(x, params, data)):
        torch.testing.assert_close(slope, expected.gradient)
    torch.testing.assert_close(got.hessian(v), expected.hessian(v))
    torch.testing.assert_close(first.hessian(v), expected.hessian(v))
    torch.testing.assert_close(got.mixed_adjoint(q), expected.mixed_adjoint(q))


@pytest.mark.parametrize("name", ENERGIES)
def test_constants_bound_the_hessian(name):
    energy, params, *_ = point(name)
    basis = torch.eye(30, dtype=F64).reshape(30, 5, 6)
    for scale in (0.0, 0.1, 1.0):
        x = (scale * normal(3, 1, 5, 6)).expand(30, 5, 6)
        linear = energy.linearize(x, params, torch.zeros_like(x))
        spectrum = torch.linalg.eigvalsh(linear.hessian(basis).flatten(1))
        assert spectrum[-1] <= energy.lipschitz(params) * (1 + 1e-12)
        assert spectrum[0] >= energy.strong_convexity(params) - 1e-12
        inverse = linear.precondition(basis).flatten(1)
        torch.testing.assert_close(inverse, inverse.T)
        assert torch.linalg.eigvalsh(inverse)[0] > 0


@pytest.mark.parametrize("name", ["p = 1", "p = 2"])
def test_constants_of_curvature_hold_between_random_points(name):
    energy, params, x, data, q, v = point(name)
    third, mixed, bound = energy.curvature_constants(params)
    here = energy.linearize(x, params, data)
    for scale in (1e-3, 0.1, 1.0):
        other = x + scale * v
        there, distance = energy.linearize(other, params, data), (other - x).flatten(1).norm(dim=1)
        change = (there.hessian(q) - here.hessian(q)).flatten(1).norm(dim=1)
        assert (change <= third * distance * q.flatten(1).norm(dim=1)).all()
        for i in range(2):
            one = [energy.linearize(z[i : i + 1], params, data[i : i + 1]).mixed_adjoint(
                q[i : i + 1]) for z in (x, other)]  # fmt: skip
            assert (one[1] - one[0]).norm() <= mixed * distance[i] * q[i].norm()
            assert one[0].norm() <= bound * q[i].norm()


@pytest.mark.parametrize("name", ["p = 1", "p = 2"])
def test_second_derivatives_of_the_adjoint_equation(name):
    energy, params, x, data, q, v = point(name)
    w, h = normal(5, 3), 1e-6
    d_x, d_w = second_adjoint(energy, x, params, data, q)(v, w[:, None])
    ahead, behind = (energy.linearize(x + t * v, params + t * w, data) for t in (h, -h))
    close = {"rtol": 0, "atol": 1e-7 * max(1.0, float(d_x.abs().max()))}
    torch.testing.assert_close((ahead.hessian(q) - behind.hessian(q)) / (2 * h), d_x, **close)
    ahead, behind = (energy.linearize(x + t * v, params, data) for t in (h, -h))
    torch.testing.assert_close((ahead.mixed_adjoint(q) - behind.mixed_adjoint(q)) / (2 * h),
                               d_w[:, 0], **close)  # fmt: skip
    torch.testing.assert_close(
        weight_slope(energy, x, params, w),
        (energy.gradient(x, params + w, data) - energy.gradient(x, params, data)))


def test_following_the_dual_leads_to_the_minimizer_of_newtons_method():
    energy, params, _, data, *_ = point("ridge")
    sharp = ExpertsEnergy((5, 6), Charbonnier(), (1e-3, 0.7), energy.experts, 0.2)
    problem = BilevelProblem(sharp, data, SquaredError(data), data)
    fast = LowerLevel(problem, Newton()).solve(params, 1e-8)
    slow = LowerLevel(
        problem, lambda f, x0, a: newton_krylov(f, x0, a, 500)).solve(params, 1e-8)
    assert (fast.reason == "accuracy").all()
    assert (fast.niter < slow.niter).all()
    distance = (fast.x - slow.x).flatten(1).norm(dim=1).numpy()
    assert (distance <= fast.error_bound + slow.error_bound).all()


def ridge_problem():
    energy = RidgeEnergy((5, 6), (3, 2, 2), (0.05, 0.5), 0.0)
    truth = normal(0, 2, 5, 6).cumsum(1)
    data = truth + 0.3 * normal(1, 2, 5, 6)
    problem = BilevelProblem(energy, data, SquaredError(truth), data)
    return problem, energy.params(dct_filters(2), torch.full((3, 2), 0.1, dtype=F64))


def test_hypergradients_of_ridge_energies():
    problem, params = ridge_problem()
    found = Implicit()(LowerLevel(problem), params, 1e-11, 1e-11)
    assert found.value_bound < 1e-9
    check_hypergradient(problem, params, Implicit(), np.random.default_rng(0))


def test_learning_filters_and_weights_decreases_the_loss():
    problem, params = ridge_problem()
    learned = lbfgsb(problem, params, Implicit(), Newton(), maxiter=15)
    first = learned.history["value"][0] - learned.history["value_bound"][0]
    assert learned.value + learned.value_bound < 0.8 * first
    filters, weights = problem.energy.split(learned.params)
    np.testing.assert_allclose(filters.sum((1, 2)), 0, atol=1e-14)
    np.testing.assert_allclose(filters.square().sum((1, 2)), 1, rtol=1e-14)
    assert (weights > 0).all()


def test_a_ridge_energy_comes_back_as_an_odl_functional():
    problem, params = ridge_problem()
    energy, space = problem.energy, odl.uniform_discr([0, 0], [1, 2], (5, 6))
    R = energy.functional(params, space)
    u = space.element(normal(3, 5, 6).numpy())
    x = torch.from_numpy(u.data)[None]
    filters, weights = energy.split(params)
    constant = 30 * float((weights * torch.tensor(energy.scales, dtype=F64)).sum())
    expected = energy.value(x, params, x) + constant  # the fidelity of x to itself is zero
    assert R(u) == pytest.approx(space.cell_volume * float(expected), rel=1e-12)
    slope = energy.gradient(x, params, x)[0]
    np.testing.assert_allclose(R.gradient(u).data, slope, atol=1e-13)
    assert R.grad_lipschitz <= 1.002 * (energy.lipschitz(params) - 1)

    y = space.element(problem.data[0].numpy())
    f, z = l2_fidelity(y) + R, space.zero()
    odl.solvers.steepest_descent(f, z, 1 / (1 + R.grad_lipschitz), maxiter=3000, tol=1e-12)
    solution = LowerLevel(problem).solve(params, 1e-9)
    np.testing.assert_allclose(z.data, solution.x[0], atol=1e-6)
