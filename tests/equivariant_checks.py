"""How far a map of tensors is from commuting with a group, by what it does to its channels."""

import torch


def relative(got, expected):
    return float((got - expected).detach().norm() / expected.detach().norm())


def commutation_error(module, source, target, x, elements=None):
    """The largest relative error of ``module(g x) = g module(x)`` over the elements."""
    with torch.no_grad():
        value = module(x)
        return max(relative(module(source.act(g, x)), target.act(g, value))
                   for g in elements or range(source.group.order))


def limit(dtype):
    """What equivariant layers and blocks may differ by: the marks of the room."""
    return {torch.float32: 1e-6, torch.float64: 1e-12}[dtype]


def noise(*shape, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=dtype, generator=generator)
