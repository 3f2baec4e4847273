r"""Log-determinants by stochastic Lanczos quadrature, with the derivatives of what is computed.

With ``I + B = L^-1 (P + N) L^-T`` as in `precision.lanczos`,

    log det(P + N) - log det P = log det(I + B) = E v^T log(I + B) v,    E v v^T = I .

For each v, k steps of Lanczos' method have ``B V = V_{k+1} T`` with ``|v|`` times the first basis
vector equal to v, and with the eigenvalues ``t`` and eigenvectors ``Q`` of the square part of T the
Gauss quadrature is

    v^T log(I + B) v  ~  |v|^2 sum_i q_{1i}^2 log(1 + t_i),

exact where k is the dimension of the Krylov space, and too large otherwise, as even derivatives of
the logarithm are negative (Golub, Meurant 1994). Its derivative, by ``log(1 + x) = int_0^1 x / (1 +
t x) dt``, with Galerkin's method in the Krylov space for each t:

    d (v^T log(I + B) v) = int_0^1 x_t^T dB x_t dt = sum_r x_r^T dB x_r,
    x_t = (I + t B)^-1 v ~ |v| V Q (1 + t t_i)^-1 Q^T e_1,
    int_0^1 x_t x_t^T dt = |v|^2 V Q G Q^T V^T,
    G_ij = q_1i q_1j (log(1 + t_i) - log(1 + t_j)) / (t_i - t_j),

the divided differences of the logarithm, which are positive definite and of low rank up to
rounding: ``G = R R^T`` has few columns, ``x_r = |v| V Q R_r``. With ``a = L^-T x``,

    x^T dB x = -2 <B x, (dL^T) a> .

That the space changes with B is left out: the value has an error ``e^2`` with the distance e of
``x_t`` to its Galerkin approximation, of which the derivative is of the order of e.
"""

from collections.abc import Callable

import torch

from odl_learned.regularizers.generative.precision import Precision
from odl_learned.regularizers.generative.precision.lanczos import InWhiteCoordinates, krylov

#: Columns of a root of G are left out below this part of the largest eigenvalue.
RANK = 1e-10


class LogDeterminant(torch.autograd.Function):
    """``(l, b) -> mean over v of v^T log(I + B) v``, ``(N,)`` in double precision."""

    @staticmethod
    def forward(ctx, log_diagonal, neighbors, radius, normal, probes, steps):
        """Return the values, of one precision for each sample; probes are ``(M, n)``."""
        precision = Precision(log_diagonal, neighbors, radius)
        value, parts = _quadrature(precision, normal, probes, steps)
        if any(ctx.needs_input_grad[:2]):
            ctx.save_for_backward(*_slopes(log_diagonal, neighbors, radius, *parts))
        return value

    @staticmethod
    def backward(ctx, g):
        """Multiply the derivatives by those of the values."""
        if torch.is_grad_enabled():  # create_graph: the slopes are constants to autograd
            raise RuntimeError("the sampled log-determinant has no second derivative, and one was "
                               "asked for; take it without create_graph, or Marginal instead.")
        slopes = (slope * g.to(slope).reshape(-1, *[1] * (slope.ndim - 1))
                  for slope in ctx.saved_tensors)  # fmt: skip
        return *slopes, None, None, None, None


def _quadrature(precision: Precision, normal: Callable, probes: torch.Tensor, steps: int):
    """The values, and ``a = L^-T x`` and ``B x`` of all x, ``(M, R, N, n)``, over the root of M."""
    operator = InWhiteCoordinates(precision, normal, precision.scale.dtype)
    start = probes[:, None].expand(-1, len(precision), -1)
    space = krylov(operator, start, steps)
    squares = probes.square().sum(-1)[:, None, None]
    square = space.matrix[..., :steps, :]
    t, q = torch.linalg.eigh((square + square.mT) / 2)
    t, first = t.clamp_min(0), q[..., 0, :]
    value = (squares * first.square() * t.log1p()).sum(-1).mean(0)
    g, u = torch.linalg.eigh(first[..., :, None] * first[..., None, :] * _divided(t))
    columns = int((g > RANK * g.amax(-1, keepdim=True)).sum(-1).max())
    root = (u * g.clamp_min(0).sqrt()[..., None, :])[..., -columns:]
    x = (squares[..., None] / len(probes)).sqrt() * (q @ root)  # in the basis, (M, N, k, R)
    a, Bx = x.mT @ space.unwhitened, (space.matrix @ x).mT @ space.basis
    return value, (a.transpose(1, 2), Bx.transpose(1, 2))


def _divided(t):
    """``(log(1 + t_i) - log(1 + t_j)) / (t_i - t_j)``, ``(..., k, k)``, also where they agree."""
    ratio = (t[..., :, None] - t[..., None, :]) / (1 + t[..., None, :])
    # log((1 + t_i) / (1 + t_j)) = log(1 + ratio), and log1p(r) / r = 1 - r/2 + ... near zero.
    small = ratio.abs() < 1e-8
    quotient = torch.where(small, 1 - ratio / 2, ratio.log1p() / torch.where(small, 1.0, ratio))
    return quotient / (1 + t[..., None, :])


def _slopes(log_diagonal, neighbors, radius, a, Bx):
    """Derivatives of the sum of ``-2 <B x, L^T a>`` in the coefficients, for each sample."""
    with torch.enable_grad():
        parts = [part.detach().double().requires_grad_() for part in (log_diagonal, neighbors)]
        image = log_diagonal.shape[1:]
        white = Precision(*parts, radius).whiten(a.unflatten(-1, image))
        total = -2 * (Bx * white.flatten(-len(image))).sum()
        slopes = torch.autograd.grad(total, parts)
    return [slope.to(part) for slope, part in zip(slopes, (log_diagonal, neighbors))]
