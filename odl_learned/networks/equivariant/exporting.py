"""Trained equivariant networks as ordinary ones, for those who have only torch."""

import copy

from torch import nn

from odl_learned.networks.images import require_network


def exported(net: nn.Module) -> nn.Module:
    """Return a copy in which every layer of fields is the ordinary layer of torch that it is.

    Convolutions become `torch.nn.Conv2d` and its kin with their composed filters, `FieldPReLU`
    becomes `torch.nn.PReLU` and `FieldNormalization` `torch.nn.GroupNorm`. Nothing is composed any
    more, and the values are the same; trained further, it would not stay equivariant.

    Parameters
    ----------
    net : torch.nn.Module
        A network, or any module that contains layers of this room.

    Raises
    ------
    TypeError
        If it is no module.
    """
    require_network(net)
    return _replaced(copy.deepcopy(net), {})


def _replaced(module, done):
    """The module with its parts replaced; one that occurs several times stays one."""
    if id(module) not in done:
        ordinary = getattr(module, "ordinary", None)
        done[id(module)] = (module, module if ordinary is None else ordinary())
        if ordinary is None:
            for name, child in list(module.named_children()):
                setattr(module, name, _replaced(child, done))
    return done[id(module)][1]
