"""Command line: ``python -m odl_learned demo``."""

import argparse
import os
import sys

# Waiting threads that spin are slower than none on a shared machine; read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

MODALITIES = {"ct": "CT", "mr": "MR"}


def parser():
    """The arguments."""
    description = "Learned regularization of inverse problems, written in ODL and run in torch."
    top = argparse.ArgumentParser(prog="python -m odl_learned", description=description)
    commands = top.add_subparsers(dest="command", required=True)
    demo = commands.add_parser(
        "demo", help="reconstruct a real CT and a real MR slice by five methods and compare them"
    )
    demo.add_argument("--image", help="your own slice instead: .dcm, .npy, .npz, .h5")
    demo.add_argument("--modality", choices=sorted(MODALITIES), help="what the slice shows")
    demo.add_argument("--key", help="name of the array in a .npz or .h5 file")
    demo.add_argument("--index", type=int, help="number of the slice in a stack")
    demo.add_argument("--pixel-mm", type=float, default=0.9, help="pixel side of arrays [0.9 mm]")
    demo.add_argument("--out", default="results", help="folder for the results [results]")
    demo.add_argument("--fast", action="store_true", help="half the size, under a minute")
    demo.add_argument("--seed", type=int, default=0, help="of noise and sampling [0]")
    return top


def images_of(arguments):
    """The slices to reconstruct."""
    from odl_learned import data, demo

    if arguments.image is None:
        images = demo.example_images()
        wanted = arguments.modality
        return [i for i in images if wanted is None or i.modality == MODALITIES[wanted]]
    if arguments.image.lower().endswith(".dcm"):
        image = data.read_dicom(arguments.image, arguments.index)
        modality = image.modality
    else:
        array = data.read_image(arguments.image, arguments.key, arguments.index)
        image, modality = data.Image(array, (arguments.pixel_mm,) * 2, None), None
    return [image._replace(modality=MODALITIES.get(arguments.modality, modality))]


def main(argv=None):
    """Run a command; returns the exit status."""
    arguments = parser().parse_args(argv)
    from odl_learned import demo

    try:
        size = "fast" if arguments.fast else "full"
        demo.run(images_of(arguments), size, arguments.out, arguments.seed)
    except (ImportError, OSError, TypeError, ValueError) as error:
        print(f"odl_learned: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the training so far is in the folder of the results", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
