"""Random volumes and stacks as elements: volumes of bodies, shares of cells, the order of axes."""

import numpy as np
import odl
import pytest

from odl_learned.data import (
    CoarsePairs,
    FixedPairs,
    Stack,
    downsample,
    random_ellipsoids,
    random_trunk,
    stack_element,
)
from odl_learned.data.volumes import _Canvas, _rotation

TURN = _rotation(np.random.default_rng(5))


def cube(shape=(24, 20, 16), dtype="float64"):
    return odl.uniform_discr([-1, -2, 0], [1, 2, 1], shape, dtype=dtype)


def test_rotations_are_rotations():
    assert np.abs(TURN @ TURN.T - np.eye(3)).max() < 1e-14
    assert np.linalg.det(TURN) == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize("rotation", [np.eye(3), TURN])
def test_shares_add_up_to_the_volume_and_are_those_of_finer_cells(rotation):
    center, axes = np.array([0.1, -0.05, 0.02]), np.array([0.6, 0.35, 0.25])
    canvas, fine = _Canvas(cube((48, 40, 32))), _Canvas(cube((192, 160, 128)))
    box, share = canvas.share(center, axes, rotation)
    canvas.values[box] = share
    volume = canvas.values.sum() * 8 / canvas.values.size  # the cube has the volume 8
    # the curvature across a cell, of the order of (cell / radius)^2 / 24 for each of two directions
    assert volume == pytest.approx(4 / 3 * np.pi * np.prod(axes), rel=0.01)
    inside = np.stack(np.meshgrid(*fine.points, indexing="ij"), -1) - center
    exact = (((inside @ rotation / axes) ** 2).sum(-1) <= 1).astype(float)
    exact = exact.reshape(48, 4, 40, 4, 32, 4).mean((1, 3, 5))
    # The distance to first order, a surface taken for a plane across the cell
    assert np.abs(canvas.values - exact).max() < 0.2
    assert np.abs(canvas.values - exact).mean() < 0.003


def test_a_tube_goes_through():
    box, share = _Canvas(cube((48, 40, 16))).share(np.zeros(3), np.array([0.4, 0.3, np.inf]))
    assert share.shape[2] == 16 and np.all(share == share[..., :1])
    area = share[..., 0].sum() * 4 / (48 * 40)
    assert area == pytest.approx(np.pi * 0.12, rel=0.01)


@pytest.mark.parametrize("draw", [random_ellipsoids, random_trunk])
def test_draws_are_reproducible_and_the_same_on_every_grid(draw):
    coarse, fine = cube((16, 16, 16)), cube((64, 64, 64))
    first, again = (draw(coarse, np.random.default_rng(1)) for _ in range(2))
    other = draw(coarse, np.random.default_rng(2))
    assert first == again and first != other and first in coarse
    mean = draw(fine, np.random.default_rng(1)).data.reshape(16, 4, 16, 4, 16, 4).mean((1, 3, 5))
    error = np.abs(mean - first.data)
    # what opaque layers hide in part of a cell, and shapes thinner than one, differ at edges
    assert error.mean() < 0.02 and np.quantile(error, 0.8) < 0.03
    for dtype in ("float32", "complex64"):
        space = cube((8, 8, 8), dtype)
        values = draw(space, np.random.default_rng(1))
        assert values in space and np.all(values.data.imag == 0)


def test_a_trunk_has_values_of_tissue_and_its_spine_at_the_bottom():
    for seed in range(4):
        u = random_trunk(cube((40, 40, 20)), np.random.default_rng(seed)).data
        assert u.min() == 0 and 0.7 < u.max() <= 1
        assert np.all(u[[0, -1]] == 0) and np.all(u[:, [0, -1]] == 0)
        assert 0.3 < np.mean(u[..., 10] > 0) < 0.75 and np.mean(u[..., 0] > 0) > 0.25
        bright = (u > 0.6)[16:24].sum((0, 2))
        assert bright[:16].sum() > 2 * bright[24:].sum()


def test_a_stack_becomes_an_element_with_its_sides():
    values = np.arange(24, dtype="float32").reshape(2, 3, 4)
    x = stack_element(Stack(values, (0.5, 0.7), 3.0, "CT"))
    assert x.shape == (3, 4, 2) and x.dtype == np.float32
    assert np.allclose(x.space.cell_sides, (0.5, 0.7, 3.0))
    assert np.allclose(x.space.domain.mid_pt, 0)
    assert all(np.array_equal(x.data[..., k], values[k]) for k in range(2))


def test_blocks_of_voxels_by_loops_and_coarse_pairs_of_volumes(rng):
    fine = rng.random((2, 4, 6, 2))
    expected = np.zeros((2, 2, 3, 1))
    for n, i, j, k in np.ndindex(expected.shape):
        expected[n, i, j, k] = fine[n, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, :].mean()
    coarse = downsample(fine, 2, dimension=3)
    assert np.abs(coarse - expected).max() < 1e-15
    pairs = FixedPairs(np.zeros((2, 1)), fine)
    assert np.array_equal(CoarsePairs(pairs, 2, dimension=3)[1][1], coarse[1])
    with pytest.raises(ValueError, match="dimension=3 for volumes"):
        CoarsePairs(pairs, 2)[0]
    with pytest.raises(ValueError, match="n0, n1, n2"):
        downsample(fine, 3, dimension=3)


def test_refusals(rng):
    for draw in (random_ellipsoids, random_trunk):
        with pytest.raises(TypeError, match="three-dimensional uniformly discretized"):
            draw(odl.uniform_discr([0, 0], [1, 1], (4, 4)), rng)
        with pytest.raises(TypeError, match="rng is 0"):
            draw(cube(), 0)
        with pytest.raises(TypeError, match="whole numbers"):
            draw(cube(dtype="int64"), rng)
    with pytest.raises(ValueError, match="slice_mm None"):
        stack_element(Stack(np.ones((1, 3, 4), "float32"), (1.0, 1.0), None, "CT"))
    with pytest.raises(TypeError, match="expected a Stack"):
        stack_element(np.ones((1, 3, 4)))
    with pytest.raises(TypeError, match="complex64"):
        stack_element(Stack(np.ones((2, 3, 4)), (1.0, 1.0), 1.0, "CT"), "complex64")
