"""Operators that are diagonal in the discrete Fourier basis: convolutions and translations."""

import numpy as np
import odl
import scipy.fft


class FourierMultiplier(odl.Operator):
    r"""Abstract operator that multiplies the discrete Fourier transform by fixed numbers.

    .. math:: A u = F^{-1} (m \cdot F u), \qquad |A| = \max_k |m_k| ,

    where ``F`` is the discrete Fourier transform along some axes.

    Parameters
    ----------
    space : ``uniform_discr`` space
        Images, real or complex.
    multiplier : complex array
        The numbers ``m``, of a shape that broadcasts to ``space.shape``, the zero frequency first.
        Where the space is real it has the symmetry ``m_{-k} = conj(m_k)``, and only the half with
        ``0 <= k <= n // 2`` along the last transformed axis is kept.
    axes : tuple of int
        Axes of the transform, counted from zero.
    """

    def __init__(self, space, multiplier, axes):
        super().__init__(space, space, linear=True)
        self.axes = tuple(axes)
        self.is_real = not np.issubdtype(space.dtype, np.complexfloating)
        if self.is_real and multiplier.ndim:
            half = np.arange(space.shape[self.axes[-1]] // 2 + 1)
            multiplier = np.take(multiplier, half, axis=self.axes[-1])
        single = np.zeros(0, space.dtype).real.dtype == np.float32
        self.multiplier = multiplier.astype(np.complex64 if single else np.complex128)
        self.multiplier.flags.writeable = False

    def _call(self, u, out=None):
        if self.is_real:
            sizes = [self.domain.shape[axis] for axis in self.axes]
            spectrum = scipy.fft.rfftn(u.data, axes=self.axes)
            values = scipy.fft.irfftn(self.multiplier * spectrum, s=sizes, axes=self.axes)
        else:
            spectrum = scipy.fft.fftn(u.data, axes=self.axes)
            values = scipy.fft.ifftn(self.multiplier * spectrum, axes=self.axes)
        if out is None:
            return self.range.element(values)
        out.data[...] = values


def shift_multiplier(n, pixels):
    r"""Return the Fourier multiplier that shifts a periodic signal by any number of pixels.

    .. math:: m_k = \exp(-2 \pi i \, k s / n), \quad |k| < n / 2, \qquad
              m_{n/2} = (-1)^{\mathrm{round}(s)} .

    For even ``n`` the highest frequency has no partner, and a real signal leaves it the factors 1
    and -1 alone; that of the nearest whole shift keeps the shift unitary and its inverse ``-s``.

    Parameters
    ----------
    n : int
        Length of the signal.
    pixels : float or array of floats
        The shift ``s``; its axes become leading ones of the result.

    Returns
    -------
    multiplier : complex128 array, shape ``(*pixels.shape, n)``
    """
    pixels = np.asarray(pixels, dtype=np.float64)
    multiplier = np.exp(-2j * np.pi * pixels[..., None] * np.fft.fftfreq(n))
    if n % 2 == 0:
        multiplier[..., n // 2] = 1 - 2 * (np.round(pixels) % 2)
    return multiplier
