"""Spaces whose entries have different weights: supported with the right numbers, or refused."""

import inspect
import re
from pathlib import Path

import numpy as np
import odl
import pytest
import torch
from instances import weighted
from instances.spaces import cut_cells, element

from odl_learned import functionals, operators, solvers, variational
from odl_learned.bridge import as_batch, as_functional, as_module, as_proximal_module
from odl_learned.functionals import l2_fidelity
from odl_learned.weights import entry_weights

PACKAGE = Path(__file__).resolve().parent.parent / "odl_learned"
F = odl.functionals
WEIGHTS = "expected a constant weight, the same for all entries"
SPACES = pytest.mark.parametrize("space", weighted.SPACES.values(), ids=weighted.SPACES)


def test_only_one_module_reads_weights_off_spaces():
    for path in PACKAGE.rglob("*.py"):
        if path != PACKAGE / "weights.py" and "odl_fixes" not in path.parts:
            found = re.findall(r"\bweighting\.\w+|\.weighting\b", path.read_text())
            assert not found, f"{path.name} has {found}; use odl_learned.weights"
    for path in (PACKAGE / "odl_fixes").glob("*.py"):  # these repair the weightings of ODL
        assert "weighting.const" not in path.read_text()


@pytest.mark.parametrize("name", weighted.REFUSED)
@SPACES
def test_refused(name, space):
    with pytest.raises(TypeError, match=f"(space|domain) (is|has).*{WEIGHTS}"):
        weighted.REFUSED[name](space)


def test_every_public_class_works_with_such_spaces_or_refuses_them():
    X, C = cut_cells(), cut_cells(dtype="complex128")
    built = [build(X, C) for build in (weighted.OPERATORS | weighted.FUNCTIONALS).values()]
    supported = {type(obj) for obj in built}
    for room in (operators, functionals):
        for name in room.__all__:
            full, cls = f"{room.__name__.rpartition('.')[2]}.{name}", getattr(room, name)
            if inspect.isclass(cls):
                refused = full in weighted.REFUSED or full in weighted.MADE_BY_OTHERS
                assert refused != (cls in supported), f"add {full} to tests/instances/weighted.py"
    assert all(hasattr(operators, name[10:]) for name in weighted.REFUSED if "operators." in name)


@SPACES
def test_denoising_is_refused(space):
    y = element(space())
    for solve in (lambda: solvers.rof(y, 0.1), lambda: solvers.tgv_denoising(y, 0.1, 0.1),
                  lambda: solvers.tgv_value(y, 0.1), lambda: solvers.tgv_gradient(y, 0.1)):
        with pytest.raises(TypeError, match=f"the space of data .*{WEIGHTS}"):
            solve()
    for precondition in (solvers.cosine, solvers.circulant):
        with pytest.raises(TypeError, match=f"the space of v .*{WEIGHTS}"):
            precondition(np.ones(y.shape))(y)


# Closed forms on [0, 1] with five points, of which the outer ones count half


LINE = odl.uniform_discr(0, 1, 5, nodes_on_bdry=True)
VALUES = np.array([1.0, -2.0, 0.5, 0.0, 3.0])
TRAPEZOID = np.array([1, 2, 2, 2, 1]) / 8
INTEGRALS = {
    "L1": (lambda: F.L1Norm(LINE), np.abs(VALUES)),
    "squared L2": (lambda: F.L2NormSquared(LINE), VALUES**2),
    "Huber": (lambda: F.Huber(LINE, 1.0), np.where(np.abs(VALUES) < 1, VALUES**2 / 2,
                                                   np.abs(VALUES) - 0.5)),
    "box support": (lambda: functionals.BoxConstraint(LINE, -1, 2).convex_conj,
                    np.maximum(-VALUES, 2 * VALUES)),
    "magnitude": (lambda: functionals.MagnitudeBound(LINE, 3).convex_conj, 3 * np.abs(VALUES)),
    "counts": (lambda: functionals.KullbackLeiblerFidelity(LINE.one(), 3 * LINE.one()),
               VALUES + 2 - np.log(VALUES + 3)),
}


@pytest.mark.parametrize("name", INTEGRALS)
def test_integrals_are_trapezoidal_sums(name):
    build, integrand = INTEGRALS[name]
    f, x, expected = build(), LINE.element(VALUES), float(TRAPEZOID @ integrand)
    assert f(x) == pytest.approx(expected, rel=1e-14)
    assert functionals.precise_value(f, x) == pytest.approx(expected, rel=1e-14)
    assert as_module(f)(torch.tensor(VALUES)).item() == pytest.approx(expected, rel=1e-14)


def test_gradients_are_riesz_representatives():
    f, x = F.L2NormSquared(LINE), LINE.element(VALUES)
    np.testing.assert_allclose(f.gradient(x).data, 2 * VALUES, rtol=1e-15)
    back = as_functional(as_module(f), LINE)
    np.testing.assert_allclose(back.gradient(x).data, 2 * VALUES, rtol=1e-15)
    euclidean = torch.func.grad(as_module(f))(torch.tensor(VALUES))
    np.testing.assert_allclose(euclidean, 2 * TRAPEZOID * VALUES, rtol=1e-15)


@SPACES
def test_inner_products_in_double_precision(space, rng):
    X = space()
    for U in (X, space(dtype="complex128"), odl.ProductSpace(X, X, weighting=[2.0, 0.5])):
        x, z = operators.random_element(U, rng), operators.random_element(U, rng)
        exact = np.real(x.inner(z))
        # Two roundings for each of the products, one for each sum.
        assert abs(functionals.precise_inner(x, z) - exact) <= 80 * 2.3e-16 * x.norm() * z.norm()
    single = space(dtype="float32")
    x = operators.random_element(single, rng)
    exact = np.sum(entry_weights(single) * x.data.astype(float) ** 2)
    assert functionals.precise_inner(x, x) == pytest.approx(exact, rel=1e-14)


# Solvers


def denoising(space, rng, alpha=0.02):
    y = operators.random_element(space, rng)
    return variational.tv_problem(odl.IdentityOperator(space), l2_fidelity(y), alpha), y


def minimum(space, y, alpha):
    """The total variation problem as a cone program in plain sums, by dual projected gradient.

    ``min_u sum_j w_j (|u_j - y_j|^2 / 2 + alpha |D u|_j)`` has the dual variable ``q`` with
    ``u = y - D^T q / w`` and ``|q_j| <= alpha w_j``.
    """
    w, h = entry_weights(space), space.cell_sides
    n = space.shape
    D = [np.kron(difference(n[0]) / h[0], np.eye(n[1])),
         np.kron(np.eye(n[0]), difference(n[1]) / h[1])]
    D, w, y = np.concatenate(D), w.ravel(), y.data.ravel()
    radius = alpha * w
    step = 1 / np.linalg.norm(D / np.sqrt(w), 2) ** 2
    q = p = np.zeros(2 * w.size)
    t = 1.0
    for _ in range(4000):
        slope = D @ (y - D.T @ p / w)
        new = (p + step * slope).reshape(2, -1)
        new = (new / np.maximum(np.linalg.norm(new, axis=0) / radius, 1)).ravel()
        t, before = (1 + np.sqrt(1 + 4 * t * t)) / 2, t
        p, q = new + (before - 1) / t * (new - q), new
    u = y - D.T @ q / w
    lengths = np.linalg.norm((D @ u).reshape(2, -1), axis=0)
    value = np.sum(w * ((u - y) ** 2 / 2 + alpha * lengths))
    return value, value - (np.sum(w * y**2) - np.sum(w * u**2)) / 2


def difference(n):
    """The n x n forward difference with a last row of zeros."""
    matrix = np.eye(n, k=1) - np.eye(n)
    matrix[-1] = 0
    return matrix


@SPACES
def test_certificates_of_total_variation_hold(space, rng):
    X = space((4, 5))
    problem, y = denoising(X, rng)
    least, error = minimum(X, y, 0.02)
    assert error <= 1e-9 * least
    found = solvers.primal_dual(problem, accuracy=1e-6, maxiter=3000)
    excess = problem.value(found.x) - least
    assert found.gap <= 1e-5 * least
    assert -2 * error <= excess <= found.gap + 2 * error


@SPACES
def test_batches_have_the_iterates_of_their_samples(space, rng):
    problem, _ = denoising(space((4, 5)), rng)
    alone = solvers.primal_dual(problem, accuracy=1e-12, maxiter=30)
    batch = solvers.primal_dual(as_batch([problem, problem]), accuracy=1e-12, maxiter=30)
    np.testing.assert_allclose(batch.x[1], alone.x.data, rtol=0, atol=1e-12)
    assert batch.gap[1] == pytest.approx(alone.gap, rel=1e-9)


def test_proximals_of_balls_know_the_weights():
    """The projection onto the L1 ball shifts by one threshold and weighs what is left."""
    x, radius = LINE.element(VALUES), 0.4
    projected = radius * F.LpNorm(LINE, np.inf).convex_conj.proximal(1.0)(x / radius)
    kept = np.abs(projected.data) > 0
    thresholds = np.abs(VALUES - projected.data)[kept]
    assert np.ptp(thresholds) < 1e-14
    assert np.all(np.abs(VALUES[~kept]) <= thresholds[0])
    assert TRAPEZOID @ np.abs(projected.data) == pytest.approx(radius, rel=1e-14)
    module = as_proximal_module(F.IndicatorLpUnitBall(LINE, 1))
    np.testing.assert_allclose(module(torch.tensor(VALUES / radius), 1.0) * radius,
                               projected.data, rtol=0, atol=1e-14)


def test_expectation_maximization_counts_all_data_alike(rng):
    """The likelihood has no weights: the fixed point is that of plain sums."""
    matrix = rng.random((6, 4))
    data = rng.poisson(20 * matrix.sum(1)).astype(float)
    found = []
    for target in (odl.rn(6), odl.rn(6, weighting=rng.uniform(0.2, 5.0, 6))):
        op = odl.MatrixOperator(matrix, odl.uniform_discr(0, 1, 4, nodes_on_bdry=True), target)
        x = solvers.mlem(op, target.element(data), op.domain.one(), maxiter=50).x
        found.append(x.data)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-13)


def test_conjugate_gradients_and_least_squares_reach_the_weighted_solution(rng):
    matrix = rng.standard_normal((7, 5))
    target = odl.rn(7, weighting=rng.uniform(0.2, 5.0, 7))
    A = odl.MatrixOperator(matrix, LINE, target)
    y = operators.random_element(target, rng)
    expected = np.linalg.solve(matrix.T @ (entry_weights(target)[:, None] * matrix),
                               matrix.T @ (entry_weights(target) * y.data))
    x = solvers.lsqr(A, y, LINE.zero(), 1e-12, 50).x
    np.testing.assert_allclose(x.data, expected, rtol=1e-9)
