"""A smooth bound of the diagonal of a factor of a precision."""

import dataclasses
import math

import torch

from odl_learned.validation import require_positive


@dataclasses.dataclass(frozen=True)
class NoiseFloor:
    r"""What turns any numbers into a logarithm of the diagonal that is bounded from above.

    .. math:: l = -\log\big( \sigma + e^{-h} \big) < -\log \sigma

    smooth and increasing in ``h``: the standard deviation ``e^-l`` of a pixel, given its later
    neighbors, is ``sigma`` and what ``h`` adds. Without it the likelihood has no maximum where all
    images agree, as on a flat background.

    Parameters
    ----------
    deviation : float
        ``sigma``, positive, in the unit of the images: noise of this size or smaller stays unknown.

    Maps tensors of any shape to such of the same shape.

    Raises
    ------
    ValueError
        If the deviation is not positive and finite.
    """

    deviation: float

    def __post_init__(self):
        require_positive("deviation", self.deviation)

    def __call__(self, raw: torch.Tensor) -> torch.Tensor:
        # -log(sigma + e^-h) = -log sigma - log(1 + e^(-log sigma - h)).
        most = -math.log(self.deviation)
        return most - torch.nn.functional.softplus(most - raw)
