r"""A volume from parallel beams: total variation in space, slice by slice, and backprojection.

    min_u  1/2 |A u - y|^2 + alpha int |grad u|,   0 <= u <= 1,

once for the volume, where edges go on from slice to slice, and once for every slice alone.

    python examples/volume_tomography.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl

from odl_learned import bridge, data, metrics, operators, plotting, solvers
from odl_learned.functionals import BoxConstraint, l2_fidelity
from odl_learned.variational import tv_problem

SIZES = {"smoke": {"n": 20, "views": 8}, "paper": {"n": 64, "views": 20}}
RELATIVE_NOISE, ACCURACY = 0.05, 1e-2
SHARES = 2.0 ** np.arange(-3, 1)  # of the noise in a bin: parameters that are tried


def solved(A, data_of_samples, alpha, maxiter):
    """The minimizers for a batch, one sample or all slices, and why the iterations stopped."""
    problems = [tv_problem(A, l2_fidelity(A.range.element(y)), alpha, BoxConstraint(A.domain, 0, 1))
                for y in data_of_samples]  # fmt: skip
    found = solvers.primal_dual(bridge.as_batch(problems), accuracy=ACCURACY, maxiter=maxiter)
    return found.x.numpy(), found.reason


def in_space(A, y, alpha, maxiter):
    x, reasons = solved(A, [y], alpha, maxiter)
    return x[0], reasons


def by_slices(A, y, alpha, maxiter):
    x, reasons = solved(A, np.moveaxis(y.data, -1, 0), alpha, maxiter)
    return np.moveaxis(x, 0, -1), reasons


def main(n, views, out, maxiter=2000):
    rng = np.random.default_rng(0)
    volumes = odl.uniform_discr([-1] * 3, [1] * 3, (n,) * 3, dtype="float32")
    A = operators.parallel_ray_transform(volumes, views)
    A_slice = operators.parallel_ray_transform(
        odl.uniform_discr([-1] * 2, [1] * 2, (n,) * 2, dtype="float32"), views)
    truth = data.random_trunk(volumes, rng)
    exact = A(truth)
    y = data.add_white_noise(exact, data.noise_level_for(exact, RELATIVE_NOISE), rng)
    noise = float(np.std((y - exact).data)) * 2 / n

    found, certified = {"filtered backprojection": operators.fbp(A)(y).data}, True
    for name, method, op in ("TV slice by slice", by_slices, A_slice), ("TV in space", in_space, A):
        tried = [method(op, y, share * noise, maxiter) for share in SHARES]
        certified &= all(np.all(reason == "accuracy") for _, reason in tried)
        best = int(np.argmax([metrics.psnr(x, truth, 1.0) for x, _ in tried]))
        certified &= 0 < best < len(SHARES) - 1  # none of the ends is the best
        found[name] = tried[best][0]
    scores = {name: metrics.psnr(x, truth, 1.0) for name, x in found.items()}
    path = out / "volume_tomography.png"
    plotting.volume_comparison(
        found, truth, path, (0, 0.9), title=f"{n} x {n} x {n}, {views} views",
        captions={name: f"PSNR {score:.1f} dB, SSIM {metrics.ssim(found[name], truth, 1.0):.2f}"
                  for name, score in scores.items()})  # fmt: skip
    print(*(f"{name} {score:.1f} dB," for name, score in scores.items()),
          f"relative gaps at most {ACCURACY:g} -> {path}")
    fbp, slices, space = scores.values()
    assert certified and space >= slices + 0.5 and slices >= fbp + 2


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out)
