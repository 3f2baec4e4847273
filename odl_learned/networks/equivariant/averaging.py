"""Equivariance of any network by averaging over a group, or on average by chance."""

import torch
from torch import nn

from odl_learned.networks.equivariant.groups import Group, require_group
from odl_learned.validation import shown


class GroupAverage(nn.Module):
    r"""The Reynolds average of a network, which commutes with the group whatever the network is.

    .. math:: \bar N(x) = \frac1{|G|} \sum_{g \in G} g^{-1} N(g x)

    The price is one evaluation for each element of the group. Averages keep Lipschitz constants,
    firm nonexpansiveness, and being the gradient of something, convex or not.

    Parameters
    ----------
    net : torch.nn.Module
        Maps ``(*batch, *shape)``, with or without channels, to tensors with the same last axes.
    group : Group
        Of elements that map the grid of pixels to itself. Quarter turns exchange the axes of
        images, so that the network must take both shapes.

    Raises
    ------
    TypeError
        If one of them is none.
    ValueError
        If the group has elements that are not exact on the grid.

    Source: Celledoni et al., Equivariant neural networks for inverse problems (2021), section 2.
    """

    def __init__(self, net: nn.Module, group: Group) -> None:
        super().__init__()
        _require_averageable(net, group)
        self.net, self.group = net, group

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = (_seen(self.net, self.group, g, x) for g in range(self.group.order))
        return sum(seen) / self.group.order


class RandomElement(nn.Module):
    r"""A network seen from a random direction, ``g^{-1} N(g x)`` with a new g in every evaluation.

    The expectation is the average over the group, `GroupAverage`, at the price of one evaluation;
    it commutes with the group in distribution, and no single evaluation does. In an iteration such
    as plug-and-play, the directions average out along the way. All samples of a batch are seen from
    the same direction.

    Parameters
    ----------
    net : torch.nn.Module
        That of `GroupAverage`.
    group : Group
        Of elements that map the grid of pixels to itself, each as probable as the others.
    generator : torch.Generator, optional
        Source of the elements; the default is torch's own. It is not stored with the weights.

    Raises
    ------
    TypeError
        If one of them is none.
    ValueError
        If the group has elements that are not exact on the grid.

    Source: Terris et al., Equivariant plug-and-play image reconstruction (2024), algorithm 1.
    """

    def __init__(
        self, net: nn.Module, group: Group, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        _require_averageable(net, group)
        if generator is not None and not isinstance(generator, torch.Generator):
            raise TypeError(f"generator is {shown(generator)}, expected a torch.Generator.")
        self.net, self.group, self.generator = net, group, generator

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        device = "cpu" if self.generator is None else self.generator.device
        g = int(torch.randint(self.group.order, (), generator=self.generator, device=device))
        return _seen(self.net, self.group, g, x)


def _seen(net, group, g, x):
    """The network seen from the direction g, ``g^{-1} N(g x)``."""
    return group.act(group.inverse(g), net(group.act(g, x)))


def _require_averageable(net, group):
    """Raise unless this is a module, and all elements of the group permute pixels."""
    require_group(group)
    if not isinstance(net, nn.Module):
        raise TypeError(f"net is {type(net).__name__}, expected a torch module.")
    if not group.is_exact:
        raise ValueError(f"group is {group}, expected one that maps the grid of pixels to itself, "
                         "such as Cyclic(4), Dihedral(4) or CubeRotations().")
