"""Scales that halve, symmetrically about the center of the image, or an error.

A quarter turn or a flip maps the coarse grid to itself only if it lies symmetrically in the fine
one: blocks of two pixels do on an even length, and on an odd one nothing does.
"""

import torch
from torch.nn import functional

from odl_learned.validation import require_count

_POOL = {2: functional.avg_pool2d, 3: functional.avg_pool3d}
_INTERPOLATION = {2: "bilinear", 3: "trilinear"}


def halved(x: torch.Tensor, dimension: int) -> torch.Tensor:
    """Return the means over blocks of two pixels along every axis of ``(N, C, *even shape)``.

    Raises
    ------
    ValueError
        If a length is odd: the last pixels would be left out, which a turn does not respect.
    """
    for axis, n in enumerate(x.shape[x.ndim - dimension :]):
        if n % 2:
            raise ValueError(f"axis {axis} of the image has length {n}, expected an even one: "
                             "blocks of two pixels are symmetric about the center of no other. "
                             "Crop or pad the images.")
    return _POOL[dimension](x, 2)


def doubled(x: torch.Tensor, dimension: int) -> torch.Tensor:
    """Return ``(N, C, *shape)`` interpolated linearly at the centers of pixels of half the side."""
    return functional.interpolate(
        x, scale_factor=2, mode=_INTERPOLATION[dimension], align_corners=False)


def symmetrically_padded(x: torch.Tensor, factor: int) -> tuple[torch.Tensor, tuple]:
    """Reflect images at their border, equally on either side, to multiples of a factor.

    Parameters
    ----------
    x : torch.Tensor, shape (N, C, *shape)
    factor : int

    Returns
    -------
    larger : torch.Tensor, shape (N, C, *multiples of factor)
        ``x`` itself where nothing is missing.
    crop : tuple of slices
        ``larger[crop]`` has the entries of ``x``.

    Raises
    ------
    ValueError
        If an odd number is missing, or an axis is too short to be reflected.
    """
    require_count("factor", factor)
    pads, crop = [], [slice(None), slice(None)]
    for axis, n in enumerate(x.shape[2:]):
        missing = -n % factor
        if missing % 2:
            raise ValueError(
                f"axis {axis} of the image has length {n}, which needs {missing} more pixels for "
                f"{factor} on the coarsest scale, expected an even number: with more on one side "
                "than on the other the network is not equivariant. Crop or pad the images to an "
                "even length.")
        if missing // 2 >= n:
            raise ValueError(f"axis {axis} of the image has length {n}, too short for {factor} "
                             f"pixels on the coarsest scale; expected at least "
                             f"{missing // 2 + 1}, or take fewer scales.")
        pads.append(missing // 2)
        crop.append(slice(missing // 2, missing // 2 + n))
    if not any(pads):
        return x, tuple(crop)
    flat = [pad for pad in reversed(pads) for _ in range(2)]
    return functional.pad(x, flat, mode="reflect"), tuple(crop)
