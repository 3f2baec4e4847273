"""What data leave uncertain of an image, for a latent vector."""

import torch

from odl_learned.networks.generative.autoencoders import channels_of, images_of
from odl_learned.regularizers.generative.descent import require_start
from odl_learned.regularizers.generative.deviations import GaussianDeviations
from odl_learned.regularizers.generative.measurements import Measurements
from odl_learned.regularizers.generative.precision import GaussianPosterior, Precision
from odl_learned.regularizers.generative.prior import GenerativePrior
from odl_learned.validation import require_count, require_positive, shown


def image_posterior(prior: GenerativePrior, measurements: Measurements, z: torch.Tensor, rank: int,
                    image_accuracy: float = 1e-4) -> GaussianPosterior:  # fmt: skip
    r"""Return the posterior of images for fixed latent vectors.

    .. math:: u \,|\, y, z \sim N\big( u^*(z), \Sigma_k \big), \qquad
              \Sigma_k \ge \big( P(z) + A^H A / s^2 \big)^{-1},

    with the image ``u*`` that `alternating` has for z, and a covariance that is never too small,
    and exact when the rank is a little larger than that of A; `GaussianPosterior` has samples,
    variances and correlations. It tells nothing of what is uncertain about z.

    Parameters
    ----------
    prior : GenerativePrior
        With a Gaussian deviation.
    measurements : Measurements
        A, y and s, of N samples.
    z : torch.Tensor, shape (N, latent)
        Such as ``alternating(...).latent``.
    rank : int
        k, at most the number of real entries of an image.
    image_accuracy : float, optional
        Of the mean, as in `alternating`.

    Returns
    -------
    posterior : GaussianPosterior
        Of images ``(N, *shape)``; of complex ones as two channels, ``(N, 2, *shape)``.

    Raises
    ------
    TypeError
        If an argument is of another kind, or the deviations are sparse.
    ValueError
        If the rank is out of range, or z has another shape.
    """
    for name, given, kind in (("prior", prior, GenerativePrior),
                              ("measurements", measurements, Measurements)):
        if not isinstance(given, kind):
            raise TypeError(f"{name} is {shown(given)}, expected one of {kind.__name__}.")
    if not isinstance(prior.deviations, GaussianDeviations):
        raise TypeError(f"the deviations are {shown(prior.deviations)}, expected Gaussian ones, "
                        "such as LearnedDeviations: others have no covariance in closed form.")
    require_count("rank", rank)
    require_positive("image_accuracy", image_accuracy)
    require_start(z, len(measurements), prior.latent)
    like = measurements.images()
    with torch.no_grad():
        network_z = z.to(next(prior.decoder.parameters()).dtype)
        center = prior.images(z, like)
        mean = prior.deviations.minimizer(measurements, center, network_z, center, image_accuracy)
        found = prior.deviations.precision(network_z, like)
    if found.image[0] == 1:  # images without an axis of channels
        precision = Precision(found.log_diagonal[:, 0], found.neighbors, found.hood.radius)
        return GaussianPosterior(precision, measurements.normal, mean, rank)

    def normal(channels):
        u = images_of(channels, like[:1].expand(len(channels), *like.shape[1:]), 2)
        return channels_of(measurements.normal(u), 2)

    return GaussianPosterior(found, normal, channels_of(mean, 2), rank)
