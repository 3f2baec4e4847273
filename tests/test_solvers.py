"""Solvers against dense solutions; certificates against true errors."""

import math

import numpy as np
import odl
import pytest

from odl_learned.functionals import SmoothedTV, l2_fidelity
from odl_learned.operators import SampledFourier, normalized, parallel_ray_transform, random_element
from odl_learned.solvers import DivergenceError, Solution, accelerated_gradient, landweber

# Landweber


def matrix_case(rng, dtype="float64"):
    A = odl.MatrixOperator(rng.standard_normal((8, 6)).astype(dtype))
    truth = random_element(A.domain, rng)
    noise = 0.05 * random_element(A.range, rng)
    return A, truth, A(truth) + noise, noise.norm()


def test_landweber_stops_at_the_first_iterate_below_the_noise(rng):
    A, _, data, noise_norm = matrix_case(rng)
    omega = 1 / np.linalg.norm(A.matrix, 2) ** 2
    iterates = []
    solution = landweber(
        A, data, A.domain.zero(), noise_norm, tau=1.5, omega=omega, callback=iterates.append
    )
    assert isinstance(solution, Solution)
    assert solution.reason == "discrepancy" and solution.error_bound is None
    assert solution.niter == len(iterates) > 5
    residuals = [(A(x) - data).norm() for x in iterates]
    assert residuals[-1] <= 1.5 * noise_norm < residuals[-2]
    assert solution.x is iterates[-1]
    expected = A.domain.zero()
    odl.solvers.landweber(A, expected, data, niter=solution.niter, omega=omega)
    assert (solution.x - expected).norm() < 1e-12


def test_landweber_default_step_and_start(rng):
    A, truth, data, noise_norm = matrix_case(rng)
    start = random_element(A.domain, rng)
    before = start.copy()
    solution = landweber(A, data, start, noise_norm, maxiter=10**5)
    assert solution.reason == "discrepancy" and (start - before).norm() == 0
    assert (solution.x - truth).norm() < (start - truth).norm()
    again = landweber(A, data, solution.x, noise_norm)
    assert again.niter == 0 and (again.x - solution.x).norm() == 0
    assert landweber(A, data, start, noise_norm, maxiter=3).reason == "maxiter"
    assert landweber(A, data, start, noise_norm, maxiter=3).niter == 3
    zero = landweber(A, A.range.zero(), A.domain.zero(), 1.0)
    assert zero.niter == 0


def test_landweber_in_weighted_complex_and_single_precision_spaces(rng):
    X = odl.uniform_discr([0, 0], [1, 1], (16, 16), dtype="complex64")
    C = 2 * SampledFourier(X, rng.random((16, 16)) < 0.6, odl.cn((16, 16), "complex64"))
    R = odl.uniform_discr([-1, -1], [1, 1], (16, 16), dtype="float32")
    for A in (C, parallel_ray_transform(R, 12), normalized(parallel_ray_transform(R, 12))):
        truth = random_element(A.domain, rng)
        noise = random_element(A.range, rng)
        noise *= float(0.1 * A(truth).norm() / noise.norm())
        data = A(truth) + noise
        solution = landweber(A, data, A.domain.zero(), noise.norm())
        assert solution.reason == "discrepancy"
        assert (A(solution.x) - data).norm() <= 1.1 * noise.norm() * (1 + 1e-6)


class Plain:
    """A number with the arithmetic that solvers ask for, and nothing else."""

    def __init__(self, value):
        self.value = value

    def __add__(self, other):
        return Plain(self.value + other.value)

    def __sub__(self, other):
        return Plain(self.value - other.value)

    def __rmul__(self, factor):
        return Plain(factor * self.value)

    def norm(self):
        return abs(self.value)


class Tripling:
    def __call__(self, x):
        return 3 * x

    adjoint = property(lambda self: self)


def test_landweber_needs_plain_arithmetic_only():
    solution = landweber(Tripling(), Plain(6.0), Plain(0.0), 1e-3, omega=0.1)
    assert solution.x.value == pytest.approx(2, abs=1e-3)
    assert landweber(Tripling(), Plain(6.0), Plain(0.0), 1e-3).niter == 1


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("factor", [2.2, 3.0, 1e3, 1e200])
def test_landweber_names_divergence_within_ten_iterations(factor, rng):
    A, _, data, noise_norm = matrix_case(rng)
    omega = factor / np.linalg.norm(A.matrix, 2) ** 2
    with pytest.raises(DivergenceError, match=r"omega.*2 / \|A\|\^2") as caught:
        landweber(A, data, A.domain.zero(), noise_norm, omega=omega)
    assert int(str(caught.value).split("iteration ")[1].split(".")[0]) <= 10


def test_landweber_names_a_wrong_adjoint(rng):
    class Wrong(odl.MatrixOperator):
        @property
        def adjoint(self):
            return -1 * super().adjoint

    A = Wrong(rng.standard_normal((8, 6)))
    with pytest.raises(DivergenceError, match="adjoint"):
        landweber(A, random_element(A.range, rng), A.domain.zero(), 1e-3)


@pytest.mark.parametrize("wrong", [0, -1.0, math.nan, math.inf])
def test_landweber_checks_numbers(wrong, rng):
    A, _, data, noise_norm = matrix_case(rng)
    zero = A.domain.zero()
    with pytest.raises(ValueError, match="noise_norm"):
        landweber(A, data, zero, wrong)
    with pytest.raises(ValueError, match="tau"):
        landweber(A, data, zero, noise_norm, tau=wrong)
    with pytest.raises(ValueError, match="omega"):
        landweber(A, data, zero, noise_norm, omega=wrong)


def test_landweber_checks_elements(rng):
    A, _, data, noise_norm = matrix_case(rng)
    with pytest.raises(TypeError, match="data is not an element of the range"):
        landweber(A, A.domain.zero(), A.domain.zero(), noise_norm)
    with pytest.raises(TypeError, match="x0 is not an element of the domain"):
        landweber(A, data, data, noise_norm)
    data.data[0] = math.nan
    with pytest.raises(ValueError, match="data contains NaN"):
        landweber(A, data, A.domain.zero(), noise_norm)
    with pytest.raises(ValueError, match="zero|positive"):
        landweber(odl.ZeroOperator(A.domain), A.domain.one(), A.domain.zero(), math.nan)


# Accelerated gradient descent


class Quadratic(odl.functionals.Functional):
    """1/2 <x, H x> - <b, x> with known extreme eigenvalues of H."""

    def __init__(self, hessian, b):
        super().__init__(b.space, linear=False, grad_lipschitz=np.linalg.eigvalsh(hessian)[-1])
        self.hessian, self.b = odl.MatrixOperator(hessian, b.space, b.space), b
        self.strong_convexity = float(np.linalg.eigvalsh(hessian)[0])

    def _call(self, x):
        return 0.5 * x.inner(self.hessian(x)) - self.b.inner(x)

    @property
    def gradient(self):
        return self.hessian - odl.ConstantOperator(self.b)


def random_quadratic(rng, condition, dtype="float64"):
    basis = np.linalg.qr(rng.standard_normal((12, 12)))[0]
    hessian = basis @ np.diag(np.geomspace(0.3, 0.3 * condition, 12)) @ basis.T
    space = odl.rn(12, dtype=dtype)
    f = Quadratic(hessian.astype(dtype), random_element(space, rng))
    return f, np.linalg.solve(hessian, f.b.data.astype(float))


@pytest.mark.parametrize("condition", [1.0, 30.0, 3000.0])
@pytest.mark.parametrize("accuracy", [1e-1, 1e-4, 1e-9])
def test_bound_holds_for_quadratics(condition, accuracy, rng):
    f, minimizer = random_quadratic(rng, condition)
    x0 = random_element(f.domain, rng)
    solution = accelerated_gradient(f, x0, accuracy, 10**5)
    error = np.linalg.norm(solution.x.data - minimizer)
    assert solution.reason == "accuracy"
    assert error <= solution.error_bound * (1 + 1e-9) + 1e-14 and solution.error_bound <= accuracy
    start = f.gradient(x0).norm() / f.strong_convexity
    rate = math.sqrt(condition) * (math.log(start / accuracy) + 2 * math.log(2 * condition) + 2)
    assert solution.niter <= max(rate, 2)


def test_bound_holds_when_iterations_run_out(rng):
    f, minimizer = random_quadratic(rng, 300.0)
    calls = []
    for maxiter in (0, 1, 7, 40):
        solution = accelerated_gradient(
            f, f.domain.zero(), 1e-12, maxiter, callback=lambda x: calls.append(x)
        )
        assert solution.reason == "maxiter" and solution.niter == maxiter
        assert np.linalg.norm(solution.x.data - minimizer) <= solution.error_bound
    assert len(calls) == 48


class Denoising(odl.functionals.Functional):
    """Half the squared distance to the data plus smoothed total variation."""

    def __init__(self, data, regularizer):
        self.sum = l2_fidelity(data) + regularizer
        super().__init__(data.space, grad_lipschitz=1 + regularizer.grad_lipschitz)
        self.strong_convexity = 1 + regularizer.strong_convexity

    def _call(self, x):
        return self.sum(x)

    @property
    def gradient(self):
        return self.sum.gradient


@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128"])
def test_bound_holds_for_smoothed_tv(dtype, rng):
    X = odl.uniform_discr([0, 0], [8, 6], (8, 6), dtype=dtype)
    data = random_element(X, rng)
    f = exact = Denoising(data, SmoothedTV(X, 0.3, 0.05, 0.01))
    if dtype == "float32":
        double = odl.uniform_discr([0, 0], [8, 6], (8, 6))
        same = double.element(data.data.astype(float))
        exact = Denoising(same, SmoothedTV(double, 0.3, 0.05, 0.01))
    reference = accelerated_gradient(exact, exact.domain.zero(), 1e-11, 10**4)
    assert reference.reason == "accuracy"
    for accuracy in (1.0, 1e-1, 1e-2, 1e-4):
        solution = accelerated_gradient(f, X.zero(), accuracy, 10**4)
        error = np.linalg.norm(solution.x.data - reference.x.data)
        assert solution.reason == "accuracy"
        assert error <= solution.error_bound + 1e-5 * (dtype == "float32")


def test_accelerated_gradient_keeps_the_start_and_needs_plain_arithmetic_only():
    class Parabola:
        grad_lipschitz = strong_convexity = 2.0

        def gradient(self, x):
            return 2 * (x - Plain(3.0))

    start = Plain(0.0)
    solution = accelerated_gradient(Parabola(), start, 1e-6, 10)
    assert solution.x.value == pytest.approx(3) and start.value == 0 and solution.niter == 1


@pytest.mark.parametrize("factor", [0.3, 1e-3])
def test_too_small_lipschitz_is_detected(factor, rng):
    f, _ = random_quadratic(rng, 30.0)
    with pytest.raises(DivergenceError, match="larger lipschitz"):
        accelerated_gradient(
            f,
            random_element(f.domain, rng),
            1e-9,
            1000,
            lipschitz=max(factor * f.grad_lipschitz, f.strong_convexity),
        )


def test_slightly_small_lipschitz_leaves_the_bound_valid(rng):
    f, minimizer = random_quadratic(rng, 30.0)
    solution = accelerated_gradient(
        f, f.domain.zero(), 1e-6, 1000, lipschitz=0.9 * f.grad_lipschitz
    )
    assert np.linalg.norm(solution.x.data - minimizer) <= solution.error_bound <= 1e-6


def test_too_large_strong_convexity_is_detected(rng):
    f, _ = random_quadratic(rng, 30.0)
    with pytest.raises(DivergenceError, match="strong_convexity"):
        accelerated_gradient(f, f.domain.zero(), 1e-9, 1000, strong_convexity=f.grad_lipschitz / 2)


def test_values_that_are_not_finite_are_named():
    class Broken:
        grad_lipschitz, strong_convexity = 1.0, 1.0

        def gradient(self, x):
            return math.nan * x

    with pytest.raises(DivergenceError, match="not finite at iteration 0"):
        accelerated_gradient(Broken(), Plain(1.0), 1e-3, 10)


def test_accelerated_gradient_errors(rng):
    f, _ = random_quadratic(rng, 3.0)
    zero = f.domain.zero()
    unknown = odl.functionals.L2NormSquared(f.domain)
    with pytest.raises(ValueError, match="strong_convexity of the functional"):
        accelerated_gradient(unknown, zero, 1e-3, 10)
    with pytest.raises(ValueError, match="lipschitz of the functional is nan"):
        accelerated_gradient(odl.functionals.L1Norm(f.domain), zero, 1e-3, 10, strong_convexity=1)
    assert accelerated_gradient(unknown, zero, 1e-3, 10, strong_convexity=2.0).niter == 0
    for wrong in (0, -1.0, math.nan):
        with pytest.raises(ValueError, match="accuracy"):
            accelerated_gradient(f, zero, wrong, 10)
        with pytest.raises(ValueError, match="lipschitz"):
            accelerated_gradient(f, zero, 1e-3, 10, lipschitz=wrong)
    with pytest.raises(ValueError, match="at most"):
        accelerated_gradient(f, zero, 1e-3, 10, lipschitz=0.1)
    with pytest.raises(TypeError, match="x0"):
        accelerated_gradient(f, odl.rn(3).zero(), 1e-3, 10)
    with pytest.raises(ValueError, match="NaN"):
        accelerated_gradient(f, f.domain.element(np.full(12, np.nan)), 1e-3, 10)
