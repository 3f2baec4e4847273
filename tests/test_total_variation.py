"""Total variation: value, certified proximal, batches, tensors, against independent references."""

import numpy as np
import odl
import pytest
import scipy.optimize
import torch

from odl_learned import functionals, operators, variational
from odl_learned.bridge import as_module, as_proximal_module
from odl_learned.solvers import rof
from odl_learned.solvers.variation import denoising, sheets
from odl_learned.solvers.variation.rof_iteration import PrimalDual

F = odl.functionals


def space_of(shape, dtype="float64"):
    """Cells that are not square, of a volume that is not one."""
    ends = [0.5 * n * (1 + 0.5 * i) for i, n in enumerate(shape)]
    return odl.uniform_discr([0] * len(shape), ends, shape, dtype=dtype)


def noisy(space, seed=0):
    return operators.random_element(space, np.random.default_rng(seed))


def objective(y, alpha, exponent, x):
    grad = operators.gradient(y.space)
    length = F.GroupL1Norm(grad.range, exponent=exponent)
    return 0.5 * (x - y).norm() ** 2 + alpha * float(np.real(length(grad(x))))


@pytest.mark.parametrize("exponent", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("shape", [(9,), (5, 7), (3, 4, 5)])
def test_value_is_that_of_odl(shape, dtype, exponent):
    X = space_of(shape, dtype)
    u, grad = noisy(X), operators.gradient(X)
    expected = float(np.real((F.GroupL1Norm(grad.range, exponent=exponent) @ grad)(u)))
    value = functionals.TotalVariation(X, exponent)(u)
    assert isinstance(value, float) and value == pytest.approx(expected, rel=1e-6)


def dual_by_scipy(y, alpha, exponent):
    """The minimizer from the dual problem, in which ``|q| <= alpha`` is ``q = alpha s / |s|_+``.

    For the anisotropic norm the dual is a box, which L-BFGS-B handles exactly.
    """
    X, grad = y.space, operators.gradient(y.space)
    columns = [np.concatenate([part.data.ravel() for part in grad(X.element(e.reshape(X.shape)))])
               for e in np.eye(X.size)]  # fmt: skip
    D = np.stack(columns, axis=1)
    assert exponent == 1

    def value(p):
        x = y.data.ravel() - D.T @ p
        return 0.5 * x @ x, -D @ x

    box = [(-alpha, alpha)] * len(D)
    found = scipy.optimize.minimize(value, np.zeros(len(D)), jac=True, method="L-BFGS-B",
                                    bounds=box, options={"ftol": 1e-15, "gtol": 1e-12,
                                                         "maxiter": 20000})  # fmt: skip
    return X.element((y.data.ravel() - D.T @ found.x).reshape(X.shape))


@pytest.mark.parametrize("shape", [(5, 6), (4, 3, 3)])
def test_anisotropic_minimizer_is_that_of_the_box_constrained_dual(shape):
    y = noisy(space_of(shape))
    expected = dual_by_scipy(y, 0.3, 1)
    found = rof(y, 0.3, 1e-12, exponent=1)
    best, value = (objective(y, 0.3, 1, x) for x in (found.x, expected))
    # L-BFGS-B stops where its line search does not see the slope, a root of the precision away
    assert best - found.gap <= value <= best * (1 + 1e-7)
    # the objective is strongly convex with constant one: |x - x_hat|^2 <= 2 (value - minimum)
    distance = (2 * max(value - best + found.gap, 0.0)) ** 0.5 + found.error_bound
    assert (found.x - expected).norm() <= distance + 1e-12 * expected.norm()


@pytest.mark.parametrize("shape", [(4, 5), (4, 4, 3)])
def test_isotropic_minimizer_is_that_of_odl(shape):
    y = noisy(space_of(shape))
    problem = variational.tv_problem(
        odl.IdentityOperator(y.space), functionals.l2_fidelity(y), 0.3)
    tau, sigma = problem.step_sizes()
    x, p = y.copy(), problem.L.range.zero()
    odl.solvers.pdhg(x, problem.f, problem.g, problem.L, niter=300, tau=tau, sigma=sigma, y=p)
    bound = np.sqrt(2 * problem.gap(x, p))
    found = rof(y, 0.3, 1e-12)
    assert bound <= 1e-3 * y.norm()
    assert (found.x - x).norm() <= bound + found.error_bound


@pytest.mark.parametrize("exponent", [1, 2])
def test_brute_force_on_two_by_two(exponent):
    y = noisy(space_of((2, 2)))
    found = rof(y, 0.2, 1e-12, exponent=exponent)

    def value(x):
        return objective(y, 0.2, exponent, y.space.element(x.reshape(2, 2)))

    rng = np.random.default_rng(1)
    best = value(found.x.data)
    for size in np.geomspace(1e-4, 1, 100):
        assert value(found.x.data + size * rng.standard_normal((2, 2))) >= best - 1e-10


def test_taut_string_of_a_step():
    # The minimizer for a step of height one is a step, shrunk by alpha / (4 h) at each side of it.
    X = odl.uniform_discr(0, 8, 8)
    y = X.element(np.repeat([0.0, 1.0], 4))
    x = rof(y, 0.4, 1e-14).x
    assert np.allclose(x.data, np.repeat([0.1, 0.9], 4), atol=1e-6)


@pytest.mark.parametrize("exponent", [1, 2])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("shape", [(9,), (5, 7), (3, 4, 5)])
def test_certificate(shape, dtype, exponent):
    X = space_of(shape, dtype)
    y, alpha = noisy(X), 0.25
    exact = rof(y, alpha, 1e-10, exponent=exponent)
    grad = operators.gradient(X)
    for accuracy in (1e-1, 1e-2, 1e-4):
        found = rof(y, alpha, accuracy, exponent=exponent)
        value, dual = objective(y, alpha, exponent, found.x), found.dual
        residual = y - grad.adjoint(dual)
        lower = 0.5 * y.norm() ** 2 - 0.5 * residual.norm() ** 2
        lengths = np.sqrt(sum(np.abs(p.data) ** 2 for p in dual)) if exponent == 2 else \
            np.stack([np.abs(p.data) for p in dual])
        assert lengths.max() <= alpha * (1 + 1e-12)
        assert found.gap == pytest.approx(value - lower, rel=1e-8, abs=1e-13 * value)
        assert found.gap <= accuracy * lower * (1 + 1e-9) and found.reason == "accuracy"
        assert (found.x - exact.x).norm() <= found.error_bound + exact.error_bound
        assert found.error_bound == pytest.approx(np.sqrt(2 * found.gap))


def test_iterations_run_out():
    y = noisy(space_of((5, 7)))
    found = rof(y, 0.3, 1e-10, maxiter=3)
    assert (found.niter, found.reason) == (3, "maxiter")
    assert (found.x - rof(y, 0.3, 1e-10).x).norm() <= found.error_bound


def batch(size=7, shape=(12, 9), dtype=np.float64):
    rng = np.random.default_rng(3)
    y = rng.standard_normal((size, *shape)).astype(np.zeros(0, dtype).real.dtype)
    if np.issubdtype(dtype, np.complexfloating):
        y = y + 1j * rng.standard_normal((size, *shape)).astype(y.dtype)
    return y, np.geomspace(0.05, 2, size)


def assert_same(one, other):
    """Bits: the iterations are entrywise, and numpy adds up images one by one."""
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
@pytest.mark.parametrize(("block", "group"), [(2**17, 2**18), (400, 300), (100, 2**18), (1, 1)])
def test_samples_of_a_batch_do_not_know_of_each_other(dtype, block, group, monkeypatch):
    y, alpha = batch(dtype=dtype)
    x = rof(y, alpha, 1e-4, cell_sides=(1, 1)).x
    monkeypatch.setattr(sheets, "BLOCK", block)
    monkeypatch.setattr(denoising, "GROUP", group)
    expected = rof(y, alpha, 1e-4, cell_sides=(1, 1))
    assert len(set(expected.niter)) >= 4
    assert np.array_equal(expected.x, x)
    for n in (0, 3, 6):
        alone = rof(y[n : n + 1], alpha[n], 1e-4, cell_sides=(1, 1))
        assert_same(alone[:6], [part[n : n + 1] for part in expected[:6]])


def test_an_element_has_the_bits_of_an_array():
    X = space_of((12, 9))
    y = noisy(X)
    found = rof(y, 0.3)
    other = rof(y.data[None], 0.3, cell_sides=X.cell_sides)
    assert_same([found.x.data, found.niter, found.reason],
                [other.x[0], other.niter[0], other.reason[0]])
    assert found.error_bound == pytest.approx(np.sqrt(X.cell_volume) * other.error_bound[0])


@pytest.mark.parametrize("shape", [(11,), (6, 7), (3, 4, 5)])
def test_torch_computes_what_numpy_does(shape):
    y, alpha = batch(shape=shape, dtype=np.complex64)
    sides = (1,) * len(shape)
    found = rof(torch.from_numpy(y), torch.from_numpy(alpha), 1e-4, cell_sides=sides)
    assert isinstance(found.x, torch.Tensor) and found.dual.shape == (7, len(shape), *shape)
    assert_same(found, rof(y, alpha, 1e-4, cell_sides=sides))
    # what accelerators run: the namespace of torch
    parts = np.stack([y.real, y.imag], axis=1).astype(np.float64)
    weights = [1.0, 0.5, 0.8][: len(shape)]
    states = [PrimalDual(p, weights, 2, 1.0) for p in (parts, torch.from_numpy(parts))]
    for state in states:
        for _ in range(7):
            state.step()
    for mine, other in ((states[0].x(), states[1].x()), (states[0].p(), states[1].p()),
                        *zip(states[0].measure(), states[1].measure(), strict=True)):
        np.testing.assert_allclose(mine, other, rtol=1e-11, atol=1e-13)
    some = states[0].take(np.array([4, 1])), states[1].take(torch.tensor([4, 1]))
    for state in some:
        state.step()
    np.testing.assert_allclose(some[0].x(), some[1].x(), rtol=1e-11)


def test_rounding_of_large_values_and_scales():
    # constants do not matter, and data and parameter scale together
    y, _ = batch(dtype=np.float64)
    x = rof(y, 0.3, 1e-6, cell_sides=(1, 1)).x
    shifted = rof(y + 1000, 0.3, 1e-6, cell_sides=(1, 1)).x - 1000
    np.testing.assert_allclose(shifted, x, atol=1e-9)
    scaled = rof(1e6 * y, 3e5, 1e-6, cell_sides=(1, 1)).x
    np.testing.assert_allclose(scaled / 1e6, x, atol=1e-9)
    constant = rof(np.full((1, 4, 5), 7.25), 0.3, cell_sides=(1, 1))
    assert constant.gap[0] == 0 and (constant.x == 7.25).all()


def test_an_unstable_iteration_starts_again(monkeypatch):
    y, alpha = batch()
    expected = rof(y, alpha, 1e-4, cell_sides=(1, 1))
    monkeypatch.setattr(denoising, "BOLD", 8.0)
    found = rof(y, alpha, 1e-4, cell_sides=(1, 1))
    assert (found.reason == "accuracy").all()
    assert (np.linalg.norm((found.x - expected.x).reshape(7, -1), axis=1)
            <= found.error_bound + expected.error_bound).all()


def test_proximal_is_stateless_and_follows_moreau():
    X = space_of((5, 7))
    f = functionals.TotalVariation(X, accuracy=1e-10)
    prox, x = f.proximal(0.4), noisy(X)
    first = prox(x)
    prox(noisy(X, seed=5))
    assert (prox(x) - first).norm() == 0
    conjugate = f.convex_conj.proximal(1 / 0.4)(x / 0.4)
    assert (first + 0.4 * conjugate - x).norm() <= 1e-6 * x.norm()


def test_in_an_odl_solver():
    # prox(prox) by one proximal gradient step of length one from anywhere is the proximal of y
    X = space_of((6, 5))
    y = noisy(X)
    f = functionals.TotalVariation(X, accuracy=1e-10)
    x = X.zero()
    odl.solvers.proximal_gradient(x, 0.3 * f, functionals.l2_fidelity(y), 1.0, niter=1)
    assert (x - f.proximal(0.3)(y)).norm() <= 1e-12 * y.norm()


@pytest.mark.parametrize("dtype", ["float64", "complex64"])
def test_module_of_the_proximal(dtype):
    X = space_of((5, 7), dtype)
    f = functionals.TotalVariation(X, exponent=1)
    module = as_proximal_module(f)
    elements = [noisy(X, seed) for seed in range(6)]
    x = torch.stack([torch.from_numpy(e.data) for e in elements]).reshape(3, 2, 5, 7)
    sigma = torch.linspace(0.1, 0.6, 6).reshape(3, 2).double()
    got = module(x, sigma).reshape(6, 5, 7)
    steps = sigma.to(x.real.dtype).flatten().tolist()
    for e, s, part in zip(elements, steps, got, strict=True):
        assert np.array_equal(part.numpy(), f.proximal(s)(e).data)
    vmapped = torch.func.vmap(lambda z: module(z, 0.3))(x)
    assert torch.equal(vmapped, module(x, 0.3))
    z = x.clone().requires_grad_(True)
    with pytest.raises(NotImplementedError, match="SmoothedTV"):
        module(z, 0.3).abs().sum().backward()


def test_module_of_the_value_is_native_and_differentiable():
    X = space_of((5, 7))
    f = functionals.TotalVariation(X)
    module = as_module(f)
    x = torch.from_numpy(noisy(X).data).requires_grad_(True)
    assert module(x).item() == pytest.approx(f(X.element(x.detach().numpy())))
    assert "Generic" not in repr(module)
    assert torch.autograd.gradcheck(module, (x,))


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: rof([1.0, 2.0], 1.0), TypeError, "data is a list, expected an element"),
    (lambda: rof(np.ones(()), 1.0), TypeError, "expected an element"),
    (lambda: rof(np.ones((2, 5)), 1.0), ValueError, "without cell_sides.*=\\(1, 1,\\) for one image"
     ".*=\\(1,\\) for a batch of 2"),
    (lambda: rof(np.ones((1, 5), int), 1.0, cell_sides=[1]), TypeError, "floats"),
    (lambda: rof(np.ones((2, 5)), [1.0, -1.0], cell_sides=[1]), ValueError, "alpha is"),
    (lambda: rof(np.ones((2, 5)), np.ones(3), cell_sides=[1]), ValueError, "one per sample"),
    (lambda: rof(np.ones((2, 5)), np.ones(2), cell_sides=[1, 1]), ValueError, "shape \\(1,\\)"),
    (lambda: rof(np.ones((1, 5)), 1.0, cell_sides=[1, 2, 3]), ValueError, "2 for one image of shape"
     " \\(1, 5\\), 1 for a batch of 1"),
    (lambda: rof(np.ones(5), 1.0, cell_sides=[]), ValueError, "1 for one image of shape \\(5,\\)."),
    (lambda: rof(np.ones((1, 5)), 1.0, cell_sides=[-1]), ValueError, "one positive length"),
    (lambda: rof(np.full((1, 5), np.nan), 1.0, cell_sides=[1]), ValueError, "NaN"),
    (lambda: rof(np.full((1, 5), 1e200), 1.0, cell_sides=[1]), ValueError, "up to 1e\\+200, exp"),
    (lambda: rof(np.ones((1, 5)), 1.0, exponent=3), ValueError, "isotropic"),
    (lambda: rof(np.ones((1, 5)), 1.0, accuracy=0), ValueError, "accuracy"),
    (lambda: rof(odl.rn(4).one(), 1.0), TypeError, "uniform discretization"),
    (lambda: rof(torch.ones(1, 5, requires_grad=True), 1.0, cell_sides=[1]), TypeError, "detach"),
    (lambda: functionals.TotalVariation(odl.rn(4)), TypeError, "uniform discretization"),
    (lambda: functionals.TotalVariation(space_of((4, 4)), exponent=3), ValueError, "exponent"),
    (lambda: functionals.TotalVariation(space_of((4, 4))).proximal(-1), ValueError, "sigma"),
])  # fmt: skip
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call()
