"""Equivariance of any network by averaging over a group."""

import torch
from torch import nn

from odl_learned.networks.equivariant.groups import Group, require_group


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

    def __init__(self, net: nn.Module, group: Group):
        super().__init__()
        require_group(group)
        if not isinstance(net, nn.Module):
            raise TypeError(f"net is {type(net).__name__}, expected a torch module.")
        if not group.is_exact:
            raise ValueError(f"group is {group}, expected one that maps the grid of pixels to "
                             "itself, such as Cyclic(4), Dihedral(4) or CubeRotations().")
        self.net, self.group = net, group

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = (self.group.act(self.group.inverse(g), self.net(self.group.act(g, x)))
                for g in range(self.group.order))
        return sum(seen) / self.group.order
