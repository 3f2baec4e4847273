"""Descent in latent vectors alone, with the images eliminated: variable projection."""

import torch

from odl_learned.regularizers.generative.alternating import Reconstruction, require_problem
from odl_learned.regularizers.generative.descent import latent_descent
from odl_learned.regularizers.generative.determinants import Determinant, Marginal
from odl_learned.regularizers.generative.measurements import Measurements
from odl_learned.regularizers.generative.prior import GenerativePrior
from odl_learned.validation import require_count


def variable_projection(
    prior: GenerativePrior,
    measurements: Measurements,
    start: torch.Tensor,
    *,
    determinant: Determinant | None = None,
    accuracy: float = 1.0,
    maxiter: int = 60,
    image_accuracy: float = 1e-4,
) -> Reconstruction:
    r"""Minimize data term and generative regularizer over latent vectors, with images eliminated.

    .. math:: \min_z \varphi(z), \qquad \varphi(z) = \min_w \frac{1}{2 s^2} |A (G(z) + w) - y|^2
              + d(w, z) + \tfrac{\mu}{2} |z|^2 + \delta(z)

    by quasi-Newton steps with backtracking, each of which solves for the deviations w, from those
    of the step before. The objective is that of `alternating`, its values never increase, and each
    sample stops by itself. In turn, images that stay near ``G(z)`` hold z back, the more the less
    the data determine; here nothing does, and sparse deviations, at which z cannot move in turn at
    all, are as smooth in z as white ones: docs/generative_reconstruction.md.

    Parameters
    ----------
    prior : GenerativePrior
        d, G and mu.
    measurements : Measurements
        A, y and s, of N samples.
    start : torch.Tensor, shape (N, latent)
        z to begin with, such as that of `range_restricted`.
    determinant : Determinant, optional
        delta, for Gaussian deviations: `Marginal`, the default, `SampledMarginal` or `Joint`.
    accuracy : float, optional
        Norm of the gradient in z, in nats.
    maxiter : int, optional
        Largest number of steps; 0 gives the image for the start.
    image_accuracy : float, optional
        Of images, relative.

    Returns
    -------
    reconstruction : Reconstruction
        Its stationarity is the norm of the gradient of phi, its niter the number of steps.

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If a number is out of range, or the start has another shape.

    Source: Golub, Pereyra, The differentiation of pseudo-inverses and nonlinear least squares
    problems whose variables separate (1973); the derivative of a minimum is that of the function at
    the minimizer, Danskin, The theory of max-min (1967).
    """
    determinant = Marginal() if determinant is None else determinant
    require_problem(prior, measurements, start, determinant, accuracy, image_accuracy)
    require_count("maxiter", maxiter, 0)
    like = measurements.images()
    deviations = torch.zeros_like(like)

    def eliminated(z, index):
        """Images and deviations that minimize for latent vectors; the start of the next ones."""
        with torch.no_grad():
            part, center = measurements.take(index), prior.images(z, like)
            network_z = z.to(next(prior.decoder.parameters()).dtype)
            x = prior.deviations.minimizer(part, center, network_z, center + deviations[index],
                                           image_accuracy)  # fmt: skip
            deviations[index] = x - center
        return x, deviations[index]

    lowest = torch.full((len(measurements),), torch.inf, dtype=torch.float64,
                        device=like.device)  # fmt: skip

    def objective(z, index):
        # phi is at least mu/2 |z|^2. Where that is more than a value that was found before, the
        # point is no candidate, and no images are asked for: far from zero the precision may be of
        # any size, and the equation for them hopeless.
        least = prior.latent_term(z)
        near = torch.nonzero(least.detach() <= lowest[index])[:, 0]
        if not len(near):
            return least
        z, index, part = z[near], index[near], measurements.take(index[near])
        u = prior.images(z, like) + eliminated(z.detach(), index)[1]
        values = part.value(u) + prior.objective(u, z, determinant, measurements.information)
        lowest[index] = torch.fmin(lowest[index], values.detach())
        return least.index_copy(0, near, values)

    found = latent_descent(objective, start, accuracy=accuracy, maxiter=maxiter)
    x, _ = eliminated(found.z, torch.arange(len(measurements), device=like.device))
    return Reconstruction(x, found.z, found.value, found.slope, found.niter, found.reason)
