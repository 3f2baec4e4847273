"""Total variation and its generalization with a parameter for every pixel, and their gaps."""

import numpy as np
import odl
import pytest
import torch

from odl_learned import solvers
from odl_learned.bridge import as_module
from odl_learned.operators import SymmetrizedGradient, gradient

SHAPE = (6, 5)
X = odl.uniform_discr([0, 0], SHAPE, SHAPE)
NU = 1e-3


def dense(op, shape):
    """An operator as a function of one tensor, by its matrix."""
    basis = torch.eye(int(np.prod(shape)), dtype=torch.float64).reshape(-1, *shape)
    matrix = as_module(op)(basis)
    return lambda u: torch.tensordot(u.flatten(), matrix, 1)


D = dense(gradient(X), SHAPE)
E = dense(SymmetrizedGradient(gradient(X).range), (2, *SHAPE))


def problem(size=3):
    rng = np.random.default_rng(0)
    y = rng.standard_normal((size, *SHAPE))
    return y, rng.uniform(0.05, 1.0, y.shape), rng.uniform(0.5, 3.0, y.shape)


def lengths(fields, smoothing):
    return (fields.square().sum(0) + smoothing**2).sqrt()


def minimum(y, alpha, beta=None, u=None):
    """The least value, with smoothed lengths, by L-BFGS, and where; u may be held.

    It is too large by at most NU times the sum of all parameters.
    """
    y, alpha = torch.as_tensor(y), torch.as_tensor(alpha)
    own = torch.as_tensor(y if u is None else u).clone().requires_grad_(u is None)
    v = torch.zeros(2, *SHAPE, dtype=torch.float64, requires_grad=beta is not None)
    free = [p for p in (own, v) if p.requires_grad]
    solver = torch.optim.LBFGS(
        free, max_iter=400, max_eval=600, tolerance_grad=1e-9, tolerance_change=1e-12,
        history_size=20, line_search_fn="strong_wolfe")

    def value():
        total = (own - y).square().sum() / 2 + (alpha * lengths(D(own) - v, NU)).sum()
        if beta is not None:
            # Entries off the diagonal of E stand twice in the norm of ODL's tensors.
            total = total + (alpha * torch.as_tensor(beta) * lengths(E(v), NU)).sum()
        return total

    def closure():
        solver.zero_grad()
        total = value()
        total.backward()
        return total

    solver.step(closure)
    return value().item(), own.detach().numpy()


def test_bounds_hold_and_those_of_other_weights_do_not():
    y, alpha, _ = problem(1)
    found = solvers.rof(y, alpha, accuracy=1e-7, cell_sides=(1, 1))
    least, x = minimum(y[0], alpha[0])
    slack = NU * alpha.sum()
    # Minimizers of smoothed and of exact energies differ by sqrt(2 NU sum alpha) at most.
    assert np.linalg.norm(found.x[0] - x) <= found.error_bound[0] + np.sqrt(2 * slack)
    value = minimum_at(found.x[0], y[0], alpha[0])
    assert least - slack - 1e-9 <= value <= least + found.gap[0] + 1e-9
    for other in (alpha.mean(), alpha[:, ::-1]):
        wrong = solvers.rof(y, other, accuracy=1e-7, cell_sides=(1, 1))
        assert minimum_at(wrong.x[0], y[0], alpha[0]) > least + 100 * wrong.gap[0]


def minimum_at(x, y, alpha):
    x = torch.as_tensor(x)
    return float((x - torch.as_tensor(y)).square().sum() / 2
                 + (torch.as_tensor(alpha) * lengths(D(x), 0.0)).sum())


def test_generalized_variation_with_two_maps():
    y, alpha, beta = problem(1)
    y, beta = 2 * np.abs(np.arange(6)[:, None] - 2.5) + 0.3 * y, beta * np.where(y > 0, 1.0, 0.1)
    found = solvers.tgv_denoising(y, alpha, beta, accuracy=1e-5, cell_sides=(1, 1))
    least, _ = minimum(y[0], alpha[0], beta[0])
    slack = NU * (alpha * (1 + beta)).sum()
    value, _ = minimum(y[0], alpha[0], beta[0], found.x[0])
    assert value <= least + found.gap[0] + slack
    for other in ((alpha, beta[:, ::-1]), (alpha[:, ::-1], beta), (alpha.mean(), beta)):
        wrong = solvers.tgv_denoising(y, *other, accuracy=1e-5, cell_sides=(1, 1))
        assert minimum(y[0], alpha[0], beta[0], wrong.x[0])[0] > least + wrong.gap[0] + 2 * slack


METHODS = {"rof": lambda y, a, b, **more: solvers.rof(y, a, **more),
           "tgv": lambda y, a, b, **more: solvers.tgv_denoising(y, a, b, **more)}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_maps_that_are_constant_are_numbers_and_samples_stay_apart(method):
    y, alpha, beta = problem()
    constant = method(y, np.full_like(y, 0.25), 2.0, cell_sides=(1, 1))
    np.testing.assert_array_equal(constant.x, method(y, 0.25, 2.0, cell_sides=(1, 1)).x)
    all_of_them = method(y, alpha, beta, cell_sides=(1, 1))
    assert (np.sqrt((all_of_them.dual**2).sum(1)) <= alpha * (1 + 1e-14)).all()
    for k in range(3):
        alone = method(y[k], alpha[k], beta[k], cell_sides=(1, 1))
        np.testing.assert_array_equal(alone.x, all_of_them.x[k])
        assert alone.gap == all_of_them.gap[k]
    tensors = method(torch.tensor(y), torch.tensor(alpha), torch.tensor(beta), cell_sides=(1, 1))
    np.testing.assert_array_equal(tensors.x, all_of_them.x)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_elements_and_units(method):
    y, alpha, beta = problem(1)
    half = odl.uniform_discr([0, 0], [n / 2 for n in SHAPE], SHAPE, dtype="complex128")
    z = y[0] + 1j * y[0, ::-1]
    found = method(half.element(z), X.element(alpha[0] / 2), beta[0] / 2)
    expected = method(z, alpha[0], beta[0], cell_sides=(1, 1))
    np.testing.assert_allclose(found.x.asarray(), expected.x, rtol=0, atol=1e-14)
    single = method(y.astype("float32"), alpha, beta, cell_sides=(1, 1))
    exact = method(y, alpha, beta, accuracy=1e-6, cell_sides=(1, 1))
    assert np.linalg.norm(single.x - exact.x) <= single.error_bound + exact.error_bound


def test_wrong_maps():
    y, alpha, beta = problem()
    with pytest.raises(ValueError, match="alpha is .*one per pixel, of shape"):
        solvers.rof(y, alpha[:, :3], cell_sides=(1, 1))
    with pytest.raises(ValueError, match="expected none below 1e-06 times the largest"):
        solvers.rof(y, alpha * np.where(alpha > 0.5, 1.0, 1e-6), cell_sides=(1, 1))
    with pytest.raises(ValueError, match="beta is .*expected a positive number or one per pixel"):
        solvers.tgv_denoising(y, alpha, -beta, cell_sides=(1, 1))
    with pytest.raises(TypeError, match="alpha is .*expected one real number"):
        solvers.rof(y, alpha + 1j, cell_sides=(1, 1))
