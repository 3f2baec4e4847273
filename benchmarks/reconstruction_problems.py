"""The two miniature problems of ``reconstruction.py``: tomography of ellipses, MRI of brains."""

import dataclasses
from pathlib import Path

import numpy as np
import odl
import torch
from scipy.ndimage import zoom

from odl_learned import bridge, data, operators, solvers
from odl_learned.functionals import BoxConstraint, MagnitudeBound, l2_fidelity
from odl_learned.variational import tv_problem

#: pixels, images to train on, to tune on, to test on
SIZES = {"tiny": (16, 4, 2, 2), "full": (64, 4000, 20, 50)}
VIEWS, RELATIVE_NOISE = 30, 0.025
FRACTION, CENTER_FRACTION, MR_NOISE = 0.3, 0.08, 0.01
GAP, MAXITER = 1e-2, 600


@dataclasses.dataclass(frozen=True)
class Problem:
    """An operator of norm one, an approximate inverse, the images' bounds, and three sets."""

    name: str
    analytical: str
    forward_op: odl.Operator
    inverse_op: odl.Operator
    bounds: odl.functionals.Functional
    alphas: tuple
    train: data.FixedPairs
    val: data.FixedPairs
    test: data.FixedPairs


def alphas(least, size):
    """A grid of regularization parameters, each twice the one before."""
    return tuple(float(least * 2.0**k) for k in range(7 if size == "full" else 2))


def ct(size):
    """Random ellipses after dival, 30 views, noise of 2.5 % of the mean, projected on a finer grid.

    As in Baguer, Leuschner, Schmidt (2020), with 64 x 64 in place of 128 x 128 pixels: bilinearly
    enlarged by 25 / 8 before they are projected.
    """
    n, *numbers = SIZES[size]
    space, fine = (odl.uniform_discr([-1, -1], [1, 1], (m, m), dtype="float32")
                   for m in (n, 25 * n // 8))  # fmt: skip
    ray = operators.parallel_ray_transform(space, VIEWS)
    forward_op = operators.normalized(ray)
    fine_op = odl.applications.tomo.RayTransform(fine, ray.geometry, impl="astra_cpu")
    scale = 1 / operators.operator_norm(ray)

    def measure(x, rng):
        up = zoom(x.asarray(), 25 / 8, order=1, mode="mirror", grid_mode=True)
        exact = forward_op.range.element(scale * fine_op(fine.element(up)).data)
        return data.add_white_noise(exact, data.noise_level_for(exact, RELATIVE_NOISE), rng)

    sets = (data.FixedPairs.drawn(data.SimulatedPairs(
        lambda rng: data.dival_ellipses(space, rng), measure, number, seed))
        for seed, number in enumerate(numbers))  # fmt: skip
    return Problem("ct", "filtered backprojection", forward_op, operators.fbp(forward_op),
                   BoxConstraint(space, 0, 1), alphas(1e-6, size), *sets)


def mri(size, folder):
    """Complex brain slices, 30 % of the lines, complex noise of 1 % of the brightest pixel.

    Squares at random places of the slices of ``mri/mri_brain_256.npz``, halved to 128 x 128 pixels,
    turned and reflected, with a smooth phase; the patients of the splits are different ones.
    """
    n, *numbers = SIZES[size]
    space = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="complex64")
    mask = data.cartesian_mask((n, n), FRACTION, CENTER_FRACTION, np.random.default_rng(3))
    forward_op = operators.SampledFourier(space, mask)
    with np.load(Path(folder) / "mri" / "mri_brain_256.npz") as file:
        splits, bright = file["split"], file["p999"].astype(float)
        slices = data.downsample(data.from_rows(file["images"].astype("float32")), 2)
    slices = (slices / bright[:, None, None]).astype("float32")

    def drawn(split, number, seed):
        rng = np.random.default_rng([seed, 1])
        mine, truths, measured = slices[splits == split], [], []
        while len(truths) < number:
            i, a, b = (int(rng.integers(m)) for m in (len(mine), 129 - n, 129 - n))
            square = np.rot90(mine[i, a : a + n, b : b + n], rng.integers(4))
            if np.mean(square > 0.15) < 0.4:
                continue  # mostly air
            truth = square[:: rng.choice((-1, 1))] * data.smooth_phase(space, rng).asarray()
            truth = space.element(truth.astype("complex64"))
            level = MR_NOISE * float(np.abs(truth.data).max()) / np.sqrt(2)
            noisy = data.add_white_noise(forward_op(truth), level, rng)
            truths.append(truth.data)
            measured.append((forward_op.weights * noisy.data).astype("complex64"))
        return data.FixedPairs(measured, truths)

    sets = (drawn(split, number, seed)
            for seed, (split, number) in enumerate(zip(("train", "val", "test"), numbers)))
    return Problem("mri", "zero filling", forward_op, forward_op.adjoint, MagnitudeBound(space, 2),
                   alphas(2e-6, size), *sets)


def psnr(x, truth):
    """PSNR of every image: the range of real ones, the largest modulus of complex ones.

    Phases count: errors are complex.
    """
    peak = truth.abs().amax((-2, -1)) if truth.is_complex() else (
        truth.amax((-2, -1)) - truth.amin((-2, -1)))
    return 10 * torch.log10(peak**2 / (x - truth).abs().square().mean((-2, -1)))


def mean_psnr(x, truth):
    """The mean of `psnr`, as a number."""
    return float(psnr(x, truth).mean())


def evaluated(model, pairs, batch=10):
    """PSNR of every image of a set."""
    y, truth = torch.as_tensor(pairs.data), torch.as_tensor(pairs.truth)
    with torch.no_grad():
        return torch.cat([psnr(model(y[i : i + batch]), truth[i : i + batch])
                          for i in range(0, len(y), batch)])


def total_variation(problem, measured, alpha, accuracy, batch=25):
    """The minimizers of a set of data, to a relative duality gap."""
    images = []
    for start in range(0, len(measured), batch):
        problems = [tv_problem(problem.forward_op, l2_fidelity(problem.forward_op.range.element(y)),
                               float(alpha), problem.bounds)
                    for y in measured[start : start + batch]]
        solution = solvers.primal_dual(bridge.as_batch(problems), accuracy=accuracy,
                                       maxiter=MAXITER)
        images.append(torch.as_tensor(solution.x))
        print(f"  TV, alpha {alpha:.1e}: {np.max(solution.niter)} iterations, "
              f"{np.mean(solution.reason == 'accuracy'):.0%} to a gap of {accuracy:g}", flush=True)
    return torch.cat(images)


def tuned_total_variation(problem):
    """PSNR of TV on the test images, alpha the best of a grid on the first validation images."""
    truth = torch.as_tensor(problem.val.truth[:8])
    quality = {alpha: mean_psnr(total_variation(problem, problem.val.data[:8], alpha, 3 * GAP),
                                truth) for alpha in problem.alphas}
    alpha = max(quality, key=quality.get)
    if alpha in (problem.alphas[0], problem.alphas[-1]):
        print("  the best alpha is at an end of the grid")
    print("  validation:", {f"{a:.2e}": round(q, 2) for a, q in quality.items()}, flush=True)
    x = total_variation(problem, problem.test.data, alpha, GAP)
    return psnr(x, torch.as_tensor(problem.test.truth))
