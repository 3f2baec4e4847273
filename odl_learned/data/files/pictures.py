"""Ordinary pictures: PNG and JPEG by Pillow, TIFF by tifffile. Colors are refused, or asked for."""

import contextlib
import math
import warnings
from os import PathLike

import numpy as np

from odl_learned.data.dicom.files import require_file
from odl_learned.data.files.limits import Limits, require_limits
from odl_learned.data.files.selection import item_of
from odl_learned.data.orientation import from_rows

#: Suffixes of pictures, and who reads them.
PILLOW, TIFF = (".png", ".jpg", ".jpeg"), (".tif", ".tiff")
GRAY_MODES = ("1", "L", "I", "F", "I;16", "I;16B", "I;16L")
#: ITU-R BT.601: what red, green and blue contribute to the brightness, as for Pillow's mode L.
LUMA = (0.299, 0.587, 0.114)


def is_picture(path):
    """Whether the suffix of a file is that of an ordinary picture."""
    return path.suffix.lower() in PILLOW + TIFF


def read_picture(path, index, limits):
    """One gray picture (rows, columns) of a file, in its own numbers."""
    name = str(path)
    if path.suffix.lower() in TIFF:
        with _tiff(path) as file:
            page = _page(name, file, index)
            if page.samplesperpixel != 1 or page.photometric.name == "PALETTE":
                raise _colored(name)
            return _pixels(name, page, limits)
    with _pillow(path, limits) as picture:
        if picture.mode not in GRAY_MODES:
            raise _colored(name)
        frames = getattr(picture, "n_frames", 1)
        shape = (picture.height, picture.width)
        item = item_of(name, shape if frames == 1 else (frames, *shape), index)
        return _decoded(name, picture, item)


def read_luminance(path: str | PathLike, limits: Limits = Limits()) -> np.ndarray:
    r"""Read the brightness of a picture in color, or a gray picture as it is.

    .. math:: Y = 0.299 R + 0.587 G + 0.114 B

    Parameters
    ----------
    path : str or Path
        A file of one picture with the suffix .png, .jpg, .jpeg, .tif or .tiff. Transparency is
        left out.
    limits : Limits, optional
        How much the file may expand to.

    Returns
    -------
    image : numpy.ndarray of float32, shape (nx, ny) = (columns, rows)
        In the orientation of ODL and the numbers of the file, 0 to 255 for photographs.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the suffix is another one, the file cannot be read, is larger than the limits or holds
        several pictures.
    ImportError
        If Pillow or tifffile is needed and not installed.

    References
    ----------
    Recommendation ITU-R BT.601-7 (2011), section 2.5.1.
    """
    path = require_file(path)
    if not is_picture(path):
        raise ValueError(f"{path} has the suffix {path.suffix!r}, expected one of "
                         f"{', '.join(PILLOW + TIFF)}; other files are read by data.read_image.")
    if path.suffix.lower() in TIFF:
        with _tiff(path) as file:
            page = _page(str(path), file, None)
            if page.photometric.name not in ("RGB", "MINISBLACK", "MINISWHITE", "YCBCR"):
                raise ValueError(f"{path} has the colors {page.photometric.name}, expected gray or "
                                 "RGB; convert it, for example with Pillow.")
            pixels = _pixels(str(path), page, limits)
    else:
        with _pillow(path, limits) as picture:
            if picture.mode not in GRAY_MODES:
                picture = picture.convert("RGB")
            item_of(str(path), (picture.height, picture.width)
                    if getattr(picture, "n_frames", 1) == 1 else (picture.n_frames, 1, 1), None)
            pixels = _decoded(str(path), picture, ())
    if pixels.ndim == 3:
        pixels = pixels[..., : len(LUMA)] @ np.array(LUMA) if pixels.shape[-1] > 2 else (
            pixels[..., 0])
    return from_rows(pixels.astype(np.float32))


@contextlib.contextmanager
def _pillow(path, limits):
    """The opened picture, of a size that was checked, not yet decoded."""
    try:
        import PIL.Image
    except ImportError as error:
        raise ImportError(f'{path.suffix} files need Pillow; install it with '
                          'pip install "odl_learned[pictures]".') from error
    require_limits(limits)
    with warnings.catch_warnings():  # of large pictures, which our own limits are about
        warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
        try:
            picture = PIL.Image.open(path, formats=("PNG", "JPEG"))
        except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
            raise _broken(path, error) from error
        with picture:
            size = 4 if picture.mode in ("I", "F", "CMYK") or picture.mode not in GRAY_MODES else 2
            limits.require(str(path), size * picture.width * picture.height, path.stat().st_size)
            yield picture


def _decoded(name, picture, item):
    """The pixels of a frame, turned as the camera was held."""
    import PIL.ImageOps

    try:
        if item != ():
            picture.seek(item)
        return np.asarray(PIL.ImageOps.exif_transpose(picture))
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise _broken(name, error) from error


@contextlib.contextmanager
def _tiff(path):
    """The opened file; its pages are read from it alone, whatever files it names."""
    try:
        import tifffile
    except ImportError as error:
        raise ImportError('TIFF files need tifffile; install it with '
                          'pip install "odl_learned[pictures]".') from error
    try:
        file = tifffile.TiffFile(path, is_ome=False)
    except (tifffile.TiffFileError, OSError, ValueError, KeyError, IndexError) as error:
        raise _broken(path, error) from error
    with file:
        yield file


def _page(name, file, index):
    """The page of a picture, checked as an item of a stack."""
    pages = file.pages
    try:
        count, first = len(pages), pages[0]
        item = item_of(name, first.shape[:2] if count == 1 else (count, *first.shape[:2]), index)
        page = pages[0 if item == () else item]
    except (IndexError, KeyError, RuntimeError) as error:
        raise _broken(name, error) from error
    if page.ndim not in (2, 3) or (page.ndim == 3 and page.shape[-1] != page.samplesperpixel):
        raise ValueError(f"{name} has pages of the shape {page.shape}, expected pictures; store "
                         "the planes of a volume as pages.")
    if page.photometric.name == "MINISWHITE":
        raise ValueError(f"{name} counts from white to black, expected zero to be black; invert "
                         "it, for example with Pillow.")
    if (turned := page.tags.valueof("Orientation", 1)) != 1:
        raise ValueError(f"{name} is stored turned or mirrored (Orientation {int(turned)}), "
                         "expected its first row at the top; save it upright.")
    return page


def _pixels(name, page, limits):
    require_limits(limits)
    if page.dtype is None:
        raise ValueError(f"{name} has {page.bitspersample} bits of a format that is not known, "
                         "expected whole numbers or floats.")
    stored = sum(page.databytecounts)
    limits.require(name, math.prod(page.shape) * page.dtype.itemsize,
                   min(stored, page.parent.filehandle.size))  # fmt: skip
    try:
        return page.asarray()
    except Exception as error:  # codecs of many packages raise what they like
        raise _broken(name, error) from error


def _broken(name, error):
    reason = " ".join(str(error).split())[:300]
    return ValueError(f"{name} cannot be read as a picture ({reason}); copy it again, or convert "
                      "it, for example with Pillow.")


def _colored(name):
    return ValueError(
        f"{name} is a picture in color, or with transparency, expected a gray one; read its "
        "brightness by data.read_luminance(path), or save one channel."
    )
