r"""A measured PET transmission scan of a thorax phantom, Poisson likelihood and TV by Newton steps.

    min_u  sum_i (b_i exp(-(A u)_i) + c_i (A u)_i) + alpha int |grad u|,   0 <= u <= 0.25 / cm,

with counts c, and b without an object, by expansions ``1/2 |sqrt(w) (A u - z)|^2`` of the sum.

    python examples/pet_transmission_tv_newton.py [smoke | paper] [--data FOLDER] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl
from matplotlib.figure import Figure
from odl.applications.tomo import Parallel2dGeometry, RayTransform

from odl_learned import bridge, data, operators, solvers
from odl_learned.functionals import BoxConstraint, l2_fidelity
from odl_learned.variational import tv_problem

SIZES = {"smoke": {"n": 48, "alpha": 0.5}, "paper": {"n": 128, "alpha": 0.2}}
WATER, LUNG = 0.096, [-0.06, 0.16, 0.25, -0.34, 0.07, 0]  # 1/cm at 511 keV; an ellipse
FILE = "pet/pet_transmission_thorax.npz"
ORIGIN = f"Save pet_trans_2d_sino of github.com/JeffFessler/MIRTdata, free for any use, as {FILE}."


def scanner(n, bins, spacing, angles):
    """Parallel beams in cm, the rotation axis in the middle, turned until the spine is below."""
    half, views = bins * spacing / 2, odl.nonuniform_partition(angles + np.pi)
    space = odl.uniform_discr([-half, -half], [half, half], (n, n), dtype="float32")
    geometry = Parallel2dGeometry(views, odl.uniform_partition(-half, half, bins))
    return RayTransform(space, geometry, impl="astra_cpu")


def simulated(n):
    """A body of water with a lung, and arrays as in the archive."""
    A = scanner(2 * n, 59, 0.9, np.arange(96) * np.pi / 96)
    u = odl.phantom.ellipsoid_phantom(A.domain, [[WATER, 0.6, 0.5, 0, 0, 0], LUNG])
    counts = data.transmission_counts(A(u), 40, np.random.default_rng(0)).data
    return np.pad(counts, ((0, 0), (1, 0))), np.full((96, 60), 40), A.geometry.angles - np.pi, 0.9


def main(n, alpha, out, folder=None, maxiter=500):
    names = "transmission", "blank", "angles_rad", "det_spacing_cm"
    arrays = data.read_measurement(folder / FILE, ORIGIN, *names) if folder else simulated(n)
    c, b = (x[:, 1:].astype("float32") for x in arrays[:2])  # the axis is bin 80 of 0, ..., 159
    A = scanner(n, c.shape[1], float(arrays[3]), arrays[2])
    w, z, x, dual = c, np.log(b / np.maximum(c, 0.5)), None, None
    images = {"filtered backprojection": operators.fbp(A, "Hann", 0.5)(z).data}
    for name in ("weighted least squares, TV", *3 * ["Poisson likelihood, TV"]):
        root = odl.MultiplyOperator(A.range.element(np.sqrt(w)))
        fidelity, box = l2_fidelity(root(A.range.element(z))), BoxConstraint(A.domain, 0, 0.25)
        problem = bridge.as_batch([tv_problem(root @ A, fidelity, alpha, box)])
        x, _, _, reason, _, dual, *_ = solvers.primal_dual(problem, x, 0.01, maxiter, dual0=dual)
        images[name] = x[0].numpy()
        w = b * np.exp(-A(images[name]).data)
        z = np.log(b / w) + 1 - c / w
    figure, (X, Y), numbers = Figure((10, 3.9), layout="compressed"), A.domain.meshgrid, []
    for ax, (name, u) in zip(figure.subplots(1, 3), images.items()):
        heart = u[np.hypot(X, Y - 3) < 3]
        ax.imshow(data.to_rows(u), "gray", vmin=0, vmax=0.16)
        ax.set(title=f"{name}\nheart {heart.mean():.4f} +- {heart.std():.4f}", xticks=[], yticks=[])
        numbers.append((abs(heart.mean() - WATER) / WATER, heart.std()))
    figure.savefig(picture := out / "pet_transmission_tv_newton.png", dpi=120)
    (_, noise), (first, _), (error, rest) = numbers
    print(f"error {first:.1%} -> {error:.1%}, noise {noise:.4f} -> {rest:.4f} / cm -> {picture}")
    assert error <= min(0.1, first) and rest <= noise / 2, "Newton steps or TV hardly help"
    assert u[np.hypot(X + 9, Y - 2) < 2].mean() < WATER / 2 and reason[0] == "accuracy", "no lung"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--out", type=Path, default=Path("results"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[args.size], out=args.out, folder=args.data if args.size == "paper" else None)
