"""The multi-coil Fourier transform, its sensitivities, and its native rules in torch."""

import math

import numpy as np
import odl
import pytest
import torch
from operator_checks import adjoint_error, dense, dft_matrix

from odl_learned import data
from odl_learned import operators as ops
from odl_learned.bridge import as_module
from odl_learned.bridge.rules.expressions import Composition
from odl_learned.bridge.rules.frequencies.fourier import FourierNormal
from odl_learned.bridge.rules.frequencies.multicoil import (
    CoilFourier,
    CoilFourierLines,
    CoilFourierNormal,
)
from odl_learned.conformance.tensors import as_tensor


def complex_space(shape, dtype="complex128"):
    return odl.uniform_discr([0] * len(shape), [2] * len(shape), shape, dtype=dtype)


def random_maps(shape, coils, rng):
    return rng.standard_normal((coils, *shape)) + 1j * rng.standard_normal((coils, *shape))


@pytest.mark.parametrize("shape", [(4, 6), (5, 4), (3, 3)])
def test_dense_twin(shape, rng):
    weights, maps = rng.standard_normal(shape), random_maps(shape, 2, rng)
    A = ops.MultiCoilFourier(complex_space(shape), weights, maps)
    fourier = np.kron(dft_matrix(shape[0]), dft_matrix(shape[1]))
    expected = np.vstack([weights.ravel()[:, None] * fourier * s.ravel() for s in maps])
    np.testing.assert_allclose(dense(A), expected, atol=1e-13)
    np.testing.assert_allclose(dense(A.adjoint), expected.conj().T, atol=1e-13)
    np.testing.assert_allclose(dense(A.normal), expected.conj().T @ expected, atol=1e-12)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_adjoint_with_weights_and_in_place(dtype, rng):
    X = complex_space((4, 5), dtype)
    Y = odl.ProductSpace(odl.cn((4, 5), dtype=dtype, weighting=3.0), 3, weighting=0.5)
    A = ops.MultiCoilFourier(X, rng.random((4, 5)) < 0.5, random_maps((4, 5), 3, rng), Y)
    assert adjoint_error(A, rng) < (1e-6 if dtype == "complex64" else 1e-12)
    assert A.weight_ratio == pytest.approx(1.5 / X.weighting.const)
    for op in (A, A.adjoint):
        x, out = ops.random_element(op.domain, rng), ops.random_element(op.range, rng)
        assert op(x, out=out) is out
        assert (out - op(x)).norm() == 0
    assert A.adjoint.adjoint is A


def test_one_coil_of_ones_is_the_sampled_transform(rng):
    X, weights = complex_space((5, 6)), rng.random((5, 6))
    one, many = ops.SampledFourier(X, weights), ops.MultiCoilFourier(X, weights, np.ones((1, 5, 6)))
    x = ops.random_element(X, rng)
    assert (many(x)[0] - one(x)).norm() <= 1e-14 * x.norm()
    assert (many.adjoint(many(x)) - one.adjoint(one(x))).norm() <= 1e-14 * x.norm()
    assert many.range[0] == one.range


def test_full_sampling_with_normalized_maps_is_an_isometry(rng):
    X = odl.uniform_discr([-1, -1], [1, 1], (8, 6), dtype="complex128")
    A = ops.MultiCoilFourier(X, np.ones((8, 6)), data.simulated_sensitivities(X, 4))
    x = ops.random_element(X, rng)
    assert (A.normal(x) - x).norm() < 1e-13 * x.norm()
    assert ops.operator_norm(A) == pytest.approx(1, rel=1e-14)


def test_norm(rng):
    X, maps = complex_space((4, 6)), random_maps((4, 6), 3, rng)
    for weights in (np.full((4, 6), -2.0), rng.random((4, 6))):
        A = ops.MultiCoilFourier(X, weights, maps)
        exact = np.linalg.norm(dense(A), 2)
        constant = np.ptp(weights) == 0
        assert (ops.exact_norm(A) is not None) == constant
        assert ops.operator_norm(A) == pytest.approx(exact, rel=1e-12 if constant else 2e-3)
        assert ops.operator_norm(A) >= exact * (1 - 1e-12)
        assert (ops.exact_norm(A.adjoint) is None) != constant


def test_arguments_are_copied(rng):
    maps = random_maps((4, 4), 2, rng).astype("complex64")
    A = ops.MultiCoilFourier(complex_space((4, 4), "complex64"), np.ones((4, 4)), maps)
    maps[:] = 0
    assert np.abs(A.sensitivities).min() > 0 and A.sensitivities.dtype == np.complex64


def test_errors(rng):
    X, weights, maps = complex_space((4, 5)), np.ones((4, 5)), random_maps((4, 5), 3, rng)
    with pytest.raises(TypeError, match="complex numpy"):
        ops.MultiCoilFourier(odl.uniform_discr([0, 0], [1, 1], (4, 5)), weights, maps)
    with pytest.raises(ValueError, match=r"weights has shape \(5, 4\)"):
        ops.MultiCoilFourier(X, weights.T, maps)
    with pytest.raises(ValueError, match="simulated_sensitivities"):
        ops.MultiCoilFourier(X, weights, np.ones(5))
    with pytest.raises(ValueError, match=r"\(4, 5\), expected \(4, 4, 5\)"):
        ops.MultiCoilFourier(X, weights, maps[0])
    with pytest.raises(ValueError, match="NaN or infinite"):
        ops.MultiCoilFourier(X, weights, np.where(maps == maps[0, 0, 0], np.nan, maps))
    with pytest.raises(TypeError, match="power space of 3"):
        ops.MultiCoilFourier(X, weights, maps, range=X)
    with pytest.raises(ValueError, match="2 factors, expected 3"):
        ops.MultiCoilFourier(X, weights, maps, range=odl.cn((4, 5)) ** 2)
    with pytest.raises(TypeError, match="constant"):
        ops.MultiCoilFourier(
            X, weights, maps, range=odl.ProductSpace(odl.cn((4, 5)), 3, weighting=[1, 2, 3]))


# Sensitivities


@pytest.mark.parametrize(("dtype", "expected"), [("float32", "complex64"),
                                                 ("complex128", "complex128")])
def test_sensitivities_are_normalized_and_smooth(dtype, expected):
    X = odl.uniform_discr([0, 0], [3, 1], (30, 20), dtype=dtype)
    maps = data.simulated_sensitivities(X, 6)
    assert maps.shape == (6, 30, 20) and maps.dtype == expected
    np.testing.assert_allclose(np.sum(np.abs(maps) ** 2, axis=0), 1, atol=1e-6)
    # A cell is at most 2 / 20 of the square, where neither phase nor logarithm of the modulus
    # changes by more than |p| + 2 |p| = 3.6 per unit length.
    assert np.abs(np.diff(maps, axis=1)).max() < 0.36 and np.abs(np.diff(maps, axis=2)).max() < 0.36


def test_sensitivity_is_largest_next_to_its_coil():
    X = odl.uniform_discr([-1, -1], [1, 1], (20, 20))
    maps = np.abs(data.simulated_sensitivities(X, 4))  # coils right, top, left, bottom
    assert [np.argmax(m) for m in (maps[0][:, 10], maps[1][10], maps[2][:, 10], maps[3][10])] == [
        19, 19, 0, 0]


def test_sensitivities_do_not_depend_on_the_grid():
    coarse, fine = (odl.uniform_discr([0, 0], [1, 1], (n, n)) for n in (5, 15))
    np.testing.assert_allclose(data.simulated_sensitivities(coarse, 3),
                               data.simulated_sensitivities(fine, 3)[:, 1::3, 1::3], atol=1e-14)


def test_sensitivities_errors():
    X = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    with pytest.raises(TypeError, match="two-dimensional"):
        data.simulated_sensitivities(odl.rn(4), 2)
    with pytest.raises(TypeError, match="whole number"):
        data.simulated_sensitivities(X, 2.0)
    with pytest.raises(ValueError, match="at least 1"):
        data.simulated_sensitivities(X, 0)


# Native rules


def lines(shape, axis, rng):
    mask = np.moveaxis(np.zeros(shape, bool), axis, 0)
    mask[rng.permutation(shape[axis])[: shape[axis] // 2]] = True
    return np.moveaxis(mask, 0, axis)


@pytest.mark.parametrize(("axis", "dims"), [(0, (-2,)), (1, (-1,)), (None, (-2, -1))])
def test_normal_operator_transforms_only_sampled_axes(axis, dims, rng):
    shape = (6, 5)
    weights = rng.random(shape) if axis is None else lines(shape, axis, rng)
    X = complex_space(shape)
    single = ops.SampledFourier(X, weights)
    coils = ops.MultiCoilFourier(X, weights, random_maps(shape, 2, rng))
    for op, kind in ((single, FourierNormal), (coils, CoilFourierNormal)):
        module = as_module(op.adjoint @ op)
        assert isinstance(module.native, kind) and module.native.dims == dims
        x = ops.random_element(X, rng)
        expected = torch.from_numpy(op.adjoint(op(x)).data)
        torch.testing.assert_close(module(as_tensor(op, x)), expected, rtol=1e-12, atol=1e-13)


def test_normal_operator_without_sampling_needs_no_transform(rng, monkeypatch):
    X = complex_space((4, 6))
    A = ops.MultiCoilFourier(X, np.full((4, 6), 0.5), random_maps((4, 6), 2, rng))
    x = ops.random_element(X, rng)
    expected = torch.from_numpy(A.normal(x).data)
    monkeypatch.setattr(torch.fft, "fftn", None)
    torch.testing.assert_close(as_module(A.normal)(as_tensor(A, x)), expected)


def test_normal_operator_inside_an_expression_and_of_two_operators(rng):
    X = complex_space((4, 5))
    A, B = (ops.SampledFourier(X, rng.random((4, 5))) for _ in range(2))
    C, D = (ops.MultiCoilFourier(X, rng.random((4, 5)), random_maps((4, 5), 2, rng))
            for _ in range(2))
    x = ops.random_element(X, rng)
    for op in (2 * (A.adjoint @ A) + odl.IdentityOperator(X), A.adjoint @ B, C.adjoint @ D):
        expected = torch.from_numpy(op(x).data)
        torch.testing.assert_close(as_module(op)(as_tensor(op, x)), expected, rtol=1e-12,
                                   atol=1e-13)
    assert isinstance(as_module(A.adjoint @ B).native, FourierNormal)
    assert isinstance(as_module(C.adjoint @ D).native, Composition)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_few_lines_are_transformed_alone(axis, rng):
    shape = (6, 5, 7)
    mask = np.moveaxis(np.zeros(shape), axis, 0)
    mask[[0, 3]] = rng.random(mask[:2].shape)
    A = ops.MultiCoilFourier(complex_space(shape), np.moveaxis(mask, 0, axis),
                             random_maps(shape, 2, rng))
    native = as_module(A).native
    assert isinstance(native, CoilFourierLines) and native.axis == axis - 3
    assert native.lines.tolist() == [0, 3]
    x, y = ops.random_element(A.domain, rng), ops.random_element(A.range, rng)
    for op, element in ((A, x), (A.adjoint, y)):
        expected = as_tensor(op.adjoint, op(element))
        torch.testing.assert_close(as_module(op)(as_tensor(op, element)), expected, rtol=1e-12,
                                   atol=1e-13)


def test_many_lines_are_transformed_together(rng):
    A = ops.MultiCoilFourier(complex_space((6, 5)), lines((6, 5), 0, rng),
                             random_maps((6, 5), 2, rng))
    assert type(as_module(A).native) is CoilFourier


def test_no_samples_at_all(rng):
    A = ops.MultiCoilFourier(complex_space((4, 5)), np.zeros((4, 5)), random_maps((4, 5), 2, rng))
    x = as_tensor(A, ops.random_element(A.domain, rng))
    for op in (A, A.normal):
        assert torch.count_nonzero(as_module(op)(x)) == 0


def test_modules_of_even_shapes_use_real_weights_and_single_precision(rng):
    X = complex_space((4, 6), "complex64")
    module = as_module(ops.MultiCoilFourier(X, rng.random((4, 6)), random_maps((4, 6), 2, rng)))
    assert module.native.weights.dtype == torch.float32
    assert module.native.sensitivities.dtype == torch.complex64
    odd = ops.MultiCoilFourier(complex_space((5, 6)), rng.random((5, 6)),
                               random_maps((5, 6), 2, rng))
    assert as_module(odd).native.weights.dtype == torch.complex128


def test_sense_reconstruction_by_conjugate_gradients(rng):
    """From a third of the lines, four coils give back the image, as a dense solver does."""
    X = odl.uniform_discr([-1, -1], [1, 1], (12, 10), dtype="complex128")
    mask = np.zeros((12, 10), bool)
    mask[::3] = True
    A = ops.MultiCoilFourier(X, mask, data.simulated_sensitivities(X, 6))
    truth = ops.random_element(X, rng)
    matrix = dense(A)
    assert np.linalg.cond(matrix) < 1e3
    expected = np.linalg.lstsq(matrix, matrix @ truth.data.ravel(), rcond=None)[0]
    x = X.zero()
    odl.solvers.conjugate_gradient(A.normal, x, A.adjoint(A(truth)), niter=400)
    np.testing.assert_allclose(x.data.ravel(), expected, atol=1e-6)
    assert math.isclose((x - truth).norm(), 0, abs_tol=1e-6)
