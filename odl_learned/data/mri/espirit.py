r"""Coil sensitivities from the calibration lines of a scan: ESPIRiT.

All windows of ``k x k`` frequencies and C coils lie near a space of few dimensions, that of the
right singular vectors ``v_q`` of the matrix of windows. To project every window on it, and to
average what the windows that a frequency lies in say of it, is a convolution, and so in the image,
pixel by pixel, a matrix between coils,

    M(x) = k^-2 sum_q g_q(x) g_q(x)^H,   g_q(x)_c = sum_j v_q[c, j] exp(2 pi i j x / n),

which keeps the values ``s_c(x) u(x)`` that the coils see: the sensitivities are its eigenvector of
the eigenvalue one, and where no eigenvalue is near one there is nothing to see.

Entries of M are trigonometric polynomials with ``2 k - 1`` coefficients along each axis, which are
summed over q once; no transform of the image is taken for any ``v_q``.
"""

import numpy as np

from odl_learned.validation import (
    require_count,
    require_finite,
    require_positive,
    shown,
)

#: Largest number of entries of matrices between coils that are computed at a time.
CHUNK = 2**22
#: Largest number of frequencies along an axis that are used.
LARGEST_BLOCK = 32


def estimate_sensitivities(
    kspace: np.ndarray,
    calibration: tuple[int, int] | None = None,
    kernel_width: int = 6,
    threshold: float = 0.02,
    crop: float = 0.95,
) -> np.ndarray:
    r"""Return the sensitivities of the coils, estimated from fully sampled low frequencies.

    .. math:: M(x) \, s(x) = \lambda(x) \, s(x), \quad |s(x)| = 1, \quad
              s(x) = 0 \text{ where } \lambda(x) < \text{crop},

    with the matrices of windows of the calibration data. The phase is that of one virtual coil, the
    principal component of the others, so that it has no jumps where a single coil sees nothing.

    Parameters
    ----------
    kspace : complex array, shape (C, rows, columns)
        Samples of C coils with frequency zero at ``n // 2``, zero where nothing was measured.
    calibration : pair of int, optional
        How many rows and columns of low frequencies are fully sampled. Default: the largest block
        around frequency zero without zeros, up to 32 x 32.
    kernel_width : int, optional
        Side ``k`` of the windows.
    threshold : float, optional
        Singular values below this times the largest are noise.
    crop : float, optional
        Eigenvalues below it belong to pixels without signal; zero for none.

    Returns
    -------
    sensitivities : complex array, shape (C, rows, columns)
        Of the precision of the data: the last argument of ``operators.MultiCoilFourier``.

    Raises
    ------
    TypeError, ValueError
        If the data are no complex numbers of three axes, the block is not fully sampled or smaller
        than the windows, or a number is out of bounds.

    References
    ----------
    Uecker, M. et al. ESPIRiT, an eigenvalue approach to autocalibrating parallel MRI. Magn. Reson.
    Med. 71 (2014), sections "Theory" and "Computation of sensitivity maps".

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> from odl_learned import data, operators
    >>> X = odl.uniform_discr([-1, -1], [1, 1], (24, 24), dtype=complex)
    >>> maps = data.simulated_sensitivities(X, coils=3)
    >>> A = operators.MultiCoilFourier(X, np.ones((24, 24)), maps)
    >>> u = X.element(0.1 + odl.phantom.shepp_logan(X.real_space, modified=True).data)
    >>> found = data.estimate_sensitivities(A(u).asarray(), calibration=(12, 12))
    >>> agreement = np.abs((found.conj() * maps).sum(0))  # one in the same direction
    >>> print(f"{agreement[agreement > 0].mean():.2f}")
    0.99
    """
    kspace = _require_kspace(kspace)
    require_count("kernel_width", kernel_width, least=2)
    require_positive("threshold", threshold)
    if not (isinstance(crop, (int, float)) and 0 <= crop < 1):
        raise ValueError(f"crop is {shown(crop)}, expected a number from 0 to below 1.")
    block = _calibration_block(kspace, calibration, kernel_width)
    coils, shape = len(kspace), kspace.shape[1:]
    block = block / np.abs(block).max()  # squares of numbers in any unit are numbers
    vectors = _signal_vectors(block, kernel_width, threshold)  # (Q, C, k, k)
    width = 2 * kernel_width - 1
    spectra = np.fft.fft2(vectors, s=(width, width))
    spectra = np.einsum("qcxy,qdxy->cdxy", spectra, spectra.conj())
    offsets = (np.arange(width) + kernel_width - 1) % width - kernel_width + 1
    coefficients = np.fft.ifft2(spectra) / kernel_width**2  # of exp(2 pi i x offset / n)
    waves = [np.exp(2j * np.pi * np.outer(np.arange(n) - n // 2, offsets) / n) for n in shape]
    partial = coefficients @ waves[1].T  # (C, C, width, columns)
    virtual = np.linalg.svd(block.reshape(coils, -1), full_matrices=False)[0][:, 0].conj()

    sensitivities = np.zeros(kspace.shape, dtype=kspace.dtype)
    rows = max(1, CHUNK // (coils**2 * shape[1]))
    for start in range(0, shape[0], rows):
        wave = waves[0][start : start + rows]
        matrices = np.einsum("rx,cdxy->rycd", wave, partial, optimize=True)
        values, maps = np.linalg.eigh(matrices)
        maps = maps[..., -1]
        phase = maps @ virtual
        maps = maps * np.exp(-1j * np.angle(phase))[..., None]
        maps[values[..., -1] < crop] = 0
        sensitivities[:, start : start + rows] = np.moveaxis(maps, -1, 0)
    return sensitivities


def calibration_shape(sampled: np.ndarray, most: int = LARGEST_BLOCK) -> tuple[int, int]:
    """Return the numbers of rows and columns of the largest full block around frequency zero.

    Parameters
    ----------
    sampled : bool array, shape (rows, columns)
        Which frequencies were measured.
    most : int, optional
        Upper bound for both.

    Returns
    -------
    shape : pair of int
        The block of the largest area; zeros where frequency zero is missing.
    """
    best = 0, 0
    for rows in range(1, min(most, sampled.shape[0]) + 1):
        full = sampled[_middle(sampled.shape[0], rows)].all(axis=0)
        columns = 0
        while (columns < min(most, sampled.shape[1])
               and full[_middle(sampled.shape[1], columns + 1)].all()):  # fmt: skip
            columns += 1
        if rows * columns > best[0] * best[1]:
            best = rows, columns
    return best


def _middle(n, count):
    """The slice of ``count`` frequencies around zero, ``n // 2``."""
    return slice(n // 2 - count // 2, n // 2 - count // 2 + count)


def _require_kspace(kspace):
    require_finite("kspace", kspace)
    kspace = np.asarray(kspace)
    if kspace.ndim != 3 or not np.iscomplexobj(kspace):
        raise ValueError(f"kspace has shape {kspace.shape} and dtype {kspace.dtype}, expected "
                         "complex numbers of the shape (coils, rows, columns).")
    return kspace.astype(np.result_type(kspace.dtype, np.complex64), copy=False)


def _calibration_block(kspace, calibration, kernel_width):
    sampled, shape = np.any(kspace != 0, axis=0), calibration
    if shape is None:
        shape = calibration_shape(sampled)
    elif not (isinstance(shape, (tuple, list)) and len(shape) == 2):
        raise TypeError(f"calibration is {shown(shape)}, expected two numbers, of rows and columns "
                        "around frequency zero.")
    for count, n in zip(shape, sampled.shape, strict=True):
        if shape is calibration:
            require_count("calibration", count, most=n)
    if min(shape) < kernel_width + 2:
        raise ValueError(
            f"the calibration block has {tuple(shape)} rows and columns, expected more than "
            f"kernel_width + 1 = {kernel_width + 1} of each; measure more lines around frequency "
            "zero, or pass a smaller kernel_width."
        )
    places = tuple(_middle(n, count) for n, count in zip(sampled.shape, shape, strict=True))
    if not sampled[places].all():
        raise ValueError(
            f"calibration is {tuple(shape)}, but {np.count_nonzero(~sampled[places])} frequencies "
            f"of this block are zero in all coils; the largest full one has "
            f"{calibration_shape(sampled)} rows and columns."
        )
    return kspace[(slice(None), *places)]


def _signal_vectors(block, width, threshold):
    """Right singular vectors of the matrix of windows above the noise, shape (Q, C, k, k)."""
    windows = np.lib.stride_tricks.sliding_window_view(block, (width, width), axis=(1, 2))
    matrix = np.moveaxis(windows, 0, 2).reshape(-1, len(block) * width**2)
    values, vectors = np.linalg.eigh(matrix.T @ matrix.conj())  # of rows: w = sum_q a_q v_q
    kept = vectors[:, values > threshold**2 * values[-1]]
    return kept.T.reshape(-1, len(block), width, width)
