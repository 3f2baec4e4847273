r"""A measured walnut from a quarter of its fan-beam views, TV by ODL's own pdhg.

    min_u  1/2 |A u - y|^2 + alpha int |grad u|,   0 <= u <= 0.2,

compared with filtered backprojection of the same 30 views; the reference, from 120 views, was
published with the data in a gray scale of its own. The size smoke simulates, paper reads the data.

    python examples/walnut_tv_pdhg.py [smoke | paper] [--data FOLDER] [--out results]
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import odl

from odl_learned import data, operators, plotting
from odl_learned.functionals import BoxConstraint, l2_fidelity
from odl_learned.variational import tv_problem

SIZES = {"smoke": {"n": 48, "niter": 300, "alpha": 3e-3, "largest_gap": 0.2},
         "paper": {"n": 328, "niter": 600, "alpha": 6e-3, "largest_gap": 0.05}}  # fmt: skip
ORIGIN = ("Data: Hamalainen et al., doi 10.5281/zenodo.1254206 (CC BY 4.0). Save the 120 x 328 "
          "sinogram and the other arrays as ct/sinogram_walnut_fanbeam.npz in the --data folder.")
NAMES = "sinogram", "det_min_mm", "det_max_mm", "reference"


def scanner(n, views, left, right):
    """Flat detector, source 110 mm and detector 190 mm from the axis; the first view at angle 0."""
    angles = odl.uniform_partition(-np.pi / views, 2 * np.pi - np.pi / views, views)
    geometry = odl.applications.tomo.FanBeamGeometry(
        angles, odl.uniform_partition(left, right, n), src_radius=110, det_radius=190)
    space = odl.uniform_discr([-21, -21], [21, 21], (n, n), dtype="float32")
    return odl.applications.tomo.RayTransform(space, geometry, impl="astra_cpu")


def simulated(n):
    """A phantom in the place of the walnut, and arrays as in the archive."""
    rng, A = np.random.default_rng(0), scanner(n, 120, -57.1, 57.7)
    truth = 0.05 * data.random_body(A.domain, rng)
    return data.add_white_noise(A(truth), 0.01, rng).asarray(), -57.1, 57.7, truth.asarray().T


def main(n, niter, alpha, largest_gap, out, folder=None):
    path = None if folder is None else folder / "ct" / "sinogram_walnut_fanbeam.npz"
    arrays = simulated(n) if path is None else data.read_measurement(path, ORIGIN, *NAMES)
    y, reference, (left, right) = arrays[0][::4], arrays[3].T, map(float, arrays[1:3])
    A = scanner(n, 30, left, right)
    problem = tv_problem(A, l2_fidelity(A.range.element(y)), alpha, BoxConstraint(A.domain, 0, 0.2))
    f, g, L = problem
    tau, sigma = problem.step_sizes()
    tv, dual = L.domain.zero(), L.range.zero()
    odl.solvers.pdhg(tv, f, g, L, niter=niter, tau=tau, sigma=sigma, y=dual)
    gap = problem.gap(tv, dual) / problem.value(tv)
    with warnings.catch_warnings(action="ignore"):  # misses 1.2 mm in the corners, not the walnut
        fbp = operators.fbp(A, "Hann", 0.4)(y)

    reference = np.poly1d(np.polyfit(reference.ravel(), tv.asarray().ravel(), 1))(reference)
    images = {"filtered backprojection": fbp, "TV": tv}
    quality = {k: np.corrcoef(x.data.ravel(), reference.ravel())[0, 1] for k, x in images.items()}
    picture, what = out / "walnut_tv_pdhg.png", "Walnut" if folder else "Phantom"
    captions = {name: f"correlation {q:.3f}" for name, q in quality.items()}
    plotting.comparison(images, reference, picture, (0, 0.055), None, f"{what}, 30 of 120 views",
                        captions, reference="published, 120 views" if folder else "truth")
    first, second = quality.values()
    print(f"correlation with the reference {first:.3f} -> {second:.3f}, gap {gap:.1e} -> {picture}")
    assert 1 - second <= 0.7 * (1 - first), "TV is hardly better than filtered backprojection"
    assert 0 <= gap <= largest_gap, "pdhg is further from the minimum than it should be"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--out", type=Path, default=Path("results"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[args.size], out=args.out, folder=args.data if args.size == "paper" else None)
