"""Fourier filters along one axis become matrices, and what only looks like one does not."""

import numpy as np
import odl
import pytest
from odl.applications import tomo
from odl.trafos import FourierTransform
from ray_transforms import by_odl, close, dense, draw, transform

from odl_learned import operators
from odl_learned.bridge import as_module
from odl_learned.bridge.rules.frequencies import axis_filters
from odl_learned.bridge.rules.matrices import Matrix


def kinds(module):
    return {type(part) for part in module.modules()}


def has_transforms(module):
    return any("Transform" in kind.__name__ for kind in kinds(module))


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("padding", [True, False])
@pytest.mark.parametrize("name", ["Ram-Lak", "Hann"])
def test_the_filter_of_backprojection_is_a_matrix(dtype, padding, name, rng):
    op = tomo.fbp_op(transform("parallel", dtype), padding=padding, filter_type=name)
    module, y = as_module(op), draw(op.domain, rng, 2)
    assert Matrix in kinds(module) and not has_transforms(module)
    assert close(module(y), by_odl(op, y))
    assert by_odl(op, y).abs().max() > 1e-3


def test_its_adjoint_is_the_transpose(rng):
    op = operators.fbp(operators.parallel_ray_transform(
        odl.uniform_discr([-1, -1], [1, 1], (8, 8), dtype="float32"), 6))
    module, x = as_module(op.adjoint), draw(op.range, rng)
    assert Matrix in kinds(module) and not has_transforms(module)
    weight = op.range.weighting.const / op.domain.weighting.const
    assert close(module(x).flatten().double(), weight * dense(op).T @ x.flatten().double())


def filtered(h, axes=(1,)):
    """``F^-1 h F`` on 4 x 6 complex numbers."""
    space = odl.uniform_discr([-1, -1], [1, 1], (4, 6), dtype="complex128")
    fourier = FourierTransform(space, axes=axes)
    return fourier.inverse * fourier.range.element(h(fourier.range)) * fourier


def rows_alike(space):
    return np.broadcast_to(1 + np.arange(6.0) ** 2, space.shape)


def rows_apart(space):
    return np.arange(24.0).reshape(space.shape) + 1


@pytest.mark.parametrize("h, axes, is_matrix", [
    (rows_alike, (1,), True),
    (rows_apart, (1,), False),
    (lambda space: rows_apart(space) + 1j, (0,), False),
    (rows_apart, (0, 1), False),
])  # fmt: skip
def test_filters_that_change_from_row_to_row_are_transforms(h, axes, is_matrix, rng):
    op = filtered(h, axes=axes)
    module, x = as_module(op), draw(op.domain, rng, 3)
    assert (Matrix in kinds(module)) == is_matrix
    assert close(module(x), by_odl(op, x), 1e-12)


def test_long_axes_are_transforms(rng, monkeypatch):
    monkeypatch.setattr(axis_filters, "LONGEST", 5)
    op = filtered(rows_alike)
    x = draw(op.domain, rng, 2)
    assert Matrix not in kinds(as_module(op))
    assert close(as_module(op)(x), by_odl(op, x), 1e-12)
