"""From a file of a scanner to a forward operator, its data and the level of their noise."""

import dataclasses
from os import PathLike
from typing import Any, final

import numpy as np
import odl
from numpy.typing import ArrayLike
from odl.core.set.space import LinearSpaceElement

from odl_learned.data.dicom.files import require_file
from odl_learned.data.files import hdf5_files
from odl_learned.data.files.limits import Limits
from odl_learned.data.files.readers import read_kspace
from odl_learned.data.mri.espirit import estimate_sensitivities
from odl_learned.data.mri.layouts import (
    center,
    component_noise,
    crop_readout,
    high_frequencies,
    image_size,
    measured,
    sampling_mask,
)
from odl_learned.data.orientation import from_rows
from odl_learned.operators import MultiCoilFourier, SampledFourier

#: Pictures that files of fastMRI bring along: root sums of squares, and of single coils.
REFERENCES = "reconstruction_rss", "reconstruction_esc"


@final
@dataclasses.dataclass(frozen=True)
class MriScan:
    """One slice of a scan as an inverse problem, see `read_mri_scan`.

    Parameters
    ----------
    forward_op : MultiCoilFourier or SampledFourier
        On images of rows and columns as the file has them.
    data : element of ``forward_op.range``
        The samples over ``scale``.
    noise_level : float
        Estimated standard deviation of real and imaginary parts of the noise of ``data``.
    scale : float
        The largest value of the root sum of squares of the coils, by zero filling.
    size : pair of int
        Rows and columns of the picture.
    reference : float32 array, shape ``size`` or its own, or None
        The picture that the file brings along, over ``scale``, in the orientation of `picture`.
    """

    forward_op: MultiCoilFourier | Any
    data: LinearSpaceElement
    noise_level: float
    scale: float
    size: tuple[int, int]
    reference: np.ndarray | None

    def picture(self, x: ArrayLike) -> np.ndarray:
        """Return the magnitude of an image, cropped to the picture, in the orientation of ODL.

        Parameters
        ----------
        x : element of ``forward_op.domain``, or array of its shape

        Returns
        -------
        picture : float array, shape (columns, rows)
        """
        values = np.abs(np.asarray(getattr(x, "data", x)))
        return from_rows(center(values, self.size))


def read_mri_scan(
    path: str | PathLike,
    index: int | None = None,
    mask: np.ndarray | None = None,
    sensitivities: np.ndarray | None = None,
    limits: Limits = Limits(),
) -> MriScan:
    r"""Read one slice of a file in the layout of fastMRI as a forward operator and its data.

    .. math:: (A u)_c = S F (s_c u)

    The array ``kspace`` is that of `read_kspace`. What is zero in all coils is padding, and not
    measured; what the array ``mask`` of the file leaves out is not, either. Where
    ``ismrmrd_header`` or the reference has fewer rows, the readout was oversampled: the rows
    outside are cut off exactly, and the noise is measured in them; otherwise in the highest
    frequencies, or in all if none of these was measured, where signal makes it too large rather
    than too small. Sensitivities are estimated by `estimate_sensitivities`, where there are several
    coils and none are passed.

    Parameters
    ----------
    path : str or Path
        HDF5 file.
    index : int, optional
        The slice, for files with several.
    mask : array, optional
        Further undersampling, in one of the shapes of files, such as ``(columns,)``; of frequencies
        ``(rows, columns)`` only where the readout is not oversampled.
    sensitivities : complex array, shape (C, rows, columns), optional
        Those of the coils, for the rows that are kept.
    limits : Limits, optional
        How much the file may expand to.

    Returns
    -------
    scan : MriScan

    Raises
    ------
    FileNotFoundError, ValueError, TypeError, ImportError
        As `read_kspace`, and if mask, header or sensitivities do not fit, nothing was measured, or
        there are too few calibration lines.

    References
    ----------
    Zbontar, J. et al. fastMRI: an open dataset and benchmarks for accelerated MRI.
    arXiv:1811.08839; Inati, S. J. et al. ISMRM raw data format. Magn. Reson. Med. 77 (2017).
    """
    path = require_file(path)
    kspace = read_kspace(path, index=index, limits=limits)
    if kspace.ndim == 4:
        if len(kspace) > 1:
            raise ValueError(f"kspace in {path} has {len(kspace)} slices and index is None, "
                             f"expected one of them, from 0 to {len(kspace) - 1}.")
        kspace = kspace[0]
    with hdf5_files.open_hdf5(path) as file:
        stored_mask = _optional(path, file, "mask", None, limits)
        reference = next((found for name in REFERENCES if (
            found := _optional(path, file, name, index, limits)) is not None), None)
        header = hdf5_files.string(f"ismrmrd_header in {path}", file, "ismrmrd_header", limits)
    sampled = measured(kspace)
    for part in (stored_mask, mask):
        if part is not None:
            sampled &= sampling_mask(part, kspace.shape[-2:])
    if not sampled.any():
        raise ValueError(f"kspace in {path} is zero wherever the mask is not, expected samples; "
                         "check mask and index.")
    size = reference.shape if reference is not None else header and image_size(
        f"ismrmrd_header in {path}", header)  # fmt: skip
    size = tuple(min(pair) for pair in zip(size or kspace.shape[-2:], kspace.shape[-2:]))
    kspace = kspace * sampled
    high = sampled & high_frequencies(sampled.shape)
    noise = kspace[..., high if high.any() else sampled]
    if size[0] < len(sampled) and (sampled == sampled[0]).all():
        kspace, noise = crop_readout(kspace, size[0])
        sampled = np.array(np.broadcast_to(sampled[0], kspace.shape[-2:]))
        kspace = kspace * sampled
    return _scan(kspace.astype(np.complex64), sampled, sensitivities, noise, size, reference)


def _scan(kspace, sampled, sensitivities, noise, size, reference):
    space = odl.uniform_discr([0, 0], sampled.shape, sampled.shape, dtype="complex64")
    plain = SampledFourier(space, sampled)
    coils = kspace.reshape(-1, *sampled.shape)
    squares = sum(np.abs(plain.adjoint(part).data).astype(float) ** 2 for part in coils)
    scale = float(np.sqrt(center(squares, size).max()))
    if kspace.ndim == 2:
        forward_op, data = plain, kspace / scale
    else:
        if sensitivities is None:
            sensitivities = estimate_sensitivities(kspace)
        elif np.shape(sensitivities) != kspace.shape:
            raise ValueError(f"sensitivities have the shape {np.shape(sensitivities)}, expected "
                             f"{kspace.shape}, that of coils, rows that are kept and columns.")
        forward_op, data = MultiCoilFourier(space, sampled, sensitivities), list(kspace / scale)
    if reference is not None:
        reference = from_rows((reference / scale).astype(np.float32))
    return MriScan(forward_op, forward_op.range.element(data), component_noise(noise) / scale,
                   scale, size, reference)


def _optional(path, file, key, index, limits):
    """An array of the file, or the item of a stack of pictures; None if there is none."""
    where = f"{key} in {path}"
    stored = hdf5_files.array(where, file, key)
    if stored is None:
        return None
    item = () if index is None or len(stored.shape) != 3 else index
    found = hdf5_files.read(where, stored, item, limits)
    return found[0] if key in REFERENCES and found.ndim == 3 and len(found) == 1 else found
