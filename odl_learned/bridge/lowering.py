"""``as_module``: any ODL operator or functional as a batched, differentiable torch module."""

from collections.abc import Callable, Iterable
from typing import cast

import odl
import torch
from torch import nn

from odl_learned.bridge.full_precision import in_full_precision
from odl_learned.bridge.layouts.layout import Layout, layout_of
from odl_learned.bridge.layouts.nested import Tensors
from odl_learned.bridge.layouts.tuple_layout import TupleLayout
from odl_learned.bridge.loops.generic import GenericLinear, GenericNonlinear
from odl_learned.bridge.loops.generic_functional import GenericFunctional
from odl_learned.dispatch import rules_by_class


@rules_by_class(odl.Operator, "_call")
def lower(op: odl.Operator) -> nn.Module:
    """Return the bare torch module that computes an ODL operator, without checks at its door.

    Dispatches on the class of the operator: expression nodes lower their children and compose
    them, leaves bring a native rule, every other operator is looped over the batch through ODL
    itself, and so is a subclass that overrides ``_call``, which the rule of its base class does not
    know. Register the rule of an operator of your own with ``@lower.register(MyOperator)``; it
    takes the operator and returns a module on tensors ``(*batch, *domain.shape)``.
    """
    raise TypeError(
        f"expected an ODL operator or functional, got {type(op).__name__} ({op!r}). A torch "
        "module goes the other way: as_operator(module, domain, range)."
    )


#: Rules for classes that ODL defines inside functions, where no dispatch reaches them, by name.
local_rules: dict[str, Callable[[odl.Operator], nn.Module]] = {}


@lower.register(odl.Operator)
def generic(op):
    """Loop over the batch through ODL itself."""
    if type(op).__name__ in local_rules and type(op).__module__.startswith("odl."):
        return local_rules[type(op).__name__](op)
    if op.is_linear:
        return GenericLinear(op)
    gradient = _gradient_of(op)
    return GenericNonlinear(op) if gradient is None else GenericFunctional(op, lower(gradient))


def _gradient_of(op):
    """The gradient of a functional that brings one, else None."""
    if not isinstance(op, odl.functionals.Functional):
        return None
    try:
        return op.gradient
    except NotImplementedError:
        return None


class OperatorModule(nn.Module):
    """A lowered operator with checks at its door: ``(*batch, *X.shape) -> (*batch, *Y.shape)``.

    Attributes
    ----------
    native : torch.nn.Module
        The module that computes, without checks.
    is_linear : bool
        Whether the operator is linear.
    """

    def __init__(self, native: nn.Module, layout: Layout, is_linear: bool) -> None:
        super().__init__()
        self.native, self.layout, self.is_linear = native, layout, is_linear
        # They say where the module is. Tools that look for shared memory compare addresses, and
        # all tensors without entries have the same one.
        for i, part in enumerate(_parts(layout)):
            self.register_buffer(f"_probe_{i}", torch.zeros((), dtype=part.dtype), persistent=False)

    def forward(self, x: Tensors) -> Tensors:
        return in_full_precision(self.native, self.checked(x))

    def checked(self, x: Tensors) -> Tensors:
        """``x``, lists in it as tuples; raises unless it is a batch of elements of the domain."""
        self.layout.check(x)
        if isinstance(x, list):
            x = tuple(x)
        for part, probe in zip(_parts(x), cast(Iterable[torch.Tensor], self._buffers.values())):
            if part.dtype != probe.dtype or part.device != probe.device:
                raise TypeError(
                    f"input is {part.dtype} on {part.device}, expected {probe.dtype} on "
                    f"{probe.device}, as the operator was built. Use x.to(...) on the input, or "
                    "build the operator on a space of that dtype and move the module with .to."
                )
        return x


def as_module(op: odl.Operator) -> OperatorModule:
    """Return a torch module that computes an ODL operator or functional on batches.

    ``as_module(A)(x)[i] = A(x[i])`` for every index ``i`` of the leading axes, differentiable
    twice, in forward and in reverse mode. Torch's gradients are Euclidean: the backward of
    ``as_module(A)`` is the transpose ``W_X A* W_Y^-1``, not the adjoint ``A*``, which is
    ``as_module(A.adjoint)``. Within ``torch.autocast`` it computes in the precision of its spaces.

    Parameters
    ----------
    op : odl.Operator
        Any operator or functional, expression or leaf, on the numpy or the pytorch impl.

    Returns
    -------
    module : OperatorModule
        Maps tensors ``(*batch, *op.domain.shape)`` of the dtype of the domain to
        ``(*batch, *op.range.shape)``, a functional to ``(*batch,)``. An element of a power space
        is one tensor with a component axis, ``(*batch, n, *shape)``; of another product space, a
        tuple of tensors.

    Raises
    ------
    TypeError
        If ``op`` is not an ODL operator or its spaces have no weighted inner product; on call,
        if the input has another dtype or device.
    ValueError
        On call, if the trailing axes of the input are not the shape of the domain.
    """
    native = lower(op)
    return OperatorModule(native, layout_of(op.domain), bool(op.is_linear))


def _parts(x):
    """The tensors, or layouts of tensors, of a nested tuple in order."""
    if isinstance(x, TupleLayout):
        x = x.parts
    if isinstance(x, (tuple, list)):
        return [leaf for part in x for leaf in _parts(part)]
    return [x]
