r"""Learned convex potentials: odd piecewise linear derivatives with slopes between zero and one."""

import math

import torch
from torch import nn

from odl_learned.networks.layers import require_sizes
from odl_learned.validation import require_positive


class ConvexSpline(nn.Module):
    r"""One learned odd, monotone, 1-Lipschitz activation per channel, that has a convex potential.

    .. math:: \phi(t) = \text{sign}(t) \int_0^{|t|} s(a) \, da, \qquad
              s = s_j \in (0, 1) \text{ on } [j h, (j + 1) h), \quad s = 0 \text{ beyond } r = J h,

    with the slopes ``s_j`` sigmoids of the parameters, so that no step of learning can leave the
    class. All slopes at one, it is ``clip(t, -r, r)``, the derivative of Huber's potential.

    Parameters
    ----------
    channels, pieces : int
        Number of activations, and of slopes J of each, at least 1.
    radius : float
        ``r``, positive: beyond it the activation is constant, the potential grows linearly.
    slope : float, optional
        Initial value of all slopes, between zero and one.

    Maps ``(N, channels, *shape)`` to the same shape.

    Raises
    ------
    ValueError
        If a size is below 1, a number out of its bounds, or the input has other channels.

    Source: Goujon et al., A neural-network-based convex regularizer for inverse problems (2023);
    Goujon, Neumayer, Unser, Learning weakly convex regularizers (2024).

    Examples
    --------
    >>> import torch
    >>> from odl_learned import networks
    >>> spline = networks.ConvexSpline(channels=1, pieces=3, radius=1.0)
    >>> t = torch.linspace(-2, 2, 5).reshape(1, 1, 5)
    >>> slopes = spline(t).diff(dim=-1)
    >>> print(bool((slopes >= 0).all()), bool((slopes <= 1 + 1e-6).all()))
    True True
    """

    def __init__(self, channels: int, pieces: int, radius: float, *, slope: float = 0.95) -> None:
        super().__init__()
        require_sizes({"channels": channels, "pieces": pieces}, 1)
        require_positive("radius", radius)
        if not (isinstance(slope, float) and 0 < slope < 1):
            raise ValueError(f"slope is {slope!r}; expected a float between zero and one, since "
                             "its logit is learned, such as 0.95.")
        self.radius = float(radius)
        logit = math.log(slope / (1 - slope))
        self.logits = nn.Parameter(torch.full((channels, pieces), logit))

    def slopes(self) -> torch.Tensor:
        """Return the slopes ``(channels, pieces)``, between zero and one."""
        return torch.sigmoid(self.logits)

    def forward(self, t: torch.Tensor) -> torch.Tensor:  # (N, K, *shape) -> (N, K, *shape)
        past, start, slope, _ = self._read(t)
        return torch.sign(t) * (start + slope * past)

    def potential(self, t: torch.Tensor) -> torch.Tensor:  # (N, K, *shape) -> (N, K, *shape)
        r"""Return the convex potential ``int_0^t phi``, entry by entry, nonnegative."""
        past, start, slope, area = self._read(t)
        return area + past * (start + 0.5 * slope * past)

    def _read(self, t):
        """Distance to the last knot below ``|t|``, and there ``phi``, slope and potential."""
        channels, pieces = self.logits.shape
        if not isinstance(t, torch.Tensor) or t.ndim < 2 or t.shape[1] != channels:
            given = tuple(t.shape) if isinstance(t, torch.Tensor) else type(t).__name__
            raise ValueError(f"t is {given}, expected a tensor (N, {channels}, ...): one "
                             "activation for each channel.")
        h = self.radius / pieces
        slopes = self.slopes()
        nothing = torch.zeros_like(slopes[:, :1])
        rises = h * slopes
        starts = torch.cat([nothing, rises.cumsum(1)], 1)
        areas = torch.cat([nothing, (h * starts[:, :-1] + 0.5 * h * rises).cumsum(1)], 1)
        table = torch.stack([starts, torch.cat([slopes, nothing], 1), areas]).flatten(1)

        size = t.abs()
        cell = (size.detach() / h).floor().clamp(max=pieces)
        channel = torch.arange(channels, device=t.device).mul(pieces + 1)
        place = (channel.view(1, -1, *(1 for _ in t.shape[2:])) + cell.long()).flatten()
        start, slope, area = (row.index_select(0, place).view_as(t) for row in table)
        return size - h * cell, start, slope, area
