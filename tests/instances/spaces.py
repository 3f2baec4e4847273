"""Small spaces, elements, masks and filters that instances and tests are made of."""

import numpy as np
import odl

from odl_learned import functionals, operators

F = odl.functionals


def plane(shape=(5, 7), dtype="float64"):
    """A weighted space of images with cells that are not square."""
    return odl.uniform_discr([0, 0], [1, 2], shape, dtype=dtype)


def square(n=6, dtype="float64"):
    """A weighted space of square images centered at the origin."""
    return odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype=dtype)


def box(shape=(3, 4, 2), dtype="float64"):
    """A weighted space of volumes with cells that are not cubes."""
    return odl.uniform_discr([0] * 3, [1, 2, 3], shape, dtype=dtype)


def element(space, seed=1):
    """A random element."""
    return operators.random_element(space, np.random.default_rng(seed))


def mask(shape, seed=1):
    """A random mask with both values."""
    return np.random.default_rng(seed).random(shape) < 0.5


X, XC, V = plane(), plane(dtype="complex128"), plane() ** 2
GRAD = operators.gradient(X)
R, RW, RA = odl.rn(4), odl.rn(4, weighting=2.5), odl.rn(4, weighting=[1.0, 2.0, 3.0, 4.0])
MATRIX = np.random.default_rng(0).standard_normal((3, 4))
PAIR = odl.ProductSpace(R, X)


def cut_cells(shape=(5, 7), dtype="float64"):
    """Images with points on the boundary: on both sides of axis 0 and on one side of axis 1."""
    return odl.uniform_discr([0, 0], [1, 2], shape, dtype=dtype,
                             nodes_on_bdry=[True, (True, False)])


def many_weights(shape=(5, 7), dtype="float64"):
    """Images with a weight for every entry."""
    weighting = np.random.default_rng(9).uniform(0.5, 2.0, shape)
    return odl.uniform_discr([0, 0], [1, 2], shape, dtype=dtype, weighting=weighting)


MATRICES = odl.ProductSpace(X**2, 3)


def filters(count, shape):
    """Random filters."""
    return np.random.default_rng(3).standard_normal((count, *shape))


def blocks(space, size=2, weighting=None):
    """Images and parameters, with their projections."""
    factors = space, functionals.parameter_space(space, size)
    domain = (odl.ProductSpace(*factors) if weighting is None
              else odl.ProductSpace(*factors, weighting=weighting))
    return domain, odl.ComponentProjection(domain, 0), odl.ComponentProjection(domain, 1)
