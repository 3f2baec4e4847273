"""The ramp filter of filtered backprojection, as the matrix of a convolution that does not wrap.

The ramp ``|w|``, cut off at the Nyquist frequency ``1 / (2 d)`` of bins of the width d, has the
samples

    h_0 = 1 / (4 d^2),   h_k = -1 / (pi k d)^2 for odd k,   h_k = 0 for even k

(Kak and Slaney 1988, equation 3.61). The transform of these, multiplied by a window, is the filter;
samples of ``|w|`` itself are that of a kernel that is wrapped around, and falsify the mean: ODL's
disk of four fifths of the field of view is 1.7 % too dense.
"""

import math

import numpy as np
import odl

from odl_learned.weights import constant_weight

#: Largest number of bins, whose matrix takes 256 MB.
MOST_FILTERED = 8192

#: Windows w(f) of the ramp by the frequency f, relative to the cutoff, in [0, 1].
WINDOWS = {
    "ram-lak": lambda f: np.ones_like(f),
    "shepp-logan": lambda f: np.sinc(f / 2),
    "cosine": lambda f: np.cos(f * math.pi / 2),
    "hamming": lambda f: 0.54 + 0.46 * np.cos(f * math.pi),
    "hann": lambda f: np.cos(f * math.pi / 2) ** 2,
}


def ramp_filter(
    space: odl.DiscretizedSpace,
    width: float,
    name: str,
    cutoff: float,
    added: tuple[int, int] = (0, 0),
) -> odl.MatrixOperator:
    r"""Return the windowed ramp along the bins of a data space.

    .. math:: (H y)_{v,i} = d \sum_j h_{i-j} \, y_{v,j}

    Parameters
    ----------
    space : odl.DiscretizedSpace
        Data, shape (V, n), or (V, n, m) whose bins are along the second axis.
    width : float
        Width ``d`` of the bins.
    name : str
        One of `WINDOWS`.
    cutoff : float
        Frequencies above it, relative to that of Nyquist, are left out, in (0, 1].
    added : pair of int
        Bins before the first and after the last, where data are zero and filtered data are not.

    Returns
    -------
    filter : odl.MatrixOperator
        To the same space, where it is self-adjoint, or to one with the bins that are added.

    Raises
    ------
    ValueError
        If there are more than `MOST_FILTERED` bins.
    """
    n = space.shape[1]
    if n > MOST_FILTERED:
        raise ValueError(
            f"forward_op has {n} bins, expected at most {MOST_FILTERED}, whose filter is a matrix; "
            "add up neighboring bins first."
        )
    length = 4 << n.bit_length()
    k = np.fft.fftfreq(length, 1 / length)
    ramp = np.where(k % 2, -1 / (math.pi * np.where(k % 2, k, 1)) ** 2, 0)
    ramp[0] = 0.25
    relative = 2 * np.abs(k) / length / cutoff
    window = WINDOWS[name](np.minimum(relative, 1)) * (relative <= 1)
    kernel = np.fft.ifft(np.fft.fft(ramp).real * window).real / width
    before, after = added
    rows = np.arange(-before, n + after)
    matrix = kernel[np.abs(rows[:, None] - np.arange(n))].astype(space.dtype)
    if len(rows) == n:
        return odl.MatrixOperator(matrix, space, space, axis=1)
    wider = space.tspace_type((space.shape[0], len(rows), *space.shape[2:]), dtype=space.dtype,
                              weighting=constant_weight("forward_op.range", space))
    return odl.MatrixOperator(matrix, space, wider, axis=1)
