"""Spaces and elements on which ODL is tried out."""

import numpy as np
import odl


def image_space(impl="numpy", dtype="float64"):
    return odl.uniform_discr([0, 0], [1, 2], (5, 4), impl=impl, dtype=dtype)


def draw(space):
    """A reproducible element: standard normal, with unequal components in a product space."""
    return odl.phantom.white_noise(space, seed=1)


def close(actual, expected, rtol=1e-10):
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=1e-12)
