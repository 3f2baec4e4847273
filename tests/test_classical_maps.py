"""Classical reconstructions as maps: against the solvers, dense matrices, and their derivatives."""

import warnings

import numpy as np
import odl
import pytest
import torch
from instances.spaces import XC, many_weights, mask
from test_unrolled import PROBLEMS, step_size, tensor

from odl_learned import data, operators, reconstruction, solvers
from odl_learned.bridge import as_module, as_operator
from odl_learned.bridge.layouts.layout import layout_of


def maps(A):
    return as_module(A), as_module(A.adjoint)


def axes(A):
    return layout_of(A.domain).ndim


def random(layout, size=3, seed=0):
    source = torch.Generator().manual_seed(seed)
    return torch.randn(size, *layout.shape, dtype=layout.dtype, generator=source)


def weighted_problem(rng):
    """An operator between spaces with an array of weights on both sides."""
    A = odl.MatrixOperator(rng.standard_normal((5, 5)), domain=many_weights(), axis=0,
                           range=many_weights())  # fmt: skip
    return A, A.range.element(rng.standard_normal((5, 7)))


def coils():
    return operators.MultiCoilFourier(XC, mask(XC.shape), data.simulated_sensitivities(XC, 3))


@pytest.mark.parametrize("problem", [*PROBLEMS, weighted_problem])
def test_tikhonov_solves_its_equation(problem, rng):
    A, y = problem(rng)
    model = reconstruction.Tikhonov(*maps(A), 0.3, dimension=axes(A), accuracy=1e-12)
    x = A.domain.element(model(tensor(y)).numpy())
    expected = solvers.conjugate_gradient(
        A.adjoint @ A + 0.3 * odl.IdentityOperator(A.domain), A.adjoint(y), A.domain.zero(),
        1e-11, 1000, lower_bound=0.3).x
    assert (x - expected).norm() <= 2e-11 + 1e-11 * x.norm() and x.norm() > 0.01


@pytest.mark.parametrize("problem", [*PROBLEMS, weighted_problem])
def test_tikhonov_is_a_linear_operator_with_an_adjoint(problem, rng):
    A, y = problem(rng)
    model = reconstruction.Tikhonov(*maps(A), 0.3, dimension=axes(A), accuracy=1e-12)
    R = as_operator(model, A.range, A.domain)
    z = operators.random_element(A.domain, rng)
    assert R.is_linear
    assert R(y).inner(z) == pytest.approx(y.inner(R.adjoint(z)), rel=1e-9)
    assert (R.derivative(y)(y) - R(y)).norm() <= 1e-10 * R(y).norm()


@pytest.mark.parametrize("weights", [True, False])
def test_tikhonov_has_derivatives_of_every_order_in_data_and_alpha(rng, weights):
    A, y = weighted_problem(rng) if weights else PROBLEMS[3](rng)
    alpha = reconstruction.LearnedStepSize(0.3).double()
    model = reconstruction.Tikhonov(*maps(A), alpha, dimension=2, accuracy=1e-13)
    names = [name for name, _ in model.named_parameters()]

    def reconstruct(y, log_alpha):
        return torch.func.functional_call(model, dict(zip(names, [log_alpha])), (y,))

    point = tensor(y).requires_grad_(), alpha.log_step_size.detach().requires_grad_()
    assert torch.autograd.gradcheck(reconstruct, point, check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(reconstruct, point, fast_mode=True)


def test_tikhonov_certifies_every_sample_by_itself(rng):
    A, _ = PROBLEMS[0](rng)
    y = random(layout_of(A.range)) * torch.tensor([[1.0], [1e-3], [0.0]]).double()
    for accuracy in (1e-2, 1e-10):
        model = reconstruction.Tikhonov(*maps(A), 0.3, dimension=1, accuracy=accuracy)
        solution = model.solve(y)
        exact = torch.linalg.solve(
            torch.from_numpy(A.matrix.T @ A.matrix) + 0.3 * torch.eye(5, dtype=y.dtype),
            y @ torch.from_numpy(A.matrix), left=False)  # fmt: skip
        errors = torch.linalg.vector_norm(solution.x - exact, dim=1).numpy()
        assert np.all(errors <= solution.error_bound + 1e-14)
        sizes = torch.linalg.vector_norm(y @ torch.from_numpy(A.matrix), dim=1).numpy()
        assert np.all(solution.error_bound <= accuracy * sizes / 0.3 + 1e-300)
        assert (solution.reason == "accuracy").all()


def test_tikhonov_warns_where_iterations_run_out_and_refuses_what_it_cannot_do(rng):
    A, y = PROBLEMS[0](rng)
    model = reconstruction.Tikhonov(*maps(A), 1e-6, dimension=1, accuracy=1e-12, maxiter=1)
    with pytest.warns(RuntimeWarning, match="did not reach the relative residual"):
        model(tensor(y))
    with pytest.raises(ValueError, match="forward has parameters that are learned"):
        reconstruction.Tikhonov(torch.nn.Linear(5, 7), as_module(A.adjoint), 0.1, dimension=1)
    with pytest.raises(ValueError, match="alpha is 0"):
        reconstruction.Tikhonov(*maps(A), 0, dimension=1)
    with pytest.raises(ValueError, match="dimension is 2, expected 1"):
        reconstruction.Tikhonov(*maps(A), 0.1, dimension=2)
    with pytest.raises(ValueError, match="expected one batch axis"):
        model.solve(tensor(y))
    wrong = reconstruction.Tikhonov(as_module(A), lambda y: y[..., :5], 0.1, dimension=1)
    with pytest.raises(solvers.DivergenceError):
        wrong(tensor(y))


@pytest.mark.parametrize("fused", [True, False])
def test_least_squares_takes_the_steps_of_conjugate_gradients(rng, fused):
    A = coils()
    normal = as_module(A.adjoint @ A) if fused else None
    y = operators.random_element(A.range, rng)
    for steps in (1, 4):
        model = reconstruction.LeastSquares(*maps(A), steps, dimension=2, normal=normal)
        expected = solvers.conjugate_gradient(A.adjoint @ A, A.adjoint(y), A.domain.zero(), 1e-12,
                                              steps).x  # fmt: skip
        found = model(tensor(y)).numpy()
        np.testing.assert_allclose(found, expected.asarray(), atol=1e-12)


def test_least_squares_stays_where_it_has_arrived_and_has_derivatives(rng):
    A, y = PROBLEMS[0](rng)
    model = reconstruction.LeastSquares(*maps(A), 30, dimension=1)
    both = torch.stack([tensor(y), torch.zeros(7, dtype=torch.float64)])
    exact = np.linalg.lstsq(A.matrix, y.asarray(), rcond=None)[0]
    np.testing.assert_allclose(model(both)[0], exact, atol=1e-12)
    assert torch.equal(model(both)[1], torch.zeros(5, dtype=torch.float64))
    model = reconstruction.LeastSquares(*maps(A), 3, dimension=1)
    point = random(layout_of(A.range)).requires_grad_()
    assert torch.autograd.gradcheck(model, point, check_forward_ad=True, fast_mode=True)


@pytest.mark.parametrize("problem", [*PROBLEMS, weighted_problem])
def test_landweber_takes_the_steps_of_odl_and_is_linear(problem, rng):
    A, y = problem(rng)
    tau = step_size(A)
    R = as_operator(reconstruction.Landweber(*maps(A), tau, 7), A.range, A.domain)
    x = A.domain.zero()
    odl.solvers.landweber(A, x, y, niter=7, omega=tau)
    assert (R(y) - x).norm() <= 1e-12 * x.norm()
    z = operators.random_element(A.domain, rng)
    assert R(y).inner(z) == pytest.approx(y.inner(R.adjoint(z)), rel=1e-10)
    start = reconstruction.Landweber(*maps(A), tau, 3, initial=reconstruction.Landweber(
        *maps(A), tau, 4))
    np.testing.assert_allclose(start(tensor(y)).numpy(), R(y).asarray(), atol=1e-12)


def test_no_samples_and_batch_axes():
    A = coils()
    for model in (reconstruction.Tikhonov(*maps(A), 0.1, dimension=2, accuracy=1e-12),
                  reconstruction.LeastSquares(*maps(A), 2, dimension=2),
                  reconstruction.Landweber(*maps(A), 0.5, 2),
                  reconstruction.LearnedLandweber(*maps(A), 0.5, 1.0, dimension=2)):  # fmt: skip
        y = random(layout_of(A.range), 4)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            whole = model(y)
            parts = model(y.reshape(2, 2, *y.shape[1:]))
        np.testing.assert_allclose(parts.reshape(whole.shape), whole, atol=1e-12)
        assert model(y[:0]).shape == (0, *XC.shape)
