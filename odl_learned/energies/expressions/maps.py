r"""The affine maps inside of terms, ``p = A x + B y + b``, as batched tensors with norms."""

import copy
import functools
import math
from typing import cast

import odl
import torch

from odl_learned.bridge import as_transpose_module
from odl_learned.bridge.layouts.layout import TensorLayout, layout_of
from odl_learned.bridge.lowering import lower
from odl_learned.bridge.rules.round_trip import OneBatchAxis
from odl_learned.energies.energy import Data
from odl_learned.energies.expressions.arguments import Argument
from odl_learned.energies.expressions.differences import differences_of
from odl_learned.energies.expressions.gains import least_gain, row_norm
from odl_learned.energies.expressions.missing import missing
from odl_learned.energies.transforms.perron import POWERS
from odl_learned.operators.norms.operator_norms import operator_norm

#: Rounding errors of a product with an operator and its transpose, in units of rounding.
ROUNDING = 40.0


class AffineMap:
    r"""``p = A x + B y + b`` with the groups of coefficients along the second axis.

    Computed in double precision, also where the spaces are of single precision and the rules of the
    bridge allow it. All norms are Euclidean, of matrices: with the weights ``W`` of the spaces, the
    matrix ``M`` of ``A`` has :math:`|w^{1/2} M| \le |A| \max (w / w_Z)^{1/2} \max w_X^{1/2}`.

    Parameters
    ----------
    argument : Argument
        Without factors of parameters.
    weights : float or tensor
        ``w`` of a term, one for every entry of ``p`` without the axis of groups.
    grouped : int
        Number of members of a group: one, or that of components of the space.

    Attributes
    ----------
    norm : float
        A bound of ``|w^1/2 M|``.
    row_norm : float
        A bound of the norms of the rows of one group of ``M``.
    least : float
        A bound from below of ``|w^1/2 M x| / |x|``, zero if unknown.
    eps : float
        Unit of rounding of ``A``.
    members : int
        Number of members of a group.
    image_shape : tuple of int
    """

    def __init__(self, argument: Argument, weights: float | torch.Tensor, grouped: int) -> None:
        self.operator = cast(odl.Operator, argument.image)  # of an argument that sees images
        source = self.operator.domain
        target = layout_of(argument.space)
        for space in (source, argument.space):
            if not isinstance(layout_of(space), TensorLayout):
                raise missing(self.operator, f"spaces of one array, or powers of one, not {space}; "
                              "take products apart by SeparableSum")  # fmt: skip
        rest = target.shape if grouped == 1 else target.shape[1:]
        self._grouped, self._flat = (grouped, *rest), target.shape
        self.members, self.image_shape = grouped, layout_of(source).shape
        self.weights = weights
        self.is_identity = isinstance(self.operator, odl.IdentityOperator)
        like = layout_of(source).to_tensor(source.zero())[None]
        self._differences = differences_of(self.operator)
        if self._differences is None:
            self._forward = in_double(lower(self.operator), like)
            back = as_transpose_module(self.operator).native
            self._transpose = in_double(back, target.zeros((1,), None))
        else:
            self._forward = self._differences.forward
            self._transpose = self._differences.transpose
        ratio = target.weight  # of the inner product: w_Z
        most, fewest = extremes(weights / ratio if isinstance(ratio, float) and
                                 isinstance(weights, float) else
                                 torch.as_tensor(weights) / torch.as_tensor(ratio))  # fmt: skip
        largest, smallest = extremes(layout_of(source).weight)
        self.norm = operator_norm(self.operator) * math.sqrt(most * largest)
        self.least = least_gain(self.operator) * math.sqrt(fewest * smallest)
        rows = row_norm(self.operator)
        plain = operator_norm(self.operator) * math.sqrt(largest / extremes(ratio)[1])
        self.row_norm = plain if rows is None else min(plain, rows)
        image = self._forward(double(like))
        self._data = None
        if argument.data is not None:
            source = layout_of(argument.data.domain)
            self._data = in_double(lower(argument.data), source.zeros((1,), None))
        self._shift = None
        if argument.shift is not None:
            self._shift = double(target.to_tensor(argument.shift))
        self.eps = max(eps_of(self._forward), eps_of(self._transpose))
        self.groups = image.numel() // grouped

    def forward(self, x: torch.Tensor, data: Data | None) -> torch.Tensor:
        """Return ``A x + B y + b``, ``(B, d, *shape)``."""
        p, rest = self._forward(x).reshape(len(x), *self._grouped), self.rest(data)
        return p if rest is None else p + rest

    def rest(self, data: Data | None) -> torch.Tensor | None:
        """Return ``B y + b``, of the shape of groups, or None where it is zero."""
        rest = None if self._data is None else self._data(data)
        if self._shift is not None:
            rest = self._shift[None] if rest is None else rest + self._shift
        return None if rest is None else rest.reshape(len(rest), *self._grouped)

    def linear(self, v: torch.Tensor) -> torch.Tensor:
        """Return ``A v``, ``(B, d, *shape)``; a tensor of its own."""
        p = v if self.is_identity else self._forward(v)
        return p.reshape(len(v), *self._grouped)

    def transpose(self, q: torch.Tensor) -> torch.Tensor:
        """Return ``M^H q``, of the shape of images."""
        q = q.reshape(len(q), *self._flat)
        return q if self.is_identity else self._transpose(q)

    @functools.cached_property
    def _normal(self):
        """``A* A`` as it is lowered as a whole, for one weight of each space."""
        source = layout_of(self.operator.domain)
        module = lower(self.operator.adjoint @ self.operator)
        return in_double(module, source.zeros((1,), None))

    def normal(self, v: torch.Tensor, factor: float) -> torch.Tensor:
        r"""Return ``c M^H w M v``: with constant weights ``c (w / w_Z) w_X A* A``."""
        if self.is_identity or self._ratio is None:
            return self.transpose(self.spread(self.linear(v), factor))
        return factor * self._ratio * self._normal(v)

    @functools.cached_property
    def _ratio(self):
        """``(w / w_Z) w_X`` where all of these are numbers, else None."""
        source, target = layout_of(self.operator.domain), layout_of(self.operator.range)
        weights = self.weights, target.weight, source.weight
        constant = all(isinstance(w, float) for w in weights)
        return weights[0] / weights[1] * weights[2] if constant else None

    def product_norm(self, factors: torch.Tensor, powers: int = POWERS) -> torch.Tensor:
        """Bound ``|M^H w diag(factors) M|``, ``(B,)``, for numbers ``(B, 1, *shape)`` >= 0.

        Infinite where one of them is.
        """
        if self._differences is None:
            return self.norm**2 * factors.flatten(1).amax(1)
        factors = self.spread(factors)  # of groups, or of single differences
        factors = factors.reshape(len(factors), -1, *self._flat[1:])
        return self._differences.product_norm(factors, powers).nan_to_num(math.inf, math.inf)

    def mean_square(self) -> float:
        """Return about ``|M|_F^2`` over the number of images, from a random one."""
        source = layout_of(self.operator.domain)
        generator = torch.Generator().manual_seed(0)
        z = torch.randn((1, *source.shape), dtype=torch.float64, generator=generator)
        z = z.to(torch.complex128) if source.dtype.is_complex else z
        return float(self._forward(z).abs().square().sum() / z.abs().square().sum())

    def spread(self, values: torch.Tensor, factor: float = 1.0) -> torch.Tensor:
        """Return ``c w`` times values of groups."""
        weights = self.weights
        if isinstance(weights, torch.Tensor):
            weights, values = weights.to(values.real.dtype), _times(factor, values)
            return weights * values
        return _times(factor * weights, values)


class InSingle(torch.nn.Module):
    """A module that computes in single precision, between tensors of double precision."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        found = double(self.module(_single(x)))
        return found if isinstance(found, tuple) else found.contiguous()


def in_double(module, like):
    """Return a lowered operator that maps double precision to double precision.

    Parameters
    ----------
    module : torch.nn.Module
    like : tensor, or tuple of tensors
        An argument, in any precision.
    """
    belongs_to_user = any(isinstance(part, OneBatchAxis) for part in module.modules())
    if belongs_to_user or next(module.parameters(), None) is not None:
        module = copy.deepcopy(module)  # a network is not to change its precision
    try:
        module = module._apply(double)
        found = module(double(like))
        parts = found if isinstance(found, tuple) else (found,)
        if all(part.dtype in (torch.float64, torch.complex128) for part in parts):
            return module
    except TypeError:  # a projector that exists in single precision alone
        pass
    return InSingle(module._apply(_single))


def double(x):
    """Return a tensor or a tuple of tensors in double precision, real or complex as it is."""
    if isinstance(x, tuple):
        return tuple(map(double, x))
    if x.is_complex():
        return x.to(torch.complex128)
    return x.to(torch.float64) if x.is_floating_point() else x


def _single(x):
    if isinstance(x, tuple):
        return tuple(map(_single, x))
    if x.is_complex():
        return x.to(torch.complex64)
    return x.to(torch.float32) if x.is_floating_point() else x


def eps_of(module):
    """The unit of rounding of a module of `in_double`."""
    single = isinstance(module, InSingle)
    return torch.finfo(torch.float32 if single else torch.float64).eps


def extremes(weight):
    """The largest and the smallest weight."""
    if isinstance(weight, torch.Tensor):
        return float(weight.max()), float(weight.min())
    return float(weight), float(weight)


def _times(factor, p):
    return p if factor == 1.0 else factor * p
