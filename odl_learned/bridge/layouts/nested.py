"""Tensors and nested tuples of tensors: kept with a module, mapped over, packed into one."""

import math

import torch

#: A batch of elements: a tensor, or of products of different spaces a tuple, perhaps nested.
Tensors = torch.Tensor | tuple[torch.Tensor, ...]


class Held(torch.nn.Module):
    """A fixed tensor, or nested tuple of tensors, that moves with its module."""

    def __init__(self, value):
        super().__init__()
        self.is_tuple = isinstance(value, tuple)
        if self.is_tuple:
            self.parts = torch.nn.ModuleList(Held(part) for part in value)
        else:
            self.register_buffer("tensor", value.clone(), persistent=False)

    def forward(self):
        return tuple(part() for part in self.parts) if self.is_tuple else self.tensor


def each(function, *values):
    """Apply a function of tensors to tensors, or to tuples of them entry by entry."""
    if isinstance(values[0], tuple):
        return tuple(each(function, *entries) for entries in zip(*values))
    return function(*values)


def first_tensor(x):
    """Return the first tensor of nested tuples, or the tensor."""
    while isinstance(x, tuple):
        x = x[0]
    return x


def pack(layout, x):
    """Batch of elements as one tensor: itself, or ``(*batch, N)`` for a tuple."""
    if not hasattr(layout, "parts"):
        return x
    dtype, lead = layout.dtype, layout.batch_shape(x)
    return torch.cat([pack(p, xi).reshape(*lead, packed_size(p)).to(dtype)
                      for p, xi in zip(layout.parts, x)], dim=-1)


def unpack(layout, x):
    """Inverse of :func:`pack`."""
    if not hasattr(layout, "parts"):
        return x
    sizes = [packed_size(part) for part in layout.parts]
    entries = []
    for part, xi in zip(layout.parts, x.split(sizes, dim=-1)):
        if not hasattr(part, "parts"):
            xi = xi.reshape(*x.shape[:-1], *part.shape)
            xi = xi.to(part.dtype) if xi.is_complex() == part.dtype.is_complex else xi.real
        entries.append(unpack(part, xi))
    return tuple(entries)


def packed_size(layout):
    """Number of entries of one element."""
    if hasattr(layout, "parts"):
        return sum(packed_size(part) for part in layout.parts)
    return math.prod(layout.shape)
