"""Spaces of batches: the geometry of an ODL space on tensors ``(B, *shape)``."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import odl
import torch

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import Tensors
from odl_learned.solvers.arithmetic.row_sums import euclidean
from odl_learned.solvers.arithmetic.samples import samples_of


class BatchSpace:
    """The tensors ``(B, *shape)`` that are batches of elements of an ODL space.

    Attributes
    ----------
    space : ODL space
    size : int or None
        Number of samples, or None for any.
    """

    def __init__(self, space: odl.LinearSpace, size: int | None = None) -> None:
        self.space, self.size, self.layout = space, size, layout_of(space)

    def inner(self, x: Tensors, y: Tensors) -> torch.Tensor:
        """``Re <x_b, y_b>`` in the weighted inner product, a tensor of shape ``(B,)``, float64.

        On the CPU a sample has the same bits in a batch of any size (`solvers.arithmetic.samples`).
        """
        weight = getattr(self.layout, "weight", None)
        if isinstance(weight, float):
            return _beside(x, weight * euclidean(x, y))
        return _beside(x, euclidean(x, self.layout.weigh(y)))

    def norm(self, x: Tensors) -> torch.Tensor:
        """``|x_b|``, a tensor of shape ``(B,)``, float64."""
        return _beside(x, samples_of(x, self).norm(x))

    def split(self, x: Tensors) -> tuple[torch.Tensor, ...]:
        """The components of a batch of elements of a product space."""
        return self.layout.split(x)

    def zero(self, batch: int | None = None, device: torch.device | str = "cpu") -> Any:
        """A batch of zeros; ``batch`` may be left out where the number of samples is known."""
        batch = self.size if batch is None else batch
        if batch is None:
            raise ValueError(
                "how many samples there are is not known; expected a number, zero(batch), or a "
                "starting point, whose first axis tells."
            )
        return self.layout.zeros((batch,), device)

    @property
    def eps(self) -> float:
        """Distance of one to the next number in the precision of the space."""
        return torch.finfo(self.layout.dtype).eps

    def take(self, index: Sequence[int] | np.ndarray) -> "BatchSpace":
        """The space of batches of some of the samples."""
        return BatchSpace(self.space, None if self.size is None else len(index))

    def __contains__(self, x):
        try:
            self.layout.check(x)
        except (TypeError, ValueError):
            return False
        lead = tuple(self.layout.batch_shape(x))
        return _has_dtype(self.layout, x) and len(lead) == 1 and self.size in (None, lead[0])

    def __eq__(self, other):
        return isinstance(other, BatchSpace) and self.space == other.space

    def __hash__(self):
        return hash(self.space)

    def __repr__(self):
        batch = "B" if self.size is None else self.size
        return f"batches ({batch}, ...) of elements of {self.space!r}"


def _beside(x, numbers):
    """Numbers of samples as a tensor on the device of ``x``."""
    while isinstance(x, tuple):
        x = x[0]
    return torch.from_numpy(numbers).to(x.device)


def _has_dtype(layout, x):
    if isinstance(x, (tuple, list)):
        return all(_has_dtype(part, entry) for part, entry in zip(layout.parts, x))
    return x.dtype == layout.dtype
