"""Constants of energies are believed as long as nothing refutes them, and true ones always are."""

import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from bilevel_energies import ENERGIES, build, formula

from odl_learned.energies import AutogradEnergy, ParametricEnergy
from odl_learned.energies.energy import Linearization
from odl_learned.learning.bilevel import BilevelProblem, SquaredError
from odl_learned.learning.bilevel.claims import Claims
from odl_learned.learning.bilevel.first_order import lbfgsb
from odl_learned.learning.bilevel.hypergradients import (
    Direct,
    Implicit,
    JacobianFree,
    Piggyback,
    Unrolled,
)
from odl_learned.learning.bilevel.lower import (
    Accelerated,
    FixedIterations,
    GradientDescent,
    LowerLevel,
    Newton,
    Restarted,
)
from odl_learned.solvers import Solution
from odl_learned.solvers.solution import DivergenceError

F64 = torch.float64
ZERO = torch.zeros(1, dtype=F64)
SOLVERS = [Newton(), Accelerated(), Restarted(), GradientDescent(1000), FixedIterations(5)]
MODES = [Implicit(), Direct(), JacobianFree(), Unrolled(20), Piggyback(50)]


def quadratic(size=30, condition=100.0, seed=0, pairs=2, dtype=F64):
    """``exp(theta) <x, H x> / 2 - <x, y>``; the extreme eigenvalues of ``H``, and data."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(size, size, dtype=dtype, generator=generator))[0]
    values = torch.logspace(0, math.log10(condition), size, dtype=F64)
    H = (basis * values) @ basis.mH
    H = (H + H.mH) / 2
    data = torch.randn(pairs, size, dtype=dtype, generator=generator)

    def function(x, params, y):
        quadratic = ((x @ H.T).conj() * x).real.sum(1)
        return params[0].exp() * quadratic / 2 - (x.conj() * y).real.sum(1)

    spectrum = torch.linalg.eigvalsh(H)
    return function, float(spectrum[0]), float(spectrum[-1]), data


def claiming(function, mu, L, data, **options):
    energy = AutogradEnergy(function, lambda p: L * math.exp(p[0]), lambda p: mu * math.exp(p[0]),
                            **options)
    return BilevelProblem(energy, data, SquaredError(torch.ones_like(data)),
                          torch.zeros_like(data))


def require_no_certificate(compute, warned=True):
    """Bounds are infinite with a warning that names `check_energy`, or the solver fails."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            bounds = compute()
        except DivergenceError as error:
            assert "check_energy" in str(error)
            return
    assert np.isinf(bounds).all()
    assert any("check_energy" in str(warning.message) for warning in caught) == warned


def true_problems(seeds):
    """Quadratics with sharp constants, and every closed form written for autograd."""
    shapes = itertools.product((1, 2, 7, 40), (1.0, 30.0, 1e4, 1e8), (F64, torch.complex128))
    for seed, (size, condition, dtype) in enumerate(shapes):
        function, mu, L, data = quadratic(size, condition, seed, dtype=dtype)
        if size == 1:
            mu = L = 1.0
        yield claiming(function, mu, L, data), ZERO + 0.3
    for seed, name in itertools.product(seeds, ENERGIES):
        closed, x, params, data = build(name, seed)
        energy = AutogradEnergy(formula(name)._function, closed.lipschitz, closed.strong_convexity,
                                curvature_constants=closed.curvature_constants)
        yield BilevelProblem(energy, data, SquaredError(x), torch.zeros_like(x)), params
        if name.startswith("images"):
            energy = AutogradEnergy(formula(name)._function, closed.lipschitz,
                                    closed.strong_convexity)
            single = data.to(torch.float32), x.to(torch.float32)
            yield BilevelProblem(energy, single[0], SquaredError(single[1]), single[1]), params


@pytest.mark.parametrize("seeds", [
    range(1), pytest.param(range(1, 14), marks=pytest.mark.slow)], ids=["few", "many"])
def test_true_energies_are_not_refuted(seeds):
    """Sharp constants, conditions up to 1e8, single precision: nothing but rounding errors."""
    problems = list(true_problems(seeds))
    modes = itertools.cycle([Implicit(), JacobianFree(), Unrolled(7), Piggyback(11)])
    solvers = itertools.cycle([Newton(), Restarted(100), Accelerated(100), FixedIterations(20)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for (problem, params), mode, solver in zip(problems, modes, solvers):
            lower = LowerLevel(problem, solver)
            solution = lower.solve(params, 1e-3)
            assert np.isfinite(solution.error_bound).all() and not lower.refuted
            mode(lower, params, 1e-3, 1e-3)
            assert not lower.refuted


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: type(solver).__name__)
@pytest.mark.parametrize("factor", [1.5, 10.0, 1e3])
@pytest.mark.parametrize("condition", [2e3, 2e4])
def test_a_strong_convexity_that_is_too_large_is_refuted(solver, factor, condition):
    function, mu, L, data = quadratic(30, condition)
    problem = claiming(function, factor * mu, L, data)
    require_no_certificate(lambda: LowerLevel(problem, solver).solve(ZERO, 1e-3).error_bound)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: type(solver).__name__)
def test_a_lipschitz_constant_that_is_too_small_is_refuted(solver):
    function, mu, L, data = quadratic(30, 100.0)
    for factor in (1.5, 10.0, 80.0):
        lower = LowerLevel(claiming(function, mu, L / factor, data), solver)
        require_no_certificate(lambda lower=lower: lower.solve(ZERO, 1e-3).error_bound)


@pytest.mark.parametrize("start", ["zero", "solution", "high mode"])
def test_the_start_does_not_hide_a_wrong_constant(start):
    """Also where the data show nothing of the eigenvectors that refute it."""
    size = 50
    values = torch.full((size,), 10.0, dtype=F64)
    values[0] = 0.1
    data = torch.zeros(2, size, dtype=F64)
    data[:, 1 if start == "high mode" else 0] = 1.0

    def function(x, params, y):
        return params[0].exp() * (values * x * x).sum(1) / 2 - (x * y).sum(1)

    problem = claiming(function, 1.0, 10.0, data)
    x0 = data / values if start == "solution" else problem.x0
    for solver in (Newton(), Accelerated()):
        require_no_certificate(
            lambda s=solver: LowerLevel(problem, s).solve(ZERO, 1e-3, x0).error_bound)


def test_a_wrong_constant_of_one_sample_is_refuted():
    data = torch.ones(6, 20, dtype=F64)
    data[4, 3] = 1e-3

    def function(x, params, y):
        return (y * x * x).sum(1) / 2 - x.sum(1) + 0 * params.sum()

    problem = claiming(function, 0.5, 1.0, data)
    require_no_certificate(lambda: LowerLevel(problem).solve(ZERO, 1e-6).error_bound)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: type(mode).__name__)
def test_hypergradients_have_no_bounds_then(mode):
    """Nor later with the same parameters, from the best of starts."""
    for factor in (1.5, 10.0):
        function, mu, L, data = quadratic(30, 100.0)
        lower = LowerLevel(claiming(function, factor * mu, L, data), Restarted())

        def bounds():
            found = mode(lower, ZERO, 1e-6, 1e-6)
            return [found.value_bound, found.gradient_bound, found.corrected_value_bound]

        require_no_certificate(bounds)
        require_no_certificate(bounds, warned=isinstance(mode, Implicit | Direct | JacobianFree))


class Doubtful(ParametricEnergy):
    """``|x - y|^2 / 2 - exp(theta) cos(x)``, convex by 1/2 for ``exp(theta) <= 1/2`` only."""

    def value(self, x, params, data):
        return ((x - data).square() / 2 - params[0].exp() * x.cos()).sum(1)

    def gradient(self, x, params, data):
        return x - data + params[0].exp() * x.sin()

    def linearize(self, x, params, data):
        weight = params[0].exp()
        return Linearization(
            self.gradient(x, params, data), lambda v: v + weight * x.cos() * v,
            lambda q: (weight * x.sin() * q).sum()[None], lambda v: v)

    def lipschitz(self, params):
        return 1 + float(params[0].exp())

    def strong_convexity(self, params):
        return 0.5


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: type(solver).__name__)
def test_energies_of_users_are_believed_where_they_are_right(solver):
    """Without regard to how convex they are elsewhere: parameters are refuted one by one."""
    data = torch.full((3, 8), 3.0, dtype=F64)
    problem = BilevelProblem(Doubtful(), data, SquaredError(data), data)
    lower = LowerLevel(problem, solver)
    small, large = ZERO + math.log(0.5), ZERO + math.log(0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(lower.solve(small, 1e-3).error_bound).all()
    require_no_certificate(lambda: lower.solve(large, 1e-3).error_bound)
    assert np.isfinite(lower.solve(small, 1e-3).error_bound).all()


def softened(constants):
    """``|x - y|^2 / 2 + exp(theta) sqrt(x^2 + nu^2)`` with these ``(LA, LB, B)``."""
    nu = 0.1
    data = torch.randn(1, 12, dtype=F64, generator=torch.Generator().manual_seed(0))

    def function(x, params, y):
        smooth = (x.square() + nu**2).sqrt()
        return ((x - y).square() / 2 + params[0].exp() * smooth).sum(1)

    energy = AutogradEnergy(function, lambda p: 1 + p[0].exp() / nu, lambda p: 1.0,
                            curvature_constants=constants)
    return LowerLevel(BilevelProblem(energy, data, SquaredError(data), data))


# Derivatives of phi are at most 1, 1 / nu and 48 / (25 sqrt 5 nu^2), in 12 entries.
TRUE = {"LA": 48 / (25 * math.sqrt(5)) * 100, "LB": 10.0, "B": math.sqrt(12)}


@pytest.mark.parametrize("name", ["none", *TRUE])
def test_constants_of_hypergradient_bounds_are_tried(name):
    """Values keep the bounds that need none of them."""
    constants = {**TRUE, name: TRUE.get(name, 0.0) / 10}
    lower = softened(lambda p: (constants["LA"], constants["LB"], constants["B"]))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = Implicit()(lower, ZERO, 1e-4, 1e-4)
    exact = Direct()(softened(lambda p: tuple(TRUE.values())), ZERO, 1e-9, 1e-9)
    assert abs(found.value - exact.value) <= found.value_bound < 1e-2
    if name == "none":
        assert not caught and float((found.gradient - exact.gradient).norm()) <= (
            found.gradient_bound) < 1e-1  # fmt: skip
    else:
        assert found.gradient_bound == math.inf
        assert f"{name} of AutogradEnergy is" in str(caught[0].message)


class Loss:
    """The squared error with claims of its own."""

    def __init__(self, truth, lipschitz=2.0, bound=1.0):
        self._exact, self.lipschitz, self._bound = SquaredError(truth), lipschitz, bound
        self.value, self.gradient = self._exact.value, self._exact.gradient

    def value_bound(self, x, error_bound):
        return self._bound * self._exact.value_bound(x, error_bound)

    def take(self, index):
        return self


@pytest.mark.parametrize(("claims", "trusted"), [
    ((), True), ((0.2,), False), ((2.0, 0.1), False)])
def test_constants_of_losses_are_tried(claims, trusted):
    function, mu, L, data = quadratic(12, 10.0)
    problem = claiming(function, mu, L, data, curvature_constants=lambda p: (0.0, L, 1e3))
    lower = LowerLevel(BilevelProblem(problem.energy, data, Loss(data, *claims), data))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = Implicit()(lower, ZERO, 1e-4, 1e-4)
    assert len(caught) == (not trusted)
    assert math.isfinite(found.value_bound) == math.isfinite(found.gradient_bound) == trusted


def test_bounds_of_other_solvers_are_not_believed():
    """The gradient where they end says how far that is."""
    function, mu, L, data = quadratic(12, 10.0)
    problem = claiming(function, mu, L, data)

    def idle(f, x0, accuracy):
        return Solution(x0, np.zeros(len(x0)), np.zeros(len(x0), dtype=int), "accuracy")

    exact = LowerLevel(problem).solve(ZERO, 1e-9).x
    for solver in (idle, FixedIterations(3, lambda f, x0, accuracy, niter: idle(f, x0, accuracy))):
        found = LowerLevel(problem, solver).solve(ZERO, 1e-3)
        distance = (found.x - exact).norm(dim=1).numpy()
        assert (found.error_bound >= distance - 1e-9).all()
        assert (found.error_bound <= 11 * distance).all()
        assert set(found.reason) == {"rounding"}


def test_learning_says_why_there_are_no_bounds():
    function, mu, L, data = quadratic(30, 100.0)
    problem = claiming(function, 1.5 * mu, L, data)
    with (pytest.warns(RuntimeWarning, match="check_energy"),
          pytest.raises(ValueError, match="no bound of the upper-level.*refuted")):  # fmt: skip
        lbfgsb(problem, ZERO, Implicit(), FixedIterations(3))


def test_noise_of_gradients_refutes_nothing():
    """An operator that computes in single precision behind tensors of double precision."""
    matrix = torch.randn(200, 200, generator=torch.Generator().manual_seed(0))
    exact = torch.linalg.eigvalsh(matrix.double().T @ matrix.double())
    mu = 1e-3

    class Single(Doubtful):
        def value(self, x, params, data):
            return 0.5 * ((x.float() @ matrix.T).double().square() + mu * x.square()).sum(1)

        def gradient(self, x, params, data):
            return (x.float() @ matrix.T @ matrix).double() + mu * x - data

        def linearize(self, x, params, data):
            def hessian(v):
                return (v.float() @ matrix.T @ matrix).double() + mu * v

            return Linearization(self.gradient(x, params, data), hessian,
                                 lambda q: torch.zeros_like(params), lambda v: v)

        def lipschitz(self, params):
            return float(exact[-1]) + mu

        def strong_convexity(self, params):
            return float(exact[0]) + mu

    data = torch.ones(2, 200, dtype=F64)
    f = LowerLevel(BilevelProblem(Single(), data, SquaredError(data), data)).fixed(ZERO)
    _, vectors = torch.linalg.eigh(matrix.double().T @ matrix.double())
    hessian = f.linearize(data).hessian
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for v in vectors.T[:20, None]:
            f.claims.products(hessian, v, hessian(v))
            for length in (1e-9, 1e-7, 1e-5, 1e-3):
                for z in (data, data + length * v):
                    f.gradient(z)
                    f._count = 0
            assert f.claims.stands("constants")


def test_one_pair_is_enough():
    """The numbers of the module's docstring, for a matrix with the eigenvalues 1 and 4."""
    values = torch.tensor([1.0, 4.0], dtype=F64)
    first, last = torch.eye(2, dtype=F64)[:1], torch.eye(2, dtype=F64)[1:]
    for mu, L, v, refuted in (
        (1.0, 4.0, first, False), (1.0, 4.0, last, False),
        (1.0 + 1e-5, 4.0, first, True), (1.0, 4.0 - 1e-4, last, True),
    ):  # fmt: skip
        claims = Claims(object(), ZERO, L, mu, [])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            claims.products(lambda w: values * w, v, values * v)
        assert claims.stands("constants") != refuted
        assert claims.stands("loss", "curvature")
