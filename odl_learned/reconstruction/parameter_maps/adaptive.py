r"""Convex denoising with parameters for every pixel that a network chooses: what all kinds share.

A problem ``min_z E(z, y, theta)`` in unknowns z, the image and what is minimized over beside it, is
solved to a certified duality gap. Derivatives are those of its smoothed energy at the solution,

.. math:: dz = - H^{-1} \, d (\nabla_z E_\nu) .
"""

import abc
import functools

import odl
import torch
from torch import nn

from odl_learned.bridge import as_module
from odl_learned.networks.images import to_channels
from odl_learned.operators import SymmetrizedGradient, gradient
from odl_learned.reconstruction.implicit_maps.minimizers import Inverse, Minimizer
from odl_learned.reconstruction.implicit_maps.regularized import ImplicitDerivative
from odl_learned.reconstruction.parameter_maps.positive_maps import PositiveMaps
from odl_learned.reconstruction.tensor_maps import require_tensor
from odl_learned.solvers import Solution
from odl_learned.solvers.variation.denoising_weights import SMALLEST
from odl_learned.validation import require_count, require_positive, shown

#: How to say so many maps in a message.
_WORDS = {1: ("one", "one number"), 2: ("two", "two numbers")}


class AdaptiveDenoiser(nn.Module, abc.ABC):
    """Denoising by a convex energy with parameters of pixels; `AdaptiveTV` says which they are."""

    def __init__(
        self,
        parameters_of: PositiveMaps,
        count: int,
        accuracy: float,
        maxiter: int,
        smoothing: float,
        derivative: ImplicitDerivative,
    ) -> None:
        super().__init__()
        if not isinstance(parameters_of, PositiveMaps):
            start = [0.1] * count
            raise TypeError(f"parameters_of is {shown(parameters_of)}, expected PositiveMaps(net, "
                            f"{start}, dimension=2).")
        if len(parameters_of.start) != count:
            words, numbers = _WORDS[count]
            raise ValueError(f"parameters_of has {len(parameters_of.start)} maps, expected "
                             f"{words}; pass {numbers} as start.")
        if parameters_of.factor**2 * SMALLEST >= 1:
            raise ValueError(f"parameters_of has the factor {parameters_of.factor:g}, expected one "
                             f"below {SMALLEST**-0.5:g}: the solver takes factors of less than "
                             f"{1 / SMALLEST:.0e} in one image (solvers.rof); pass less.")
        for name, value in (("accuracy", accuracy), ("smoothing", smoothing)):
            require_positive(name, value)
        require_count("maxiter", maxiter)
        if not isinstance(derivative, ImplicitDerivative):
            raise TypeError(f"derivative is {shown(derivative)}, expected ImplicitDerivative().")
        require_positive("accuracy of derivative", derivative.accuracy)
        require_count("maxiter of derivative", derivative.maxiter)
        self.parameters_of, self.dimension = parameters_of, parameters_of.dimension
        self.accuracy, self.maxiter = float(accuracy), maxiter
        self.smoothing, self.derivative = float(smoothing), derivative

    @abc.abstractmethod
    def solved(self, images: torch.Tensor, maps: torch.Tensor) -> Solution:
        """Return the solutions for images ``(N, *shape)`` and maps ``(N, k, *shape)``."""

    @abc.abstractmethod
    def unknowns(self, solution: Solution) -> torch.Tensor:
        """Return z as real channels ``(N, c, m, *shape)``, the image first of m."""

    @abc.abstractmethod
    def energy(self, y: torch.Tensor, maps: torch.Tensor) -> "SmoothedEnergy":
        """Return the smoothed energy for channels ``(N, c, *shape)``."""

    def solve(self, data: torch.Tensor) -> Solution:
        """Return the solutions for images ``(N, *shape)``, each with its duality gap."""
        with torch.no_grad():
            return self.solved(data, self.parameters_of(data))

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        # (*batch, *shape) -> (*batch, *shape)
        require_tensor("data", data)
        batch = data.shape[: data.ndim - self.dimension]
        if not batch.numel():
            return data
        flat = data.reshape(batch.numel(), *data.shape[len(batch) :])
        # Real channels: images, and the maps behind them.
        packed = torch.cat([to_channels(flat, self.dimension), self.parameters_of(flat)], 1)
        problem = _Denoising(self)
        z = Minimizer.apply(packed, problem)
        if torch.is_grad_enabled():
            z = z - Inverse.apply(problem.energy(packed).gradient(z), z, packed, problem)
        x = torch.complex(z[:, 0, 0], z[:, 1, 0]) if data.is_complex() else z[:, 0, 0]
        return x.reshape(data.shape)


class _Denoising:
    """The problem for packed channels, as `minimizers` want it."""

    def __init__(self, model):
        self.model, self.derivative = model, model.derivative
        self.count = len(model.parameters_of.start)

    def solve(self, packed):
        """The solution, with unknowns as channels."""
        images, maps = packed[:, : -self.count].detach(), packed[:, -self.count :].detach()
        is_complex = images.shape[1] == 2
        flat = torch.complex(images[:, 0], images[:, 1]) if is_complex else images[:, 0]
        found = self.model.solved(flat, maps)
        return found._replace(x=self.model.unknowns(found))

    def energy(self, packed):
        """The smoothed energy."""
        return self.model.energy(packed[:, : -self.count], packed[:, -self.count :])


class SmoothedEnergy(abc.ABC):
    """``E_nu`` of images ``y`` of shape ``(N, c, *shape)`` and maps ``(N, k, *shape)``."""

    def __init__(self, y, maps, smoothing):
        self.y, self.maps, self.smoothing = y, maps, smoothing

    @abc.abstractmethod
    def gradient(self, z):
        """Its gradient, to be differentiated by everything."""

    @abc.abstractmethod
    def hessian(self, z):
        """Its Hessian at z, symmetric."""

    def take(self, index):
        """The same for some of the samples."""
        return type(self)(self.y[index], self.maps[index], self.smoothing)


class Lengths:
    r"""``weight (|g|^2 + nu^2)^{1/2}`` in every pixel, for ``g`` of shape ``(N, c, d, *shape)``.

    With ``s = (|g|^2 + nu^2)^{1/2}`` the slope is ``weight g / s``, and the curvature
    ``(weight / s) (1 - g g^T / s^2)``.
    """

    def __init__(self, g, weight, smoothing):
        self.g, self.weight, self.smoothing = g, weight, smoothing
        self.s = (g.square().sum((1, 2), keepdim=True) + smoothing**2).sqrt()

    @property
    def slope(self):
        """The gradient by ``g``."""
        return self.weight * self.g / self.s

    def curvature(self, q):
        """The second derivative by ``g`` times ``q``."""
        along = (self.g * q).sum((1, 2), keepdim=True) / self.s**2
        return self.weight / self.s * (q - along * self.g)

    def take(self, index):
        """The same for some of the samples."""
        return Lengths(self.g[index], self.weight[index], self.smoothing)


@functools.lru_cache(maxsize=32)
def differences(shape, dtype):
    """``D``, ``D^T``, ``E`` and ``E^T`` on images of unit pixels, as modules on tensors."""
    space = odl.uniform_discr([0] * len(shape), shape, shape, dtype=str(dtype).split(".")[1])
    rise = gradient(space)
    bend = SymmetrizedGradient(rise.range)
    return tuple(as_module(op) for op in (rise, rise.adjoint, bend, bend.adjoint))
