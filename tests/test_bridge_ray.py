"""The ray transform in torch against ODL and ASTRA: values, transposes, sharing, the disk."""

import copy
import gc
import math
import os
import pickle
import warnings

import astra
import numpy as np
import odl
import pytest
import torch
from odl.applications import tomo
from odl.applications.tomo.backends.astra_cpu import AstraCpuImpl

from odl_learned import operators
from odl_learned.bridge import as_module, ray
from odl_learned.bridge.generic import GenericLinear, GenericNonlinear
from odl_learned.bridge.layout import layout_of
from odl_learned.bridge.ray import sparse as ray_sparse
from odl_learned.bridge.ray.geometry import ray_geometry
from odl_learned.bridge.ray.linked import LinkedPair, LinkedVolumePair
from odl_learned.bridge.ray.sparse import SparsePair

HALF_TURN, FULL_TURN = odl.uniform_partition(0, np.pi, 5), odl.uniform_partition(0, 2 * np.pi, 5)
NONUNIFORM = odl.nonuniform_partition([0.1, 0.3, 0.9, 1.4, 2.8])
DETECTOR, SHIFTED = odl.uniform_partition(-2, 2, 11), odl.uniform_partition(-1.5, 2.5, 11)


def parallel(angles, detector):
    return tomo.Parallel2dGeometry(angles, detector)


def fan(angles, detector):
    return tomo.FanBeamGeometry(angles, detector, src_radius=5, det_radius=4)


GEOMETRIES = {
    "parallel": parallel(HALF_TURN, DETECTOR),
    "parallel, nonuniform": parallel(NONUNIFORM, DETECTOR),
    "parallel, shifted": parallel(HALF_TURN, SHIFTED),
    "fan": fan(FULL_TURN, DETECTOR),
    "fan, nonuniform, shifted": fan(NONUNIFORM, SHIFTED),
}


def transform(geometry="parallel", dtype="float32", impl="astra_cpu", space_impl="numpy"):
    """A ray transform of an off-center rectangle of square pixels of area 0.16."""
    space = odl.uniform_discr([-1, -1.5], [1.4, 1.7], (6, 8), dtype=dtype, impl=space_impl)
    return tomo.RayTransform(space, GEOMETRIES[geometry], impl=impl)


@pytest.fixture
def linked(monkeypatch):
    """No memory for matrices."""
    monkeypatch.setattr(ray, "SPARSE_LIMIT", 0)


def lowered(op):
    """The module, without the warning of the fallback."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return as_module(op)


def draw(space, rng, *lead):
    """A batch of random tensors of a space."""
    layout = layout_of(space)
    x = torch.from_numpy(rng.standard_normal((2, *lead, *layout.shape)))
    return (torch.complex(x[0], x[1]) if layout.dtype.is_complex else x[0]).to(layout.dtype)


def by_odl(op, x):
    """The operator on every sample of a batch with one leading axis."""
    source, target = layout_of(op.domain), layout_of(op.range)
    return torch.stack([target.to_tensor(op(source.to_element(item))) for item in x])


def dense(op):
    """Matrix of a real operator, column by column through ODL, in double precision."""
    basis = torch.eye(op.domain.size).reshape(-1, *op.domain.shape)
    return by_odl(op, basis).reshape(op.domain.size, -1).T.double()


def close(got, expected, tolerance=1e-6):
    assert got.shape == expected.shape and got.dtype == expected.dtype
    difference = (got - expected).detach().abs().max()
    return float(difference / expected.detach().abs().max()) <= tolerance


def check_against_odl(op, rng):
    for operator in (op, op.adjoint):
        module, x = lowered(operator), draw(operator.domain, rng, 3)
        assert close(module(x), by_odl(operator, x))
        assert torch.equal(module(x.reshape(3, 1, *x.shape[1:])), module(x).unsqueeze(1))
        assert close(module(x[0]), module(x)[0])


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_sparse_module_is_the_operator(geometry, dtype, rng):
    op = transform(geometry, dtype)
    assert isinstance(as_module(op).native.pair, SparsePair)
    check_against_odl(op, rng)


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_linked_module_is_the_operator(geometry, dtype, rng, linked):
    op = transform(geometry, dtype)
    assert isinstance(lowered(op).native.pair, LinkedPair)
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


@pytest.mark.parametrize("limit", [0, ray.SPARSE_LIMIT])
def test_pair_is_matched(limit, rng, monkeypatch):
    monkeypatch.setattr(ray, "SPARSE_LIMIT", limit)
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


def test_linked_derivatives_of_second_order(rng, linked):
    op = transform()
    module, matrix = lowered(op), dense(op).float()
    x, h = draw(op.domain, rng), draw(op.domain, rng)

    def energy(x):
        return (module(x) ** 3).sum()

    _, product = torch.autograd.functional.hvp(energy, x, h)
    data, direction = matrix @ x.flatten(), matrix @ h.flatten()
    expected = matrix.T @ (6 * data * direction)
    assert close(product.flatten(), expected, 1e-5)
    value, derivative = torch.func.jvp(module, (x,), (h,))
    assert close(derivative.flatten(), direction)
    assert close(torch.func.vmap(torch.func.grad(energy))(torch.stack([x, h]))[0].flatten(),
                 matrix.T @ (3 * data**2), 1e-5)


def test_conjugate_and_empty_batches(rng):
    for limit in (0, ray.SPARSE_LIMIT):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ray, "SPARSE_LIMIT", limit)
            real, op = lowered(transform()), transform(dtype="complex64")
            module, x = lowered(op), draw(op.domain, rng, 2)
        assert torch.equal(module(x.conj()), module(x.conj().resolve_conj()))
        assert torch.equal(module(x[0].conj()), module(x.conj())[0])
        assert torch.equal(real(x.conj().imag), -real(x.imag))
        assert module(x[:0]).shape == (0, *op.range.shape)
        assert module(x[:0]).dtype == torch.complex64


def test_autocast_leaves_the_precision(rng):
    module, x = as_module(transform()), draw(transform().domain, rng)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = module(x)
    assert torch.equal(inside, module(x)) and inside.dtype == torch.float32


def test_over_the_limit_astra_computes(linked):
    with pytest.warns(RuntimeWarning, match="more than the limit of 0.0 GiB; every image goes"):
        module = as_module(transform())
    with pytest.raises(TypeError, match=r"torch.float64 on cpu, .* raise that limit"):
        module.double()
    with pytest.raises(TypeError, match="torch.float32 on meta"):
        module.to("meta")
    with pytest.raises(TypeError, match="through ASTRA"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        as_module(transform(dtype="float64"))
    with pytest.raises(TypeError, match="expected torch.float32 or torch.complex64"):
        module.native(torch.zeros(6, 8, dtype=torch.float64))


def test_expected_bytes_are_a_bound():
    for name in GEOMETRIES:
        geometry = ray_geometry(transform(name), "cpu")
        pair = ray_sparse.sparse_pair(geometry)
        row_starts = 4 * (sum(geometry.matrix_shape) + 2)
        assert 0.2 * geometry.expected_bytes < pair.nbytes - row_starts <= geometry.expected_bytes


def test_other_precisions_are_copies_of_what_is_in_memory(monkeypatch):
    module = as_module(transform())
    monkeypatch.setattr(astra.projector, "matrix", no_astra)
    double = copy.deepcopy(module).double()
    del module
    gc.collect()
    assert double.native.pair.matrix.dtype == torch.float64
    assert double.float().native.pair.matrix.dtype == torch.float32


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


def test_modules_of_one_geometry_share_the_pair():
    first, second = as_module(transform()), as_module(transform().adjoint).native.right
    assert first.native.pair is second.pair
    assert copy.deepcopy(first).native.pair is first.native.pair
    assert as_module(transform(dtype="complex64")).native.pair is first.native.pair
    assert first.double().native.pair is second.double().pair
    assert list(first.state_dict()) == [] and list(first.parameters()) == []


def test_pairs_are_forgotten_with_their_modules():
    gc.collect()
    before = set(ray_sparse._pairs)
    module = as_module(transform("fan"))
    assert len(set(ray_sparse._pairs) - before) == 1
    del module
    gc.collect()
    assert set(ray_sparse._pairs) == before


def test_a_pickle_holds_the_geometry_and_not_the_matrix(rng):
    space = odl.uniform_discr([-1, -1], [1, 1], (32, 32), dtype="float32")
    op = operators.parallel_ray_transform(space, 20)
    x = draw(space, rng)
    for module, dtype in ((as_module(op), torch.float32),
                          (as_module(op.adjoint @ op).double(), torch.float64)):
        x = x.to(dtype)
        stored, expected = pickle.dumps(module), module(x)
        assert len(stored) < 20_000
        again = pickle.loads(stored)
        assert torch.equal(again(x), expected)
        del module, again
        gc.collect()
        assert torch.equal(pickle.loads(stored)(x), expected)


def test_linked_modules_are_copied_and_pickled(rng, linked):
    module, x = lowered(transform()), draw(transform().domain, rng)
    assert copy.deepcopy(module).native.pair is module.native.pair
    assert torch.equal(pickle.loads(pickle.dumps(module))(x), module(x))


def no_astra(number):
    raise AssertionError("the matrix was built although it was at hand")


def test_matrices_are_read_from_the_cache_folder(tmp_path, rng, monkeypatch):
    folder, x = tmp_path / "deep" / "folder", draw(transform().domain, rng)
    gc.collect()
    with ray.cache_folder(folder):
        module = as_module(transform())
        expected = module(x)
        assert as_module(transform("fan")) is not None
    assert len(os.listdir(folder)) == 2 and all(n.endswith(".npz") for n in os.listdir(folder))
    del module
    gc.collect()
    monkeypatch.setattr(astra.projector, "matrix", no_astra)
    with ray.cache_folder(folder):
        module = as_module(transform())
    assert torch.equal(module(x), expected)
    assert close(module.native.pair.transpose.to_dense(), module.native.pair.matrix.to_dense().T, 0)
    del module
    gc.collect()
    with pytest.raises(AssertionError, match="at hand"):
        as_module(transform())


def truncated(path):
    path.write_bytes(path.read_bytes()[:-200])


def altered(path):
    content = bytearray(path.read_bytes())
    content[300] ^= 255
    path.write_bytes(content)


def other(path):
    starts = np.ones(5 * 11 + 1, "int32")
    starts[0] = 0
    np.savez(path, data=np.ones(1, "float32"), indices=np.array([48], "int32"), indptr=starts)


def text(path):
    path.write_text("not an archive")


def pickled(path):
    np.savez(path, data=np.array([None]), indices=np.zeros(1), indptr=np.zeros(1))


@pytest.mark.parametrize("spoil", [truncated, altered, other, text, pickled])
def test_a_spoiled_file_is_built_again(spoil, tmp_path, rng):
    op = transform()
    x = draw(op.domain, rng)
    gc.collect()
    with ray.cache_folder(tmp_path):
        expected = as_module(op)(x)
        gc.collect()
        (name,) = os.listdir(tmp_path)
        content = (tmp_path / name).read_bytes()
        spoil(tmp_path / name)
        with pytest.warns(RuntimeWarning, match="not a readable projector.*built and written"):
            module = as_module(op)
    assert torch.equal(module(x), expected)
    assert os.listdir(tmp_path) == [name]
    assert len((tmp_path / name).read_bytes()) == len(content)


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    gc.collect()

    def interrupted(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupted)
    with ray.cache_folder(tmp_path), pytest.raises(KeyboardInterrupt):
        as_module(transform())
    assert os.listdir(tmp_path) == []


def test_the_digest_tells_geometries_apart():
    space = odl.uniform_discr([-1, -1], [1, 1], (6, 6), dtype="float32")
    spaces = (space, odl.uniform_discr([-1, -1], [2, 2], (6, 6), dtype="float32"))
    geometries = [*GEOMETRIES.values(), fan(FULL_TURN, SHIFTED),
                  tomo.FanBeamGeometry(FULL_TURN, DETECTOR, src_radius=6, det_radius=4)]
    transforms = [tomo.RayTransform(s, g, impl="astra_cpu") for s in spaces for g in geometries]
    digests = [ray_geometry(op, "cpu").digest for op in transforms]
    # ODL places the detector of parallel beams symmetrically, so that a shift changes nothing.
    assert len(set(digests)) == 2 * (len(geometries) - 1)
    again = tomo.RayTransform(space, parallel(HALF_TURN, DETECTOR), impl="astra_cpu")
    assert ray_geometry(again, "cpu").digest == digests[0]


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


# On CUDA: the order of the axes with a stand-in for ASTRA, the rest where there is a device.


def space_transform(geometry="parallel"):
    """A ray transform of a volume; ODL asks for CUDA when it is called, not before."""
    volume = odl.uniform_discr([-1, -2, -3], [1, 2, 3], (2, 3, 4), dtype="float32")
    detector = odl.uniform_partition([-3, -4], [3, 4], (5, 6))
    if geometry == "parallel":
        geometry = tomo.Parallel3dAxisGeometry(HALF_TURN, detector)
    else:
        geometry = tomo.ConeBeamGeometry(FULL_TURN, detector, src_radius=20, det_radius=20)
    return tomo.RayTransform(volume, geometry, impl="astra_cpu")


@pytest.mark.parametrize("op", [transform(), transform("fan"), space_transform()],
                         ids=["plane", "fan", "space"])
def test_axes_of_volumes_and_rays(op, rng, monkeypatch):
    geometry = ray_geometry(op, "cuda")
    volume_shape, rays_shape = astra.geom_size(geometry.volume), astra.geom_size(geometry.rays)
    matrix = torch.from_numpy(rng.standard_normal((math.prod(rays_shape), op.domain.size))).float()
    deleted = []

    def project(number, volume, *, out):
        assert number == 7 and volume.shape == volume_shape and volume.is_contiguous()
        out.copy_((matrix @ volume.flatten()).reshape(rays_shape))

    def backproject(number, rays, *, out):
        assert number == 7 and rays.shape == rays_shape and rays.is_contiguous()
        out.copy_((matrix.T @ rays.flatten()).reshape(volume_shape))

    monkeypatch.setattr(type(geometry), "create_projector", lambda self: 7)
    monkeypatch.setattr(astra.projector3d, "direct_FP", project)
    monkeypatch.setattr(astra.projector3d, "direct_BP", backproject)
    monkeypatch.setattr(astra.projector3d, "delete", deleted.append)
    module = ray.RayProjector(LinkedVolumePair(geometry, 2.0, 2.0), torch.float32)
    x, y = draw(op.domain, rng, 2), draw(op.range, rng, 2)
    rays = (2 * x.reshape(2, -1) @ matrix.T).reshape(2, *rays_shape)
    expected = rays.transpose(1, 2) if op.domain.ndim == 3 else rays.squeeze(1)
    assert expected.shape[1:] == op.range.shape and close(module(x), expected)
    x.requires_grad_()
    (back,) = torch.autograd.grad(module(x), x, y)
    assert close((back * x).sum(), (y * module(x)).sum(), 1e-4)
    with pytest.raises(TypeError, match="the only precision of ASTRA on CUDA"):
        module.double()
    del module, x, back
    gc.collect()
    assert deleted == [7]


@pytest.mark.gpu
@pytest.mark.skipif(not tomo.ASTRA_CUDA_AVAILABLE or not torch.cuda.is_available(),
                    reason="needs a CUDA device, and ASTRA and torch built for it")
@pytest.mark.parametrize("name", ["parallel", "fan", "parallel 3D", "cone"])
def test_module_on_cuda_is_the_operator(name, rng):
    like = space_transform(name.removesuffix(" 3D")) if name in ("parallel 3D", "cone") \
        else transform(name)
    space = odl.uniform_discr(like.domain.min_pt, like.domain.max_pt, like.domain.shape,
                              dtype="float32", impl="pytorch", device="cuda:0")
    op = tomo.RayTransform(space, like.geometry, impl="astra_cuda")
    for operator in (op, op.adjoint):
        module, x = as_module(operator).to("cuda:0"), draw(operator.domain, rng, 2).to("cuda:0")
        assert close(module(x), by_odl(operator, x))
        assert close(module(x).cpu(), as_module(operator)(x.cpu()))
        g = torch.randn_like(module(x))
        (back,) = torch.autograd.grad(module(x.requires_grad_()), x, g)
        weight = op.domain.weighting.const / op.range.weighting.const
        weight = weight if operator is op else 1 / weight
        assert close(back, weight * by_odl(operator.adjoint, g))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_matrices_follow_their_module_to_cuda(rng):
    op = transform()
    module, x = as_module(op), draw(op.domain, rng, 2)
    expected = module(x)
    assert close(module.to("cuda:0")(x.to("cuda:0")).cpu(), expected)
    assert module.native.pair.matrix.is_cuda
