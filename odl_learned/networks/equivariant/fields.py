r"""Fields: what the channels of an equivariant network are, and how a group acts on them.

A field is a function on the cosets ``G/H`` of a subgroup at every pixel, and g acts on it by

    (g f)(x, g c) = f(g^{-1} x, c),    c in G/H :

pixels move, and the components of the field are permuted. With ``H = G`` it is an image that does
not depend on the orientation (trivial), with ``H = {e}`` one image for each element (regular).
Since components are only permuted, every function that is applied pointwise keeps the action.
"""

import torch

from odl_learned.networks.equivariant.groups import Group, require_group
from odl_learned.validation import require_count, shown


class Fields:
    """A number of equal fields: functions on the cosets of a subgroup; see `regular`, `trivial`.

    Channels are counted field by field: channel ``i size + c`` is component c of field i.

    Parameters
    ----------
    group : Group
    subgroup : tuple of int
        Elements of the subgroup H, as `Group.subgroup` gives them.
    count : int
        Number of fields, at least 1.

    Attributes
    ----------
    size : int
        Components of a field, ``|G| / |H|``.
    channels : int
        ``count size``.
    permutations : torch.Tensor, shape (order, size), int64
        ``permutations[g, c]`` is the coset ``g c``.

    Raises
    ------
    ValueError
        If the elements are no subgroup, or the count is below 1.
    """

    def __init__(self, group: Group, subgroup: tuple[int, ...], count: int) -> None:
        require_group(group)
        require_count("count", count)
        subgroup = _elements("subgroup", subgroup)
        if subgroup != group.subgroup(*subgroup):
            raise ValueError(f"subgroup is {shown(subgroup)}, expected all elements of one in "
                             f"increasing order, such as {group!r}.subgroup(1).")
        self.group, self.subgroup, self.count = group, subgroup, int(count)
        # a coset is known by its smallest element
        coset = group.products[:, list(subgroup)].min(1).values
        smallest = coset.unique()
        place = torch.full((group.order,), -1)
        place[smallest] = torch.arange(len(smallest))
        self.permutations = place[coset[group.products[:, smallest]]]
        self.size = len(smallest)
        self.channels = self.count * self.size

    def permute(self, element: int, x: torch.Tensor) -> torch.Tensor:
        """Return channels ``(N, channels, *shape)`` with the components of the fields permuted.

        The pixels stay where they are; `act` moves them, too.
        """
        require_field_values(self, x)
        fields = x.unflatten(1, (self.count, self.size))
        back = self.permutations[self.group.inverse(element)]
        return fields[:, :, back.to(x.device)].flatten(1, 2)

    def act(self, element: int, x: torch.Tensor) -> torch.Tensor:
        """Return ``(g f)(x, g c) = f(g^{-1} x, c)`` for channels ``(N, channels, *shape)``."""
        return self.group.act(element, self.permute(element, x))

    def times(self, count: int) -> "Fields":
        """Return another number of fields of this kind."""
        return Fields(self.group, self.subgroup, count)

    def __eq__(self, other):
        return isinstance(other, Fields) and (self.group, self.subgroup, self.count) == (
            other.group, other.subgroup, other.count)

    def __hash__(self):
        return hash((self.group, self.subgroup, self.count))

    def __repr__(self):
        return f"Fields({self.group!r}, {self.subgroup}, {self.count})"


def trivial(group: Group, count: int) -> Fields:
    """Return fields that a group only moves: channels of images, ``f(x)``."""
    require_group(group)
    return Fields(group, tuple(range(group.order)), count)


def regular(group: Group, count: int) -> Fields:
    """Return functions on the group, ``f(x, h)``; ``count |G|`` channels."""
    require_group(group)
    return Fields(group, (0,), count)


def quotient(group: Group, generators: tuple[int, ...], count: int) -> Fields:
    """Return functions on the cosets of the subgroup of these elements; ``count |G|/|H|`` channels.

    With the half turn of ``Cyclic(4)``, ``quotient(group, (2,), count)``, these are lines: what a
    half turn does not distinguish.

    Examples
    --------
    >>> from odl_learned.networks import equivariant
    >>> fields = equivariant.quotient(equivariant.Cyclic(4), generators=(2,), count=3)
    >>> print(fields.channels)  # 4 / 2 for each of three fields
    6
    """
    require_group(group)
    return Fields(group, group.subgroup(*_elements("generators", generators)), count)


def _elements(name, elements):
    if not isinstance(elements, (tuple, list)):
        raise TypeError(f"{name} is {shown(elements)}, expected a tuple of elements, whole "
                        "numbers, such as (2,).")
    return tuple(elements)


def require_field_values(fields: Fields, x: torch.Tensor) -> None:
    """Raise unless x is a tensor ``(N, channels, *shape)`` of the channels of these fields."""
    if not isinstance(x, torch.Tensor):
        raise TypeError(f"x is of type {type(x).__name__}, expected a tensor; convert it with "
                        "torch.as_tensor.")
    if x.ndim != fields.group.dimension + 2 or x.shape[1] != fields.channels:
        raise ValueError(f"x has shape {tuple(x.shape)}, expected (N, {fields.channels}, ...) "
                         f"with {fields.group.dimension} axes of an image.")


def require_fields(name: str, fields: Fields) -> None:
    """Raise TypeError unless these are fields of this room."""
    if not isinstance(fields, Fields):
        raise TypeError(f"{name} is {shown(fields)}, expected fields such as "
                        "networks.equivariant.regular(group, 8).")
