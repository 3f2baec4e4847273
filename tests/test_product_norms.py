"""Norms of products and pencils of transforms, and convexity of potentials, against matrices."""

import numpy as np
import pytest
import torch
from dense_hessians import norm, root_of

from odl_learned.energies.intervals import interval
from odl_learned.energies.potentials import Charbonnier, CubicAbsolute, HalfSquare
from odl_learned.energies.transforms import (
    BackwardDifferences,
    ForwardDifferences,
    OrthogonalTransform,
    Separate,
)
from odl_learned.energies.transforms.perron import perron_bound
from odl_learned.learning.bilevel.hypergradients.metric_bounds import pencil_bound

ORTHOGONAL = torch.linalg.qr(torch.randn(20, 20, dtype=torch.float64,
                                         generator=torch.Generator().manual_seed(0)))[0]
TRANSFORMS = {
    "forward": ForwardDifferences((5, 4)),
    "line": ForwardDifferences((7,)),
    "volume": ForwardDifferences((3, 2, 3)),
    "backward": BackwardDifferences(9),
    "separate": Separate(ForwardDifferences((4, 5))),
    "orthogonal": OrthogonalTransform(
        lambda x: (x.flatten(1) @ ORTHOGONAL.mT).view_as(x),
        lambda p: (p.flatten(1) @ ORTHOGONAL).view_as(p), (4, 5)),
}  # fmt: skip


def groups(transform, rng, count=3):
    """Numbers for all groups over eight decades, ``(B, 1, ...)``."""
    unit = torch.zeros(count, *transform.shape, dtype=torch.float64)
    shape = transform.forward(unit)[:, :1].shape
    return torch.as_tensor(10 ** rng.uniform(-6, 2, shape))


def product(transform, curvatures):
    """``D^T diag(curvatures) D`` of one sample as a matrix."""
    size = int(np.prod(transform.shape))
    units = torch.eye(size, dtype=torch.float64).reshape(size, *transform.shape)
    return transform.adjoint(curvatures * transform.forward(units)).reshape(size, size)


def test_norms_of_nonnegative_matrices(rng):
    for size in (1, 4, 12):
        matrices = torch.as_tensor(rng.uniform(0, 1, (3, size, size))) ** 4
        matrices = matrices + matrices.mT
        bounds = perron_bound(lambda u: (matrices @ u[..., None])[..., 0], matrices[:, 0])
        for matrix, bound in zip(matrices, bounds, strict=True):
            assert norm(matrix) <= bound * (1 + 1e-12) <= 1.2 * norm(matrix)
    assert perron_bound(torch.zeros_like, torch.ones(2, 5)).tolist() == [0, 0]


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_norms_of_products(transform, rng):
    for curvatures in (groups(transform, rng), torch.ones_like(groups(transform, rng))):
        for c, bound in zip(curvatures, transform.product_norm(curvatures), strict=True):
            exact = norm(product(transform, c))
            assert exact <= bound * (1 + 1e-12) <= 1.3 * exact
    assert not transform.product_norm(torch.zeros_like(curvatures)).any()


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
@pytest.mark.parametrize("mu", [1e-3, 1.0])
def test_pencils(transform, mu, rng):
    """``upper <= t lower`` as forms; as tight as the better of two simple choices up to halvings.

    Four halvings leave a factor of ``1e4^(1/16) < 1.8``, also of the smallest number that is tried,
    ``1e-4`` of a first guess that is at most 30 % too large.
    """
    upper, lower = groups(transform, rng), groups(transform, rng)
    identity = torch.eye(int(np.prod(transform.shape)), dtype=torch.float64)
    for above, below in ((upper, lower), (upper, 0 * lower), (2 * lower, lower)):
        bounds = pencil_bound(transform, above, below, mu)
        for a, b, bound in zip(above, below, bounds, strict=True):
            inverse = root_of(mu * identity + product(transform, b))
            exact = norm(inverse @ product(transform, a) @ inverse)
            assert exact <= bound * (1 + 1e-9)
            assert bound <= 1.3 * norm(product(transform, a)) / mu
            quotient = float((a / b).max())
            assert bound <= max(1.8 * quotient, 2.4e-4 * norm(product(transform, a)) / mu)
            if not b.any():
                assert bound <= 1.3 * exact
    assert not pencil_bound(transform, 0 * upper, lower, mu).any()


@pytest.mark.parametrize("dimension", [1, 3])
def test_intervals_bound_convexity_and_touch_it(dimension, rng):
    nu = 0.3
    a = torch.as_tensor(rng.uniform(0.0, 0.6, 50))
    b = a + torch.as_tensor(rng.uniform(0.0, 0.3, 50))
    for potential in (Charbonnier(), CubicAbsolute(), HalfSquare()):
        t = a + (b - a) * torch.as_tensor(rng.random((200, 50)))
        t[0] = b
        weight, bend = potential.weight_and_curvature(t**2, nu)
        along, across = weight + bend * t**2, weight
        smallest = (along if dimension == 1 else torch.minimum(along, across)).amin(0)
        found = interval(potential, nu, a, b, dimension == 1).convexity
        assert (found <= smallest + 1e-12).all() and (found >= 0).all()
        if not isinstance(potential, HalfSquare):
            assert (found >= smallest * (1 - 1e-12) - 1e-12).all()
