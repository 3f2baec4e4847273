"""Bad input to bilevel learning: the error names the value, the expectation, the next step.

Every row is one mistake: what is done, the type of the error, and a pattern of its message. Below
the tables is what looks like a mistake but is none.
"""

import dataclasses

import numpy as np
import pytest
import torch
from bilevel_problems import START, denoising

from odl_learned.energies import AutogradEnergy, VariationEnergy, check_energy
from odl_learned.energies.coefficients import Coefficients, decimal, decimal_alpha, squared_weights
from odl_learned.energies.energy import UnsolvableError
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
    sampling,
)
from odl_learned.learning.bilevel.derivative_free import (
    PixelResiduals,
    bobyqa,
    dynamic_accuracy,
    fixed_accuracy,
)
from odl_learned.learning.bilevel.first_order import hoag, isgd, lbfgsb, maid, semismooth_newton
from odl_learned.learning.bilevel.hypergradients import (
    Direct,
    Implicit,
    JacobianFree,
    Piggyback,
    Unrolled,
    check_hypergradient,
)
from odl_learned.learning.bilevel.lower import FixedIterations, LowerLevel, Newton
from odl_learned.learning.bilevel.progress import Journal
from odl_learned.solvers import DivergenceError

P = denoising(pairs=2, size=8)
NAN = P.data.clone()
NAN[1, 3] = np.nan
THREE = torch.zeros(3, dtype=torch.float64)


def change(**fields):
    return dataclasses.replace(P, **fields)


def level(coefficients):
    """A lower level with other coefficients."""
    energy = VariationEnergy(P.energy.fidelity, P.energy.transform, P.energy.potential,
                             coefficients)  # fmt: skip
    return LowerLevel(change(energy=energy))


def constant(*values):
    return level(lambda params: Coefficients(*values))


def autograd(function, mu=1.0):
    energy = AutogradEnergy(function, lambda params: 2.0, lambda params: mu)
    return LowerLevel(change(energy=energy)).solve(START, 1.0)


def learn(method=lbfgsb, problem=P, params=START, mode=None, solver=None, **options):
    mode, solver = Implicit() if mode is None else mode, Newton() if solver is None else solver
    return method(problem, params, mode, solver, **options)


def stochastic(**options):
    options = {"batch_size": 1, "epochs": 1, "generator": torch.Generator()} | options
    return learn(isgd, **options)


def rng():
    return np.random.default_rng(0)


PROBLEMS = [
    ("NaN in the data", lambda: change(data=NAN), ValueError,
     "data contains NaN.* in sample 1; expected finite.*isfinite"),
    ("NaN in the truth", lambda: SquaredError(NAN), ValueError, "truth contains NaN.*sample 1"),
    ("NaN at the start", lambda: change(x0=NAN), ValueError, "x0 contains NaN"),
    ("shape of an error", lambda: SquaredError(torch.ones(4, 1)).value(torch.ones(4)), ValueError,
     r"x has shape \(4,\), expected \(4, 1\), that of the truth; reshape"),
    ("array for a truth", lambda: SquaredError(np.ones((2, 8))), TypeError,
     r"truth is ndarray, expected a tensor.*torch\.as_tensor"),
    ("whole numbers", lambda: SquaredError(torch.ones(2, 8, dtype=torch.int64)), TypeError,
     "truth is torch.int64, expected a tensor of real or complex floats"),
    ("no samples", lambda: SquaredError(torch.ones(0, 8)), ValueError,
     r"truth has shape \(0, 8\), expected.*at least one sample"),
    ("factor zero", lambda: SquaredError(P.data, 0), ValueError, "factor is 0; expected"),
    ("data of one pair", lambda: change(data=P.data[:1]), ValueError,
     "data has 1 samples, expected 2 as x0 and the truth; stack"),
    ("part of the data of one pair", lambda: change(data=(P.data, P.data[:1])), ValueError,
     "data has 1 samples, expected 2"),
    ("start of one pair", lambda: change(x0=P.x0[:1]), ValueError,
     r"x0 has shape \(1, 8\), expected \(2, 8\) as the truth"),
    ("truth of other pairs", lambda: change(loss=SquaredError(torch.ones(3, 8))), ValueError,
     r"x0 has shape \(2, 8\), expected \(3, 8\) as the truth"),
    ("function for an energy", lambda: change(energy=abs), TypeError,
     "energy is .*abs.*, expected a ParametricEnergy.*AutogradEnergy"),
    ("function for a loss", lambda: change(loss=abs), TypeError, "loss is .*expected SquaredError"),
    ("number for a penalty", lambda: change(penalty=3), TypeError,
     "penalty is 3, expected a function of params; leave it out"),
    ("penalty of one parameter each", lambda: learn(problem=change(penalty=lambda p: p)), TypeError,
     r"penalty returned a tensor of shape \(2,\), expected a tensor without axes.*sum"),
    ("penalty without tensors", lambda: learn(problem=change(penalty=lambda p: 1.0)), TypeError,
     "penalty returned float, expected a tensor without axes"),
    ("bounds crossed", lambda: change(lower=1.0, upper=0.0), ValueError,
     "lower is 1.0 and upper is 0.0 for parameter 0, expected lower <= upper; exchange"),
    ("one bound crossed", lambda: change(lower=torch.tensor([0.0, 3.0]), upper=2.0), ValueError,
     "lower is 3.0 and upper is 2.0 for parameter 1"),
    ("bounds of other sizes", lambda: change(lower=THREE, upper=torch.ones(2)), ValueError,
     r"shapes \(3,\) and \(2,\), expected the same"),
    ("bound unknown", lambda: change(lower=np.nan), ValueError, "lower is nan, expected a number"),
    ("no bound", lambda: change(upper=None), TypeError,
     "upper is None, expected a number or a tensor.*leave it out"),
]

LOWER_LEVELS = [
    ("accuracy zero", lambda: LowerLevel(P).solve(START, 0), ValueError,
     "accuracy is 0.0 for one of the samples; expected positive distances, such as"),
    ("accuracy unknown", lambda: LowerLevel(P).solve(START, np.nan), ValueError, "accuracy is nan"),
    ("accuracy of one negative", lambda: LowerLevel(P).solve(START, [1, -1]), ValueError,
     "accuracy is -1.0"),
    ("three accuracies for two", lambda: LowerLevel(P).solve(START, [1, 1, 1]), ValueError,
     r"accuracy has shape \(3,\), expected one number or \(2,\)"),
    ("list of parameters", lambda: LowerLevel(P).solve([0, 0], 1), TypeError,
     r"params is list, expected a tensor of real floats; pass torch\.tensor"),
    ("infinite parameters", lambda: LowerLevel(P).solve(START / 0, 1), ValueError,
     "params has entries that are not finite.*Look"),
    ("start of another batch", lambda: LowerLevel(P).solve(START, 1, P.x0[:1]), ValueError,
     r"x0 has shape \(1, 8\).*expected \(2, 8\).*leave it out"),
    ("start at NaN", lambda: LowerLevel(P).solve(START, 1, NAN), ValueError,
     "x0 has .* 1 entries that are not finite"),
    ("class for a solver", lambda: LowerLevel(P, Newton), TypeError,
     r"solver is <class.*Newton'>, expected an object to be called, such as Newton\(\)"),
    ("negative memory", lambda: LowerLevel(P, memory=-1), ValueError, "memory is -1; expected"),
    ("not strongly convex", lambda: constant(1, 0.1, 0.0, torch.zeros(8)).solve(START, 1),
     ValueError, r"strong_convexity\(params\) of VariationEnergy is 0.0.*positive.*Add xi/2"),
    ("negative weights", lambda: constant(1, 0.1, 0.1, -torch.ones(8)).solve(START, 1), ValueError,
     r"strong_convexity\(params\) of VariationEnergy is -0.9"),
    ("negative convexity", lambda: autograd(lambda x, p, y: (x - y).square().sum(1), -1.0),
     ValueError, r"strong_convexity\(params\) of AutogradEnergy is -1.0"),
    ("negative alpha", lambda: constant(-1, 0.1, 0.1).solve(START, 1), ValueError,
     "coefficients are alpha = -1, nu = 0.1.*none below zero; bound the parameters by `lower`"),
    ("no smoothing", lambda: constant(1, 0.0, 0.1).solve(START, 1), ValueError,
     "coefficient nu is 0, expected a positive number; bound"),
    ("weights of another shape", lambda: constant(1, 0.1, 0.1, torch.ones(5)).solve(START, 1),
     ValueError, r"weights have shape \(5,\), expected \(8,\), that of the data"),
    ("coefficients without names", lambda: level(lambda p: (1, 1, 1)).solve(START, 1), TypeError,
     r"coefficients are \(1, 1, 1\), expected Coefficients\(alpha"),
    ("number for coefficients", lambda: level(3), TypeError, "coefficients is 3, expected an obj"),
    ("weights that do not fit", lambda: level(squared_weights((9,), 0.1, 0.1)).solve(
        torch.ones(10).double(), 1), ValueError, r"weights have shape \(9,\), expected \(8,\)"),
    ("constant nu zero", lambda: decimal_alpha(0, 1), ValueError, "nu is 0; expected"),
    ("constant xi negative", lambda: decimal_alpha(1, -1), ValueError, "xi is -1; expected"),
    ("data of another shape", lambda: LowerLevel(change(data=P.data[:, :1])).solve(START, 1),
     ValueError, r"data has shape \(2, 1\), expected \(2, 8\) as A x"),
    ("energy of every pixel", lambda: autograd(lambda x, p, y: (x - y) ** 2), ValueError,
     r"energy has shape \(2, 8\), expected \(2,\), one value per sample; sum"),
    ("energy of the batch", lambda: autograd(lambda x, p, y: (x - y).square().sum()), ValueError,
     r"energy has shape \(\), expected \(2,\)"),
    ("number for an energy", lambda: AutogradEnergy(3, abs, abs), TypeError,
     "function is 3, expected a function"),
    ("constant for a function", lambda: AutogradEnergy(abs, 1.0, abs), TypeError,
     "lipschitz is 1.0, expected a function; a constant is lambda params"),
    ("no iterations", lambda: FixedIterations(0), ValueError, "niter is 0; expected"),
    ("experts with a negative weight", lambda: LowerLevel(BilevelProblem(
        ExpertsEnergy((8, 8), Charbonnier(), (0.1,), fixed_filters(dct_filters(2)), 0.1),
        torch.ones(2, 8, 8), SquaredError(torch.ones(2, 8, 8)), torch.ones(2, 8, 8))).solve(
            torch.tensor([0.1, -0.2, 0.1]), 1.0), ValueError,
     "weights have the smallest entry -0.2, expected none below zero.*bound"),
    ("experts without scale", lambda: ExpertsEnergy((8, 8), Charbonnier(), (0.0,), abs, 0.1),
     ValueError, "scales is 0.0; expected"),
    ("negative weights of experts", lambda: RidgeEnergy((8, 8), (1, 2, 2), (0.1,), 0.0).params(
        torch.tensor([[[1.0, -1.0], [0.0, 0.0]]]), -torch.ones(1, 1)), ValueError,
     "weights has the smallest entry -1.0; expected positive"),
]

MODES = [
    ("no accuracy of the adjoint", lambda: Implicit()(LowerLevel(P), START, 1e-3, 0), ValueError,
     r"adjoint_accuracy is 0, expected a positive residual, or one per sample, of shape \(2,\)"),
    ("unknown accuracy of the adjoint", lambda: Implicit()(LowerLevel(P), START, 1e-3, np.nan),
     ValueError, "adjoint_accuracy is nan, expected"),
    ("three of the adjoint", lambda: Implicit()(LowerLevel(P), START, 1e-3, [1, 1, 1]), ValueError,
     r"adjoint_accuracy is \[1, 1, 1\], expected"),
    ("no iterations of the adjoint", lambda: Implicit(0), ValueError, "maxiter is 0; expected"),
    ("dense and large", lambda: Direct(4)(LowerLevel(P), START, 1, 1), ValueError,
     r"8 real unknowns, expected at most 4 for a dense Hessian; use Implicit\(\)"),
    ("no accuracy of the lower level", lambda: JacobianFree()(LowerLevel(P), START, 0, 1),
     ValueError, "accuracy is 0.0 for one of the samples"),
    ("nothing to unroll", lambda: Unrolled(0), ValueError, "niter is 0; expected"),
    ("check of a class", lambda: check_hypergradient(P, START, Implicit, rng()), TypeError,
     r"mode is <class.*such as hypergradients.Implicit\(\)"),
    ("check at a list", lambda: check_hypergradient(P, [0, 0], Implicit(), rng()), TypeError,
     "params is list, expected"),
    ("check without generator", lambda: check_hypergradient(P, START, Implicit(), 0), TypeError,
     "rng is 0, expected a numpy.random.Generator"),
]

METHODS = [
    ("start from a list", lambda: learn(params=[0, 0]), TypeError,
     r"params0 is list, expected a tensor of real floats; pass torch\.tensor"),
    ("start from whole numbers", lambda: learn(params=torch.zeros(2).long()), TypeError,
     "params0 is torch.int64, expected"),
    ("start from complex numbers", lambda: learn(hoag, params=START + 0j), TypeError,
     "params0 is torch.complex128, expected"),
    ("start from NaN", lambda: learn(maid, params=START * np.nan), ValueError,
     "params0 has entries that are not finite"),
    ("start from a matrix", lambda: learn(params=START[None]), ValueError,
     r"params0 has shape \(1, 2\), expected \(P,\), a vector; flatten"),
    ("bounds of another size", lambda: learn(hoag, change(lower=-1 - THREE)), ValueError,
     r"params0 has shape \(2,\), expected \(3,\) as the bounds"),
    ("class for a mode", lambda: learn(mode=Implicit), TypeError,
     r"mode is <class.*expected an object to be called, such as hypergradients.Implicit\(\)"),
    ("class for a lower solver", lambda: learn(maid, solver=Newton), TypeError,
     r"solver is <class.*such as Newton\(\)"),
    ("tolerance zero", lambda: learn(gtol=0), ValueError, "gtol is 0; expected"),
    ("first accuracy zero", lambda: learn(accuracy=0), ValueError, "accuracy is 0; expected"),
    ("first accuracy unknown", lambda: learn(adjoint_accuracy=np.nan), ValueError,
     "adjoint_accuracy is nan; expected"),
    ("half a step", lambda: learn(maxiter=1.5), ValueError, "maxiter is 1.5; expected a whole"),
    ("no memory", lambda: learn(memory=0), ValueError, "memory is 0; expected"),
    ("step backward", lambda: learn(max_step=-1), ValueError, "max_step is -1; expected"),
    ("no step", lambda: learn(hoag, step=0), ValueError, "step is 0; expected"),
    ("word for a schedule", lambda: learn(hoag, schedule="quadratic"), TypeError,
     "schedule is 'quadratic', expected an object to be called, such as exponential"),
    ("all momentum", lambda: learn(maid, momentum=1.0), ValueError,
     "momentum is 1.0; expected at least 0 and below 1"),
    ("step unknown", lambda: learn(maid, step=np.nan), ValueError, "step is nan; expected"),
    ("batch too large", lambda: stochastic(batch_size=3), ValueError,
     "batch_size is 3, expected at most 2, the number of training pairs"),
    ("seed for a generator", lambda: stochastic(generator=0), TypeError,
     r"generator is 0, expected a torch\.Generator.*manual_seed"),
    ("half an epoch", lambda: stochastic(epochs=0.5), ValueError, "epochs is 0.5; expected"),
    ("stochastic start from a list", lambda: stochastic(params=[0, 0]), TypeError,
     "params0 is list"),
    ("derivative-free without bounds", lambda: dynamic_accuracy(change(lower=-np.inf), START, 9),
     ValueError, "bounds are -inf and 2.0, expected finite.*dataclasses.replace"),
    ("derivative-free out of bounds", lambda: dynamic_accuracy(P, START + 9, 9), ValueError,
     r"params0 is .*expected numbers between -4.0 and 2.0; start from problem\.clip"),
    ("too few evaluations", lambda: dynamic_accuracy(P, START, 2), ValueError,
     "maxeval is 2; expected a whole number of at least 3"),
    ("decisions that may be wrong", lambda: dynamic_accuracy(P, START, 9, eta=1.0), ValueError,
     "eta is 1.0, expected at most 0.05.*fixed_accuracy"),
    ("derivative-free from a list", lambda: dynamic_accuracy(P, [0, 0], 9), TypeError,
     "params0 is list"),
    ("radius zero", lambda: dynamic_accuracy(P, START, 9, radius=0), ValueError, "radius is 0; ex"),
    ("class for residuals", lambda: dynamic_accuracy(P, START, 9, residuals=PixelResiduals),
     TypeError, r"residuals is <class.*such as PixelResiduals\(\)"),
    ("class for a solver of dynamic accuracy", lambda: dynamic_accuracy(P, START, 9, Newton),
     TypeError, "solver is <class"),
    ("fixed accuracy zero", lambda: fixed_accuracy(P, START, 9, Newton(), accuracy=0), ValueError,
     "accuracy is 0; expected"),
    ("no problems", lambda: continuation([], START, learn), ValueError, "problems is empty, exp"),
    ("one problem", lambda: continuation(P, START, learn), TypeError,
     "problems is one BilevelProblem, expected a sequence.*call learn"),
    ("number for a problem", lambda: continuation([P, 3], START, learn), TypeError,
     "problems has a int, expected a BilevelProblem"),
    ("number for a method", lambda: continuation([P], START, 3), TypeError, "learn is 3, expected"),
    ("other experts", lambda: semismooth_newton(P, START, Newton()), TypeError,
     "VariationEnergy and a SquaredError; expected an ExpertsEnergy.*lbfgsb"),
    ("setting of nothing", lambda: Journal(3), TypeError, "setting is 3, expected a dict, such as"),
    ("number for a run", lambda: learn(run=3), TypeError,
     r"run is 3, expected a Run, such as Run\("),
    ("one process for several", lambda: dynamic_accuracy(P, START, 9, run=Run(reduce=abs)),
     ValueError, "run has reduce = .*, expected None: derivative-free learning learns in one"),
    ("number for a callback", lambda: learn(run=Run(callback=3)), TypeError,
     "callback is 3, expected"),
    ("checkpoint nowhere", lambda: learn(run=Run("/nowhere/learned.pt")), ValueError,
     "checkpoint is '/nowhere/learned.pt', expected a file in a folder that exists; create"),
]

POINTS = sampling.points((4, 4))

DOORS = [
    ("negative shape", lambda: ForwardDifferences((-3, 4)), ValueError,
     r"shape is \(-3, 4\), expected positive whole numbers"),
    ("no shape", lambda: ForwardDifferences(None), TypeError, "shape is None, expected a tuple"),
    ("negative size", lambda: BackwardDifferences(-3), ValueError, "size is -3; expected"),
    ("nothing to separate", lambda: Separate(None), TypeError, "transform is None, expected a Tra"),
    ("no analysis", lambda: OrthogonalTransform(None, torch.clone, (4,)), TypeError,
     "analysis is None, expected a function"),
    ("no unitary transform", lambda: OrthogonalTransform(
        lambda x: 2 * x, torch.clone, (4,)).forward(torch.ones(1, 4)), ValueError,
     "change images by 1 of their length, expected a unitary"),
    ("no fidelity", lambda: VariationEnergy(None, P.energy.transform, Charbonnier(), abs),
     TypeError, r"fidelity is None, expected Denoising\(\)"),
    ("class for a potential", lambda: VariationEnergy(
        P.energy.fidelity, P.energy.transform, Charbonnier, abs), TypeError,
     "potential is .*expected a Potential"),
    ("complex strong convexity", lambda: ExpertsEnergy((8, 8), Charbonnier(), (0.1,), abs, 1j),
     ValueError, "xi is 1j; expected"),
    ("images of another shape", lambda: ExpertsEnergy(
        (8, 8), Charbonnier(), (0.1,), fixed_filters(dct_filters(2)), 0.1).gradient(
            torch.ones(2, 4, 4), torch.ones(3), torch.ones(2, 4, 4)), ValueError,
     r"x has shape \(2, 4, 4\), expected \(2, 8, 8\)"),
    ("too few coefficients", lambda: decimal(torch.ones(2)), ValueError,
     "params has 2 entries, expected 3: log10 of alpha, nu and xi"),
    ("too few parameters for a function", lambda: P.energy.lipschitz(torch.ones(1).double()),
     ValueError, "cannot be computed from 1 parameters.*expected as many"),
    ("array for images", lambda: P.energy.value(np.ones((2, 8)), START, P.data), TypeError,
     r"x is ndarray, expected a tensor \(B, \*shape\)"),
    ("nothing for data", lambda: P.energy.gradient(P.x0, START, None), TypeError,
     "data is NoneType, expected a tensor of torch.float64 as A x"),
    ("alpha of two numbers", lambda: constant(torch.ones(2), 0.1, 0.1).solve(START, 1), TypeError,
     r"coefficient alpha is a tensor of shape \(2,\)"),
    ("no steps of Newton", lambda: Newton(-1), ValueError, "maxiter is -1; expected"),
    ("no method", lambda: FixedIterations(3, None), TypeError, "method is None, expected a funct"),
    ("word for an accuracy", lambda: LowerLevel(P).solve(START, "high"), TypeError,
     "accuracy is 'high', expected a positive number"),
    ("array for a start", lambda: LowerLevel(P).solve(START, 1, P.x0.numpy()), TypeError,
     "x0 is ndarray, expected a tensor of torch.float64"),
    ("no problem", lambda: LowerLevel(None), TypeError, "problem is None, expected a BilevelPro"),
    ("nothing to learn", lambda: learn(problem=None), TypeError, "problem is None, expected a Bi"),
    ("problem for a lower level", lambda: Implicit()(P, START, 1, 1), TypeError,
     "lower is .*expected a LowerLevel"),
    ("no scheme", lambda: Unrolled(3, scheme=None), TypeError, "scheme is None, expected"),
    ("accuracy of piggyback", lambda: Piggyback(3)(LowerLevel(P), START, -1, 1), ValueError,
     "accuracy is -1, expected a positive"),
    ("no data", lambda: change(data=()), ValueError, "data is an empty tuple"),
    ("loss without bounds", lambda: change(loss=torch.nn.MSELoss()), TypeError, "loss is MSELoss"),
    ("negative error", lambda: P.loss.value_bound(P.x0, -1.0), ValueError, "error_bound is -1.0"),
    ("check of an array", lambda: check_energy(P.energy, P.data.numpy(), START, P.data, rng()),
     TypeError, "x is ndarray, expected a tensor in double precision"),
    ("word for momentum", lambda: learn(maid, momentum="much"), ValueError, "momentum is 'much'"),
    ("too few weights", lambda: POINTS.weights(torch.ones(3)), ValueError,
     "params has 3 entries, expected 16: one for every member"),
    ("scores unknown", lambda: POINTS.chosen(torch.full((16,), np.nan), 0.5), ValueError,
     "scores holds NaN"),
    ("means of an array", lambda: POINTS.means(np.ones((4, 4))), ValueError,
     r"values is ndarray, expected a tensor of shape \(4, 4\)"),
    ("no images to scan", lambda: sampling.simulated_scans(None, 0.1, rng()), TypeError,
     "images has dtype object, expected numbers"),
]

TABLE = PROBLEMS + LOWER_LEVELS + MODES + METHODS + DOORS


@pytest.mark.parametrize(("mistake", "error", "pattern"), [row[1:] for row in TABLE],
                         ids=[row[0] for row in TABLE])  # fmt: skip
def test_mistake(mistake, error, pattern):
    with pytest.raises(error, match=f"(?s){pattern}"):
        mistake()


def test_names_of_the_table_are_unique():
    assert len({row[0] for row in TABLE}) == len(TABLE)


BOBYQA = [
    ({"maxeval": 3}, "maxeval is 3; expected a whole number of at least 4"),
    ({"radius": -1}, "radius is -1; expected"),
    ({"radius": 0.7}, "radius is 0.7, expected more than .* at most 0.5"),
    ({"accuracy": 0}, "accuracy is 0; expected"),
]


@pytest.mark.parametrize(("options", "pattern"), BOBYQA)
def test_mistakes_of_bobyqa(options, pattern):
    pytest.importorskip("pybobyqa")
    with pytest.raises(ValueError, match=pattern):
        bobyqa(P, START, solver=Newton(), **({"maxeval": 9} | options))


OUTSIDE = torch.tensor([0.0, -4.5]).double()


@pytest.mark.parametrize("start", [
    lambda: learn(lbfgsb, params=OUTSIDE), lambda: learn(hoag, params=OUTSIDE),
    lambda: learn(maid, params=OUTSIDE), lambda: stochastic(params=OUTSIDE),
    lambda: dynamic_accuracy(P, OUTSIDE, 9), lambda: fixed_accuracy(P, OUTSIDE, 9, Newton()),
])  # fmt: skip
def test_starts_outside_of_the_bounds_are_named(start):
    """By all methods alike: the number of the parameter, its value, and both bounds."""
    with pytest.raises(ValueError, match=r"params0 is -4.5 for parameter 1, expected numbers "
                       r"between -4.0 and 2.0; start from problem\.clip"):  # fmt: skip
        start()


def test_starts_are_compared_in_their_own_precision():
    """0.7 in single precision is below 0.7 in double precision."""
    problem = change(lower=torch.tensor([-4.0, 0.7]).double())
    assert learn(problem=problem, params=torch.tensor([0.0, 0.7]), maxiter=0).reason == "maxiter"
    assert dynamic_accuracy(problem, torch.tensor([0.0, 0.7]), 3).reason == "maxeval"


FLAGS = {"EXIT_SUCCESS": "radius", "EXIT_MAXFUN_WARNING": "maxeval", "EXIT_SLOW_WARNING": "slow",
         "EXIT_FALSE_SUCCESS_WARNING": "false success", "EXIT_TR_INCREASE_ERROR": "model",
         "EXIT_LINALG_ERROR": "singular"}  # fmt: skip


@pytest.mark.parametrize(("flag", "reason"), FLAGS.items())
def test_bobyqa_says_why_it_stopped(flag, reason, monkeypatch):
    """Errors of Py-BOBYQA are no convergence; the best value found until then is the answer."""
    pybobyqa = pytest.importorskip("pybobyqa")
    real = pybobyqa.solve

    def stopped(values, z, **options):
        result = real(values, z, **options)
        result.flag, result.msg = getattr(result, flag), "rho has reached rhoend"
        return result

    monkeypatch.setattr(pybobyqa, "solve", stopped)
    assert bobyqa(P, START, 9, Newton()).reason == reason


def test_bobyqa_avoids_what_cannot_be_solved():
    """With ``alpha = theta`` a part of the box has no minimizer."""
    pytest.importorskip("pybobyqa")
    energy = VariationEnergy(P.energy.fidelity, P.energy.transform, P.energy.potential,
                             lambda p: Coefficients(p[0], 0.1, 1e-3))  # fmt: skip
    problem = change(energy=energy, lower=-0.1, upper=2.0, penalty=lambda p: 0 * p.sum())
    learned = bobyqa(problem, torch.tensor([0.05, 0.0]).double(), 12, Newton(), radius=0.2)
    assert np.isinf(learned.history["value"]).any() and np.isfinite(learned.value)
    assert learned.value == learned.history["value"].min() and float(learned.params[0]) >= 0
    with pytest.raises(ValueError, match="alpha = -0.05.*expected none below zero"):
        bobyqa(dataclasses.replace(problem, upper=-0.01), torch.tensor([-0.05, -0.05]).double(),
               12, Newton())  # fmt: skip


EXTREMES = [1e3, -1e3, 160.0, -745.0, -160.0, 1e308, -1e308, 1e-320]


@pytest.mark.parametrize("value", EXTREMES)
def test_extreme_parameters_have_clear_errors_or_certified_answers(value):
    """``10^theta`` and its squares overflow and vanish; no bare ZeroDivisionError of floats."""
    problem = change(lower=-np.inf, upper=np.inf)
    for numbers in ([value, value], [0.0, value]):
        params = torch.tensor(numbers, dtype=torch.float64)
        for mode in (Implicit(), Unrolled(3), Piggyback(3)):
            try:
                found = mode(LowerLevel(problem), params, 1e-3, 1e-3)
            except (UnsolvableError, DivergenceError) as error:
                assert "expected" in str(error) or "Check" in str(error)
            else:
                assert not np.isnan([found.value, found.value_bound, found.gradient_bound]).any()
        for method in (lbfgsb, hoag, maid):
            try:
                learned = learn(method, problem, params, maxiter=2)
            except ValueError as error:
                assert "params0" in str(error) or "expected" in str(error)
            else:
                assert np.isfinite([learned.value, learned.value_bound]).all()


def test_infinite_bounds_and_accuracies_are_valid():
    assert isinstance(change(lower=-np.inf, upper=torch.full((2,), np.inf)), BilevelProblem)
    assert LowerLevel(P, memory=0).solve(START, np.inf).reason[0] == "accuracy"
    assert continuation([P], START, lambda problem, params: learn(
        problem=problem, params=params, maxiter=0)).reason == "maxiter"  # fmt: skip
