r"""Convolutions between fields: lifting, group convolution and projection are one layer.

From trivial to regular fields it lifts, between regular fields it is the group convolution, and
from regular to trivial ones it projects. Its filters are composed from few weights (`bases`), and
then it is one ordinary convolution of torch.
"""

import torch
from torch.nn import functional

from odl_learned.networks.equivariant.composed import FieldConvolution
from odl_learned.networks.equivariant.fields import Fields
from odl_learned.networks.layers import CONVOLUTIONS, TRANSPOSED, require_channels
from odl_learned.validation import shown

_CONVOLVE = {2: functional.conv2d, 3: functional.conv3d}
_TRANSPOSED = {2: functional.conv_transpose2d, 3: functional.conv_transpose3d}
#: What is assumed outside of an image, by torch's names.
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


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
    ) -> None:
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
        least = self.dilation * (self.size - 1) + 1 - 2 * self.padding
        if self.stride == 1 and min(shape) >= least:
            return
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

    Examples
    --------
    >>> import torch
    >>> from odl_learned.networks import equivariant
    >>> group, seed = equivariant.Cyclic(4), torch.Generator().manual_seed(0)
    >>> fields = equivariant.regular(group, 2)
    >>> up = equivariant.GroupTransposedConvolution(fields, fields, 2, stride=2, generator=seed)
    >>> x = torch.rand(1, 8, 4, 4, generator=seed)
    >>> turned = up(fields.act(1, x)) - fields.act(1, up(x))
    >>> print(tuple(up(x).shape), bool(turned.abs().max() < 1e-5))
    (1, 8, 8, 8) True
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
    ) -> None:
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
