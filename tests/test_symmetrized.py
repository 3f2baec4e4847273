"""The symmetrized ray transform: it commutes with quarter turns, and changes little."""

import pickle

import numpy as np
import odl
import pytest
import torch
from odl.applications import tomo
from operator_checks import adjoint_error, assert_out_and_linear

from odl_learned import bridge, operators
from odl_learned.operators.tomography.projectors import matrices

PLANE = odl.uniform_discr([-1, -1], [1, 1], (16, 16), dtype="float32")


def fan(views=12, space=PLANE):
    return operators.fan_beam_ray_transform(space, views, 4.0, 4.0)


RAYS = {"parallel": lambda: operators.parallel_ray_transform(PLANE, 10),
        "even bins": lambda: operators.parallel_ray_transform(PLANE, 6, 18),
        "fan": fan}  # fmt: skip


def relative(got, expected):
    return float((got - expected).norm() / expected.norm())


@pytest.mark.parametrize("name", RAYS)
def test_data_turn_with_the_image(name, rng):
    A = RAYS[name]()
    u = operators.random_element(PLANE, rng)
    for k in range(-1, 5):
        P, R = operators.SinogramTurn(A, k), operators.QuarterTurn(PLANE, k)
        assert relative(P(A(u)), A(R(u))) < 1e-4
        if k % 4:
            assert relative(operators.SinogramTurn(A, -k)(A(u)), A(R(u))) > 0.1 or k == 2
        for other in range(4):
            composed = P(operators.SinogramTurn(A, other)(A(u)))
            expected = operators.SinogramTurn(A, k + other)(A(u))
            assert np.array_equal(composed.data, expected.data)
        assert adjoint_error(P, rng) < 1e-6
        assert_out_and_linear(P, rng)
        assert np.array_equal(P.inverse(P(A(u))).data, A(u).data)
    assert operators.exact_norm(operators.SinogramTurn(A, 1)) == 1.0


@pytest.mark.parametrize("name", RAYS)
def test_it_commutes_with_quarter_turns(name, rng):
    A = RAYS[name]()
    S = operators.SymmetrizedRayTransform(A)
    u, y = operators.random_element(S.domain, rng), operators.random_element(S.range, rng)
    assert relative(S(u), A(u)) < 1e-4
    assert adjoint_error(S, rng) < 1e-6
    assert_out_and_linear(S, rng)
    filtered = operators.fbp(2.0 * S)
    for k in range(1, 4):
        R, P = operators.QuarterTurn(PLANE, k), operators.SinogramTurn(A, k)
        assert np.array_equal(S(R(u)).data, P(S(u)).data)  # sums of four in double precision
        assert np.array_equal(S.adjoint(P(y)).data, R(S.adjoint(y)).data)
        assert relative(filtered(P(y)), R(filtered(y))) < 1e-6
    assert relative(2.0 * filtered(y), operators.fbp(A)(y)) < 1e-4


@pytest.mark.parametrize("name", RAYS)
def test_its_matrix_is_the_mean(name, rng, monkeypatch):
    A = RAYS[name]()
    S = operators.SymmetrizedRayTransform(A)
    forward, back = bridge.as_module(S), bridge.as_module(S.adjoint)
    M = bridge.as_module(A).native.pair.matrix.to_dense().numpy().astype(float)
    # one column for each pixel: 1/4 sum_k P^-k M R^k
    mean = 0
    for k in range(4):
        R = np.stack([np.rot90(e.reshape(16, 16), k).ravel() for e in np.eye(256)], 1)
        P = np.stack([operators.SinogramTurn(A, -k)(A.range.element(e.reshape(A.range.shape)))
                      .data.ravel() for e in np.eye(A.range.size, dtype="float32")], 1)
        mean = mean + P @ M @ R / 4
    matrix = forward.native.pair.matrix.to_dense().numpy()
    assert np.abs(matrix - mean).max() <= 2.0**-24 * np.abs(mean).max()
    u = torch.as_tensor(rng.standard_normal((3, 16, 16)), dtype=torch.float32)
    y = forward(u)
    P = bridge.as_module(operators.SinogramTurn(A, 1))
    assert relative(forward(torch.rot90(u, 1, (-2, -1))), P(y)) < 1e-6
    assert relative(back(P(y)), torch.rot90(back(y), 1, (-2, -1))) < 1e-6
    # in double precision the mean is symmetric to the last bit
    double = bridge.as_module(S).double()
    turn = bridge.as_module(operators.SinogramTurn(A, 1)).double()
    v = u.double()
    assert relative(double(torch.rot90(v, 1, (-2, -1))), turn(double(v))) < 1e-14
    # without a matrix, and from a pickle, and from disk
    with pytest.warns(RuntimeWarning, match="projector as a matrix"):
        monkeypatch.setattr(matrices, "SPARSE_LIMIT", 0)
        linked, linked_back = bridge.as_module(S), bridge.as_module(S.adjoint)
    assert relative(linked(u), y) < 1e-6 and relative(linked_back(y), back(y)) < 1e-6
    assert type(linked.native.pair).__name__ == "TurnedPair"
    assert torch.equal(pickle.loads(pickle.dumps(forward))(u), y)


def test_its_matrix_is_kept_on_disk(tmp_path):
    space = odl.uniform_discr([-1, -1], [1, 1], (14, 14), dtype="float32")
    S = operators.SymmetrizedRayTransform(operators.parallel_ray_transform(space, 4))
    u = torch.ones(14, 14)
    values = []
    for _ in range(2):
        with bridge.ray.cache_folder(tmp_path):
            values.append(bridge.as_module(S)(u))
    assert torch.equal(*values) and len(list(tmp_path.iterdir())) == 1
    assert not torch.equal(bridge.as_module(S.forward_op)(u), values[0])


def moved_detector():
    return tomo.RayTransform(PLANE, tomo.Parallel2dGeometry(
        odl.uniform_partition(0, np.pi, 6), odl.uniform_partition(-1.4, 1.6, 21)),
        impl="astra_cpu")  # fmt: skip


def test_what_has_no_symmetry_is_refused():
    symmetrized = operators.SymmetrizedRayTransform
    with pytest.raises(ValueError, match="5 angles, an odd number"):
        symmetrized(operators.parallel_ray_transform(PLANE, 5))
    with pytest.raises(ValueError, match="multiple of four"):
        symmetrized(fan(10))
    with pytest.raises(ValueError, match="no translation"):
        symmetrized(moved_detector())
    off_center = odl.uniform_discr([0, -1], [2, 1], (16, 16), dtype="float32")
    with pytest.raises(ValueError, match="origin in its center"):
        symmetrized(operators.parallel_ray_transform(off_center, 6))
    wide = odl.uniform_discr([-2, -1], [2, 1], (16, 8), dtype="float32")
    with pytest.raises(ValueError, match=r"\(n, n\)"):
        symmetrized(operators.parallel_ray_transform(wide, 6))
    uneven = tomo.RayTransform(PLANE, tomo.Parallel2dGeometry(
        odl.nonuniform_partition([0.1, 0.3, 0.9, 1.4]), odl.uniform_partition(-1.5, 1.5, 21)),
        impl="astra_cpu")  # fmt: skip
    with pytest.raises(ValueError, match="not 0.7854 apart"):
        operators.SinogramTurn(uneven, 1)
    with pytest.raises(TypeError, match="ray transform in the plane"):
        symmetrized(odl.IdentityOperator(PLANE))
    with pytest.raises(TypeError, match="integer"):
        operators.SinogramTurn(fan(), 0.5)
    with pytest.raises(TypeError, match="SymmetrizedRayTransform"):
        operators.SymmetrizedRayTransformAdjoint(fan())
