"""Types of what solvers take: elements and batches, and what is asked of the objects on them.

A protocol says what a solver calls, and no more. Operators and functionals of ODL have it, their
twins for batches, ``bridge.as_batch(operator)``, too, and so may objects of one's own.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np
from odl.core.set.space import LinearSpaceElement


class Array(Protocol):
    """An array of numpy or a tensor of torch: of a library that has Python's array API."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""

    @property
    def dtype(self) -> object:
        """The type of the entries, as the library has it."""

    def __array__(self) -> np.ndarray:
        """The same numbers as an array of numpy."""


#: An element of an ODL space, or a batch: an array with a first axis of samples, or several.
Point = LinearSpaceElement | Array | tuple
#: What iterates.
Image = TypeVar("Image", bound=Point)
#: The same in the range of an operator.
Data = TypeVar("Data", bound=Point)
#: What `Element` and `Batch` calculate with, each with its own: elements of a space, or arrays of a
#: library with Python's array API, which has no types, or tuples of them, also of tuples.
Points = Any
#: A number, or one for each sample of a batch.
Numbers = float | np.ndarray | Array


class LinearMap(Protocol[Image, Data]):
    """A linear operator with its adjoint."""

    def __call__(self, x: Image, /) -> Data:
        """``A x``."""

    @property
    def adjoint(self) -> Callable[[Data], Image]:
        """``A*``, in the inner products of the spaces."""


class LinearOperator(LinearMap[Image, Data], Protocol[Image, Data]):
    """A linear operator that knows its spaces."""

    @property
    def domain(self) -> Any:
        """The space of images."""

    @property
    def range(self) -> Any:
        """The space of data."""


class Smooth(Protocol[Image]):
    """A functional with a gradient."""

    @property
    def gradient(self) -> Callable[[Image], Image]:
        """``x -> grad f(x)``, in the inner product of the space."""


class Proximable(Protocol[Image]):
    """A functional with a proximal."""

    @property
    def proximal(self) -> Callable[..., Callable[[Image], Image]]:
        """``sigma -> prox_{sigma f}``, for a step or one for each sample."""


class CertifiedProblem(Protocol):
    """``min f(x) + g(L x)`` with bounds of what is missing, such as a `variational.Problem`."""

    @property
    def f(self) -> Proximable[Any]:
        """A functional of images."""

    @property
    def g(self) -> Any:
        """A functional with a convex conjugate that has a proximal."""

    @property
    def L(self) -> Any:
        """A linear operator between two spaces that know what is in them."""

    @property
    def strong_convexity(self) -> Numbers:
        """``mu`` of the objective."""

    @property
    def operator_norm(self) -> Numbers:
        """A bound of ``|L|``."""

    def step_sizes(self, ratio: float) -> tuple[Numbers, Numbers]:
        """Return ``tau`` and ``sigma``."""

    def certificate(self, x: Any, y: Any, /) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray]:
        """Return a point near ``x``, its value, its gap, and how much of it is for rounding."""
