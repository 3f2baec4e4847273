"""What convolutions of fields share: filters composed from few weights, and kept in evaluation."""

import math
from typing import Self

import torch
from torch import nn

from odl_learned.networks.equivariant.bases import kernel_basis
from odl_learned.networks.equivariant.fields import Fields, require_fields
from odl_learned.networks.layers import require_generator
from odl_learned.validation import require_count


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

    def __init__(
        self,
        source: Fields,
        target: Fields,
        size: int,
        stride: int,
        dilation: int,
        padding: int | None,
        bias: bool,
        generator: torch.Generator | None,
    ) -> None:
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

    def he_uniform(self, generator: torch.Generator | None = None) -> Self:
        """Draw the weights of a layer before a ReLU, as in He et al. (2015), and return it."""
        self._draw(self.source.channels, generator)
        return self

    def _table(self):
        table = self.basis.table(self.target.count, self.source.count).to(self.weight.device)
        return table.to(self.weight.dtype) if table.is_floating_point() else table

    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        self.table, self._kept = self._table(), None  # not rounded twice
        return self

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation, and forget the composed filters."""
        self._kept = None
        return super().train(mode)

    def __getstate__(self):
        return super().__getstate__() | {"_kept": None}

    def composed(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the dense filters and the bias of every channel of the ordinary convolution."""
        kernel = self._oriented(self.basis.expand(self.weight, self.table))
        if self.bias is None:
            return kernel, None
        return kernel, self.bias[:, None].expand(-1, self.target.size).flatten()

    def _oriented(self, kernel):
        """The filters in the order of axes that torch expects."""
        return kernel

    def _filters(self):
        if self.training or torch.compiler.is_compiling():
            return self.composed()
        weight, bias, kept = self.weight, self.bias, self._kept
        if torch.is_grad_enabled() and (
                weight.requires_grad or bias is not None and bias.requires_grad):  # fmt: skip
            return self.composed()
        if kept is not None and kept.fits(weight, bias):
            return kept.filters
        # tensors of a transformation or of inference mode have no identity or version to compare
        if not all(type(p) is nn.Parameter and not p.is_inference() for p in self.parameters()):
            return self.composed()
        with torch.inference_mode(False), torch.no_grad():  # for gradients in x, too
            self._kept = _Kept(weight, bias, self.composed())
        return self._kept.filters

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

    def extra_repr(self) -> str:
        return f"{self.source}, {self.target}, size={self.size}"


class _Kept:
    """Composed filters with the weights of which they are, at that time."""

    __slots__ = ("bias", "filters", "state", "weight")

    def __init__(self, weight, bias, filters):
        self.weight, self.bias, self.filters = weight, bias, filters
        self.state = _state(weight), _state(bias)

    def fits(self, weight, bias):
        return (weight is self.weight and bias is self.bias
                and (_state(weight), _state(bias)) == self.state)


def _state(parameter):
    """The version that changes in place count up, and the memory that ``data`` replaces."""
    return None if parameter is None else (parameter._version, parameter.data_ptr())
