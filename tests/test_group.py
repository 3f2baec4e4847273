"""Motions of the plane: what they do to functions, their products, and their inverses."""

import numpy as np
import odl
import pytest

from odl_learned import operators as ops
from odl_learned.bridge import as_module

N = 64
SQUARE = odl.uniform_discr([-1, -1], [1, 1], (N, N))
ODD = odl.uniform_discr([-1, -1], [1, 1], (N - 1, N - 1))
WIDE = odl.uniform_discr([0, 0], [2, 3], (48, 63))


def blob(space, center=(0.15, -0.2), widths=(0.12, 0.18)):
    """A Gaussian that is smooth on the grid and vanishes at the border, as a function of x."""
    def value(x, y):
        return np.exp(-(((x - center[0]) / widths[0]) ** 2 + ((y - center[1]) / widths[1]) ** 2))

    return value, sampled(space, value)


def sampled(space, value):
    """The values of a function in the centers of the pixels."""
    return space.element(value(*space.meshgrid) + np.zeros(space.shape))


def wave(space, numbers):
    """A real trigonometric polynomial on a domain that begins at zero."""
    lengths = space.domain.extent
    return lambda x, y: np.cos(
        2 * np.pi * (numbers[0] * x / lengths[0] + numbers[1] * y / lengths[1]) + 0.3)


@pytest.mark.parametrize("shift", [(0.3, -0.7), (0.013, 2.5), (2 / 48, 6 / 63)])
def test_translation_of_trigonometric_polynomials_is_exact(shift):
    value = wave(WIDE, (5, -9))
    moved = sampled(WIDE, lambda x, y: value(x - shift[0], y - shift[1]))
    assert (ops.Translation(WIDE, shift)(sampled(WIDE, value)) - moved).norm() < 1e-12


def test_translation_by_pixels_permutes(rng):
    x = ops.random_element(WIDE, rng)
    shift = np.array([3, -10]) * WIDE.cell_sides
    g = ops.Translation(WIDE, shift)
    assert g.is_whole
    assert np.array_equal(g(x).data, np.roll(x.data, (3, -10), (0, 1)))
    slightly = ops.Translation(WIDE, shift * (1 + 1e-7))
    assert not slightly.is_whole
    assert (slightly(x) - g(x)).norm() < 1e-5 * x.norm()


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_translations_are_unitary_and_undone(rng, dtype):
    space = odl.uniform_discr([0, 0], [2, 3], (8, 10), dtype=dtype)
    x, g = ops.random_element(space, rng), ops.Translation(space, [0.37, -1.21])
    assert abs(g(x).norm() - x.norm()) < 1e-13
    assert (g.inverse(g(x)) - x).norm() < 1e-13
    real = ops.Translation(space.real_space, [0.37, -1.21])
    assert (g(x).real - real(x.real)).norm() < 1e-13


def test_translations_add_up(rng):
    space = odl.uniform_discr([0, 0], [2, 3], (7, 9))  # odd: no frequency without a partner
    x = ops.random_element(space, rng)
    g, h = ops.Translation(space, [0.3, -0.7]), ops.Translation(space, [0.19, 1.3])
    assert (g(h(x)) - ops.Translation(space, [0.49, 0.6])(x)).norm() < 1e-13


@pytest.mark.parametrize("space", [SQUARE, ODD], ids=["even", "odd"])
@pytest.mark.parametrize("angle", [0.3, -0.7, 1.2, 2.5, np.pi / 4, 4.0, -9.0])
def test_rotation_of_a_smooth_image(space, angle):
    value, u = blob(space)
    c, s = np.cos(angle), np.sin(angle)
    turned = sampled(space, lambda x, y: value(c * x + s * y, -s * x + c * y))
    assert (ops.Rotation(space, angle)(u) - turned).norm() < 1e-6 * u.norm()


@pytest.mark.parametrize("k", range(-5, 6))
def test_rotation_by_quarters_is_the_quarter_turn(rng, k):
    x = ops.random_element(SQUARE, rng)
    turned = ops.Rotation(SQUARE, k * np.pi / 2)(x)
    assert np.array_equal(turned.data, ops.QuarterTurn(SQUARE, k)(x).data)


def test_rotations_are_unitary_undone_and_add_up(rng):
    x, g = ops.random_element(SQUARE, rng), ops.Rotation(SQUARE, 2.0)
    assert abs(g(x).norm() - x.norm()) < 1e-13 * x.norm()
    assert (g.inverse(g(x)) - x).norm() < 1e-13 * x.norm()
    assert (g.adjoint(g(x)) - x).norm() < 1e-13 * x.norm()
    u = blob(SQUARE)[1]
    assert (g(ops.Rotation(SQUARE, -0.8)(u)) - ops.Rotation(SQUARE, 1.2)(u)).norm() < 1e-6
    assert (ops.Rotation(SQUARE, -2.0)(u) - g.adjoint(u)).norm() < 1e-6


def test_rigid_motions_compose_as_a_semidirect_product():
    u, t, s = blob(SQUARE)[1], np.array([0.11, -0.05]), np.array([-0.07, 0.2])
    a, b = 0.4, 1.9
    rotated = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) @ s
    product = ops.RotoTranslation(SQUARE, a, t)(ops.RotoTranslation(SQUARE, b, s)(u))
    assert (product - ops.RotoTranslation(SQUARE, a + b, t + rotated)(u)).norm() < 1e-6
    g = ops.RotoTranslation(SQUARE, a, t)
    assert (g.inverse(g(u)) - u).norm() < 1e-13


def test_rigid_motion_of_a_smooth_image():
    value, u = blob(SQUARE)
    c, s, t = np.cos(0.6), np.sin(0.6), (0.1, -0.23)
    moved = sampled(SQUARE, lambda x, y: value(
        c * (x - t[0]) + s * (y - t[1]), -s * (x - t[0]) + c * (y - t[1])))
    assert (ops.RotoTranslation(SQUARE, 0.6, t)(u) - moved).norm() < 1e-6


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_reflection(axis):
    value, u = blob(SQUARE)
    signs = np.where(np.arange(2) == axis % 2, -1, 1)
    mirrored = sampled(SQUARE, lambda x, y: value(signs[0] * x, signs[1] * y))
    g = ops.Reflection(SQUARE, axis)
    assert (g(u) - mirrored).norm() < 1e-12
    assert (g(g(u)) - u).norm() == 0
    g(u, out=u)
    assert (u - mirrored).norm() < 1e-12


def test_reflection_turns_rotations_around(rng):
    x, mirror = ops.random_element(SQUARE, rng), ops.Reflection(SQUARE, 0)
    conjugated = mirror(ops.Rotation(SQUARE, 0.6)(mirror(x)))
    assert (conjugated - ops.Rotation(SQUARE, -0.6)(x)).norm() < 1e-12 * x.norm()


def test_motions_are_lowered_to_their_own_modules():
    assert type(as_module(ops.Translation(WIDE, [1 / 24, 0])).native).__name__ == "Roll"
    assert type(as_module(ops.Translation(WIDE, [0.3, 0])).native).__name__ == "RealMultiplier"
    assert type(as_module(ops.Reflection(WIDE, 0)).native).__name__ == "Flip"
    names = {type(part).__name__ for part in as_module(ops.Rotation(SQUARE, 2.0)).modules()}
    assert names == {"OperatorModule", "Composition", "RealMultiplier", "Turn"}
