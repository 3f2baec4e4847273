"""Images for fixed latent vectors: minimizers of data term and deviation, which are convex in them.
"""

import math

import torch

from odl_learned import solvers
from odl_learned.networks.generative.autoencoders import channels_of, images_of
from odl_learned.regularizers.generative.measurements import Measurements
from odl_learned.regularizers.generative.precision import Precision

#: Largest number of iterations for one image.
MAXITER = 500
#: Numbers by which zeros are divided.
TINY = 1e-30


@torch.no_grad()
def least_squares(measurements: Measurements, precision: Precision, center: torch.Tensor,
                  start: torch.Tensor, accuracy: float) -> torch.Tensor:  # fmt: skip
    r"""Minimize ``D(u) + 1/2 |u - c|_P^2`` by conjugate gradients with a diagonal preconditioner.

    .. math:: (A^H A / s^2 + P) \, u = A^H y / s^2 + P c

    From a start near the minimizer. The diagonal is as fast as sparse factors or faster, but where
    noise is large: docs/generative_reconstruction.md.

    Parameters
    ----------
    measurements : Measurements
    precision : Precision
        P, on channels.
    center, start : torch.Tensor, shape (N, *shape)
    accuracy : float
        Norm of the residual relative to the right-hand side.
    """
    b = measurements.pulled_back() + _on_images(precision.times, center)
    size = torch.linalg.vector_norm(b.flatten(1), dim=1).double().clamp_min(TINY)
    system = _System(measurements, precision)
    diagonal = precision.diagonal() + on_channels(measurements.information)
    divided = _Division(diagonal.clamp_min(TINY))  # zero where nothing is known of a pixel
    return solvers.conjugate_gradient(system, b, start, (accuracy * size).cpu().numpy(), MAXITER,
                                      divided).x  # fmt: skip


def on_channels(information: torch.Tensor) -> torch.Tensor:
    """Numbers of pixels ``(1, H, W)``, or of components ``(1, C, H, W)``, for all channels."""
    return information.unsqueeze(1) if information.ndim == 3 else information


class _System:
    """``A^H A / s^2 + P`` of some of the samples."""

    def __init__(self, measurements, precision):
        self.measurements, self.precision = measurements, precision

    def __call__(self, u):
        return self.measurements.normal(u) + _on_images(self.precision.times, u)

    def take(self, index):
        return _System(self.measurements, self.precision.take(index))


class _Division:
    """Division by a diagonal, of some of the samples."""

    def __init__(self, diagonal):
        self.diagonal = diagonal

    def __call__(self, v):
        return _on_images(lambda channels: channels / self.diagonal, v)

    def take(self, index):
        return _Division(self.diagonal[torch.as_tensor(index, device=self.diagonal.device)])


def _on_images(function, u):
    return images_of(function(channels_of(u, 2)), u, 2)


@torch.no_grad()
def sparse_least_squares(measurements: Measurements, weight: float, center: torch.Tensor,
                         start: torch.Tensor, accuracy: float) -> torch.Tensor:  # fmt: skip
    r"""Minimize ``D(u) + kappa |u - c|_1`` by proximal gradients with momentum, without increase.

    .. math:: u^+ = c + S_{\kappa / L}\big( v - \nabla D(v) / L - c \big)

    with the soft shrinkage S and the bound L of `Measurements.largest`; where the objective would
    grow, momentum starts anew. Were L too small, which has a probability of at most 1e-6 where no
    rule knows the norm of A, the images would not move rather than increase it.

    Parameters
    ----------
    measurements : Measurements
    weight : float
        kappa.
    center, start : torch.Tensor, shape (N, *shape)
    accuracy : float
        Of the last change, relative to the image.
    """
    lipschitz = max(measurements.largest, TINY)  # zero where A is

    def value(u):
        return measurements.value(u) + weight * (u - center).abs().double().flatten(1).sum(1)

    def stepped(v):
        w = v - measurements.gradient(v) / lipschitz - center
        size = w.abs()
        return center + w * (size - weight / lipschitz).clamp_min(0) / size.clamp_min(TINY)

    u, v, t, f = start, start, 1.0, value(start)
    for _ in range(MAXITER):
        new = stepped(v)
        g = value(new)
        worse = (g > f).reshape(-1, *[1] * (u.ndim - 1))
        if bool(worse.any()):  # without momentum it cannot, up to rounding
            plain = stepped(u)
            better = (value(plain) <= f).reshape(worse.shape)
            new = torch.where(worse, torch.where(better, plain, u), new)
            g = value(new)
        t_next = (1 + math.sqrt(1 + 4 * t * t)) / 2
        momentum = torch.where(worse, 0.0, (t - 1) / t_next)
        change = new - u
        u, v, t, f = new, new + momentum * change, t_next, g
        if float(change.abs().amax()) <= accuracy * float(u.abs().amax()):
            break
    return u
