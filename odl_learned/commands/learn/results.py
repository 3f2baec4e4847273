"""What was learned, as a file that ``reconstruct`` and Python read: JSON, without code."""

import json
import math
from pathlib import Path

#: Reasons of `lbfgsb` to end that mean: as well as could be, with the digits that there are.
ENDED = ("gradient", "decrease", "rounding")
#: The certificate of a value is worth something up to this part of it.
SHARE = 1e-2
#: Decimals to which angles and distances of scans are compared.
DIGITS = 6


def write(path, kind, entries):
    """Write ``{"learned": kind, ...}``."""
    from odl_learned.commands.doctor import version_of

    Path(path).write_text(json.dumps(
        {"learned": kind, "odl_learned": version_of("odl_learned"), **entries}, indent=2) + "\n")


def read(path, kind, keys):
    """Return the entries of a file that ``learn`` wrote.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it is none of ``learn``, of another kind, or lacks keys.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} does not exist; expected the file that `odl-learned learn "
                                f"{kind}` wrote.")
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON, expected the file that `odl-learned learn {kind}` "
                         f"wrote: {error}") from error
    what = found.get("learned") if isinstance(found, dict) else None
    missing = [key for key in keys if key not in found] if what == kind else []
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}, which this version of `odl-learned "
                         f"learn {kind}` writes; learn it anew.")
    if what != kind:
        raise ValueError(f"{path} holds {what or 'nothing that was learned'}; expected the file "
                         f"that `odl-learned learn {kind}` wrote, with {', '.join(keys)}.")
    return found


def described(space):
    """What a space is, as text that is equal where spaces are: shape, extent and components."""
    return " ".join(repr(space).split())


def rays(forward_op):
    """What spaces do not tell of a ray transform: its angles in radians, and its distances.

    Two fans with other distances have equal ranges, and the text of a range leaves out angles that
    are not uniform. Of other operators there is nothing to tell.
    """
    geometry = getattr(forward_op, "geometry", None)
    if geometry is None:
        return {}
    distances = [getattr(geometry, name, None) for name in ("src_radius", "det_radius")]
    return {"angles": [round(float(angle), DIGITS) for angle in geometry.angles],
            "distances": [None if d is None else round(float(d), DIGITS) for d in distances]}


def certificate(value, bound):
    """The mean squared error with its bound, as text."""
    return f"mean squared error {value:.4g} +- {bound:.1g}"


def is_certified(reason, value, bound):
    """Whether learning got to its end, and the bound of the error is small against the error."""
    return reason in ENDED and bound <= SHARE * value


def interrupted(folder):
    """What is said of an interruption."""
    return (f"all steps that were accepted are in {folder}, and the same call with --resume goes "
            "on from the last")


def finite(number):
    """A number that JSON has, or None."""
    return number if math.isfinite(number) else None
