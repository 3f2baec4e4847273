"""Root sum of squares: values, derivative and its adjoint, zeros, and the baseline from data."""

import numpy as np
import odl
import pytest
import torch
from instances.spaces import XC, X

from odl_learned import bridge, data, metrics, operators

SPACES = {"complex": XC**3, "real": X**2,
          "weighted": odl.ProductSpace(XC, 3, weighting=[0.5, 2.0, 1.0])}  # fmt: skip


def draw(space, rng):
    return operators.random_element(space, rng)


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("smoothing", [0.0, 0.7])
def test_values_derivative_and_its_adjoint(name, smoothing, rng):
    R = operators.RootSumOfSquares(SPACES[name], smoothing)
    u, h, z = draw(R.domain, rng), draw(R.domain, rng), draw(R.range, rng)
    stacked = np.stack([part.data for part in u])
    expected = np.sqrt((np.abs(stacked) ** 2).sum(0) + smoothing**2)
    assert np.allclose(R(u).data, expected, rtol=1e-14)
    D = R.derivative(u)
    # the second derivative is at most 1 / R, so that the remainder is below t^2 |h|^2 / min R
    t = 1e-5 * expected.min()
    remainder = (R(u + t * h) - R(u) - t * D(h)).data
    assert np.abs(remainder).max() <= t**2 * 10 / expected.min()
    left, right = D(h).inner(z), h.inner(D.adjoint(z))
    assert abs(left - np.real(right)) <= 1e-13 * D(h).norm() * z.norm()
    assert D.adjoint.adjoint is D


def test_there_is_no_derivative_at_zero():
    u = (XC**2).one()
    u[0].data[1, 2] = u[1].data[1, 2] = 0
    with pytest.raises(ValueError, match="zero in 1 of 35 pixels.*smoothing > 0"):
        operators.RootSumOfSquares(XC**2).derivative(u)
    smooth = operators.RootSumOfSquares(XC**2, 0.1)
    assert smooth(u).data[1, 2] == pytest.approx(0.1) and smooth.derivative(u)(u).data[1, 2] == 0
    x = torch.zeros(2, 5, 7, dtype=torch.complex128, requires_grad=True)
    for smoothing in (0.0, 0.1):
        module = bridge.as_module(operators.RootSumOfSquares(XC**2, smoothing))
        (slope,) = torch.autograd.grad(module(x).sum(), x, create_graph=True)
        assert torch.equal(slope, torch.zeros_like(slope))  # the smallest subgradient, no NaN


def test_it_is_no_operator_on_single_images():
    for wrong in (XC, odl.ProductSpace(XC, X.astype("complex64")), (XC**2) ** 2):
        with pytest.raises(TypeError, match="expected a power space of images"):
            operators.RootSumOfSquares(wrong)
    with pytest.raises(ValueError, match="smoothing is -1"):
        operators.RootSumOfSquares(XC**2, -1)
    with pytest.raises(TypeError, match="of one coil the baseline is its adjoint"):
        operators.root_sum_of_squares(operators.SampledFourier(XC, np.ones((5, 7))))


@pytest.mark.parametrize("weights", [(1.0, 1.0), (3.0, 0.5)])
def test_the_baseline_gives_the_magnitude_back(weights, rng):
    """Of full data exactly, whatever the weights of the data space."""
    space = odl.uniform_discr([-1, -1], [1, 1], (12, 10), dtype="complex128")
    truth = data.random_body(space, rng) * data.smooth_phase(space, rng)
    maps = data.simulated_sensitivities(space, 4)
    Y = odl.ProductSpace(odl.cn((12, 10), weighting=weights[0]), 4, weighting=weights[1])
    A = operators.MultiCoilFourier(space, np.ones((12, 10)), maps, Y)
    found = operators.root_sum_of_squares(A)(A(truth))
    assert np.allclose(found.data, np.abs(truth.data), atol=1e-14)
    fewer = operators.MultiCoilFourier(space, data.cartesian_mask((12, 10), 0.5, 0.2, rng), maps, Y)
    found = operators.root_sum_of_squares(fewer)(fewer(truth))
    assert 10 < metrics.psnr(found, np.abs(truth.data)) < 60
