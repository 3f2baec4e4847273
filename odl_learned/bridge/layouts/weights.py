"""The weights of inner products, ``<x, z>_X = sum_j w_j x_j conj(z_j)``: read off, and applied.

A weight is one float for all entries, or a tensor with one number per entry. With ``W`` the weights
as a diagonal, a Riesz representative ``r`` and a Euclidean gradient ``g`` are related by
``g = W r``.
"""

import torch

from odl_learned.bridge.layouts.nested import each
from odl_learned.weights import entry_weights


def entry_weight(space):
    """Return the weight of a tensor space, as `odl_learned.weights.entry_weights` reads it.

    Parameters
    ----------
    space : odl tensor space or odl.DiscretizedSpace

    Returns
    -------
    weight : float or torch.Tensor of shape ``space.shape``, float64

    Raises
    ------
    TypeError
        If the inner product is not a weighted sum.
    """
    weights = entry_weights(space)
    return weights if isinstance(weights, float) else torch.as_tensor(weights)


def power_weight(weights, base, shape):
    """Return the weight of a power space.

    Parameters
    ----------
    weights : list of n floats
        Those of its components.
    base : float or torch.Tensor of shape ``shape``
        The weight of the space that it is a power of.
    shape : tuple of int
        Of that space.

    Returns
    -------
    weight : float or torch.Tensor
        A tensor of shape ``(n, *shape)`` where components differ, else as ``base``.
    """
    if all(w == weights[0] for w in weights):
        return weights[0] if _is_one(base) else weights[0] * base
    ones = torch.ones(shape, dtype=torch.float64)
    return torch.stack([w * base * ones for w in weights])


def times(weight, x):
    """``W x`` for a tensor, or, with a float, for every tensor of a nested tuple."""
    return x if _is_one(weight) else each(lambda part: _like(weight, part) * part, x)


def over(weight, x):
    """``W^-1 x`` for a tensor."""
    return x if _is_one(weight) else x / _like(weight, x)


def weighted_sum(weight, x, axes):
    """``sum_j w_j x_j`` over some axes of a tensor."""
    if isinstance(weight, torch.Tensor):
        return (_like(weight, x) * x).sum(axes)
    total = x.sum(axes) if axes else x
    return total if weight == 1.0 else weight * total


def _is_one(weight):
    return not isinstance(weight, torch.Tensor) and weight == 1.0


def _like(weight, x):
    """The weight in the precision of ``x`` and where it is."""
    if isinstance(weight, torch.Tensor):
        return weight.to(device=x.device, dtype=x.real.dtype if x.is_complex() else x.dtype)
    return weight
