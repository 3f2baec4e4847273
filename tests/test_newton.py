"""Newton-Krylov against dense solutions and slow descents; preconditioners against operators."""

import math

import numpy as np
import odl
import pytest
import torch
from quadratics import Energies, Linearization, random_hessians
from rounding import assert_rounded

from odl_learned.operators import gradient, random_element
from odl_learned.solvers import (
    DivergenceError,
    accelerated_gradient,
    circulant,
    conjugate_gradient,
    cosine,
    neumann_laplacian,
    newton_krylov,
    periodic_laplacian,
)
from odl_learned.solvers.smooth import preconditioners

WORLDS = [np.asarray, torch.from_numpy]


@pytest.mark.parametrize("world", WORLDS)
def test_a_thousand_quadratics_within_their_bounds(world, rng):
    H, b = random_hessians(rng, 1000, 6, rng.uniform(1, 10, 1000)), rng.standard_normal((1000, 6))
    exact = np.linalg.solve(H, b[..., None])[..., 0]
    f = Energies(world(H), world(b))
    accuracy = 10 ** rng.uniform(-8, 0, 1000)
    solution = newton_krylov(f, world(rng.standard_normal((1000, 6))), accuracy, 50)
    error = np.linalg.norm(np.asarray(solution.x) - exact, axis=1)
    assert np.all(solution.reason == "accuracy") and np.all(solution.error_bound <= accuracy)
    assert np.all(error <= solution.error_bound * (1 + 1e-6) + 1e-14)
    early = error > 1e-12
    assert np.median(solution.error_bound[early] / error[early]) <= 5


class Huberized:
    """``1/2 |x - y|^2 + c sum_i h(D x)``, D differences, h Huber's function: once differentiable.

    With ``smooth=True`` the square root ``sqrt(t^2 + nu^2)`` takes the place of ``h``.
    """

    strong_convexity = 1.0

    def __init__(self, y, c, nu, smooth, world, counter=None):
        self.y, self.c, self.nu, self.smooth, self.world = y, c, nu, smooth, world
        n = y.shape[1]
        self.D = world(np.diff(np.eye(n), axis=0))
        self.grad_lipschitz = 1 + 4 * c / nu
        self.counter = [0] if counter is None else counter

    def _times(self, D, x):
        return (D * x[:, None, :]).sum(-1)

    def _h(self, t):
        nu, size = self.nu, abs(t)
        if self.smooth:
            root = (t * t + nu * nu) ** 0.5
            return root, t / root, nu * nu / root**3
        inside = (size <= nu) * 1.0
        value = inside * t * t / (2 * nu) + (1 - inside) * (size - nu / 2)
        return value, inside * t / nu + (1 - inside) * t / (size + (size == 0)), inside / nu

    def __call__(self, x):
        part = self._h(self._times(self.D, x))[0].sum(-1)
        return 0.5 * ((x - self.y) ** 2).sum(-1) + self.c * part

    def gradient(self, x):
        slope = self._h(self._times(self.D, x))[1]
        return x - self.y + self.c * self._times(self.D.T, slope)

    def linearize(self, x):
        bend = self._h(self._times(self.D, x))[2]

        def hessian(v):
            self.counter[0] += len(v)
            return v + self.c * self._times(self.D.T, bend * self._times(self.D, v))

        return Linearization(self.gradient(x), hessian)

    def take(self, index):
        return Huberized(self.y[index], self.c, self.nu, self.smooth, self.world, self.counter)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize("nu", [1.0, 1e-2, 1e-3])
def test_smooth_and_semismooth_energies_from_bad_starts(nu, smooth, world, rng):
    y = np.cumsum(rng.standard_normal((6, 20)) * (rng.random((6, 20)) < 0.3), axis=1)
    y += 0.1 * rng.standard_normal(y.shape)
    f = Huberized(world(y), 0.5, nu, smooth, world)
    reference = newton_krylov(f, world(y), 1e-11, 500)
    assert np.all(np.isin(reference.reason, ["accuracy", "rounding"]))
    if nu >= 1e-2:
        slow = accelerated_gradient(f, world(y), 1e-9, 10**4)
        assert np.abs(np.asarray(slow.x - reference.x)).max() < 2e-9
    for scale in (1.0, 100.0):
        start = world(scale * rng.standard_normal(y.shape))
        solution = newton_krylov(f, start, 1e-8, 500)
        assert np.all(solution.reason == "accuracy")
        error = np.linalg.norm(np.asarray(solution.x - reference.x), axis=1)
        assert np.all(error <= solution.error_bound + 1e-10)


@pytest.mark.parametrize("smooth", [True, False])
def test_values_are_not_needed(smooth, rng):
    y = rng.standard_normal((4, 20))
    f = Huberized(y, 0.5, 1e-2, smooth, np.asarray)

    class GradientsOnly:
        strong_convexity = 1.0

        def __init__(self, f):
            self.gradient, self.linearize = f.gradient, f.linearize
            self.take = lambda index: GradientsOnly(f.take(index))

    solution = newton_krylov(GradientsOnly(f), y, 1e-9, 200)
    reference = newton_krylov(f, y, 1e-9, 200)
    assert np.all(solution.reason == "accuracy")
    assert np.abs(solution.x - reference.x).max() < 2e-9


def test_gradients_shrink_quadratically_in_the_end(rng):
    H, b = random_hessians(rng, 1, 10, 20.0), 5 * rng.standard_normal((1, 10))
    f = Energies(H, b, 2.0)
    sizes = []
    newton_krylov(f, np.zeros((1, 10)), 1e-12, 50,
                  callback=lambda x: sizes.append(np.linalg.norm(f.gradient(x))))  # fmt: skip
    small = [s for s in sizes if 1e-13 < s < 1e-1]
    assert len(sizes) < 15 and len(small) >= 2
    assert all(after < 10 * before**1.6 for before, after in zip(small, small[1:], strict=False))


class Blurred:
    """``1/2 |x - y|^2 + c/2 |grad x|^2 + sum cosh(x)`` on images with Neumann boundary."""

    strong_convexity = 1.0

    def __init__(self, y, c, preconditioned, counter):
        self.y, self.c, self.symbol = y, c, 1 + c * neumann_laplacian((16, 12), (0.5, 1.0))
        self.preconditioned, self.counter = preconditioned, counter

    def _smooth(self, x):
        return cosine(1 / self.symbol)(x)

    def gradient(self, x):
        return self._smooth(x) - self.y + np.sinh(0.1 * x)

    def linearize(self, x):
        bend = 0.1 * np.cosh(0.1 * x)

        def hessian(v):
            self.counter[0] += len(v)
            return self._smooth(v) + bend * v

        result = Linearization(self.gradient(x), hessian)
        if self.preconditioned:
            result.precondition = cosine(self.symbol)
        return result

    def take(self, index):
        return Blurred(self.y[index], self.c, self.preconditioned, self.counter)


def test_the_preconditioner_of_the_linearization_and_that_of_the_caller_save_products(rng):
    y = rng.standard_normal((5, 16, 12))
    counters, solutions = [[0], [0], [0]], []
    for counter, preconditioned in zip(counters, (False, True, False), strict=True):
        given = cosine(1 + 10 * neumann_laplacian((16, 12), (0.5, 1.0)))
        solutions.append(newton_krylov(
            Blurred(y, 10.0, preconditioned, counter), 0 * y, 1e-9, 50,
            precondition=given if counter is counters[2] else None))  # fmt: skip
    assert all(np.all(s.reason == "accuracy") for s in solutions)
    assert np.abs(solutions[0].x - solutions[1].x).max() < 2e-9
    assert counters[1] == counters[2] and counters[1][0] < counters[0][0] / 3


def test_accuracy_below_rounding_is_told(rng):
    f = Energies(random_hessians(rng, 3, 10, 1e3), rng.standard_normal((3, 10)), 0.5)
    solution = newton_krylov(f, np.zeros((3, 10)), [1e-30, 1e-6, 1e-30], 200)
    assert list(solution.reason) == ["rounding", "accuracy", "rounding"]
    assert np.all(solution.niter < 50) and np.all(solution.error_bound < 1e-6)
    assert np.all(newton_krylov(f, np.zeros((3, 10)), 1e-6, 1).reason == "maxiter")


def test_wrong_derivatives_and_constants_are_named(rng):
    f = Energies(random_hessians(rng, 3, 6, 10.0), rng.standard_normal((3, 6)), 0.5)
    x0 = np.zeros((3, 6))

    class Wrong(Energies):
        def linearize(self, x):
            exact = Energies(self.H.matrices, self.b, self.c).linearize(x)
            return Linearization(*self.wrong(x, exact))

        def gradient(self, x):
            return self.wrong(x, Linearization(super().gradient(x), None))[0]

        def take(self, index):
            return Wrong(self.H.matrices[index], self.b[index], self.c)

    g = Wrong(f.H.matrices, f.b, 0.5)
    upwards = "strong_convexity is .*of sample 0.*changed by only -"
    for wrong, words in (
        (lambda x, e: (e.gradient, lambda v: -1 * e.hessian(v)), "<p, H p> is -.*of sample 0"),
        (lambda x, e: (e.gradient * math.nan, e.hessian), "of sample 0 is not finite at iter.* 0"),
        (lambda x, e: (-e.gradient, e.hessian), upwards),
        (lambda x, e: (e.gradient, lambda v: math.nan * v), "not finite|<p, H p> is nan"),
    ):
        Wrong.wrong, calls = staticmethod(wrong), []
        with pytest.raises(DivergenceError, match=words):
            newton_krylov(g, x0, 1e-9, 50, callback=calls.append)
        assert len(calls) < 10
    for _ in range(20):
        start, calls = rng.standard_normal((3, 6)), []
        with pytest.raises(DivergenceError, match="strong_convexity is .*of sample [012]"):
            newton_krylov(f, start, 1e-12, 50, strong_convexity=30.0, callback=calls.append)
        assert len(calls) < 10


def test_arguments_are_checked(rng):
    f = Energies(random_hessians(rng, 3, 6, 10.0), rng.standard_normal((3, 6)))
    x0 = np.zeros((3, 6))
    for wrong in (0, -1.0, math.nan, None):
        with pytest.raises(ValueError, match="accuracy is"):
            newton_krylov(f, x0, wrong, 10)
    with pytest.raises(ValueError, match="x0 contains NaN or infinite values in sample 0"):
        newton_krylov(f, math.nan * x0, 1, 10)
    space = odl.rn(3)
    with pytest.raises(TypeError, match="x0 is not an element of the domain of f"):
        newton_krylov(odl.functionals.L2NormSquared(space), odl.rn(4).zero(), 1, 9,
                      strong_convexity=2.0)  # fmt: skip
    with pytest.raises(ValueError, match="strong_convexity of the functional is"):
        newton_krylov(odl.functionals.L2NormSquared(space), space.zero(), 1, 9)

    class NoHessian:
        strong_convexity = 1.0

        def gradient(self, x):
            return x

    with pytest.raises(TypeError, match="expected f.linearize"):
        newton_krylov(NoHessian(), x0, 1, 9)


def test_odl_functionals_bring_their_hessians(rng):
    A = odl.MatrixOperator(rng.standard_normal((8, 5)))
    y = random_element(A.range, rng)
    f = odl.functionals.L2NormSquared(A.range).translated(y) * A + (
        0.5 * odl.functionals.L2NormSquared(A.domain))
    solution = newton_krylov(f, A.domain.zero(), 1e-9, 20, strong_convexity=1.0)
    exact = np.linalg.solve(2 * A.matrix.T @ A.matrix + np.eye(5), 2 * A.matrix.T @ y.data)
    assert np.linalg.norm(solution.x.data - exact) <= solution.error_bound + 1e-14 < 2e-9


# Preconditioners

SHAPES = [(7,), (6, 5), (4, 5, 6)]
DTYPES = ["float32", "float64", "complex64", "complex128"]


def images(rng, shape, dtype):
    x = rng.standard_normal((3, *shape)) + 1j * rng.standard_normal((3, *shape))
    return (x if "complex" in dtype else x.real).astype(dtype)


@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_preconditioners_invert_what_they_are_made_from(
    shape, dtype, on_device, rng, monkeypatch
):
    X = odl.uniform_discr([0] * len(shape), np.arange(1, 1 + len(shape)), shape, dtype=dtype)
    v = images(rng, shape, dtype)
    tolerance = 2e-5 if v.dtype in (np.float32, np.complex64) else 1e-13
    if on_device:
        monkeypatch.setattr(preconditioners, "on_host", lambda v: None)
    for make, symbol, G in (
        (cosine, neumann_laplacian, gradient(X)),
        (circulant, periodic_laplacian, odl.Gradient(X, pad_mode="periodic")),
    ):
        precondition = make(1 + 0.01 * symbol(shape, X.cell_sides))
        inputs = [X.element(x) for x in v]
        b = [x + 0.01 * G.adjoint(G(x)) for x in inputs]
        batch = np.stack([x.data for x in b])
        for world in WORLDS:
            if on_device and world is np.asarray:
                continue
            result = precondition(world(batch))
            assert type(result) is type(world(batch)) and np.asarray(result).dtype == dtype
            assert np.abs(np.asarray(result) - v).max() < tolerance
            again = precondition(world(batch)[None, 1:2])
            assert_rounded(np.asarray(again)[0, 0], np.asarray(result)[1], tolerance)
        if not on_device:
            assert (precondition(b[0]) - inputs[0]).norm() < tolerance


def test_symbols_are_the_eigenvalues_and_make_conjugate_gradients_one_step(rng):
    X = odl.uniform_discr([0, 0], [3, 2], (6, 5))
    G = gradient(X)
    matrix = np.stack([G.adjoint(G(X.element(e.reshape(6, 5)))).data.ravel() for e in np.eye(30)])
    symbol = neumann_laplacian((6, 5), X.cell_sides)
    assert np.allclose(np.sort(symbol.ravel()), np.linalg.eigvalsh(matrix), atol=1e-12)
    H = G.adjoint * G + 2 * odl.IdentityOperator(X)
    b = random_element(X, rng)
    solution = conjugate_gradient(H, b, X.zero(), 1e-10, 50, cosine(2 + symbol), lower_bound=2.0)
    plain = conjugate_gradient(H, b, X.zero(), 1e-10, 50, lower_bound=2.0)
    assert solution.niter == 1 < plain.niter and (solution.x - plain.x).norm() < 2e-10


def test_symbols_of_complex_images_need_no_symmetry(rng):
    symbol = 1 + rng.random((6, 5))
    v = images(rng, (6, 5), "complex128")
    expected = np.fft.ifftn(np.fft.fftn(v, axes=(1, 2)) / symbol, axes=(1, 2))
    assert np.allclose(circulant(symbol)(v), expected)
    assert np.allclose(circulant(symbol)(torch.from_numpy(v)).numpy(), expected)
    with pytest.raises(ValueError, match="symbol is not symmetric.*ifftshift"):
        circulant(symbol)(v.real)


@pytest.mark.parametrize("make", [circulant, cosine])
def test_bad_symbols_and_shapes(make):
    for wrong in (np.zeros((4, 4)), np.full((4, 4), -1.0), np.full((4, 4), math.inf)):
        with pytest.raises(ValueError, match="expected positive finite"):
            make(wrong)
    with pytest.raises(ValueError, match="expected real numbers"):
        make(np.ones((4, 4)) * 1j)
    with pytest.raises(ValueError, match=r"v has shape \(4, 5\), expected \(..., 4, 4\)"):
        make(np.ones((4, 4)))(np.ones((4, 5)))
