"""Measured scans from files: the geometry from TOML and options, the operator and its data.

A geometry is a table of the keys below; lengths are in millimeters and angles in degrees, and the
names of the keys say so. What is not known is an error: a misspelled key would be a wrong picture.
"""

import difflib
import math
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

#: What each key means, for the help and for errors.
MEANING = {
    "pixels": "columns and rows of the picture, such as [256, 256]",
    "pixel_mm": "side of a pixel in millimeters",
    "bin_mm": "width of a detector pixel in millimeters",
    "degrees": "increasing angles of the views in degrees, a list with one for each view, or "
               "{first = 0, step = 1.5}",
    "source_to_axis_mm": "distance from the source to the axis of rotation in millimeters",
    "source_to_detector_mm": "distance from the source to the detector in millimeters",
    "axis_bin": "detector pixel, from zero, that the axis of rotation lies behind [the middle]",
    "largest": "bound of the values of the picture, per millimeter [none]; for k-space over the "
               "largest value of its root sum of squares [3]",
}  # fmt: skip
PARALLEL = ("pixels", "pixel_mm", "bin_mm", "degrees")
FAN = (*PARALLEL, "source_to_axis_mm", "source_to_detector_mm")

#: Line integrals above which nothing comes through: exp(-30) is 1e-13.
THICKEST = 30.0


class Scan(NamedTuple):
    """An inverse problem from a file."""

    forward_op: Any
    data: Any
    constraint: Any
    noise_level: float | None  #: as the file tells it
    scale: float  #: what values and noise of the file were divided by
    picture: Callable  #: from an image to rows and columns, over ``scale``


def parallel(path, key, index, geometry):
    """A sinogram of parallel beams, an array (views, bins) of line integrals."""
    from odl_learned import operators

    values = checked(geometry, PARALLEL, ("axis_bin", "largest"))
    return sinogram(path, key, index, values, operators.scanned_parallel_beam)


def fan(path, key, index, geometry):
    """A sinogram of fan beams, an array (views, bins) of line integrals."""
    from odl_learned import operators

    values = checked(geometry, FAN, ("axis_bin", "largest"))
    distances = values["source_to_axis_mm"], values["source_to_detector_mm"]
    return sinogram(path, key, index, values, lambda space, angles, *detector: (
        operators.scanned_fan_beam(space, angles, *distances, *detector)))  # fmt: skip


def fastmri(path, key, index, geometry, mask=None):
    """A slice of a k-space file in the layout of fastMRI, of which a mask keeps some columns."""
    from odl_learned import data, functionals
    from odl_learned.validation import require_positive

    if key is not None:
        raise ValueError(f"--key is {key!r}; expected none, k-space is the array 'kspace'.")
    values = checked(geometry, (), ("largest",))
    scan = data.read_mri_scan(path, index, mask)
    largest = values.get("largest", 3.0)
    require_positive("largest", largest)
    bound = functionals.MagnitudeBound(scan.forward_op.domain, largest)
    return Scan(scan.forward_op, scan.data, bound, scan.noise_level, scan.scale,
                lambda x: data.to_rows(scan.picture(x)))  # fmt: skip


#: What can be read, by the name on the command line.
OPERATORS = {"parallel": parallel, "fan": fan, "fastmri": fastmri}


def sinogram(path, key, index, values, ray_transform):
    """The problem of a sinogram whose geometry was checked."""
    import numpy as np
    import odl

    from odl_learned import data, functionals
    from odl_learned.validation import require_count, require_positive

    measured = data.to_rows(data.read_image(path, key, index))
    pixels = values["pixels"]
    if not (isinstance(pixels, list) and len(pixels) == 2):
        raise ValueError(f"pixels is {pixels!r}; expected {MEANING['pixels']}.")
    for count in pixels:
        require_count("pixels", count)
    for name in ("pixel_mm", "bin_mm"):
        require_positive(name, values[name])
    degrees = views(values["degrees"], len(measured), path)
    half = [values["pixel_mm"] * count / 2 for count in pixels]
    space = odl.uniform_discr([-h for h in half], half, pixels, dtype="float32")
    forward_op = ray_transform(space, np.deg2rad(degrees), measured.shape[1], values["bin_mm"],
                               values.get("axis_bin"))  # fmt: skip
    told_of_thickness(measured, path)
    largest = values.get("largest", math.inf)
    if largest != math.inf:
        require_positive("largest", largest)
    return Scan(forward_op, forward_op.range.element(measured),
                functionals.BoxConstraint(space, 0, largest), None, 1.0,
                lambda x: data.to_rows(np.asarray(x.data)))  # fmt: skip


def told_of_thickness(integrals, name):
    """Say of line integrals that no detector has seen that they may be in another unit.

    Photons come through with the share ``exp(-integral)``; at `THICKEST` it is 1e-13, less than
    one of any exposure. It may be meant, of emission for example, and is not refused.
    """
    import numpy as np

    largest = float(np.max(integrals))
    if largest > THICKEST:
        print(f"note: {name} has line integrals up to {largest:.4g}; expected those of attenuation "
              f"per millimeter, seldom above 10. Of counts take -log(counts / open beam) first; "
              "values of images are brought to this unit by --scale of `learn alpha`.",
              file=sys.stderr)


def views(degrees, count, path):
    """The angles of all views, which must be as many as the file has."""
    import numpy as np

    from odl_learned.validation import require_finite, require_positive

    if isinstance(degrees, dict):
        values = checked(degrees, ("first", "step"), (), "degrees.")
        require_finite("degrees.first", values["first"])
        require_positive("degrees.step", values["step"])
        degrees = values["first"] + values["step"] * np.arange(count)
    elif not isinstance(degrees, list):
        raise ValueError(f"degrees is {degrees!r}; expected {MEANING['degrees']}.")
    require_finite("degrees", degrees)
    degrees = np.asarray(degrees, dtype=float)
    if len(degrees) != count:
        raise ValueError(f"{path} has {count} rows and degrees {len(degrees)} angles; expected one "
                         "row for each view, and one column for each detector pixel.")
    if degrees.ndim != 1:
        raise ValueError(f"degrees has shape {degrees.shape}; expected {MEANING['degrees']}.")
    if np.ptp(degrees) > 720:
        raise ValueError(f"degrees run from {degrees.min():g} to {degrees.max():g}; expected at "
                         "most two turns; check their step.")
    if np.ptp(degrees) <= 2 * math.pi and count > 1:
        raise ValueError(f"degrees run from {degrees.min():g} to {degrees.max():g}, which look "
                         "like radians; expected degrees, and an arc of more than 6.3 of them.")
    return degrees


def read_geometry(path, settings):
    """Return the table of a TOML file, or an empty one, with the ``KEY=VALUE`` of options in it.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file does not exist, or it or an option is not TOML.
    """
    geometry = {}
    if path is not None:
        if not Path(path).is_file():
            raise FileNotFoundError(f"--geometry: {path} does not exist; expected a TOML file.")
        geometry = parsed(Path(path).read_bytes(), f"--geometry {path}")
    for setting in settings:
        geometry |= parsed(setting.encode(), f"--set {setting}")
    return geometry


def parsed(text, where):
    """The table of bytes in TOML."""
    try:
        return tomllib.loads(text.decode("utf-8"))
    except ValueError as error:
        raise ValueError(f"{where} is not TOML, expected lines such as pixel_mm = 0.5: {error}"
                         ) from error


def checked(table, required, optional, prefix=""):
    """Return the table if it has what is required, and nothing that is not known.

    Raises
    ------
    ValueError
        That names the first unknown key and the one that may be meant, or all missing ones.
    """
    known = (*required, *optional)
    for key in table:
        if key not in known:
            close = difflib.get_close_matches(key, known, 1, 0.5)
            meant = [f"is {prefix}{name} meant, {MEANING.get(name, 'in degrees')}?"
                     for name in close]
            raise ValueError(f"the geometry has the unknown key {prefix + key!r}; expected "
                             f"{'; '.join([', '.join(known), *meant])}")
    missing = [f"{prefix}{key} ({MEANING[key]})" if key in MEANING else prefix + key
               for key in required if key not in table]  # fmt: skip
    if missing:
        raise ValueError(f"the geometry lacks {'; '.join(missing)}. Add it to the file of "
                         "--geometry, or by --set KEY=VALUE.")
    return table
