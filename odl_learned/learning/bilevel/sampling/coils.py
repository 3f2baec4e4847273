"""The fidelity of several receiver coils, for energies in closed form."""

import math

import torch

from odl_learned.energies.fidelities import FourierSampling


class CoilSampling:
    r"""``(A x)_c = F (s_c x)``, the coils one below the other: data ``(B, C n_1, n_2, ...)``.

    ``F`` is unitary, with frequency zero first; so are the data and the weights, which are
    repeated for every coil. For real images the adjoint is that of real-linear maps.

    Parameters
    ----------
    sensitivities : complex tensor ``(C, *shape)``
        With ``sum_c |s_c|^2 <= 1`` everywhere, so that ``|A x| <= |x|``.

    Attributes
    ----------
    rounding : float
        As of `FourierSampling`.
    least : float
        Smallest ``sum_c |s_c|^2``: ``A^* A >= least``.

    Raises
    ------
    ValueError
        If the sum of squares exceeds one.
    """

    rounding = 44.0

    def __init__(self, sensitivities):
        squares = sensitivities.abs().double().square().sum(0)
        if float(squares.max()) > 1 + 1e-5:
            raise ValueError(
                f"sum of |sensitivities|^2 is {float(squares.max()):.4g} at one pixel, expected at "
                "most 1; divide them by the root of the sum, and multiply the images by it."
            )
        scale = max(1.0, float(squares.max())) ** 0.5
        self._maps, self.least = sensitivities / scale, float(squares.min()) / scale**2
        self._axes = tuple(range(1 - sensitivities.ndim, 0))
        spectra = torch.fft.fftn(self._maps, dim=self._axes).abs().square().sum(0)
        # A^* w A has the entry sum_j w_j p(j - k) on the diagonal of the Fourier basis.
        self._correlation = torch.fft.fftn(spectra / math.prod(squares.shape) ** 2)

    def forward(self, x):
        """Return ``A x``, ``(B, C n_1, n_2, ...)``."""
        coils = torch.fft.fftn(self._maps * x[:, None], dim=self._axes, norm="ortho")
        return coils.flatten(1, 2)

    def adjoint(self, r, like):
        """Return ``A^* r``, or its real part if ``like`` is real."""
        coils = r.unflatten(1, (len(self._maps), -1))
        images = torch.fft.ifftn(coils, dim=self._axes, norm="ortho")
        result = (self._maps.conj() * images).sum(1)
        return result if like.is_complex() else result.real

    def proximal(self, z, step, data, c):
        """Raise NotImplementedError: there is no closed form."""
        raise NotImplementedError(
            "the fidelity of several coils has no proximal in closed form; use the lower-level "
            "solver Newton()."
        )

    def preconditioner(self, weights, transform, curvatures, xi):
        """Return division by the best circulant approximation of fidelity and regularizer."""
        first = -len(self._axes)
        one = weights.narrow(first, 0, weights.shape[first] // len(self._maps))
        spectrum = torch.fft.fftn(one, dim=self._axes) * self._correlation.conj()
        diagonal = torch.fft.ifftn(spectrum, dim=self._axes).real.clamp_min(0)
        diagonal = diagonal.to(weights.dtype)
        return FourierSampling().preconditioner(diagonal, transform, curvatures, xi)


def one_below_the_other(data):
    """Turn data ``(B, C, n_1, ...)`` of coils into ``(B, C n_1, ...)``."""
    return data.flatten(1, 2)
