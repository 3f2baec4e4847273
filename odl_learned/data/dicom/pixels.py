"""The stored numbers of gray images in DICOM files.

DICOM PS3.3, C.7.6.3 (pixels); PS3.5, section 8 (encoding).
"""

import math
import struct

from odl_learned.data.dicom.attributes import frame_count, numbers_of, one_line, plain
from odl_learned.data.dicom.files import (
    PIXELS,
    pydicom_package,
    require_decoder,
    require_pixels,
)
from odl_learned.data.files.selection import item_of


def stored_values(path, dataset, index, limits):
    """The stored numbers of one frame of gray pixels, (rows, columns), and its number."""
    require_pixels(path, dataset)
    _require_gray(path, dataset)
    _require_bits(path, dataset)
    count = frame_count(path, dataset)
    shape = tuple(int(n) for name in ("Rows", "Columns")
                  for n in numbers_of(path, name, plain(path, dataset, name), 1))  # fmt: skip
    frame = item_of(str(path), (count, *shape) if count > 1 else shape, index) or 0
    held = sum(len(dataset[name].value) for name in PIXELS if name in dataset)
    limits.require(str(path), 8 * math.prod(shape), held / count)
    require_decoder(path, dataset)
    return _decoded(path, dataset, frame), frame


def _decoded(path, dataset, frame):
    pydicom = pydicom_package()
    try:
        if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            _require_coded_size(pydicom, dataset, frame)
        return pydicom.pixels.pixel_array(dataset, index=frame)
    except Exception as error:  # pydicom and its decoders raise many types
        raise ValueError(
            f"the pixels of {path} cannot be decoded ({one_line(error)}); copy the file again, or "
            "convert it with another program, for example gdcmconv --raw."
        ) from error


def _require_gray(path, dataset):
    meaning = plain(path, dataset, "PhotometricInterpretation")
    samples = plain(path, dataset, "SamplesPerPixel")
    if samples not in (None, 1):
        raise ValueError(
            f"{path} has {samples} samples per pixel ({meaning}), expected one, a gray image; "
            "convert it, or pass one channel as .npy."
        )
    if meaning == "PALETTE COLOR":
        raise ValueError(
            f"{path} holds numbers of colors in a table (PALETTE COLOR), expected gray values; "
            "look them up with pydicom.pixels.apply_color_lut and pass one channel as .npy."
        )
    if meaning not in ("MONOCHROME1", "MONOCHROME2"):
        raise ValueError(
            f"the PhotometricInterpretation of {path} is {meaning!r}, expected MONOCHROME1 or "
            "MONOCHROME2, a gray image; convert it."
        )


def _require_bits(path, dataset):
    """The bits of a number begin at the lowest: the standard says so, and pydicom relies on it."""
    stored, high = (plain(path, dataset, name) for name in ("BitsStored", "HighBit"))
    if stored is not None and high is not None and high != stored - 1:
        raise ValueError(
            f"{path} stores {stored} bits with the highest at {high} (HighBit), expected "
            f"{stored - 1}; numbers that do not begin at the lowest bit are obsolete and not "
            "read. Convert the file."
        )


def _require_coded_size(pydicom, dataset, frame):
    """Raise ValueError if a compressed frame claims another size than the file."""
    code = pydicom.encaps.get_frame(
        dataset.PixelData, frame, number_of_frames=int(dataset.get("NumberOfFrames") or 1)
    )
    size = coded_size(code)
    if size is not None and size != (dataset.Rows, dataset.Columns):
        raise ValueError(
            f"a compressed frame says {size[0]} rows and {size[1]} columns, the file "
            f"{dataset.Rows} and {dataset.Columns}"
        )


def coded_size(code):
    """Rows and columns in the header of a JPEG, JPEG-LS or JPEG 2000 code; None if not found.

    ITU-T T.81, B.2.2 (frame header); T.87, C.2.2; T.800, A.5.1 (image and tile size).
    """
    if code[:4] == b"\xff\x4f\xff\x51" and len(code) >= 24:
        right, below, left, above = struct.unpack(">4L", code[8:24])
        return below - above, right - left
    at = 2 if code[:2] == b"\xff\xd8" else len(code)
    while at + 9 <= len(code) and code[at] == 0xFF:
        marker, length = code[at + 1], int.from_bytes(code[at + 2 : at + 4])
        if marker == 0xFF:  # fill bytes may come before a marker
            at += 1
        elif marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            rows, columns = struct.unpack(">2H", code[at + 5 : at + 9])
            return (rows, columns) if rows else None  # zero: a later marker says it
        else:
            at += 2 + length
    return None
