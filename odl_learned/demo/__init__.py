"""The main job: reconstruct a real CT and a real MR slice by analysis, variation and learning."""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from odl_learned import data
from odl_learned.demo import learned, methods, plausible, report, scenes
from odl_learned.demo.fitting import described, fit, size_for
from odl_learned.validation import require_count, require_finite

SIZES: dict[str, dict[str, Any]] = {
    "full": {"n": 256, "tikhonov": 40, "pdhg": {"ct": 400, "mri": 1500}, "steps": 900,
             "pairs": 300},
    "fast": {"n": 128, "tikhonov": 40, "pdhg": {"ct": 300, "mri": 1000}, "steps": 400,
             "pairs": 100},
}


def run(
    images: Sequence[data.Image],
    size: str,
    folder: str | os.PathLike,
    seed: int = 0,
    train: bool = False,
) -> list[dict[str, object]]:
    """Reconstruct every image by every method; print the table, write the file and the figures.

    Images with fewer pixels than the size asks for are reconstructed on as many as they have.
    The learned method has the weights that ship with the package, or is trained on phantoms; a
    training that was interrupted goes on where it was when the same call is made again.

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
    train : bool
        Train on the spot, for about a minute, instead of reading the weights that ship.

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
    settings, entries, pixels, notes = SIZES[size], [], {}, []
    for image in images:
        scene = scene_of(image, settings["n"], np.random.default_rng(seed))
        pixels[scene.name] = scene.truth.shape[0]
        print("\n" + "\n".join([scene.title, scene.origin, *map(_note, scene.notes)]))
        notes += [f"{scene.name}: {note}" for note in scene.notes]
        results = [
            methods.analytical(scene),
            methods.tikhonov(scene, settings["tikhonov"]),
            methods.total_variation(scene, settings["pdhg"][scene.name]),
            methods.total_generalized_variation(scene, settings["pdhg"][scene.name]),
            _learned(scene, settings, seed, folder) if train
            else learned.shipped_reconstruction(scene),
        ]
        rows = report.rows(scene, results)
        entries += rows
        print(f"wrote {report.draw(scene, results, rows, folder)}")
    print(f"\n{report.table(entries)}\n{report.LEGEND}\n")
    for note in plausible.beaten(entries):
        print(_note(note))
        notes.append(note)
    print(f"wrote {report.write(entries, _said(settings, seed, train, pixels), notes, folder)}")
    return entries


def _learned(scene, settings, seed, folder):
    """Train with a checkpoint in the folder, which is not needed any more afterwards."""
    checkpoint = folder / _checkpoint_name(scene, settings, seed)
    result = learned.learned_proximal_gradient(scene, settings["steps"], settings["pairs"],
                                               checkpoint)
    checkpoint.unlink()
    return result


def _note(text):
    return f"note: {text}."


def _said(settings, seed, train, pixels):
    """The settings of the file."""
    return {**settings, "seed": seed, "train": train, "pixels": pixels}


def _checkpoint_name(scene, settings, seed):
    """A name that only the same training has, so that no other one continues it."""
    identity = repr((scene.forward_op.domain, scene.forward_op.range, settings, seed))
    return f"demo_{scene.name}_training_{hashlib.sha256(identity.encode()).hexdigest()[:8]}.pt"


def scene_of(image: data.Image, n: int, rng: np.random.Generator) -> scenes.Scene:
    """Simulate the measurement of an image: CT for modality "CT", MRI for "MR".

    The reconstruction has ``n`` x ``n`` pixels, or fewer if the image does.
    """
    require_finite("the image", image.array)
    if image.modality not in ("CT", "MR"):
        raise ValueError(
            f"the modality of the image is {image.modality!r}, expected 'CT' or 'MR'; say which "
            "with --modality."
        )
    if image.modality == "CT":
        plausible.require_hounsfield(image)
        n = size_for(image, n)
        square = fit(image.array, 2 * n, fill=float(image.array.min()))
        pixel_mm = plausible.field_mm(image) / (2 * n)
        scene = scenes.ct_scene(square, pixel_mm, n, rng)
    else:
        plausible.require_magnitude(image)
        n = size_for(image, n)
        square = fit(image.array, max(2 * n, _even(max(image.array.shape))), fill=0.0)
        bright = float(np.quantile(image.array, 0.999))
        scene = scenes.mri_scene(np.clip(square / bright, 0, None), n, rng)
    return dataclasses.replace(scene, origin=described(image, len(square), n),
                               notes=(*plausible.assumed(image), *scene.notes))


def example_images() -> list[data.Image]:
    """The slices of the package pydicom-data: an abdominal CT and a shoulder MR."""
    return [data.example_ct(), data.example_mr()]


def _even(number):
    return 2 * ((number + 1) // 2)
