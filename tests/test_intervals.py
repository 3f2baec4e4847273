"""Bounds of derivatives of potentials on intervals, against random points of them."""

import pytest
import torch

from odl_learned.energies.intervals import interval
from odl_learned.energies.potentials import Charbonnier, CubicAbsolute, HalfSquare

POTENTIALS = [Charbonnier(), CubicAbsolute(), HalfSquare()]


def phi(potential, v, nu):
    """``phi_nu(|v|)`` written anew, for vectors that are not zero."""
    t = torch.linalg.vector_norm(v, dim=-1)
    if isinstance(potential, Charbonnier):
        return torch.sqrt(t**2 + nu**2)
    if isinstance(potential, HalfSquare):
        return t**2 / 2
    return torch.where(t <= nu, t**2 / nu - t**3 / (3 * nu**2), t - nu / 3)


def directional(function, v, directions):
    """Repeated derivative along directions, one after the other."""
    for c in directions:
        def function(v, inner=function, c=c):
            return torch.func.jvp(inner, (v,), (c,))[1]
    return function(v)


@pytest.mark.parametrize("potential", POTENTIALS, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("dimension", [1, 2, 4])
def test_intervals_bound_derivatives_and_touch_them(potential, dimension, rng):
    """Random points of random intervals; bounds on short ones are tight to 10 %."""
    nu, count = 0.3, 1000
    for width in (0.02, 0.5):
        a = torch.as_tensor(rng.uniform(0.01, 1.0, 20))
        b = a + width
        found = interval(potential, nu, a, b, dimension == 1)
        t = a + (b - a) * torch.as_tensor(rng.random((count, 20)))
        v, c = (torch.as_tensor(rng.standard_normal((count, 20, dimension))) for _ in range(2))
        v, c = (x / torch.linalg.vector_norm(x, dim=-1, keepdim=True) for x in (v, c))
        v = v * t[..., None]
        # Along and across v lie the eigenvectors of second derivatives.
        for c in (c, v / t[..., None]):
            second = directional(lambda v: phi(potential, v, nu), v, [c, c]).abs().amax(0)
            third = directional(lambda v: phi(potential, v, nu), v, [c, c, c]).abs().amax(0)
            step = 1e-5
            mixed = (directional(lambda v: phi(potential, v, nu + step), v, [c, c])
                     - directional(lambda v: phi(potential, v, nu - step), v, [c, c]))
            mixed = (mixed / (2 * step)).abs().amax(0)
            away = (a - nu).abs().minimum((b - nu).abs()) > 2 * step  # no jump at nu
            assert (second <= found.curvature * (1 + 1e-9)).all()
            assert (third <= found.third * (1 + 1e-9) + 1e-9).all()
            assert (mixed <= found.mixed * (1 + 1e-6) + 1e-6)[away].all()
        if width < 0.1 and dimension == 1 and isinstance(potential, Charbonnier):
            assert (found.third <= 1.1 * third + 0.1).all()
