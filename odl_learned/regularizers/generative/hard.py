"""Images in the range of a decoder, for a fixed one and for one that is adapted to the data."""

import copy

import numpy as np
import torch

from odl_learned.networks.generative import Decoder
from odl_learned.regularizers.generative.descent import latent_descent, require_start
from odl_learned.regularizers.generative.deviations import images_at
from odl_learned.regularizers.generative.measurements import Measurements
from odl_learned.regularizers.generative.reconstruction import Reconstruction
from odl_learned.validation import require_count, require_nonnegative, require_positive, shown


def range_restricted(decoder: Decoder, measurements: Measurements, start: torch.Tensor, *,
                     latent_weight: float = 1.0, accuracy: float = 1.0,
                     maxiter: int = 100) -> Reconstruction:  # fmt: skip
    r"""Fit an image of the decoder to data, ``min_z D(G(z)) + mu/2 |z|^2``.

    It cannot show what the decoder does not know. Its z is a better start of `alternating` than
    that of an encoder.

    Parameters
    ----------
    decoder : Decoder
        G, ``(N, latent)`` to ``(N, C, H, W)``.
    measurements : Measurements
        D, of N samples.
    start : torch.Tensor, shape (N, latent)
    latent_weight : float, optional
        mu, nonnegative.
    accuracy : float, optional
        Norm of the gradient, in nats.
    maxiter : int, optional
        Largest number of quasi-Newton steps.

    Returns
    -------
    answer : Reconstruction

    Raises
    ------
    TypeError
        If decoder or measurements are none.
    ValueError
        If a number is out of range, or the start has another shape.

    Source: Bora, Jalal, Price, Dimakis, Compressed sensing using generative models (2017),
    equation (1).
    """
    _require(decoder, measurements, start)
    require_nonnegative("latent_weight", latent_weight)
    require_positive("accuracy", accuracy)
    require_count("maxiter", maxiter, 0)
    like = measurements.images()

    def objective(z, index):
        fit = measurements.take(index).value(images_at(decoder, z, like))
        return fit + 0.5 * latent_weight * z.square().sum(1)

    found = latent_descent(objective, start, accuracy=accuracy, maxiter=maxiter)
    with torch.no_grad():
        images = images_at(decoder, found.z, like)
    return Reconstruction(images, found.z, found.value, found.slope, found.niter, found.reason)


def inverse_gan(decoder: Decoder, measurements: Measurements, start: torch.Tensor, *,
                latent_weight: float = 1.0, learning_rate: float = 1e-4,
                steps: int = 100) -> Reconstruction:  # fmt: skip
    r"""Adapt the decoder itself to each measurement, ``min_{z, theta} D(G_theta(z)) + mu/2 |z|^2``.

    From a z that fits for the trained parameters, such as that of `range_restricted`, by a few
    steps of Adam: the number of steps is what regularizes theta, and is to be tuned. The best value
    on the way is kept, so that it is never worse than that of the start.

    Parameters
    ----------
    decoder, measurements, start, latent_weight
        As for `range_restricted`; the decoder is copied for each sample.
    learning_rate : float, optional
        Of Adam, for theta; ten times that for z. Positive.
    steps : int, optional
        Number of steps.

    Returns
    -------
    answer : Reconstruction
        Its images are in the range of the adapted decoders.

    Raises
    ------
    TypeError
        If decoder or measurements are none.
    ValueError
        If a number is out of range, or the start has another shape.

    Source: Narnhofer, Hammernik, Knoll, Pock, Inverse GANs for accelerated MRI reconstruction
    (2019).
    """
    _require(decoder, measurements, start)
    require_nonnegative("latent_weight", latent_weight)
    require_positive("learning_rate", learning_rate)
    require_count("steps", steps, 0)
    parts = [_adapted(decoder, measurements.take([i]), start[i : i + 1], latent_weight,
                      learning_rate, steps) for i in range(len(measurements))]  # fmt: skip
    x, z, value, slope = (torch.cat(part) for part in zip(*parts))
    count = len(measurements)
    return Reconstruction(x, z, value, slope, np.full(count, steps),
                          np.full(count, "maxiter", dtype=object))  # fmt: skip


def _adapted(decoder, measurements, start, latent_weight, learning_rate, steps):
    own, like = copy.deepcopy(decoder).requires_grad_(), measurements.images()
    z = start.detach().double().clone().requires_grad_()
    optimizer = torch.optim.Adam([{"params": list(own.parameters())},
                                  {"params": [z], "lr": 10 * learning_rate}], lr=learning_rate)
    best = None
    for step in range(steps + 1):
        with torch.enable_grad():
            images = images_at(own, z, like)
            value = measurements.value(images) + 0.5 * latent_weight * z.square().sum(1)
            optimizer.zero_grad()
            value.sum().backward()
        if best is None or bool(value.detach() < best[2]):
            best = (images.detach(), z.detach().clone(), value.detach(),
                    torch.linalg.vector_norm(z.grad, dim=1))  # fmt: skip
        if step < steps:
            optimizer.step()
    return best


def _require(decoder, measurements, start):
    for name, value, kind in (("decoder", decoder, Decoder),
                              ("measurements", measurements, Measurements)):
        if not isinstance(value, kind):
            raise TypeError(f"{name} is {shown(value)}, expected one of {kind.__name__}.")
    require_start(start, len(measurements), decoder.latent)
