"""Bands of ``regularizers.py``: how many pixels of other patients they hold.

Patients are dealt out many times to calibrate or to test; coverage is the mean over test patients,
over their slices, of the fraction of pixels inside, and over all deals. What the maps were learned
from or tuned on is in neither part: alphas are those of ``--part transfer``, tuned on the split
"val"; the ridge was learned from photographs, the unrolled map and the denoiser of posteriors from
the split "train".
"""

import itertools
from pathlib import Path

import numpy as np
import odl
import regularizers_problems as problems
import regularizers_ridges as ridges
import torch

from odl_learned import bridge, data, learning, operators, reconstruction
from odl_learned.demo import learned, scenes
from odl_learned.functionals import BoxConstraint, MagnitudeBound
from odl_learned.reconstruction import diffusion

COVERAGE, CALIBRATING, DEALS, SLICES = 0.9, 0.85, 100, 4
TV_ALPHA, RIDGE_ALPHA, RIDGE_LEVEL = 1e-4, 5.9e-3, 0.04
MR_ALPHA, MR_NOISE, MR_VIEWS, MR_PIXELS = 5e-3, 0.02, 24, 64
FLOOR = 0.05


class Scans:
    """Truths, reconstructions by name, and the patient of each, as tensors and a list."""

    def __init__(self, truths, images, patients):
        self.truths, self.images, self.patients = truths, images, patients
        self.space = problems.space_of(truths)

    def coverage(self, name, deals, width=None):
        """Mean coverage, its standard deviation between deals, and mean width of bands."""
        identity, u = odl.IdentityOperator(self.space), self.images[name]
        found = []
        for calibrating, testing in deals:
            # The images are the data, and the map is the identity: each is computed but once.
            bands = reconstruction.conformal_bands(
                torch.nn.Identity(), identity, self.truths[calibrating], u[calibrating],
                [self.patients[i] for i in calibrating], coverage=COVERAGE, width=width)
            inside = bands.covered(self.truths[testing], u[testing]).numpy()
            lower, upper = bands.of(u[testing])
            own = np.array([self.patients[i] for i in testing])
            found.append((np.mean([inside[own == p].mean() for p in set(own)]),
                          float((upper - lower).mean())))
        coverages, widths = np.array(found).T
        return coverages.mean(), coverages.std(), widths.mean()

    def deals(self, count, rng):
        """Indices of slices to calibrate and to test, ``CALIBRATING`` of the patients."""
        names = sorted(set(self.patients))
        for _ in range(count):
            order = rng.permutation(len(names))
            yield self._slices({names[i] for i in order[: round(CALIBRATING * len(names))]})

    def all_but_one(self):
        """The same, with one patient after the other to test."""
        return [self._slices(set(self.patients) - {p}) for p in sorted(set(self.patients))]

    def _slices(self, calibrating):
        inside = np.array([p in calibrating for p in self.patients])
        return np.flatnonzero(inside), np.flatnonzero(~inside)


def few_of_each(patients, most):
    """Indices of at most so many slices of each patient, evenly spread."""
    chosen = []
    for patient in sorted(set(patients)):
        own = np.flatnonzero(patients == patient)
        chosen += own[np.unique(np.linspace(0, len(own) - 1, most).round().astype(int))].tolist()
    return np.array(chosen)


def tomography(folder, size):
    """Chests at 64 x 64, 30 views, noise of 2 %, by total variation and by the ridge."""
    n = problems.SIZES[size][1]
    images, patients, _ = _slices(folder, ("train", "test"))
    truths = torch.from_numpy(data.downsample(np.clip((images + 1000) / 2000, 0, 1), 256 // n))
    A = operators.normalized(operators.parallel_ray_transform(problems.space_of(truths), 30))
    exact = bridge.as_module(A)(truths)
    noise = torch.randn(exact.shape, generator=problems.generator(9))
    y = exact + problems.RELATIVE_NOISE * exact.abs().mean() * noise
    tv = reconstruction.tv_map(A, TV_ALPHA, BoxConstraint(A.domain, -1, 2), maxiter=2000)
    ridge = learning.load_regularizer(learning.WEAKLY_CONVEX_RIDGE)
    found = {"tv": torch.cat([tv(part) for part in y.split(32)]),
             "ridge": ridges.reconstructed(ridge, [A] * len(y), y, RIDGE_ALPHA, RIDGE_LEVEL,
                                           maxiter=200)}  # fmt: skip
    return Scans(truths, found, patients)


def demonstration(folder, size):
    """Chests at 64 x 64 as the demonstration measures them, by the unrolled map that it ships."""
    images, patients, pixels = _slices(folder, ("val", "test"))
    truths, found = [], []
    for image, pixel in zip(data.downsample(images, 2), 2 * pixels):
        rng = np.random.default_rng(len(truths))
        scene = scenes.ct_scene(image, float(pixel), 64, rng, scenes.PHOTONS / 4)
        truths.append(torch.from_numpy(scene.truth.asarray()))
        found.append(torch.from_numpy(learned.shipped_reconstruction(scene).x.asarray()))
    return Scans(torch.stack(truths), {"unrolled": torch.stack(found)}, patients)


def posteriors(folder, size):
    """Chests as in `tomography`, by the mean of samples with the denoiser of the package.

    Also widths, the standard deviations of the samples.
    """
    n, levels, count = (problems.SIZES["full"][1], *((30, 8) if size == "full" else (2, 2)))
    images, patients, _ = _slices(folder, ("val", "test"))
    images = data.to_rows(np.clip((images + 1000) / 2000, 0, 1))  # as the denoiser saw them
    truths = torch.from_numpy(data.downsample(images, 256 // n))
    A = operators.normalized(operators.parallel_ray_transform(problems.space_of(truths), 30))
    exact = bridge.as_module(A)(truths)
    level = problems.RELATIVE_NOISE * float(exact.abs().mean())
    y = exact + level * torch.randn(exact.shape, generator=problems.generator(11))
    samples = diffusion.draw_samples(
        diffusion.DiffPIR(diffusion.geometric_levels(1.0, 2 * level, levels)),
        learning.load_regularizer(learning.CT_DENOISER),
        diffusion.GaussianLikelihood(A, y, level, 1e-2), count, problems.generator(0))
    nominal = (count - 1) / (count + 1)
    print(f"diffpir: {problems.mean_psnr(samples.mean, truths):.2f} dB; intervals of "
          f"{nominal:.0%} between samples hold {samples.coverage(truths, nominal):.1%}", flush=True)
    scans = Scans(truths, {"mean": samples.mean}, patients)
    deviations = samples.standard_deviation + FLOOR / 10
    return scans, _Known(samples.mean, deviations)


class _Known:
    """Widths that were computed together with images, found by these."""

    def __init__(self, images, widths):
        self.widths = {image.numpy().tobytes(): width for image, width in zip(images, widths)}

    def __call__(self, data, images):
        return torch.stack([self.widths[image.numpy().tobytes()] for image in images])


def brains(folder, size):
    """Brains at 64 x 64, radial lines, complex noise, by total variation; magnitudes."""
    with np.load(Path(folder) / "mri" / "mri_brain_256.npz") as file:
        chosen = few_of_each(file["subject"], 8)
        images, subjects = file["images"][chosen].astype("float32"), file["subject"][chosen]
        images = data.from_rows(images / file["p999"][chosen].astype("float32")[:, None, None])
    truths = torch.from_numpy(data.downsample(images, 256 // MR_PIXELS))
    shape = (MR_PIXELS, MR_PIXELS)
    X = odl.uniform_discr([0, 0], shape, shape, dtype="complex64")
    A = operators.SampledFourier(X, data.radial_mask(shape, MR_VIEWS))
    exact = bridge.as_module(A)(truths + 0j)
    noise = torch.randn(exact.shape, dtype=exact.dtype, generator=problems.generator(10))
    y = exact + MR_NOISE * noise * (exact != 0)
    tv = reconstruction.tv_map(A, MR_ALPHA, MagnitudeBound(X, 3.0), maxiter=2000)
    magnitudes = torch.cat([tv(part).abs() for part in y.split(32)])
    return Scans(truths, {"tv": magnitudes}, subjects.tolist())


def _slices(folder, splits):
    """Slices in Hounsfield units, their patients and pixels in mm, of some splits."""
    with np.load(Path(folder) / "ct" / "ct_slices_256.npz") as file:
        known = np.flatnonzero(np.isin(file["split"], splits))
        chosen = known[few_of_each(file["patient"][known], SLICES)]
        images = data.from_rows(file["images"][chosen].astype("float32"))
        return images, file["patient"][chosen].tolist(), file["pixel_mm"][chosen]


def measured(folder, size):
    """The numbers of the part ``bands``."""
    numbers = {}

    def record(key, scans, name, deals, width=None):
        coverage, spread, breadth = scans.coverage(name, deals, width)
        q = scans.truths - scans.images[name]
        print(f"{key}: {len(set(scans.patients))} patients, {len(scans.patients)} slices; coverage "
              f"{100 * coverage:.1f} % (deviation between deals {100 * spread:.1f}), width "
              f"{breadth:.3f}, median error {float(q.abs().median()):.3f}", flush=True)
        numbers[key], numbers[key + "_width"] = 100 * coverage, breadth

    count = DEALS if size == "full" else 3
    ct = tomography(folder, size)
    deals = list(ct.deals(count, np.random.default_rng(0)))
    edges = reconstruction.edge_width(ct.space, FLOOR)
    record("conformal_coverage", ct, "tv", deals, edges)
    record("conformal_constant", ct, "tv", deals)
    record("conformal_ridge", ct, "ridge", deals, edges)
    scans = demonstration(folder, size)
    record("conformal_unrolled", scans, "unrolled", scans.all_but_one(),
           reconstruction.edge_width(scans.space, FLOOR))
    scans, deviations = posteriors(folder, size)
    record("conformal_diffusion", scans, "mean", scans.all_but_one(), deviations)
    record("conformal_diffusion_constant", scans, "mean", scans.all_but_one())
    scans = brains(folder, size)
    edges = reconstruction.edge_width(scans.space, FLOOR)
    record("conformal_mri", scans, "tv", scans.all_but_one(), edges)
    numbers["conformal_mri_images"] = 100 * single_slices(scans, "tv", edges, count // 4 or 1)
    print(f"conformal_mri_images: {numbers['conformal_mri_images']:.1f} % of the slices")
    return numbers


def single_slices(scans, name, width, count):
    """How many slices of subjects left out have nine tenths of their pixels inside, one of each.

    With eleven subjects, one slice of each, the law says 11 of 12.
    """
    rng, identity, held = np.random.default_rng(1), odl.IdentityOperator(scans.space), []
    subjects = np.array(scans.patients)
    for _ in range(count):
        drawn = np.array([rng.choice(np.flatnonzero(subjects == p)) for p in sorted(set(subjects))])
        for k, test in enumerate(drawn):
            own = np.delete(drawn, k)
            bands = reconstruction.conformal_bands(
                torch.nn.Identity(), identity, scans.truths[own], scans.images[name][own],
                subjects[own].tolist(), coverage=COVERAGE, width=width,
                risk=reconstruction.missed_images(0.9))
            inside = bands.covered(scans.truths[[test]], scans.images[name][[test]])
            held.append(float(inside) >= 0.9)
    return np.mean(held)


#: What `measured` measures.
NAMES = (*itertools.chain.from_iterable((key, key + "_width") for key in (
    "conformal_coverage", "conformal_constant", "conformal_ridge", "conformal_unrolled",
    "conformal_diffusion", "conformal_diffusion_constant", "conformal_mri")),
    "conformal_mri_images")  # fmt: skip
