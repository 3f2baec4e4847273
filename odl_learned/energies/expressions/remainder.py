"""Summands that do not depend on the images: values that belong to an energy all the same."""

import torch

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import each
from odl_learned.bridge.lowering import lower
from odl_learned.energies.expressions.arguments import Argument
from odl_learned.energies.expressions.blocks import Scalar


class Remainder:
    """A summand that does not depend on the images, ``c(theta) F(m(theta) (B y + b))``.

    Parameters
    ----------
    summand : Summand
    blocks : Blocks
    """

    def __init__(self, summand, blocks):
        argument = summand.argument
        self._blocks, self._module = blocks, lower(summand.functional)
        self._factor = Scalar(summand.factors, summand.factor, blocks)
        self._scale = self._data = self._rest = None
        if isinstance(argument, Argument):
            layout = layout_of(argument.space)
            rest = argument.space.zero() if argument.shift is None else argument.shift
            self._rest = layout.to_tensor(rest)
            self._data = None if argument.data is None else lower(argument.data)
            self._scale = Scalar(argument.scales, 1.0, blocks)

    def value(self, params, data):
        """Return the value, of every sample or one for all."""
        with torch.no_grad():
            z = self._rest
            if z is None:
                z = self._blocks.joined(None, params, data)
            else:
                z = z if self._data is None else each(torch.add, self._data(data), z)
                scale = self._scale(params)
                z = each(lambda part: scale * part, z)
            value = self._factor(params) * self._module(z)
        return value.real if value.is_complex() else value
