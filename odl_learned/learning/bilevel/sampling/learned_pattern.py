"""Learned patterns as they are used outside of learning: masks, weights, ODL operators."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import odl
import torch
from odl.core.set.space import LinearSpaceElement

from odl_learned.energies.doors import require_kind
from odl_learned.learning.bilevel.sampling.doors import require_params
from odl_learned.learning.bilevel.sampling.patterns import Pattern
from odl_learned.operators import MultiCoilFourier, SampledFourier


@dataclasses.dataclass(frozen=True, eq=False)
class LearnedPattern:
    """A learned pattern as it is used outside of learning.

    Parameters
    ----------
    pattern : Pattern
    params : tensor ``(P,)``
        ``t`` in [0, 1].
    alpha : float or None
        The regularization parameter that was learned along.
    """

    pattern: Pattern
    params: torch.Tensor
    alpha: float | None

    @property
    def weights(self) -> np.ndarray:
        """The weights ``s`` of the frequencies, a centered float64 array."""
        return np.fft.fftshift(self.pattern.weights(self.params.double()).cpu().numpy())

    def mask(self, threshold: float = 0.01) -> np.ndarray:
        """Return the frequencies of all members with a parameter above, centered bool array."""
        return self.pattern.mask(self.params.cpu() > threshold)

    def mask_of_fraction(self, fraction: float) -> np.ndarray:
        """Return the mask of the members with the largest parameters that fit the rate.

        Of parameters that are equal, to a thousandth, those of lower frequencies come first.
        """
        axes = [(np.arange(n) - n // 2) / n for n in self.pattern.shape]
        squares = sum(k**2 for k in np.meshgrid(*axes, indexing="ij"))
        radius = self.pattern.means(torch.as_tensor(squares))
        scores = 1e3 * torch.round(self.params.cpu().double(), decimals=3) - radius
        return self.pattern.mask(self.pattern.chosen(scores, fraction))

    def sampling_rate(self, threshold: float = 0.01) -> float:
        """Return the share of the frequencies that `mask` keeps."""
        return float(self.mask(threshold).mean())

    def forward_op(self, domain: odl.DiscretizedSpace) -> SampledFourier:
        """Return the `SampledFourier` on ``domain`` with these weights; its data are ``s y``."""
        return SampledFourier(domain, self.weights)

    def multi_coil_op(
        self,
        domain: odl.DiscretizedSpace,
        sensitivities: Sequence[LinearSpaceElement | np.ndarray] | np.ndarray,
    ) -> MultiCoilFourier:
        """Return the `MultiCoilFourier` on ``domain`` with these weights."""
        return MultiCoilFourier(domain, self.weights, sensitivities)


def learned_pattern(pattern: Pattern, params: torch.Tensor) -> LearnedPattern:
    """Return the `LearnedPattern` of ``(t)`` or ``(t, log alpha)``, as learned.

    Parameters
    ----------
    pattern : Pattern
    params : tensor ``(P,)`` or ``(P + 1,)``
    """
    require_kind("pattern", pattern, Pattern, "build it with points, lines or spokes")
    require_params("params", params, pattern.size, pattern.size + 1)
    extra = len(params) - pattern.size
    alpha = float(params[-1].exp()) if extra else None
    return LearnedPattern(pattern, params[: pattern.size].detach(), alpha)
