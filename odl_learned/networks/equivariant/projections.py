"""From fields to images: what does not change when the components of a field are permuted."""

import torch
from torch import nn

from odl_learned.networks.equivariant.fields import Fields, require_fields


class FieldProjection(nn.Module):
    """Abstract: one channel for each field, ``(N, count size, *shape) -> (N, count, *shape)``.

    Parameters
    ----------
    fields : Fields
    """

    def __init__(self, fields: Fields):
        super().__init__()
        require_fields("fields", fields)
        self.fields = fields

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        expected = self.fields.group.dimension + 2
        if not isinstance(x, torch.Tensor) or x.ndim != expected or (
                x.shape[1] != self.fields.channels):  # fmt: skip
            found = tuple(x.shape) if isinstance(x, torch.Tensor) else type(x).__name__
            raise ValueError(f"x is {found}, expected (N, {self.fields.channels}, ...) with "
                             f"{expected - 2} axes of an image.")
        return self.reduce(x.unflatten(1, (self.fields.count, self.fields.size)))

    def reduce(self, parts: torch.Tensor) -> torch.Tensor:
        """An invariant of the components, axis 2."""
        raise NotImplementedError

    @property
    def target(self) -> Fields:
        """What comes out: trivial fields, as many."""
        group = self.fields.group
        return Fields(group, tuple(range(group.order)), self.fields.count)


class FieldSum(FieldProjection):
    """The sum of the components of each field, ``u_i(x) = sum_c f_i(x, c)``."""

    def reduce(self, parts):
        return parts.sum(2)


class FieldMax(FieldProjection):
    """The largest component of each field, ``u_i(x) = max_c f_i(x, c)``."""

    def reduce(self, parts):
        return parts.amax(2)


class FieldNorm(FieldProjection):
    """The norm of each field, ``u_i(x) = (sum_c f_i(x, c)^2)^(1/2)``."""

    def reduce(self, parts):
        return torch.linalg.vector_norm(parts, dim=2)
