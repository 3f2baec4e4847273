"""Which later pixels, and channels, a row of a sparse triangular factor reaches."""

import dataclasses
import functools

import numpy as np

from odl_learned.validation import require_count, require_image_shape, shown


@dataclasses.dataclass(frozen=True)
class Neighborhood:
    r"""The later neighbors of a pixel in a window, in raster order.

    .. math:: N_d = \{(a, b) : 0 \le a \le d, \ |b| \le d, \ a > 0 \text{ or } b > 0\}, \qquad
              |N_d| = \tfrac12 \big((2 d + 1)^2 - 1\big):

    0, 4, 12 and 40 for radius 0, 1, 2 and 4. With ``C`` channels the order is that of pixels and
    then of channels; channel ``c`` reaches the later channels of its own pixel and all channels of
    later ones. Then there are ``C (C - 1) / 2 + C^2 |N_d|`` of them in all.

    Parameters
    ----------
    radius : int
        ``d >= 0``.
    channels : int, optional
        ``C >= 1``.

    Raises
    ------
    ValueError
        If one of them is no such number.
    """

    radius: int
    channels: int = 1

    def __post_init__(self):
        require_count("radius", self.radius, 0)
        require_count("channels", self.channels)

    @functools.cached_property
    def terms(self) -> tuple[tuple[int, int, int, int], ...]:
        """Tuples ``(channel, channel of the neighbor, a, b)``, the order of coefficients."""
        reach, channels = range(-self.radius, self.radius + 1), range(self.channels)
        offsets = [(a, b) for a in range(self.radius + 1) for b in reach if a > 0 or b > 0]
        return tuple(
            term for c in channels
            for term in ([(c, other, 0, 0) for other in range(c + 1, self.channels)]
                         + [(c, other, a, b) for a, b in offsets for other in channels]))

    def __len__(self):
        return len(self.terms)

    def inside(self, shape: tuple[int, int], mask: np.ndarray | None = None) -> np.ndarray:
        """Return where pixel and neighbor are both inside the image, and inside the mask.

        Parameters
        ----------
        shape : (int, int)
            ``(H, W)``.
        mask : array of bool ``(H, W)``, optional

        Returns
        -------
        inside : array of bool ``(len(self), H, W)``

        Raises
        ------
        ValueError
            If the mask is no such array.
        """
        height, width = require_image_shape(shape, 2)
        mask = np.ones(shape, bool) if mask is None else mask
        if not isinstance(mask, np.ndarray) or mask.dtype != bool or mask.shape != tuple(shape):
            raise ValueError(f"mask is {shown(mask)}, expected an array of bool of shape "
                             f"{tuple(shape)}; convert numbers with mask != 0.")
        d = self.radius
        padded = np.pad(mask, ((0, d), (d, d)))
        windows = [padded[a : a + height, d + b : d + b + width] for _, _, a, b in self.terms]
        return mask & np.array(windows, bool).reshape(len(self), height, width)

    @functools.lru_cache(maxsize=16)  # noqa: B019  (values are few and small, and compare equal)
    def structure(self, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the compressed rows of the upper triangle, of images laid out ``(H, W, C)``.

        Parameters
        ----------
        shape : (int, int)
            ``(H, W)``.

        Returns
        -------
        indptr, indices : arrays of int32
            Sorted, with the diagonal first in each row.
        source : array of int64
            Where each entry stands in the diagonal ``(C, H, W)`` followed by the coefficients
            ``(len(self), H, W)``, both flat.
        """
        pixels = np.arange(np.prod(shape)).reshape(shape)
        diagonal = pixels[None] * self.channels + np.arange(self.channels)[:, None, None]
        inside, width = self.inside(shape), shape[1]
        rows, columns = [diagonal.ravel()], [diagonal.ravel()]
        for (c, other, a, b), where in zip(self.terms, inside, strict=True):
            row = pixels[where]
            rows.append(row * self.channels + c)
            columns.append((row + a * width + b) * self.channels + other)
        source = np.concatenate([np.arange(diagonal.size),
                                 diagonal.size + np.flatnonzero(inside)])  # fmt: skip
        rows, columns = np.concatenate(rows), np.concatenate(columns)
        order = np.lexsort((columns, rows))
        indptr = np.searchsorted(rows[order], np.arange(diagonal.size + 1))
        arrays = (indptr.astype(np.int32), columns[order].astype(np.int32), source[order])
        for array in arrays:
            array.flags.writeable = False
        return arrays
