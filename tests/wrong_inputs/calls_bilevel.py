"""Valid calls of energies and of bilevel learning."""

import numpy as np
import torch
from bilevel_problems import START, denoising
from expression_energies import blur, mask, plane, variation

from odl_learned.energies import (
    AutogradEnergy,
    Denoising,
    FixedEnergy,
    VariationEnergy,
    check_energy,
    energy_of,
)
from odl_learned.energies.coefficients import (
    decimal,
    decimal_alpha,
    decimal_times_alpha,
    natural,
    odds_weights,
    squared_weights,
)
from odl_learned.energies.expressions.preconditioners import (
    Cosines,
    LocalTimesSpectral,
    ScaledSpectral,
    normal_symbol,
    sparse_matrix,
)
from odl_learned.energies.filters import ExpertsEnergy, RidgeEnergy, dct_filters, fixed_filters
from odl_learned.energies.potentials import Charbonnier
from odl_learned.energies.transforms import (
    BackwardDifferences,
    ForwardDifferences,
    OrthogonalTransform,
    Separate,
)
from odl_learned.learning.bilevel import (
    BilevelProblem,
    Run,
    SquaredError,
    continuation,
    learn,
)
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
from odl_learned.learning.bilevel.progress import Journal
from wrong_inputs.calls_ground import positional

P = denoising(pairs=2, size=8)
START2 = START.clone()
SHAPE = (6, 6)
NEWTON, IMPLICIT = Newton(20), Implicit(50)


def rng():
    return np.random.default_rng(0)


def generator():
    return torch.Generator().manual_seed(0)


def images(seed=0):
    return torch.as_tensor(np.random.default_rng(seed).standard_normal((2, *SHAPE)))


def experts():
    """Fields of experts for two small images, with weights as parameters."""
    truth = images()
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
    "OrthogonalTransform": (OrthogonalTransform, lambda: dict(
        analysis=torch.clone, synthesis=torch.clone, shape=(5, 7))),
    "decimal": (decimal, lambda: dict(params=torch.full((3,), 0.1).double())),
    "decimal_times_alpha": (decimal_times_alpha, lambda: dict(
        params=torch.full((3,), 0.1).double())),
    "natural": (natural, lambda: dict(params=torch.full((2,), 0.1).double())),
    "VariationEnergy": (VariationEnergy, lambda: dict(
        fidelity=Denoising(), transform=ForwardDifferences((5, 7)),
        potential=Charbonnier(), coefficients=natural)),
    "cubic": (cubic, lambda: dict(k=2)),
    "dct_filters": (dct_filters, lambda: dict(size=3)),
    "decimal_alpha": (decimal_alpha, lambda: dict(nu=0.1, xi=0.1)),
    "LocalTimesSpectral": (LocalTimesSpectral, lambda: dict(largest=100)),
    "ScaledSpectral": (ScaledSpectral, lambda: dict(basis=Cosines())),
    "normal_symbol": (positional(normal_symbol), lambda: dict(op=blur(plane()))),
    "sparse_matrix": (positional(sparse_matrix), lambda: dict(op=mask(plane()))),
    "energy_of": (energy_of, lambda: dict(functional=variation(mask(plane())))),
    "exponential": (exponential, lambda: dict(k=2)),
    "learn": (learn, lambda: dict(
        functional=variation(mask(plane((3, 4)))), truth=np.ones((2, 3, 4)),
        data=np.ones((2, 3, 4)), start=(-3.0, -2.0), lower=-9.0, upper=9.0, maxiter=1)),
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
    "Run": (Run, lambda: dict(checkpoint=None, callback=None, progress=False, reduce=None)),
    "Unrolled": (Unrolled, lambda: dict(niter=5, every=2)),
    "bobyqa": (bobyqa, derivative_free),
    "check_energy": (check_energy, lambda: dict(
        energy=P.energy, x=P.x0, params=START2, data=P.data, rng=rng(), tolerance=1e-4)),
    "check_hypergradient": (check_hypergradient, lambda: dict(
        problem=P, params=START2, mode=IMPLICIT, rng=rng(), tolerance=1e-4, directions=1)),
    "Journal": (Journal, lambda: dict(
        setting={"a": 1}, run=Run())),
    "continuation": (continuation, lambda: dict(
        problems=[P, P], params0=START2,
        learn=lambda problem, params: hoag(problem, params, IMPLICIT, NEWTON, maxiter=1))),
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

BILEVEL = {f"bilevel.{name}": call for name, call in (ENERGIES | METHODS).items()}
