"""Masks: exact counts, the center, symmetry, and densities."""

import numpy as np
import pytest

from odl_learned.data import cartesian_mask, radial_mask, variable_density_mask


@pytest.mark.parametrize("n", [16, 17, 64])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_cartesian_lines_are_whole_and_counted(n, axis, rng):
    shape = (n, n + 3)
    mask = cartesian_mask(shape, 0.4, 0.1, rng, axis=axis)
    assert mask.dtype == bool and mask.shape == shape
    along = np.moveaxis(mask, axis, 0)
    lines = along[:, 0]
    assert np.array_equal(along, np.broadcast_to(lines[:, None], along.shape))
    m = shape[axis]
    assert lines.sum() == round(0.4 * m)
    width = max(1, round(0.1 * m))
    center = m // 2 + np.arange(width) - width // 2
    assert lines[center].all() and m // 2 in center


def test_cartesian_lines_are_uniform_outside_the_center():
    n, draws = 16, 2000
    rng = np.random.default_rng(1)
    hits = sum(cartesian_mask((n, 1), 0.5, 0.125, rng)[:, 0].astype(int) for _ in range(draws))
    center = np.zeros(n, dtype=bool)
    center[7:9] = True
    assert np.all(hits[center] == draws)
    p = 6 / 14
    assert np.all(np.abs(hits[~center] / draws - p) < 5 * np.sqrt(p * (1 - p) / draws))


def test_full_fraction_keeps_everything(rng):
    assert cartesian_mask((8, 6), 1.0, 1.0, rng).all()
    assert variable_density_mask((8, 6), 1.0, 3.0, rng, 0.1).all()


@pytest.mark.parametrize("shape", [(32, 32), (33, 33), (24, 31), (1, 8)])
@pytest.mark.parametrize("num_spokes", [1, 2, 5, 16])
def test_radial_mask_is_symmetric_and_has_the_center(shape, num_spokes):
    mask = radial_mask(shape, num_spokes)
    assert mask[shape[0] // 2, shape[1] // 2]
    # k -> -k modulo n in centered indices, by the transform of a real image.
    mirror = np.fft.fftshift(np.roll(np.fft.ifftshift(mask)[::-1, ::-1], (1, 1), (0, 1)))
    assert np.array_equal(mask, mirror)


def test_radial_spokes_are_lines_by_brute_force():
    n, num_spokes = 32, 5
    mask = radial_mask((n, n), num_spokes)
    k = np.arange(n) - n // 2
    kx, ky = np.meshgrid(k, k, indexing="ij")
    angle = np.pi * np.arange(num_spokes) / num_spokes
    distance = np.abs(np.sin(angle)[:, None, None] * kx - np.cos(angle)[:, None, None] * ky)
    # Rounding moves a point by at most half a pixel along the flatter axis.
    assert np.all(distance.min(axis=0)[mask] <= 0.5 + 1e-9)
    for a in angle:  # connected, out to the border
        end = 15 / max(abs(np.cos(a)), abs(np.sin(a)))
        for t in np.linspace(-end, end, 200):
            x, y = t * np.cos(a) + n // 2, t * np.sin(a) + n // 2
            near = mask[int(x) : int(x) + 2, int(y) : int(y) + 2]
            assert near.any()


def test_radial_two_spokes_are_the_axes():
    mask = radial_mask((7, 7), 2)
    expected = np.zeros((7, 7), dtype=bool)
    expected[3, :] = expected[:, 3] = True
    assert np.array_equal(mask, expected)


@pytest.mark.parametrize("shape", [(32, 32), (17, 40), (50,)])
def test_variable_density_counts_and_center(shape, rng):
    mask = variable_density_mask(shape, 0.3, 2.0, rng, 0.12)
    assert mask.sum() == round(0.3 * mask.size)
    block = tuple(
        slice(n // 2 - max(1, round(0.12 * n)) // 2,
              n // 2 - max(1, round(0.12 * n)) // 2 + max(1, round(0.12 * n)))
        for n in shape
    )  # fmt: skip
    assert mask[block].all()


def test_first_draw_follows_the_density():
    # One frequency outside of the center is drawn with probability w / sum w exactly.
    n, draws, decay = 9, 4000, 3.0
    rng = np.random.default_rng(5)
    hits = np.zeros(n)
    for _ in range(draws):
        hits += variable_density_mask((n,), 2 / 9, decay, rng, 1 / 9)
    assert hits[4] == draws
    weight = (1 - np.abs(np.arange(n) - 4) / 5.0) ** decay
    weight[4] = 0
    p = weight / weight.sum()
    error = np.abs(np.delete(hits / draws - p, 4))
    assert np.all(error < 5 * np.sqrt(np.delete(p * (1 - p), 4) / draws) + 1e-12)


def test_large_decay_does_not_underflow(rng):
    mask = variable_density_mask((32, 32), 0.2, 2000.0, rng, 0.05)
    assert mask.sum() == round(0.2 * 1024)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda r: cartesian_mask((8, 8), 0.0, 0.1, r), ValueError, "fraction is 0.0"),
        (lambda r: cartesian_mask((8, 8), 1.2, 0.1, r), ValueError, "fraction is 1.2"),
        (lambda r: cartesian_mask((8, 8), np.nan, 0.1, r), ValueError, "fraction is nan"),
        (lambda r: cartesian_mask((8, 8), 0.5, -0.1, r), ValueError, "center_fraction is -0.1"),
        (lambda r: cartesian_mask((8, 8), 0.25, 0.5, r), ValueError, "keeps 4 lines, more than"),
        (lambda r: cartesian_mask((8, 8), 0.01, 0.5, r), ValueError, "less than one of 8 lines"),
        (lambda r: cartesian_mask((8, 8), 0.5, 0.5, r, axis=2), ValueError, "axis is 2"),
        (lambda r: cartesian_mask((8, 0), 0.5, 0.5, r), ValueError, r"shape is \(8, 0\)"),
        (lambda r: cartesian_mask((8, 8), 0.5, 0.5, 1), TypeError, "rng is 1"),
        (lambda r: radial_mask((8, 8), 0), ValueError, "num_spokes is 0"),
        (lambda r: radial_mask((8, 8, 8), 3), ValueError, "expected 2 positive whole numbers"),
        (lambda r: variable_density_mask((8, 8), 0.1, 1, r, 0.9), ValueError, "keeps 49 freq"),
        (lambda r: variable_density_mask((8, 8), 0.1, -1, r, 0.1), ValueError, "decay is -1"),
        (lambda r: variable_density_mask((8, 8), 2, 1, r, 0.1), ValueError, "fraction is 2"),
    ],
)
def test_refusals(call, error, message, rng):
    with pytest.raises(error, match=message):
        call(rng)


@pytest.mark.parametrize("shape", [(8, 8), (5, 12)])
def test_work_is_bounded_by_the_image(shape):
    """The largest number of spokes holds every frequency within reach; more is an error at once."""
    most = 4 * max(shape)
    full, less = (radial_mask(shape, n) for n in (most, most - 1))
    assert full.sum() == less.sum()
    for number in (most + 1, 10**9, 10**400):
        with pytest.raises(ValueError, match=f"num_spokes is .*; expected at most {most}"):
            radial_mask(shape, number)
    with pytest.raises(ValueError, match="shape is .*, expected at most 4294967296 entries"):
        radial_mask((10**9, 10**9), 3)
