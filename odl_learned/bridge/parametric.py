"""``as_energy``: a functional of images, parameters and data as one torch module.

A parametric energy is an ODL functional ``E`` on ``X x Theta`` or ``X x Theta x Y``; see
`odl_learned.functionals.parameters` for how to write one. Lowered, autograd gives every derivative
that a hypergradient needs. With ``u(theta)`` the minimizer of ``E(., theta)`` and an upper level
``l(u)``, the implicit function theorem on ``d_u E(u(theta), theta) = 0`` is

    H du + J dtheta = 0,   H = d_u^2 E,   J = d_theta d_u E,   so   grad_theta l = -J^T H^-1 grad l,

all of them Euclidean: torch's derivatives, without the weights of the spaces.
"""

import odl
import torch
from torch import nn

from odl_learned.bridge.full_precision import in_full_precision
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import Held, Tensors, each
from odl_learned.bridge.lowering import OperatorModule, lower
from odl_learned.bridge.rules.expressions import Composition, PointwiseProduct
from odl_learned.bridge.rules.pointwise import Pointwise
from odl_learned.functionals.parameters import Coordinate, Exponential
from odl_learned.operators.blocks import (
    BlockEmbedding,
    BlockEmbeddingAdjoint,
    BlockInsertion,
    BlockProduct,
)
from odl_learned.operators.multiples import FunctionalMultiple, PointwiseExponential


class EnergyModule(nn.Module):
    """``(x, params, data) -> E(x, params, data)`` with checks at its door; see `as_energy`."""

    def __init__(self, native: nn.Module, space: odl.ProductSpace) -> None:
        super().__init__()
        self.native, self.layout = native, layout_of(space)
        self.image_door, self.parameter_door, *data_door = (
            OperatorModule(nn.Identity(), layout_of(part), True) for part in space)
        self.data_door = data_door[0] if data_door else None

    def forward(self, x: Tensors, params: Tensors, data: Tensors | None = None) -> torch.Tensor:
        if (data is None) != (self.data_door is None):
            blocks, got = ("X x Theta", "given") if self.data_door is None else (
                "X x Theta x Y", "missing")
            raise TypeError(f"data is {got}, but the functional is defined on {blocks}; expected "
                            f"energy(x, params{', data' if self.data_door else ''}).")
        x = self.image_door(x)
        lead = self.image_door.layout.batch_shape(x)
        blocks = [x, _for_every_sample(self.parameter_door, params, lead, "params")]
        if data is not None:
            blocks.append(_for_every_sample(self.data_door, data, lead, "data"))
        return in_full_precision(self.native, self.layout.join(blocks))


class Entry(nn.Module):
    """``x -> Re x_i``."""

    def __init__(self, index):
        super().__init__()
        self.index = index

    def forward(self, x):
        entry = x[(..., *self.index)]
        return entry.real if entry.is_complex() else entry


class Multiple(nn.Module):
    """``x -> f(x) A(x)``."""

    def __init__(self, functional, operator):
        super().__init__()
        self.functional, self.operator = functional, operator

    def forward(self, x):
        value = self.functional(x)
        value = value.real if value.is_complex() else value

        def times(y):
            return value.reshape((*value.shape, *[1] * (y.ndim - value.ndim))) * y

        return each(times, self.operator(x))


class BlockFactor(nn.Module):
    """``(a, u) -> a`` or ``u``."""

    def __init__(self, index, source):
        super().__init__()
        self.index, self.source = index, source

    def forward(self, x):
        return self.source.split(x)[self.index]


class Insertion(nn.Module):
    """``(x_1, ..., x_n) -> (x_1, ..., e, ..., x_n)`` with a fixed element ``e``."""

    def __init__(self, index, element, source, target):
        super().__init__()
        self.index, self.element = index, Held(element)
        self.source, self.target, self.is_single = source, target, len(target.space) == 2

    def forward(self, x):
        lead = self.source.batch_shape(x)
        parts = [x] if self.is_single else list(self.source.split(x))
        parts.insert(self.index, each(lambda e: e.expand(*lead, *e.shape), self.element()))
        return self.target.join(parts)


class Restriction(nn.Module):
    """``(z_1, ..., z_n) -> c z_i`` for one block, ``(z_i)_{i in I}`` for several."""

    def __init__(self, others, factor, source, target):
        super().__init__()
        self.others, self.factor = others, factor
        self.source, self.target = source, target

    def forward(self, z):
        parts = self.source.split(z)
        if len(self.others) > 1:
            return self.target.join([parts[i] for i in self.others])
        return each(lambda part: self.factor * part, parts[self.others[0]])


def as_energy(functional: odl.functionals.Functional) -> EnergyModule:
    r"""Return a functional of images, parameters and data as a torch module of three arguments.

    Parameters
    ----------
    functional : odl.functionals.Functional
        On ``X x Theta`` or ``X x Theta x Y``.

    Returns
    -------
    energy : EnergyModule
        ``energy(x, params, data)`` has one real value per sample, of shape ``(*batch,)``, for ``x``
        of shape ``(*batch, *X.shape)``. Parameters and data, laid out like elements of their
        spaces, have the same leading axes, one for every sample, or none, shared by all samples:
        the derivative in shared parameters is then summed over the batch. Where ``Theta`` is
        complex, real parameters are accepted as well. Differentiable to every order in every
        argument, if all parts of the functional have native rules.

    Raises
    ------
    TypeError
        If the domain is not a product of two or three spaces; on call, if an argument is missing
        or has another dtype or device.
    ValueError
        On call, if an argument has another shape.

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import bridge, functionals, operators
    >>> X = odl.uniform_discr([0], [4], (4,))
    >>> u, (alpha, nu), y = functionals.arguments(X, 2, X)
    >>> E = (0.5 * odl.functionals.L2NormSquared(X) @ (u - y)
    ...      + functionals.smoothed_length(operators.gradient(X) @ u, alpha, nu))
    >>> energy = bridge.as_energy(E)
    >>> isinstance(energy, bridge.EnergyModule)
    True
    >>> x, params = torch.tensor([[0, 0, 1, 1]]).double(), torch.tensor([0.0, -3.0]).double()
    >>> print(energy(x, params, x), E([x[0].numpy(), params.numpy(), x[0].numpy()]))
    tensor([1.1506], dtype=torch.float64) 1.1505998141157825
    """
    space = getattr(functional, "domain", None)
    if not isinstance(space, odl.ProductSpace) or len(space) not in (2, 3):
        raise TypeError(
            f"the functional is defined on {space!r}, expected X x Theta or X x Theta x Y; build "
            "the domain with odl.ProductSpace(X, functionals.parameter_space(X, n)), or use "
            "as_module for a functional of images alone."
        )
    return EnergyModule(lower(functional), space)


def _for_every_sample(door, value, lead, name):
    """One element per sample, from one per sample or one for all."""
    dtype = door.layout.dtype
    if isinstance(value, torch.Tensor) and dtype.is_complex and not value.is_complex():
        value = torch.complex(value, torch.zeros_like(value))
    value = door(value)
    given = door.layout.batch_shape(value)
    if tuple(given) == tuple(lead):
        return value
    if len(given) == 0:
        return each(lambda part: part.expand(*lead, *part.shape), value)
    raise ValueError(f"{name} has the leading axes {tuple(given)}, expected {tuple(lead)}, those "
                     "of x, or none for all samples alike; use expand or indexing.")


@lower.register
def _(op: Coordinate):
    return Entry(op.index)


@lower.register
def _(op: Exponential):
    return Composition(Pointwise(_real_exponential), lower(op.functional))


@lower.register
def _(op: PointwiseExponential):
    return Pointwise(torch.exp)


@lower.register
def _(op: FunctionalMultiple):
    return Multiple(lower(op.functional), lower(op.operator))


@lower.register
def _(op: BlockProduct):
    layout = layout_of(op.domain)
    return PointwiseProduct(BlockFactor(0, layout), BlockFactor(1, layout))


@lower.register
def _(op: BlockInsertion):
    element = layout_of(op.range[op.index]).to_tensor(op.element)
    return Insertion(op.index, element, layout_of(op.domain), layout_of(op.range))


@lower.register
def _(op: BlockEmbedding):
    layout = layout_of(op.range[op.index])
    zero = layout.to_tensor(op.range[op.index].zero())
    return Insertion(op.index, zero, layout_of(op.domain), layout_of(op.range))


@lower.register
def _(op: BlockEmbeddingAdjoint):
    return Restriction(op.forward_op.others, op.factor, layout_of(op.domain), layout_of(op.range))


def _real_exponential(value):
    return torch.exp(value.real if value.is_complex() else value)
