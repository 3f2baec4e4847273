r"""A measured tooth from a sixth of its parallel views, weighted least squares and TV with a gap.

    min_u  1/2 |sqrt(w) (A u - y)|^2 + alpha int |grad u|,   u >= 0,   y = log((I_0 - d) / (I - d)),

with counts ``I``, those without an object ``I_0`` and in the dark ``d``. The variance of ``y`` is
about ``1 / (I - d)``, hence the weights ``w = (I - d) / max(I - d)``. The reference of the real
tooth, at size paper, is filtered backprojection of all views.
    python examples/tooth_weighted_tv_pdhg.py [smoke | paper] [--data FOLDER] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl
from odl.applications.tomo import Parallel2dGeometry, RayTransform

from odl_learned import bridge, data, metrics, operators, plotting, solvers
from odl_learned.functionals import BoxConstraint, l2_fidelity
from odl_learned.variational import tv_problem

SIZES = {"smoke": {"n": 48, "alpha": 0.05}, "paper": {"n": 296, "alpha": 0.01}}
FILE = "ct/sinogram_tooth_parallel.npz"
ORIGIN = ("Data: source/tomopy/data/tooth.h5 of github.com/tomopy/tomopy (BSD-3-Clause). Save its "
          f"counts, white, dark, angles_rad and axis_pixel, the bin of the axis, as {FILE}.")
NAMES = "counts", "white", "dark", "angles_rad", "axis_pixel"


def scanner(n, bins, angles):
    """Parallel beams; lengths in detector bins, the rotation axis in the middle."""
    space = odl.uniform_discr([-bins / 2] * 2, [bins / 2] * 2, (n, n), dtype="float32")
    detector = odl.uniform_partition(-bins / 2, bins / 2, bins)
    views = odl.nonuniform_partition(angles)
    return RayTransform(space, Parallel2dGeometry(views, detector), impl="astra_cpu")


def simulated(n, bins=97):
    """Counts behind ellipses, as in the archive, and the truth."""
    A, white = scanner(n, bins, np.arange(181) * np.pi / 181), np.full((10, 1, bins), 500)
    body = [[2, 0.7, 0.6, 0, 0, 0], [-1, 0.2, 0.3, 0.2, 0, 0.3], [1, 0.1, 0.1, -0.3, 0.1, 0]]
    u = (1 / bins) * odl.phantom.ellipsoid_phantom(A.domain, body)
    counts = data.transmission_counts(A(u), 500, np.random.default_rng(0)).data[:, None]
    return counts, white, 0 * white[:1], A.geometry.angles, bins // 2, u


def main(n, alpha, out, folder=None, maxiter=1000):
    arrays = data.read_measurement(folder / FILE, ORIGIN, *NAMES) if folder else simulated(n)
    (counts, white, dark, angles, axis, *truth), bins = arrays, 2 * n + 1
    centered = slice(int(axis) - bins // 2, int(axis) + bins // 2 + 1)
    flat, offset = (x.mean(0)[0, centered] for x in (white, dark))
    counts = np.maximum(counts[:, 0, centered] - offset, 0.5)
    y = np.log(flat - offset) - np.log(counts)
    reference = truth[0] if truth else operators.fbp(scanner(n, bins, angles), "Hann", 0.8)(y)
    A, y, weights = scanner(n, bins, angles[::6]), y[::6], counts[::6] / counts.max()
    root = odl.MultiplyOperator(A.range.element(np.sqrt(weights)))
    problem = bridge.as_batch([tv_problem(root @ A, l2_fidelity(root(A.range.element(y))), alpha,
                                          BoxConstraint(A.domain, 0, 0.1))])  # fmt: skip
    solution = solvers.primal_dual(problem, accuracy=0.05, maxiter=maxiter)
    images = {"filtered backprojection": operators.fbp(A, "Hann", 0.4)(y).asarray(),
              "weighted TV": solution.x[0].numpy()}  # fmt: skip
    first, second = (metrics.relative_error(x, reference) for x in images.values())
    picture, what = out / "tooth_weighted_tv_pdhg.png", "Phantom" if truth else "Tooth"
    white_level = np.quantile(metrics.as_array(reference), 0.998)
    captions = {name: f"relative error {e:.3f}" for name, e in zip(images, (first, second))}
    plotting.comparison(images, reference, picture, (0, float(white_level)), None,
                        f"{what}, 31 of 181 parallel views", captions,
                        reference="truth" if truth else "from all views")
    print(f"relative error {first:.3f} -> {second:.3f}, {solution.niter[0]} steps -> {picture}")
    assert second <= 0.6 * first and solution.reason[0] == "accuracy", "TV is hardly better"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--out", type=Path, default=Path("results"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[args.size], out=args.out, folder=args.data if args.size == "paper" else None)
