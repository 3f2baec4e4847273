"""Matrices of ray transforms: their size, who shares them, copies, pickles, the disk."""

import copy
import gc
import os
import pickle
from pathlib import Path

import astra
import numpy as np
import odl
import pytest
import torch
from odl.applications import tomo
from ray_transforms import (
    DETECTOR,
    FULL_TURN,
    GEOMETRIES,
    HALF_TURN,
    SHIFTED,
    close,
    draw,
    fan,
    parallel,
    transform,
)

from odl_learned import operators
from odl_learned.bridge import as_module, ray
from odl_learned.bridge.ray import sparse as ray_sparse
from odl_learned.operators.tomography.projectors import building, matrices, storage
from odl_learned.operators.tomography.projectors.geometry import ray_geometry


@pytest.mark.parametrize("bins", [None, 20])
@pytest.mark.parametrize("shape", [(40, 40), (30, 50)])
def test_expected_bytes_are_right(shape, bins):
    space = odl.uniform_discr([-1, -1], [1, -1 + 2 * shape[1] / shape[0]], shape, dtype="float32")
    for op in (operators.parallel_ray_transform(space, 25, bins, None if bins is None else 0.7),
               operators.fan_beam_ray_transform(space, 25, 5.0, 3.0, bins)):
        geometry = ray_geometry(op, "cpu")
        assert abs(geometry.expected_bytes / matrices.matrix_pair(geometry).nbytes - 1) < 0.02
    for name in GEOMETRIES:  # of 6 x 8 pixels, where a chord ends counts more
        geometry = ray_geometry(transform(name), "cpu")
        assert abs(geometry.expected_bytes / matrices.matrix_pair(geometry).nbytes - 1) < 0.1


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_matrix_built_view_by_view_is_the_same(name, monkeypatch):
    geometry = ray_geometry(transform(name), "cpu")
    whole = geometry.build_matrix()
    monkeypatch.setattr(building, "ENTRIES", 1)
    parts = geometry.build_matrix()
    for a, b in zip((whole.data, whole.indices, whole.indptr),
                    (parts.data, parts.indices, parts.indptr), strict=True):
        assert a.dtype == b.dtype and np.array_equal(a, b)
    # arrays that start too short grow, and lose what they do not need
    monkeypatch.setattr(building, "ENTRIES", 200)
    object.__setattr__(geometry, "expected_bytes", 16)
    assert (geometry.build_matrix() != whole).nnz == 0


def no_astra(number):
    raise AssertionError("the matrix was built although it was at hand")


def test_other_precisions_are_copies_of_what_is_in_memory(monkeypatch):
    module = as_module(transform())
    monkeypatch.setattr(astra.projector, "matrix", no_astra)
    double = copy.deepcopy(module).double()
    del module
    gc.collect()
    assert double.native.pair.matrix.dtype == torch.float64
    assert double.float().native.pair.matrix.dtype == torch.float32


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
        assert close(again(x), expected)
        del module, again
        gc.collect()
        assert close(pickle.loads(stored)(x), expected)


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
    assert close(module(x), expected)
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


def of_another_geometry(path):
    """The valid file of a geometry with as many rays, under the name of this one."""
    with ray.cache_folder(path.parent / "other"):
        as_module(tomo.RayTransform(transform().domain, parallel(FULL_TURN, DETECTOR),
                                    impl="astra_cpu"))
    (name,) = os.listdir(path.parent / "other")
    os.replace(path.parent / "other" / name, path)
    os.rmdir(path.parent / "other")


def consistent_with_itself(path):
    """One entry changed, and the archive written anew."""
    with np.load(path) as file:
        parts = dict(file)
    parts["data"][7] *= 2
    np.savez(path, **parts)


def pickled(path):
    np.savez(path, data=np.array([None]), indices=np.zeros(1), indptr=np.zeros(1))


@pytest.mark.parametrize("spoil", [
    truncated, altered, other, text, pickled, of_another_geometry, consistent_with_itself])
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
    assert close(module(x), expected)
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


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path, rng, monkeypatch):
    gc.collect()
    x = draw(transform().domain, rng)

    def forbidden(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    for name in ("mkdir", "open"):
        with monkeypatch.context() as patch:
            owner = Path if name == "mkdir" else storage
            patch.setattr(owner, name, forbidden, raising=False)
            with ray.cache_folder(tmp_path / "folder"):
                with pytest.warns(RuntimeWarning, match="could not be kept.*Permission denied"):
                    module = as_module(transform())
        assert close(module(x), as_module(transform())(x))
        del module
        gc.collect()
    assert os.listdir(tmp_path / "folder") == []
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="a file; expected a folder"):
        with ray.cache_folder(tmp_path / "file"):
            pass


def test_what_killed_processes_left_is_removed(tmp_path):
    gc.collect()
    old, new = tmp_path / "a.npz.1.part", tmp_path / "a.npz.2.part"
    for path in (old, new):
        path.write_text("half")
    os.utime(old, (0, 0))
    with ray.cache_folder(tmp_path):
        as_module(transform())
    assert not old.exists() and new.exists() and len(os.listdir(tmp_path)) == 2


def test_files_are_for_whom_the_umask_says(tmp_path):
    gc.collect()
    before = os.umask(0o022)
    try:
        with ray.cache_folder(tmp_path):
            as_module(transform())
    finally:
        os.umask(before)
    (name,) = os.listdir(tmp_path)
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o644


def test_the_digest_tells_geometries_apart():
    space = odl.uniform_discr([-1, -1], [1, 1], (6, 6), dtype="float32")
    spaces = (space, odl.uniform_discr([-1, -1], [2, 2], (6, 6), dtype="float32"))
    geometries = [*GEOMETRIES.values(), fan(FULL_TURN, SHIFTED),
                  tomo.FanBeamGeometry(FULL_TURN, DETECTOR, src_radius=6, det_radius=4)]
    transforms = [tomo.RayTransform(s, g, impl="astra_cpu") for s in spaces for g in geometries]
    digests = [ray_geometry(op, "cpu").digest for op in transforms]
    assert len(set(digests)) == 2 * len(geometries)
    again = tomo.RayTransform(space, parallel(HALF_TURN, DETECTOR), impl="astra_cpu")
    assert ray_geometry(again, "cpu").digest == digests[0]
