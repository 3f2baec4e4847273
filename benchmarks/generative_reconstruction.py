"""Reconstruction with generative models of images, against total variation and an unrolled network.

``python benchmarks/generative_reconstruction.py FOLDER ellipses digits brains`` trains what is not
trained in FOLDER, prints a line for each data set and cell, and one line of JSON at the end. With
``--generalization`` it goes through all cells of sampling and noise with the unrolled network.

All weights of the generative models are one: nothing is tuned for a cell. The parameter of total
variation is tuned for each on validation images.
"""

import json
import sys
import time
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path

import generative_data
import generative_training
import generative_unrolled
import numpy as np
import torch
from generative_problems import SPACE, Cell, psnr, simulated

from odl_learned import bridge, solvers
from odl_learned.functionals import BoxConstraint, MagnitudeBound, l2_fidelity
from odl_learned.regularizers import generative
from odl_learned.threads import limit_threads
from odl_learned.variational import tv_problem

CELLS = (Cell("mri", 0.25, 0.02), Cell("inpainting", 0.25, 0.02), Cell("ct", 8, 0.02),
         Cell("mri", 0.25, 0.1))  # fmt: skip
SAMPLINGS, NOISES = (0.15, 0.25, 0.35, 0.5), (0.01, 0.025, 0.05, 0.1)
#: Parameters of total variation that are tried, relative to the noise.
ALPHAS = (0.003, 0.01, 0.03, 0.1, 0.3)


def models(images: generative_data.Images, folder: Path) -> dict:
    """The trained models by name."""
    return {name: generative_training.trained(images, name, folder)
            for name in generative_training.MODELS}


def generative_images(network, measurements) -> tuple[torch.Tensor, torch.Tensor]:
    """Images in the range of the decoder, and with its deviations."""
    start = generative.encoder_start(network, measurements)
    fitted = generative.range_restricted(network.decoder, measurements, start)
    found = generative.alternating(generative.prior_of(network), measurements, fitted.latent,
                                   maxiter=10)  # fmt: skip
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


def compared(cell: Cell, images: generative_data.Images, networks: dict, tv: bool = True) -> dict:
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
    if tv:
        found["tv"] = psnr(tuned_tv(cell, images), truth)
    return {"psnr": found, "seconds": seconds}


def paired(better: np.ndarray, worse: np.ndarray) -> tuple[float, float, float]:
    """Mean of the differences, its half width of 95 % confidence, and the share of wins."""
    difference = better - worse
    width = 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))
    return float(difference.mean()), float(width), float((difference > 0).mean())


def _in_cell(task):
    """Unrolled network and generative model in one cell, in a process of its own."""
    limit_threads(1)
    cell, folder, place = task
    if place.exists():
        return json.loads(place.read_text())
    images = generative_data.ellipses()
    network = generative_training.trained(images, "3x3", folder / "ellipses")
    truth = torch.from_numpy(images.test)
    measurements = simulated(cell, truth, 2)
    unrolled = generative_unrolled.network(cell)
    trained = generative_unrolled.trained(images, folder / "unrolled")
    unrolled.load_state_dict(trained.state_dict())
    with torch.no_grad():
        reference = psnr(unrolled(measurements.data), truth)
    _, soft = generative_images(network, measurements)
    result = {"cell": list(cell), "unrolled": float(reference.mean()),
              "3x3": float(psnr(soft, truth).mean())}  # fmt: skip
    place.write_text(json.dumps(result))
    return result


def generalization(folder: Path, executor: Executor) -> list[dict]:
    """All cells of sampling and noise; each is a file, and is not computed again."""
    cells = [Cell("mri", sampling, noise) for sampling in SAMPLINGS for noise in NOISES]
    (folder / "cells").mkdir(exist_ok=True)
    tasks = [(cell, folder, folder / "cells" / f"{cell.amount}_{cell.noise}.json")
             for cell in [generative_unrolled.CELL, *cells]]
    return list(executor.map(_in_cell, tasks))


def main(folder: Path, names: list[str], cells=CELLS) -> dict:
    """Print a line for each data set and cell; return the keys of the benchmark."""
    keys = {}
    for name in names:
        images = getattr(generative_data, name)()
        networks = models(images, folder / name)
        for cell in cells:
            result = compared(cell, images, networks)
            means = {method: round(float(v.mean()), 2) for method, v in result["psnr"].items()}
            gains = {method: [round(v, 3) for v in paired(
                result["psnr"][method], result["psnr"]["identity"])]
                for method in ("diagonal", "3x3", "5x5")}
            print(name, cell, means, "against identity:", gains,
                  {k: round(v, 4) for k, v in result["seconds"].items()}, flush=True)  # fmt: skip
            if name == "ellipses" and cell == CELLS[0]:
                keys = {f"vae_{m}_db": means[m] for m in generative_training.MODELS}
                keys |= {"tv_db": means["tv"], "hard_db": means["hard"],
                         "seconds_per_image": round(result["seconds"]["3x3"], 4)}  # fmt: skip
    return keys


if __name__ == "__main__":
    limit_threads(1)
    options, root = sys.argv[2:], Path(sys.argv[1])
    answer = main(root, [name for name in options if not name.startswith("--")])
    if "--generalization" in options:
        with ProcessPoolExecutor(1) as pool:
            rows = generalization(root, pool)
        for row in rows:
            print(row)
        others = [row for row in rows[1:] if tuple(row["cell"]) != generative_unrolled.CELL]
        answer["at_cell_db"] = round(rows[0]["3x3"] - rows[0]["unrolled"], 2)
        answer["wins_off_cell"] = round(
            sum(row["3x3"] > row["unrolled"] for row in others) / len(others), 3)
    print(json.dumps(answer))
