"""Valid calls of bilevel learning and of learned sampling."""

import numpy as np
import torch
from bilevel_problems import START, denoising
from expression_energies import mask, plane, variation

from odl_learned.energies import (
    AutogradEnergy,
    Denoising,
    FixedEnergy,
    VariationEnergy,
    check_energy,
    energy_of,
)
from odl_learned.energies.coefficients import decimal_alpha, natural, odds_weights, squared_weights
from odl_learned.energies.filters import ExpertsEnergy, RidgeEnergy, dct_filters, fixed_filters
from odl_learned.energies.potentials import Charbonnier
from odl_learned.energies.transforms import BackwardDifferences, ForwardDifferences, Separate
from odl_learned.learning.bilevel import BilevelProblem, SquaredError, sampling
from odl_learned.learning.bilevel.derivative_free import bobyqa, dynamic_accuracy, fixed_accuracy
from odl_learned.learning.bilevel.distributed import share
from odl_learned.learning.bilevel.first_order import hoag, isgd, lbfgsb, maid, semismooth_newton
from odl_learned.learning.bilevel.first_order.schedules import cubic, exponential, quadratic
from odl_learned.learning.bilevel.hypergradients import (
    Direct,
    Implicit,
    JacobianFree,
    Piggyback,
    Unrolled,
    check_hypergradient,
)
from odl_learned.learning.bilevel.lower import (
    Accelerated,
    FixedIterations,
    GradientDescent,
    LowerLevel,
    Newton,
    PrimalDual,
    Restarted,
)

P = denoising(pairs=2, size=8)
START2 = START.clone()
SHAPE = (6, 6)
LINES = sampling.lines(SHAPE)
SMOOTH = sampling.smoothed_variation(SHAPE)
NEWTON, IMPLICIT = Newton(20), Implicit(50)


def rng():
    return np.random.default_rng(0)


def generator():
    return torch.Generator().manual_seed(0)


def images(seed=0):
    values = np.random.default_rng(seed).standard_normal((2, 2, *SHAPE))
    return torch.as_tensor(values[0] + 1j * values[1])


def scan():
    return {"truth": images(), "data": torch.fft.fftn(images(), dim=(1, 2), norm="ortho")}


def experts():
    """Fields of experts for two small images, with weights as parameters."""
    truth = images().real.clone()
    energy = ExpertsEnergy(SHAPE, Charbonnier(), (0.1,), fixed_filters(dct_filters(3)), 0.1)
    return BilevelProblem(energy, truth + 0.1, SquaredError(truth), truth,
                                  lower=0.0)  # fmt: skip


EXPERTS = experts()


def learning(**options):
    return {"problem": P, "params0": START2, "mode": IMPLICIT, "solver": NEWTON, "maxiter": 2,
            **options}


def derivative_free(**options):
    return {"problem": P, "params0": START2, "maxeval": 5, "solver": NEWTON, "radius": 0.1,
            **options}


ENERGIES = {
    "AutogradEnergy": (AutogradEnergy, lambda: dict(
        function=lambda x, p, y: (x**2).sum(-1), lipschitz=lambda p: 2.0,
        strong_convexity=lambda p: 2.0)),
    "BackwardDifferences": (BackwardDifferences, lambda: dict(size=8)),
    "ForwardDifferences": (ForwardDifferences, lambda: dict(shape=(5, 7))),
    "BilevelProblem": (BilevelProblem, lambda: dict(
        energy=P.energy, data=P.data, loss=P.loss, x0=P.x0, lower=-4.0, upper=2.0)),
    "ExpertsEnergy": (ExpertsEnergy, lambda: dict(
        shape=(5, 7), potential=Charbonnier(), scales=(0.1, 0.5),
        experts=fixed_filters(torch.ones(2, 3, 3, dtype=torch.float64)), xi=0.1)),
    "FixedEnergy": (FixedEnergy, lambda: dict(
        energy=P.energy, params=START2, data=P.data)),
    "LowerLevel": (LowerLevel, lambda: dict(problem=P, solver=NEWTON, memory=2)),
    "RidgeEnergy": (RidgeEnergy, lambda: dict(
        shape=(5, 7), filter_shape=(2, 3, 3), scales=(0.1, 0.5), xi=0.1)),
    "Separate": (Separate, lambda: dict(transform=ForwardDifferences((5, 7)))),
    "SquaredError": (SquaredError, lambda: dict(truth=P.data, factor=1.0)),
    "VariationEnergy": (VariationEnergy, lambda: dict(
        fidelity=Denoising(), transform=ForwardDifferences((5, 7)),
        potential=Charbonnier(), coefficients=natural)),
    "cubic": (cubic, lambda: dict(k=2)),
    "dct_filters": (dct_filters, lambda: dict(size=3)),
    "decimal_alpha": (decimal_alpha, lambda: dict(nu=0.1, xi=0.1)),
    "energy_of": (energy_of, lambda: dict(functional=variation(mask(plane())))),
    "exponential": (exponential, lambda: dict(k=2)),
    "fixed_filters": (fixed_filters, lambda: dict(filters=torch.ones(2, 3, 3).double())),
    "odds_weights": (odds_weights, lambda: dict(alpha=0.1, nu=0.1, xi=0.1)),
    "quadratic": (quadratic, lambda: dict(k=2)),
    "squared_weights": (squared_weights, lambda: dict(shape=(5, 7), nu=0.1, xi=0.1)),
}

METHODS = {
    "Accelerated": (Accelerated, lambda: dict(maxiter=5)),
    "Direct": (Direct, lambda: dict(largest=50)),
    "FixedIterations": (FixedIterations, lambda: dict(niter=5)),
    "GradientDescent": (GradientDescent, lambda: dict(maxiter=5)),
    "Implicit": (Implicit, lambda: dict(maxiter=5)),
    "JacobianFree": (JacobianFree, lambda: dict(step=0.5)),
    "Newton": (Newton, lambda: dict(maxiter=5)),
    "Piggyback": (Piggyback, lambda: dict(maxiter=5, every=2)),
    "PrimalDual": (PrimalDual, lambda: dict(maxiter=5)),
    "Restarted": (Restarted, lambda: dict(maxiter=5)),
    "Unrolled": (Unrolled, lambda: dict(niter=5, every=2)),
    "bobyqa": (bobyqa, derivative_free),
    "check_energy": (check_energy, lambda: dict(
        energy=P.energy, x=P.x0, params=START2, data=P.data, rng=rng(), tolerance=1e-4)),
    "check_hypergradient": (check_hypergradient, lambda: dict(
        problem=P, params=START2, mode=IMPLICIT, rng=rng(), tolerance=1e-4, directions=1)),
    "dynamic_accuracy": (dynamic_accuracy, derivative_free),
    "fixed_accuracy": (fixed_accuracy, derivative_free),
    "hoag": (hoag, learning),
    "isgd": (isgd, lambda: dict(
        problem=P, params0=START2, mode=IMPLICIT, solver=NEWTON, batch_size=1, epochs=1,
        generator=generator())),
    "lbfgsb": (lbfgsb, lambda: learning(gtol=1e-2, ftol=1e-2, memory=3)),
    "maid": (maid, learning),
    "semismooth_newton": (semismooth_newton, lambda: dict(
        problem=EXPERTS, params0=torch.full((8,), 0.1).double(), solver=NEWTON, maxiter=2)),
    "share": (share, lambda: dict(problem=P, rank=0, size=2)),
}

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
    "smoothed_variation": (sampling.smoothed_variation, lambda: dict(shape=SHAPE, nu=0.1)),
    "spokes": (sampling.spokes, lambda: dict(shape=SHAPE, num_spokes=3)),
    "squared_gradient": (sampling.squared_gradient, lambda: dict(shape=SHAPE)),
    "uncentered": (sampling.uncentered, lambda: dict(data=images(), ndim=2)),
}

BILEVEL = {f"bilevel.{name}": call for name, call in (ENERGIES | METHODS).items()} | {
    f"sampling.{name}": call for name, call in SAMPLING.items()}
