"""Sampling masks of magnetic resonance imaging, centered: frequency zero is at ``n // 2``.

Masks are boolean arrays of the shape of the image. Index ``i`` of an axis of length n stands for
the frequency ``k = i - n // 2``.
"""

import math
import numbers

import numpy as np

from odl_learned.validation import require_count, require_nonnegative, require_rng, shown

#: Largest number of frequencies of a mask, four gigabytes of them.
MOST_FREQUENCIES = 2**32


def _checked_shape(shape, ndim=None):
    shape = tuple(shape) if np.iterable(shape) else (shape,)
    whole = all(isinstance(n, numbers.Integral) and n > 0 for n in shape)
    if not (shape and whole and (ndim is None or len(shape) == ndim)):
        wanted = "positive whole numbers" if ndim is None else f"{ndim} positive whole numbers"
        raise ValueError(f"shape is {shown(shape)}, expected {wanted}; pass the shape of the "
                         "image.")
    if math.prod(shape) > MOST_FREQUENCIES:
        raise ValueError(f"shape is {shown(shape)}, expected at most {MOST_FREQUENCIES} entries; "
                         "pass the shape of one image.")
    return tuple(int(n) for n in shape)


def _require_fraction(name, value):
    if not (isinstance(value, numbers.Real) and 0 < value <= 1):
        raise ValueError(f"{name} is {value!r}, expected a number in the interval (0, 1].")


def _count(name, fraction, total, what):
    count = round(fraction * total)
    if count == 0:
        raise ValueError(
            f"{name} is {fraction}, which is less than one of {total} {what}; "
            f"expected at least {1 / total:.3g}."
        )
    return count


def _center(n, fraction):
    """Slice of max(1, round(fraction n)) indices around n // 2."""
    length = max(1, round(fraction * n))
    start = n // 2 - length // 2
    return slice(start, start + length)


def cartesian_mask(
    shape: tuple[int, ...],
    fraction: float,
    center_fraction: float,
    rng: np.random.Generator,
    axis: int = 0,
) -> np.ndarray:
    """Keep whole lines: a block around frequency zero, and lines drawn uniformly elsewhere.

    Exactly ``round(fraction n)`` of the ``n = shape[axis]`` lines are kept; the central block has
    ``max(1, round(center_fraction n))`` of them.

    Parameters
    ----------
    shape : tuple of int
        Shape of the image.
    fraction : float
        Share of the lines to keep, in (0, 1].
    center_fraction : float
        Share of the lines in the central block, in (0, 1], of all lines.
    rng : numpy.random.Generator
        Source of randomness.
    axis : int
        The axis that is undersampled (phase encoding); lines run along the other axes.

    Returns
    -------
    mask : numpy.ndarray of bool, shape ``shape``

    Raises
    ------
    ValueError
        If a fraction is outside (0, 1], less than one line, or the center exceeds the whole.

    Notes
    -----
    The random masks of the fastMRI challenge (Zbontar et al. 2018, arXiv:1811.08839, section
    4.9), but with an exact number of lines.
    """
    require_rng(rng)
    shape = _checked_shape(shape)
    _require_fraction("fraction", fraction)
    _require_fraction("center_fraction", center_fraction)
    if not (isinstance(axis, numbers.Integral) and -len(shape) <= axis < len(shape)):
        raise ValueError(f"axis is {axis!r}, expected an axis of the shape {shape}.")
    n = shape[axis]
    count = _count("fraction", fraction, n, "lines")
    lines = np.zeros(n, dtype=bool)
    lines[_center(n, center_fraction)] = True
    missing = count - np.count_nonzero(lines)
    if missing < 0:
        raise ValueError(
            f"center_fraction {center_fraction} keeps {np.count_nonzero(lines)} lines, more than "
            f"the {count} of fraction {fraction}; choose a smaller center or a larger fraction."
        )
    lines[rng.choice(np.flatnonzero(~lines), missing, replace=False)] = True
    column = [1] * len(shape)
    column[axis] = n
    return np.broadcast_to(lines.reshape(column), shape).copy()


def radial_mask(shape: tuple[int, int], num_spokes: int) -> np.ndarray:
    """Keep spokes through frequency zero at equal angles, rounded to the grid.

    Spoke ``j`` holds the frequencies ``round(t (cos theta_j, sin theta_j))`` with ``theta_j = pi j
    / num_spokes``; steps ``t`` are at most one grid point apart along the steeper axis. Spokes end
    at the largest frequency ``(n - 1) // 2`` that has a mirror image, so that the mask is
    symmetric under ``k -> -k``.

    Parameters
    ----------
    shape : tuple of two int
        Shape of the image.
    num_spokes : int
        Number of spokes, each a full diameter.

    Returns
    -------
    mask : numpy.ndarray of bool, shape ``shape``

    Raises
    ------
    ValueError
        If the shape is not two-dimensional or the number of spokes is not a positive int.

    Notes
    -----
    Radial lines as in Candes, Romberg, Tao (2006), "Robust uncertainty principles", IEEE Trans.
    Inf. Theory 52, figure 1.
    """
    shape = _checked_shape(shape, ndim=2)
    # At angles of pi / (4 n) neighboring spokes are less than half a pixel apart everywhere.
    require_count("num_spokes", num_spokes, most=4 * max(shape))
    reach = np.array([(n - 1) // 2 for n in shape])
    mask = np.zeros(shape, dtype=bool)
    mask[shape[0] // 2, shape[1] // 2] = True
    for j in range(num_spokes):
        theta = math.pi * j / num_spokes
        direction = np.array([math.cos(theta), math.sin(theta)])
        direction[np.abs(direction) < 1e-12] = 0.0
        length = min(r / abs(d) for r, d in zip(reach, direction) if d != 0)
        end = length * direction
        steps = math.ceil(np.abs(end).max() - 1e-9)
        if steps == 0:
            continue
        # t from 0 outwards and its mirror image: rounding cannot break the symmetry.
        k = np.rint(np.linspace(0, 1, steps + 1)[:, None] * end).astype(int)
        for half in (k, -k):
            mask[half[:, 0] + shape[0] // 2, half[:, 1] + shape[1] // 2] = True
    return mask


def variable_density_mask(
    shape: tuple[int, ...],
    fraction: float,
    decay: float,
    rng: np.random.Generator,
    center_fraction: float,
) -> np.ndarray:
    """Keep single frequencies with a density that decays from frequency zero outwards.

    The central block is kept; elsewhere frequencies are drawn without replacement, each draw with
    a probability proportional to ``(1 - r)^decay``, ``r^2 = mean_i (k_i / (n_i / 2 + 1/2))^2``.
    Exactly ``round(fraction N)`` of the N frequencies are kept.

    Parameters
    ----------
    shape : tuple of int
        Shape of the image.
    fraction : float
        Share of the frequencies to keep, in (0, 1].
    decay : float
        Exponent of the density, at least zero; zero is uniform.
    rng : numpy.random.Generator
        Source of randomness.
    center_fraction : float
        Side of the central block as a share of each axis, in (0, 1].

    Returns
    -------
    mask : numpy.ndarray of bool, shape ``shape``

    Raises
    ------
    ValueError
        If a fraction is outside (0, 1], the center exceeds the whole, or the decay is negative.

    Notes
    -----
    Polynomial densities of Lustig, Donoho, Pauly (2007), "Sparse MRI", Magn. Reson. Med. 58,
    section "Variable density". Drawn with exponential keys after Efraimidis and Spirakis (2006).
    """
    require_rng(rng)
    shape = _checked_shape(shape)
    _require_fraction("fraction", fraction)
    _require_fraction("center_fraction", center_fraction)
    require_nonnegative("decay", decay)
    mask = np.zeros(shape, dtype=bool)
    count = _count("fraction", fraction, mask.size, "frequencies")
    mask[tuple(_center(n, center_fraction) for n in shape)] = True
    missing = count - np.count_nonzero(mask)
    if missing < 0:
        raise ValueError(
            f"center_fraction {center_fraction} keeps {np.count_nonzero(mask)} frequencies, more "
            f"than the {count} of fraction {fraction}; choose a smaller center or a larger "
            "fraction."
        )
    scaled = [(np.arange(n) - n // 2) / (n / 2 + 0.5) for n in shape]
    radius = np.sqrt(sum(k**2 for k in np.meshgrid(*scaled, indexing="ij")) / len(shape))
    # The smallest keys E / w with E exponential are a weighted draw without replacement. In
    # logarithms, so that no large decay underflows to weight zero.
    keys = np.log(rng.exponential(size=shape)) - decay * np.log1p(-radius)
    keys[mask] = math.inf
    mask.ravel()[np.argsort(keys, axis=None)[:missing]] = True
    return mask
