r"""Derivative-free bilevel learning with lower levels that are always solved alike.

What dynamic accuracy is compared with: the same trust-region algorithm, or Py-BOBYQA, on values
that are all computed to one accuracy or by one number of iterations. Neither knows whether the
values are accurate enough for its decisions.
"""

import math
from types import SimpleNamespace

import numpy as np
import torch

from odl_learned.learning.bilevel.derivative_free.accuracy_rules import FixedAccuracy
from odl_learned.learning.bilevel.derivative_free.box import Box
from odl_learned.learning.bilevel.derivative_free.dynamic_accuracy import learn
from odl_learned.learning.bilevel.derivative_free.residuals import ImageResiduals, PixelResiduals
from odl_learned.learning.bilevel.lower.lower_level import LowerLevel
from odl_learned.learning.bilevel.lower.lower_solvers import LowerSolver
from odl_learned.learning.bilevel.problem import BilevelProblem, require_problem
from odl_learned.learning.bilevel.progress import Journal, Learned
from odl_learned.learning.bilevel.run import Run, require_one_process
from odl_learned.learning.bilevel.settings import described, setting_of
from odl_learned.validation import require_count, require_positive


def fixed_accuracy(
    problem: BilevelProblem,
    params0: torch.Tensor,
    maxeval: int,
    solver: LowerSolver,
    accuracy: float = 1e-6,
    residuals: PixelResiduals | ImageResiduals = PixelResiduals(),
    radius: float = 0.1,
    largest_radius: float = 1.0,
    smallest_radius: float = 1e-6,
    memory: int = 8,
    run: Run = Run(),
) -> Learned:
    r"""Learn parameters as `dynamic_accuracy` does, believing every value.

    Parameters
    ----------
    problem, params0, maxeval : see `dynamic_accuracy`
    solver : lower-level solver
        ``FixedIterations(2000)``, say, or another one that goes on until the accuracy.
    accuracy : float, optional
        Distance of all reconstructions to the exact ones that is asked for; a solver with a fixed
        number of iterations does not listen.
    memory : int, optional
        Of warm starts, see `LowerLevel`; 0 starts always at ``problem.x0``.
    residuals, radius, largest_radius, smallest_radius, run : optional
        See `dynamic_accuracy`.

    Returns
    -------
    Learned
        ``value_bound`` still tells how accurate the value is.
    """
    require_positive("accuracy", accuracy)
    return learn(problem, params0, maxeval, solver, residuals, FixedAccuracy(float(accuracy)),
                 (radius, largest_radius, smallest_radius), run, memory)  # fmt: skip


def bobyqa(
    problem: BilevelProblem,
    params0: torch.Tensor,
    maxeval: int,
    solver: LowerSolver,
    accuracy: float = 1e-6,
    radius: float = 0.1,
    smallest_radius: float = 1e-8,
    memory: int = 8,
    run: Run = Run(),
) -> Learned:
    r"""Learn parameters by Py-BOBYQA: quadratic interpolation of values, bounds, trust regions.

    C. Cartis, J. Fiala, B. Marteau and L. Roberts, Improving the flexibility and robustness of
    model-based derivative-free optimization solvers, ACM Trans. Math. Software 45 (2019).

    Parameters
    ----------
    problem, params0, maxeval, solver, accuracy, memory : see `fixed_accuracy`
        ``maxeval`` counts all evaluations.
    radius, smallest_radius : float, optional
        First and last trust-region radius, where the box has width one.
    run : Run, optional
        Checkpoint, callback and progress bar.

    Returns
    -------
    Learned
        The best of the finite values, with the history of `dynamic_accuracy`, ``radius`` and
        ``ratio`` excepted. Reasons: ``"radius"`` if the smallest radius was reached,
        ``"maxeval"``, ``"noise"`` if values differ by rounding errors only, ``"slow"`` and
        ``"false success"`` if steps gained next to nothing, ``"model"`` and ``"singular"`` if
        interpolation failed.

    Raises
    ------
    ImportError
        Without Py-BOBYQA.
    ValueError
        If arguments are out of range, or no value is finite.

    Examples
    --------
    >>> import torch
    >>> from odl_learned import energies
    >>> from odl_learned.energies import coefficients, potentials, transforms
    >>> from odl_learned.learning import bilevel
    >>> from odl_learned.learning.bilevel import derivative_free, lower
    >>> truth, seed = torch.zeros(2, 16, dtype=torch.float64), torch.Generator().manual_seed(0)
    >>> truth[:, 5:11] = 1
    >>> y = truth + 0.1 * torch.randn(truth.shape, generator=seed, dtype=torch.float64)
    >>> energy = energies.VariationEnergy(
    ...     energies.Denoising(), transforms.BackwardDifferences(16), potentials.Charbonnier(),
    ...     coefficients.decimal_alpha(nu=0.1, xi=1e-3))
    >>> loss = bilevel.SquaredError(truth)
    >>> problem = bilevel.BilevelProblem(energy, y, loss, y, lower=-4.0, upper=2.0)
    >>> alpha = torch.zeros(1, dtype=torch.float64)  # log10 of it
    >>> learned = derivative_free.bobyqa(problem, alpha, 20, lower.Newton(20), radius=0.5)
    >>> isinstance(learned, bilevel.Learned)
    True
    >>> print(f"{learned.params[0]:.1f}")
    -1.0
    """
    try:
        import pybobyqa
    except ImportError as error:
        raise ImportError(
            'bobyqa needs Py-BOBYQA, which is not installed: pip install "odl_learned[dfo]".'
        ) from error
    require_problem(problem)
    problem.require_start(params0)
    require_count("maxeval", maxeval, len(params0) + 2)
    require_one_process(run, "bobyqa")
    for name, value in (("accuracy", accuracy), ("radius", radius),
                        ("smallest_radius", smallest_radius)):  # fmt: skip
        require_positive(name, value)
    if not smallest_radius < radius <= 0.5:
        raise ValueError(f"radius is {radius}, expected more than {smallest_radius}, the smallest "
                         "radius, and at most 0.5, since the box has width one.")
    box = Box(problem, params0)
    setting = setting_of(problem, params0) | {
        "method": "bobyqa", "solver": described(solver), "accuracy": float(accuracy),
        "maxeval": maxeval, "radius": float(radius), "smallest_radius": float(smallest_radius),
        "memory": memory}  # fmt: skip
    with Journal(setting, run) as journal:
        values = _Values(problem, box, solver, float(accuracy), memory, journal)
        result = pybobyqa.solve(
            values, box.scaled(params0), bounds=(np.zeros(len(params0)), np.ones(len(params0))),
            rhobeg=radius, rhoend=smallest_radius, maxfun=maxeval, do_logging=False)  # fmt: skip
        best = values.best
        if result.flag == result.EXIT_INPUT_ERROR or best is None:
            raise ValueError(
                f"bobyqa found no value that is finite ({result.msg}); expected parameters in the "
                "box where the lower level can be solved; set other bounds, or start elsewhere."
            ) from values.failure
        return journal.learned(box.params(best.z), best.value, best.value_bound,
                               _reason(result))  # fmt: skip


def _reason(result):
    """Why Py-BOBYQA stopped, by its flag."""
    if result.flag == result.EXIT_SUCCESS:
        return "radius" if "rhoend" in result.msg else "noise"
    return {
        result.EXIT_MAXFUN_WARNING: "maxeval",
        result.EXIT_SLOW_WARNING: "slow",
        result.EXIT_FALSE_SUCCESS_WARNING: "false success",
        result.EXIT_TR_INCREASE_ERROR: "model",
        result.EXIT_LINALG_ERROR: "singular",
    }.get(result.flag, f"flag {result.flag}")


class _Values:
    """``z -> f~(z)``, with the journal; replays what a checkpoint holds."""

    def __init__(self, problem, box, solver, accuracy, memory, journal):
        self._problem, self._box, self._journal = problem, box, journal
        self._lower_level = LowerLevel(problem, solver, memory)
        self._accuracy, self._count, self._log, self.best = accuracy, 0, [], None
        self.failure = None
        state = journal.resume()
        if state is not None:
            self._log = list(state["log"])
            self._lower_level.restore(state["lower_level"])

    def __call__(self, z):
        self._count += 1
        replayed = self._count <= len(self._log)
        if not replayed:
            self._log.append(self._solve(z))
        value, bound, error = self._log[self._count - 1]
        if math.isfinite(value) and (self.best is None or value < self.best.value):
            self.best = SimpleNamespace(z=np.array(z), value=value, value_bound=bound)
        if not replayed:
            work, best = self._lower_level.work, self.best
            z_best, least = (z, value) if best is None else (best.z, best.value)
            row = {
                "evaluation": self._count, "params": self._box.params(z), "value": value,
                "value_bound": bound, "accuracy": self._accuracy, "error_bound": error,
                "gradients": work.gradients, "hessian_products": work.hessian_products,
                "best": self._box.params(z_best), "best_value": least,
            }  # fmt: skip
            self._journal.accepted(row, self._state)
        if math.isfinite(value):
            return value
        # Worse than all others, but not so large that interpolation overflows.
        known = [abs(v) for v, _, _ in self._log[: self._count] if math.isfinite(v)]
        return 10 * max(known, default=1e10)

    def _state(self):
        return {"log": self._log, "lower_level": self._lower_level.state()}

    def _solve(self, z):
        try:
            solution = self._lower_level.solve(self._box.params(z), self._accuracy)
            penalty = self._box.penalty(z)
        except ArithmeticError as error:  # what cannot be solved is avoided
            self.failure = error
            return math.inf, math.inf, math.inf
        loss, x = self._problem.loss, solution.x
        value = float(loss.value(x).sum()) + penalty
        bound = float(loss.value_bound(x, solution.error_bound).sum())
        return value, bound, float(np.max(solution.error_bound))
