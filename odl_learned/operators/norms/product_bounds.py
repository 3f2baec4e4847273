"""Proven bounds of norms of products, of the norms of their parts."""

import math

import odl

from odl_learned.operators.norms.exact_norms import exact_norm
from odl_learned.operators.norms.factors import Diagonal, Opaque, factors, simplified


def product_bound(op: odl.Operator) -> float | None:
    r"""Return an upper bound of the norm of a linear operator by rules alone, or None.

    .. math:: |A_1 \cdots A_k| \le |A_1| \cdots |A_k|

    with the parts that are left when unitary and isometric ones have gone from the ends; equal to
    the norm where `exact_norm` knows it. Nothing is random: it holds without exception, but may be
    far above the norm.

    Parameters
    ----------
    op : linear odl.Operator

    Returns
    -------
    bound : float or None
        None where a part has no norm in closed form.
    """
    norm = exact_norm(op)
    if norm is not None:
        return norm
    bound, parts = simplified(factors(op))
    norms = [_norm_of(part) for part in parts]
    return None if None in norms else bound * math.prod(norms)


def _norm_of(part):
    if isinstance(part, Diagonal):
        return part.largest
    return exact_norm(part.op) if isinstance(part, Opaque) else part.scale
