"""Simulated sensitivities of the receiver coils of a magnetic resonance scanner."""

import numpy as np
import odl

from odl_learned.data.ellipses import require_image_space
from odl_learned.data.phantoms import _coordinates
from odl_learned.validation import require_count

#: More than any receiver array has.
MOST_COILS = 1024


def simulated_sensitivities(space: odl.DiscretizedSpace, coils: int) -> np.ndarray:
    r"""Return smooth complex sensitivities of coils on a ring around the image.

    With ``x`` scaled to ``[-1, 1]^2`` and coil ``c`` at ``p_c = 1.2 (cos t_c, sin t_c)``,
    ``t_c = 2 pi c / C``, the maps are Gaussians with a linear phase, normalized to

    .. math:: s_c = \frac{g_c}{(\sum_b |g_b|^2)^{1/2}}, \qquad
              g_c(x) = \exp\Big(-\frac{|x - p_c|^2}{2} + i (t_c + p_c \cdot x)\Big), \qquad
              \sum_c |s_c(x)|^2 = 1 .

    Parameters
    ----------
    space : odl.DiscretizedSpace, two-dimensional
        Images, real or complex.
    coils : int
        Number ``C`` of coils, at least one.

    Returns
    -------
    sensitivities : complex array of shape ``(coils, *space.shape)``
        Of the precision of the space: the last argument of ``operators.MultiCoilFourier``.

    Raises
    ------
    TypeError
        If the space is not a uniform space of images or ``coils`` not a whole number.
    ValueError
        If ``coils`` is not positive.
    """
    require_image_space(space)
    if isinstance(coils, bool) or not isinstance(coils, (int, np.integer)):
        raise TypeError(f"coils is {coils!r}; expected a whole number, such as 8.")
    require_count("coils", coils, most=MOST_COILS)
    x, y, _ = _coordinates(space)
    angle = (2 * np.pi * np.arange(coils) / coils)[:, None, None]
    p, q = 1.2 * np.cos(angle), 1.2 * np.sin(angle)
    maps = np.exp(-((x - p) ** 2 + (y - q) ** 2) / 2 + 1j * (angle + p * x + q * y))
    maps /= np.sqrt(np.sum(np.abs(maps) ** 2, axis=0))
    return maps.astype(np.result_type(space.dtype, np.complex64))
