"""Functionals without a native rule that bring a gradient: looped over the batch, through ODL.

With the weights ``W`` of the inner product and ODL's gradient, torch's Euclidean gradient is

    W grad f(x),   its derivative in a direction h   W (grad f)'(x) h .

``f.gradient`` is an operator like any other: lowered by its rule, if there is one, otherwise looped
itself, with ``f.gradient.derivative(x)`` and the adjoint of that. So products with the Hessian
exist wherever ODL knows the derivative of the gradient; else they are an error.
"""

import torch
from torch import nn

from odl_learned.bridge.forward_mode import jvp_rule
from odl_learned.bridge.graphs import outside_graphs
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import pack, unpack
from odl_learned.bridge.loops.generic import Loop, target_layout


class ValueMap(torch.autograd.Function):
    """``x -> f(x)`` on packed batches, with the module of the gradient as derivative."""

    @staticmethod
    def forward(x, f):
        return f.value(x)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, ctx.f = inputs
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)

    @staticmethod
    def backward(ctx, g):
        slope = ctx.f.euclidean(ctx.saved_tensors[0])
        return g.reshape(*g.shape, *[1] * (slope.ndim - g.ndim)) * slope, None

    @staticmethod
    @jvp_rule
    def jvp(ctx, saved, dx, _):
        slope = ctx.f.euclidean(saved[0])
        product = (slope.conj() * dx).real if slope.is_complex() else slope * dx
        lead = product.ndim - ctx.f.packed_ndim
        return product.flatten(lead).sum(-1) if ctx.f.packed_ndim else product

    @staticmethod
    def vmap(info, in_dims, x, f):
        return ValueMap.apply(x.movedim(in_dims[0], 0), f), 0


class GenericFunctional(nn.Module):
    """A nonlinear ODL functional with a gradient as a module: values by a loop.

    Parameters
    ----------
    f : odl.functionals.Functional
    gradient : torch.nn.Module
        The lowered ``f.gradient``.
    """

    def __init__(self, f, gradient):
        super().__init__()
        self.source, self.gradient = layout_of(f.domain), gradient
        target = target_layout(f)
        self.value = Loop(f, self.source, target, target.dtype, False)

    @property
    def packed_ndim(self):
        """Number of axes of one packed element."""
        return 1 if hasattr(self.source, "parts") else self.source.ndim

    def forward(self, x):
        return outside_graphs(ValueMap.apply, pack(self.source, x), self)

    def euclidean(self, x):
        """Packed ``W grad f(x)``, differentiable."""
        return pack(self.source, self.source.weigh(self.gradient(unpack(self.source, x))))
