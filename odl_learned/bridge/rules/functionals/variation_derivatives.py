"""Value, gradient and Hessian product of `variation.SmoothedVariation` for torch's transforms.

Each is an autograd function whose derivatives are the next one; that of the last is composed of
differentiable operations. ``term`` computes them.
"""

import torch

from odl_learned.bridge.forward_mode import jvp_rule


class Variation(torch.autograd.Function):
    """``x -> f(x)``, and ``f'(x)`` beside it where a backward is expected."""

    @staticmethod
    def forward(x, term, with_slope):
        return term.values_and_slopes(x) if with_slope else (term.values(x), x.new_empty(0))

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, ctx.term, ctx.with_slope = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(x, output[1])
        ctx.save_for_forward(x, output[1])

    @staticmethod
    def backward(ctx, g, _):
        x, slope = ctx.saved_tensors
        return Slope.apply(x, g, slope if ctx.with_slope else None, ctx.term), None, None

    @staticmethod
    @jvp_rule
    def jvp(ctx, saved, dx, *_):
        (x, slope), term = saved, ctx.term
        ones = x.new_ones(x.shape[: x.ndim - len(term.axes)])
        slope = Slope.apply(x, ones, slope if ctx.with_slope else None, term)
        return (slope * dx).sum(term.axes), None

    @staticmethod
    def vmap(info, in_dims, x, term, with_slope):
        result = Variation.apply(x.movedim(in_dims[0], 0), term, with_slope)
        return result, (0, 0 if with_slope else None)


class Slope(torch.autograd.Function):
    """``(x, g) -> g f'(x)``; ``f'(x)`` may be given."""

    @staticmethod
    def forward(x, g, slope, term):
        return term.slopes(x, g) if slope is None else term.per_sample(g) * slope

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, g, slope, ctx.term = inputs
        ctx.save_for_backward(x, g)
        ctx.save_for_forward(x, g)

    @staticmethod
    def backward(ctx, h):
        (x, g), term = ctx.saved_tensors, ctx.term
        dx = dg = None
        if ctx.needs_input_grad[0]:
            dx = Curvature.apply(x, h, g, term)
        if ctx.needs_input_grad[1]:
            dg = (Slope.apply(x, torch.ones_like(g), None, term) * h).sum(term.axes)
        return dx, dg, None, None

    @staticmethod
    @jvp_rule
    def jvp(ctx, saved, dx, dg, *_):
        (x, g), term = saved, ctx.term
        result = torch.zeros_like(x) if dg is None else Slope.apply(x, dg, None, term)
        return result if dx is None else result + Curvature.apply(x, dx, g, term)

    @staticmethod
    def vmap(info, in_dims, x, g, slope, term):
        x, g, slope = (_with_batch(t, dim, info.batch_size)
                       for t, dim in zip((x, g, slope), in_dims))
        return Slope.apply(x, g, slope, term), 0


class Curvature(torch.autograd.Function):
    """``(x, h, g) -> g f''(x) h``."""

    @staticmethod
    def forward(x, h, g, term):
        return term.curvatures(x, h, g)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, h, g, ctx.term = inputs
        ctx.save_for_backward(x, h, g)
        ctx.save_for_forward(x, h, g)

    @staticmethod
    def backward(ctx, c):
        (x, h, g), term = ctx.saved_tensors, ctx.term
        dx = dh = dg = None
        if ctx.needs_input_grad[0]:
            dx = term.per_sample(g) * term.third(x, h, c)
        if ctx.needs_input_grad[1]:
            dh = Curvature.apply(x, c, g, term)
        if ctx.needs_input_grad[2]:
            dg = (Curvature.apply(x, h, torch.ones_like(g), term) * c).sum(term.axes)
        return dx, dh, dg, None

    @staticmethod
    @jvp_rule
    def jvp(ctx, saved, dx, dh, dg, *_):
        (x, h, g), term = saved, ctx.term
        result = torch.zeros_like(x)
        if dx is not None:
            result = result + term.per_sample(g) * term.third(x, h, dx)
        if dh is not None:
            result = result + Curvature.apply(x, dh, g, term)
        return result if dg is None else result + Curvature.apply(x, h, dg, term)

    @staticmethod
    def vmap(info, in_dims, x, h, g, term):
        x, h, g = (_with_batch(t, dim, info.batch_size) for t, dim in zip((x, h, g), in_dims))
        return Curvature.apply(x, h, g, term), 0


def _with_batch(x, dim, size):
    if x is None:
        return None
    return x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0)
