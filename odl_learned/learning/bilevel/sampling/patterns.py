r"""Sampling patterns as linear maps of parameters, ``s = M t`` with all ``t`` in [0, 1].

A parameter stands for a set of frequencies, its member: a point, a line or a spoke. The weights
``s`` are in [0, 1], too: where members cross, the weight is the mean of their parameters. Inside,
weights have frequency zero first, as `FourierSampling`; what comes out for ODL is centered, with
frequency zero at ``n // 2``, as `operators.SampledFourier`.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch

from odl_learned.energies.doors import require_length
from odl_learned.odl_validation import require_index
from odl_learned.validation import is_finite_number, require_count, require_image_shape, shown


class Pattern:
    r"""A sparse matrix ``M`` from parameters to weights, with rows that sum to one or to zero.

    Parameters
    ----------
    shape : tuple of int
        Of the weights.
    frequencies, members : int array ``(K,)``
        The frequency ``frequencies[k]``, an index into centered weights that are made flat,
        belongs to the parameter ``members[k]``.

    Attributes
    ----------
    size : int
        Number ``P`` of parameters.
    counts : float tensor ``(P,)``
        Sums of the columns of ``M``: how many frequencies a parameter is worth.

    Raises
    ------
    ValueError
        If a parameter has no frequency, or a frequency does not exist or is repeated.
    """

    def __init__(
        self,
        shape: Sequence[int],
        frequencies: np.ndarray | Sequence[int],
        members: np.ndarray | Sequence[int],
    ) -> None:
        self.shape = require_image_shape(shape)
        total = math.prod(self.shape)
        points = _indices("frequencies", frequencies)
        owners = _indices("members", members)
        if not (len(owners) and len(points) == len(owners)
                and 0 <= points.min() and points.max() < total):  # fmt: skip
            raise ValueError(f"frequencies are not {len(owners)} numbers in [0, {total}), expected"
                             " one for every entry of members; use points, lines or spokes.")
        sizes = np.bincount(owners)
        if not sizes.all():
            raise ValueError(f"member {int(np.argmin(sizes))} holds no frequency, expected at least"
                             " one; number the members without gaps.")
        if len(np.unique(owners * total + points)) < len(owners):
            raise ValueError("a frequency is listed twice for one member, expected once; apply "
                             "numpy.unique to the frequencies of every member.")
        self.size = len(sizes)
        order = np.argsort(owners, kind="stable")
        self._centered, owners = points[order], owners[order]
        self._ends = np.concatenate([[0], np.cumsum(sizes)])
        place = np.fft.fftshift(np.arange(total).reshape(self.shape)).ravel()
        self._rows = torch.as_tensor(place[self._centered])  # frequency zero first
        self._columns = torch.as_tensor(owners)
        shared = np.bincount(self._centered, minlength=total)[self._centered]
        self._values = torch.as_tensor(1 / shared)
        self.counts = self._spread(self._values)

    def weights(self, params: torch.Tensor) -> torch.Tensor:
        """Return ``s = M t`` of ``params = t``, of shape ``(*shape)``, frequency zero first."""
        require_length(params, self.size, "one for every member of the pattern")
        entries = params[self._columns] * self._values.to(params)
        flat = torch.zeros(math.prod(self.shape), dtype=params.dtype, device=params.device)
        rows = self._rows.to(params.device)
        return flat.index_add(0, rows, entries).reshape(self.shape)

    def means(self, values: torch.Tensor) -> torch.Tensor:
        """Return the mean of centered ``values`` ``(*shape)`` over every member, ``(P,)``."""
        if not isinstance(values, torch.Tensor) or tuple(values.shape) != self.shape:
            given = type(values).__name__
            if isinstance(values, torch.Tensor):
                given = f"a tensor of shape {tuple(values.shape)}"
            raise ValueError(f"values is {given}, expected a tensor of shape {self.shape}.")
        flat = torch.fft.ifftshift(values).flatten()[self._rows] * self._values.to(values)
        return self._spread(flat) / self.counts

    def mask(self, chosen: torch.Tensor | np.ndarray | Sequence[bool]) -> np.ndarray:
        """Return the union of the members that are chosen, bool ``(P,)``, as a centered array."""
        try:
            chosen = torch.as_tensor(chosen, dtype=torch.bool)
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(f"chosen is {shown(chosen)}, expected a bool tensor of shape "
                            f"({self.size},).") from error
        return np.fft.fftshift((self.weights(chosen.double()) > 0).numpy())

    def chosen(self, scores: torch.Tensor, fraction: float) -> torch.Tensor:
        r"""Choose members in the order of their scores while they fit the sampling rate.

        Parameters
        ----------
        scores : tensor ``(P,)``
        fraction : float
            At most ``round(fraction N)`` of the ``N`` frequencies are sampled.

        Returns
        -------
        chosen : bool tensor ``(P,)``
        """
        require_length(scores, self.size, "one score for every member of the pattern")
        if bool(torch.isnan(scores).any()):
            raise ValueError("scores holds NaN, expected numbers that can be ordered.")
        chosen = torch.zeros(self.size, dtype=torch.bool)
        covered = np.zeros(math.prod(self.shape), dtype=bool)
        left = round(require_fraction(fraction) * covered.size)
        for i in torch.argsort(scores, descending=True, stable=True).tolist():
            new = self.new_points(covered, i)
            if new <= left:
                chosen[i], left = True, left - new
                covered[self.points_of(i)] = True
            if left == 0:
                break
        return chosen

    def points_of(self, index: int) -> np.ndarray:
        """Return the frequencies of a member, indices into centered weights that are made flat."""
        return self._centered[self._ends[index] : self._ends[index + 1]]

    def new_points(self, covered: np.ndarray, index: int) -> int:
        """Return how many frequencies of a member a flat centered bool array does not have."""
        return int(np.count_nonzero(~covered[self.points_of(index)]))

    def _spread(self, entries):
        total = torch.zeros(self.size, dtype=entries.dtype)
        return total.index_add(0, self._columns, entries)


def _indices(name, values):
    values = np.asarray(values)
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise TypeError(f"{name} has shape {values.shape} and dtype {values.dtype}, expected whole "
                        "numbers with one axis; use points, lines or spokes.")
    return values.astype(np.int64)


def points(shape: Sequence[int]) -> Pattern:
    """Return the pattern with a parameter for every frequency, in centered order."""
    total = math.prod(require_image_shape(shape))
    return Pattern(shape, np.arange(total), np.arange(total))


def lines(shape: Sequence[int], axis: int = 0) -> Pattern:
    """Return the pattern of lines: ``axis`` is the undersampled one, as in `cartesian_mask`."""
    shape = require_image_shape(shape)
    require_index("axis", axis, len(shape), "an axis")
    return Pattern(shape, np.arange(math.prod(shape)), np.indices(shape)[axis].ravel())


def spokes(shape: Sequence[int], num_spokes: int) -> Pattern:
    """Return the pattern of ``num_spokes`` spokes on the grid, those of `data.radial_mask`.

    Parameters
    ----------
    shape : tuple of two int
    num_spokes : int

    Examples
    --------
    >>> import torch
    >>> from odl_learned.learning.bilevel import sampling
    >>> pattern = sampling.spokes((16, 16), num_spokes=4)
    >>> two = sampling.learned_pattern(pattern, torch.tensor([1.0, 0.0, 1.0, 0.0]).double())
    >>> print(pattern.size, two.params)
    4 tensor([1., 0., 1., 0.], dtype=torch.float64)
    """
    shape = require_image_shape(shape)
    if len(shape) != 2:
        raise ValueError(f"shape is {shape}, expected two axes: spokes are lines in the plane.")
    require_count("num_spokes", num_spokes, most=4 * max(shape))
    half = np.array(shape) // 2
    reach = (np.array(shape) - 1) // 2
    frequencies = []
    for j in range(num_spokes):
        theta = math.pi * j / num_spokes
        direction = np.array([math.cos(theta), math.sin(theta)])
        direction[np.abs(direction) < 1e-12] = 0.0
        end = min(r / abs(d) for r, d in zip(reach, direction, strict=True) if d) * direction
        steps = math.ceil(np.abs(end).max() - 1e-9)
        k = np.rint(np.linspace(0, 1, steps + 1)[:, None] * end).astype(int)
        at = half + np.concatenate([k, -k])
        frequencies.append(np.unique(np.ravel_multi_index(tuple(at.T), shape)))
    members = np.repeat(np.arange(num_spokes), [len(each) for each in frequencies])
    return Pattern(shape, np.concatenate(frequencies), members)


def require_fraction(fraction):
    """Return a share in (0, 1], or raise ValueError."""
    if not (is_finite_number(fraction) and 0 < fraction <= 1):
        raise ValueError(f"fraction is {shown(fraction)}, expected a number in the interval (0, "
                         "1].")
    return float(fraction)
