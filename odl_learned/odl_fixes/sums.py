r"""Sums over all entries of an element, in double precision, and their rounding.

A sum of ``n`` numbers, in whatever order a processor adds them, is off by at most ``n u`` times the
sum of their magnitudes, ``u = 2^-53`` in double precision. Sets such as balls are decided by sums,
and what one kernel sums to 1 another sums to a little more. Therefore:

* a projection leaves a point alone that exceeds its set by no more than `rounding`, relative to the
  radius, and otherwise scales the result until its own sum is the radius;
* an indicator allows twice as much.

The result of a projection is scaled by its sum, off by ``n u``, and rounded to the precision of the
space: ``u'`` for an entry, ``3 u'`` for the magnitude of a complex one. Another kernel sums it with
an error of again ``n u``, from magnitudes off by ``2 u'``. So it exceeds the radius by at most
``2 n u + 5 u'``, less than ``rounding = 2 n u + 8 u'``, and is left alone if it is projected again.
Whatever is left alone or projected, another kernel finds to exceed the radius by at most ``4 n u +
13 u'``, also if it is scaled in between, as in a multiple of an indicator (``2 u'``): less than
twice the rounding.
"""

import numpy as np
import odl
from array_api_compat import array_namespace
from odl.core.set import RealNumbers

from odl_learned.weights import component_weights, entry_weights

DOUBLE = float(np.finfo(np.float64).eps)


def precision(space):
    """``eps' = 2 u'``, the distance from one to the next number, of the coarsest factor."""
    return max(eps for _, eps in _leaves_of(space))


def is_sum(space):
    """Whether the inner product is a weighted sum, and not one of the user's."""
    try:
        weights_of(space.zero())
    except TypeError:
        return False
    return True


def is_real_sum(space):
    """Whether the space is real and its inner product a weighted sum."""
    return isinstance(space.field, RealNumbers) and is_sum(space)


def rounding(space):
    """``4 eps' + n eps`` for ``n`` entries, ``eps' = 2 u'`` of the space, ``eps = 2 u``."""
    return 4 * precision(space) + sum(size for size, _ in _leaves_of(space)) * DOUBLE


def pointwise_rounding(space):
    """``(4 + d) eps'``: the same where sums go over the ``d`` components of a point alone."""
    return (4 + len(_leaves_of(space))) * precision(space)


def arrays(x):
    """The arrays that hold the entries of an element, one for each factor of a product space."""
    if isinstance(x.space, odl.ProductSpace):
        return [array for part in x for array in arrays(part)]
    return [x.data]


def weights_of(x, factor=1.0):
    """The weights of the entries in the inner product, a float or an array for each of `arrays`."""
    if isinstance(x.space, odl.ProductSpace):
        parts = zip(x, component_weights(x.space), strict=True)
        return [w for part, weight in parts for w in weights_of(part, factor * weight)]
    weights = entry_weights(x.space)
    if isinstance(weights, float):
        return [factor * weights]
    xp = array_namespace(x.data)
    return [xp.asarray(factor * weights, device=x.data.device)]


def total(parts, weights):
    """``sum_j w_j x_j`` over arrays in double precision, a float."""
    return sum(float((w * part).sum()) for part, w in zip(parts, weights, strict=True))


def in_double(array):
    """An array in double precision, real or complex."""
    xp = array_namespace(array)
    is_complex = xp.isdtype(array.dtype, "complex floating")
    return xp.astype(array, xp.complex128 if is_complex else xp.float64)


def magnitudes(x):
    """``|x_j|`` in double precision, one array for each of `arrays`."""
    return [abs(in_double(array)) for array in arrays(x)]


def assign(out, parts):
    """Write arrays into the entries of an element, rounded to its precision."""
    for array, part in zip(arrays(out), parts, strict=True):
        array[...] = part
    return out


def _leaves_of(space):
    """The number of entries and the precision of each factor of a product space."""
    if isinstance(space, odl.ProductSpace):
        return [leaf for part in space for leaf in _leaves_of(part)]
    return [(int(np.prod(space.shape)), float(np.finfo(str(space.dtype_identifier)).eps))]
