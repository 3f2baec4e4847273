"""Reconstruction with generative models of images, against total variation and an unrolled network.

``python benchmarks/generative_reconstruction.py FOLDER ellipses digits brains`` trains what is not
trained in FOLDER, and prints a line for each data set and cell; `autoencoders` and `off_cell` are
parts of generative.py.

Nothing of the generative models is tuned for a cell, and they have the same weights. The parameter
of total variation is tuned for each on validation images.
"""

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import generative_data
import generative_training
import generative_unrolled
import numpy as np
import torch
from generative_problems import SPACE, Cell, psnr, simulated

from odl_learned import bridge, comparison, reconstruction, solvers
from odl_learned.functionals import BoxConstraint, MagnitudeBound, l2_fidelity
from odl_learned.regularizers import generative
from odl_learned.threads import limit_threads
from odl_learned.variational import tv_problem

CELLS = (Cell("mri", 0.25, 0.02), Cell("inpainting", 0.25, 0.02), Cell("ct", 8, 0.02),
         Cell("mri", 0.25, 0.1))  # fmt: skip
#: Of latent vectors, for all models, cells and data sets; from validation images of ellipses.
LATENT_WEIGHT = 4.0
#: Parameters of total variation that are tried, relative to the noise.
ALPHAS = (0.003, 0.01, 0.03, 0.1, 0.3)


def models(images: generative_data.Images, folder: Path, steps=generative_training.STEPS) -> dict:
    """The trained models by name."""
    return {name: generative_training.trained(images, name, folder, steps)
            for name in generative_training.MODELS}


def generative_images(network, measurements) -> tuple[torch.Tensor, torch.Tensor]:
    """Images in the range of the decoder, and with its deviations."""
    start = generative.encoder_start(network, measurements)
    fitted = generative.range_restricted(network.decoder, measurements, start,
                                         latent_weight=LATENT_WEIGHT)  # fmt: skip
    prior = generative.GenerativePrior(
        network.decoder, generative.LearnedDeviations(network.head), LATENT_WEIGHT)
    found = generative.variable_projection(prior, measurements, fitted.latent)
    return fitted.x, found.x


def tv_images(measurements, alpha: float) -> torch.Tensor:
    """Total variation; of complex images where data are complex, as ODL has no real ones then."""
    if measurements.data.is_complex():
        A = measurements.forward_op.left
        bound = MagnitudeBound(A.domain, 2.0)
    else:
        A, bound = measurements.forward_op, BoxConstraint(SPACE, 0, 2)
    problems = [tv_problem(A, l2_fidelity(A.range.element(y.numpy())), alpha, bound)
                for y in measurements.data]
    answer = solvers.primal_dual(bridge.as_batch(problems), accuracy=3e-2, maxiter=300).x
    return torch.as_tensor(np.asarray(answer)).real


def tuned_tv(cell: Cell, images: generative_data.Images) -> torch.Tensor:
    """Total variation on the test images, with the best parameter on 8 validation images."""
    few = torch.from_numpy(images.validation[:8])
    validation, test = simulated(cell, few, 1), simulated(cell, torch.from_numpy(images.test), 2)
    best = max(ALPHAS, key=lambda a: psnr(tv_images(validation, a * validation.noise_level),
                                          few).mean())  # fmt: skip
    return tv_images(test, best * test.noise_level)


def compared(cell: Cell, images: generative_data.Images, networks: dict) -> dict:
    """PSNR of each method for each test image of a cell, and CPU seconds for an image."""
    truth = torch.from_numpy(images.test)
    measurements = simulated(cell, truth, 2)
    found, seconds = {}, {}
    for name, network in networks.items():
        begin = time.process_time()
        hard, soft = generative_images(network, measurements)
        seconds[name] = (time.process_time() - begin) / len(truth)
        found[name] = psnr(soft, truth)
        if name == "identity":
            found["hard"] = psnr(hard, truth)
    found["tv"] = psnr(tuned_tv(cell, images), truth)
    return {"psnr": found, "seconds": seconds}


def paired(better: np.ndarray, worse: np.ndarray) -> tuple[float, float, float]:
    """Mean of the differences, its half width of 95 % confidence, and the share of wins."""
    difference = better - worse
    width = 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))
    return float(difference.mean()), float(width), float((difference > 0).mean())


@cache  # read once in a process
def _generative(name, counts, folder, steps):
    return generative_training.trained(generative_data.ellipses(*counts), name,
                                       folder / "ellipses", steps)  # fmt: skip


@cache
def _unrolled(counts, folder, steps):
    return generative_unrolled.trained(generative_data.ellipses(*counts), folder / "unrolled",
                                       steps)  # fmt: skip


class Simulation:
    """Measurements of the test images in a cell, in any process."""

    def __init__(self, counts: tuple[int, int, int]) -> None:
        self.counts = counts

    def __call__(self, cell: Cell) -> comparison.Simulated:
        truth = torch.from_numpy(generative_data.ellipses(*self.counts).test)
        m = simulated(cell, truth, 2)
        return comparison.Simulated(m.forward_op, m.data, m.noise_level, truth)


class Generative:
    """A model, which knows images alone and is trained once, in a folder."""

    def __init__(self, name: str, counts, folder: Path, steps) -> None:
        self.name, self.counts, self.folder, self.steps = name, counts, folder, steps

    def trained(self):
        """The network."""
        return _generative(self.name, self.counts, self.folder, self.steps)

    def __call__(self, A, data, noise_level) -> torch.Tensor:
        return generative_images(self.trained(), generative.Measurements(A, data, noise_level))[1]


class Unrolled:
    """The network that is trained at one cell, with the operators of others."""

    def __init__(self, counts, folder: Path, steps) -> None:
        self.counts, self.folder, self.steps = counts, folder, steps

    def trained(self):
        """The network."""
        return _unrolled(self.counts, self.folder, self.steps)

    def __call__(self, A, data, noise_level) -> torch.Tensor:
        adjoint = bridge.as_module(A.adjoint)
        network = reconstruction.LearnedProximalGradient(
            bridge.as_module(A), adjoint, list(self.trained().steps), adjoint)
        with torch.no_grad():
            return network.eval()(data)


def autoencoders(data_sets, cells, folder=None) -> dict:
    """Train on each of the data sets, with so many images and steps, and reconstruct in the cells.

    Returns the numbers of the first data set in the first cell, and CPU minutes of each.
    """
    numbers = {}
    with _place(folder) as place:
        for data_set, (arguments, steps) in data_sets.items():
            images = getattr(generative_data, data_set)(*arguments)
            networks = models(images, place / data_set, steps)
            results = [reported(data_set, images, networks, Cell(*cell)) for cell in cells]
            numbers |= minutes(data_set, place / data_set, results[0], len(images.test))
            if "tv_db" not in numbers:
                means = {name: float(v.mean()) for name, v in results[0]["psnr"].items()}
                numbers |= {f"vae_{name}_db": means[name] for name in generative_training.MODELS}
                numbers |= {"tv_db": means["tv"], "hard_db": means["hard"],
                            "seconds_per_image": results[0]["seconds"]["3x3"]}  # fmt: skip
    return numbers


def minutes(data_set: str, folder: Path, result: dict, count: int) -> dict:
    """CPU minutes of training and reconstructing: the 3 x 3 model alone, and all models."""
    found = {}
    for key, names in {"3x3": ("3x3",), "all": tuple(generative_training.MODELS)}.items():
        seconds = generative_training.cpu_seconds(folder, ("mean", *names))
        seconds += count * sum(result["seconds"][name] for name in names)
        found[f"{data_set}_{key}_cpu_minutes"] = seconds / 60
    print(data_set, f"CPU minutes of training and {count} reconstructions in the first cell:",
          {key: round(value, 1) for key, value in found.items()}, flush=True)  # fmt: skip
    return found


def off_cell(counts, steps, net_steps, samplings, noises, folder=None) -> dict:
    """Where generative models are better than a network that was trained at one cell."""
    cells = [Cell("mri", sampling, noise) for sampling in samplings for noise in noises]
    with _place(folder) as place:
        methods = {"3x3": Generative("3x3", counts, place, steps),
                   "unrolled": Unrolled(counts, place, net_steps)}  # fmt: skip
        for method in methods.values():
            method.trained()  # once, before processes read it
        with ProcessPoolExecutor(1, initializer=limit_threads, initargs=(1,)) as pool:
            table = comparison.compare(Simulation(counts), methods, [generative_unrolled.CELL,
                                       *cells], psnr, folder=place / "off_cell", executor=pool,
                                       progress=False)  # fmt: skip
    for row in table.rows():
        print(row, flush=True)
    gains = [table.mean(cell, "3x3") - table.mean(cell, "unrolled") for cell in cells]
    at_cell = table.difference(generative_unrolled.CELL, "3x3", "unrolled")
    return {"at_cell_db": at_cell.mean,
            "wins_off_cell": sum(gain > 0 for gain in gains) / len(cells)}


@contextmanager
def _place(folder):
    if folder is not None:
        yield Path(folder)
        return
    with TemporaryDirectory() as temporary:
        yield Path(temporary)


def reported(name, images, networks, cell) -> dict:
    """The comparison in a cell, printed in one line."""
    result = compared(cell, images, networks)
    means = {method: round(float(v.mean()), 2) for method, v in result["psnr"].items()}
    gains = {method: [round(v, 3) for v in paired(
        result["psnr"][method], result["psnr"]["identity"])]
        for method in ("diagonal", "3x3", "5x5")}  # fmt: skip
    print(name, tuple(cell), means, "against identity (gain, half width, wins):", gains, flush=True)
    return result


if __name__ == "__main__":
    limit_threads(1)
    for data_set in sys.argv[2:]:
        found = getattr(generative_data, data_set)()
        trained_models = models(found, Path(sys.argv[1]) / data_set, generative_training.STEPS
                                if data_set == "ellipses" else generative_training.FEWER_STEPS)
        for one in CELLS:
            reported(data_set, found, trained_models, one)
