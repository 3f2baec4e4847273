"""``as_proximal_module``: the proximal of any ODL functional as a batched torch module.

    prox_{sigma f}(x) = argmin_u  f(u) + |u - x|_X^2 / (2 sigma)

in the weighted norm of the domain. ODL's proximal operators are classes local to functions, where
no dispatch reaches them; the rules here belong to the class of the functional: those of expressions
are in `expressions`, those of leaves in `norms`, `sets` and `entropies`.

A step ``sigma`` is a tensor without axes, or one step per sample, of shape ``(*batch,)``; for a
separable sum, also a tuple with one step for every summand.
"""

import functools

import numpy as np
import odl
import torch
from torch import nn

from odl_learned.bridge.generic import Loop
from odl_learned.bridge.layout import layout_of
from odl_learned.bridge.lowering import OperatorModule
from odl_learned.bridge.nested import each, pack, unpack
from odl_learned.validation import require_positive


@functools.singledispatch
def lower_proximal(f):
    """Return the bare torch module ``(x, sigma) -> prox_{sigma f}(x)`` of an ODL functional.

    Dispatches on the class of the functional; a functional without a rule is looped over the batch
    through ODL's own proximal, without derivatives. Register the rule of a functional of your own
    with ``@lower_proximal.register(MyFunctional)``; it takes the functional and returns a module
    of a tensor ``(*batch, *domain.shape)`` and a step, see `column`.
    """
    raise TypeError(
        f"expected an ODL functional, got {type(f).__name__} ({f!r}). A denoiser that stands for a "
        "proximal goes the other way: as_proximal(denoiser, domain)."
    )


class ProximalModule(nn.Module):
    """A lowered proximal with checks at its door, ``(x, sigma) -> prox_{sigma f}(x)``.

    Attributes
    ----------
    native : torch.nn.Module
        The module that computes, without checks.
    """

    def __init__(self, native, layout):
        super().__init__()
        self.native, self.layout = native, layout
        self.door = OperatorModule(nn.Identity(), layout, True)

    def forward(self, x, sigma):
        x = self.door(x)
        return self.native(x, _steps(sigma, x, self.layout))


def as_proximal_module(f):
    r"""Return the proximal of an ODL functional as a torch module on batches.

    .. math:: \text{prox}_{\sigma f}(x) = \text{argmin}_u \; f(u) + \tfrac{1}{2 \sigma} |u - x|_X^2

    It equals ``f.proximal(sigma)`` of every sample and is differentiable, where the map is, in the
    point and in the step, to every order. Functionals without a rule go through ODL one sample at a
    time, without derivatives; `lower_proximal` lets you register one.

    Parameters
    ----------
    f : odl.functionals.Functional
        Any functional, expression or leaf, with a proximal in ODL.

    Returns
    -------
    module : ProximalModule
        ``module(x, sigma)`` maps ``x`` of shape ``(*batch, *f.domain.shape)`` and dtype of the
        domain, laid out as for `as_module`, to the same shape. ``sigma`` is a positive float or a
        tensor of shape ``()`` or ``(*batch,)``, one step per sample; for a separable sum, also a
        list of such steps, one for every summand. Steps given as tensors are not checked for
        being positive, so as not to wait for the device.

    Raises
    ------
    NotImplementedError
        If ODL has no proximal of the functional; on differentiation, if there is no native rule.
    TypeError, ValueError
        If ``f`` is not a functional, or a negative multiple of one; on call, if the point or the
        step has another shape, dtype or device.

    References
    ----------
    N. Parikh, S. Boyd, *Proximal algorithms*, Foundations and Trends in Optimization 1 (2014).
    """
    return ProximalModule(lower_proximal(f), layout_of(f.domain))


def column(sigma, x):
    """The step as a real tensor that broadcasts against ``x`` of shape ``(*batch, *shape)``."""
    if isinstance(sigma, tuple):
        raise TypeError(
            f"sigma has {len(sigma)} entries, expected one step: steps for the components are for "
            "separable sums, their multiples and translations. Pass a float or a tensor (*batch,)."
        )
    return rows(sigma.to(x.real.dtype if x.is_complex() else x.dtype), x)


def rows(values, x):
    """Values of samples, ``(*batch,)`` or ``()``, broadcasting against ``x`` of them."""
    return values.reshape(*values.shape, *([1] * (x.ndim - values.ndim))) if values.ndim else values


def times(sigma, x):
    """``sigma x``, sample by sample."""
    return each(lambda part: column(sigma, part) * part, x)


class OpaqueMap(torch.autograd.Function):
    """``(x, sigma) -> f.proximal(sigma)(x)`` on packed batches, one step per sample."""

    @staticmethod
    def forward(x, sigma, f, layout):
        items = x.reshape(sigma.numel(), *x.shape[sigma.ndim :])
        results = [Loop(f.proximal(float(s)), layout, layout, layout.dtype, False)(item)
                   for item, s in zip(items, sigma.reshape(-1))]
        return torch.stack(results).reshape(x.shape) if results else x.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.f = inputs[2]

    @staticmethod
    def backward(ctx, g):
        raise NotImplementedError(_no_derivative(ctx.f))

    @staticmethod
    def jvp(ctx, *tangents):
        raise NotImplementedError(_no_derivative(ctx.f))

    @staticmethod
    def vmap(info, in_dims, x, sigma, f, layout):
        x, sigma = (t.expand(info.batch_size, *t.shape) if dim is None else t.movedim(dim, 0)
                    for t, dim in zip((x, sigma), in_dims))
        return OpaqueMap.apply(x, sigma, f, layout), 0


class OpaqueProximal(nn.Module):
    """ODL's own proximal, looped over the batch, without derivatives."""

    def __init__(self, f):
        super().__init__()
        self.f, self.layout = f, layout_of(f.domain)

    def forward(self, x, sigma):
        if isinstance(sigma, tuple):
            column(sigma, None)
        steps = sigma.expand(self.layout.batch_shape(x))
        y = OpaqueMap.apply(pack(self.layout, x), steps, self.f, self.layout)
        return unpack(self.layout, y)


@lower_proximal.register(odl.functionals.Functional)
def opaque(f):
    """Loop over the batch through ODL's own proximal."""
    try:
        prox = f.proximal
        known = prox is not None and isinstance(prox(1.0), odl.Operator)
    except NotImplementedError:
        known = False
    if not known:
        raise NotImplementedError(
            f"ODL has no proximal of {type(f).__name__} ({f!r}). Split the problem so that this "
            "functional is composed with an operator of pdhg, or register a rule of your own with "
            "odl_learned.bridge.lower_proximal.register."
        )
    return OpaqueProximal(f)


def _steps(sigma, x, layout):
    """The step as a tensor of shape ``()`` or ``(*batch,)``, or a tuple of those."""
    if isinstance(sigma, (tuple, list)) or isinstance(sigma, np.ndarray) and sigma.ndim > 0:
        return tuple(_steps(s, x, layout) for s in sigma)
    real = torch.empty((), dtype=layout.dtype).real.dtype
    device = _first(x).device
    if not isinstance(sigma, torch.Tensor):
        require_positive("sigma", sigma)
        return torch.full((), float(sigma), dtype=real, device=device)
    lead = tuple(layout.batch_shape(x))
    if sigma.is_complex() or tuple(sigma.shape) not in ((), lead):
        raise ValueError(
            f"sigma is {sigma.dtype} of shape {tuple(sigma.shape)}, expected real steps of shape "
            f"() or {lead}, one per sample. Use sigma.expand or sigma.reshape."
        )
    return sigma.to(dtype=real, device=device)


def _first(x):
    return _first(x[0]) if isinstance(x, tuple) else x


def _no_derivative(f):
    return (
        f"ODL gives no derivative of the proximal of {type(f).__name__}. Register a native rule "
        "with odl_learned.bridge.lower_proximal.register, or detach its input."
    )
