r"""Nonlinearities and normalization of fields.

The components of a field are permuted by the group, so that every function that acts on all
components of a field alike is equivariant: `torch.nn.ReLU` and its kin as they are, and here those
that have parameters, one for each field.
"""

import torch
from torch import nn
from torch.nn import functional

from odl_learned.networks.equivariant.fields import Fields, require_fields
from odl_learned.networks.layers import require_channels
from odl_learned.validation import is_finite_number, require_count, require_positive, shown

#: Below the square root of it a norm counts as zero.
TINY = 1e-12


class FieldPReLU(nn.Module):
    """``rho(t) = max(t, 0) + a_i min(t, 0)`` with one learned slope for each field i.

    Parameters
    ----------
    fields : Fields
    slope : float, optional
        First value of all slopes.

    Maps ``(N, fields.channels, *shape)`` to the same shape.

    Examples
    --------
    >>> import torch
    >>> from odl_learned.networks import equivariant
    >>> fields = equivariant.regular(equivariant.Cyclic(4), 1)
    >>> isinstance(fields, equivariant.Fields)
    True
    >>> x = torch.tensor([3.0, 0.0, 0.0, -4.0]).reshape(1, 4, 1, 1)
    >>> print(equivariant.FieldPReLU(fields, slope=0.25)(x).flatten().tolist())
    [3.0, 0.0, 0.0, -1.0]
    """

    def __init__(self, fields: Fields, slope: float = 0.25) -> None:
        super().__init__()
        require_fields("fields", fields)
        if not is_finite_number(slope):
            raise ValueError(f"slope is {shown(slope)}, expected a finite number.")
        self.fields = fields
        self.weight = nn.Parameter(torch.full((fields.count,), float(slope)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        require_channels(x, self.fields.channels, self.fields.group.dimension, self.weight)
        return functional.prelu(x, self.weight.repeat_interleave(self.fields.size))

    def ordinary(self) -> nn.PReLU:
        """Return the PReLU of torch that this is."""
        layer = nn.PReLU(self.fields.channels).to(self.weight)
        layer.weight = nn.Parameter(self.weight.detach().repeat_interleave(self.fields.size))
        return layer.train(self.training)


class NormNonlinearity(nn.Module):
    r"""Soft thresholding of the norm of every field, ``f -> max(1 - b_i / |f|, 0) f``.

    ``|f|^2 = sum_c f(x, c)^2`` at every pixel is invariant. The threshold ``b_i`` of each field is
    learned; with ``b_i = 0``, as at first, it is the identity, and where it is negative the field
    is enlarged.

    Parameters
    ----------
    fields : Fields

    Maps ``(N, fields.channels, *shape)`` to the same shape.

    Source: Weiler, Cesa, General E(2)-equivariant steerable CNNs (2019), section 2.6.

    Examples
    --------
    >>> import torch
    >>> from odl_learned.networks import equivariant
    >>> fields = equivariant.regular(equivariant.Cyclic(4), 1)
    >>> layer = equivariant.NormNonlinearity(fields)
    >>> layer.threshold.data.fill_(1.0)
    tensor([1.])
    >>> x = torch.tensor([3.0, 0.0, 0.0, -4.0]).reshape(1, 4, 1, 1)
    >>> print(layer(x).detach().flatten())  # of norm 4, not 5
    tensor([ 2.4000,  0.0000,  0.0000, -3.2000])
    """

    def __init__(self, fields: Fields) -> None:
        super().__init__()
        require_fields("fields", fields)
        self.fields = fields
        self.threshold = nn.Parameter(torch.zeros(fields.count))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        dimension = self.fields.group.dimension
        require_channels(x, self.fields.channels, dimension, self.threshold)
        parts = x.unflatten(1, (self.fields.count, self.fields.size))
        norm = (parts.square().sum(2, keepdim=True) + TINY).sqrt()
        threshold = self.threshold.view(-1, 1, *[1] * dimension)
        return (parts * torch.relu(1 - threshold / norm)).flatten(1, 2)


class FieldNormalization(nn.Module):
    r"""Mean zero and variance one of each field, over its components and pixels.

    .. math:: f_i \mapsto a_i \, \frac{f_i - \operatorname{mean} f_i}
              {\sqrt{\operatorname{var} f_i + \epsilon}} + b_i,

    for each sample by itself, in training and in evaluation, so that samples never mix.

    Parameters
    ----------
    fields : Fields
    joint : int, optional
        Number of fields that are normalized together; it divides their number.
    epsilon : float, optional
        Added to the variance.

    Maps ``(N, fields.channels, *shape)`` to the same shape.

    Raises
    ------
    ValueError
        If the fields cannot be divided into so many.

    Source: Wu, He, Group normalization (2018).
    """

    def __init__(self, fields: Fields, joint: int = 1, epsilon: float = 1e-5) -> None:
        super().__init__()
        require_fields("fields", fields)
        require_count("joint", joint)
        require_positive("epsilon", epsilon)
        if fields.count % joint:
            raise ValueError(f"joint is {joint}, expected a divisor of the number of fields, "
                             f"{fields.count}.")
        self.fields, self.joint, self.epsilon = fields, joint, float(epsilon)
        self.weight = nn.Parameter(torch.ones(fields.count))
        self.bias = nn.Parameter(torch.zeros(fields.count))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        require_channels(x, self.fields.channels, self.fields.group.dimension, self.weight)
        size = self.fields.size
        return functional.group_norm(
            x, self.fields.count // self.joint, self.weight.repeat_interleave(size),
            self.bias.repeat_interleave(size), self.epsilon)

    def ordinary(self) -> nn.GroupNorm:
        """Return the group normalization of torch that this is."""
        size, groups = self.fields.size, self.fields.count // self.joint
        layer = nn.GroupNorm(groups, self.fields.channels, self.epsilon).to(self.weight)
        layer.weight = nn.Parameter(self.weight.detach().repeat_interleave(size))
        layer.bias = nn.Parameter(self.bias.detach().repeat_interleave(size))
        return layer.train(self.training)
