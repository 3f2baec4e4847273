"""The hypergradient of a 192^2 sampling problem, against that of the authors' code.

F. Sherry et al., IEEE Trans. Med. Imaging 39 (2020): reconstructed by PDHG to 1e-10, adjoint state
by conjugate gradients to 1e-6, in 23.7 CPU seconds; all of it is in the file.
"""

import statistics
import time
from pathlib import Path

import numpy as np
import torch

import odl_learned  # noqa: F401  (imports odl first)
from odl_learned.energies import FourierSampling, VariationEnergy
from odl_learned.energies.coefficients import Coefficients
from odl_learned.energies.potentials import CubicAbsolute
from odl_learned.energies.transforms import ForwardDifferences
from odl_learned.learning.bilevel import BilevelProblem, SquaredError
from odl_learned.learning.bilevel.hypergradients import Implicit
from odl_learned.learning.bilevel.lower import LowerLevel, Newton


def hypergradient(folder, rounds=3):
    """Largest relative difference, of weights and alpha, and median seconds from a cold start."""
    with np.load(Path(folder) / "mri_hypergradient_192_full.npz") as file:
        arrays = {name: file[name] for name in file.files}
    truth, data = (torch.as_tensor(arrays[name]) for name in ("truth", "data"))
    shape, pixels, beta = truth.shape[1:], truth[0].numel(), arrays["beta"]
    gamma, epsilon = float(arrays["gamma"]), float(arrays["epsilon"])

    def penalty(params):
        s = params[:-1]
        return (beta[0] * s.sum() + beta[1] * (s * (1 - s)).sum()) / pixels

    energy = VariationEnergy(
        FourierSampling(), ForwardDifferences(shape), CubicAbsolute(),
        lambda p: Coefficients(p[-1], gamma, epsilon, p[:-1].reshape(shape) ** 2))  # fmt: skip
    problem = BilevelProblem(energy, data, SquaredError(truth, 1 / (2 * pixels)),
                             torch.zeros_like(truth), penalty)  # fmt: skip
    params = torch.as_tensor(np.append(arrays["weights"].ravel(), arrays["alpha"]))
    seconds = []
    for _ in range(rounds):
        began = time.process_time()
        found = Implicit()(LowerLevel(problem, Newton()), params, 1e-6, 1e-11)
        seconds.append(time.process_time() - began)
    weights, expected = found.gradient[:-1].reshape(shape).numpy(), arrays["hypergradient_weights"]
    alpha = float(arrays["hypergradient_alpha"])
    error = np.linalg.norm(weights - expected) / np.linalg.norm(expected)
    return {
        "hypergradient_error": float(max(error, abs(float(found.gradient[-1]) / alpha - 1))),
        "hypergradient_seconds": statistics.median(seconds),
        "hypergradient_seconds_of_the_authors": float(arrays["cpu_seconds"]),
    }
