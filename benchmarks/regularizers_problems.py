"""The problems of ``regularizers.py``: denoising, tomography and inpainting of real images."""

import dataclasses
from pathlib import Path

import numpy as np
import odl
import torch

from odl_learned import bridge, data, operators, solvers
from odl_learned.functionals import l2_fidelity
from odl_learned.variational import tv_problem

SIGMA, VIEWS, RELATIVE_NOISE, KEPT, INPAINTING_NOISE = 25 / 255, 30, 0.02, 0.5, 0.02
#: pixels of test crops, of tomography, training crops for alphas, test images at most
SIZES = {"tiny": (16, 16, 2, 2), "full": (96, 64, 12, 1000)}


@dataclasses.dataclass(frozen=True)
class Problem:
    """Operators, one for each image where they differ, of norm one; tensors of images and data."""

    name: str
    val_ops: list
    test_ops: list
    val: tuple
    test: tuple
    alphas: tuple
    coercivity: float


def kodak(folder):
    """Kodak's photographs at half size, (24, 256, 384), in [0, 1]."""
    with np.load(Path(folder) / "natural" / "kodak24_gray.npz") as file:
        images = file["images" if "images" in file.files else file.files[0]]
    return torch.from_numpy(data.downsample(images.astype("float32") / 255, 2))


class Crops:
    """Pairs of squares of the first 18 photographs and noisy ones; each depends on its number."""

    def __init__(self, images, size, count, seed, sigma=SIGMA):
        self.images, self.size, self.count, self.seed = images, size, count, seed
        self.sigma = sigma

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        rng = np.random.default_rng([self.seed, i])
        k, r, c = (int(rng.integers(m)) for m in (
            len(self.images), self.images.shape[1] - self.size + 1,
            self.images.shape[2] - self.size + 1))
        x = np.rot90(self.images[k, r : r + self.size, c : c + self.size], rng.integers(4))
        x = torch.from_numpy(np.ascontiguousarray(x[:: rng.choice((-1, 1))]))
        noise = torch.from_numpy(rng.standard_normal(x.shape).astype("float32"))
        return x + self.sigma * noise, x

    def stacked(self):
        """All pairs as two tensors."""
        return tuple(map(torch.stack, zip(*(self[i] for i in range(self.count)))))


def test_crops(images, n):
    """Two squares of each of the last six photographs, (12, n, n)."""
    places = ((40, 60), (140, 230))
    return torch.stack([im[r : r + n, c : c + n] for im in images[18:] for r, c in places])


def denoising(folder, size):
    """Photographs with noise of standard deviation 25 / 255."""
    n, _, count, most = SIZES[size]
    images = kodak(folder)
    truth = test_crops(images, n)[:most]
    noisy = truth + SIGMA * torch.randn(truth.shape, generator=generator(0))
    ones = [odl.IdentityOperator(space_of(truth))]
    y, x = Crops(images[:18], n, count, 1).stacked()
    return Problem("denoising", ones * len(x), ones * len(truth), (y, x), (noisy, truth),
                   (0.05, 0.06, 0.07, 0.08), 1.0)


def inpainting(folder, size):
    """Half of the pixels of photographs, with noise of 0.02."""
    n, _, count, most = SIZES[size]
    images = kodak(folder)

    def drawn(truth, seed):
        source = generator(seed)
        masks = torch.rand(truth.shape, generator=source) < KEPT
        noise = INPAINTING_NOISE * torch.randn(truth.shape, generator=source)
        ops = [operators.mask_operator(space_of(truth), mask.numpy()) for mask in masks]
        y = [op.range.element(op(op.domain.element((x + e).numpy())).data).data
             for op, x, e in zip(ops, truth, noise)]
        return ops, (y, truth)

    _, x = Crops(images[:18], n, count, 1).stacked()
    val_ops, val = drawn(x, 5)
    test_ops, test = drawn(test_crops(images, n)[:most], 6)
    return Problem("inpainting", val_ops, test_ops, val, test, (0.004, 0.008, 0.016), 0.0)


def tomography(folder, size):
    """Slices of chests at 64 x 64, 30 views, noise of 2 % of the mean, patients apart."""
    _, n, _, most = SIZES[size]
    space = odl.uniform_discr([0, 0], [n, n], (n, n), dtype="float32")
    A = operators.normalized(operators.parallel_ray_transform(space, VIEWS))
    project = bridge.as_module(A)

    def drawn(split, seed):
        truth = slices(folder, split, n)[:most]
        exact = project(truth)
        noise = torch.randn(exact.shape, generator=generator(seed))
        return exact + RELATIVE_NOISE * exact.abs().mean() * noise, truth

    val, test = drawn("val", 1), drawn("test", 2)
    return Problem("tomography", [A] * len(val[1]), [A] * len(test[1]), val, test,
                   (5e-5, 1e-4, 2e-4, 4e-4), 0.0)


def slices(folder, split, n):
    """Slices of a split at ``n x n`` pixels, (count, n, n), from -1000 to 1000 HU in [0, 1]."""
    with np.load(Path(folder) / "ct" / "ct_slices_256.npz") as file:
        images = file["images"][file["split"] == split].astype("float32")
    return torch.from_numpy(data.downsample(np.clip((images + 1000) / 2000, 0, 1), 256 // n))


def space_of(images):
    """Images of pixels of unit size."""
    shape = tuple(images.shape[1:])
    return odl.uniform_discr([0] * len(shape), shape, shape, dtype="float32")


def generator(seed):
    return torch.Generator().manual_seed(seed)


def psnr(x, truth):
    """PSNR of every image, for the range [0, 1]."""
    return -10 * torch.log10((x - truth).square().flatten(1).mean(1))


def mean_psnr(x, truth):
    return float(psnr(x, truth).mean())


def total_variation(ops, measured, alpha, accuracy=1e-3, maxiter=400):
    """The minimizers of least squares with total variation, to a relative duality gap."""
    problems = [tv_problem(A, l2_fidelity(A.range.element(np.asarray(y))), alpha)
                for A, y in zip(ops, measured)]
    solution = solvers.primal_dual(bridge.as_batch(problems), accuracy=accuracy, maxiter=maxiter)
    return torch.as_tensor(solution.x)


def tuned(problem, reconstruct, alphas):
    """PSNR on the test images, with alpha the best on validation images; prints both."""
    quality = {alpha: mean_psnr(reconstruct(problem.val_ops, problem.val[0], alpha), problem.val[1])
               for alpha in alphas}
    alpha = max(quality, key=quality.get)
    x = reconstruct(problem.test_ops, problem.test[0], alpha)
    print("  validation:", {f"{a}": round(q, 2) for a, q in quality.items()}, flush=True)
    return mean_psnr(x, problem.test[1])
