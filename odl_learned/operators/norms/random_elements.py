"""Random elements of spaces, with weights and without."""

import math

import numpy as np
import odl
from odl.core.set.space import LinearSpace, LinearSpaceElement

from odl_learned.odl_validation import require_array_space
from odl_learned.validation import require_rng
from odl_learned.weights import component_weights, entry_weights


def random_element(space: LinearSpace, rng: np.random.Generator) -> LinearSpaceElement:
    """Return an element with independent standard normal entries, complex if the space is.

    Parameters
    ----------
    space : odl space on numpy, or a product of such spaces
    rng : numpy.random.Generator

    Raises
    ------
    TypeError
        If this is no space of arrays of real or complex numbers, or no such generator.
    """
    require_rng(rng)
    if isinstance(space, odl.ProductSpace):
        return space.element([random_element(part, rng) for part in space])
    require_array_space("space", space)
    values = rng.standard_normal(space.shape)
    if np.issubdtype(space.dtype, np.complexfloating):
        values = values + 1j * rng.standard_normal(space.shape)
    return space.element(values.astype(space.dtype))


def uniform_direction(space: LinearSpace, rng: np.random.Generator) -> LinearSpaceElement:
    """Return an element that is uniform on the unit sphere of the inner product of a space.

    Parameters
    ----------
    space : odl space on numpy, or a product of such spaces
    rng : numpy.random.Generator
    """
    x = _whitened(space, random_element(space, rng))
    return float(1 / x.norm()) * x


def _whitened(space, x):
    """Coordinates in an orthonormal basis as an element: entries over the roots of weights."""
    if isinstance(space, odl.ProductSpace):
        return space.element([float(1 / math.sqrt(c)) * _whitened(space[i], x[i])
                              for i, c in enumerate(component_weights(space))])  # fmt: skip
    weights = entry_weights(space)
    if isinstance(weights, float):
        return float(1 / math.sqrt(weights)) * x
    return space.element((x.data / np.sqrt(weights)).astype(space.dtype))
