r"""A measured brain from an eighth of its frequencies and eight coils, TV by solvers.primal_dual.

    min_u  1/2 |A u - y|^2 + alpha int |grad u|,   |u| <= 3,   (A u)_c = S F (s_c u).

A tenth of the measured frequencies is withheld, and predicted from the rest. The reference, by
wavelets and from all of them, is no truth, but independent of this package.

    python examples/brain_multicoil_tv_primal_dual.py [smoke | paper] [--data FOLDER] [--out DIR]

The size smoke simulates a scan of the same form, paper reads the measured one.
"""

import argparse
from pathlib import Path

import numpy as np
import odl

from odl_learned import bridge, data, metrics, plotting, solvers
from odl_learned.functionals import MagnitudeBound, l2_fidelity
from odl_learned.operators import MultiCoilFourier
from odl_learned.variational import tv_problem

SIZES = {"smoke": {"n": 48, "alpha": 5e-3}, "paper": {"alpha": 3e-3}}
FILE = "mri/kspace_brain_8ch_poisson.npz"
ORIGIN = ("Data: data/cartesian_ksp.npy of github.com/mikgroup/sigpy-mri-tutorial (BSD-3-Clause). "
          f"Save it, its mask, and sigpy's ESPIRiT maps and L1-wavelet reconstruction as {FILE}.")
NAMES = "kspace", "mask", "sens", "recon_l1wavelet"


def simulated(n, center_fraction=0.15):
    """A phantom behind eight coils, as in the archive."""
    space = odl.uniform_discr([0, 0], [n, n], (n, n), dtype="complex64")
    rng = np.random.default_rng(0)
    truth = data.random_body(space, rng) * data.smooth_phase(space, rng)
    truth = space.element(data.to_rows(truth.data))
    mask = data.variable_density_mask(space.shape, 0.2, 2, rng, center_fraction)
    sens = data.simulated_sensitivities(space, 8)
    y = data.add_white_noise(MultiCoilFourier(space, mask, sens)(truth), 0.005, rng)
    return mask * y.asarray(), mask, sens, truth.data


def main(alpha, out, n=None, folder=None, maxiter=1500):
    arrays = data.read_measurement(folder / FILE, ORIGIN, *NAMES) if folder else simulated(n)
    kspace, mask, sens, reference = arrays
    withheld = mask & (np.random.default_rng(1).random(mask.shape) < 0.1)
    space = odl.uniform_discr([0, 0], mask.shape, mask.shape, dtype="complex64")
    A = MultiCoilFourier(space, mask & ~withheld, sens)
    y = A.range.element(list(kspace * ~withheld))
    problem = tv_problem(A, l2_fidelity(y), alpha, MagnitudeBound(space, 3.0))
    solution = solvers.primal_dual(bridge.as_batch([problem]), accuracy=0.02, maxiter=maxiter)
    images = {"zero filling": A.adjoint(y).data, "TV": solution.x[0].numpy()}
    others, quality, missed = MultiCoilFourier(space, withheld, sens), {}, {}
    for name, x in images.items():
        quality[name] = abs(np.vdot(reference / np.linalg.norm(reference), x)) / np.linalg.norm(x)
        prediction = others(space.element(x)).asarray()
        missed[name] = metrics.relative_error(prediction, kspace * withheld)
    picture, what = out / "brain_multicoil_tv_primal_dual.png", "Brain" if folder else "Phantom"
    plotting.comparison(
        {name: data.from_rows(x) for name, x in images.items()}, data.from_rows(reference),
        picture, window=(0, 0.8), title=f"{what}, 8 coils, {mask.mean():.0%} of the frequencies",
        captions={name: f"correlation {quality[name]:.4f}, withheld data {missed[name]:.1%} off"
                  for name in images}, reference="published" if folder else "truth")  # fmt: skip
    (first, second), (before, after) = quality.values(), missed.values()
    print(f"correlation with the reference {first:.4f} -> {second:.4f}, error of withheld data "
          f"{before:.3f} -> {after:.3f}, {solution.niter[0]} iterations -> {picture}")
    assert 1 - second <= 0.3 * (1 - first), "TV is hardly nearer to the reference"
    assert after <= 0.6 * before, "TV hardly predicts what was withheld"
    assert solution.reason[0] == "accuracy", "the duality gap is larger than it should be"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--out", type=Path, default=Path("results"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[args.size], out=args.out, folder=args.data if args.size == "paper" else None)
