"""Total generalized variation: value, invariances, certified proximal, against ODL's pdhg."""

import numpy as np
import odl
import pytest
import scipy.optimize
import torch

from odl_learned import functionals, operators
from odl_learned.bridge import as_module, as_proximal_module
from odl_learned.solvers import tgv_denoising, tgv_value
from odl_learned.solvers.variation import sheets
from odl_learned.solvers.variation.tgv_iteration import PrimalDual


def space_of(shape, dtype="float64"):
    """Cells that are not square, of a volume that is not one."""
    ends = [0.5 * n * (1 + 0.5 * i) for i, n in enumerate(shape)]
    return odl.uniform_discr([0] * len(shape), ends, shape, dtype=dtype)


def noisy(space, seed=0):
    return operators.random_element(space, np.random.default_rng(seed))


def length(field):
    """Integral of the pointwise Euclidean norm."""
    total = np.sqrt(sum(np.abs(part.data) ** 2 for part in field)).sum()
    return field.space[0].cell_volume * total


def test_value_by_second_order_cone_programming_on_a_tiny_grid():
    # |.| smoothed to sqrt(|.|^2 + nu^2) is above by at most nu per pixel and term
    X = space_of((3, 3))
    u, beta, nu = noisy(X), 0.7, 1e-5
    grad = operators.gradient(X)
    E, slope = operators.SymmetrizedGradient(grad.range), grad(u)
    eye = np.eye(18).reshape(18, 2, 3, 3)
    columns = [np.stack([p.data for p in E(grad.range.element(list(e)))]) for e in eye]
    matrix, target = np.stack(columns), np.stack([p.data for p in slope])

    def value(v, smoothing):
        a, b = target - v.reshape(2, 3, 3), np.tensordot(v, matrix, 1)
        lengths = [np.sqrt((part**2).sum(0) + smoothing**2) for part in (a, b)]
        slopes = -(a / lengths[0]).ravel() + beta * np.tensordot(matrix, b / lengths[1], 3)
        return X.cell_volume * (lengths[0] + beta * lengths[1]).sum(), X.cell_volume * slopes

    v = np.zeros(18)
    for smoothing in np.geomspace(0.1, nu, 9):
        v = scipy.optimize.minimize(value, v, (smoothing,), jac=True, method="BFGS",
                                    options={"maxiter": 3000, "gtol": 1e-9}).x  # fmt: skip
    upper, smoothed = value(v, 1e-150)[0], 9 * X.cell_volume * (1 + beta) * nu
    got = tgv_value(u, beta, 1e-9)
    assert got <= upper * (1 + 1e-8)
    assert got >= upper - smoothed - 1e-4 * upper
    assert got < 0.99 * functionals.TotalVariation(X)(u)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("shape", [(8,), (4, 5), (3, 4, 3)])
def test_value_is_between_its_bounds(shape, dtype):
    X = space_of(shape, dtype)
    u, tv = noisy(X), functionals.TotalVariation(X)
    E = operators.SymmetrizedGradient(operators.gradient(X).range)
    bend = length(E(operators.gradient(X)(u)))
    values = [functionals.TotalGeneralizedVariation(X, beta, 1e-4)(u) for beta in (0.02, 0.5, 50)]
    assert all(isinstance(value, float) for value in values)
    # v = 0 and v = grad u, and growing in beta
    for value, beta in zip(values, (0.02, 0.5, 50), strict=True):
        assert value <= min(tv(u), beta * bend) + 1e-4 * tv(u)
    assert values[0] < values[1] < values[2]
    assert values[0] == pytest.approx(0.02 * bend, rel=0.1)


def test_affine_images_have_none():
    # E grad u = 0 on all real edges, boundary included: v = grad u has no cost at all
    X = space_of((7, 6))
    R = functionals.TotalGeneralizedVariation(X, 0.4, 1e-8)
    affine = X.element(lambda p: 2 * p[0] - p[1] + 3)
    assert R(affine) <= 1e-8 * functionals.TotalVariation(X)(affine)
    found = tgv_denoising(affine, 0.3, 0.4, 1e-6)
    assert found.reason == "accuracy" and (found.x - affine).norm() <= 1e-6 * affine.norm()
    bent = X.element(lambda p: p[0] ** 2)
    assert R(bent) > 0.01 * functionals.TotalVariation(X)(bent)


def test_homogeneous_and_blind_to_affine_images():
    X = space_of((6, 5))
    u, affine = noisy(X), X.element(lambda p: p[0] - 2 * p[1])
    R = functionals.TotalGeneralizedVariation(X, 0.4, 1e-6)
    tv = functionals.TotalVariation(X)
    assert R(1e3 * u) == pytest.approx(1e3 * R(u), rel=1e-9)
    assert R(-1 * u) == pytest.approx(R(u), rel=1e-9)
    assert abs(R(u + affine) - R(u)) <= 1e-6 * (tv(u) + tv(u + affine))
    assert R(X.one()) == 0
    # the proximal commutes with adding affine images
    exact = [tgv_denoising(z, 0.2, 0.4, 1e-10) for z in (u, u + affine)]
    assert (exact[1].x - exact[0].x - affine).norm() <= 1e-4 * affine.norm()


def dense(op):
    """The matrix of an ODL operator between (powers of) real spaces."""
    def element(values):
        if isinstance(op.domain, odl.ProductSpace):
            return op.domain.element(list(values.reshape(len(op.domain), *op.domain[0].shape)))
        return op.domain.element(values.reshape(op.domain.shape))

    return np.stack([np.concatenate([part.data.ravel() for part in op(element(e))])
                     for e in np.eye(op.domain.size)], axis=1)  # fmt: skip


@pytest.mark.parametrize("shape", [(5, 4), (3, 4, 2)])
def test_proximal_is_that_of_a_dense_primal_dual_iteration(shape):
    X = space_of(shape)
    y, alpha, beta = noisy(X), 0.2, 0.6
    grad, n = operators.gradient(X), X.size
    D, E = dense(grad), dense(operators.SymmetrizedGradient(grad.range))
    K = np.block([[D, -np.eye(len(D))], [np.zeros((len(E), n)), E]])
    step, target = 0.99 / np.linalg.norm(K, 2), y.data.ravel()
    x, p = np.zeros(K.shape[1]), np.zeros(len(K))
    z = x
    for _ in range(6000):
        p = p + step * K @ z
        for rows, radius in ((slice(0, len(D)), alpha), (slice(len(D), len(K)), alpha * beta)):
            lengths = np.linalg.norm(p[rows].reshape(-1, n), axis=0)
            p[rows] /= np.tile(np.maximum(lengths / radius, 1), len(p[rows]) // n)
        new = x - step * K.T @ p
        new[:n] = (new[:n] + step * target) / (1 + step)
        x, z = new, 2 * new - x
    found = tgv_denoising(y, alpha, beta, 1e-10)
    assert np.allclose(found.x.data.ravel(), x[:n], atol=1e-5)


@pytest.mark.parametrize("shape", [(9,), (5, 7), (3, 4, 3)])
def test_the_field_attains_the_objective_up_to_the_gap(shape):
    X = space_of(shape, "complex128")
    grad = operators.gradient(X)
    E = operators.SymmetrizedGradient(grad.range)
    ramp = X.element(sum((1 + n) * m for n, m in enumerate(X.meshgrid)) * (2 - 1j))
    y, alpha, beta = 3 * noisy(X) + ramp, 0.25, 0.8
    found = tgv_denoising(y, alpha, beta, 1e-5)

    def gap(v):
        value = alpha * (length(grad(found.x) - v) + beta * length(E(v)))
        lower = 0.5 * y.norm() ** 2 - 0.5 * (y - grad.adjoint(found.dual)).norm() ** 2
        return 0.5 * (found.x - y).norm() ** 2 + value - lower

    slack = 1e-13 * y.norm() ** 2
    assert found.field in grad.range and gap(found.field) <= found.gap * (1 + 1e-6) + slack
    for other in (0 * found.field, grad(found.x), 1.02 * found.field):
        assert gap(other) > 2 * found.gap + slack
    # Affine images have their slopes as fields; where alpha is negligible there is none.
    exact = tgv_denoising(ramp, alpha, beta)
    assert (exact.field - grad(ramp)).norm() <= 1e-10 * grad(ramp).norm()
    assert tgv_denoising(y, 1e-200, beta).field == grad.range.zero()


@pytest.mark.parametrize("shape", [(9,), (5, 7), (3, 4, 3)])
def test_certificate(shape):
    X = space_of(shape)
    y, alpha, beta, grad = noisy(X), 0.25, 0.8, operators.gradient(X)
    exact = tgv_denoising(y, alpha, beta, 1e-7)
    minimum = 0.5 * (exact.x - y).norm() ** 2 + alpha * tgv_value(exact.x, beta, 1e-6)
    tv = functionals.TotalVariation(X)
    for accuracy in (1e-1, 1e-3):
        found = tgv_denoising(y, alpha, beta, accuracy)
        lengths = np.sqrt(sum(p.data**2 for p in found.dual))
        lower = 0.5 * y.norm() ** 2 - 0.5 * (y - grad.adjoint(found.dual)).norm() ** 2
        assert lengths.max() <= alpha * (1 + 1e-12)
        value = 0.5 * (found.x - y).norm() ** 2 + alpha * tgv_value(found.x, beta, 1e-6)
        slack = 1e-6 * (minimum + alpha * tv(found.x))
        assert lower <= minimum + slack and value - lower <= found.gap + slack
        assert found.gap <= accuracy * lower * (1 + 1e-9) and found.reason == "accuracy"
        assert (found.x - exact.x).norm() <= found.error_bound + exact.error_bound


def assert_same(one, other):
    """Bits: the iterations are entrywise, and numpy adds up images one by one."""
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize("block", [2**17, 300])
def test_samples_of_a_batch_do_not_know_of_each_other(block, monkeypatch):
    y, alpha = np.random.default_rng(2).standard_normal((5, 6, 8)), np.geomspace(0.05, 0.8, 5)
    x = tgv_denoising(y, alpha, 1.5, 1e-2, cell_sides=(1, 1)).x
    monkeypatch.setattr(sheets, "BLOCK", block)
    found = tgv_denoising(y, alpha, 1.5, 1e-2, cell_sides=(1, 1))
    assert np.array_equal(found.x, x) and len(set(found.niter)) >= 3
    for n in (0, 4):
        alone = tgv_denoising(y[n : n + 1], alpha[n], 1.5, 1e-2, cell_sides=(1, 1))
        assert_same(alone[:6], [part[n : n + 1] for part in found[:6]])
    tensors = torch.from_numpy(y), torch.from_numpy(alpha)
    assert_same(tgv_denoising(*tensors, 1.5, 1e-2, cell_sides=(1, 1)), found)


@pytest.mark.parametrize("shape", [(11,), (6, 7), (3, 4, 5)])
def test_torch_computes_what_numpy_does(shape):
    y = np.random.default_rng(2).standard_normal((3, 2, *shape))
    weights = [1.0, 0.5, 0.8][: len(shape)]
    states = [PrimalDual(part, weights, 1.5, 1.0) for part in (y, torch.from_numpy(y))]
    for state in states:
        for _ in range(9):
            state.step()
    for a, b in zip(states[0].measure(), states[1].measure(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11)
    np.testing.assert_allclose(states[0].x(), states[1].x(), rtol=1e-11)
    np.testing.assert_allclose(states[0].p(), states[1].p(), rtol=1e-11, atol=1e-13)
    some = [states[0].take(np.array([2, 0])), states[1].take(torch.tensor([2, 0]))]
    for state in some:
        state.step()
    np.testing.assert_allclose(some[0].x(), some[1].x(), rtol=1e-11)


def test_modules():
    X = space_of((5, 6))
    R = functionals.TotalGeneralizedVariation(X, 0.4, 1e-4)
    elements = [noisy(X, seed) for seed in range(4)]
    x = torch.stack([torch.from_numpy(e.data) for e in elements]).reshape(2, 2, 5, 6)
    values = as_module(R)(x).flatten()
    assert values.tolist() == pytest.approx([R(e) for e in elements], rel=1e-12)
    sigma = torch.tensor([[0.1, 0.2], [0.3, 0.4]], dtype=torch.float64)
    got = as_proximal_module(R)(x, sigma).reshape(4, 5, 6)
    for e, s, part in zip(elements, sigma.flatten().tolist(), got, strict=True):
        assert np.array_equal(part.numpy(), R.proximal(s)(e).data)
    with pytest.raises(NotImplementedError, match="SmoothedTV"):
        as_proximal_module(R)(x.requires_grad_(True), 0.3).sum().backward()


@pytest.mark.parametrize(("call", "words"), [
    (lambda: tgv_denoising(np.ones((1, 5, 5)), 1.0, -1.0, cell_sides=(1, 1)), "beta"),
    (lambda: tgv_denoising(np.ones((1, 5, 5)), 0.0, 1.0, cell_sides=(1, 1)), "alpha"),
    (lambda: tgv_denoising(np.ones((5, 5)), 1.0, 1.0), "without cell_sides"),
    (lambda: tgv_value(np.ones((5, 5)), 1.0), "without cell_sides"),
    (lambda: tgv_value(np.full((1, 5, 5), np.inf), 1.0, cell_sides=(1, 1)), "infinite"),
    (lambda: functionals.TotalGeneralizedVariation(space_of((4, 4)), 0.0), "beta"),
    (lambda: functionals.TotalGeneralizedVariation(space_of((4, 4)), 1.0, -1.0), "accuracy"),
])  # fmt: skip
def test_errors(call, words):
    with pytest.raises(ValueError, match=words):
        call()
