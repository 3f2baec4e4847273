"""The marginal determinant by stochastic Lanczos quadrature."""

from typing import final

import torch

from odl_learned.networks.generative.autoencoders import channels_of, images_of
from odl_learned.regularizers.generative.determinants.closed import Determinant
from odl_learned.regularizers.generative.determinants.quadrature import LogDeterminant
from odl_learned.regularizers.generative.measurements import Measurements
from odl_learned.regularizers.generative.precision import Precision
from odl_learned.validation import require_count, shown


@final
class SampledMarginal(Determinant):
    r"""`Marginal` without the diagonal approximation, as a mean over fixed random signs.

    .. math:: \tfrac12 \log\det\big( I + P^{-1} A^H A / s^2 \big)
              = \tfrac12 E \, v^T \log(I + B) \, v, \qquad B = L^{-1} A^H A L^{-T} / s^2, \qquad
              v_i = \pm 1,

    an unbiased estimate by stochastic Lanczos quadrature, whose error is that of M probes, and of a
    quadrature that falls fast with the number of steps. The probes are always the same: the term is
    a smooth function of the latent vector, and its gradient that of what is computed, so that
    values never increase. It has no second derivative. An evaluation costs ``M steps`` products
    with A and pairs of triangular solves for each sample, a hundred times as much as `Marginal`.

    Parameters
    ----------
    measurements : Measurements
        A and s: those that will be reconstructed from, or others with the same A and s.
    probes : int, optional
        M.
    steps : int, optional
        Of Lanczos' method; at most the number of real entries of an image are of use.
    generator : torch.Generator, optional
        For the signs; a fixed one by default.

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If a number is not positive; when it is used, if the measurements are of another operator or
        noise level.

    Source: Ubaru, Chen, Saad, Fast estimation of tr(f(A)) via stochastic Lanczos quadrature (2017);
    the derivative is derived in ``determinants/quadrature.py``.
    """

    def __init__(self, measurements: Measurements, probes: int = 8, steps: int = 24,
                 generator: torch.Generator | None = None) -> None:  # fmt: skip
        if not isinstance(measurements, Measurements):
            raise TypeError(f"measurements is {shown(measurements)}, expected Measurements.")
        require_count("probes", probes)
        require_count("steps", steps)
        if generator is not None and not isinstance(generator, torch.Generator):
            raise TypeError(f"generator is {shown(generator)}, expected a torch.Generator.")
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        self.measurements, self.steps = measurements, int(steps)
        like = measurements.images()[:1]
        size = channels_of(like, 2).numel()
        signs = torch.randint(0, 2, (probes, size), generator=generator)
        self.probes = 2.0 * signs.double() - 1
        self._like = like

    def value(self, precision: Precision,
              information: torch.Tensor | None) -> torch.Tensor:  # fmt: skip
        """Return the term, ``(N,)`` in double precision."""
        own = self.measurements.information.reshape(-1)
        if information is None or information.numel() != own.numel() or not torch.equal(
                information.reshape(-1), own):  # fmt: skip
            raise ValueError("the determinant was made for another operator or noise level, "
                             "expected those of the measurements; make it of them, "
                             "SampledMarginal(measurements).")
        steps = min(self.steps, precision.size)
        value = LogDeterminant.apply(precision.log_diagonal, precision.neighbors,
                                     precision.hood.radius, self._normal, self.probes, steps)
        return 0.5 * value

    def _normal(self, channels):
        images = images_of(channels, self._like.expand(len(channels), *self._like.shape[1:]), 2)
        return channels_of(self.measurements.normal(images), 2)
