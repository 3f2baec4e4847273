"""Valid calls of learned sampling."""

import numpy as np
import torch
from instances.spaces import plane

from odl_learned import operators
from odl_learned.learning.bilevel import sampling
from odl_learned.learning.bilevel.first_order import hoag
from odl_learned.learning.bilevel.hypergradients import Implicit
from odl_learned.learning.bilevel.lower import Newton

SHAPE = (6, 6)
LINES = sampling.lines(SHAPE)
SMOOTH = sampling.smoothed_variation(SHAPE)


def generator():
    return torch.Generator().manual_seed(0)


def images(seed=0):
    values = np.random.default_rng(seed).standard_normal((2, 2, *SHAPE))
    return torch.as_tensor(values[0] + 1j * values[1])


def scan():
    return {"truth": images(), "data": torch.fft.fftn(images(), dim=(1, 2), norm="ortho")}


SAMPLING = {
    "Draws": (sampling.Draws, lambda: dict(candidates=2, samples=1, generator=generator())),
    "Pattern": (sampling.Pattern, lambda: dict(
        shape=(2, 2), frequencies=np.arange(4), members=np.arange(4))),
    "adapted_random": (sampling.adapted_random, lambda: dict(
        data=images(), pattern=LINES, fraction=0.5, generator=generator())),
    "alpha_problem": (sampling.alpha_problem, lambda: dict(
        **scan(), weights=np.ones(SHAPE), regularizer=SMOOTH, xi=0.1)),
    "exchange": (sampling.exchange, lambda: dict(
        **scan(), pattern=LINES, regularizer=SMOOTH, alpha=0.1,
        chosen=torch.arange(6) % 2 == 0, pairs=2, maxiter=1)),
    "graduated_sampling": (sampling.graduated_sampling, lambda: dict(
        **scan(), pattern=LINES, regularizer=SMOOTH, alpha=0.1, beta=0.1, xi=0.1,
        learn=lambda problem, params: hoag(
            problem, params, Implicit(50), Newton(20), maxiter=1))),
    "greedy": (sampling.greedy, lambda: dict(
        **scan(), pattern=LINES, regularizer=SMOOTH, alpha=0.1, fraction=0.2)),
    "largest_coefficients": (sampling.largest_coefficients, lambda: dict(
        data=images(), pattern=LINES, fraction=0.5)),
    "learned_pattern": (sampling.learned_pattern, lambda: dict(
        pattern=LINES, params=torch.ones(6, dtype=torch.float64))),
    "lines": (sampling.lines, lambda: dict(shape=SHAPE, axis=0)),
    "no_regularizer": (sampling.no_regularizer, lambda: dict(shape=SHAPE)),
    "points": (sampling.points, lambda: dict(shape=SHAPE)),
    "sampling_problem": (sampling.sampling_problem, lambda: dict(
        **scan(), pattern=LINES, regularizer=SMOOTH, alpha=0.1, beta=(0.1, 0.1), xi=0.1)),
    "sampling_and_alpha_problem": (sampling.sampling_and_alpha_problem, lambda: dict(
        **scan(), pattern=LINES, regularizer=SMOOTH, beta=(0.1, 0.1), xi=0.1)),
    "simulated_scans": (sampling.simulated_scans, lambda: dict(
        images=np.random.default_rng(0).random((2, *SHAPE)), noise_level=0.1,
        rng=np.random.default_rng(0))),
    "wavelet_sparsity": (sampling.wavelet_sparsity, lambda: dict(
        wavelet=operators.OrthogonalWavelet(plane((4, 12), "complex128"), "db2", 1), nu=0.1)),
    "smoothed_variation": (sampling.smoothed_variation, lambda: dict(shape=SHAPE, nu=0.1)),
    "spokes": (sampling.spokes, lambda: dict(shape=SHAPE, num_spokes=3)),
    "squared_gradient": (sampling.squared_gradient, lambda: dict(shape=SHAPE)),
    "uncentered": (sampling.uncentered, lambda: dict(data=images(), ndim=2)),
}

SAMPLING = {f"sampling.{name}": call for name, call in SAMPLING.items()}
