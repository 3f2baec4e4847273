"""Least squares through an operator: its proximal against dense solves, alone and in batches."""

import numpy as np
import odl
import pytest
import torch
from instances.spaces import GRAD, X, element

from odl_learned import bridge, functionals, operators
from odl_learned.conformance.sampling import flat


def matrix(op):
    """The matrix of an operator between spaces without weights, up to a common factor."""
    basis = np.eye(op.domain.size).reshape(-1, *op.domain.shape)
    return np.stack([flat(op(op.domain.element(e))) for e in basis], axis=1)


def test_the_proximal_solves_the_normal_equation():
    f = functionals.LeastSquares(GRAD, element(GRAD.range), accuracy=1e-13)
    x, sigma = element(X, 3), 0.7
    N = matrix(GRAD.adjoint @ GRAD)
    right = flat(x) + sigma * flat(GRAD.adjoint(f.data))
    expected = np.linalg.solve(np.eye(X.size) + sigma * N, right)
    # The condition number is 1 + sigma |N|, about 200.
    np.testing.assert_allclose(flat(f.proximal(sigma)(x)), expected, rtol=0, atol=1e-10)
    assert f.grad_lipschitz >= np.linalg.norm(N, 2) * (1 - 1e-12)
    assert f(x) == pytest.approx(0.5 * (GRAD(x) - f.data).norm() ** 2, rel=1e-14)


def test_a_list_of_masks_and_data_is_one_batch():
    rng = np.random.default_rng(0)
    masks = [operators.mask_operator(X, m) for m in _masks_of_one_size(rng)]
    family = [functionals.LeastSquares(A, element(A.range, i)) for i, A in enumerate(masks)]
    twin = bridge.as_batch(family)
    points = [element(X, 5 + i) for i in range(3)]
    x, steps = torch.stack([torch.from_numpy(p.asarray()) for p in points]), np.array([0.1, 1, 30])
    moved = twin.proximal(steps)(x)
    for k, (f, p, s) in enumerate(zip(family, points, steps)):
        measured = f.forward_op.adjoint(f.forward_op.range.one())  # one or zero
        expected = (p + s * f.back) / (X.one() + s * measured)
        np.testing.assert_allclose(moved[k], expected.asarray(), rtol=0, atol=1e-12)
        np.testing.assert_allclose(f.proximal(s)(p).asarray(), expected.asarray(), atol=1e-12)
    some = twin.take([2, 0]).proximal(steps[[2, 0]])(x[[2, 0]])
    torch.testing.assert_close(some, moved[[2, 0]], rtol=0, atol=1e-13)


def _masks_of_one_size(rng):
    for _ in range(3):
        mask = np.zeros(X.size, dtype=bool)
        mask[rng.permutation(X.size)[:20]] = True
        yield mask.reshape(X.shape)


def test_too_few_iterations_are_told():
    f = functionals.LeastSquares(GRAD, element(GRAD.range), maxiter=2)
    with pytest.warns(RuntimeWarning, match="not reached in 1 of 1 samples after 2 iterations"):
        f.proximal(10.0)(element(X))


def test_errors():
    with pytest.raises(TypeError, match="an element of its range"):
        functionals.LeastSquares(GRAD, X.one())
    with pytest.raises(TypeError, match="linear operator"):
        functionals.LeastSquares(odl.PowerOperator(X, 2), X.one())
    with pytest.raises(ValueError, match="accuracy"):
        functionals.LeastSquares(GRAD, GRAD.range.one(), accuracy=0.0)
