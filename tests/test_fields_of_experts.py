"""Filter banks and fields of experts: scipy's correlation, total variation, dense Hessians."""

import numpy as np
import odl
import pytest
import scipy.ndimage
import torch

from odl_learned import functionals, operators
from odl_learned.bridge import as_gradient_module, as_module
from odl_learned.bridge.rules.filter_bank import Responses, SummedResponses
from odl_learned.conformance.sampling import dense_matrix

X = odl.uniform_discr([0, 0], [1, 2], (5, 7))
XC = odl.uniform_discr([0, 0], [1, 2], (5, 7), dtype="complex128")
PIXELS = odl.uniform_discr([0, 0], [5, 7], (5, 7))
DIFFERENCES = np.zeros((2, 3, 3))
DIFFERENCES[0, 1:, 1] = DIFFERENCES[1, 1, 1:] = -1, 1


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (5, 1), (2, 2), (4, 3), (5, 7)])
@pytest.mark.parametrize("space", [X, XC], ids=["real", "complex"])
def test_responses_are_those_of_scipy(space, shape, rng):
    filters = rng.standard_normal((3, *shape))
    u = operators.random_element(space, rng)
    responses = operators.FilterBank(space, filters)(u)
    module = as_module(operators.FilterBank(space, filters))
    assert isinstance(module.native, Responses)
    tensor = module(torch.from_numpy(u.data))
    for f, response, image in zip(filters, responses, tensor):
        expected = scipy.ndimage.correlate(u.data, f, mode="reflect")
        np.testing.assert_allclose(response.data, expected, atol=1e-13)
        np.testing.assert_allclose(image, expected, atol=1e-13)


def test_differences_are_the_gradient(rng):
    u = operators.random_element(PIXELS, rng)
    expected = operators.gradient(PIXELS)(u)
    got = operators.FilterBank(PIXELS, DIFFERENCES)(u)
    for one, other in zip(got, expected):
        np.testing.assert_allclose(one.data, other.data, atol=1e-14)
    divergence = operators.FilterBank(PIXELS, DIFFERENCES).adjoint(got)
    np.testing.assert_allclose(
        divergence.data, operators.gradient(PIXELS).adjoint(expected).data, atol=1e-13)


def test_the_adjoint_is_native(rng):
    bank = operators.FilterBank(XC, rng.standard_normal((4, 3, 4)))
    module = as_module(bank.adjoint)
    assert isinstance(module.native, SummedResponses)
    v = operators.random_element(bank.range, rng)
    tensor = torch.stack([torch.from_numpy(part.data) for part in v])
    np.testing.assert_allclose(module(tensor), bank.adjoint(v).data, atol=1e-13)


def test_more_than_three_axes_go_through_odl(rng):
    bank = operators.FilterBank(odl.rn((2, 3, 2, 2)), rng.standard_normal((2, 1, 2, 2, 1)))
    u = operators.random_element(bank.domain, rng)
    expected = [scipy.ndimage.correlate(u.data, f, mode="reflect") for f in bank.filters]
    x = torch.from_numpy(u.data).requires_grad_()
    y = as_module(bank)(x)
    np.testing.assert_allclose(y.detach(), expected, atol=1e-13)
    v = operators.random_element(bank.range, rng)
    tensor = torch.stack([torch.from_numpy(part.data) for part in v])
    np.testing.assert_allclose(torch.autograd.grad(y, x, tensor)[0], bank.adjoint(v).data,
                               atol=1e-13)


def test_one_expert_of_pixels_is_the_smoothed_length(rng):
    u = operators.random_element(XC, rng)
    R = functionals.FieldsOfExperts(XC, np.ones((1, 1, 1)), [0.7], 0.1)
    expected = 0.7 * functionals.SmoothedGroupL1(XC**1, 0.1)
    lifted = (XC**1).element([u])
    assert R(u) == pytest.approx(expected(lifted), rel=1e-13)
    np.testing.assert_allclose(
        R.gradient(u).data, expected.gradient(lifted)[0].data, atol=1e-14)
    assert R.grad_lipschitz == pytest.approx(7, rel=1e-3)


def test_value_by_scipy(rng):
    u, filters = operators.random_element(X, rng), rng.standard_normal((3, 3, 2))
    alphas, nu = [0.5, 0, 2.0], 0.3
    expected = X.cell_volume * sum(
        alpha * np.sqrt(scipy.ndimage.correlate(u.data, f, mode="reflect") ** 2 + nu**2).sum()
        for alpha, f in zip(alphas, filters))
    R = functionals.FieldsOfExperts(X, filters, alphas, nu)
    assert R(u) == pytest.approx(expected, rel=1e-13)


def test_lipschitz_constant_is_the_hessian_at_zero(rng):
    filters, alphas = rng.standard_normal((3, 3, 2)), np.array([0.5, 0.1, 2.0])
    R = functionals.FieldsOfExperts(X, filters, alphas, 0.2)
    stacked = dense_matrix(operators.FilterBank(X, filters)).reshape(3, 35, 35)
    hessian = sum(a * F.T @ F for a, F in zip(alphas, stacked)) / 0.2
    largest = np.linalg.eigvalsh(hessian)[-1]
    assert largest * (1 - 1e-6) <= R.grad_lipschitz <= 1.01 * largest
    by_torch = torch.autograd.functional.hessian(
        as_module(R), torch.zeros(5, 7, dtype=torch.float64)).reshape(35, 35)
    np.testing.assert_allclose(by_torch, X.cell_volume * hessian, atol=1e-12)


def test_gradient_module_is_the_gradient(rng):
    R = functionals.FieldsOfExperts(XC, rng.standard_normal((3, 3, 2)), [0.5, 0.1, 2], 0.2)
    u = operators.random_element(XC, rng)
    got = as_gradient_module(R)(torch.from_numpy(u.data))
    np.testing.assert_allclose(got, R.gradient(u).data, atol=1e-12)


def test_gradient_descent_reaches_a_stationary_point(rng):
    y = operators.random_element(X, rng)
    energy = functionals.FieldsOfExperts(X, DIFFERENCES, [0.5, 0.3], 0.1)
    step = 1 / (1 + energy.grad_lipschitz)
    u = y.copy()
    for _ in range(1500):
        u -= step * (u - y + energy.gradient(u))
    assert (u - y + energy.gradient(u)).norm() <= 1e-9 * y.norm()
    assert u.data.sum() == pytest.approx(y.data.sum(), rel=1e-9)


def test_pdhg_with_the_nonsmooth_field_is_total_variation():
    """A step of height h, denoised: both sides move towards each other by ``alpha / n``."""
    line = odl.rn(8)
    y = line.element([0, 0, 0, 0, 0, 1, 1, 1.0])
    alpha = 0.3
    bank = operators.FilterBank(line, alpha * np.array([[0, -1.0, 1.0]]))
    field = odl.functionals.GroupL1Norm(bank.range, exponent=1)
    u, norm = line.zero(), operators.operator_norm(bank)
    odl.solvers.pdhg(u, functionals.l2_fidelity(y), field, bank, niter=4000, tau=1 / norm,
                     sigma=0.99 / norm)
    expected = [alpha / 5] * 5 + [1 - alpha / 3] * 3
    np.testing.assert_allclose(u.data, expected, atol=1e-6)


@pytest.mark.parametrize(("build", "error", "message"), [
    (lambda: operators.FilterBank(X, np.ones((3, 3))), ValueError,
     r"filters have shape \(3, 3\), expected \(K, s_1, ..., s_2\)"),
    (lambda: operators.FilterBank(X, np.ones((1, 6, 3))), ValueError, "no longer than the image"),
    (lambda: operators.FilterBank(X, np.ones((0, 3, 3))), ValueError, "K >= 1"),
    (lambda: operators.FilterBank(X, 1j * np.ones((1, 3, 3))), TypeError, "filters is complex"),
    (lambda: operators.FilterBank(X, np.full((1, 3, 3), np.inf)), ValueError, "filters contains 9"),
    (lambda: operators.FilterBank(X**2, np.ones((1, 3, 3))), TypeError, "space of arrays"),
    (lambda: functionals.FieldsOfExperts(X, DIFFERENCES, [1.0], 0.1), ValueError,
     r"alphas has shape \(1,\), expected \(2,\)"),
    (lambda: functionals.FieldsOfExperts(X, DIFFERENCES, [1.0, -2.0], 0.1), ValueError,
     "negative value -2.0"),
    (lambda: functionals.FieldsOfExperts(X, DIFFERENCES, [1.0, 2.0], 0), ValueError, "nu is 0"),
])
def test_errors(build, error, message):
    with pytest.raises(error, match=message):
        build()
