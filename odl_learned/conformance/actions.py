"""How group elements act on the samples of a measurement, where they do not permute pixels."""

import math
from collections.abc import Sequence

import odl
import torch

from odl_learned.networks.equivariant import Group
from odl_learned.operators import Rotation
from odl_learned.validation import shown


class Translations:
    r"""Translations of periodic images by whole pixels: ``(g u)(x) = u(x - t)``.

    Element 0 is the identity, element k the translation by the k-th vector.

    Parameters
    ----------
    shifts : sequence of tuple of int
        The vectors ``t`` in pixels, all with as many numbers as an image has axes.

    Raises
    ------
    ValueError
        If there is none, or their lengths differ or their numbers are not whole.

    Examples
    --------
    >>> import torch
    >>> from odl_learned import conformance
    >>> group = conformance.Translations([(0, 1)])
    >>> x = torch.arange(3.0).reshape(1, 1, 3)
    >>> errors = conformance.equivariance_error(torch.nn.ReLU(), group, x, elements=[0])
    >>> isinstance(errors, conformance.EquivarianceErrors)
    True
    >>> print(float(errors))
    0.0
    """

    def __init__(self, shifts: Sequence[tuple[int, ...]]) -> None:
        try:
            shifts = [tuple(shift) for shift in shifts]
        except TypeError:
            shifts = []
        whole = all(type(n) is int for shift in shifts for n in shift)
        if not shifts or not shifts[0] or len({len(shift) for shift in shifts}) > 1 or not whole:
            raise ValueError(f"shifts are {shown(shifts)}, expected one or more tuples of whole "
                             "numbers, as many in each as an image has axes.")
        self.shifts = ((0,) * len(shifts[0]), *shifts)
        self.order, self.dimension = len(self.shifts), len(shifts[0])

    def index(self, element: int) -> int:
        """Return the element itself; ValueError unless it is one of ``0, ..., order - 1``."""
        if type(element) is not int or not 0 <= element < self.order:
            raise ValueError(f"element is {shown(element)}, expected one of 0, ..., "
                             f"{self.order - 1}, the elements of {self}.")
        return element

    def preserves_grid(self, element: int) -> bool:
        """Whether an element maps the grid of pixels to itself: all of them do."""
        return self.index(element) >= 0

    def act(self, element: int, x: torch.Tensor) -> torch.Tensor:
        """Return ``g x`` for images ``(*lead, *shape)``: what leaves comes back on the far side."""
        return x.roll(self.shifts[self.index(element)], tuple(range(-self.dimension, 0)))

    def __repr__(self):
        return f"Translations({list(self.shifts[1:])})"


def act(group: Group | Translations, element: int, x: torch.Tensor) -> torch.Tensor:
    """Return ``g x`` for images ``(*lead, *shape)``: pixels permuted if possible, else turned."""
    if isinstance(group, Translations) or group.preserves_grid(element):
        return group.act(element, x)
    if group.dimension != 2:
        raise NotImplementedError(
            f"element {element} of {group} does not map the grid of voxels to itself, expected one "
            "that does, such as a quarter turn: only images of the plane are turned by other "
            "angles. Name the elements that keep the grid.")
    # g = R or g = R diag(1, -1), a turn after a mirror, where the determinant is negative.
    matrix = group.matrices[element]
    if torch.linalg.det(matrix) < 0:
        x = x.flip(-1)
    angle = math.atan2(float(matrix[1, 0]), float(matrix[0, 0]))
    space = odl.uniform_discr([-1, -1], [1, 1], x.shape[-2:],
                              dtype="complex128" if x.is_complex() else "float64")
    rotation = Rotation(space, angle)
    images = x.reshape(-1, *x.shape[-2:]).resolve_conj().numpy()
    turned = [torch.from_numpy(rotation(space.element(image)).asarray()) for image in images]
    return torch.stack(turned).to(x.dtype).reshape(x.shape)


def require_kept(group: Group | Translations, elements: Sequence[int], image: torch.Tensor) -> None:
    """Raise ValueError unless all these elements map images of this shape to the same shape."""
    if image.ndim < group.dimension:
        raise ValueError(f"a sample has {image.ndim} axes, expected the {group.dimension} of an "
                         f"image on which {group} acts.")
    if isinstance(group, Translations):
        return
    shape = tuple(image.shape[-group.dimension:])
    for element in elements:
        exchanged = (group.matrices[element].abs() > 1e-12).nonzero().tolist()
        if any(shape[row] != shape[axis] for row, axis in exchanged):
            raise ValueError(
                f"samples have images of shape {shape}, which element {element} of {group} "
                "exchanges; expected equal lengths, or name elements that keep the shape.")
