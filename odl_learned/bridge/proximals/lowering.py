"""``as_proximal_module``: the proximal of any ODL functional as a batched torch module.

    prox_{sigma f}(x) = argmin_u  f(u) + |u - x|_X^2 / (2 sigma)

in the weighted norm of the domain. ODL's proximal operators are classes local to functions, where
no dispatch reaches them; the rules here belong to the class of the functional: those of expressions
are in `expressions`, those of leaves in `norms`, `sets` and `entropies`.

A step ``sigma`` is a tensor without axes, or one step per sample, of shape ``(*batch,)``; for a
separable sum, also a tuple with one step for every summand. Steps are finite and positive: the
limit of ``prox_{sigma f}`` as sigma falls to zero is the projection onto the closure of where f is
finite, not the identity, and no formula here is made for it.
"""

import functools
import operator
from collections.abc import Sequence

import numpy as np
import odl
import torch
from torch import nn

from odl_learned.bridge.full_precision import in_full_precision
from odl_learned.bridge.layouts.layout import Layout, layout_of
from odl_learned.bridge.layouts.nested import Tensors, each, pack, unpack
from odl_learned.bridge.loops.generic import Loop
from odl_learned.bridge.lowering import OperatorModule
from odl_learned.dispatch import rules_by_class
from odl_learned.validation import require_positive


@rules_by_class(odl.functionals.Functional, "proximal")
def lower_proximal(f: odl.functionals.Functional) -> nn.Module:
    """Return the bare torch module ``(x, sigma) -> prox_{sigma f}(x)`` of an ODL functional.

    Dispatches on the class of the functional; a functional without a rule is looped over the batch
    through ODL's own proximal, without derivatives. Register the rule of a functional of your own
    with ``@lower_proximal.register(MyFunctional)``; it takes the functional and returns a module
    of a tensor ``(*batch, *domain.shape)`` and a step, see `column`.

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import bridge
    >>> square = bridge.lower_proximal(odl.functionals.L2NormSquared(odl.rn(2)))
    >>> print(square(torch.tensor([[3.0, 6.0]]), torch.tensor(1.0)))  # x / (1 + 2 sigma)
    tensor([[1., 2.]])
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

    def __init__(self, native: nn.Module, layout: Layout) -> None:
        super().__init__()
        self.native, self.layout = native, layout
        self.door = OperatorModule(nn.Identity(), layout, True)

    def forward(
        self, x: Tensors, sigma: float | torch.Tensor | np.ndarray | Sequence[float | torch.Tensor]
    ) -> Tensors:
        x = self.door.checked(x)
        steps = _steps(sigma, x, self.layout)
        valid = None if isinstance(sigma, float) else _require_valid(_leaves(steps))
        y = in_full_precision(self.native, x, steps)
        return y if valid is None else each(lambda part: _where(valid, part), y)


def as_proximal_module(f: odl.functionals.Functional) -> ProximalModule:
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
        domain, laid out as for `as_module`, to the same shape. ``sigma`` is a finite float greater
        than zero, or a tensor of them of shape ``()`` or ``(*batch,)``, one step per sample; for a
        separable sum, also a list of such steps, one for every summand. Where values of a tensor
        are not at hand, on devices other than the CPU and within ``torch.compile`` and
        ``torch.vmap``, a step that is not finite and positive makes its sample NaN.

    Raises
    ------
    NotImplementedError
        If ODL has no proximal of the functional; on differentiation, if there is no native rule.
    TypeError, ValueError
        If ``f`` is not a functional, or a negative multiple of one; on call, if the point or the
        step has another shape, dtype or device, or if a step is not finite and positive.

    References
    ----------
    N. Parikh, S. Boyd, *Proximal algorithms*, Foundations and Trends in Optimization 1 (2014).

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import bridge
    >>> shrink = bridge.as_proximal_module(odl.functionals.L1Norm(odl.rn(3, dtype="float32")))
    >>> isinstance(shrink, bridge.ProximalModule)
    True
    >>> print(shrink(torch.tensor([[3.0, -0.5, -2.0]]), 1.0))
    tensor([[ 2.0000, -0.0000, -1.0000]])
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
        if not 0 < torch.finfo(real).tiny <= sigma <= torch.finfo(real).max:
            raise ValueError(
                f"sigma is {sigma!r}, expected between {torch.finfo(real).tiny:.1e} and "
                f"{torch.finfo(real).max:.1e}, the positive numbers of {real}; rescale the problem."
            )
        return torch.full((), float(sigma), dtype=real, device=device)
    lead = tuple(layout.batch_shape(x))
    if sigma.is_complex() or tuple(sigma.shape) not in ((), lead):
        raise ValueError(
            f"sigma is {sigma.dtype} of shape {tuple(sigma.shape)}, expected real steps of shape "
            f"() or {lead}, one per sample. Use sigma.expand or sigma.reshape."
        )
    return sigma.to(dtype=real, device=device)


def _require_valid(steps):
    """Raise ValueError unless all steps are finite and positive, where their values are at hand.

    Elsewhere one would have to wait for them; then the result is not None but tells where they are
    valid, of shape ``()`` or ``(*batch,)``.
    """
    if torch.compiler.is_compiling() or any(step.device.type != "cpu" for step in steps):
        return _valid(steps)
    try:
        if all(map(_is_valid, steps)):
            return None
    except RuntimeError:  # within vmap no value can be looked at
        return _valid(steps)
    bad = [float(s) for step in steps for s in step.reshape(-1) if not 0 < s < torch.inf]
    raise ValueError(
        f"sigma has {len(bad)} step(s) that are not finite and positive, the first is {bad[0]:g}; "
        "expected finite numbers greater than zero, for every sample."
    )


def _is_valid(step):
    """Whether all entries are finite and positive; the extremes of a tensor with a NaN are NaN."""
    if step.numel() == 0:
        return True
    low, high = (step, step) if step.ndim == 0 else torch.aminmax(step)
    return low.item() > 0 and high.item() < torch.inf


def _valid(steps):
    return functools.reduce(operator.and_, [(step > 0) & (step < torch.inf) for step in steps])


def _leaves(steps):
    return [s for part in steps for s in _leaves(part)] if isinstance(steps, tuple) else [steps]


def _where(valid, x):
    """Samples with a valid step; NaN for the others."""
    return torch.where(valid.reshape(*valid.shape, *([1] * (x.ndim - valid.ndim))), x, torch.nan)


def _first(x):
    return _first(x[0]) if isinstance(x, tuple) else x


def _no_derivative(f):
    return (
        f"ODL gives no derivative of the proximal of {type(f).__name__}. Register a native rule "
        "with odl_learned.bridge.lower_proximal.register, or detach its input."
    )
