"""Operators without a native rule: looped over the batch, differentiated through ODL.

For a linear operator ``A : X -> Y`` with weights ``W_X``, ``W_Y`` of the inner products,

    <A x, y>_Y = <x, A* y>_X   for all x, y   <=>   J^H = W_X A* W_Y^-1,

``J`` the matrix of ``A``. The transpose is again a linear map of the same kind, whose own
transpose is ``A``, so that derivatives of every order exist. A nonlinear operator knows only
``derivative(x)``; its second derivative is an error, never a silently dropped term. Functionals
have two derivatives, see `generic_functional`.
"""

import functools
import math

import torch
from torch import nn

from odl_learned.bridge.forward_mode import jvp_rule
from odl_learned.bridge.graphs import outside_graphs
from odl_learned.bridge.layouts.layout import ScalarLayout, layout_of
from odl_learned.bridge.layouts.nested import pack, unpack


class Loop:
    """``x -> W_out op(W_in^-1 x)`` of ODL, one element at a time, on packed batches.

    ``op`` maps from the layout ``source`` to the layout ``target``; the weights are left out
    unless ``weighted``, as for the transpose of a linear operator.
    """

    def __init__(self, op, source, target, dtype, weighted):
        self.op, self.source, self.target = op, source, target
        self.dtype, self.weighted = dtype, weighted

    def __call__(self, x):
        x = unpack(self.source, x.detach())
        if self.weighted:
            x = self.source.unweigh(x)
        lead = self.source.batch_shape(x)
        x = self.source.flatten_batch(x)
        items = [self.op(self.source.to_element(item)) for item in _items(x)]
        device = _device(x)
        y = _collect([self.target.to_tensor(item) for item in items], self.target, lead)
        if self.weighted:
            y = self.target.weigh(y)
        return pack(self.target, y).to(device=device, dtype=self.dtype)


class Transpose:
    """``y -> W_X A* W_Y^-1 y``, the transpose; the adjoint is asked for at the first use."""

    def __init__(self, op, source, target):
        self.op, self.source, self.target = op, source, target

    @functools.cached_property
    def loop(self):
        """The loop over the batch."""
        is_functional = isinstance(self.target, ScalarLayout)
        at_zero = self.op.derivative(self.op.domain.zero()) if is_functional else self.op
        adjoint = _known(self.op, lambda: at_zero.adjoint)
        return Loop(adjoint, self.target, self.source, self.source.dtype, True)

    def __call__(self, y):
        return self.loop(y)


class LinearMap(torch.autograd.Function):
    """``x -> A x`` on packed batches, with its transpose as backward, to every order."""

    @staticmethod
    def forward(x, forward_map, transposed_map):
        return forward_map(x)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, ctx.forward_map, ctx.transposed_map = inputs

    @staticmethod
    def backward(ctx, g):
        return LinearMap.apply(g, ctx.transposed_map, ctx.forward_map), None, None

    @staticmethod
    @jvp_rule
    def jvp(ctx, saved, dx, *_):
        return LinearMap.apply(dx, ctx.forward_map, ctx.transposed_map)

    @staticmethod
    def vmap(info, in_dims, x, forward_map, transposed_map):
        return LinearMap.apply(x.movedim(in_dims[0], 0), forward_map, transposed_map), 0


class NonlinearMap(torch.autograd.Function):
    """``x -> op(x)`` on packed batches, with ODL's derivative, to first order."""

    @staticmethod
    def forward(x, maps):
        return maps.value(x)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, ctx.maps = inputs
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)

    @staticmethod
    def backward(ctx, g):
        return DerivativeMap.apply(ctx.saved_tensors[0], g, ctx.maps, True), None

    @staticmethod
    @jvp_rule
    def jvp(ctx, saved, dx, _):
        return DerivativeMap.apply(saved[0], dx, ctx.maps, False)

    @staticmethod
    def vmap(info, in_dims, x, maps):
        return NonlinearMap.apply(x.movedim(in_dims[0], 0), maps), 0


class DerivativeMap(torch.autograd.Function):
    """``(x, d) -> J(x) d`` or ``J(x)^H d``: linear in ``d``; in ``x`` ODL knows no derivative."""

    @staticmethod
    def forward(x, d, maps, transposed):
        return maps.derivative(x, d, transposed)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, _, ctx.maps, ctx.transposed = inputs
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)

    @staticmethod
    def backward(ctx, g):
        if ctx.needs_input_grad[0]:
            raise NotImplementedError(_no_second_derivative(ctx.maps.op))
        d = DerivativeMap.apply(ctx.saved_tensors[0], g, ctx.maps, not ctx.transposed)
        return None, d, None, None

    @staticmethod
    @jvp_rule
    def jvp(ctx, saved, dx, dd, *_):
        if dx is not None:
            raise NotImplementedError(_no_second_derivative(ctx.maps.op))
        return DerivativeMap.apply(saved[0], dd, ctx.maps, ctx.transposed)

    @staticmethod
    def vmap(info, in_dims, x, d, maps, transposed):
        x, d = (t.movedim(dim, 0) if dim is not None else t.expand(info.batch_size, *t.shape)
                for t, dim in zip((x, d), in_dims))
        return DerivativeMap.apply(x, d, maps, transposed), 0


class GenericLinear(nn.Module):
    """Any linear ODL operator as a module: a loop over the batch, any order of derivatives."""

    def __init__(self, op):
        super().__init__()
        self.source, self.target = layout_of(op.domain), target_layout(op)
        self.forward_map = Loop(op, self.source, self.target, self.target.dtype, False)
        self.transposed_map = Transpose(op, self.source, self.target)

    def forward(self, x):
        x = pack(self.source, x)
        y = outside_graphs(LinearMap.apply, x, self.forward_map, self.transposed_map)
        return unpack(self.target, y)


class GenericNonlinear(nn.Module):
    """Any nonlinear ODL operator as a module: a loop, first derivatives."""

    def __init__(self, op):
        super().__init__()
        self.op, self.source, self.target = op, layout_of(op.domain), target_layout(op)
        self.value = Loop(op, self.source, self.target, self.target.dtype, False)

    def forward(self, x):
        x = pack(self.source, x)
        return unpack(self.target, outside_graphs(NonlinearMap.apply, x, self))

    def derivative(self, x, d, transposed):
        """Packed ``J(x) d`` or ``J(x)^H d``, one sample at a time."""
        points = self.source.flatten_batch(unpack(self.source, x.detach()))
        first, last = (self.target, self.source) if transposed else (self.source, self.target)
        directions = unpack(first, d)
        lead = first.batch_shape(directions)
        directions = first.flatten_batch(directions)
        results = []
        for point, direction in zip(_items(points), _items(directions)):
            at = _known(self.op, lambda: self.op.derivative(self.source.to_element(point)))
            at = _known(self.op, lambda: at.adjoint) if transposed else at
            apply = Loop(at, first, last, last.dtype, transposed)
            results.append(apply(pack(first, direction)))
        if not results:
            return d.new_zeros((*lead, *_packed_shape(last)), dtype=last.dtype)
        return torch.stack(results).reshape((*lead, *_packed_shape(last)))


def target_layout(op):
    """Layout of the range; values of functionals take the real dtype of the domain."""
    target = layout_of(op.range)
    if isinstance(target, ScalarLayout):
        dtype = layout_of(op.domain).dtype
        target.dtype = dtype if op.is_linear else torch.empty((), dtype=dtype).real.dtype
    return target


def _device(x):
    return _device(x[0]) if isinstance(x, tuple) else x.device


def _items(x):
    if isinstance(x, tuple):
        return list(zip(*[_items(part) for part in x]))
    return x.unbind(0)


def _collect(items, layout, lead):
    """Stack the results of one loop, also of an empty one, as ``(*lead, ...)``."""
    if hasattr(layout, "parts"):
        return tuple(_collect([item[i] for item in items], part, lead)
                     for i, part in enumerate(layout.parts))
    if not items:
        return torch.zeros((*lead, *layout.shape), dtype=layout.dtype)
    return torch.stack(items).reshape((*lead, *layout.shape))


def _packed_shape(layout):
    if hasattr(layout, "parts"):
        return (sum(math.prod(_packed_shape(part)) for part in layout.parts),)
    return layout.shape


def _known(op, get):
    """What ODL knows of an operator; the error says how to teach it."""
    try:
        return get()
    except NotImplementedError as error:
        name = type(op).__name__
        raise NotImplementedError(
            f"{name} cannot be differentiated ({error}); torch's derivatives need the adjoint of a "
            "linear operator, derivative(x) and its adjoint of a nonlinear one, the gradient of a "
            f"functional. Implement it in {name}, register a native rule with "
            "odl_learned.bridge.lower.register, or call the module under torch.no_grad()."
        ) from error


def _no_second_derivative(op):
    return (
        f"ODL gives only first derivatives of {type(op).__name__}, and a second derivative was "
        "asked for. Register a native rule for it with odl_learned.bridge.lower.register, or "
        "compute first derivatives under create_graph=False."
    )
