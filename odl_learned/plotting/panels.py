"""What figures have in common: sizes, and checks of what is drawn."""

from os import PathLike
from pathlib import Path

import numpy as np

from odl_learned.metrics import as_array
from odl_learned.validation import is_finite_number, require_finite, require_shape, shown

# Inches and points; a page of nine columns stays readable.
WIDTH, GAP, MARGIN, BAR, BAR_LABEL = 1.9, 0.07, 0.12, 0.1, 0.62
LINE, LABEL_SIZE, CAPTION_SIZE, TITLE_SIZE = 0.165, 10, 8, 12


def plane(name, x, shape=None, of="truth"):
    """Return an image as an array of two axes, real in float64, or complex."""
    array = as_array(x)
    if array.ndim != 2:
        raise ValueError(
            f"{name} has shape {array.shape}, expected two axes; pass one image without batch or "
            "channel axes, a volume to plotting.volume_comparison."
        )
    if shape is not None:
        require_shape(name, array, shape, f"This is the shape of {of}; crop or resample it.")
    require_finite(name, array)
    return array if np.iscomplexobj(array) else array.astype(np.float64)


def magnitude(name, x, shape=None, of="truth"):
    """Return a real image of two axes; the magnitude of a complex one."""
    array = plane(name, x, shape, of)
    return np.abs(array) if np.iscomplexobj(array) else array


def checked_window(window, image):
    """Return the two values that are drawn black and white, by default those of an image."""
    if window is None:
        window = float(image.min()), float(image.max())
    pair = isinstance(window, (tuple, list)) and len(window) == 2
    if not (pair and all(map(is_finite_number, window)) and window[0] < window[1]):
        given = shown(window)
        if pair and all(map(is_finite_number, window)):
            given = f"({window[0]:g}, {window[1]:g})"
        raise ValueError(
            f"window is {given}, expected two increasing finite values, the ones that "
            "are drawn black and white."
        )
    return float(window[0]), float(window[1])


def require_kind(name, value, kind, expected):
    """Raise TypeError unless the value is of this kind."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} is {type(value).__name__}, expected {expected}; convert it.")


def checked_captions(images, captions, *, title, reference, unit):
    """Return the captions as a dict; raise unless names and texts can be drawn."""
    require_kind("images", images, dict, "a dict of names and reconstructions")
    require_kind("captions", captions or {}, dict, "a dict of names and lines")
    for name, text in (("title", title), ("reference", reference), ("unit", unit)):
        require_kind(name, text, str, "a string")
    if not images or "truth" in images:
        raise ValueError(
            f"images has the names {list(images)}, expected at least one reconstruction and none "
            "called 'truth', which is drawn first anyway."
        )
    captions = dict(captions or {})
    unknown = sorted(set(captions) - {"truth", *images})
    if unknown:
        raise ValueError(f"captions has {unknown}, expected names among {['truth', *images]}.")
    return captions


def checked_path(path):
    """Return a path of a file in a folder that exists."""
    require_kind("path", path, str | PathLike, "a path such as 'comparison.png'")
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent} is no folder, expected one for {path}; create it.")
    return path


def largest(arrays):
    """The largest 99.5 percent quantile of moduli, or the largest modulus, or one."""
    moduli = [np.abs(a) for a in arrays]
    scale = max(float(np.quantile(a, 0.995)) for a in moduli)
    return scale or max(float(a.max()) for a in moduli) or 1.0
