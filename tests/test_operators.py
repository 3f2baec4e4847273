"""Operators against dense twins, closed forms and their adjoint identities."""

import gc
import math
import weakref

import numpy as np
import odl
import pytest

from odl_learned import operators as ops


def dense(op):
    """Matrix of a linear operator between flattened arrays, one column per unit vector."""

    def flat(element):
        parts = element if isinstance(element.space, odl.ProductSpace) else [element]
        return np.concatenate([np.asarray(part.data).ravel() for part in parts])

    parts = op.domain if isinstance(op.domain, odl.ProductSpace) else [op.domain]
    columns = []
    for number, part in enumerate(parts):
        for index in range(part.size):
            unit = np.zeros(part.size, part.dtype)
            unit[index] = 1
            x = op.domain.zero()
            target = x[number] if isinstance(op.domain, odl.ProductSpace) else x
            target.data[...] = unit.reshape(part.shape)
            columns.append(flat(op(x)))
    return np.array(columns).T


def adjoint_error(op, rng):
    x, y = ops.random_element(op.domain, rng), ops.random_element(op.range, rng)
    image = op(x)
    error = abs(image.inner(y) - x.inner(op.adjoint(y)))
    return error / (image.norm() * y.norm())


def tolerance(dtype):
    return 1e-6 if dtype in ("float32", "complex64") else 1e-12


def assert_out_and_linear(op, rng):
    x, y = ops.random_element(op.domain, rng), ops.random_element(op.domain, rng)
    out = ops.random_element(op.range, rng)
    before = x.copy()
    assert op(x, out=out) is out
    assert (out - op(x)).norm() == 0
    assert (x - before).norm() == 0
    assert (op(2 * x + y) - 2 * op(x) - op(y)).norm() <= 1e-5 * op(x).norm()


def complex_space(shape, dtype, weighting=None):
    return odl.uniform_discr([0] * len(shape), [2] * len(shape), shape, dtype=dtype)


# Fourier


def dft_matrix(n):
    k = np.arange(n) - n // 2
    return np.exp(-2j * np.pi * np.outer(k, k) / n) / math.sqrt(n)


@pytest.mark.parametrize("shape", [(6, 6), (5, 7), (4, 5)])
def test_fourier_dense_twin(shape, rng):
    weights = rng.standard_normal(shape)
    A = ops.SampledFourier(complex_space(shape, "complex128"), weights)
    expected = weights.ravel()[:, None] * np.kron(dft_matrix(shape[0]), dft_matrix(shape[1]))
    np.testing.assert_allclose(dense(A), expected, atol=1e-14)
    np.testing.assert_allclose(dense(A.adjoint), expected.conj().T, atol=1e-14)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("shape", [(7,), (5, 7), (3, 4, 5)])
@pytest.mark.parametrize("weighting", [None, 0.7])
def test_fourier_adjoint(shape, dtype, weighting, rng):
    X = complex_space(shape, dtype)
    Y = None if weighting is None else odl.cn(shape, dtype=dtype, weighting=weighting)
    A = ops.SampledFourier(X, rng.random(shape) < 0.6, Y)
    assert adjoint_error(A, rng) < tolerance(dtype)
    assert_out_and_linear(A, rng)
    assert_out_and_linear(A.adjoint, rng)
    assert A.adjoint.adjoint is A
    assert A(X.one()).dtype == X.dtype and A.adjoint(A.range.one()).dtype == X.dtype


def test_fourier_is_unitary_and_centered(rng):
    X = complex_space((6, 5), "complex128")
    F = ops.SampledFourier(X, np.ones((6, 5), bool))
    x = ops.random_element(X, rng)
    assert (F.adjoint(F(x)) - x).norm() < 1e-13
    assert F(x).norm() == pytest.approx(x.norm(), rel=1e-13)
    constant = F(X.one()).data
    assert abs(constant[3, 2]) == pytest.approx(math.sqrt(30))
    assert np.count_nonzero(np.abs(constant) > 1e-12) == 1


def test_fourier_on_cn_and_weights_attribute():
    weights = np.ones((4, 4), bool)
    A = ops.SampledFourier(odl.cn((4, 4), dtype="complex64", weighting=3.0), weights)
    weights[:] = False
    assert A.weights.all() and A.weights.dtype == np.float32
    assert A.range.weighting.const == 3.0


def test_fourier_errors():
    X = complex_space((4, 5), "complex64")
    with pytest.raises(TypeError, match="dtype='complex64'"):
        ops.SampledFourier(odl.uniform_discr(0, 1, 4), np.ones(4))
    with pytest.raises(TypeError, match="product space"):
        ops.SampledFourier(X**2, np.ones((4, 5)))
    with pytest.raises(TypeError, match="constant"):
        ops.SampledFourier(odl.cn(4, weighting=[1.0, 2.0, 3.0, 4.0]), np.ones(4))
    with pytest.raises(ValueError, match=r"\(5, 4\).*\(4, 5\)"):
        ops.SampledFourier(X, np.ones((5, 4)))
    with pytest.raises(TypeError, match="complex"):
        ops.SampledFourier(X, np.ones((4, 5), complex))
    with pytest.raises(ValueError, match="NaN"):
        ops.SampledFourier(X, np.full((4, 5), np.nan))
    with pytest.raises(ValueError, match="dtype"):
        ops.SampledFourier(X, np.ones((4, 5)), odl.cn((4, 5), dtype="complex128"))
    with pytest.raises(ValueError, match="shape"):
        ops.SampledFourier(X, np.ones((4, 5)), odl.cn((5, 4), dtype="complex64"))


# Ray transform


def ct_space(n=16, m=16, dtype="float32"):
    return odl.uniform_discr([-1, -1], [1, 1], (n, m), dtype=dtype)


def test_ray_transform_geometry():
    X = odl.uniform_discr([-64, -64], [64, 64], (128, 128), dtype="float32")
    A = ops.parallel_ray_transform(X, 30)
    assert A.range.shape == (30, 183)
    detector = A.geometry.det_partition
    assert detector.max_pt[0] == pytest.approx(64 * math.sqrt(2))
    assert detector.cell_sides[0] <= 1
    B = ops.parallel_ray_transform(X, 7, num_bins=11, det_half_width=20.0)
    assert B.range.shape == (7, 11) and B.geometry.det_partition.max_pt[0] == 20
    assert np.all((B.geometry.angles > 0) & (B.geometry.angles < np.pi))


def test_ray_transform_integrates_and_is_adjoint(rng):
    X = odl.uniform_discr([-1, -1], [1, 1], (64, 64), dtype="float32")
    A = ops.parallel_ray_transform(X, 12)
    assert adjoint_error(A, rng) < 1e-6
    disc = X.element(lambda x: (x[0] ** 2 + x[1] ** 2 < 0.64).astype("float32"))
    position = A.geometry.det_partition.grid.coord_vectors[0]
    chord = 2 * np.sqrt(np.maximum(0.64 - position**2, 0))
    assert np.abs(A(disc).data - chord).mean() < 0.02
    inverse = ops.fbp(A.adjoint.adjoint, "Hann", 0.9)
    assert inverse.domain == A.range and inverse.range == X


def test_fbp_inverts_multiples_alike():
    X = odl.uniform_discr([-1, -1], [1, 1], (48, 48), dtype="float32")
    A = ops.parallel_ray_transform(X, 90)
    disc = X.element(lambda x: (x[0] ** 2 + x[1] ** 2 < 0.5).astype("float32"))
    x = ops.fbp(A)(A(disc))
    assert (x - disc).norm() < 0.25 * disc.norm()
    N = ops.normalized(A)
    assert (ops.fbp(N)(N(disc)) - x).norm() < 1e-5 * x.norm()


def test_even_angles_commute_with_quarter_turns(rng):
    X = ct_space()
    g = ops.QuarterTurn(X, 1)
    x = ops.random_element(X, rng)
    for number, equivariant in ((16, True), (15, False)):
        A = ops.parallel_ray_transform(X, number)
        gap = (A.adjoint(A(g(x))) - g(A.adjoint(A(x)))).norm() / A.adjoint(A(x)).norm()
        assert (gap < 1e-4) == equivariant
        if equivariant:
            ops.require_even_angles(ops.normalized(A))
        else:
            with pytest.raises(ValueError, match="15 angles"):
                ops.require_even_angles(A)


def test_ray_transform_errors():
    with pytest.raises(TypeError, match="float64.*float32"):
        ops.parallel_ray_transform(ct_space(dtype="float64"), 4)
    with pytest.raises(TypeError, match="complex64"):
        ops.parallel_ray_transform(ct_space(dtype="complex64"), 4)
    with pytest.raises(ValueError, match="3 dimensions"):
        ops.parallel_ray_transform(odl.uniform_discr([0] * 3, [1] * 3, (4,) * 3, "float32"), 4)
    with pytest.raises(TypeError, match="uniform_discr"):
        ops.parallel_ray_transform(odl.rn((4, 4)), 4)
    for wrong in (0, -1, 2.5):
        with pytest.raises(ValueError, match="positive integer"):
            ops.parallel_ray_transform(ct_space(), wrong)
    with pytest.raises(ValueError, match="det_half_width"):
        ops.parallel_ray_transform(ct_space(), 4, det_half_width=0.0)
    with pytest.raises(TypeError, match="parallel_ray_transform"):
        ops.require_even_angles(odl.IdentityOperator(ct_space()))
    with pytest.raises(ValueError, match="frequency_scaling"):
        ops.fbp(ops.parallel_ray_transform(ct_space(), 4), frequency_scaling=1.5)


# Mask


@pytest.mark.parametrize("dtype", ["float32", "complex64", "float64"])
def test_mask(dtype, rng):
    X = odl.uniform_discr([0, 0], [1, 1], (5, 7), dtype=dtype)
    mask = rng.random((5, 7)) < 0.5
    A = ops.mask_operator(X, mask)
    x = ops.random_element(X, rng)
    np.testing.assert_array_equal(A(x).data, np.where(mask, x.data, 0))
    assert adjoint_error(A, rng) < tolerance(dtype)
    assert ops.operator_norm(A) == 1.0


def test_mask_errors():
    X = ct_space(3, 4)
    with pytest.raises(ValueError, match=r"\(4, 3\), expected \(3, 4\)"):
        ops.mask_operator(X, np.ones((4, 3)))
    with pytest.raises(ValueError, match="12 values that are neither"):
        ops.mask_operator(X, np.full((3, 4), 0.5))
    with pytest.raises(ValueError, match="NaN"):
        ops.mask_operator(X, np.full((3, 4), np.nan))
    with pytest.raises(TypeError, match="complex"):
        ops.mask_operator(X, np.ones((3, 4), complex))


# Differential operators


def forward_difference(n, h):
    matrix = (np.eye(n, k=1) - np.eye(n)) / h
    matrix[-1] = 0
    return matrix


def symmetrized_gradient_matrix(shape, sides):
    """Dense twin for d = 2 from Kronecker products, rows without real neighbors deleted."""
    (n, m), (h, k) = shape, sides
    second = [np.zeros((size, size)) for size in shape]
    for size, side, matrix in zip(shape, sides, second, strict=True):
        for i in range(1, size - 1):
            matrix[i, i], matrix[i, i - 1] = 1 / side, -1 / side
    keep_x, keep_y = np.diag(np.arange(n) < n - 1), np.diag(np.arange(m) < m - 1)
    zero = np.zeros((n * m, n * m))
    return np.block(
        [
            [np.kron(second[0], np.eye(m)), zero],
            [zero, np.kron(np.eye(n), second[1])],
            [
                np.kron(keep_x, forward_difference(m, k)) / math.sqrt(2),
                np.kron(forward_difference(n, h), keep_y) / math.sqrt(2),
            ],
        ]
    )


@pytest.mark.parametrize("shape", [(5, 7), (6, 6), (2, 3)])
def test_differential_dense_twins(shape):
    X = odl.uniform_discr([0, 0], [1, 3], shape)
    sides = X.cell_sides
    D = ops.gradient(X)
    expected = np.vstack(
        [
            np.kron(forward_difference(shape[0], sides[0]), np.eye(shape[1])),
            np.kron(np.eye(shape[0]), forward_difference(shape[1], sides[1])),
        ]
    )
    np.testing.assert_allclose(dense(D), expected, atol=1e-12)
    E = ops.SymmetrizedGradient(D.range)
    twin = symmetrized_gradient_matrix(shape, sides)
    np.testing.assert_allclose(dense(E), twin, atol=1e-12)
    np.testing.assert_allclose(dense(E.adjoint), twin.T, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("shape", [(6,), (5, 7), (4, 5, 3)])
def test_differential_adjoints(shape, dtype, rng):
    X = odl.uniform_discr([0] * len(shape), [1] * len(shape), shape, dtype=dtype)
    D = ops.gradient(X)
    E = ops.SymmetrizedGradient(D.range)
    assert len(E.range) == len(shape) * (len(shape) + 1) // 2
    for op in (D, E):
        assert adjoint_error(op, rng) < tolerance(dtype)
        assert op(op.domain.one())[0].dtype == X.dtype
    for op in (E, E.adjoint):
        assert_out_and_linear(op, rng)
    assert E.adjoint.adjoint is E


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_kernel_is_affine(ndim):
    """The null space of E grad has the dimension of the affine functions, and contains them."""
    shape = (4, 5, 6)[:ndim]
    X = odl.uniform_discr([0] * ndim, list(shape), shape)
    D = ops.gradient(X)
    E = ops.SymmetrizedGradient(D.range)
    for coefficients in np.eye(ndim + 1):
        affine = coefficients[0] + sum(
            c * grid for c, grid in zip(coefficients[1:], np.indices(shape), strict=True)
        )
        assert E(D(X.element(affine))).norm() == 0
    composed = dense(E @ D)
    assert np.linalg.matrix_rank(composed) == X.size - (ndim + 1)


def test_rigid_rotation_has_no_strain():
    X = odl.uniform_discr([0, 0], [6, 8], (6, 8))
    i, j = np.indices(X.shape).astype(float)
    assert ops.SymmetrizedGradient(X**2)((X**2).element([-j, i])).norm() == 0


def test_frobenius_norm(rng):
    """Interior entries of a quadratic potential: the Hessian, with its Frobenius norm."""
    X = odl.uniform_discr([0, 0], [6, 8], (6, 8))
    i, j = np.indices(X.shape).astype(float)
    a, b, c = 2.0, -1.0, 0.5
    D = ops.gradient(X)
    u = X.element(a / 2 * i**2 + b * i * j + c / 2 * j**2)
    hessian = ops.SymmetrizedGradient(D.range)(D(u))
    norm = np.sqrt(sum(np.abs(part.data) ** 2 for part in hessian))[1:-1, 1:-1]
    np.testing.assert_allclose(norm, np.linalg.norm([[a, b], [b, c]]), rtol=1e-12)


def test_differential_errors():
    with pytest.raises(TypeError, match="cell sides"):
        ops.gradient(odl.rn((4, 4)))
    X = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    for wrong in (X, X**3, odl.rn(4) ** 2):
        with pytest.raises(TypeError, match="gradient"):
            ops.SymmetrizedGradient(wrong)


# Quarter turns


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_quarter_turn_moves_points(dtype, rng):
    X = odl.uniform_discr([-1, -1], [1, 1], (5, 5), dtype=dtype)
    u = X.zero()
    u.data[4, 2] = 1  # on the positive x axis: a quarter turn takes it to the positive y axis
    turned = ops.QuarterTurn(X, 1)(u).data
    assert turned[2, 4] == 1 and np.abs(turned).sum() == 1
    x = ops.random_element(X, rng)
    for k in range(-2, 6):
        g = ops.QuarterTurn(X, k)
        assert adjoint_error(g, rng) < 1e-6
        assert_out_and_linear(g, rng)
        assert (g.inverse(g(x)) - x).norm() == 0
        for other in range(4):
            composed = g(ops.QuarterTurn(X, other)(x))
            assert (composed - ops.QuarterTurn(X, k + other)(x)).norm() == 0
    in_place = x.copy()
    ops.QuarterTurn(X, 1)(in_place, out=in_place)
    assert (in_place - ops.QuarterTurn(X, 1)(x)).norm() == 0


def test_quarter_turn_agrees_with_coordinates():
    X = odl.uniform_discr([-1, -1], [1, 1], (6, 6))
    u = X.element(lambda x: x[0] + 3 * x[1] ** 2 * x[0])
    # R^-1 (x, y) = (y, -x)
    expected = X.element(lambda x: x[1] + 3 * x[0] ** 2 * x[1])
    assert (ops.QuarterTurn(X, 1)(u) - expected).norm() < 1e-14


def test_quarter_turn_errors():
    with pytest.raises(ValueError, match=r"\(4, 5\)"):
        ops.QuarterTurn(odl.uniform_discr([0, 0], [4, 5], (4, 5)), 1)
    with pytest.raises(ValueError, match="cell sides"):
        ops.QuarterTurn(odl.uniform_discr([0, 0], [1, 2], (4, 4)), 1)
    with pytest.raises(TypeError, match="integer"):
        ops.QuarterTurn(odl.uniform_discr([0, 0], [1, 1], (4, 4)), 0.5)
    with pytest.raises(TypeError, match="uniform_discr"):
        ops.QuarterTurn(odl.rn((4, 4)), 1)


# Norms


def weighted_norm(op):
    """Largest singular value of the dense twin in the weighted inner products."""

    def weight(space):
        return (space[0] if isinstance(space, odl.ProductSpace) else space).weighting.const

    return np.linalg.norm(dense(op), 2) * math.sqrt(weight(op.range) / weight(op.domain))


def norm_cases():
    rng = np.random.default_rng(1)
    X = odl.uniform_discr([0, 0], [1, 3], (5, 7))
    C = complex_space((5, 4), "complex128")
    weights = rng.standard_normal((5, 4))
    yield "gradient", ops.gradient(X)
    yield "backward", odl.Gradient(X, method="backward", pad_mode="symmetric")
    yield "gradient 3d", ops.gradient(odl.uniform_discr([0] * 3, [1] * 3, (3, 4, 2)))
    yield "fourier", ops.SampledFourier(C, weights, odl.cn((5, 4), weighting=5.0))
    yield "fourier adjoint", ops.SampledFourier(C, weights, odl.cn((5, 4), weighting=5.0)).adjoint
    yield "multiply", odl.MultiplyOperator(X.element(rng.standard_normal((5, 7))))
    yield "turn", ops.QuarterTurn(odl.uniform_discr([0, 0], [1, 1], (3, 3)), 1)
    yield "identity", odl.IdentityOperator(X)
    yield "scaling", odl.ScalingOperator(C, -2j)
    yield "multiple", -3.0 * ops.gradient(X)
    yield "right multiple", odl.OperatorRightScalarMult(ops.gradient(X), -2.0)
    yield "central", odl.Gradient(X, method="central", pad_mode="symmetric")
    yield "periodic", odl.Gradient(X, pad_mode="periodic")
    yield "symmetrized", ops.SymmetrizedGradient(X**2)
    yield "matrix", odl.MatrixOperator(rng.standard_normal((6, 4)))
    yield "sum", ops.SampledFourier(C, weights, C) + 0.3 * odl.IdentityOperator(C)


@pytest.mark.parametrize("name,op", list(norm_cases()), ids=lambda value: str(value)[:16])
def test_operator_norm_against_svd(name, op):
    norm, truth = ops.operator_norm(op), weighted_norm(op)
    assert type(norm) is float
    assert truth * (1 - 1e-12) <= norm <= truth * (1 + 1e-3 + 1e-12)
    if ops.exact_norm(op) is not None:
        assert norm == pytest.approx(truth, rel=1e-12)


@pytest.mark.parametrize("name", ["central", "periodic", "symmetrized", "matrix", "sum"])
def test_power_iteration_is_not_below_rayleigh(name):
    op = dict(norm_cases())[name]
    assert ops.exact_norm(op) is None
    for seed in range(5):
        norm = ops.operator_norm(op, np.random.default_rng(seed))
        assert weighted_norm(op) * (1 - 1e-12) <= norm <= weighted_norm(op) * (1 + 1e-3)


def test_zero_operator_has_norm_zero():
    X = ct_space(4, 4)
    assert ops.operator_norm(odl.ZeroOperator(X)) == 0
    assert ops.operator_norm(ops.gradient(X) @ odl.ZeroOperator(X)) == 0
    with pytest.raises(ValueError, match="zero operator"):
        ops.normalized(odl.ZeroOperator(X))


class Counting(odl.Operator):
    """Twice the identity, counting its calls."""

    def __init__(self, space):
        super().__init__(space, space, linear=True)
        self.calls = 0

    def _call(self, x):
        self.calls += 1
        return 2 * x

    @property
    def adjoint(self):
        return self


def test_norm_is_remembered_per_object():
    op = Counting(odl.rn(3))
    assert ops.operator_norm(op) == pytest.approx(2)
    calls = op.calls
    assert ops.operator_norm(op) == pytest.approx(2) and op.calls == calls
    ops.operator_norm(op, rtol=1e-6)
    assert op.calls > calls
    calls = op.calls
    ops.operator_norm(op, np.random.default_rng(3))
    assert op.calls > calls
    reference = weakref.ref(op)
    del op
    gc.collect()
    assert reference() is None


def test_norm_in_single_precision():
    A = ops.parallel_ray_transform(ct_space(), 6)
    assert ops.operator_norm(A) == pytest.approx(weighted_norm(A), rel=2e-3)
    assert ops.operator_norm(ops.normalized(A)) == pytest.approx(1, rel=1e-9)


def test_norm_errors_and_warning():
    X = odl.rn(3)
    with pytest.raises(TypeError, match="linear"):
        ops.operator_norm(odl.functionals.L2NormSquared(X))
    with pytest.raises(ValueError, match="rtol"):
        ops.operator_norm(odl.MatrixOperator(np.eye(3)), rtol=0)
    with pytest.raises(ValueError, match="not finite"):
        ops.operator_norm(odl.MatrixOperator(np.full((3, 3), np.nan)))
    with pytest.warns(RuntimeWarning, match="maxiter"):
        ops.operator_norm(odl.MatrixOperator(np.diag([1.0, 0.9, 0.8])), maxiter=2)
