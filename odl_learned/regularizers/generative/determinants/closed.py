"""Terms of the determinant in closed form, joint and marginal."""

from abc import ABC, abstractmethod
from typing import final

import torch

from odl_learned.regularizers.generative.precision import Precision
from odl_learned.validation import require_nonnegative


class Determinant(ABC):
    """Abstract: the term of an objective in u and z that depends on ``P(z)`` alone."""

    @abstractmethod
    def value(self, precision: Precision,
              information: torch.Tensor | None) -> torch.Tensor:  # fmt: skip
        """Return the term, ``(N,)`` in double precision.

        Parameters
        ----------
        precision : Precision
            P, of N samples.
        information : torch.Tensor, or None without measurements
            The diagonal of ``A^H A / s^2``, broadcast against ``(N, C, *shape)``.
        """


@final
class Joint(Determinant):
    r"""That of the joint density of image and latent vector, ``- w/2 log det P(z)``.

    Minimized over u and z together it prefers latent vectors with high precision, as u is free to
    be near ``G(z)`` where data say little: see docs/generative_reconstruction.md.

    Parameters
    ----------
    weight : float, optional
        w, nonnegative: 1 for the density, 2 as it is printed in the paper, 0 to leave it out.

    Raises
    ------
    ValueError
        If the weight is negative.

    Source: Duff, Simpson, Ehrhardt, Campbell, VAEs with structured image covariance applied to
    compressed sensing MRI (2023), equation (6).
    """

    def __init__(self, weight: float = 1.0) -> None:
        require_nonnegative("weight", weight)
        self.weight = float(weight)

    def value(self, precision: Precision,
              information: torch.Tensor | None) -> torch.Tensor:  # fmt: skip
        """Return the term, ``(N,)`` in double precision."""
        return -self.weight * precision.log_diagonal.double().flatten(1).sum(1)


@final
class Marginal(Determinant):
    r"""That of the density of data and latent vector, with all images integrated out.

    .. math:: - \tfrac12 \log\det P + \tfrac12 \log\det\big( P + A^H A / s^2 \big)
              \approx \tfrac12 \sum_i \log\big( 1 + e^{-2 l_i} h_i \big),
              \qquad h = \mathrm{diag}(A^H A) / s^2

    Together with the minimum over u of the rest it is ``- log p(y, z)``, exactly but for the
    diagonal approximation, which is exact for a diagonal P and inpainting, and where there is no
    information; `SampledMarginal` does without it: docs/generative_reconstruction.md.

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import regularizers
    >>> from odl_learned.networks import generative
    >>> seed = torch.Generator().manual_seed(0)
    >>> A = odl.IdentityOperator(odl.uniform_discr([0, 0], [4, 4], (4, 4)))
    >>> decoder = generative.FullyConnectedDecoder(2, (5,), 1, (4, 4), generator=seed).double()
    >>> head = generative.ConstantHead(1, (4, 4), deviation=0.1).double()
    >>> deviations = regularizers.generative.LearnedDeviations(head, weight=1.0)
    >>> prior = regularizers.generative.GenerativePrior(decoder, deviations, latent_weight=1.0)
    >>> y, z = torch.rand(1, 4, 4, generator=seed).double(), torch.zeros(1, 2).double()
    >>> data = regularizers.generative.Measurements(A, y, noise_level=0.1)
    >>> for determinant in (regularizers.generative.Joint(), regularizers.generative.Marginal(),
    ...                     regularizers.generative.SampledMarginal(data, 2, 3, seed)):
    ...     found = regularizers.generative.alternating(
    ...         prior, data, z, accuracy=1e-2, maxiter=5, determinant=determinant)
    ...     print(tuple(found.x.shape))
    ...
    (1, 4, 4)
    (1, 4, 4)
    (1, 4, 4)
    >>> isinstance(determinant, regularizers.generative.determinants.Determinant)
    True
    >>> isinstance(found, regularizers.generative.Reconstruction)
    True
    """

    def value(self, precision: Precision,
              information: torch.Tensor | None) -> torch.Tensor:  # fmt: skip
        """Return the term, ``(N,)`` in double precision.

        Raises
        ------
        ValueError
            If there is no information.
        """
        if information is None:
            raise ValueError("information is None, expected the diagonal of A^H A / s^2, as "
                             "measurements.information: Marginal is of data; without them, use "
                             "Joint().")
        variance = torch.exp(-2 * precision.log_diagonal.double())
        return 0.5 * torch.log1p(variance * information.double()).flatten(1).sum(1)
