"""Cone beams on the CPU: the projector against brute force, and against chords of balls.

The reference is Joseph's sum in plain Python, in the units of the space, ray by ray from the
positions that ODL gives; line integrals of a ball and of a paraboloid are known.
"""

import copy
import itertools
import pickle

import numpy as np
import odl
import pytest
import torch
from odl.applications import tomo
from operator_checks import adjoint_error

from odl_learned import bridge, compiled, operators, solvers, threads
from odl_learned.learning.files.operator_recipes import build_operator, describe_operator
from odl_learned.operators.tomography.cone import pair
from odl_learned.operators.tomography.cone.geometry import cone_geometry
from odl_learned.operators.tomography.cone.implementation import JosephImpl
from odl_learned.operators.tomography.cone.joseph import joseph_matrix, pieces

pytestmark = pytest.mark.skipif(tomo.ASTRA_CUDA_AVAILABLE, reason="ASTRA computes, on CUDA")

SPACE = odl.uniform_discr([-1, -1.1, -0.6], [1.1, 1, 0.7], (4, 5, 3))
TURN = odl.uniform_partition(0, 2 * np.pi, 3)


def wander(angle):
    """A shift of the source or of the detector, along three directions."""
    one = np.ones_like(np.asarray(angle, dtype=float))
    return np.stack([0.1 * one, 0.2 * np.sin(angle), 0.3 * one], axis=-1)


def above(angle):
    """A shift of the source upward, out of a volume that is below it."""
    return np.zeros((*np.shape(angle), 3)) + [0.0, 0.0, 1.5]


def geometry(low=(-2.1, -1.6), high=(2.2, 1.7), src_radius=3.0, **options):
    detector = odl.uniform_partition(low, high, (4, 5))
    return tomo.ConeBeamGeometry(TURN, detector, src_radius, options.pop("det_radius", 2.0),
                                 **options)


GEOMETRIES = {
    "circle": lambda: geometry(),
    "helix, offset": lambda: geometry((-1, -1), (3, 1.5), pitch=0.7, offset_along_axis=-0.3),
    "virtual detector": lambda: geometry((-1.2, -0.6), (1.2, 0.7), det_radius=0.0),
    "steep": lambda: geometry((-2, -9), (2, 9), det_radius=0.5),
    "about the first axis": lambda: geometry(axis=(1, 0, 0)),
    "about a tilted axis": lambda: geometry(axis=(0.3, -0.4, 1.0)),
    "tilted detector": lambda: geometry(det_axes_init=((1, 0, 0.1), (0.1, 0.2, 1))),
    "wandering": lambda: geometry(src_shift_func=wander, det_shift_func=wander,
                                  translation=(0.1, 0, 0.2)),
    "from above": lambda: geometry((-2, -2), (2, 2), 0.4, src_shift_func=above, det_radius=0.5),
    "turned start": lambda: geometry(src_to_det_init=(1, 1, 0),
                                     det_axes_init=((1, -1, 0), (0, 0, -1))),
}  # fmt: skip


def transform(name="circle", space=SPACE):
    return tomo.RayTransform(space, GEOMETRIES[name](), impl=JosephImpl)


def brute_force(op):
    """The matrix of Joseph's sum, in plain Python."""
    space, geometry = op.domain, op.geometry
    centers, sides = space.grid.coord_vectors, space.cell_sides
    rows = []
    for angle, u, v in itertools.product(geometry.angles,
                                         *geometry.det_partition.grid.coord_vectors):
        source = geometry.src_position(angle)
        d = geometry.det_point_position(angle, [u, v]) - source
        m = max(range(3), key=lambda i: abs(d[i]) / sides[i])
        row = np.zeros(space.shape)
        for plane in centers[m]:
            t = (plane - source[m]) / d[m]
            place = source + t * d
            for index in np.ndindex(*space.shape) if t > 0 else ():
                if centers[m][index[m]] == plane:
                    tents = [1 - abs(place[i] - centers[i][index[i]]) / sides[i]
                             for i in range(3) if i != m]
                    if min(tents) > 0:
                        row[index] += tents[0] * tents[1] * np.linalg.norm(d) * sides[m] / abs(d[m])
        rows.append(row.ravel())
    return np.array(rows)


def dense(op):
    columns = [op(op.domain.element(unit.reshape(op.domain.shape))).data.ravel()
               for unit in np.eye(op.domain.size)]
    return np.array(columns).T


@pytest.mark.parametrize("name", GEOMETRIES)
def test_entries_and_adjoint_are_those_of_joseph(name, rng):
    op = transform(name)
    matrix = brute_force(op)
    assert np.count_nonzero(matrix) > 50
    assert np.abs(dense(op) - matrix).max() < 1e-13 * np.abs(matrix).max() * 10
    weight = op.domain.weighting.const / op.range.weighting.const
    assert np.abs(weight * dense(op.adjoint) - matrix.T).max() < 1e-12 * np.abs(matrix).max()
    assert adjoint_error(op, rng) < 1e-13


@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_plain_form_is_the_same(name, rng, monkeypatch):
    op = transform(name)
    x, y = (operators.random_element(space, rng) for space in (op.domain, op.range))
    there, back = op(x), op.adjoint(y)
    monkeypatch.setattr(compiled, "is_available", lambda: False)
    monkeypatch.setattr("odl_learned.operators.tomography.cone.joseph.ENTRIES", 200)
    assert len(pieces(op.get_impl().geometry)) > 3
    assert (op(x) - there).norm() < 1e-14 * there.norm() * 10
    assert (op.adjoint(y) - back).norm() < 1e-14 * back.norm() * 10


def test_without_a_compiler_large_volumes_are_announced(monkeypatch):
    monkeypatch.setattr(compiled, "is_available", lambda: False)
    space = odl.uniform_discr([-1] * 3, [1] * 3, (2, 2, 2**14), dtype="float32")
    op = operators.cone_beam_ray_transform(space, 1, 4.0, 2.0, (33, 33), (0.1, 0.1))
    monkeypatch.setattr(pair, "joseph_matrix", lambda geometry, begin, end: np.zeros(
        ((end - begin) * 33, space.size)))  # fmt: skip
    with pytest.warns(RuntimeWarning, match=r"without numba.*odl-learned\[fast\]"):
        op(space.one())


def test_weights_of_spaces_are_in_the_adjoint(rng):
    weighted = odl.uniform_discr([-1] * 3, [1] * 3, (4, 4, 3), weighting=3.0)
    op = tomo.RayTransform(weighted, geometry(), impl=JosephImpl,
                           proj_space=odl.uniform_discr([0, -2, -2], [6, 2, 2], (3, 4, 5),
                                                        weighting=0.7))  # fmt: skip
    assert adjoint_error(op, rng) < 1e-13


def test_single_precision_and_complex_volumes(rng):
    single, double = (transform("helix, offset", SPACE.astype(dtype))
                      for dtype in ("float32", "complex128"))
    real, imag = rng.standard_normal((2, *SPACE.shape)).astype(np.float32)
    expected = transform("helix, offset")(real).data
    # weights are rounded once, products and the sums of 5 slices of 4 voxels a few times
    assert np.abs(single(real).data - expected).max() < 1e-6 * np.abs(expected).max()
    assert single(real).dtype == np.float32
    got = double(real + 1j * imag).data
    assert np.array_equal(got.real, expected) and got.dtype == np.complex128
    assert np.array_equal(got.imag, transform("helix, offset")(imag).data)
    assert adjoint_error(single, rng) < 1e-6 and adjoint_error(double, rng) < 1e-13


def ball(space, center, radius):
    """Voxels inside of a ball; those at its edge by their share, to first order."""
    distances = np.linalg.norm(space.points() - center, axis=1).reshape(space.shape)
    return space.element(np.clip((radius - distances) / space.cell_sides[0] + 0.5, 0, 1))


def squares(op, center, radius):
    """Squares of the half chords of a ball, ray by ray; zero where rays miss it."""
    geometry = op.geometry
    sources = geometry.src_position(geometry.angles)[:, None, None]
    u, v = geometry.det_partition.grid.coord_vectors
    angles, u, v = np.meshgrid(geometry.angles, u, v, indexing="ij")
    ends = geometry.det_point_position(angles, [u, v])
    directions = (ends - sources) / np.linalg.norm(ends - sources, axis=-1, keepdims=True)
    along = np.sum((center - sources) * directions, axis=-1)
    return np.maximum(radius**2 - np.sum((center - sources) ** 2, axis=-1) + along**2, 0)


VOLUME = odl.uniform_discr([-1] * 3, [1] * 3, (64, 64, 64), dtype="float32")
SCANS = {
    "circle": lambda: operators.cone_beam_ray_transform(VOLUME, 6, 4.0, 2.0, (25, 21)),
    "helix": lambda: operators.cone_beam_ray_transform(
        VOLUME, 7, 4.0, 2.0, (25, 25), (2.5, 1.2), pitch=0.8, turns=2.3),
    "offset": lambda: operators.scanned_cone_beam(
        VOLUME, [0.1, 0.4, 1.9, 4.0], 4.0, 6.0, (25, 21), (0.15, 0.16), axis_bins=(3.2, 8.7),
        start_height=0.1),
}  # fmt: skip


@pytest.mark.parametrize("center", [(0, 0, 0), (0.3, -0.2, 0.25)])
@pytest.mark.parametrize("name", SCANS)
def test_chords_of_balls(name, center):
    op, radius = SCANS[name](), 0.6
    half = np.sqrt(squares(op, center, radius))
    assert np.count_nonzero(half) > 100
    data = op(1.7 * ball(VOLUME, center, radius)).data
    error = data - 1.7 * 2 * half
    # Voxels and interpolation average across the ray with a variance of up to h^2 / 4 each way;
    # the second derivative of a chord 2 sqrt(r^2 - s^2) is 2 r^2 / half^3: edges lose more.
    inner = half > 0.6 * radius
    assert np.linalg.norm(error[inner]) < 0.005 * np.linalg.norm(data[inner])
    assert np.linalg.norm(error) < 0.04 * np.linalg.norm(data)
    # The integral of 1 - |x - c|^2 / r^2 along a chord is 4 h^3 / (3 r^2). In the middle of four
    # voxels interpolation loses (h / r)^2 3 / 4 of it, 0.2 %, and some at the kink.
    distances = np.linalg.norm(VOLUME.points() - center, axis=1).reshape(VOLUME.shape)
    smooth = op(VOLUME.element(np.maximum(1 - (distances / radius) ** 2, 0))).data
    error = smooth - 4 * half**3 / (3 * radius**2)
    assert np.linalg.norm(error) < 0.005 * np.linalg.norm(smooth)
    assert np.abs(error).max() < 0.01 * smooth.max()


def test_the_middle_plane_is_a_fan_beam():
    space = odl.uniform_discr([-1] * 3, [1] * 3, (48, 48, 5), dtype="float32")
    x, y, _ = space.meshgrid
    profile = np.exp(-6 * ((x - 0.2) ** 2 + y**2))
    op = operators.cone_beam_ray_transform(space, 5, 3.0, 1.5, (31, 5), (2.6, 0.1))
    middle = op(space.element(profile + np.zeros(space.shape))).data[:, :, 2]
    plane = odl.uniform_discr([-1, -1], [1, 1], (48, 48), dtype="float32")
    fan = operators.fan_beam_ray_transform(plane, 5, 3.0, 1.5, 31, 2.6)
    flat = fan(plane.element(profile[:, :, 0])).data
    # ASTRA weighs pixels by the lengths of rays in them: along the axes, in the third view, it
    # takes the nearest pixel, up to half a pixel away.
    assert np.abs(middle - flat)[[0, 1, 3, 4]].max() < 0.002 * flat.max()
    assert np.abs(middle - flat).max() < 0.05 * flat.max()


def test_quarter_turns_of_a_cube_commute(rng):
    """For views that are a multiple of four, unless a ray has two equal components."""
    cube = odl.uniform_discr([-1] * 3, [1] * 3, (7, 7, 6))
    x = rng.standard_normal(cube.shape)
    for views, bound in ((8, 1e-13), (6, None)):
        angles = odl.uniform_partition(0, 2 * np.pi, views)
        detector = odl.uniform_partition([-2.2, -1], [2.2, 1], (9, 5))
        op = tomo.RayTransform(cube, tomo.ConeBeamGeometry(angles, detector, 4, 2), impl=JosephImpl)
        normal = (op.adjoint * op)(cube.element(x)).data
        turned = (op.adjoint * op)(cube.element(np.rot90(x))).data
        error = np.abs(turned - np.rot90(normal)).max() / np.abs(normal).max()
        assert error < bound if bound else error > 1e-2


def test_bits_do_not_depend_on_threads_or_pieces(rng, monkeypatch):
    space = odl.uniform_discr([-1] * 3, [1] * 3, (32, 30, 40), dtype="float32")
    op = operators.cone_beam_ray_transform(space, 7, 3.0, 2.0, (41, 122), (3.0, 7.0))
    x, y = (operators.random_element(space, rng) for space in (op.domain, op.range))
    with threads.limit_threads(1):
        there, back = op(x).data, op.adjoint(y).data
    for number in (2, 3):
        monkeypatch.setattr(pair, "PIECES", 5 * number)
        with threads.limit_threads(number):
            assert np.array_equal(op(x).data, there)
            assert np.array_equal(op.adjoint(y).data, back)


def test_modules_keep_samples_apart_and_have_derivatives(rng):
    op = transform("helix, offset", SPACE.astype("float32"))
    for part in (op, op.adjoint):
        module, x = bridge.as_module(part), torch.randn(3, *part.domain.shape)
        assert type(module.native.pair if part is op else module.native).__name__ in (
            "ConePair", "Composition")
        assert all(torch.equal(module(x)[i], module(x[i])) for i in range(3))
        expected = part(part.domain.element(x[1].numpy())).data
        assert np.abs(module(x[1]).numpy() - expected).max() < 1e-6 * np.abs(expected).max()
    for dtype in ("float64", "complex128"):
        op = transform("helix, offset", odl.uniform_discr([-1] * 3, [1] * 3, (3, 2, 2),
                                                          dtype=dtype))  # fmt: skip
        module = bridge.as_module(op)
        x = torch.randn(3, 2, 2, dtype=getattr(torch, dtype), requires_grad=True)
        assert torch.autograd.gradcheck(module, x)
        assert torch.autograd.gradgradcheck(lambda x, m=module: m(x * x), x)


def test_copies_pickles_and_other_devices(rng):
    op = transform("wandering")
    x = operators.random_element(op.domain, rng)
    expected = op(x).data
    for other in (copy.deepcopy(op), pickle.loads(pickle.dumps(op))):
        assert np.array_equal(other(x).data, expected)
    helix = transform("helix, offset")
    other = build_operator(describe_operator(2.0 * helix))
    assert np.array_equal(other(x).data, (2.0 * helix)(x).data)
    with pytest.raises(TypeError, match="cannot be stored: what is built .* differs"):
        describe_operator(op)
    module = pickle.loads(pickle.dumps(bridge.as_module(op)))
    assert np.array_equal(module(torch.from_numpy(x.data)).numpy(), expected)
    digests = [transform(name).get_impl().geometry.digest for name in GEOMETRIES]
    assert len(set(digests)) == len(GEOMETRIES)
    with pytest.raises(TypeError, match="float64 on meta, but its loops run.*astra_cuda"):
        module.to("meta")
    with pytest.raises(TypeError, match=r"got torch.float16 on cpu, expected float32"):
        module.native.pair.project(torch.zeros(4, 5, 3, dtype=torch.float16))


def test_parts_of_the_views_are_parts_of_the_data(rng):
    op = operators.cone_beam_ray_transform(VOLUME, 6, 4.0, 2.0, (9, 8), pitch=0.2)
    x = operators.random_element(VOLUME, rng)
    whole = op(x).data
    for k, part in enumerate(operators.view_subsets(op, 2)):
        assert part.impl == "JosephImpl"
        assert np.abs(part(x).data - whole[k::2]).max() < 1e-5 * np.abs(whole).max()
        assert adjoint_error(part, rng) < 1e-6
    kept = np.array([1, 0, 0, 1, 1, 0], dtype=bool)
    part = operators.kept_views(op, kept)(x).data
    assert np.abs(part - whole[kept]).max() < 1e-5 * np.abs(whole).max()


def test_emission_in_space():
    space = odl.uniform_discr([-1] * 3, [1] * 3, (8, 8, 8), dtype="float32")
    ray = operators.cone_beam_ray_transform(space, 8, 4.0, 2.0)
    truth = ball(space, (0.1, 0, 0), 0.7)
    op = operators.emission_operator(ray, operators.attenuation_factors(ray, 0.3 * truth), 50.0)
    solution = solvers.mlem(op, op(truth), space.one(), maxiter=60)
    assert (solution.x - truth).norm() < 0.1 * truth.norm()


def test_defaults_see_the_whole_volume():
    space = odl.uniform_discr([-1, -1, -2], [1, 1, 2], (8, 8, 16), dtype="float32")
    circle = operators.cone_beam_ray_transform(space, 4, 4.0, 2.0)
    corners, geometry = space.domain.corners(), circle.geometry
    half = geometry.det_partition.max_pt
    for angle in np.linspace(0, 2 * np.pi, 50):
        source, (u, v) = geometry.src_position(angle), geometry.det_axes(angle)
        normal = np.cross(u, v)
        rays = corners - source
        shadows = rays * 6.0 / np.abs(rays @ normal)[:, None]
        assert np.all(np.abs(shadows @ u) <= half[0] * (1 + 1e-12))
        assert np.all(np.abs(shadows @ v) <= half[1] * (1 + 1e-12))
    helix = operators.cone_beam_ray_transform(space, 40, 4.0, 2.0, pitch=0.8, turns=5)
    heights = helix.geometry.src_position(helix.geometry.angles)[:, 2]
    assert np.allclose(heights, -heights[::-1]) and np.allclose(np.diff(heights), 0.1)
    # Half a turn later the source has climbed by half the pitch; in between lies the window.
    fan = np.arcsin(np.sqrt(2) / 4)
    window = 1.5 * 0.8 / (2 * np.pi) * (np.pi / 2 + fan) / np.cos(fan) ** 2
    assert helix.geometry.det_partition.max_pt[1] == pytest.approx(window)
    assert helix.range.shape[2] < circle.range.shape[2] / 4


def test_errors():
    curved = geometry(det_curvature_radius=(5, None))
    with pytest.raises(NotImplementedError, match="curved detector, expected a flat one"):
        tomo.RayTransform(SPACE, curved, impl=JosephImpl)(SPACE.one())
    with pytest.raises(ValueError, match=r"source of view 0 is at \[.*\], inside of the volume"):
        tomo.RayTransform(SPACE, geometry(src_radius=0.5), impl=JosephImpl)(SPACE.one())
    weights = odl.uniform_discr([-1] * 3, [1] * 3, (2, 2, 2), dtype="float32",
                                weighting=np.ones((2, 2, 2)))  # fmt: skip
    with pytest.raises(TypeError, match="expected a constant weight"):
        operators.cone_beam_ray_transform(weights, 4, 4.0, 2.0)
    flat = odl.uniform_partition([-2, -2], [2, 2], (3, 4))
    with pytest.raises(TypeError, match="expected a ConeBeamGeometry"):
        tomo.RayTransform(SPACE, tomo.Parallel3dAxisGeometry(TURN, flat),
                          impl=JosephImpl)(SPACE.one())  # fmt: skip
    with pytest.raises(TypeError, match="det_center is 1, expected two numbers"):
        operators.cone_beam_ray_transform(VOLUME, 4, 4.0, 2.0, det_center=1)
    with pytest.raises(ValueError, match="pitch is nan, expected finite numbers"):
        operators.cone_beam_ray_transform(VOLUME, 4, 4.0, 2.0, pitch=float("nan"))
    with pytest.raises(ValueError, match="expected the detector behind the axis"):
        operators.scanned_cone_beam(VOLUME, [0, 1], 4.0, 3.0, (3, 3), (1.0, 1.0))
    with pytest.raises(ValueError, match="as degrees are; expected radians"):
        operators.scanned_cone_beam(VOLUME, [0, 90, 180], 4.0, 6.0, (3, 3), (1.0, 1.0))
    with pytest.raises(ValueError, match="more than two turns in radians"):
        operators.scanned_cone_beam(VOLUME, 0.9 * np.arange(20), 4.0, 6.0, (3, 3), (1.0, 1.0))
    with pytest.raises(ValueError, match=r"det_shape is 3\.0; expected a positive integer"):
        operators.scanned_cone_beam(VOLUME, [0, 1], 4.0, 6.0, (3.0, 3), (1.0, 1.0))


def test_pairs_may_be_arrays():
    scans = [operators.scanned_cone_beam(VOLUME, [0, 1], 4.0, 6.0, kind((5, 4)), kind((0.5, 0.4)),
                                         kind((1.0, 2.5))) for kind in (tuple, np.array)]
    circles = [operators.cone_beam_ray_transform(VOLUME, 4, 4.0, 2.0, kind((5, 4)), kind((2.0, 1)),
                                                 kind((0.5, 0))) for kind in (tuple, np.array)]
    for one, two in (scans, circles):
        assert one.range == two.range
        assert np.array_equal(one(VOLUME.one()).asarray(), two(VOLUME.one()).asarray())


def test_rows_of_the_matrix_are_independent():
    geometry = cone_geometry(SPACE, GEOMETRIES["steep"]())
    whole = joseph_matrix(geometry, 0, 12)
    assert whole.shape == geometry.matrix_shape
    assert abs(whole[10:25] - joseph_matrix(geometry, 2, 5)).max() == 0
