"""Opening DICOM files: what they are, and whether there are pixels in them.

Needs pydicom, and decoders for compressed files: ``pip install "odl_learned[dicom]"``.
"""

import os
import struct
import zlib
from pathlib import Path

from odl_learned.data.dicom.attributes import one_line, plain
from odl_learned.validation import shown

#: Suffixes that only DICOM files have; others are recognized by their contents.
SUFFIXES = (".dcm", ".dicom", ".ima")
#: Suffixes of the other formats that are read, which DICOM files do not have.
OTHER_SUFFIXES = (".npy", ".npz", ".h5", ".hdf5", ".png", ".jpg", ".jpeg", ".tif", ".tiff",
                  ".nii", ".gz")  # fmt: skip
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
DIRECTORY = "1.2.840.10008.1.3.10"
VR_LETTERS = frozenset("AE AS AT CS DA DS DT FL FD IS LO LT OB OW PN SH SL SQ SS ST TM UC UI UL UN "
                       "UR US UT".split())  # fmt: skip


def pydicom_package():
    """The package pydicom, or an error that says how to install it."""
    try:
        import pydicom
    except ImportError as error:
        raise ImportError(
            'DICOM files need pydicom; install it with pip install "odl_learned[dicom]".'
        ) from error
    return pydicom


def as_path(path: str | os.PathLike) -> Path:
    """The path as a Path; raise TypeError if it is none."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path is {shown(path)}, expected a string or a pathlib.Path.")
    return Path(path)


def require_file(path: str | os.PathLike) -> Path:
    """The path as a Path; raise FileNotFoundError if it is not a file."""
    path = as_path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"{path} {what}, expected a file; check the path.")
    return path


def is_dicom(path):
    """Whether a file says by its suffix or its first bytes that it is DICOM."""
    if path.suffix.lower() in OTHER_SUFFIXES:
        return False
    return path.suffix.lower() in SUFFIXES or has_preamble(path) or _begins_with_element(path)


def has_preamble(path):
    """Whether the bytes 128 to 131 are those of DICOM."""
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def _begins_with_element(path):
    """Whether a file begins with an element of group 2 or 8, as DICOM without a preamble does.

    An element is a group and a number of 16 bits each, then the two letters of its type and a
    length, or a length of 32 bits alone; lengths are even.
    """
    with path.open("rb") as stream:
        head = stream.read(8)
    if len(head) < 8:
        return False
    for order in "<>":
        group, number, length = struct.unpack(f"{order}HHL", head)
        if group in (2, 8) and number <= 0x0070:
            typed = head[4:6].decode("latin-1") in VR_LETTERS
            return typed or (order == "<" and length % 2 == 0 and length <= path.stat().st_size - 8)
    return False


def open_dicom(path, limits, stop_before_pixels=False):
    """The dataset of a DICOM file, with or without a preamble.

    Raises
    ------
    ValueError
        If it is none, or is deflated and expands beyond the limits.
    ImportError
        If pydicom is not installed.
    """
    pydicom = pydicom_package()
    bare = not has_preamble(path)
    try:
        if bare and not _begins_with_element(path):
            raise ValueError("it begins like no DICOM file")
        compressed = _deflated(pydicom, path)
    except Exception as error:  # pydicom raises many types for what is broken
        raise _unreadable(path, error) from error
    if compressed is not None:
        _require_bounded(path, compressed, limits)
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=stop_before_pixels, force=bare)
        if bare and not ("SOPClassUID" in dataset or "Rows" in dataset):
            raise ValueError("it has no preamble and does not say what it is")
    except Exception as error:
        raise _unreadable(path, error) from error
    if plain(path, dataset.file_meta, "TransferSyntaxUID") is None:
        implicit, little_endian = dataset.original_encoding
        uid = pydicom.uid
        explicit = uid.ExplicitVRLittleEndian if little_endian else uid.ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian if implicit else explicit
    return dataset


def _unreadable(path, error):
    return ValueError(
        f"{path} is not a readable DICOM file ({one_line(error)}); expected a complete file. Copy "
        "or export it again."
    )


def _deflated(pydicom, path):
    """The compressed bytes of a file whose whole dataset is deflated, else None."""
    with path.open("rb") as stream:
        pydicom.filereader.read_preamble(stream, force=True)
        meta = pydicom.filereader.read_dataset(
            stream, is_implicit_VR=False, is_little_endian=True,
            stop_when=lambda tag, vr, length: tag.group != 2,
        )  # fmt: skip
        deflated = meta.get("TransferSyntaxUID") == pydicom.uid.DeflatedExplicitVRLittleEndian
        return stream.read() if deflated else None


def _require_bounded(path, compressed, limits):
    """Inflate piece by piece, keep nothing, and raise as soon as the limits are passed."""
    inflater, total, left = zlib.decompressobj(-zlib.MAX_WBITS), 0, compressed
    try:
        while left and not inflater.eof:
            total += len(inflater.decompress(left, 2**20))
            limits.require(str(path), total, len(compressed))
            left = inflater.unconsumed_tail
    except zlib.error as error:
        raise _unreadable(path, error) from error


def require_pixels(path, dataset):
    """Raise ValueError if a DICOM file holds no pixels, with what it is instead."""
    kind = getattr(plain(path, dataset, "SOPClassUID"), "name", "a file without a class")
    if plain(path, dataset.file_meta, "MediaStorageSOPClassUID") == DIRECTORY:
        raise ValueError(
            f"{path} is a DICOMDIR, a list of the files of a medium, and holds no pixels itself; "
            "expected an image. Choose one of the files, or one folder of a series, beside it."
        )
    if "PixelDataProviderURL" in dataset:
        raise ValueError(
            f"the pixels of {path} ({kind}) are on a server and not in the file; expected pixels, "
            "and no address is followed. Export the file with its pixels."
        )
    if all(plain(path, dataset, name) is None for name in PIXELS):
        hint = ("Export it again with its pixels." if "Rows" in dataset
                else "Choose a file of the series of images.")  # fmt: skip
        raise ValueError(f"{path} holds no pixels, it is {kind}; expected an image. {hint}")


def require_decoder(path, dataset):
    """Raise ValueError if no decoder for the compression of a file is installed."""
    pydicom = pydicom_package()
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        decoder = pydicom.pixels.get_decoder(syntax)
    except NotImplementedError as error:
        raise ValueError(
            f"the pixels of {path} are stored as {syntax.name}, which pydicom does not read; "
            "expected an image, compressed losslessly or not at all. Export or convert it."
        ) from error
    if not decoder.is_available:
        raise ValueError(
            f"the pixels of {path} are compressed as {syntax.name}, and no decoder is installed; "
            'install one with pip install "odl_learned[dicom]", or convert the file.'
        )
