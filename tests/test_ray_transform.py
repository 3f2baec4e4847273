"""Ray transforms and filtered backprojection: geometry, line integrals, symmetries, errors."""

import math

import numpy as np
import odl
import pytest
from operator_checks import adjoint_error, ct_space

from odl_learned import operators as ops


def test_ray_transform_geometry():
    X = odl.uniform_discr([-64, -64], [64, 64], (128, 128), dtype="float32")
    A = ops.parallel_ray_transform(X, 30)
    assert A.range.shape == (30, 183)
    detector = A.geometry.det_partition
    assert detector.max_pt[0] == pytest.approx(64 * math.sqrt(2))
    assert detector.cell_sides[0] <= 1
    B = ops.parallel_ray_transform(X, 7, num_bins=11, det_half_width=20.0)
    assert B.range.shape == (7, 11) and B.geometry.det_partition.max_pt[0] == 20
    assert np.all((B.geometry.angles > 0) & (B.geometry.angles < np.pi))


def test_ray_transform_integrates_and_is_adjoint(rng):
    X = odl.uniform_discr([-1, -1], [1, 1], (64, 64), dtype="float32")
    A = ops.parallel_ray_transform(X, 12)
    assert adjoint_error(A, rng) < 1e-6
    disc = X.element(lambda x: (x[0] ** 2 + x[1] ** 2 < 0.64).astype("float32"))
    position = A.geometry.det_partition.grid.coord_vectors[0]
    chord = 2 * np.sqrt(np.maximum(0.64 - position**2, 0))
    assert np.abs(A(disc).data - chord).mean() < 0.02
    inverse = ops.fbp(A.adjoint.adjoint, "Hann", 0.9)
    assert inverse.domain == A.range and inverse.range == X


def test_fbp_inverts_multiples_alike():
    X = odl.uniform_discr([-1, -1], [1, 1], (48, 48), dtype="float32")
    A = ops.parallel_ray_transform(X, 90)
    disc = X.element(lambda x: (x[0] ** 2 + x[1] ** 2 < 0.5).astype("float32"))
    x = ops.fbp(A)(A(disc))
    assert (x - disc).norm() < 0.25 * disc.norm()
    N = ops.normalized(A)
    assert (ops.fbp(N)(N(disc)) - x).norm() < 1e-5 * x.norm()


def test_even_angles_commute_with_quarter_turns(rng):
    X = ct_space()
    g = ops.QuarterTurn(X, 1)
    x = ops.random_element(X, rng)
    for number, equivariant in ((16, True), (15, False)):
        A = ops.parallel_ray_transform(X, number)
        gap = (A.adjoint(A(g(x))) - g(A.adjoint(A(x)))).norm() / A.adjoint(A(x)).norm()
        assert (gap < 1e-4) == equivariant
        if equivariant:
            ops.require_even_angles(ops.normalized(A))
        else:
            with pytest.raises(ValueError, match="15 angles"):
                ops.require_even_angles(A)


def test_ray_transform_errors():
    with pytest.raises(TypeError, match="float64.*float32"):
        ops.parallel_ray_transform(ct_space(dtype="float64"), 4)
    with pytest.raises(TypeError, match="complex64"):
        ops.parallel_ray_transform(ct_space(dtype="complex64"), 4)
    with pytest.raises(ValueError, match="4 dimensions, expected 2D or 3D"):
        ops.parallel_ray_transform(odl.uniform_discr([0] * 4, [1] * 4, (4,) * 4, "float32"), 4)
    with pytest.raises(ValueError, match="expected equal ones"):
        ops.parallel_ray_transform(odl.uniform_discr([0] * 3, [1] * 3, (4, 3, 4), "float32"), 4)
    with pytest.raises(TypeError, match="uniform_discr"):
        ops.parallel_ray_transform(odl.rn((4, 4)), 4)
    for wrong in (0, -1, 2.5):
        with pytest.raises(ValueError, match="positive integer"):
            ops.parallel_ray_transform(ct_space(), wrong)
    with pytest.raises(ValueError, match="det_half_width"):
        ops.parallel_ray_transform(ct_space(), 4, det_half_width=0.0)
    with pytest.raises(TypeError, match="parallel_ray_transform"):
        ops.require_even_angles(odl.IdentityOperator(ct_space()))
    with pytest.raises(ValueError, match="frequency_scaling"):
        ops.fbp(ops.parallel_ray_transform(ct_space(), 4), frequency_scaling=1.5)
