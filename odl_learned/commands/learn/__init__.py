"""``odl-learned learn alpha|sampling FOLDER``: parameters from a folder of one's own images."""

from pathlib import Path

from odl_learned.commands import scan_files
from odl_learned.commands.learn import alpha, sampling

SUMMARY = "learn a regularization parameter, or a sampling pattern, from a folder of images"


def add(commands):
    """Add the parsers."""
    parser = commands.add_parser("learn", help=SUMMARY, description=SUMMARY + ", with certificates")
    kinds = parser.add_subparsers(dest="kind", required=True)
    keys = "; ".join(f"{key}: {meaning}" for key, meaning in scan_files.MEANING.items())
    learned_alpha = kinds.add_parser(
        "alpha", help="the regularization parameter of total variation", description=(
            "Measurements of the images are simulated with the operator and the noise of a scan; "
            "the parameter is learned that makes reconstructions of them best."),
        epilog=f"Keys of the geometry. {keys}.")  # fmt: skip
    learned_alpha.add_argument("--operator", choices=("denoising", *scan_files.OPERATORS),
                               required=True, help="what is measured")
    learned_alpha.add_argument("--scan", type=Path, metavar="FILE", help=(
        "a measured file as for reconstruct, which tells views and detector pixels, or coils and "
        "mask; none for denoising"))
    learned_alpha.add_argument("--geometry", metavar="TOML", help="file with the geometry")
    learned_alpha.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                               dest="settings", help="a key of the geometry, in TOML")
    learned_alpha.add_argument("--scan-key", help="name of the array in the scan")
    learned_alpha.add_argument("--scan-index", type=int, help="number of the slice in the scan")
    learned_alpha.add_argument("--noise-level", type=float, metavar="SIGMA", help=(
        "standard deviation of the noise in the unit of the data [k-space: as measured]"))
    learned_alpha.set_defaults(run=alpha.run)

    pattern = kinds.add_parser(
        "sampling", help="which lines of k-space to measure", description=(
            "Every image is divided by its largest value and gets a smooth phase; lines are "
            "learned that total variation reconstructs them from."))  # fmt: skip
    pattern.add_argument("--noise-level", type=float, metavar="SIGMA", required=True, help=(
        "standard deviation of the noise over the largest value of an image"))
    pattern.add_argument("--fraction", type=float, metavar="SHARE", help=(
        "share of the lines to keep [all that are worth their price]"))
    pattern.add_argument("--center", type=int, default=8, metavar="LINES", help=(
        "lines around frequency zero that are kept anyway, since sensitivities of coils are "
        "estimated from them [8]"))
    pattern.add_argument("--price", type=float, default=1e-2, metavar="BETA", help=(
        "of all lines, in mean squared error: larger ones leave fewer [0.01]"))
    pattern.add_argument("--alpha", type=float,
                         help="regularization parameter [the first guess by the noise]")
    pattern.add_argument("--pixels", type=int, nargs=2, metavar=("COLUMNS", "ROWS"), help=(
        "resample the images to as many as k-space has [as they are]"))
    pattern.set_defaults(run=sampling.run)

    for each in (learned_alpha, pattern):
        each.add_argument("folder", metavar="FOLDER", type=Path, help=(
            "with images in DICOM, .npy, .npz, .h5, .nii, .png, .jpg or .tif"))
        each.add_argument("--count", type=int, default=8, metavar="N", help=(
            "images to take, evenly from all; one is kept out for a test [8]"))
        each.add_argument("--key", help="name of the array in .npz and .h5 files")
        each.add_argument("--index", type=int, help="number of the slice in stacks")
        each.add_argument("--seed", type=int, default=0, help="of noise and phases [0]")
        each.add_argument("--maxiter", type=int, default=50, help="steps of learning [50]")
        each.add_argument("--out", type=Path, default=Path("results"),
                          help="folder of the result and its pictures [results]")
        each.add_argument("--resume", action="store_true",
                          help="go on where the same call was interrupted")
        each.add_argument("--json", action="store_true", help="one JSON object instead of a line")
    learned_alpha.add_argument("--scale", type=float, metavar="FACTOR", help=(
        "what values of the images are multiplied by, to be in the unit of pictures [1; Hounsfield "
        "units become attenuation per millimeter; for k-space 1 over the largest value of each]"))
