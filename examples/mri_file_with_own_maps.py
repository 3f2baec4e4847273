r"""From a file in the layout of fastMRI to a certified picture, with maps of its calibration lines.

TV with sensitivities by ESPIRiT and with others; a tenth of the measured frequencies is predicted.

    python examples/mri_file_with_own_maps.py [smoke | paper] [--data FOLDER] [--out DIR]

The size smoke simulates a scan, paper reads a measured one; either becomes a file first.
"""

import argparse
import runpy
from pathlib import Path

import h5py
import numpy as np

from odl_learned import bridge, data, metrics, operators, plotting, solvers
from odl_learned.functionals import MagnitudeBound, l2_fidelity
from odl_learned.variational import parameter_choice, tv_problem

SIZES = {"smoke": {"n": 48}, "paper": {}}
BRAIN = runpy.run_path(str(Path(__file__).with_name("brain_multicoil_tv_primal_dual.py")))


def main(out, n=None, folder=None, maxiter=2000):
    kspace, mask, maps, reference = BRAIN["simulated"](n, 0.35) if n else data.read_measurement(
        folder / BRAIN["FILE"], BRAIN["ORIGIN"], *BRAIN["NAMES"])  # fmt: skip
    with h5py.File(out / "scan.h5", "w") as file:
        file["kspace"], file["mask"] = kspace[None].astype("complex64"), mask
    withheld = mask & (np.random.default_rng(1).random(mask.shape) < 0.1)
    withheld[tuple(slice(m // 2 - 12, m // 2 + 12) for m in mask.shape)] = False
    images, missed, reasons = {}, {}, set[str]()
    for name, sensitivities in (("reference maps", maps), ("own maps", None)):
        scan = data.read_mri_scan(out / "scan.h5", 0, ~withheld, sensitivities)
        A = scan.forward_op
        alpha = 0.5 * parameter_choice.first_alpha(A, scan.noise_level)
        problem = tv_problem(A, l2_fidelity(scan.data), alpha, MagnitudeBound(A.domain, 3.0))
        found = solvers.primal_dual(bridge.as_batch([problem]), accuracy=0.02, maxiter=maxiter)
        x = A.domain.element(found.x[0].numpy())
        prediction = operators.MultiCoilFourier(A.domain, withheld, A.sensitivities)(x).asarray()
        missed[name] = metrics.relative_error(scan.scale * prediction, kspace * withheld)
        images[name], reasons = scan.picture(x), reasons | {found.reason[0]}
    images["root of squares"] = scan.picture(operators.root_sum_of_squares(A)(scan.data))
    truth, path = data.from_rows(np.abs(reference)) / scan.scale, out / "mri_own_maps.png"
    captions = {name: f"withheld data {error:.2%} off" for name, error in missed.items()}
    plotting.comparison(images, truth, path, (0, 0.8), captions=captions, reference="reference")
    (out / "scan.h5").unlink()
    print(*map(": ".join, captions.items()), f"noise level {scan.noise_level:.4f}", path, sep=", ")
    assert missed["own maps"] <= 1.02 * missed["reference maps"], "the own maps are worse"
    assert reasons == {"accuracy"}, "a duality gap is larger than it should be"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--out", type=Path, default=Path("results"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[args.size], out=args.out, folder=args.data if args.size == "paper" else None)
