r"""Sums over later neighbors with coefficients for every pixel, by shifted multiply-adds.

With the shifts ``(S_k u)_i = u_{i+k}``, zero outside of the image, there are three bilinear maps:

    G(u, b) = sum_k b_k S_k u,   T(v, b) = sum_k S_k^T (b_k v),   C(u, v)_k = v S_k u .

``<v, G(u, b)> = <T(v, b), u> = <C(u, v), b>``: each of them has the other two as derivatives, so
that they are closed under differentiation, and nothing is stored but their inputs. An image is
padded once; each neighbor costs one pass of multiply-adds.
"""

import torch

from odl_learned.bridge.forward_mode import jvp_rule
from odl_learned.bridge.graphs import outside_graphs
from odl_learned.bridge.triangular.layouts import stacked, unstacked
from odl_learned.operators.triangular import Neighborhood


def gathered(u: torch.Tensor, b: torch.Tensor, hood: Neighborhood) -> torch.Tensor:
    r"""Return ``sum_k b_k S_k u``, the part of ``L^T u`` above the diagonal.

    Parameters
    ----------
    u : real tensor ``(M, N, C, H, W)``
    b : tensor ``(N, len(hood), H, W)``, of the same dtype
    hood : operators.triangular.Neighborhood
        Of ``C`` channels.
    """
    return outside_graphs(Gather.apply, u, b, hood)


def scattered(v: torch.Tensor, b: torch.Tensor, hood: Neighborhood) -> torch.Tensor:
    """Return ``sum_k S_k^T (b_k v)``, the transpose of `gathered`, of the same shapes."""
    return outside_graphs(Scatter.apply, v, b, hood)


def products(u: torch.Tensor, v: torch.Tensor, hood: Neighborhood) -> torch.Tensor:
    """Return ``(v S_k u)_k``, summed over ``M``: images ``(M, N, C, H, W)`` to ``(N, K, H, W)``."""
    return outside_graphs(Products.apply, u, v, hood)


class Gather(torch.autograd.Function):
    """``(u, b) -> G(u, b)``."""

    @staticmethod
    def forward(u, b, hood):
        v = torch.zeros_like(u, memory_format=torch.contiguous_format)
        targets = v.unbind(2)
        for c, window, factor in zip(*_terms(_padded(u, hood), u, hood), b.unbind(1), strict=True):
            targets[c].addcmul_(factor, window)
        return v

    @staticmethod
    def setup_context(ctx, inputs, output):
        u, b, ctx.hood = inputs
        ctx.save_for_backward(u, b)
        ctx.save_for_forward(u, b)

    @staticmethod
    def backward(ctx, g):
        u, b = ctx.saved_tensors
        du = Scatter.apply(g, b, ctx.hood) if ctx.needs_input_grad[0] else None
        db = Products.apply(u, g, ctx.hood) if ctx.needs_input_grad[1] else None
        return du, db, None

    @staticmethod
    @jvp_rule
    def jvp(ctx, saved, du, db, _):
        return _bilinear(Gather, saved, (du, db), ctx.hood)

    @staticmethod
    def vmap(info, in_dims, u, b, hood):
        return unstacked(Gather.apply(*stacked(info, in_dims, u, b), hood), info.batch_size), 0


class Scatter(torch.autograd.Function):
    """``(v, b) -> T(v, b)``."""

    @staticmethod
    def forward(v, b, hood):
        d, (height, width) = hood.radius, v.shape[-2:]
        padded = v.new_zeros(*v.shape[:3], height + d, width + 2 * d)
        sources = v.unbind(2)
        for c, window, factor in zip(*_terms(padded, v, hood), b.unbind(1), strict=True):
            window.addcmul_(factor, sources[c])
        return padded[..., :height, d : d + width].contiguous()

    @staticmethod
    def setup_context(ctx, inputs, output):
        v, b, ctx.hood = inputs
        ctx.save_for_backward(v, b)
        ctx.save_for_forward(v, b)

    @staticmethod
    def backward(ctx, g):
        v, b = ctx.saved_tensors
        dv = Gather.apply(g, b, ctx.hood) if ctx.needs_input_grad[0] else None
        db = Products.apply(g, v, ctx.hood) if ctx.needs_input_grad[1] else None
        return dv, db, None

    @staticmethod
    @jvp_rule
    def jvp(ctx, saved, dv, db, _):
        return _bilinear(Scatter, saved, (dv, db), ctx.hood)

    @staticmethod
    def vmap(info, in_dims, v, b, hood):
        return unstacked(Scatter.apply(*stacked(info, in_dims, v, b), hood), info.batch_size), 0


class Products(torch.autograd.Function):
    """``(u, v) -> C(u, v)``, summed over the images that share coefficients."""

    @staticmethod
    def forward(u, v, hood):
        result, channels = u.new_empty(u.shape[1], len(hood), *u.shape[-2:]), v.unbind(2)
        for c, window, product in zip(*_terms(_padded(u, hood), u, hood), result.unbind(1),
                                      strict=True):  # fmt: skip
            if len(u) == 1:
                torch.mul(channels[c][0], window[0], out=product)
            else:
                torch.sum(channels[c] * window, 0, out=product)
        return result

    @staticmethod
    def setup_context(ctx, inputs, output):
        u, v, ctx.hood = inputs
        ctx.save_for_backward(u, v)
        ctx.save_for_forward(u, v)

    @staticmethod
    def backward(ctx, h):
        u, v = ctx.saved_tensors
        du = Scatter.apply(v, h, ctx.hood) if ctx.needs_input_grad[0] else None
        dv = Gather.apply(u, h, ctx.hood) if ctx.needs_input_grad[1] else None
        return du, dv, None

    @staticmethod
    @jvp_rule
    def jvp(ctx, saved, du, dv, _):
        return _bilinear(Products, saved, (du, dv), ctx.hood)

    @staticmethod
    def vmap(info, in_dims, u, v, hood):
        return unstacked(Products.apply(*stacked(info, in_dims, u, v), hood), info.batch_size), 0


def _bilinear(function, at, tangents, hood):
    """The derivative of a bilinear function along tangents, of which one may be missing."""
    (x, y), (dx, dy) = at, tangents
    parts = [function.apply(*pair, hood) for pair in ((dx, y), (x, dy)) if None not in pair]
    return sum(parts[1:], parts[0])


def _padded(u, hood):
    d = hood.radius
    return torch.nn.functional.pad(u, (d, d, 0, d)) if d else u


def _terms(padded, u, hood):
    """For each neighbor the channel, and where its own channel is in the padded image."""
    d, (height, width) = hood.radius, u.shape[-2:]
    rows = [[channel.narrow(-2, a, height) for channel in padded.unbind(2)] for a in range(d + 1)]
    windows = [rows[a][source].narrow(-1, d + b, width) for _, source, a, b in hood.terms]
    return [c for c, _, _, _ in hood.terms], windows
