"""Parallel beams in space: the transform of the plane on every slice, and what is no slice."""

import copy
import pickle
import warnings

import numpy as np
import odl
import pytest
import torch
from odl.applications import tomo
from ray_transforms import by_odl, close, dense, draw, lowered

from odl_learned import operators as ops
from odl_learned.bridge import as_module
from odl_learned.bridge.ray.stacked import StackedPair
from odl_learned.learning.files.operator_recipes import build_operator, describe_operator
from odl_learned.operators.tomography.projectors import matrices
from odl_learned.operators.tomography.projectors.stacked import StackedImpl, plane_of

ANGLES, BINS = odl.uniform_partition(0, np.pi, 6), odl.uniform_partition(-1.5, 1.5, 9)


def volumes(shape=(6, 6, 4), dtype="float32", **options):
    """Slices of square pixels of another height, off the origin along the axis."""
    return odl.uniform_discr([-1, -1, -0.5], [1, 1, 0.7], shape, dtype=dtype, **options)


def pixels(dtype="float32"):
    return odl.uniform_discr([-1, -1], [1, 1], (6, 6), dtype=dtype)


def of_geometry(geometry, dtype="float32"):
    return tomo.RayTransform(volumes(dtype=dtype), geometry, impl=StackedImpl)


def moved():
    """Views at any angles, a detector that is turned, off center, and translated."""
    rows = volumes().partition.byaxis[2]
    low, high = float(rows.min_pt[0]) - 0.2, float(rows.max_pt[0]) - 0.2
    detector = odl.uniform_partition([-1.4, low], [1.6, high], (9, 4))
    return tomo.Parallel3dAxisGeometry(
        odl.nonuniform_partition([0.1, 0.3, 0.9, 1.4, 2.8]), detector, det_pos_init=(1, 2, 0),
        det_axes_init=((-2, 1, 0), (0, 0, 1)), translation=(0.3, -0.4, 0.2))


def moved_plane():
    return tomo.Parallel2dGeometry(
        odl.nonuniform_partition([0.1, 0.3, 0.9, 1.4, 2.8]), odl.uniform_partition(-1.4, 1.6, 9),
        (1, 2), det_axis_init=(-2, 1), translation=(0.3, -0.4))


def pairs():
    """Transforms of volumes, and of their slices as they are built in the plane."""
    angles = [0.2, 0.5, 1.3]
    return [
        (ops.parallel_ray_transform(volumes(), 6), ops.parallel_ray_transform(pixels(), 6)),
        (ops.scanned_parallel_beam(volumes(), angles, 9, 0.3, 3.5),
         ops.scanned_parallel_beam(pixels(), angles, 9, 0.3, 3.5)),
        (of_geometry(moved()), tomo.RayTransform(pixels(), moved_plane(), impl="astra_cpu")),
    ]  # fmt: skip


@pytest.mark.parametrize("case", range(3))
def test_every_slice_is_projected_as_an_image(case, rng):
    A, plane = pairs()[case]
    assert A.range.shape == (*plane.range.shape, 4)
    x, y = ops.random_element(A.domain, rng), ops.random_element(A.range, rng)
    data, back = A(x), A.adjoint(y)
    # to the bit where SciPy multiplies one column and several in the same order; ASTRA adds up at
    # most 9 * 5 products in an order of its own
    tolerance = 0 if plane.impl == "MatrixImpl" else 1e-6
    for k in range(4):
        image, view = plane.domain.element(x.data[..., k]), plane.range.element(y.data[..., k])
        expected, transposed = plane(image).data, plane.adjoint(view).data
        assert np.abs(data.data[..., k] - expected).max() <= tolerance * np.abs(expected).max()
        # the ratio of the weights is rounded once more
        assert np.abs(back.data[..., k] - transposed).max() <= (
            max(tolerance, 2**-22) * np.abs(transposed).max())
    out = A.range.element()
    assert A(x, out=out) is out and out == data
    assert abs(data.inner(y) - x.inner(back)) <= 1e-6 * data.norm() * y.norm()


@pytest.mark.parametrize("options", [{}, {"weighting": 1.0}, {"weighting": 2.5}])
def test_adjoint_in_the_inner_products_of_the_spaces(options, rng):
    space = volumes(**options)
    geometry = ops.parallel_ray_transform(volumes(), 6).geometry
    data = odl.uniform_discr_frompartition(geometry.partition, dtype="float32", weighting=0.7)
    A = tomo.RayTransform(space, geometry, impl=StackedImpl, proj_space=data)
    x, y = ops.random_element(space, rng), ops.random_element(data, rng)
    assert abs(A(x).inner(y) - x.inner(A.adjoint(y))) <= 1e-6 * A(x).norm() * y.norm()
    matrix = dense(A).numpy() * np.sqrt(0.7 / space.weighting.const)
    # the norm of a matrix whose entries are rounded to 2^-24 relative
    assert np.linalg.norm(matrix, 2) <= ops.operator_norm(A, rtol=1e-4) * (1 + 1e-6)
    assert ops.operator_norm(A, rtol=1e-4) <= np.linalg.norm(matrix, 2) * (1 + 2e-4)


@pytest.mark.parametrize("dtype", ["float32", "complex64", "float64"])
@pytest.mark.parametrize("limit", [0, matrices.SPARSE_LIMIT])
def test_modules_are_the_operator(limit, dtype, rng, monkeypatch):
    if limit == 0 and dtype == "float64":
        pytest.skip("ASTRA computes in single precision only")
    monkeypatch.setattr(matrices, "SPARSE_LIMIT", limit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for op in (of_geometry(moved(), dtype), of_geometry(moved(), dtype).adjoint):
            module, x = as_module(op), draw(op.domain, rng, 3)
            assert any(isinstance(getattr(m, "pair", None), StackedPair) for m in module.modules())
            assert close(module(x), by_odl(op, x))
            assert all(torch.equal(module(x)[i], module(x[i])) for i in range(3))
            assert torch.equal(module(x.reshape(3, 1, *x.shape[1:])), module(x).unsqueeze(1))
            assert module(x[:0]).shape == (0, *op.range.shape)


def test_one_slice_and_one_volume(rng):
    A = ops.parallel_ray_transform(volumes((6, 6, 1)), 6)
    plane, x = ops.parallel_ray_transform(pixels(), 6), draw(A.domain, rng)
    expected = as_module(plane)(x[..., 0])
    assert torch.equal(as_module(A)(x)[..., 0], expected)
    assert np.array_equal(A(A.domain.element(x.numpy())).data[..., 0],
                          plane(plane.domain.element(x[..., 0].numpy())).data)  # fmt: skip


def test_derivatives_of_every_order(rng):
    op = ops.scanned_parallel_beam(volumes((6, 6, 2)), [0.2, 1.3], 5, 0.6, 2.2)
    module = as_module(op).double()
    x = draw(op.domain, rng).double().requires_grad_()
    assert torch.autograd.gradcheck(module, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda x: module(x) ** 2, x)
    x = torch.zeros(op.domain.shape)
    jacobian = torch.autograd.functional.jacobian(as_module(op), x)
    matrix = dense(op)
    assert close(jacobian.reshape(matrix.shape).double(), matrix)


@pytest.mark.parametrize("why", ["too large", "on torch"])
def test_astra_projects_the_slices_where_there_is_no_matrix(why, rng, monkeypatch):
    expected = of_geometry(moved())
    x, y = ops.random_element(expected.domain, rng), ops.random_element(expected.range, rng)
    expected = expected(x).data, expected.adjoint(y).data
    monkeypatch.setattr(matrices, "SPARSE_LIMIT", 0 if why == "too large" else 2**31)
    space = volumes(impl="numpy" if why == "too large" else "pytorch")
    op = tomo.RayTransform(space, moved(), impl=StackedImpl)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        got = op(space.element(x.data)), op.adjoint(op.range.element(y.data))
    assert len([w for w in said if "SPARSE_LIMIT" in str(w.message)]) == (why == "too large")
    assert plane_of(op).get_impl().pair is None
    for ours, matrix in zip(got, expected, strict=True):
        assert np.abs(np.asarray(ours.data) - matrix).max() <= 1e-6 * np.abs(matrix).max()


def test_views_pickles_and_recipes(rng):
    A = of_geometry(moved())
    x = ops.random_element(A.domain, rng)
    whole = A(x).data
    kept = ops.kept_views(A, np.array([True, False, True, True, False]))
    assert np.array_equal(kept(x).data, whole[[0, 2, 3]])
    for k, part in enumerate(ops.view_subsets(A, 2)):
        assert part.impl == "StackedImpl" and np.array_equal(part(x).data, whole[k::2])
    for other in (copy.deepcopy(A), pickle.loads(pickle.dumps(A)),
                  build_operator(describe_operator(A))):  # fmt: skip
        assert other.domain == A.domain and other.range == A.range
        assert np.array_equal(other(x).data, whole)
    module, tensor = as_module(A), torch.from_numpy(x.data)
    assert torch.equal(pickle.loads(pickle.dumps(module))(tensor), module(tensor))


def test_filtered_backprojection_slice_by_slice(rng):
    A, plane = pairs()[0]
    for of_volume, of_plane in ((A, plane), (-2.0 * A, -2.0 * plane)):
        inverse, flat = ops.fbp(of_volume, "Hamming", 0.9), ops.fbp(of_plane, "Hamming", 0.9)
        y = ops.random_element(A.range, rng)
        x, transposed = inverse(y).data, inverse.adjoint(inverse(y)).data
        for k in range(4):
            image = flat(plane.range.element(y.data[..., k]))
            # the filter is a product of BLAS, of nine numbers in single precision
            assert np.abs(x[..., k] - image.data).max() <= 2e-6 * np.abs(image.data).max()
            # the adjoint of a slice has the weights of the plane, whose ratio is the same
            back = flat.adjoint(image).data
            assert np.abs(transposed[..., k] - back).max() <= 4e-6 * np.abs(back).max()
    tensor = torch.from_numpy(y.data)
    assert close(as_module(inverse)(tensor), torch.from_numpy(x))
    with pytest.warns(RuntimeWarning, match="have to reach"):
        ops.fbp(ops.parallel_ray_transform(volumes(), 6, det_half_width=0.6))
    with pytest.raises(ValueError, match="expected at least 2"):
        ops.fbp(ops.parallel_ray_transform(volumes(), 6, num_bins=1))


def test_symmetrized_volumes_commute_with_quarter_turns(rng, monkeypatch):
    A, plane = ops.parallel_ray_transform(volumes(), 6), ops.parallel_ray_transform(pixels(), 6)
    S, flat = ops.SymmetrizedRayTransform(A), ops.SymmetrizedRayTransform(plane)
    x, y = ops.random_element(A.domain, rng), ops.random_element(A.range, rng)
    for k in range(4):
        image = plane.domain.element(x.data[..., k])
        assert np.array_equal(S(x).data[..., k], flat(image).data)
    turn, of_data = ops.QuarterTurn(A.domain, 1), ops.SinogramTurn(A, 1)
    assert np.abs((S(turn(x)) - of_data(S(x))).data).max() <= 1e-6 * np.abs(S(x).data).max()
    assert abs(S(x).inner(y) - x.inner(S.adjoint(y))) <= 1e-6 * S(x).norm() * y.norm()
    inverse = ops.fbp(S)
    assert np.abs((inverse(of_data(y)) - turn(inverse(y))).data).max() <= (
        4e-6 * np.abs(inverse(y).data).max())
    for limit in (matrices.SPARSE_LIMIT, 0):
        monkeypatch.setattr(matrices, "SPARSE_LIMIT", limit)
        for op in (S, S.adjoint, turn, of_data, inverse):
            batch = draw(op.domain, rng, 2)
            assert close(lowered(op)(batch), by_odl(op, batch), 2e-6)


def test_what_is_no_slice_is_refused():
    rows = volumes().partition.byaxis[2]
    detector = BINS.append(rows)
    refused = {
        "turns about .0, 1, 0.": tomo.Parallel3dAxisGeometry(ANGLES, detector, axis=(0, 1, 0)),
        "turns about .0, 0, -1.": tomo.Parallel3dAxisGeometry(ANGLES, detector, axis=(0, 0, -1)),
        "stacked along .0, 0, -1.": tomo.Parallel3dAxisGeometry(
            ANGLES, detector, det_axes_init=((1, 0, 0), (0, 0, -1))),
        "rows along .0.8, 0, 0.6.": tomo.Parallel3dAxisGeometry(
            ANGLES, detector, det_axes_init=((0.8, 0, 0.6), (0, 0, 1))),
        "5 rows": tomo.Parallel3dAxisGeometry(
            ANGLES, BINS.append(odl.uniform_partition(-0.5, 0.7, 5))),
        "rows from -0.34": tomo.Parallel3dAxisGeometry(
            ANGLES, BINS.append(odl.uniform_partition(-0.49, 0.71, 4))),
        "rows from -0.25": tomo.Parallel3dAxisGeometry(ANGLES, detector, translation=(0, 0, 0.1)),
        "ConeBeamGeometry": tomo.ConeBeamGeometry(
            odl.uniform_partition(0, 2 * np.pi, 6), detector, src_radius=4, det_radius=2),
    }  # fmt: skip
    for message, geometry in refused.items():
        op = of_geometry(geometry)
        for use in (lambda op=op: op(op.domain.one()), lambda op=op: as_module(op)):
            with pytest.raises(NotImplementedError, match=f"{message}.*parallel_ray_transform.*"
                                                          "cone_beam"):
                use()
