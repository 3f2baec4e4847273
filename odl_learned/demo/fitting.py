"""From a slice of any size to the square that a measurement is simulated from."""

import numpy as np
import torch

SMALLEST, NARROWEST = 32, 16


def size_for(image, n):
    """Side of the reconstruction: ``n``, or that of the slice, made even, if it has fewer pixels.

    More pixels than the slice has would be invented, and every method would look good on them.

    Raises
    ------
    ValueError
        If the slice is smaller than 32 pixels or narrower than 16, constant, or its pixels are not
        square.
    """
    longest = max(image.array.shape)
    if longest < SMALLEST:
        raise ValueError(
            f"the image has {image.array.shape[0]} x {image.array.shape[1]} pixels, expected at "
            f"least {SMALLEST} on its longer side, for there is little to compare in fewer; choose "
            "a larger one."
        )
    if min(image.array.shape) < NARROWEST:
        raise ValueError(
            f"the image has {image.array.shape[0]} x {image.array.shape[1]} pixels, expected at "
            f"least {NARROWEST} on its shorter side; choose a slice, not a line of one."
        )
    if np.ptp(image.array) == 0:
        raise ValueError(
            f"the image is constant, {image.array.flat[0]:g} everywhere, expected a slice of a "
            "body; choose another one."
        )
    if image.pixel_mm is not None and not np.isclose(*image.pixel_mm, rtol=1e-2, atol=0):
        raise ValueError(
            f"the pixels have the sides {image.pixel_mm[0]:g} and {image.pixel_mm[1]:g} mm, "
            "expected square ones; resample the image to square pixels."
        )
    return min(n, longest - longest % 2)


def described(image, side, n):
    """What is done to a slice before it is measured, in a sentence."""
    nx, ny = image.array.shape
    steps = []
    if nx != ny:
        steps.append(f"padded to {max(nx, ny)} x {max(nx, ny)}")
    if max(nx, ny) != side:
        steps.append(f"resampled to {side} x {side}")
    steps.append(f"measured, and reconstructed on {n} x {n}")
    unit = f" {image.unit}" if image.unit else ""
    low, high = float(image.array.min()), float(image.array.max())
    return f"slice of {nx} x {ny} pixels, {low:g} to {high:g}{unit}: {', '.join(steps)}"


def fit(array, side, fill):
    """Pad an image to a square and resample it to ``side`` pixels, by means over pixels.

    Smaller images are enlarged bilinearly, larger ones averaged over the area of a pixel.
    """
    longest = max(array.shape)
    before = [(longest - length) // 2 for length in array.shape]
    widths = [(b, longest - length - b) for b, length in zip(before, array.shape)]
    square = np.pad(array, widths, constant_values=fill)
    if longest == side:
        return square
    tensor = torch.from_numpy(np.ascontiguousarray(square, dtype=np.float32))[None, None]
    return torch.nn.functional.interpolate(
        tensor, size=(side, side), mode="bilinear", antialias=True, align_corners=False
    )[0, 0].numpy()
