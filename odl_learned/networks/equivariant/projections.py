"""From fields to images: what does not change when the components of a field are permuted."""

import torch
from torch import nn

from odl_learned.networks.equivariant.fields import Fields, require_field_values, require_fields


class FieldProjection(nn.Module):
    """Abstract: one channel for each field, ``(N, count size, *shape) -> (N, count, *shape)``.

    Parameters
    ----------
    fields : Fields
    """

    def __init__(self, fields: Fields) -> None:
        super().__init__()
        require_fields("fields", fields)
        self.fields = fields

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        require_field_values(self.fields, x)
        if not (x.is_floating_point() or x.is_complex()):
            raise TypeError(f"x is of dtype {x.dtype}, expected floating point numbers; convert "
                            "it with x.to(torch.float32).")
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

    def reduce(self, parts: torch.Tensor) -> torch.Tensor:
        return parts.sum(2)


class FieldMax(FieldProjection):
    """The largest component of each field, ``u_i(x) = max_c f_i(x, c)``.

    Examples
    --------
    >>> import torch
    >>> from odl_learned.networks import equivariant
    >>> fields = equivariant.regular(equivariant.Cyclic(4), 1)
    >>> x = torch.tensor([3.0, 0.0, 0.0, 4.0]).reshape(1, 4, 1, 1)
    >>> for part in (equivariant.FieldMax, equivariant.FieldNorm, equivariant.FieldSum):
    ...     print(part(fields)(x).item())
    ...
    4.0
    5.0
    7.0
    """

    def reduce(self, parts: torch.Tensor) -> torch.Tensor:
        return parts.amax(2)


class FieldNorm(FieldProjection):
    """The norm of each field, ``u_i(x) = (sum_c f_i(x, c)^2)^(1/2)``."""

    def reduce(self, parts: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(parts, dim=2)
