"""An energy with fixed parameters and data, as solvers want it, and what it does to data."""

import copy
import math
from typing import Self, overload

import torch

from odl_learned.energies.energy import (
    Data,
    Linearization,
    ParametricEnergy,
    State,
    UnsolvableError,
)
from odl_learned.energies.samples import Index
from odl_learned.validation import shown


class FixedEnergy:
    """``x -> E(x, params, data)`` with fixed parameters and data, as solvers want it.

    It has ``gradient(x)``, ``linearize(x)``, ``grad_lipschitz``, ``strong_convexity`` and
    ``take(index)``, and counts nothing.

    Examples
    --------
    >>> import torch
    >>> from odl_learned import energies, solvers
    >>> square = energies.AutogradEnergy(
    ...     lambda x, p, y: 0.5 * ((x - y) ** 2).sum(-1) + 0.5 * p[0] * (x ** 2).sum(-1),
    ...     lipschitz=lambda p: 1 + float(p[0]), strong_convexity=lambda p: 1 + float(p[0]))
    >>> isinstance(square, energies.ParametricEnergy)
    True
    >>> y = torch.tensor([[2.0, 4.0]], dtype=torch.float64)
    >>> f = energies.FixedEnergy(square, torch.ones(1, dtype=torch.float64), y)
    >>> solution = solvers.newton_krylov(f, torch.zeros_like(y), 1e-10, 10, strong_convexity=2.0)
    >>> print(solution.x)  # y / (1 + p)
    tensor([[1.0000, 2.0000]], dtype=torch.float64)
    """

    def __init__(self, energy: ParametricEnergy, params: torch.Tensor, data: Data) -> None:
        if isinstance(energy, type) or not hasattr(energy, "strong_convexity"):
            raise TypeError(f"energy is {shown(energy)}, expected a ParametricEnergy; a function "
                            "of (x, params, data) becomes one by AutogradEnergy.")
        self.energy, self.params, self.data = energy, params, data
        L = self.grad_lipschitz = energy.lipschitz(params)
        mu = self.strong_convexity = energy.strong_convexity(params)
        if not 0 < mu < math.inf:
            raise UnsolvableError(
                f"strong_convexity(params) of {type(energy).__name__} is {mu}, expected a finite "
                "positive number: distances to the minimizer cannot be certified otherwise. Add "
                "xi/2 |x|^2 with xi > 0, or bound the parameters."
            )
        # Both may be the same number, rounded in two ways.
        if not L >= mu * (1 - 1e-12):
            raise UnsolvableError(
                f"lipschitz(params) of {type(energy).__name__} is {L}, expected at least "
                f"strong_convexity(params), which is {mu}; correct one of them, see check_energy."
            )

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.energy.value(x, self.params, self.data)

    def gradient(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``d_x E``."""
        return self.energy.gradient(x, self.params, self.data)

    def linearize(self, x: torch.Tensor) -> Linearization:
        """Return the `Linearization` at ``x``."""
        return self.energy.linearize(x, self.params, self.data)

    def linearize_from(self, x: torch.Tensor, state: State | None) -> tuple[Linearization, State]:
        """Return a `Linearization` for Newton's method, and the next state."""
        return self.energy.linearize_from(x, self.params, self.data, state)

    def spend(self, count: int) -> None:
        """Note iterations of ``count`` images that cost as much as a gradient each."""

    def take(self, index: Index) -> Self:
        """Return the same for some of the samples."""
        part = copy.copy(self)
        part.data = take(self.data, index)
        return part


@overload
def take(data: torch.Tensor, index: Index) -> torch.Tensor: ...
@overload
def take(data: tuple[torch.Tensor, ...], index: Index) -> tuple[torch.Tensor, ...]: ...
def take(data: Data, index: Index) -> Data:
    """Return the samples with these numbers, of a tensor or a tuple of tensors."""
    if isinstance(data, tuple):
        return tuple(take(part, index) for part in data)
    return data[index]


@overload
def in_double(data: torch.Tensor) -> torch.Tensor: ...
@overload
def in_double(data: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]: ...
def in_double(data):
    """Return a tensor or a tuple of tensors in double precision."""
    if isinstance(data, tuple):
        return tuple(in_double(part) for part in data)
    return data.to(torch.complex128 if data.is_complex() else torch.float64)
