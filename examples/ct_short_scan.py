r"""A CT slice from the log of a short scan: own angles, distances, detector pixels and offset.

Filtered backprojection with the weights of short scans and as in ODL, and certified TV.

    python examples/ct_short_scan.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl

from odl_learned import bridge, data, metrics, operators, plotting, solvers
from odl_learned.functionals import BoxConstraint, l2_fidelity
from odl_learned.variational import parameter_choice, tv_problem

SIZES = {"smoke": {"n": 64, "views": 110}, "paper": {"n": 256, "views": 440}}
NOISE_LEVEL = 1.0  # millimeters of water


def scanner(space, views, bins):
    """The forward operator, from what the log says; degrees and millimeters."""
    rng = np.random.default_rng(0)
    degrees = 30 + (np.arange(views) + rng.uniform(0.3, 0.7, views)) * 220 / views
    return operators.scanned_fan_beam(
        space, np.deg2rad(degrees), source_to_axis=700, source_to_detector=1200, num_bins=bins,
        bin_width=1250 / bins, axis_bin=bins / 2 - 3.25)  # fmt: skip


def main(n, views, out, maxiter=1500):
    scan = data.example_ct()
    half = scan.pixel_mm[0] * len(scan.array) / 2
    X = odl.uniform_discr([-half] * 2, [half] * 2, (n, n), dtype="float32")
    truth = X.element(data.downsample(1 + scan.array / 1000, len(scan.array) // n).clip(0, 2))
    A = scanner(X, views, 3 * n // 2)
    y = data.add_white_noise(A(truth), NOISE_LEVEL, np.random.default_rng(1))
    alpha = parameter_choice.first_alpha(A, NOISE_LEVEL)
    problem = tv_problem(A, l2_fidelity(y), alpha, BoxConstraint(X, 0, 2))
    tv = solvers.primal_dual(bridge.as_batch([problem]), accuracy=0.01, maxiter=maxiter)
    with np.errstate(invalid="ignore"):  # ODL divides by the distance of angles, which differs
        plain = odl.applications.tomo.fbp_op(A, filter_type="Hann")
    images = {"ODL": plain(y).data, "weighted": operators.fbp(A)(y).data, "TV": tv.x[0].numpy()}
    quality = {name: metrics.psnr(x, truth) for name, x in images.items()}
    path, captions = out / "ct_short_scan.png", {k: f"{v:.1f} dB" for k, v in quality.items()}
    plotting.comparison(images, truth, path, window=(0.8, 1.2), captions=captions)
    print(f"220 degrees: filtered backprojection {quality['ODL']:.1f} dB as in ODL, "
          f"{quality['weighted']:.1f} dB with weights, TV {quality['TV']:.1f} dB with a relative "
          f"gap of {tv.gap[0] / problem.value(X.element(images['TV'])):.1e} -> {path}")
    assert quality["weighted"] > quality["ODL"] + 4 and quality["TV"] > quality["weighted"] + 1
    assert tv.reason[0] == "accuracy", "the duality gap is larger than it should be"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out)
