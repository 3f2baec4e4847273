"""Emission tomography: an attenuated, scaled ray transform, and its subsets of views."""

import numpy as np
import odl
from numpy.typing import ArrayLike
from odl.applications import tomo
from odl.core.set.space import LinearSpaceElement

from odl_learned.odl_validation import require_array_space, require_element, require_operator
from odl_learned.operators.tomography.projectors.implementation import with_views
from odl_learned.validation import require_count, require_finite, require_positive, require_real


def attenuation_factors(ray_transform: odl.Operator, mu: LinearSpaceElement) -> LinearSpaceElement:
    r"""Return the part of the radiation that gets through an object, for every line.

    .. math:: a = \exp(-A \mu) .

    In positron emission tomography both photons together pass the whole line, so that the factor
    does not depend on where on it they were emitted.

    Parameters
    ----------
    ray_transform : linear odl.Operator
        The ray transform ``A``, without attenuation.
    mu : element of ``ray_transform.domain``
        Attenuation coefficient, nonnegative, in the inverse unit of length of the space.

    Returns
    -------
    attenuation : element of ``ray_transform.range``
        In (0, 1].

    Raises
    ------
    TypeError
        If the ray transform is no operator, or ``mu`` not an element of its domain.
    ValueError
        If it is negative or not finite somewhere.
    """
    require_operator("ray_transform", ray_transform,
                     hint="build it with parallel_ray_transform(space, num_angles).")
    require_element("mu", mu, ray_transform.domain)
    _require_nonnegative("mu", mu.data, "Check the sign and the unit of the attenuation.")
    line_integrals = ray_transform(mu)
    return line_integrals.space.element(np.exp(-line_integrals.data))


def emission_operator(
    ray_transform: odl.Operator, attenuation: ArrayLike, scale: float = 1.0
) -> odl.Operator:
    r"""Return the forward operator of positron emission tomography as an ODL expression.

    .. math:: (B u)_i = \text{scale} \, a_i \, (A u)_i, \qquad
              \text{counts} \sim \text{Poisson}(B u + r) .

    The background ``r`` of scattered and random events is no part of the linear operator: it
    belongs to the fidelity, ``functionals.KullbackLeiblerFidelity(counts, background)``, and to the
    solvers ``solvers.mlem`` and ``solvers.osem``.

    Parameters
    ----------
    ray_transform : linear odl.Operator
        The ray transform ``A``.
    attenuation : array or element of the range, shape ``ray_transform.range.shape``
        Factors ``a``, nonnegative: attenuation, such as `attenuation_factors` gives, times the
        sensitivity of the detectors.
    scale : float, optional
        Counts for each unit of ``A u``: activity times duration, positive.

    Returns
    -------
    forward_op : odl.Operator
        Multiplication after the ray transform, between the spaces of the ray transform.

    Raises
    ------
    TypeError
        If the ray transform is not a linear operator or the factors are complex.
    ValueError
        If the factors have another shape, are negative or not finite, or the scale not positive.
    """
    if not isinstance(ray_transform, odl.Operator) or not ray_transform.is_linear:
        raise TypeError(
            f"ray_transform is {ray_transform!r}; expected a linear odl.Operator, such as "
            "parallel_ray_transform(space, num_angles)."
        )
    require_array_space("the range of ray_transform", ray_transform.range)
    factors = np.asarray(getattr(attenuation, "data", attenuation))
    if factors.shape != ray_transform.range.shape:
        raise ValueError(
            f"attenuation has shape {factors.shape}, expected {ray_transform.range.shape}, the "
            "shape of the data; build it with attenuation_factors(ray_transform, mu)."
        )
    _require_nonnegative("attenuation", factors, "It is a factor, not its logarithm.")
    require_positive("scale", scale)
    weights = ray_transform.range.element((scale * factors).astype(ray_transform.range.dtype))
    return odl.MultiplyOperator(weights) @ ray_transform


def view_subsets(ray_transform: tomo.RayTransform, number: int) -> list[tomo.RayTransform]:
    """Return ray transforms of interleaved subsets of the views, for ``solvers.osem``.

    Subset ``k`` has the views ``k, k + number, k + 2 number, ...``, so that its part of data or
    factors of the whole ray transform is ``array[k::number]``.

    Parameters
    ----------
    ray_transform : odl.applications.tomo.RayTransform
        The ray transform for all views.
    number : int
        Number of subsets, at most that of the views.

    Returns
    -------
    subsets : list of odl.applications.tomo.RayTransform
        Of ``number`` operators with the domain of the whole one.

    Raises
    ------
    TypeError
        If the operator is not a ray transform.
    ValueError
        If there are fewer views than subsets.
    """
    if not isinstance(ray_transform, tomo.RayTransform):
        raise TypeError(
            f"ray_transform is {ray_transform!r}; expected a ray transform; take the subsets "
            "before attenuation and scaling, which emission_operator puts after each of them."
        )
    require_count("number", number)
    views = len(ray_transform.geometry.angles)
    if number > views:
        raise ValueError(f"number is {number}; expected at most {views}, the number of views.")
    return [with_views(ray_transform, slice(k, None, number)) for k in range(number)]


def _require_nonnegative(name, array, hint):
    require_real(name, array)
    require_finite(name, array)
    if array.min() < 0:
        raise ValueError(
            f"{name} has the minimum {array.min():g}, expected nonnegative numbers. {hint}"
        )
