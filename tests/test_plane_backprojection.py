"""Backprojections in the plane that interpolate: against their formula, numpy, tensors, and disks.

Data of disks are chords in closed form, so that no projector hides what the backprojection does.
"""

import math

import numpy as np
import odl
import pytest
import torch
from operator_checks import adjoint_error, assert_out_and_linear
from ray_transforms import assert_lowered_by_loops, check_against_odl

from odl_learned import bridge, operators
from odl_learned.bridge.loops.generic import GenericLinear
from odl_learned.operators.tomography.interpolated import plane
from odl_learned.operators.tomography.interpolated.flat_rays import fan_rays, parallel_rays
from odl_learned.operators.tomography.interpolated.plane import PlaneBackprojection
from odl_learned.operators.tomography.projectors import matrices
from odl_learned.operators.tomography.projectors.stacked import plane_of

SPACE = odl.uniform_discr([-1, -1.2], [1.2, 1], (11, 11), dtype="float32")
ANGLES = [0.1, 0.5, 2.0, 3.0]


def parallel():
    return operators.scanned_parallel_beam(SPACE, ANGLES, 15, 0.2, axis_bin=5.5)


def fan():
    return operators.scanned_fan_beam(SPACE, ANGLES, 3.0, 4.5, 15, 0.3, axis_bin=5.5)


def stacked():
    space = odl.uniform_discr([-1, -1, 0], [1, 1, 0.5], (8, 8, 3), dtype="float32")
    return operators.parallel_ray_transform(space, 5)


KINDS = {"parallel": parallel, "fan": fan, "stacked": stacked}


def backprojection(A):
    rays = fan_rays(A.geometry) if A.domain is SPACE and hasattr(A.geometry, "src_radius") else (
        parallel_rays(plane_of(A).geometry))  # fmt: skip
    return PlaneBackprojection(rays, A.range, A.domain)


@pytest.mark.parametrize("kind", KINDS)
def test_it_and_its_adjoint(kind, rng, monkeypatch):
    B = backprojection(KINDS[kind]())
    assert adjoint_error(B, rng) < 1e-6 and adjoint_error(B.adjoint, rng) < 1e-6
    assert_out_and_linear(B, rng)
    assert_out_and_linear(B.adjoint, rng)
    assert B.adjoint.adjoint is B
    if kind != "stacked":
        check_against_odl(B, rng)
    module = bridge.as_module(B)
    assert not [m for m in module.modules() if isinstance(m, GenericLinear)]
    y, x = operators.random_element(B.domain, rng), operators.random_element(B.range, rng)
    assert torch.allclose(module(torch.from_numpy(y.data)), torch.from_numpy(B(y).data),
                          rtol=1e-5, atol=1e-6)  # fmt: skip
    compiled = B(y), B.adjoint(x)
    monkeypatch.setattr(plane, "is_available", lambda: False)
    assert np.array_equal(B(y).data, compiled[0].data)
    assert np.array_equal(B.adjoint(x).data, compiled[1].data)


@pytest.mark.parametrize("kind", ["parallel", "fan"])
def test_it_interpolates_at_shadows(kind, rng):
    """Pixel by pixel, from the geometry alone, where the shadow is inside of the detector."""
    A = KINDS[kind]()
    y, total, seen = operators.random_element(A.range, rng), 0, True
    bins = A.geometry.det_partition.grid.coord_vectors[0]
    for v, angle in enumerate(ANGLES):
        theta = np.array([-math.sin(angle), math.cos(angle)])  # from the source to the detector
        across = np.array([math.cos(angle), math.sin(angle)])
        depth = (SPACE.points() + 3.0 * theta) @ theta
        shadow = SPACE.points() @ across
        if kind == "fan":
            shadow = 4.5 * shadow / depth
        value = np.interp(shadow, bins, y.data[v])
        total = total + (value / depth**2 if kind == "fan" else value)
        seen = seen & (shadow > bins[0]) & (shadow < bins[-1])
    assert seen.mean() > 0.5
    found = backprojection(A)(y).data.ravel()
    assert np.abs(found - total)[seen].max() < 1e-6 * np.abs(total).max()


@pytest.mark.parametrize("kind", KINDS)
def test_large_backprojections_run_without_a_matrix(kind, rng, monkeypatch):
    """By the loops of the operators on the CPU, by gathers on accelerators."""
    monkeypatch.setattr(matrices, "SPARSE_LIMIT", 1)
    B = backprojection(KINDS[kind]())
    assert_lowered_by_loops(B, rng)


DISKS = [((0.13, -0.08), 0.75), ((0.4, 0.2), 0.4)]  # off center: no view has the same edges


@pytest.mark.parametrize("width, ripple", [(0.5, 1e-4), (1.0, 4e-4), (2.0, 1.2e-3)])
def test_bins_of_any_width_leave_no_ripples(width, ripple):
    """Bins half, once and twice as wide as pixels; ``A^*`` leaves 0.2, 0.5 and 6 % instead."""
    space = odl.uniform_discr([-1, -1], [1, 1], (96, 96), dtype="float32")
    A = operators.parallel_ray_transform(space, 180, round(96 * math.sqrt(2) / width))
    s = A.geometry.det_partition.grid.coord_vectors[0]
    inverse, points = operators.fbp(A), space.points().reshape(96, 96, 2)
    for (x, y), radius in DISKS:
        angles = np.asarray(A.geometry.angles)[:, None]
        offset = s - x * np.cos(angles) - y * np.sin(angles)
        chords = 2 * np.sqrt(np.maximum(radius**2 - offset**2, 0))
        inside = np.hypot(points[..., 0] - x, points[..., 1] - y) < radius - 0.1
        found = inverse(A.range.element(chords.astype("float32"))).data[inside]
        assert found.std() < ripple and abs(found.mean() - 1) < 6e-4


def test_it_turns_with_the_data(rng):
    """Up to the rounding of single precision, as the symmetrized ray transform does."""
    space = odl.uniform_discr([-1, -1], [1, 1], (64, 64), dtype="float32")
    A = operators.parallel_ray_transform(space, 60)
    inverse, y = operators.fbp(A), operators.random_element(A.range, rng)
    turned = operators.QuarterTurn(space, 1)(inverse(y))
    assert (inverse(operators.SinogramTurn(A, 1)(y)) - turned).norm() < 1e-6 * turned.norm()
