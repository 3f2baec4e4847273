"""The main job: reconstruct a real CT and a real MR slice by analysis, variation and learning."""

import hashlib
import pathlib

import numpy as np
import torch

from odl_learned import data
from odl_learned.demo import learned, methods, report, scenes
from odl_learned.validation import require_count, require_finite

SIZES = {
    "full": {"n": 256, "tikhonov": 40, "pdhg": {"ct": 400, "mri": 1500}, "steps": 900,
             "pairs": 300},
    "fast": {"n": 128, "tikhonov": 40, "pdhg": {"ct": 300, "mri": 1000}, "steps": 400,
             "pairs": 100},
}


def run(images, size, folder, seed=0):
    """Reconstruct every image by every method; print the table, write the file and the figures.

    A training that was interrupted goes on where it was when the same call is made again.

    Parameters
    ----------
    images : list of odl_learned.data.Image
        Slices with ``modality`` "CT", in Hounsfield units, or "MR".
    size : {"full", "fast"}
        Key of ``SIZES``.
    folder : path
        Where ``demo.json``, ``demo_ct.png`` and ``demo_mri.png`` go; made if missing.
    seed : int
        Of noise and sampling.

    Returns
    -------
    entries : list of dict
        The rows of the table.

    Raises
    ------
    ValueError
        If there are no images, the size is unknown, the seed is negative, or an image does not
        hold what its modality says.
    OSError
        If the folder cannot be made or written to.
    """
    require_count("number of images", len(images))
    require_count("seed", seed, 0)
    if size not in SIZES:
        raise ValueError(f"size is {size!r}, expected one of {', '.join(SIZES)}.")
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    settings, entries = SIZES[size], []
    for image in images:
        scene = scene_of(image, settings["n"], np.random.default_rng(seed))
        print(f"\n{scene.title}")
        checkpoint = folder / _checkpoint_name(scene, settings, seed)
        results = [
            methods.analytical(scene),
            methods.tikhonov(scene, settings["tikhonov"]),
            methods.total_variation(scene, settings["pdhg"][scene.name]),
            methods.total_generalized_variation(scene, settings["pdhg"][scene.name]),
            learned.learned_proximal_gradient(scene, settings["steps"], settings["pairs"],
                                              checkpoint),
        ]
        checkpoint.unlink()
        rows = report.rows(scene, results)
        entries += rows
        print(f"wrote {report.draw(scene, results, rows, folder)}")
    print(f"\n{report.table(entries)}\n{report.LEGEND}\n")
    print(f"wrote {report.write(entries, {**settings, 'seed': seed}, folder)}")
    return entries


def _checkpoint_name(scene, settings, seed):
    """A name that only the same training has, so that no other one continues it."""
    identity = repr((scene.forward_op.domain, scene.forward_op.range, settings, seed))
    return f"demo_{scene.name}_training_{hashlib.sha256(identity.encode()).hexdigest()[:8]}.pt"


def scene_of(image, n, rng):
    """Simulate the measurement of an image: CT for modality "CT", MRI for "MR"."""
    require_finite("the image", image.array)
    if image.modality == "CT":
        _require_hounsfield(image)
        square = fit(image.array, 2 * n, fill=float(image.array.min()))
        pixel_mm = float(image.pixel_mm[0]) * max(image.array.shape) / (2 * n)
        return scenes.ct_scene(square, pixel_mm, n, rng)
    if image.modality == "MR":
        magnitude = fit(image.array, max(2 * n, _even(max(image.array.shape))), fill=0.0)
        bright = float(np.quantile(magnitude, 0.999))
        if bright <= 0:
            raise ValueError(
                f"the 99.9 % quantile of the image is {bright:g}, expected a magnitude with "
                "positive values; choose another slice."
            )
        return scenes.mri_scene(np.clip(magnitude / bright, 0, None), n, rng)
    raise ValueError(
        f"the modality of the image is {image.modality!r}, expected 'CT' or 'MR'; say which with "
        "--modality."
    )


def _require_hounsfield(image):
    low, high = float(image.array.min()), float(image.array.max())
    if high - low < 100 or high < -900:
        raise ValueError(
            f"the values of the image are between {low:g} and {high:g}, expected Hounsfield units, "
            "-1000 for air and 0 for water; rescale them, or choose another slice."
        )
    if image.pixel_mm is None or not min(image.pixel_mm) > 0:
        raise ValueError(
            f"the side of a pixel is {image.pixel_mm}, expected millimeters; say it with "
            "--pixel-mm."
        )


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


def example_images():
    """The slices of the package pydicom-data: an abdominal CT and a shoulder MR."""
    return [data.example_ct(), data.example_mr()]


def _even(number):
    return 2 * ((number + 1) // 2)
