"""Samples of a scanner as files hold them: masks, padding, oversampled readouts, headers, noise."""

import math
import xml.etree.ElementTree

import numpy as np
import scipy.fft

from odl_learned.validation import require_finite, require_real, shown


def sampling_mask(mask, shape):
    """Return a mask of frequencies from one of lines or of frequencies.

    Parameters
    ----------
    mask : array of bool or of the numbers 0 and 1
        Of columns, of shape ``(columns,)``, ``(1, columns)`` or ``(1, ..., columns, 1)``; of rows,
        ``(rows, 1)`` or, where there are more or fewer columns, ``(rows,)``; or of single
        frequencies, ``(rows, columns)``.
    shape : pair of int
        Rows and columns.

    Returns
    -------
    mask : bool array, shape (rows, columns)

    Raises
    ------
    TypeError, ValueError
        If the numbers are complex, others than 0 and 1, or of another shape.
    """
    require_finite("mask", mask)
    mask = np.asarray(mask)
    require_real("mask", mask)
    if not np.isin(mask, (0, 1)).all():
        raise ValueError(f"mask has values from {mask.min():g} to {mask.max():g}, expected 0 and 1 "
                         "or truth values, measured or not.")
    mask, (rows, columns) = mask.astype(bool), shape
    if mask.shape in ((rows, columns), (1, columns), (rows, 1)):
        return np.array(np.broadcast_to(mask, shape))
    lines = mask.reshape(-1)
    if max(mask.shape, default=0) == mask.size == columns:
        return np.array(np.broadcast_to(lines, shape))
    if mask.shape == (rows,):
        return np.array(np.broadcast_to(lines[:, None], shape))
    raise ValueError(
        f"mask has shape {mask.shape}, expected ({columns},) or (1, {columns}) for columns, "
        f"({rows}, 1) for rows or {tuple(shape)} for single frequencies."
    )


def measured(kspace):
    """Return where something was measured, shape (rows, columns): zeros in all coils are padding.

    The noise of a receiver is never exactly zero.
    """
    return np.any(kspace.reshape(-1, *kspace.shape[-2:]) != 0, axis=0)


def crop_readout(kspace, rows):
    """Return the samples of the central rows of the image, as if no others had been measured.

    Scanners measure the readout, here the rows, over twice the field of view. Between unitary
    transforms along it, the image and the level of white noise are kept.

    Parameters
    ----------
    kspace : complex array, shape (..., N, columns)
        With each column measured in all its rows or in none.
    rows : int
        How many rows to keep.

    Returns
    -------
    kspace : complex array, shape (..., rows, columns)
    outside : complex array
        The outermost eighths of the image along the readout, for each column: noise.
    """
    total = kspace.shape[-2]
    lines = scipy.fft.fftshift(scipy.fft.ifft(
        scipy.fft.ifftshift(kspace, -2), axis=-2, norm="ortho"), -2)  # fmt: skip
    edge = max(total // 8, 1)
    outside = np.concatenate([lines[..., :edge, :], lines[..., -edge:, :]], axis=-2)
    lines = center(lines, (rows, lines.shape[-1]))
    kept = scipy.fft.fftshift(scipy.fft.fft(
        scipy.fft.ifftshift(lines, -2), axis=-2, norm="ortho"), -2)  # fmt: skip
    return kept, outside


def center(array, shape):
    """The central part of this shape of the last two axes, with pixel ``n // 2`` in its own."""
    starts = [n // 2 - m // 2 for n, m in zip(array.shape[-2:], shape, strict=True)]
    return array[..., starts[0] : starts[0] + shape[0], starts[1] : starts[1] + shape[1]]


def component_noise(samples):
    r"""Return the level of complex white noise in samples that are mostly noise.

    .. math:: \sigma = \big( \mathrm{median} |z|^2 / (2 \log 2) \big)^{1/2}

    For ``z`` with independent normal real and imaginary parts of the level sigma, ``|z|^2`` is
    exponential of mean ``2 sigma^2``, with the median ``2 log(2) sigma^2``. A few samples with
    signal hardly move it, and only upward.
    """
    samples = samples[samples != 0]
    return math.sqrt(float(np.median(np.abs(samples).astype(float) ** 2)) / (2 * math.log(2)))


def high_frequencies(shape):
    """Where frequencies are at least four fifths of the highest along an axis, a bool array."""
    distances = [np.abs(np.arange(n) - n // 2) / max(n // 2, 1) for n in shape]
    return np.maximum(*np.ix_(*distances)) >= 0.8


def image_size(where, header):
    """Return rows and columns of the image that a header of ISMRMRD asks for, or None.

    Parameters
    ----------
    where : str
        What to call the header in errors.
    header : str
        XML, with ``encoding/reconSpace/matrixSize``.

    Raises
    ------
    ValueError
        If it is no XML, or defines entities, which could be arbitrarily long.
    """
    if "<!" in header.replace("<!--", ""):
        raise ValueError(f"{where} defines a document type or entities, expected plain XML; none "
                         "is read.")
    try:
        root = xml.etree.ElementTree.fromstring(header)
    except (xml.etree.ElementTree.ParseError, ValueError) as error:
        raise ValueError(
            f"{where} is not XML ({error}); write the file again, or delete it.") from error
    size = root.find("./{*}encoding/{*}reconSpace/{*}matrixSize")
    if size is None:
        return None
    texts = [size.findtext(f"{{*}}{axis}", "") for axis in "xy"]
    if not all(text.strip().isdecimal() and 0 < int(text) < 2**31 for text in texts):
        raise ValueError(f"{where} has the reconstructed matrix {shown(texts)}, expected two "
                         "positive whole numbers.")
    return int(texts[0]), int(texts[1])
