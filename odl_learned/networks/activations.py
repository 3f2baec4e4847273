r"""Learned activations: sums of Gaussians, one for each channel, at the price of a table look-up.

A channel has ``phi(t) = sum_j w_j exp(-(t - mu_j)^2 / (2 h^2))``. All of them, for one set of
weights, are functions of one variable: they are tabulated on a fine grid, with their slopes, and
between its points read off as the cubic that has the values and slopes of both ends. With points
``s h`` apart the error is at most ``s^4 / 384 max |phi''''| h^4 <= s^4 / 128 sum_j |w_j|``, since
the fourth derivative of a Gaussian is at most ``3 / h^4``; for ``s = 1/5`` that is 1.3e-5 of the
sum.
The cubics are continuously differentiable, and so is all that is made of them.
"""

import math

import torch
from torch import nn

from odl_learned.validation import is_finite_number, require_count, require_positive, shown

#: Points of the table for the width of a Gaussian, and widths beyond the outermost centers: there,
#: exp(-6^2 / 2) = 2e-8, and less is below the rounding of single precision.
POINTS, TAIL = 5, 6


class RadialBasis(nn.Module):
    r"""Sums of Gaussians at equidistant centers with learned weights, one sum for each channel.

    .. math:: \phi_k(t) = \sum_{j=1}^{J} w_{kj} \exp \Big( -\frac{(t - \mu_j)^2}{2 h^2} \Big),
              \qquad \mu_j = -r + (j - 1) h, \qquad h = \frac{2 r}{J - 1} .

    It is the derivative of the potential :math:`\Phi_k` with :math:`\Phi_k(0) = 0`, `potential`.
    Outside of ``[-r - 6 h, r + 6 h]`` it is constant, zero up to 2e-8 of the weights. Any order of
    derivatives in ``t`` up to the second is that of the Gaussians, up to the error of the table.

    Parameters
    ----------
    channels : int
        Number of channels, at least 1.
    centers : int
        Number J of Gaussians for each, at least 2.
    radius : float
        r > 0, in the units of the input.
    slope : float, optional
        The weights begin as those of ``phi(t) = slope t`` on the centers, nearly: ``w_kj = slope
        mu_j / sqrt(2 pi)``, as the Gaussians of distance ``h`` sum up to ``sqrt(2 pi)``.

    Maps ``(N, channels, *shape)`` to the same shape, in the dtype of the weights.

    Raises
    ------
    ValueError
        For sizes that are too small, or an input with another number of channels.

    Source: Chen, Pock, Trainable nonlinear reaction diffusion (2017), section 2.3; Hammernik et
    al., Learning a variational network (2018), equation 10, with 31 centers.
    """

    def __init__(self, channels: int, centers: int, radius: float, slope: float = 0.0) -> None:
        super().__init__()
        require_count("channels", channels)
        require_count("centers", centers, 2)
        require_positive("radius", radius)
        if not is_finite_number(slope):
            raise ValueError(f"slope is {shown(slope)}; expected a finite number, such as 0.0.")
        self.radius = float(radius)
        mu = torch.linspace(-self.radius, self.radius, centers)
        self.weights = nn.Parameter(slope / math.sqrt(2 * math.pi) * mu.repeat(channels, 1))
        cubics = _gaussian_cubics(self.radius, centers, _bell, _bell_slope)
        integrals = _gaussian_cubics(self.radius, centers, _area, _bell)
        self.register_buffer("cubics", cubics, persistent=False)
        self.register_buffer("integrals", integrals, persistent=False)

    def forward(self, t: torch.Tensor) -> torch.Tensor:  # (N, K, *shape) -> (N, K, *shape)
        return self._read(t, self.cubics)

    def potential(self, t: torch.Tensor) -> torch.Tensor:  # (N, K, *shape) -> (N, K, *shape)
        r"""Return :math:`\Phi_k(t) = \int_0^t \phi_k`, entry by entry."""
        origin = t.new_zeros(1, t.shape[1], *(1 for _ in t.shape[2:]))
        return self._read(t, self.integrals) - self._read(origin, self.integrals)

    def _read(self, t, basis):
        channels, centers = self.weights.shape
        if t.ndim < 2 or t.shape[1] != channels:
            raise ValueError(f"t has shape {tuple(t.shape)}, expected (N, {channels}, ...): one "
                             "activation for each channel.")
        h = 2 * self.radius / (centers - 1)
        basis = basis.to(self.weights)  # kept in double precision
        count = basis.shape[-1]
        place = (t + (self.radius + TAIL * h)) * (POINTS / h)
        inside = place.clamp(0, count)
        cell = inside.detach().floor().clamp(max=count - 1)
        channel = torch.arange(channels, device=t.device).mul(count)
        row = channel.view(1, -1, *(1 for _ in t.shape[2:])) + cell.long()
        tables = torch.einsum("kj,pjn->pkn", self.weights, basis).flatten(1)  # (4, K n)
        return _Cubic.apply(inside - cell, tables, row.flatten(), 0)


def _bell(s):
    return torch.exp(-(s**2) / 2)


def _bell_slope(s):
    return -s * _bell(s)


def _area(s):
    return math.sqrt(math.pi / 2) * torch.erf(s / math.sqrt(2))


def _gaussian_cubics(radius, centers, value, slope):
    """Coefficients ``(4, J, cells)`` of the cubics of each Gaussian, or of its integral.

    On a cell of length one, with values ``a, b`` and slopes ``p, q`` of its ends, the cubic is
    ``a + p f + (3 (b - a) - 2 p - q) f^2 + (2 (a - b) + p + q) f^3``.
    """
    points = torch.arange((centers - 1 + 2 * TAIL) * POINTS + 1, dtype=torch.float64)
    s = points / POINTS - TAIL - torch.arange(centers, dtype=torch.float64)[:, None]
    # the variable s counts widths h: the integral in t is h times that in s
    scale = 2 * radius / (centers - 1) if value is _area else 1.0
    values, slopes = scale * value(s), scale * slope(s) / POINTS
    a, b, p, q = values[:, :-1], values[:, 1:], slopes[:, :-1], slopes[:, 1:]
    return torch.stack([a, p, 3 * (b - a) - 2 * p - q, 2 * (a - b) + p + q])


# With C_q[row] the coefficients and D the derivative in f,
#     E_p(f, C) = sum_q C_q[row] D^p f^q,    S_p(g, f)_q[r] = sum_{row(x) = r} g(x) D^p f^q
# are adjoint in C and g; the derivative in f raises p. So each is the backward of the other, and
# derivatives of all orders are exact for the cubics.


class _Cubic(torch.autograd.Function):
    """``E_p``: read the cubics, or their derivatives of order p, at fractions f of their cells."""

    generate_vmap_rule = True

    @staticmethod
    def forward(f, tables, row, order):
        total = None
        for q in range(3, order - 1, -1):  # Horner's rule
            term = tables[q].index_select(0, row).view_as(f)
            if math.perm(q, order) != 1:
                term = term * math.perm(q, order)
            total = term if total is None else torch.addcmul(term, f, total)
        return torch.zeros_like(f) if total is None else total

    @staticmethod
    def setup_context(ctx, inputs, output):
        f, tables, row, ctx.order = inputs
        ctx.save_for_backward(f, tables, row)
        ctx.save_for_forward(f, tables, row)

    @staticmethod
    def backward(ctx, g):
        f, tables, row = ctx.saved_tensors
        df = dc = None
        if ctx.needs_input_grad[0]:
            df = g * _Cubic.apply(f, tables, row, ctx.order + 1)
        if ctx.needs_input_grad[1]:
            dc = _Spread.apply(g, f, row, ctx.order, tables.shape[1])
        return df, dc, None, None

    @staticmethod
    def jvp(ctx, df, dtables, drow, dorder):
        f, tables, row = ctx.saved_tensors
        change = torch.zeros_like(f)
        if df is not None:
            change = change + df * _Cubic.apply(f, tables, row, ctx.order + 1)
        if dtables is not None:
            change = change + _Cubic.apply(f, dtables, row, ctx.order)
        return change


class _Spread(torch.autograd.Function):
    """``S_p``: add up what every cell has to say."""

    generate_vmap_rule = True

    @staticmethod
    def forward(g, f, row, order, size):
        rows, power = [], g
        for q in range(4):
            if q < order:
                rows.append(g.new_zeros(size))
                continue
            if q > order:
                power = power * f
            total = g.new_zeros(size).scatter_add(0, row, power.flatten())
            rows.append(math.perm(q, order) * total)
        return torch.stack(rows)

    @staticmethod
    def setup_context(ctx, inputs, output):
        g, f, row, ctx.order, ctx.size = inputs
        ctx.save_for_backward(g, f, row)
        ctx.save_for_forward(g, f, row)

    @staticmethod
    def backward(ctx, tables):
        g, f, row = ctx.saved_tensors
        dg = df = None
        if ctx.needs_input_grad[0]:
            dg = _Cubic.apply(f, tables, row, ctx.order)
        if ctx.needs_input_grad[1]:
            df = g * _Cubic.apply(f, tables, row, ctx.order + 1)
        return dg, df, None, None, None

    @staticmethod
    def jvp(ctx, dg, df, drow, dorder, dsize):
        g, f, row = ctx.saved_tensors
        change = torch.zeros(4, ctx.size, dtype=g.dtype, device=g.device)
        if dg is not None:
            change = change + _Spread.apply(dg, f, row, ctx.order, ctx.size)
        if df is not None:
            change = change + _Spread.apply(g * df, f, row, ctx.order + 1, ctx.size)
        return change
