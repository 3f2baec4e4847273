"""The squared gradient against dense matrices, the weighted L1 norm in ODL's solvers."""

import numpy as np
import odl
import pytest
import torch
from instances.spaces import XC, V, filters, plane

from odl_learned.bridge import as_proximal_module
from odl_learned.conformance.sampling import dense_matrix
from odl_learned.functionals import FieldsOfExperts, H1Seminorm, l2_fidelity, weighted_l1
from odl_learned.operators import FilterBank, gradient, operator_norm, random_element

F = odl.functionals
SPACES = {
    "2D": plane(), "complex": XC, "1D": odl.uniform_discr(0, 3, 6),
    "3D": odl.uniform_discr([0] * 3, [1, 2, 3], (3, 4, 2)),
    "float32": plane(dtype="float32"),
}  # fmt: skip


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_the_squared_gradient_is_that_of_the_matrix(space, rng):
    f, x = H1Seminorm(space), random_element(space, rng)
    grad = gradient(space)
    matrix = dense_matrix(grad.adjoint @ grad)
    eps = 1e-5 if "32" in str(space.dtype) else 1e-12
    assert f(x) == pytest.approx(0.5 * grad(x).norm() ** 2, rel=10 * eps)
    largest = np.linalg.eigvalsh(matrix.astype(complex)).max()
    assert f.grad_lipschitz == pytest.approx(largest, rel=eps)
    for sigma in (1e-3, 0.7, 1e3):
        expected = np.linalg.solve(np.eye(len(matrix)) + sigma * matrix, x.data.ravel())
        got = f.proximal(sigma)(x).data.ravel()
        assert np.abs(got - expected).max() <= 100 * eps * np.abs(x.data).max()
    centered = x - (x.inner(space.one()) / space.one().norm() ** 2) * space.one()
    inverse = np.linalg.pinv(matrix, 1e-4, hermitian=True)
    value = np.real(np.vdot(centered.data.ravel(), inverse @ centered.data.ravel())) / 2
    weight = float(space.weighting.const)
    assert f.convex_conj(centered) == pytest.approx(weight * value, rel=1e3 * eps)
    assert f.convex_conj(x) == np.inf and f.convex_conj.convex_conj is f


def test_the_squared_gradient_is_the_minimizer_of_odl(rng):
    X = SPACES["2D"]
    f, b = H1Seminorm(X), random_element(X, rng)
    x = X.zero()
    tau = 0.99 / operator_norm(gradient(X))
    odl.solvers.pdhg(x, l2_fidelity(b), 0.3 * 0.5 * F.L2NormSquared(gradient(X).range),
                     gradient(X), niter=3000, tau=tau, sigma=tau)
    assert (f.proximal(0.3)(b) - x).norm() <= 1e-6 * b.norm()


def test_the_proximal_in_torch_has_steps_per_sample(rng):
    f = H1Seminorm(SPACES["2D"])
    xs = [random_element(f.domain, rng) for _ in range(3)]
    sigma = torch.tensor([0.1, 1.0, 7.0], dtype=torch.float64)
    batch = torch.from_numpy(np.stack([x.data for x in xs]))
    got = as_proximal_module(f)(batch, sigma)
    for x, step, y in zip(xs, sigma.tolist(), got, strict=True):
        np.testing.assert_allclose(y, f.proximal(step)(x).data, rtol=0, atol=1e-12)


def test_nonsmooth_fields_of_experts_in_odl(rng):
    X = odl.uniform_discr([0, 0], [1, 2], (8, 9))
    bank = FilterBank(X, filters(3, (3, 2)))
    alphas = np.array([0.05, 0.0, 0.1])
    g, D = weighted_l1(bank.range, alphas), l2_fidelity(random_element(X, rng))
    u = random_element(X, rng)
    responses = sum(a * np.abs(v.data).sum() for a, v in zip(alphas, bank(u), strict=True))
    assert g(bank(u)) == pytest.approx(float(X.weighting.const) * responses, rel=1e-12)
    smooth = FieldsOfExperts(X, bank.filters, alphas, 1e-7)
    assert g(bank(u)) == pytest.approx(smooth(u), rel=1e-5)

    x, y = X.zero(), bank.range.zero()
    norm = operator_norm(bank)
    odl.solvers.pdhg(x, D, g, bank, niter=4000, tau=0.99 / norm, sigma=0.99 / norm, y=y)
    primal = D(x) + g(bank(x))
    scale = np.array([[np.abs(part.data).max()] for part in y]).ravel()
    assert np.all(scale <= alphas * (1 + 1e-12))
    dual = -D.convex_conj(-1 * bank.adjoint(y)) - g.convex_conj(y)
    assert -1e-12 <= primal - dual <= 1e-6 * primal


def test_errors(rng):
    with pytest.raises(TypeError, match="power space"):
        weighted_l1(V[0], [1.0])
    with pytest.raises(ValueError, match="one parameter for every component"):
        weighted_l1(V, [1.0])
    with pytest.raises(ValueError, match="negative value"):
        weighted_l1(V, [1.0, -1.0])
    with pytest.raises(ValueError, match="NaN"):
        weighted_l1(V, [1.0, np.nan])
    with pytest.raises(TypeError, match="complex"):
        weighted_l1(V, [1.0, 1j])
    with pytest.raises(TypeError, match="uniform discretization"):
        H1Seminorm(odl.rn(4))
