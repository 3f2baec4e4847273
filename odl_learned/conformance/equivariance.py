r"""How far a map is from commuting with a group, measured on samples."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import odl
import torch
from odl.core.set.space import LinearSpaceElement

from odl_learned.conformance.actions import Translations, act, require_kept
from odl_learned.networks.equivariant import Group
from odl_learned.odl_validation import require_element
from odl_learned.validation import shown

#: `operators.Rotation` turns what is inside of this part of half the width, and may wrap the rest.
TURNED = 0.9


@dataclass(frozen=True)
class EquivarianceErrors:
    """How far a map is from commuting with each element of a group; ``float(...)`` is the largest.

    Attributes
    ----------
    elements : tuple of int
        The elements of the group that were tried.
    errors : np.ndarray, shape (number of elements, number of samples), float64
        Relative errors, infinite where a value is not finite.
    """

    elements: tuple[int, ...]
    errors: np.ndarray

    @property
    def largest(self) -> float:
        """The largest error: a lower bound of that over all images."""
        return float(self.errors.max())

    @property
    def worst(self) -> tuple[int, int]:
        """The element of the group and the place of the sample with the largest error."""
        row, column = np.unravel_index(self.errors.argmax(), self.errors.shape)
        return self.elements[row], int(column)

    def __float__(self) -> float:
        return self.largest

    def __repr__(self):
        element, sample = self.worst
        return (f"EquivarianceErrors(largest {self.largest:.1e}, at element {element} and sample "
                f"{sample})")


def equivariance_error(
    phi: odl.Operator | torch.nn.Module,
    group: Group | Translations,
    samples: Iterable[LinearSpaceElement] | torch.Tensor,
    *,
    elements: Sequence[int] | None = None,
    act_on_values: Callable[[int, torch.Tensor], torch.Tensor] | None = None,
) -> EquivarianceErrors:
    r"""Return how far a map is from commuting with the elements of a group.

    .. math:: e_g(x) = \frac{|\Phi(g x) - g \Phi(x)|}{|\Phi(x)|}, \qquad (g u)(x) = u(g^{-1} x) .

    A functional is invariant, ``f(g x) = f(x)``, where a map is equivariant. Elements that map the
    grid to itself permute pixels, whatever the sides of the cells are. Others turn images by
    `operators.Rotation`: then samples have to be smooth and to vanish near the boundary, and values
    are compared in the disk of 9/10 of half the width.

    What is measured is a lower bound of the error over all images. It proves that a map is not
    equivariant, and makes it likely that one is; white noise sees the most.

    Parameters
    ----------
    phi : odl.Operator, functional or torch.nn.Module
        From images to images or numbers: an operator, a functional, a proximal ``f.proximal(t)``, a
        reconstruction of what a forward operator measured, ``Phi @ A``; or a module from
        ``(1, *shape)``, evaluated without gradients.
    group : networks.equivariant.Group or Translations
    samples : iterable
        Elements of ``phi.domain``, or for a module one tensor ``(N, *shape)``.
    elements : sequence of int, optional
        Those to try; by default all but the identity.
    act_on_values : callable, optional
        ``(element, value) -> value`` on tensors, where the group acts on values otherwise than on
        images, for example on the data of a ray transform.

    Returns
    -------
    errors : EquivarianceErrors

    Raises
    ------
    TypeError
        If the arguments are none of these.
    ValueError
        If there is no sample or element, or an element changes the shape of an image.
    """
    if not isinstance(group, Group | Translations):
        raise TypeError(f"group is {shown(group)}, expected a group such as "
                        "networks.equivariant.Dihedral(4), or conformance.Translations.")
    apply, images = _as_tensors(phi, samples)
    elements = _elements(group, elements)
    if not images or not elements:
        raise ValueError(f"got {len(images)} samples and {len(elements)} elements of {group}, "
                         "expected at least one of each.")
    require_kept(group, elements, images[0])
    act_on_values = act_on_values or functools.partial(_act_on_value, group)
    errors = np.empty((len(elements), len(images)))
    for column, x in enumerate(images):
        value = apply(x)
        for row, element in enumerate(elements):
            errors[row, column] = _relative(
                apply(act(group, element, x)), act_on_values(element, value), value,
                None if group.preserves_grid(element) else group.dimension)
    return EquivarianceErrors(elements, errors)


@functools.singledispatch
def _as_tensors(phi, samples):
    """A map of tensors without batch axis, and the samples as such tensors."""
    raise TypeError(f"phi is {shown(phi)}, expected an ODL operator or functional, or a torch "
                    "module.")


@_as_tensors.register
def _(phi: odl.Operator, samples):
    domain = phi.domain

    def apply(x):
        value = phi(domain.element(x.numpy()))
        return torch.as_tensor(np.array(value.asarray() if hasattr(value, "asarray") else value))

    samples = [samples] if samples in domain else list(samples)
    for x in samples:
        require_element("samples", x, domain)
    return apply, [torch.from_numpy(np.array(x.asarray())) for x in samples]


@_as_tensors.register
def _(phi: torch.nn.Module, samples):
    if not isinstance(samples, torch.Tensor) or samples.ndim < 2 or samples.is_meta:
        raise TypeError(f"samples are {shown(samples)}, expected one tensor (N, *shape) of values.")

    def apply(x):
        with torch.no_grad():
            return phi(x[None])[0]

    return apply, list(samples)


def _elements(group, elements):
    if elements is None:
        return tuple(range(1, group.order))
    if not isinstance(elements, Sequence):
        raise TypeError(f"elements are {shown(elements)}, expected a list of elements of {group}.")
    return tuple(map(group.index, elements))


def _act_on_value(group, element, value):
    return value if value.ndim == 0 else act(group, element, value)


def _relative(got, expected, value, disk_in):
    """``|got - expected| / |value|``, inside of the disk if the axes of one are given."""
    difference, value = (got - expected).to(torch.complex128), value.to(torch.complex128)
    if disk_in and value.ndim:
        inside = _disk(value.shape[-disk_in:])
        difference, value = difference[..., inside], value[..., inside]
    error, size = float(difference.norm()), float(value.norm())
    if not math.isfinite(error + size):
        return math.inf
    return 0.0 if error == 0 else error / size if size else math.inf


def _disk(shape):
    axes = [torch.linspace(-1 + 1 / n, 1 - 1 / n, n, dtype=torch.float64) for n in shape]
    return sum(grid**2 for grid in torch.meshgrid(*axes, indexing="ij")) <= TURNED**2
