r"""Convolutions between fields: lifting, group convolution and projection are one layer.

From trivial to regular fields it lifts, between regular fields it is the group convolution, and
from regular to trivial ones it projects. Its filters are composed from few weights (`bases`), and
then it is one ordinary convolution of torch.
"""

import math

import torch
from torch import nn
from torch.nn import functional

from odl_learned.networks.equivariant.bases import kernel_basis
from odl_learned.networks.equivariant.fields import Fields, require_fields
from odl_learned.networks.layers import (
    CONVOLUTIONS,
    TRANSPOSED,
    require_channels,
    require_generator,
)
from odl_learned.validation import require_count, shown

_CONVOLVE = {2: functional.conv2d, 3: functional.conv3d}
_TRANSPOSED = {2: functional.conv_transpose2d, 3: functional.conv_transpose3d}
#: What is assumed outside of an image, by torch's names.
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class FieldConvolution(nn.Module):
    """Abstract: a convolution with composed filters and one bias for each field.

    In training, and wherever gradients of the weights are recorded, the filters are composed anew;
    in evaluation they are kept as long as the weights are the same tensors in the same version.
    (What writes to ``weight.data`` behind the back of torch has to call ``eval()`` afterwards.)

    Parameters
    ----------
    source, target : Fields
    size, stride, dilation, padding : int
    bias : bool
    generator : torch.Generator or None
    """

    def __init__(self, source, target, size, stride, dilation, padding, bias, generator):
        super().__init__()
        require_fields("source", source)
        require_fields("target", target)
        if source.group != target.group:
            raise ValueError(f"source is of {source.group!r} and target of {target.group!r}, "
                             "expected fields of the same group.")
        for name, value in (("size", size), ("stride", stride), ("dilation", dilation)):
            require_count(name, value, most=2**15)
        if padding is None:
            padding = dilation * (size - 1) // 2
        require_count("padding", padding, 0, most=2**15)
        require_generator(generator)
        self.source, self.target = source, target
        self.size, self.stride, self.dilation, self.padding = size, stride, dilation, padding
        self.basis = kernel_basis(source, target, size)
        self.weight = nn.Parameter(torch.empty(self.basis.count, target.count, source.count))
        self._draw(source.channels + target.channels, generator)  # Glorot, Bengio (2010)
        self.bias = nn.Parameter(torch.zeros(target.count)) if bias else None
        self.register_buffer("table", self._table(), persistent=False)
        self._kept = None

    def _draw(self, fan, generator):
        """Entries of the composed filters of variance ``2 / (taps fan)``, from a uniform one."""
        bound = math.sqrt(6 / (self.size**self.source.group.dimension * fan))
        nn.init.uniform_(self.weight, -bound, bound, generator=generator)

    def he_uniform(self, generator: torch.Generator | None = None) -> "FieldConvolution":
        """Draw the weights of a layer before a ReLU, as in He et al. (2015), and return it."""
        self._draw(self.source.channels, generator)
        return self

    def _table(self):
        table = self.basis.table.to(self.weight.device)
        return table.to(self.weight.dtype) if table.is_floating_point() else table

    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        self.table, self._kept = self._table(), None  # not rounded twice
        return self

    def train(self, mode: bool = True):
        """Set training or evaluation, and forget the composed filters."""
        self._kept = None
        return super().train(mode)

    def __getstate__(self):
        return super().__getstate__() | {"_kept": None}

    def composed(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the dense filters and the bias of every channel of the ordinary convolution."""
        kernel = self._oriented(self.basis.expand(self.weight, self.table))
        bias = None if self.bias is None else self.bias.repeat_interleave(self.target.size)
        return kernel, bias

    def _oriented(self, kernel):
        """The filters in the order of axes that torch expects."""
        return kernel

    def _filters(self):
        own = tuple(self.parameters())
        recorded = torch.is_grad_enabled() and any(p.requires_grad for p in own)
        # tensors of a transformation or of inference mode have no identity or version to compare
        plain = all(type(p) is nn.Parameter and not p.is_inference() for p in own)
        if self.training or recorded or not plain or torch.compiler.is_compiling():
            return self.composed()
        version = [(p, p._version, p.data_ptr()) for p in own]
        if self._kept is None or not _same(self._kept[0], version):
            with torch.inference_mode(False), torch.no_grad():  # for gradients in x, too
                self._kept = version, self.composed()
        return self._kept[1]

    def ordinary(self) -> nn.Module:
        """Return the ordinary convolution of torch that this is, with weights of its own."""
        with torch.no_grad():
            kernel, bias = self.composed()
        layer = self._ordinary(bias is not None).to(kernel)
        layer.weight = nn.Parameter(kernel.clone())
        if bias is not None:
            layer.bias = nn.Parameter(bias.clone())
        return layer.train(self.training)

    def _ordinary(self, bias):
        raise NotImplementedError

    def _options(self):
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}

    def extra_repr(self):
        return f"{self.source}, {self.target}, size={self.size}"


def _same(kept, version):
    return all(p is q and v == w and a == b for (p, v, a), (q, w, b) in zip(kept, version))


class GroupConvolution(FieldConvolution):
    r"""An equivariant convolution between fields, with one bias for each field.

    .. math:: (K f)_p(x) = b + \sum_{q, t} K_{pq}(t) \, f_q(s x + d t), \qquad
              K_{gp, gq}(g t) = K_{pq}(t),

    so that ``K (g f) = g (K f)`` for all elements of the group, exactly where they map the grid to
    itself. With a stride the pixels that are kept must lie symmetrically about the center of the
    image: ``n + 2 padding - dilation (size - 1) - 1`` must be a multiple of the stride, which holds
    for filters of odd size and stride 2 on odd lengths n, of even size on even ones.

    Parameters
    ----------
    source, target : Fields
        What goes in and comes out, of the same group.
    size : int
        Length of the filters along every axis.
    stride, dilation : int, optional
    padding : int, optional
        Pixels that are added at each border; the default is ``dilation (size - 1) // 2``.
    padding_mode : str, optional
        What they hold, by torch's name: zeros, reflect, replicate or circular.
    bias : bool, optional
        Whether a learned number is added to each field.
    generator : torch.Generator, optional
        Source of the random weights, with which the entries of the composed filters have Xavier's
        distribution; the default is torch's own.

    Maps ``(N, source.channels, *shape)`` to ``(N, target.channels, *shape)``, real, in the dtype of
    the weights.

    Raises
    ------
    ValueError
        For sizes below 1, fields of different groups, another shape of the input, or one on which
        the stride is not symmetric.
    TypeError
        For an input of another dtype than the weights.

    Source: Cohen, Welling, Group equivariant convolutional networks (2016); Weiler, Cesa, General
    E(2)-equivariant steerable CNNs (2019).
    """

    def __init__(
        self,
        source: Fields,
        target: Fields,
        size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        padding: int | None = None,
        padding_mode: str = "zeros",
        bias: bool = True,
        generator: torch.Generator | None = None,
    ):
        super().__init__(source, target, size, stride, dilation, padding, bias, generator)
        if padding_mode not in PADDING_MODES:
            raise ValueError(f"padding_mode is {shown(padding_mode)}, expected one of "
                             f"{', '.join(PADDING_MODES)}.")
        self.padding_mode = padding_mode

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        dimension = self.source.group.dimension
        require_channels(x, self.source.channels, dimension, self.weight)
        self._require_symmetric(x.shape[2:])
        kernel, bias = self._filters()
        options = self._options()
        if self.padding_mode != "zeros" and self.padding:
            x = functional.pad(x, [self.padding] * (2 * dimension), mode=self.padding_mode)
            options["padding"] = 0
        return _CONVOLVE[dimension](x, kernel, bias, **options)

    def _require_symmetric(self, shape):
        for axis, n in enumerate(shape):
            rest = n + 2 * self.padding - self.dilation * (self.size - 1) - 1
            if rest < 0 or rest % self.stride:
                raise ValueError(
                    f"axis {axis} of the image has length {n}, expected one for which "
                    f"{n} + 2 padding - dilation (size - 1) - 1 = {rest} is a multiple of the "
                    f"stride {self.stride}, at least 0: otherwise the kept pixels are not "
                    "symmetric about the center, and the layer is not equivariant. Take filters "
                    "of odd size on odd lengths and of even size on even ones, or another padding.")

    def _ordinary(self, bias):
        return CONVOLUTIONS[self.source.group.dimension](
            self.source.channels, self.target.channels, self.size, bias=bias,
            padding_mode=self.padding_mode, **self._options())


class GroupTransposedConvolution(FieldConvolution):
    r"""The transpose of an equivariant convolution with a stride: it goes to a finer grid.

    .. math:: (K f)_p(x) = b + \sum_{q, t, y : \; s y + d t = x} K_{pq}(t) \, f_q(y), \qquad
              K_{gp, gq}(g t) = K_{pq}(t) .

    An axis of length n becomes ``(n - 1) stride - 2 padding + dilation (size - 1) + 1``, always
    symmetric about the center, so that it is exact wherever the group maps the grid to itself.

    Parameters
    ----------
    source, target, size, stride, dilation, bias, generator
        Those of `GroupConvolution`.
    padding : int, optional
        Pixels that are cut at each border; the default is 0.

    Maps ``(N, source.channels, *shape)`` to ``(N, target.channels, *finer shape)``, real, in the
    dtype of the weights.

    Raises
    ------
    ValueError
        For sizes below 1, fields of different groups, or another shape of the input.
    TypeError
        For an input of another dtype than the weights.
    """

    def __init__(
        self,
        source: Fields,
        target: Fields,
        size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        padding: int = 0,
        bias: bool = True,
        generator: torch.Generator | None = None,
    ):
        super().__init__(source, target, size, stride, dilation, padding, bias, generator)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        dimension = self.source.group.dimension
        require_channels(x, self.source.channels, dimension, self.weight)
        kernel, bias = self._filters()
        return _TRANSPOSED[dimension](x, kernel, bias, **self._options())

    def _oriented(self, kernel):
        return kernel.transpose(0, 1)

    def _ordinary(self, bias):
        return TRANSPOSED[self.source.group.dimension](
            self.source.channels, self.target.channels, self.size, bias=bias, **self._options())
