"""Command line: ``odl-learned``, or ``python -m odl_learned``."""

import argparse
import os
import sys

from odl_learned.commands import COMMANDS

# Waiting threads that spin are slower than none on a shared machine; read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

MODALITIES = {"ct": "CT", "mr": "MR"}


def parser():
    """The arguments."""
    description = "Learned regularization of inverse problems, written in ODL and run in torch."
    top = argparse.ArgumentParser(prog="odl-learned", description=description)
    commands = top.add_subparsers(dest="command", required=True)
    demo = commands.add_parser(
        "demo", help="reconstruct a real CT and a real MR slice by five methods and compare them"
    )
    demo.add_argument("--image", help="your own slice instead: DICOM, .npy, .npz, .h5, "
                      ".nii, .png, .tif")
    demo.add_argument("--modality", choices=sorted(MODALITIES),
                      help="what the slice shows: ct in Hounsfield units, or mr")
    demo.add_argument("--key", help="name of the array in a .npz or .h5 file")
    demo.add_argument("--index", type=int, help="number of the slice in a stack")
    demo.add_argument("--pixel-mm", type=float, metavar="MM",
                      help="side of a pixel [as in the DICOM file, 0.9 mm for others]")
    demo.add_argument("--rescale", type=float, nargs=2, metavar=("SLOPE", "INTERCEPT"),
                      help="Hounsfield units are SLOPE times the values plus INTERCEPT")
    demo.add_argument("--out", default="results", help="folder for the results [results]")
    demo.add_argument("--fast", action="store_true", help="half the size, under a minute")
    demo.add_argument("--seed", type=int, default=0, help="of noise and sampling [0]")
    demo.add_argument("--train", action="store_true",
                      help="train the learned method for a minute instead of reading its weights")
    demo.set_defaults(run=run_demo)
    for command in COMMANDS:
        command.add(commands)
    return top


def images_of(arguments):
    """The slices to reconstruct."""
    from odl_learned import data, demo
    from odl_learned.data.dicom.files import is_dicom, require_file
    from odl_learned.validation import require_positive

    for name in ("key", "index", "pixel_mm", "rescale"):
        if arguments.image is None and getattr(arguments, name) is not None:
            option = "--" + name.replace("_", "-")
            raise ValueError(f"{option} is about your own slice; expected --image with it.")
    if arguments.pixel_mm is not None:
        require_positive("--pixel-mm", arguments.pixel_mm)
    if arguments.image is None:
        images = demo.example_images()
        wanted = arguments.modality
        return [i for i in images if wanted is None or i.modality == MODALITIES[wanted]]
    path = require_file(arguments.image)
    if is_dicom(path):
        if arguments.key is not None:
            raise ValueError(f"--key is {arguments.key!r}; expected none, DICOM has no keys.")
        image = data.read_dicom(path, arguments.index)
    else:
        array = data.read_image(path, arguments.key, arguments.index)
        image = data.Image(array, (0.9, 0.9), None)
    if arguments.pixel_mm is not None:
        image = image._replace(pixel_mm=(arguments.pixel_mm,) * 2)
    if arguments.modality is not None:
        # Only what the file says, or --rescale, is certain to be in Hounsfield units.
        unit = "" if arguments.modality == "ct" and image.unit != "HU" else image.unit
        image = image._replace(modality=MODALITIES[arguments.modality], unit=unit)
    return [image if arguments.rescale is None else rescaled(image, *arguments.rescale)]


def rescaled(image, slope, intercept):
    """The slice in Hounsfield units."""
    from odl_learned.validation import require_finite, require_positive

    if image.modality != "CT":
        raise ValueError(f"--rescale gives Hounsfield units and the modality is {image.modality!r};"
                         " expected --modality ct with it.")
    require_positive("the slope of --rescale", slope)
    require_finite("the intercept of --rescale", intercept)
    return image._replace(array=(slope * image.array + intercept).astype("float32"), unit="HU")


def run_demo(arguments):
    """Reconstruct slices by five methods."""
    from odl_learned import demo

    size = "fast" if arguments.fast else "full"
    try:
        demo.run(images_of(arguments), size, arguments.out, arguments.seed, arguments.train)
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(f"training, if it had begun, is saved in {arguments.out}"
                                ) from error
    return 0


def main(argv=None):
    """Run a command; returns the exit status."""
    arguments = parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except (ArithmeticError, ImportError, MemoryError, OSError, RuntimeError, TypeError,
            ValueError) as error:  # fmt: skip
        print("odl_learned:", *str(error).split(), file=sys.stderr)
        return 2
    except KeyboardInterrupt as interruption:
        print("; ".join(["odl_learned: interrupted", *map(str, interruption.args)]),
              file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
