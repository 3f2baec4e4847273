r"""Degrees of freedom of a reconstruction, by differences along a probe.

For noise ``eta`` of standard deviations ``sigma_j`` in data of weights ``w_j``, by Stein's lemma

    E <eta, A x(y)>_Y = E sum_j w_j sigma_j^2 d (A x(y))_j / d y_j ,

and with random signs ``s_j`` and the probe ``b_j = sigma_j s_j`` the sum is ``E <b, J b>_Y`` for
the derivative ``J`` of ``y -> A x(y)``. The probe has the norm of the noise, ``|b|^2 = E |eta|^2``,
so that

    degrees = <b, A x(y + t b) - A x(y)>_Y / (t |b|^2)

is the share of the data that the image may follow: one where it follows all of them. Real and
imaginary parts of complex data are entries of their own.
"""

import dataclasses
from typing import Any

import numpy as np
import odl

from odl_learned.functionals import precise_inner
from odl_learned.variational.parameter_choice.noise import noise_levels, probe
from odl_learned.weights import component_weights, entry_weights


@dataclasses.dataclass(frozen=True)
class Probe:
    """A direction ``b`` along which data are disturbed.

    Parameters
    ----------
    direction : odl element
    norm : float
        ``|b|``.
    count : float
        ``(sum_j p_j)^2 / sum_j p_j^2`` with the parts ``p_j`` of ``|b|^2``: the number of real
        entries, where their parts are equal.
    """

    direction: Any
    norm: float
    count: float

    @classmethod
    def of_noise(cls, space: odl.core.set.space.LinearSpace, noise_level, rng):
        """Return a probe of random signs with the size of the noise."""
        direction = probe(space, noise_levels(space, noise_level), rng)
        square = precise_inner(direction, direction)
        fourth = _sum_of_squared_parts(direction)
        return cls(direction, square**0.5, square**2 / fourth if fourth > 0 else 0.0)

    def disturbed(self, data, step):
        """``y + t b``."""
        return data + step * self.direction

    def degrees(self, image, disturbed_image, step):
        """Return the share of degrees of freedom, given ``A x`` for both data."""
        change = disturbed_image - image
        return precise_inner(self.direction, change) / (step * self.norm**2)


# Real and imaginary parts of a probe have the same size, so that an entry is two equal parts.
def _sum_of_squared_parts(direction):
    space = direction.space
    if isinstance(space, odl.ProductSpace):
        return sum(weight**2 * _sum_of_squared_parts(part) for weight, part in zip(
            component_weights(space), direction, strict=True))  # fmt: skip
    parts = entry_weights(space) * np.abs(np.asarray(direction.data)).astype(np.float64) ** 2
    return float(np.sum(parts**2)) / (1 if space.is_real else 2)
