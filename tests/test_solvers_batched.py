"""Gradient descent and Landweber on batches: certificates, per-sample stopping, same bits alone."""

import math

import numpy as np
import odl
import pytest
import torch
from quadratics import Energies, Matrices, random_hessians

from odl_learned.bridge import as_batch
from odl_learned.functionals import SmoothedTV, l2_fidelity
from odl_learned.operators import normalized, parallel_ray_transform, random_element
from odl_learned.solvers import (
    DivergenceError,
    accelerated_gradient,
    conjugate_gradient,
    gradient_descent,
    landweber,
    lsqr,
    newton_krylov,
    restarted_gradient,
)
from odl_learned.solvers.arithmetic import row_sums

DESCENTS = [accelerated_gradient, gradient_descent, restarted_gradient]


def as_numpy(x):
    return x


WORLDS = [as_numpy, torch.from_numpy]


def energies(rng, size, n=6, conditions=10.0, c=0.0, world=as_numpy, dtype="float64"):
    hessians = random_hessians(rng, size, n, conditions, dtype)
    b = rng.standard_normal((size, n)).astype(dtype)
    return Energies(world(hessians), world(b), c), hessians, b


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("solver", DESCENTS)
def test_bounds_of_a_thousand_quadratics_hold_and_are_not_loose(solver, world, rng):
    f, hessians, b = energies(rng, 1000, conditions=rng.uniform(1, 10, 1000), world=world)
    minimizers = np.linalg.solve(hessians, b[..., None])[..., 0]
    accuracy = 10 ** rng.uniform(-8, 0, 1000)
    x0 = world(rng.standard_normal((1000, 6)))
    before = np.asarray(x0).copy()
    solution = solver(f, x0, accuracy, 10**4)
    error = np.linalg.norm(np.asarray(solution.x) - minimizers, axis=1)
    assert type(solution.x) is type(x0) and np.array_equal(before, np.asarray(x0))
    assert solution.error_bound.shape == solution.niter.shape == solution.reason.shape == (1000,)
    assert np.all(solution.reason == "accuracy") and np.all(solution.error_bound <= accuracy)
    assert np.all(error <= solution.error_bound * (1 + 1e-6))
    # The bound is the error if the gradient lies in the flattest direction, and the condition times
    # the error in the steepest one.
    assert np.all(solution.error_bound <= f.grad_lipschitz / f.strong_convexity * error + 1e-12)
    assert np.median(solution.error_bound / error) <= 5


def alone_and_together(solve, f, x0, others):
    """Solutions of a batch, and of its samples: alone, in pairs with the others."""
    together = solve(f, x0, np.arange(len(x0)))
    for k in range(len(x0)):
        for index in ([k], [others, k] if k != others else [k], list(range(k + 1))):
            index = np.array(index)
            yield together, solve(f.take(index), x0[index], index), k, len(index) - 1


SOLVES = {
    "accelerated_gradient": lambda f, x0, i: accelerated_gradient(f, x0, 1e-6, 500),
    "gradient_descent": lambda f, x0, i: gradient_descent(f, x0, 1e-3, 500),
    "restarted_gradient": lambda f, x0, i: restarted_gradient(f, x0, 1e-6, 500),
    "newton_krylov": lambda f, x0, i: newton_krylov(f, x0, 1e-6, 50),
    "conjugate_gradient": lambda f, x0, i: conjugate_gradient(
        f.H, f.b, x0, 0.03, 100, lower_bound=f.strong_convexity),
    "lsqr": lambda f, x0, i: lsqr(f.H, f.b, x0, 0.03, 100, damp=0.3 + 0.02 * i),
    "landweber": lambda f, x0, i: landweber(f.H, f.b, x0, 0.1 + 0.05 * i, maxiter=300),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", SOLVES)
def test_a_sample_has_the_same_bits_alone_and_among_others(name, world, dtype, rng):
    """The energies are entrywise, and their sums numpy's, row by row."""
    f, _, _ = energies(rng, 16, 7, np.geomspace(1.5, 40, 16), 0.5, world, dtype)
    x0 = world(rng.standard_normal((16, 7)).astype(dtype))
    assert len(set(SOLVES[name](f, x0, np.arange(16)).niter)) > 1
    for together, alone, k, i in alone_and_together(SOLVES[name], f, x0, 3):
        assert np.array_equal(np.asarray(together.x[k]), np.asarray(alone.x[i]))
        assert together.niter[k] == alone.niter[i] and together.reason[k] == alone.reason[i]
        if together.error_bound is not None:
            assert together.error_bound[k] == alone.error_bound[i]


@pytest.mark.parametrize("name", SOLVES)
def test_stopping_per_sample_saves_operator_applications(name, rng):
    f, _, _ = energies(rng, 16, 40, np.geomspace(1.5, 100, 16), c=0.5)
    x0 = np.zeros((16, 40))
    SOLVES[name](f, x0, np.arange(16))
    together, most = f.counter[0], 0
    for k in range(16):
        f.counter[0] = 0
        SOLVES[name](f.take([k]), x0[[k]], np.array([k]))
        most = max(most, f.counter[0])
    assert together <= 0.8 * 16 * most


class Element(odl.functionals.Functional):
    """One of the energies, as an ODL functional."""

    def __init__(self, f, k):
        space = odl.rn(f.b.shape[1])
        super().__init__(space, grad_lipschitz=float(f.grad_lipschitz[k]))
        self.strong_convexity = float(f.strong_convexity[k])
        self.H = odl.MatrixOperator(f.H.matrices[k], space, space)
        self.b, self.c = space.element(f.b[k]), f.c

    def _call(self, x):
        root = np.sqrt(1 + x.data**2)
        return x.inner(0.5 * self.H(x) - self.b) + self.c * float(root.sum())

    @property
    def gradient(self):
        return Slope(self)


class Slope(odl.Operator):
    def __init__(self, f):
        super().__init__(f.domain, f.domain, linear=False)
        self.f = f

    def _call(self, x):
        bend = self.domain.element(x.data / np.sqrt(1 + x.data**2))
        return self.f.H(x) - self.f.b + self.f.c * bend

    def derivative(self, x):
        curvature = self.domain.element((1 + x.data**2) ** -1.5)
        return self.f.H + self.f.c * odl.MultiplyOperator(curvature)


@pytest.mark.parametrize("name", SOLVES)
def test_an_element_is_a_batch_of_one(name, rng):
    f, _, _ = energies(rng, 3, 20, 3.0, 0.5)
    x0 = rng.standard_normal((3, 20))
    batch = SOLVES[name](f, x0, np.arange(3))
    for k in range(3):
        g = Element(f, k)
        one = SOLVES[name](g, g.domain.element(x0[k]), k)
        assert np.allclose(one.x.data, batch.x[k], rtol=1e-9, atol=1e-12)
        assert one.niter == batch.niter[k] and isinstance(one.niter, int)
        assert one.reason == batch.reason[k] and isinstance(one.reason, str)
        if one.error_bound is not None:
            assert isinstance(one.error_bound, float)
            assert one.error_bound == pytest.approx(batch.error_bound[k], rel=1e-4, abs=1e-13)


@pytest.mark.parametrize("name", SOLVES)
def test_callbacks_compose_as_in_odl_and_see_whole_batches(name, rng, capsys):
    f, _, _ = energies(rng, 1)
    g = Element(f, 0)
    solve = {
        "accelerated_gradient": lambda **k: accelerated_gradient(g, g.domain.zero(), 1e-6, 99, **k),
        "gradient_descent": lambda **k: gradient_descent(g, g.domain.zero(), 1e-6, 999, **k),
        "restarted_gradient": lambda **k: restarted_gradient(g, g.domain.zero(), 1e-6, 99, **k),
        "newton_krylov": lambda **k: newton_krylov(g, g.domain.zero(), 1e-6, 99, **k),
        "conjugate_gradient": lambda **k: conjugate_gradient(
            g.H, g.b, g.domain.zero(), 1e-6, 99, **k),
        "lsqr": lambda **k: lsqr(g.H, g.b, g.domain.zero(), 1e-6, 99, **k),
        "landweber": lambda **k: landweber(g.H, g.b, g.domain.zero(), 1e-3, **k),
    }[name]
    store = odl.solvers.CallbackStore()
    solution = solve(callback=store & odl.solvers.CallbackPrintIteration())
    assert len(store.results) == solution.niter > 0
    assert capsys.readouterr().out.count("iter =") == solution.niter
    assert (store.results[-1] - solution.x).norm() == 0


def test_callbacks_see_whole_batches(rng):
    f, _, _ = energies(rng, 5, conditions=np.geomspace(2, 50, 5))
    seen = []
    solution = accelerated_gradient(
        f, np.zeros((5, 6)), 1e-6, 500, callback=lambda x: seen.append(x.copy()))
    assert len(seen) == max(solution.niter) and all(x.shape == (5, 6) for x in seen)
    for k in range(5):
        for x in seen[solution.niter[k] - 1 :]:
            assert np.array_equal(x[k], solution.x[k])


@pytest.mark.parametrize("solver", DESCENTS)
def test_wrong_constants_are_named_with_their_sample_within_ten_iterations(solver, rng):
    for _ in range(50):
        f, _, _ = energies(rng, 5, conditions=30.0)
        x0 = rng.standard_normal((5, 6))
        calls = []
        wrong = f.grad_lipschitz * np.array([1, 1, 0.2, 1, 1])
        with pytest.raises(DivergenceError, match="gradients of sample 2.*larger lipschitz"):
            solver(f, x0, 1e-9, 1000, lipschitz=wrong, callback=calls.append)
        assert len(calls) < 10
        wrong = f.strong_convexity * np.array([1, 1, 1, 25, 1])
        with pytest.raises(DivergenceError, match="strong_convexity is .*of sample 3"):
            solver(f, x0, 1e-9, 1000, strong_convexity=wrong)
        f.b[4, 2] = math.nan
        with pytest.raises(DivergenceError, match="of sample 4 is not finite at iteration 0"):
            solver(f, x0, 1e-9, 1000)


def test_samples_that_stopped_do_not_run_and_later_names_are_right(rng):
    f, _, _ = energies(rng, 3)
    x0 = np.linalg.solve(f.H.matrices, f.b[..., None])[..., 0]
    x0[2] += 1
    with pytest.raises(DivergenceError, match="of sample 2"):
        accelerated_gradient(f, x0, 1e-9, 100, lipschitz=0.3 * f.grad_lipschitz,
                             strong_convexity=0.1 * f.strong_convexity)  # fmt: skip


def test_batched_arguments_are_checked(rng):
    f, _, _ = energies(rng, 3)
    x0 = np.zeros((3, 6))
    with pytest.raises(ValueError, match=r"accuracy has shape \(2,\), expected one number or \(3,"):
        accelerated_gradient(f, x0, [1, 1], 10)
    with pytest.raises(ValueError, match=r"accuracy is -1.0 in sample 1; expected"):
        accelerated_gradient(f, x0, [1, -1, 1], 10)
    with pytest.raises(ValueError, match="x0 contains NaN or infinite values in sample 1"):
        accelerated_gradient(f, x0 + np.array([[0], [math.inf], [0]]), 1, 10)
    with pytest.raises(TypeError, match="gradient.* dtype float64, expected .* float32"):
        accelerated_gradient(f, x0.astype("float32"), 1, 10)
    with pytest.raises(TypeError, match="x0 is not an element of the domain of f.*as_batch"):
        accelerated_gradient(Element(f, 0), x0, 1, 10)
    with pytest.raises(ValueError, match="noise_norm is 0.0 in sample 2.*never stops"):
        landweber(f.H, f.b, x0, np.array([1, 1, 0.0]))
    with pytest.raises(ValueError, match="data has 2 samples, expected 3"):
        landweber(f.H, f.b[:2], x0, 1.0)
    empty = accelerated_gradient(f.take([]), x0[:0], 1.0, 10, 1.0, 0.5)
    assert empty.x.shape == (0, 6) and empty.niter.shape == (0,)


# Landweber


@pytest.mark.parametrize("world", WORLDS)
def test_landweber_stops_every_sample_at_its_noise(world, rng):
    A = rng.standard_normal((10, 8, 6))
    truth = rng.standard_normal((10, 6))
    noise = rng.standard_normal((10, 8)) * np.geomspace(1e-2, 1, 10)[:, None]
    level = np.linalg.norm(noise, axis=1)
    data = np.einsum("bij,bj->bi", A, truth) + noise
    solution = landweber(Matrices(world(A)), world(data), world(np.zeros((10, 6))), level,
                         maxiter=10**4)  # fmt: skip
    residual = np.linalg.norm(np.einsum("bij,bj->bi", A, np.asarray(solution.x)) - data, axis=1)
    assert np.all(solution.reason == "discrepancy") and np.all(residual <= 1.1 * level * (1 + 1e-9))
    for k in range(10):
        B = odl.MatrixOperator(A[k])
        one = landweber(B, B.range.element(data[k]), B.domain.zero(), level[k], maxiter=10**4)
        assert one.niter == solution.niter[k]
        assert np.allclose(one.x.data, np.asarray(solution.x[k]), rtol=1e-8, atol=1e-12)


def test_landweber_names_the_diverging_sample(rng):
    f, _, _ = energies(rng, 4)
    omega = np.array([1, 1, 1, 3]) / f.grad_lipschitz**2
    with pytest.raises(DivergenceError, match=r"of sample 3 grew .*at iteration \d\."):
        landweber(f.H, f.b, np.zeros((4, 6)), 1e-9, omega=omega)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_twins_of_odl_functionals_have_the_iterates_of_elements(dtype, rng):
    X = odl.uniform_discr([0, 0], [3, 2], (6, 5), dtype=dtype)
    data = [random_element(X, rng) for _ in range(4)]
    tv = SmoothedTV(X, 0.1, 0.5, 0.01)
    objects = [l2_fidelity(y) + tv for y in data]
    L = np.linspace(1, 2, 4) * (1 + tv.grad_lipschitz)
    f = as_batch(objects)
    x0 = torch.zeros((4, 6, 5), dtype=getattr(torch, dtype))
    for solver in DESCENTS:
        batch = solver(f, x0, 1e-2, 10**4, L, 1.0)
        for k in range(4):
            one = solver(objects[k], X.zero(), 1e-2, 10**4, L[k], 1.0)
            assert one.niter == batch.niter[k] > 1 and one.reason == "accuracy"
            assert np.allclose(one.x.data, batch.x[k].numpy(), rtol=1e-9, atol=1e-12)
            assert one.error_bound == pytest.approx(batch.error_bound[k], rel=1e-6)
    with pytest.raises(TypeError, match="x0 is not an element of the domain of f, batches"):
        accelerated_gradient(f, x0[:3], 1e-3, 10, 99.0, 1.0)


def test_twins_of_weighted_operators_have_the_iterates_of_elements(rng):
    R = odl.uniform_discr([-1, -1], [1, 1], (8, 8), dtype="float32")
    A = normalized(parallel_ray_transform(R, 6))
    data = [A(random_element(R, rng)) for _ in range(3)]
    level = [0.2 * y.norm() for y in data]
    tensors = torch.from_numpy(np.stack([y.data for y in data]))
    x0, B = torch.zeros(3, 8, 8), as_batch(A)
    solves = (
        lambda A, y, x0, level: landweber(A, y, x0, level),
        lambda A, y, x0, level: lsqr(A, y, x0, 1e-3, 100, damp=0.5),
        lambda A, y, x0, level: lsqr(A, y, x0, 1e-6, 100, noise_norm=level),
    )
    for solve in solves:
        batch = solve(B, tensors, x0, np.array(level))
        for k in range(3):
            one = solve(A, data[k], R.zero(), level[k])
            assert one.niter == batch.niter[k] > 0
            assert np.allclose(one.x.data, batch.x[k].numpy(), rtol=1e-3, atol=1e-4)


# The arithmetic of samples


@pytest.mark.parametrize("name", SOLVES)
def test_arrays_that_are_not_on_the_host_give_the_same(name, rng, monkeypatch):
    f, _, _ = energies(rng, 5, 20, 3.0, 0.5, torch.from_numpy)
    x0 = torch.from_numpy(rng.standard_normal((5, 20)))
    expected = SOLVES[name](f, x0, np.arange(5))
    monkeypatch.setattr(row_sums, "rows", lambda x: None)
    found = SOLVES[name](f, x0, np.arange(5))
    assert np.allclose(found.x.numpy(), expected.x.numpy(), rtol=1e-8, atol=1e-10)
    assert np.array_equal(found.niter, expected.niter)
