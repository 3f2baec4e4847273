"""Types of what solvers take: elements and batches, and what is asked of the objects on them.

A protocol says what a solver calls, and no more. Operators and functionals of ODL have it, their
twins for batches, ``bridge.as_batch(operator)``, too, and so may objects of one's own.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike

#: What iterates: an element of a space, or a batch, arrays or tensors with a first axis of samples.
Image = TypeVar("Image")
#: The same in the range of an operator.
Data = TypeVar("Data")
#: A number, or one for each sample of a batch.
Numbers = float | np.ndarray


class LinearMap(Protocol[Image, Data]):
    """A linear operator with its adjoint."""

    def __call__(self, x: Image, /) -> Data:
        """``A x``."""

    @property
    def adjoint(self) -> "LinearMap[Data, Image]":
        """``A*``, in the inner products of the spaces."""


class Smooth(Protocol[Image]):
    """A functional with a gradient."""

    def __call__(self, x: Image, /) -> ArrayLike:
        """The value, one for each sample of a batch."""

    @property
    def gradient(self) -> Callable[[Image], Image]:
        """``x -> grad f(x)``, in the inner product of the space."""


class Proximable(Protocol[Image]):
    """A functional with a proximal."""

    def __call__(self, x: Image, /) -> ArrayLike:
        """The value, one for each sample of a batch."""

    def proximal(self, sigma: Numbers, /) -> Callable[[Image], Image]:
        """Return ``x -> argmin_z  f(z) + |z - x|^2 / (2 sigma)``."""
