"""The weights of inner products, ``<x, z>_X = sum_j w_j x_j conj(z_j)``: the one place that knows.

ODL weights a space by a constant, by an array, and, on a uniform partition whose outermost points
lie on the boundary (``nodes_on_bdry``), by the fraction of the outer cells inside the domain on
top. The last does not show in ``space.weighting``; so nothing but this file reads it.
"""

import math

import numpy as np
import odl
from odl.core.set.space import LinearSpaceElement
from odl.core.space.base_tensors import TensorSpace

_NEXT = "Build it with odl.uniform_discr(..., weighting=<number or array>), odl.rn or odl.cn."


def entry_weights(space: TensorSpace) -> float | np.ndarray:
    r"""Return the weights of the inner product of a tensor space, exactly as ODL applies them.

    .. math:: \langle x, z \rangle_X = \sum_j w_j \, x_j \overline{z_j}, \qquad
              w_j = c_j \prod_a \varphi_a(j_a),

    with ``c`` the constant or array of the weighting and ``phi_a`` the fractions of the first and
    of the last cell along axis ``a`` inside the domain: 1/2 where the outermost points lie on the
    boundary, 1 elsewhere. As in ODL, fractions count only on uniform partitions, and not where the
    weighting is the constant 1.

    Parameters
    ----------
    space : odl tensor space or odl.DiscretizedSpace
        With exponent 2.

    Returns
    -------
    weights : float or np.ndarray of shape ``space.shape``, float64
        One number where all entries have the same weight by construction.

    Raises
    ------
    TypeError
        If the inner product is not a weighted sum: custom, of exponent other than 2, or of a
        product space.
    ValueError
        If a weight is not positive.

    See Also
    --------
    constant_weight : where only one weight for all entries will do.
    component_weights : for product spaces.
    """
    if isinstance(space, odl.ProductSpace):
        raise TypeError(f"{_named(space)} is a product space, expected one of arrays. Take the "
                        "weights of its factors, and component_weights(space) between them.")
    weights = _of_weighting(space)
    if not _cuts_cells(space):
        if isinstance(weights, float):
            return weights
        return np.array(np.broadcast_to(weights, space.shape))
    weights = np.array(np.broadcast_to(weights, space.shape))
    for axis, fractions in enumerate(_cell_fractions(space)):
        weights *= fractions.reshape([-1 if k == axis else 1 for k in range(space.ndim)])
    return weights


def axis_weights(space: TensorSpace | odl.ProductSpace) -> list[np.ndarray] | None:
    """Return arrays ``w_a``, one per axis, whose product is proportional to the weights, or None.

    They are the fractions ``phi_a`` of `entry_weights` for a constant weighting; arrays of weights
    need not be such products.
    """
    if isinstance(space, odl.ProductSpace) or not hasattr(space.weighting, "const"):
        return None
    return _cell_fractions(space) if _cuts_cells(space) else [np.ones(n) for n in space.shape]


def constant_weight(name: str, space: TensorSpace) -> float:
    """Return the one weight of all entries, or refuse the space.

    Parameters
    ----------
    name : str
        What to call the space in the message, such as ``"space"`` or ``"forward_op.domain"``.
    space : odl tensor space or odl.DiscretizedSpace
        With exponent 2.

    Returns
    -------
    weight : float

    Raises
    ------
    TypeError
        If the entries do not all have the same weight.
    """
    if isinstance(space, odl.ProductSpace) or not hasattr(space, "weighting"):
        raise TypeError(f"{name} is {_named(space)}; expected a uniform_discr, rn or cn space with "
                        "a constant weight.")
    if space.dtype.kind not in "fc":
        raise TypeError(f"{name} is {_named(space)}, whose numbers are whole; expected real or "
                        "complex ones, such as dtype='float64': all that is computed would be "
                        "rounded.")
    if not hasattr(space.weighting, "const"):
        raise TypeError(
            f"{name} has the weighting {_named(space.weighting)}, expected a constant weight, "
            "the same for all entries. Build it with odl.uniform_discr(...) or odl.cn(..., "
            "weighting=<number>)."
        )
    weight = _of_weighting(space)
    if _cuts_cells(space):
        raise TypeError(
            f"{name} is {_named(space)}; expected a constant weight, the same for all entries, "
            "but with points on the boundary (nodes_on_bdry) the outer cells count only by their "
            "fraction inside the domain, half. Build it with nodes_on_bdry=False."
        )
    return weight


def has_constant_weight(space: object) -> bool:
    """Return whether `constant_weight` accepts the space."""
    if isinstance(space, odl.ProductSpace) or not hasattr(space, "weighting"):
        return False
    weighting = space.weighting
    return hasattr(weighting, "const") and weighting.exponent == 2.0 and not _cuts_cells(space)


def weighting_constant(space: TensorSpace) -> float | None:
    """Return the constant that a weighting holds, or None, whatever else the inner product does.

    Not a weight of entries where cells are cut at the boundary: it is what ODL's ray transforms
    divide by, and for nothing else.
    """
    const = getattr(space.weighting, "const", None)
    return None if const is None else float(const)


def component_weights(space: odl.ProductSpace) -> list[float]:
    r"""Return the weights of the factors of a product space.

    .. math:: \langle x, z \rangle = \sum_i w_i \langle x_i, z_i \rangle_{X_i}

    Parameters
    ----------
    space : odl.ProductSpace
        With exponent 2.

    Returns
    -------
    weights : list of float, one per factor

    Raises
    ------
    TypeError
        If the inner product is not such a sum.
    ValueError
        If a weight is not positive.
    """
    weights = _of_weighting(space)
    if isinstance(weights, float):
        return [weights] * len(space)
    return [float(w) for w in np.broadcast_to(weights, (len(space),))]


def single_weight(space: TensorSpace | odl.ProductSpace) -> float | None:
    """Return the one weight of all entries of all factors of a space, or None.

    Parameters
    ----------
    space : odl tensor space, odl.DiscretizedSpace or odl.ProductSpace
        With exponent 2.

    Raises
    ------
    TypeError
        If the inner product is not a weighted sum.
    """
    if not isinstance(space, odl.ProductSpace):
        weights = entry_weights(space)
        return weights if isinstance(weights, float) else None
    if len(space) and space.is_power_space:
        factors = [single_weight(space[0])] * len(space)
    else:
        factors = [single_weight(part) for part in space]
    known = [factor for factor in factors if factor is not None]
    if len(known) < len(factors):
        return None
    weights = {w * f for w, f in zip(component_weights(space), known, strict=True)}
    return weights.pop() if len(weights) == 1 else None


def extreme_weights(space: TensorSpace | odl.ProductSpace) -> tuple[float, float]:
    r"""Return the smallest and the largest weight of the entries, ``(min w, max w)``.

    .. math:: \min_j w_j \, |x|_2^2 \le |x|_X^2 \le \max_j w_j \, |x|_2^2

    Parameters
    ----------
    space : odl tensor space, odl.DiscretizedSpace or odl.ProductSpace
        With exponent 2, not empty.

    Raises
    ------
    TypeError
        If the inner product is not a weighted sum.
    """
    if isinstance(space, odl.ProductSpace):
        parts = [(w * least, w * most) for w, (least, most) in
                 zip(component_weights(space), map(extreme_weights, space), strict=True)]
        least, most = zip(*parts, strict=True)
        return min(least), max(most)
    weights = entry_weights(space)
    return float(np.min(weights)), float(np.max(weights))


def weigh(x: LinearSpaceElement) -> LinearSpaceElement:
    r"""Return ``W x``, the element whose plain sum with ``conj(z)`` is ``<x, z>``.

    Parameters
    ----------
    x : element of a space of arrays, or of a product of such spaces

    Returns
    -------
    weighted : element of the same space

    See Also
    --------
    unweigh : its inverse. With ``M`` the matrix of an operator from ``X`` to ``Y``, the adjoint is
        ``y -> unweigh(M^H weigh(y))``.
    """
    return _times_weights(x, lambda weights: weights)


def unweigh(x: LinearSpaceElement) -> LinearSpaceElement:
    """Return ``W^-1 x``, from a Euclidean gradient to a Riesz representative; see `weigh`."""
    return _times_weights(x, lambda weights: 1 / weights)


def _times_weights(x, function):
    space = x.space
    if isinstance(space, odl.ProductSpace):
        return space.element([function(weight) * _times_weights(part, function)
                              for weight, part in zip(component_weights(space), x, strict=True)])
    weights = function(entry_weights(space))
    return weights * x if isinstance(weights, float) else space.element(weights) * x


def integral(space: TensorSpace, values: np.ndarray) -> float:
    r"""Return the weighted sum of real values, one per entry of the space, as a float.

    .. math:: \sum_j w_j v_j

    Parameters
    ----------
    space : odl tensor space or odl.DiscretizedSpace
        With exponent 2.
    values : np.ndarray of shape ``space.shape``
        Summed in double precision.
    """
    weights = entry_weights(space)
    if isinstance(weights, float):
        return weights * float(np.sum(values, dtype=np.float64))
    return float(np.sum(weights * values))


def _cell_fractions(space):
    """Fractions of the cells along each axis that are inside the domain."""
    result = [np.ones(n) for n in space.shape]
    for along, fractions in zip(result, space.partition.boundary_cell_fractions, strict=True):
        for end, fraction in zip((0, -1), fractions, strict=True):
            if not np.isclose(fraction, 1.0):
                along[end] *= fraction
    return result


def _of_weighting(space):
    """What the weighting itself holds: a float, or an array of float64."""
    weighting = getattr(space, "weighting", None)
    if getattr(weighting, "exponent", 2.0) != 2.0:
        raise TypeError(f"{_named(space)} has exponent {weighting.exponent}, expected 2: without "
                        "an inner product there is no adjoint. Build it with exponent=2.")
    if hasattr(weighting, "const"):
        return float(weighting.const)
    if weighting is None:
        raise TypeError(f"{_named(space)} has no weights, expected a space of arrays or a product "
                        f"of such spaces. {_NEXT}")
    if not hasattr(weighting, "array"):
        raise TypeError(f"the weighting {type(weighting).__name__} of {_named(space)} is not a "
                        f"weighted sum; expected a constant or an array of weights. {_NEXT}")
    weights = np.asarray(weighting.array, dtype=np.float64)
    smallest = float(weights.min(initial=math.inf))
    if not smallest > 0:
        raise ValueError(f"{_named(space)} has a weight of {smallest}, expected positive ones "
                         f"only: entries that count nothing have no adjoint. {_NEXT}")
    return weights


def _cuts_cells(space):
    """Whether ODL counts the outer cells by their fraction inside the domain."""
    return (isinstance(space, odl.DiscretizedSpace) and not space.is_uniformly_weighted
            and space.is_uniform)


def _named(thing):
    """Its representation on one line."""
    return " ".join(repr(thing).split())
