"""The ray transform in torch as a sparse matrix: values, derivatives, precisions."""

import numpy as np
import odl
import pytest
import torch
from odl.applications import tomo
from odl.applications.tomo.backends.astra_cpu import AstraCpuImpl
from ray_transforms import (
    GEOMETRIES,
    by_odl,
    check_against_odl,
    close,
    dense,
    draw,
    fan,
    lowered,
    parallel,
    transform,
)

from odl_learned import operators
from odl_learned.bridge import as_module
from odl_learned.bridge.loops.generic import GenericLinear, GenericNonlinear
from odl_learned.bridge.ray.sparse import SparsePair
from odl_learned.operators.tomography.projectors import matrices


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_sparse_module_is_the_operator(geometry, dtype, rng):
    op = transform(geometry, dtype)
    assert isinstance(as_module(op).native.pair, SparsePair)
    check_against_odl(op, rng)


@pytest.mark.parametrize("impl", ["astra_cpu", AstraCpuImpl])
@pytest.mark.parametrize("space_impl", ["numpy", "pytorch"])
def test_module_of_other_impls(impl, space_impl, rng):
    op = transform(impl=impl, space_impl=space_impl)
    assert isinstance(as_module(op).native.pair, SparsePair)
    check_against_odl(op, rng)


def test_jacobian_is_the_dense_matrix_of_odl():
    for op in (transform(), transform("fan"), transform().adjoint):
        x = torch.zeros(op.domain.shape)
        jacobian = torch.autograd.functional.jacobian(as_module(op), x)
        matrix = dense(op)
        assert close(jacobian.reshape(matrix.shape).double(), matrix)


@pytest.mark.parametrize("limit", [0, matrices.SPARSE_LIMIT])
def test_pair_is_matched(limit, rng, monkeypatch):
    monkeypatch.setattr(matrices, "SPARSE_LIMIT", limit)
    space = odl.uniform_discr([-1, -1], [1, 1], (48, 48), dtype="float32")
    angles, detector = odl.uniform_partition(0, np.pi, 30), odl.uniform_partition(-2, 2, 80)
    for geometry in (parallel(angles, detector), fan(angles, detector)):
        op = tomo.RayTransform(space, geometry, impl="astra_cpu")
        pair = lowered(op).native.pair
        x, y = draw(op.domain, rng), draw(op.range, rng)
        ahead, back = pair.project(x).double(), pair.backproject(y).double()
        mismatch = (ahead * y).sum() - (x * back).sum()
        assert abs(mismatch) <= 1e-6 * ahead.norm() * y.norm()


@pytest.mark.filterwarnings("ignore:Complex modules are a new feature")
@pytest.mark.parametrize(("dtype", "wide"), [("float32", torch.float64),
                                             ("complex64", torch.complex128)])
def test_double_precision_passes_the_gradient_checks(dtype, wide, rng):
    for op in (transform(dtype=dtype), transform("fan", dtype).adjoint):
        module = as_module(op).to(wide)
        x = draw(op.domain, rng, 2).to(wide).requires_grad_()
        assert torch.autograd.gradcheck(module, x, check_forward_ad=True)
        assert torch.autograd.gradgradcheck(lambda x: module(x) ** 2, x)


def test_double_of_a_complex_module_changes_nothing(rng):
    op = transform(dtype="complex64")
    module, x = as_module(op).double(), draw(op.domain, rng)
    assert torch.equal(module(x), as_module(op)(x))


def test_double_precision_space(rng):
    x = draw(transform().domain, rng, 2)
    module = as_module(transform(dtype="float64"))
    assert close(module(x.double()).float(), as_module(transform())(x))
    assert module(x.double()).dtype == torch.float64


def test_conjugate_and_empty_batches(rng):
    for limit in (0, matrices.SPARSE_LIMIT):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(matrices, "SPARSE_LIMIT", limit)
            real, op = lowered(transform()), transform(dtype="complex64")
            module, x = lowered(op), draw(op.domain, rng, 2)
        # The columns are the same numbers, and rounding to nearest commutes with the sign; but the
        # product may add up an image alone in another order than two side by side.
        assert torch.equal(module(x.conj()), module(x.conj().resolve_conj()))
        assert torch.equal(real(x.conj().imag), -real(x.imag))
        assert close(module(x[0].conj()), module(x.conj())[0])
        assert module(x[:0]).shape == (0, *op.range.shape)
        assert module(x[:0]).dtype == torch.complex64


def test_autocast_leaves_the_precision(rng):
    module, x = as_module(transform()), draw(transform().domain, rng)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = module(x)
    assert torch.equal(inside, module(x)) and inside.dtype == torch.float32


def test_half_precision_is_refused():
    module = as_module(transform())
    with pytest.raises(TypeError, match="expected torch.float32 or torch.float64"):
        module.native.half()
    assert module.native.pair.matrix.dtype == torch.float32
    with pytest.raises(TypeError, match="its matrix is torch.float32"):
        module.native(torch.zeros(6, 8, dtype=torch.float64))


def test_pixels_that_are_not_square():
    space = odl.uniform_discr([-1, -1], [1, 2], (6, 8), dtype="float32")
    op = tomo.RayTransform(space, GEOMETRIES["parallel"], impl="astra_cpu")
    with pytest.raises(NotImplementedError, match="expected equal ones.*Choose the number"):
        as_module(op)


def test_filtered_backprojection_is_native_and_transposed_exactly(rng):
    space = odl.uniform_discr([-1, -1], [1, 1], (8, 8), dtype="float32")
    op = operators.fbp(operators.parallel_ray_transform(space, 6))
    module, y = as_module(op), draw(op.domain, rng, 2)
    assert not [m for m in module.modules() if isinstance(m, (GenericLinear, GenericNonlinear))]
    assert close(module(y), by_odl(op, y))
    matrix = dense(op)
    y, g = y[0].requires_grad_(), draw(op.range, rng)
    (back,) = torch.autograd.grad(module(y), y, g)
    assert close(back.flatten().double(), matrix.T @ g.flatten().double())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_matrices_follow_their_module_to_cuda(rng):
    op = transform()
    module, x = as_module(op), draw(op.domain, rng, 2)
    expected = module(x)
    assert close(module.to("cuda:0")(x.to("cuda:0")).cpu(), expected)
    assert module.native.pair.matrix.is_cuda
