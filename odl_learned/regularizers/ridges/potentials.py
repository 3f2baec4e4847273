r"""Convex potentials of filter responses: even functions with slopes that are 1-Lipschitz.

A potential is a module with ``forward``, its slope ``phi``, odd, with ``0 <= phi' <= 1``, and
``potential``, its integral from zero; `networks.ConvexSpline` is a learned one.
"""

import math

import torch
from torch import nn


class Huber(nn.Module):
    r"""``t^2 / 2`` up to one and ``|t| - 1/2`` beyond; its slope is ``clip(t, -1, 1)``."""

    def forward(self, t: torch.Tensor) -> torch.Tensor:  # any shape, real
        return t.clamp(-1, 1)

    def potential(self, t: torch.Tensor) -> torch.Tensor:
        """Return the potential, entry by entry."""
        inside = t.clamp(-1, 1)
        return inside * (t - 0.5 * inside)


class LogCosh(nn.Module):
    r"""``log cosh t``, with the slope ``tanh t``: smooth, so that Hessians are continuous.

    Examples
    --------
    >>> import torch
    >>> from odl_learned import networks, regularizers
    >>> filters = regularizers.ComposedFilters((1, 4), 3, networks.Reflecting(), dimension=2)
    >>> ridge = regularizers.Ridge(filters, regularizers.LogCosh(), sharpness=2.0, strength=0.5)
    >>> flat, step = torch.zeros(2, 1, 6, 6)
    >>> step[:, 3:] = 1
    >>> print(bool(ridge(flat) < 1e-6), bool(ridge(step) > 0))
    True True
    """

    def forward(self, t: torch.Tensor) -> torch.Tensor:  # any shape, real
        return torch.tanh(t)

    def potential(self, t: torch.Tensor) -> torch.Tensor:
        """Return ``|t| + log(1 + exp(-2 |t|)) - log 2``, which does not overflow."""
        size = t.abs()
        return size + torch.log1p(torch.exp(-2 * size)) - math.log(2)
