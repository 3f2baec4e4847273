"""Transforms of lower levels: adjoints, norms, and the systems that precondition."""

import math

import numpy as np
import odl
import pytest
import torch
from bilevel_energies import C128, F64, wavelet
from rounding import assert_rounded

from odl_learned import operators
from odl_learned.bridge import as_module
from odl_learned.energies.transforms import BackwardDifferences, ForwardDifferences, Separate
from odl_learned.energies.transforms.tridiagonal import Tridiagonal


@pytest.mark.parametrize("transform", [
    BackwardDifferences(7), ForwardDifferences((5,)), ForwardDifferences((4, 5)),
    ForwardDifferences((3, 4, 2)), Separate(ForwardDifferences((4, 5))),
    wavelet((4, 4), odl.rn),
])  # fmt: skip
def test_transforms_have_exact_adjoints_and_sharp_norms(transform):
    size = math.prod(transform.shape)
    basis = torch.eye(size, dtype=F64).reshape(size, *transform.shape)
    coefficients = transform.forward(basis)
    matrix = coefficients.flatten(1).T
    p = torch.eye(matrix.shape[0], dtype=F64).reshape(-1, *coefficients.shape[1:])
    np.testing.assert_allclose(transform.adjoint(p).flatten(1), matrix, atol=1e-14)
    np.testing.assert_allclose(torch.linalg.matrix_norm(matrix, 2), transform.norm, rtol=1e-12)
    places = coefficients.shape[2:]
    assert transform.groups == math.prod(places)
    blocks = coefficients.reshape(size, coefficients.shape[1], -1).permute(2, 1, 0)
    assert torch.linalg.matrix_norm(blocks, 2).max() <= transform.group_norm + 1e-12


def test_forward_differences_are_those_of_odl():
    space = odl.uniform_discr([0, 0], [4, 5], (4, 5))
    x = torch.randn(2, 4, 5, dtype=F64, generator=torch.Generator().manual_seed(0))
    expected = as_module(operators.gradient(space))(x)
    np.testing.assert_allclose(ForwardDifferences((4, 5)).forward(x), expected, atol=1e-14)


@pytest.mark.parametrize("shape", [(8,), (4, 6)])
def test_cosines_diagonalize_constant_curvature(shape):
    transform = ForwardDifferences(shape)
    v = torch.randn(2, *shape, dtype=C128, generator=torch.Generator().manual_seed(0))
    curvatures = torch.tensor([0.3, 2.0], dtype=F64).reshape(2, *[1] * (len(shape) + 1))
    curvatures = curvatures.expand(2, len(shape), *shape).clone()
    u = transform.shifted_inverse(0.7, curvatures)(v)
    back = 0.7 * u + transform.adjoint(curvatures * transform.forward(u))
    np.testing.assert_allclose(back, v, atol=1e-12)


def test_tridiagonal_systems_are_solved_one_by_one():
    generator = torch.Generator().manual_seed(0)
    diagonal = 3 + torch.rand(3, 6, dtype=F64, generator=generator)
    side = -torch.ones(3, 6, dtype=F64)
    side[:, -1] = 0
    v = torch.randn(3, 6, dtype=F64, generator=generator)
    u = Tridiagonal(diagonal, side)(v)
    for i in range(3):
        upper = torch.diag(side[i, :-1], 1)
        matrix = torch.diag(diagonal[i]) + upper + upper.T
        np.testing.assert_allclose(matrix @ u[i], v[i], atol=1e-13)
    alone = Tridiagonal(diagonal[1:2], side[1:2])(v[1:2])
    assert_rounded(alone[0], u[1], 1e-14)
    with pytest.raises(ArithmeticError, match="not positive definite"):
        Tridiagonal(-diagonal, side)
