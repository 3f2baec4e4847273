"""Files of k-space in the layout of fastMRI, written by the tests from a phantom."""

import h5py
import numpy as np
import odl

from odl_learned import data

HEADER = """<?xml version="1.0"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding>
<encodedSpace><matrixSize><x>{rows2}</x><y>{columns}</y><z>1</z></matrixSize></encodedSpace>
<reconSpace><matrixSize><x>{rows}</x><y>{width}</y><z>1</z></matrixSize></reconSpace>
<encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>{last}</maximum>
<center>{center}</center></kspace_encoding_step_1></encodingLimits>
</encoding></ismrmrdHeader>
"""


def centered_fft(x):
    axes = (-2, -1)
    return np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(x, axes), norm="ortho"), axes)


def simulate(rows=64, columns=60, coils=6, noise_level=0.01, seed=0, oversampling=2):
    """A phantom of (oversampling * rows, columns) pixels, its coils and their noisy samples."""
    rng = np.random.default_rng(seed)
    space = odl.uniform_discr([0, 0], [rows, columns], (rows, columns), dtype="complex64")
    middle = data.random_body(space, rng).data * data.smooth_phase(space, rng).data
    image = np.zeros((oversampling * rows, columns), complex)
    start = oversampling * rows // 2 - rows // 2
    image[start : start + rows] = middle
    wide = odl.uniform_discr([0, 0], image.shape, image.shape, dtype="complex64")
    maps = data.simulated_sensitivities(wide, coils)
    exact = centered_fft(maps * image)
    noise = rng.standard_normal((2, *exact.shape)) * noise_level
    return image, maps, exact + noise[0] + 1j * noise[1]


def write(path, kspace, mask, width, padding=4, slices=1, dtype="c8", rows=None):
    """Write slices of one k-space array, zero outside of the mask and in the padded columns."""
    columns, rows = kspace.shape[-1], rows or kspace.shape[-2] // 2
    kspace = kspace.copy()
    kspace[..., :padding] = kspace[..., columns - padding :] = 0
    image = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(kspace, (-2, -1)), norm="ortho"),
                            (-2, -1))  # fmt: skip
    rss = np.sqrt((np.abs(image) ** 2).sum(0))
    top, left = rss.shape[0] // 2 - rows // 2, columns // 2 - width // 2
    rss = rss[top : top + rows, left : left + width].astype(np.float32)
    stored = np.stack([kspace * mask] * slices).astype("c8")
    with h5py.File(path, "w") as file:
        if np.dtype(dtype).names:
            pairs = np.empty(stored.shape, dtype)
            for name, part in zip(pairs.dtype.names, (stored.real, stored.imag), strict=True):
                pairs[name] = part
            stored = pairs
        file.create_dataset("kspace", data=stored.astype(dtype))
        file["mask"] = mask
        file["reconstruction_rss"] = np.stack([rss] * slices)
        file["ismrmrd_header"] = HEADER.format(
            rows2=kspace.shape[-2], columns=columns, rows=rows, width=width,
            last=columns - 2 * padding - 1, center=columns // 2 - padding).encode()
        file.attrs.update(acquisition="CORPD_FBK", max=float(rss.max()), patient_id="phantom")
    return rss
