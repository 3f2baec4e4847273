"""Cells of a comparison, what is simulated in them, and what is told of them in a line."""

import itertools
import json
import numbers
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from odl_learned.metrics import as_array
from odl_learned.validation import require_finite, shown


class Simulated(NamedTuple):
    """Data of a cell, and the images that they were simulated from.

    Parameters
    ----------
    forward_op : Any
        The operator, as the methods take it.
    data : array, tensor, ODL element, or sequence of such
        As the methods take them.
    noise_level : float
    truth : array, tensor, ODL element, or sequence of such
        As the score takes them.
    """

    forward_op: Any
    data: Any
    noise_level: float
    truth: Any


def grid(values: Mapping[str, Sequence]) -> list[dict]:
    """Return all cells of a grid, the last name varying fastest.

    Parameters
    ----------
    values : mapping
        From each name to the numbers or words that it takes, such as ``{"sampling": (0.15, 0.25),
        "noise": (0.01, 0.05)}``.

    Returns
    -------
    cells : list of dict

    Raises
    ------
    TypeError
        If this is no mapping, or a value is no number or word.
    ValueError
        If there are no values.
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"values are {shown(values)}, expected a mapping from names to numbers or "
                        "words, such as {'noise': (0.01, 0.05)}.")
    for name, some in values.items():
        if isinstance(some, str) or not isinstance(some, Sequence | np.ndarray) or not len(some):
            raise ValueError(f"the values of {shown(name)} are {shown(some)}, expected a list of "
                             "at least one.")
    cells = [dict(zip(values, chosen)) for chosen in itertools.product(*values.values())]
    return [plain(cell) for cell in cells]


def plain(cell: Any) -> dict:
    """Return a cell, a mapping or named tuple, as a dictionary of what JSON knows, or raise."""
    found = cell._asdict() if hasattr(cell, "_asdict") else cell
    if not isinstance(found, Mapping) or not found:
        raise TypeError(f"a cell is {shown(cell)}, expected a mapping from names to numbers or "
                        "words, such as those of grid, or a named tuple.")
    result = {}
    for name, value in found.items():
        value = value.item() if isinstance(value, np.generic) else value
        if not isinstance(name, str) or not isinstance(value, numbers.Real | str):
            raise TypeError(f"a cell has {shown(name)}: {shown(value)}, expected names with "
                            "numbers or words; what belongs to them is made by simulate(cell).")
        result[name] = value
    return result


def key_of(cell: dict, method: str) -> str:
    """Return what a cell and a method are known by, one for equal ones."""
    return json.dumps([sorted(cell.items()), method])


def named(cell: dict, method: str) -> str:
    """Return words for a method in a cell."""
    return f"{method!r} at " + ", ".join(f"{name}={value}" for name, value in cell.items())


def fingerprint(simulated: Simulated) -> tuple[float, ...]:
    r"""Return numbers that tell data from those with another noise, whatever rounds.

    .. math:: |y|, \quad \langle r, y \rangle, \qquad r_i = \pm 1

    of data and truth: by other noise the second changes by about the length of the change, and by
    rounding no more than that of the rounding errors.
    """
    return (*_projected("data", simulated.data), *_projected("truth", simulated.truth))


def _projected(name, x):
    entries = np.concatenate([part.ravel() for part in _arrays(x)])
    entries = entries.view(entries.real.dtype) if np.iscomplexobj(entries) else entries
    entries = entries.astype(np.float64)
    require_finite(f"the {name} of simulate(cell)", entries)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], entries.size)
    return float(np.linalg.norm(entries)), float(signs @ entries)


def _arrays(x):
    if isinstance(x, list | tuple):
        return [array for part in x for array in _arrays(part)]
    return [np.ascontiguousarray(as_array(x, "data"))]


def agree(first: Sequence[float], second: Sequence[float]) -> bool:
    """Whether two fingerprints are those of the same problem, up to 1e-4 of its size."""
    size = np.repeat([first[0], first[2]], 2)
    return bool((np.abs(np.subtract(first, second)) <= 1e-4 * size).all())
