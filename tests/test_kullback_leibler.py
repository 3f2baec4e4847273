"""Kullback-Leibler fidelity with background: likelihood, ODL's twin, brute force, optimality."""

import math

import numpy as np
import odl
import pytest
import scipy.optimize
import scipy.stats
import torch

from odl_learned.bridge import as_gradient_module, as_module, as_proximal_module
from odl_learned.functionals import KullbackLeiblerConjugate, KullbackLeiblerFidelity

X = odl.uniform_discr([0, 0], [1, 2], (3, 4))
COUNTS = X.element(np.array([[0, 1, 2, 3], [7, 0, 1, 1], [20, 2, 0, 5.0]]))
BACKGROUND = X.element(np.linspace(0.2, 1.3, 12).reshape(3, 4))
WEIGHT = X.cell_volume


def mean(rng):
    return X.element(rng.uniform(0.1, 5, X.shape))


def test_value_is_the_negative_log_likelihood(rng):
    D = KullbackLeiblerFidelity(COUNTS, BACKGROUND)

    def negative_log_likelihood(y):
        return -scipy.stats.poisson.logpmf(COUNTS.data, y.data + BACKGROUND.data).sum()

    y, z = mean(rng), mean(rng)
    expected = WEIGHT * (negative_log_likelihood(y) - negative_log_likelihood(z))
    assert D(y) - D(z) == pytest.approx(expected, rel=1e-11)
    assert KullbackLeiblerFidelity(COUNTS)(COUNTS) == 0
    assert D(COUNTS - BACKGROUND) == pytest.approx(0, abs=1e-14)


def test_without_background_and_zeros_it_is_the_one_of_odl(rng):
    b = COUNTS + X.one()
    ours, theirs = KullbackLeiblerFidelity(b), odl.functionals.KullbackLeibler(X, prior=b)
    y, p = mean(rng), X.element(rng.uniform(-2, 0.9, X.shape))
    assert ours(y) == pytest.approx(theirs(y), rel=1e-13)
    assert ours.convex_conj(p) == pytest.approx(theirs.convex_conj(p), rel=1e-13)
    for one, other, x in (
        (ours.gradient, theirs.gradient, y),
        (ours.convex_conj.gradient, theirs.convex_conj.gradient, p),
        (ours.proximal(0.7), theirs.proximal(0.7), y - 2 * X.one()),
        (ours.convex_conj.proximal(0.7), theirs.convex_conj.proximal(0.7), p),
    ):
        np.testing.assert_allclose(one(x).data, other(x).data, rtol=1e-12, atol=1e-14)


def test_background_shifts(rng):
    y = mean(rng)
    with_it = KullbackLeiblerFidelity(COUNTS, BACKGROUND)
    without = KullbackLeiblerFidelity(COUNTS)
    shifted = without.translated(-BACKGROUND)
    assert with_it(y) == pytest.approx(shifted(y), rel=1e-13)
    np.testing.assert_allclose(with_it.proximal(0.4)(y).data, shifted.proximal(0.4)(y).data,
                               rtol=1e-13)


def test_boundary_of_the_domain():
    b, r = X.zero(), X.one()
    D = KullbackLeiblerFidelity(b, r)
    assert D(-X.one()) == 0
    assert D(-1.01 * X.one()) == math.inf
    assert KullbackLeiblerFidelity(COUNTS)(X.zero()) == math.inf
    assert D.convex_conj(X.one()) == pytest.approx(-WEIGHT * 12)
    assert D.convex_conj(1.01 * X.one()) == math.inf
    assert KullbackLeiblerFidelity(COUNTS).convex_conj(X.one()) == math.inf
    for f, x in ((D, -1.01), (D, -1.0), (D.convex_conj, 1.0), (D.convex_conj, 1.01),
                 (KullbackLeiblerFidelity(COUNTS), 0.0), (KullbackLeiblerFidelity(COUNTS), -1.0)):
        x = x * X.one()
        assert as_module(f)(torch.from_numpy(x.data)).item() == pytest.approx(f(x), rel=1e-13)


def scalar(b, r):
    """Functional of one number."""
    space = odl.rn(1, weighting=0.3)
    f = KullbackLeiblerFidelity(space.element([b]), space.element([r]))
    return f, lambda value: space.element([float(value)])


@pytest.mark.parametrize("r", [0.0, 0.8])
@pytest.mark.parametrize("b", [0.0, 0.6, 9.0])
@pytest.mark.parametrize("x", [-3.0, 0.5, 4.0])
def test_proximal_and_conjugate_by_brute_force(b, r, x):
    f, point = scalar(b, r)
    sigma, weight = 0.7, 0.3

    def energy(y):
        return f(point(y)) + weight * (y - x) ** 2 / (2 * sigma)

    lowest = -r + 1e-12
    found = scipy.optimize.minimize_scalar(
        energy, bounds=(lowest, 20), method="bounded", options={"xatol": 1e-10})
    p = f.proximal(sigma)(point(x))
    assert energy(float(p.data[0])) <= found.fun + 1e-9
    assert float(p.data[0]) == pytest.approx(found.x, abs=1e-4)

    slope = x / 5
    largest = scipy.optimize.minimize_scalar(
        lambda y: f(point(y)) - weight * slope * y, bounds=(lowest, 100), method="bounded",
        options={"xatol": 1e-10})
    assert f.convex_conj(point(slope)) == pytest.approx(-largest.fun, abs=1e-8)


@pytest.mark.parametrize("x", [-1e4, -30.0, 1e4])
def test_proximals_do_not_cancel_in_single_precision(x):
    single = odl.rn(3, dtype="float32")
    double = odl.rn(3)
    b = [0.0, 0.01, 3.0]
    for kind in (lambda f: f, lambda f: f.convex_conj):
        f = kind(KullbackLeiblerFidelity(single.element(b)))
        g = kind(KullbackLeiblerFidelity(double.element(b)))
        got = f.proximal(0.5)(x * single.one()).data
        expected = g.proximal(0.5)(x * double.one()).data
        np.testing.assert_allclose(got, expected, rtol=1e-6)
        assert got.dtype == np.float32


def test_lipschitz_constant_on_nonnegative_images(rng):
    D = KullbackLeiblerFidelity(COUNTS, BACKGROUND)
    assert D.grad_lipschitz == pytest.approx(np.max(COUNTS.data / BACKGROUND.data**2))
    j = np.unravel_index(np.argmax(COUNTS.data / BACKGROUND.data**2), X.shape)
    y = X.zero()
    y.data[j] = 1e-6
    ratio = (D.gradient(y) - D.gradient(X.zero())).norm() / y.norm()
    assert ratio == pytest.approx(D.grad_lipschitz, rel=1e-4)
    for _ in range(20):
        y, z = (X.element(rng.exponential(0.3, X.shape)) for _ in range(2))
        assert (D.gradient(y) - D.gradient(z)).norm() <= D.grad_lipschitz * (y - z).norm()
    assert KullbackLeiblerFidelity(COUNTS).grad_lipschitz == math.inf
    assert KullbackLeiblerFidelity(X.zero()).grad_lipschitz == 0
    partly = X.element(np.where(COUNTS.data > 0, 0.5, 0))
    assert KullbackLeiblerFidelity(COUNTS, partly).grad_lipschitz == pytest.approx(80)


def test_pdhg_finds_the_most_likely_image(rng):
    """``A* (1 - b / (A x + r)) >= 0``, with equality where ``x > 0``."""
    A = odl.MatrixOperator(rng.uniform(0, 1, (12, 6)))
    truth = A.domain.element([0, 3, 0, 1, 0, 6.0])
    r = 0.5 * A.range.one()
    b = A.range.element(rng.poisson((A(truth) + r).data).astype(float))
    D = KullbackLeiblerFidelity(b, r)
    x, norm = A.domain.zero(), operators_norm(A)
    odl.solvers.pdhg(x, odl.functionals.IndicatorNonnegativity(A.domain), D, A, niter=6000,
                     tau=2 / norm, sigma=0.5 / norm)
    slope = A.adjoint(D.gradient(A(x))).data
    active = x.data > 1e-6
    assert 0 < active.sum() < 6
    assert np.abs(slope[active]).max() < 1e-6
    assert slope[~active].min() > -1e-6


def operators_norm(A):
    return float(np.linalg.norm(A.matrix, 2))


def test_torch_has_finite_derivatives_where_there_are_no_counts(rng):
    D = KullbackLeiblerFidelity(COUNTS, BACKGROUND)
    y = torch.tensor(mean(rng).data, requires_grad=True)
    got = as_gradient_module(D)(y).detach()
    np.testing.assert_allclose(got, D.gradient(X.element(y.detach().numpy())).data, rtol=1e-12)
    hessian = torch.autograd.functional.hessian(as_module(D), y).reshape(12, 12)
    b, s = COUNTS.data.ravel(), (y.detach().numpy() + BACKGROUND.data).ravel()
    np.testing.assert_allclose(hessian, WEIGHT * np.diag(b / s**2), atol=1e-13)
    prox = as_proximal_module(D)
    sigma = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(prox, (y, sigma))
    assert torch.autograd.gradgradcheck(prox, (y, sigma))


def test_torch_has_infinite_derivatives_outside_of_the_domain():
    y = torch.full(X.shape, -0.9, dtype=torch.float64, requires_grad=True)
    D = as_module(KullbackLeiblerFidelity(COUNTS, BACKGROUND))
    (slope,) = torch.autograd.grad(D(y), y)
    inside = torch.from_numpy(BACKGROUND.data) > 0.9
    assert 0 < inside.sum() < 12
    assert torch.all(slope[inside].isfinite()) and torch.all(slope[~inside] == -torch.inf)
    p = torch.full(X.shape, 1.0, dtype=torch.float64, requires_grad=True)
    dual = as_module(KullbackLeiblerFidelity(COUNTS, BACKGROUND).convex_conj)
    (slope,) = torch.autograd.grad(dual(p), p)
    inside = torch.from_numpy(COUNTS.data) == 0
    assert torch.all(slope[inside].isfinite()) and torch.all(slope[~inside] == torch.inf)


def test_arguments_are_copied():
    b = COUNTS.copy()
    D = KullbackLeiblerFidelity(b)
    before = D(X.one())
    b.data[...] += 1
    assert D(X.one()) == before
    assert isinstance(D.convex_conj, KullbackLeiblerConjugate) and D.convex_conj.convex_conj is D


@pytest.mark.parametrize(("build", "error", "message"), [
    (lambda: KullbackLeiblerFidelity(-COUNTS), ValueError, "data has the negative value -20"),
    (lambda: KullbackLeiblerFidelity(COUNTS, -0.1 * BACKGROUND), ValueError,
     "background has the negative value"),
    (lambda: KullbackLeiblerFidelity(math.nan * COUNTS), ValueError, "data contains 12 NaN"),
    (lambda: KullbackLeiblerFidelity(COUNTS, odl.rn((3, 4)).one()), ValueError,
     "the space of the data"),
    (lambda: KullbackLeiblerFidelity(COUNTS, 0.5), ValueError, "background is in float"),
    (lambda: KullbackLeiblerFidelity(COUNTS.data), TypeError, "expected an element of a numpy"),
    (lambda: KullbackLeiblerFidelity(odl.cn(3).one()), TypeError, "dtype complex128"),
    (lambda: KullbackLeiblerFidelity(COUNTS).gradient(X.zero()), ValueError,
     "y \\+ r is 0.0 where data has counts"),
    (lambda: KullbackLeiblerFidelity(COUNTS).convex_conj.gradient(X.one()), ValueError,
     "expected values below one"),
])
def test_errors(build, error, message):
    with pytest.raises(error, match=message):
        build()
