"""Variational problems with complex images, and with real images and complex data."""

import numpy as np
import odl
import pytest
import torch

from odl_learned import variational
from odl_learned.bridge import as_batch, as_module
from odl_learned.functionals import BoxConstraint, OnRealParts, l2_fidelity
from odl_learned.operators import (
    MultiCoilFourier,
    SampledFourier,
    gradient,
    operator_norm,
    random_element,
    real_parts,
)
from odl_learned.solvers import FixedSteps, primal_dual

SHAPE = (6, 5)
X = odl.uniform_discr([0, 0], [3, 5], SHAPE)
XC = X.complex_space
F = odl.functionals


def forward(name, rng):
    """Masked Fourier transforms of real images, by one or three coils."""
    mask = rng.random(SHAPE) < 0.6
    if name == "one coil":
        return SampledFourier(XC, mask) @ odl.ComplexEmbedding(X)
    coils = rng.standard_normal((3, *SHAPE)) + 1j * rng.standard_normal((3, *SHAPE))
    coils = coils / np.sqrt((abs(coils) ** 2).sum(0))
    return MultiCoilFourier(XC, mask, coils) @ odl.ComplexEmbedding(X)


BUILDERS = {
    "tikhonov": lambda A, D, C: variational.tikhonov_problem(A, D, 0.05, C),
    "h1": lambda A, D, C: variational.h1_problem(A, D, 0.05, C),
    "tv": lambda A, D, C: variational.tv_problem(A, D, 0.05, C),
    "tgv": lambda A, D, C: variational.tgv_problem(A, D, 0.05, 1.0, C),
    "experts": lambda A, D, C: variational.experts_problem(A, D, [[[1, -1]]], [0.05], C),
}
MASK = np.random.default_rng(4).random(SHAPE) < 0.6


def dense(op):
    """The matrix of an operator from the real space, real and imaginary parts below each other."""
    def column(e):
        y = op(X.element(e.reshape(SHAPE)))
        parts = list(y) if isinstance(op.range, odl.ProductSpace) else [y]
        values = np.concatenate([part.data.ravel() for part in parts])
        return np.concatenate([values.real, values.imag])

    return np.stack([column(e) for e in np.eye(X.size)], axis=1)


@pytest.mark.parametrize(("coils", "name"), [
    *[("one coil", name) for name in BUILDERS], ("three coils", "tv")])  # fmt: skip
def test_real_images_of_complex_data(coils, name, rng):
    A = forward(coils, rng)
    truth = X.element(rng.random(SHAPE))
    data = A(truth) + 0.05 * random_element(A.range, rng)
    problem = BUILDERS[name](A, l2_fidelity(data), BoxConstraint(X, -5, 5))
    P = as_batch([problem, problem])
    s = primal_dual(P, accuracy=1e-2, maxiter=400)
    image = X.element((s.x[0] if name == "tgv" else s.x)[1].numpy())
    assert s.reason[1] == "accuracy" or (name == "tgv" and s.gap[1] < 0.5 * P.value(s.x)[1])
    # the same by pdhg of ODL, up to both gaps
    x, y = problem.L.domain.zero(), problem.L.range.zero()
    tau, sigma = problem.step_sizes()
    odl.solvers.pdhg(x, *problem, niter=40, tau=tau, sigma=sigma, y=y)
    value, gap = P.value(s.x)[1], s.gap[1]
    assert value - gap <= problem.value(x) and problem.value(x) - problem.gap(x, y) <= value
    if name == "tv":
        D = gradient(X)
        length = np.sqrt(sum(p.data**2 for p in D(image))).sum() * X.cell_volume
        expected = 0.5 * (A(image) - data).norm() ** 2 + 0.05 * length
        assert problem.value(image) == pytest.approx(expected, rel=1e-12)
    batch = primal_dual(P, accuracy=1e-9, maxiter=10, steps=FixedSteps())
    alone = primal_dual(problem, accuracy=1e-9, maxiter=10, steps=FixedSteps())
    images = (batch.x[0], alone.x[0]) if name == "tgv" else (batch.x, alone.x)
    np.testing.assert_allclose(images[0][1], images[1].data, atol=1e-12)
    assert batch.gap[1] == pytest.approx(alone.gap, rel=1e-9)


@pytest.mark.parametrize("coils", ["one coil", "three coils"])
@pytest.mark.parametrize("name", ["tikhonov", "h1"])
def test_real_images_solve_the_real_normal_equations(name, coils, rng):
    A = forward(coils, rng)
    data = A(X.element(rng.random(SHAPE))) + 0.05 * random_element(A.range, rng)
    problem = BUILDERS[name](A, l2_fidelity(data), BoxConstraint(X, -5, 5))
    P = as_batch([problem])
    s = primal_dual(P, accuracy=1e-3, maxiter=1000)
    K, parts = dense(A), list(data) if coils == "three coils" else [data]
    values = np.concatenate([part.data.ravel() for part in parts])
    R = np.eye(X.size) if name == "tikhonov" else dense(gradient(X))
    normal = K.T @ K + 0.05 * R.T @ R
    exact = np.linalg.solve(normal, K.T @ np.concatenate([values.real, values.imag]))
    error = s.x.numpy().ravel() - exact
    assert X.cell_volume / 2 * error @ normal @ error <= s.gap <= 1e-3 * P.value(s.x)


@pytest.mark.parametrize("name", BUILDERS)
def test_batches_of_complex_images_without_a_constraint(name, rng):
    """The lower bound is that of zero, so that iterations run out."""
    A = SampledFourier(XC, MASK)
    problems = [BUILDERS[name](A, l2_fidelity(random_element(A.range, rng)), None)
                for _ in range(2)]  # fmt: skip
    batch = primal_dual(as_batch(problems), accuracy=1e-9, maxiter=10)
    for i, problem in enumerate(problems):
        alone = primal_dual(problem, accuracy=1e-9, maxiter=10)
        got, want = (batch.x[0][i], alone.x[0]) if name == "tgv" else (batch.x[i], alone.x)
        np.testing.assert_allclose(got, want.data, atol=1e-12)
        assert batch.gap[i] == pytest.approx(alone.gap, rel=1e-9)


def test_complex_images_of_real_data_are_refused(rng):
    A = odl.RealPart(XC)
    with pytest.raises(TypeError, match="complex images to real data.*real_parts"):
        variational.tv_problem(A, l2_fidelity(X.one()), 0.1)
    pair = A @ real_parts(XC).adjoint
    assert primal_dual(variational.tikhonov_problem(pair, l2_fidelity(X.one()), 0.1)).gap < 1e-3


def test_real_parts_are_unitary(rng):
    for space in (XC, odl.cn(4, weighting=3.0), XC**3, odl.ProductSpace(XC, odl.cn(2))):
        P = real_parts(space)
        y, z = random_element(space, rng), random_element(space, rng)
        assert P(y).inner(P(z)) == pytest.approx(y.inner(z).real, rel=1e-12)
        assert (P.adjoint(P(y)) - y).norm() <= 1e-15 * y.norm()
        assert operator_norm(P) == pytest.approx(1, rel=1e-2)
    with pytest.raises(TypeError, match="expected a complex one"):
        real_parts(X)
    with pytest.raises(TypeError, match="without weights of its own"):
        real_parts(odl.ProductSpace(XC, 2, weighting=[1, 2]))


@pytest.mark.parametrize("make", [
    lambda v: F.ZeroFunctional(XC), lambda v: F.ConstantFunctional(XC, 2),
    lambda v: F.ZeroFunctional(XC).convex_conj, lambda v: F.IndicatorZero(XC, 2),
    lambda v: F.ConstantFunctional(XC, 2).convex_conj, lambda v: F.L2NormSquared(XC) + 5,
    lambda v: F.QuadraticForm(odl.IdentityOperator(XC), v, 2),
    lambda v: F.QuadraticForm(vector=v, constant=2),
    lambda v: F.BregmanDistance(F.L2NormSquared(XC), v, 2 * v),
    lambda v: F.FunctionalQuadraticPerturb(F.L2NormSquared(XC), 1, v, 3),
    lambda v: OnRealParts(F.L1Norm(XC).translated(v)),
])  # fmt: skip
def test_values_on_complex_spaces_are_real(make, rng):
    f = make(random_element(XC, rng))
    for x in (random_element(f.domain, rng), f.domain.zero()):
        value, tensor = f(x), torch.from_numpy(np.asarray(x.asarray())[None])
        assert type(value) is float
        for got in (as_module(f)(tensor), as_batch(f)(tensor)):
            assert got.dtype == torch.float64
            assert got.item() == pytest.approx(value, rel=1e-12)


def test_linear_functionals_on_complex_spaces_have_the_values_of_odl(rng):
    f, x = F.QuadraticForm(vector=random_element(XC, rng)), random_element(XC, rng)
    got = as_module(f)(torch.from_numpy(x.data[None])).item()
    assert got == pytest.approx(f(x), rel=1e-12) and f(x).imag != 0
