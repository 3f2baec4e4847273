"""Ray transforms of ODL elements by matrices: the values of ASTRA, the pair of the bridge."""

import copy
import gc
import pickle
import warnings

import numpy as np
import odl
import pytest
from odl.applications import tomo
from odl.applications.tomo.backends.astra_cpu import AstraCpuImpl
from ray_transforms import GEOMETRIES, transform

from odl_learned import operators
from odl_learned.bridge import as_module
from odl_learned.operators.tomography.projectors import matrices
from odl_learned.operators.tomography.projectors.implementation import MatrixImpl


def relative(a, b):
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_elements_have_the_values_of_astra(name, dtype, rng):
    astra, ours = (transform(name, dtype, impl) for impl in ("astra_cpu", MatrixImpl))
    for A, M in ((astra, ours), (astra.adjoint, ours.adjoint)):
        x = operators.random_element(A.domain, rng)
        # sums of at most 40 numbers in single precision
        assert relative(M(x), A(x)) < 1e-6
        out = M.range.element()
        assert M(x, out=out) is out and out == M(x)
        assert M(x).dtype == A.range.dtype
    x, y = operators.random_element(ours.domain, rng), operators.random_element(ours.range, rng)
    difference = ours(x).inner(y) - x.inner(ours.adjoint(y))
    assert abs(difference) < 1e-6 * ours(x).norm() * y.norm()


def test_elements_and_tensors_share_the_matrix():
    gc.collect()
    op = transform(impl=MatrixImpl)
    op(op.domain.one())
    pair = op.get_impl()._computer
    tensors = as_module(op).native.pair
    for host, tensor in ((pair.matrix, tensors.matrix), (pair.transpose, tensors.transpose)):
        assert tensor.values().numpy().ctypes.data == host.data.ctypes.data
        assert tensor.col_indices().numpy().ctypes.data == host.indices.ctypes.data
    for other in (transform(impl=MatrixImpl), copy.deepcopy(op), pickle.loads(pickle.dumps(op))):
        other(other.domain.one())
        assert other.get_impl()._computer is pair


def test_subsets_of_views_are_computed_in_the_same_way(rng):
    space = odl.uniform_discr([-1, -1], [1, 1], (16, 16), dtype="float32")
    A, x = operators.parallel_ray_transform(space, 6), operators.random_element(space, rng)
    whole = A(x).data
    for k, part in enumerate(operators.view_subsets(A, 2)):
        assert part.impl == "MatrixImpl" and np.array_equal(part(x).data, whole[k::2])
    plain = tomo.RayTransform(space, A.geometry, impl="astra_cpu")
    assert operators.view_subsets(plain, 2)[0].impl == "astra_cpu"
    kept = operators.kept_views(A, np.array([True, False, True, False, True, True]))
    assert np.array_equal(kept(x).data, whole[[0, 2, 4, 5]])


@pytest.mark.parametrize("why", ["too large", "on torch"])
def test_astra_computes_where_there_is_no_matrix(why, rng, monkeypatch):
    monkeypatch.setattr(matrices, "SPARSE_LIMIT", 0 if why == "too large" else 2**31)
    impl = "numpy" if why == "too large" else "pytorch"
    op = transform(impl=MatrixImpl, space_impl=impl)
    x = op.domain.element(rng.standard_normal(op.domain.shape))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        y = op(x)
    assert isinstance(op.get_impl()._computer, AstraCpuImpl)
    assert [str(w.filename) for w in said] == ([__file__] if why == "too large" else [])
    assert relative(y, transform(space_impl=impl)(x)) == 0
    assert relative(op.adjoint(y), transform(space_impl=impl).adjoint(y)) == 0


def test_the_warning_of_the_bridge_points_at_its_caller(monkeypatch):
    monkeypatch.setattr(matrices, "SPARSE_LIMIT", 0)
    op = transform()
    for expression in (op, 2.0 * op.adjoint @ op):
        with pytest.warns(RuntimeWarning, match="SPARSE_LIMIT to change") as said:
            as_module(expression)
        assert {w.filename for w in said} == {__file__}


def test_volumes_are_told_where_to_go():
    volumes = odl.uniform_discr([-1] * 3, [1] * 3, (4, 4, 4), dtype="float32")
    flat = odl.uniform_partition([-2, -1], [2, 1], (6, 4))
    beams = tomo.Parallel3dAxisGeometry(odl.uniform_partition(0, 3, 3), flat)
    with pytest.raises(TypeError, match="has 3 dimensions, expected 2; volumes have StackedImpl"):
        tomo.RayTransform(volumes, beams, impl=MatrixImpl)(volumes.one())
