"""The ray transform in torch through ASTRA, image by image: without matrices, and on CUDA."""

import copy
import gc
import math
import pickle
import warnings

import astra
import odl
import pytest
import torch
from odl.applications import tomo
from ray_transforms import (
    FULL_TURN,
    GEOMETRIES,
    HALF_TURN,
    by_odl,
    check_against_odl,
    close,
    dense,
    draw,
    lowered,
    transform,
)

from odl_learned.bridge import as_module, ray
from odl_learned.bridge.ray.linked import LinkedPair, LinkedVolumePair
from odl_learned.operators.tomography.projectors import matrices
from odl_learned.operators.tomography.projectors.geometry import ray_geometry


@pytest.fixture
def linked(monkeypatch):
    """No memory for matrices."""
    monkeypatch.setattr(matrices, "SPARSE_LIMIT", 0)


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_linked_module_is_the_operator(geometry, dtype, rng, linked):
    op = transform(geometry, dtype)
    assert isinstance(lowered(op).native.pair, LinkedPair)
    check_against_odl(op, rng)


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


def test_linked_modules_are_copied_and_pickled(rng, linked):
    module, x = lowered(transform()), draw(transform().domain, rng)
    assert copy.deepcopy(module).native.pair is module.native.pair
    assert torch.equal(pickle.loads(pickle.dumps(module))(x), module(x))


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
