"""Networks that are not at their start, where much is zero."""

import torch


def shaken(network):
    """The network in double precision, with no parameter at zero."""
    source = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=source))
    return network.double()
