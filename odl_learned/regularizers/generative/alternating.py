"""Images and latent vectors in turn: a monotone solver for generative regularizers."""

from collections.abc import Callable

import numpy as np
import torch

from odl_learned.regularizers.generative.descent import latent_descent, require_start
from odl_learned.regularizers.generative.determinants import Determinant, Marginal
from odl_learned.regularizers.generative.measurements import Measurements
from odl_learned.regularizers.generative.prior import GenerativePrior
from odl_learned.regularizers.generative.reconstruction import Reconstruction
from odl_learned.validation import require_count, require_method, require_positive, shown


def alternating(
    prior: GenerativePrior,
    measurements: Measurements,
    start: torch.Tensor,
    *,
    determinant: Determinant | None = None,
    accuracy: float = 1.0,
    maxiter: int = 20,
    latent_steps: int = 10,
    image_accuracy: float = 1e-4,
    callback: Callable[[torch.Tensor], None] | None = None,
) -> Reconstruction:
    r"""Minimize data term and generative regularizer, by images and latent vectors in turn.

    .. math:: \min_{u, z} F(u, z) = \frac{1}{2 s^2} |A u - y|^2 + d(u - G(z), z)
              + \tfrac{\mu}{2} |z|^2 + \delta(z)

    with the term delta of the determinant. In a round, u becomes the minimizer for z, by conjugate
    gradients or proximal gradients, and z descends by quasi-Newton steps with backtracking. F never
    increases. Each sample stops by itself, when u minimizes and the gradient in z is small: then
    (u, z) is nearly stationary. F is not convex in z, so that the start matters: `starts`.

    Parameters
    ----------
    prior : GenerativePrior
        d, G and mu.
    measurements : Measurements
        A, y and s, of N samples.
    start : torch.Tensor, shape (N, latent)
        z to begin with, such as `encoder_start`.
    determinant : Determinant, optional
        delta, for Gaussian deviations: `Marginal`, the default, `SampledMarginal` or `Joint`. It is
        constant where the precision does not depend on z.
    accuracy : float, optional
        Norm of the gradient in z, in nats; a change of z by one, a standard deviation of it, is
        then worth about that.
    maxiter : int, optional
        Largest number of rounds; 0 gives the image for the start, with z fixed.
    latent_steps : int, optional
        Largest number of steps of z in a round.
    image_accuracy : float, optional
        Of images, relative.
    callback : callable, optional
        ``callback(F)`` after each half of a round, with the values of all samples.

    Returns
    -------
    reconstruction : Reconstruction

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If a number is out of range, or the start has another shape.
    """
    determinant = Marginal() if determinant is None else determinant
    require_problem(prior, measurements, start, determinant, accuracy, image_accuracy)
    if callback is not None:
        require_method("callback", callback, "values.append", 1)
    require_count("maxiter", maxiter, 0)
    require_count("latent_steps", latent_steps)
    count = len(measurements)
    z, active = start.detach().double().clone(), torch.arange(count, device=start.device)
    u = _minimizer(prior, measurements, z, prior.images(z, measurements.images()).detach(),
                   image_accuracy)  # fmt: skip
    value = _values(prior, determinant, measurements, u, z).detach()
    stationarity = torch.full_like(value, torch.inf)
    niter, reason = np.zeros(count, int), np.full(count, "maxiter", dtype=object)
    inverse = None
    for _ in range(maxiter):
        part, images = measurements.take(active), u[active]

        def objective(latent, index):
            return _values(prior, determinant, part.take(index), images[index], latent)

        found = latent_descent(objective, z[active], accuracy=accuracy, maxiter=latent_steps,
                               inverse=inverse)
        stationarity[active] = found.start
        still = torch.from_numpy(found.niter > 0).to(z.device)
        reason[active[~still].cpu().numpy()] = np.where(
            (found.start[~still] <= accuracy).cpu(), "accuracy", "rounding")
        inverse = found.inverse[still]
        active, part = active[still], part.take(torch.nonzero(still)[:, 0])
        if not len(active):
            break
        niter[active.cpu().numpy()] += 1
        z[active], value[active] = found.z[still], found.value[still]
        _tell(callback, value)
        new = _minimizer(prior, part, z[active], u[active], image_accuracy)
        new_value = _values(prior, determinant, part, new, z[active]).detach()
        better = new_value <= value[active]  # up to rounding it always is
        u[active[better]], value[active[better]] = new[better], new_value[better]
        _tell(callback, value)
    return Reconstruction(u, z, value, stationarity, niter, reason)


def require_problem(prior: GenerativePrior, measurements: Measurements, start: torch.Tensor,
                    determinant: Determinant, accuracy: float,
                    image_accuracy: float) -> None:  # fmt: skip
    """Raise unless these are a prior, measurements, a start for them, and positive accuracies."""
    for name, given, kind in (("prior", prior, GenerativePrior),
                              ("measurements", measurements, Measurements),
                              ("determinant", determinant, Determinant)):
        if not isinstance(given, kind):
            raise TypeError(f"{name} is {shown(given)}, expected one of {kind.__name__}.")
    require_positive("accuracy", accuracy)
    require_positive("image_accuracy", image_accuracy)
    require_start(start, len(measurements), prior.latent)


def _minimizer(prior, measurements, z, start, accuracy):
    with torch.no_grad():
        center = prior.images(z, start)
        network_z = z.to(next(prior.decoder.parameters()).dtype)
        return prior.deviations.minimizer(measurements, center, network_z, start, accuracy)


def _values(prior, determinant, measurements, u, z):
    """F, in which the data term has no derivative in z."""
    with torch.no_grad():
        fidelity = measurements.value(u)
    return fidelity + prior.objective(u, z, determinant, measurements.information)


def _tell(callback, value):
    if callback is not None:
        callback(value.clone())
