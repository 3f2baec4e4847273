r"""Lower levels: reconstructions with certified accuracy, from warm starts, with all work counted.

.. math:: |x_i - \hat x_i(\theta)| \le \frac{|\nabla E(x_i)|}{\mu} \le \text{accuracy}_i .
"""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import torch

from odl_learned.energies.fixed_energy import in_double
from odl_learned.learning.bilevel.lower.claim_trial import certified_bounds
from odl_learned.learning.bilevel.lower.lower_solvers import LowerSolver, Newton, certifies
from odl_learned.learning.bilevel.problem import BilevelProblem, require_problem
from odl_learned.learning.bilevel.work import CountedEnergy, Work
from odl_learned.solvers import DivergenceError, Solution
from odl_learned.validation import require_count, require_method, shown

#: Distances to reach, one for all samples or one for each.
Accuracy = float | Sequence[float] | np.ndarray


class Lower(Protocol):
    """What a hypergradient asks of a lower level; `LowerLevel` has it."""

    adjoint: torch.Tensor | None

    @property
    def problem(self) -> BilevelProblem: ...

    @property
    def work(self) -> Work: ...

    def fixed(self, params: torch.Tensor, /) -> CountedEnergy: ...

    def solve(self, params: torch.Tensor, accuracy: Accuracy, /) -> Solution: ...


class LowerLevel:
    r"""The map from parameters to reconstructions of all training data, solved inexactly.

    Every solve starts at the reconstructions for the nearest earlier parameters, in the Euclidean
    distance. The certificate includes the rounding errors of the gradient: it is computed in double
    precision, and the bound of them that the energy gives is added.

    Parameters
    ----------
    problem : BilevelProblem
        Energy, data and start.
    solver : callable, optional
        ``(f, x0, accuracy) -> Solution`` with ``f`` a `FixedEnergy` and one accuracy per sample.
        Default: ``Newton()``.
    memory : int, optional
        How many earlier solutions are kept for warm starts; 0 starts always at ``problem.x0``.

    Attributes
    ----------
    work : Work
        What was spent so far.
    refuted : list of pairs
        Parameters, and the name of what was refuted there; see `claims`.
    adjoint : tensor ``(B, *shape)`` or None
        The last adjoint state of a hypergradient, where the next one starts.
    """

    def __init__(
        self, problem: BilevelProblem, solver: LowerSolver | None = None, memory: int = 8
    ) -> None:
        require_problem(problem)
        require_count("memory", memory, 0)
        if solver is not None:
            require_method("solver", solver, "Newton()", 3)
        self.problem, self.memory = problem, int(memory)
        self.solver = Newton() if solver is None else solver
        self.work = Work()
        self.refuted: list[tuple] = []
        self.adjoint: torch.Tensor | None = None
        self._known: list[tuple[torch.Tensor, torch.Tensor]] = []

    def fixed(self, params: torch.Tensor) -> CountedEnergy:
        """Return the energy with these parameters, counted."""
        return CountedEnergy(self.problem.energy, params, self.problem.data, self.work,
                             self.refuted)  # fmt: skip

    def start(self, params: torch.Tensor) -> torch.Tensor:
        """Return where a solve with these parameters starts."""
        if not self._known:
            return self.problem.x0
        distances = [float((known - params).norm()) for known, _ in self._known]
        return self._known[int(np.argmin(distances))][1]

    def solve(
        self, params: torch.Tensor, accuracy: Accuracy, x0: torch.Tensor | None = None
    ) -> Solution:
        r"""Return reconstructions with a certified distance to the exact ones.

        Parameters
        ----------
        params : tensor ``(P,)``
        accuracy : float or array ``(B,)``
            Distances to reach, in the Euclidean norm of one sample.
        x0 : tensor ``(B, *shape)``, optional
            Start. Default: `start`.

        Returns
        -------
        solution : Solution
            ``error_bound`` is valid whatever the reason to stop; ``reason`` is ``"rounding"`` where
            the precision of the numbers does not allow the accuracy asked for, ``"refuted"`` where
            a constant of the energy turned out to be wrong, which is a RuntimeWarning and makes
            all bounds infinite.

        Raises
        ------
        ValueError
            If an accuracy is not positive, parameters are not finite, or the energy is not
            strongly convex.
        TypeError
            If the parameters are no tensor of floats.
        """
        self.problem.require_params(params, "params")
        params = params.detach()
        accuracy = self._accuracy(accuracy)
        began = time.process_time()
        f = self.fixed(params)
        x = self.start(params) if x0 is None else x0
        if not isinstance(x, torch.Tensor) or x.dtype != self.problem.x0.dtype:
            given = x.dtype if isinstance(x, torch.Tensor) else type(x).__name__
            raise TypeError(f"x0 is {given}, expected a tensor of {self.problem.x0.dtype} as "
                            "problem.x0; leave it out to start at the nearest earlier solution.")
        if x.shape != self.problem.x0.shape or not bool(torch.isfinite(x).all()):
            raise ValueError(
                f"x0 has shape {tuple(x.shape)} and {int((~torch.isfinite(x)).sum())} entries that "
                f"are not finite, expected {tuple(self.problem.x0.shape)} and none; leave it out "
                "to start at the nearest earlier solution."
            )
        solution = self._solved(f, x.detach(), accuracy)
        self._remember(params, solution.x)
        self.work.solves += 1
        self.work.seconds += time.process_time() - began
        return solution

    def state(self) -> dict[str, object]:
        """Return everything that later solves depend on: tensors and numbers in a dictionary."""
        images = [x for _, x in self._known]
        parameters = [params for params, _ in self._known]
        return {
            "parameters": torch.stack(parameters) if parameters else None,
            "images": torch.stack(images) if images else None,
            "adjoint": self.adjoint,
            "refuted": [list(pair) for pair in self.refuted],
            "work": dataclasses.asdict(self.work),
        }

    def restore(self, state: Mapping) -> None:
        """Continue from what `state` returned, exactly."""
        counts = {field.name: state["work"][field.name] for field in dataclasses.fields(Work)}
        self.work, self.adjoint = Work(**counts), state["adjoint"]
        self.refuted = [tuple(pair) for pair in state["refuted"]]
        self._known = []
        if state["images"] is not None:
            self._known = list(zip(state["parameters"], state["images"], strict=True))

    def _solved(self, f, x, accuracy):
        """Solve, certify, and solve again where the certificate misses by rounding errors.

        The solver is asked for the accuracy less the rounding errors of its gradients, but not for
        less than these.
        """
        mu, size = f.strong_convexity, len(x)
        niter, reason = np.zeros(size, dtype=int), np.full(size, "accuracy", dtype=object)
        rest = np.arange(size)
        x = x.clone()
        bound = np.zeros(size)
        for _ in range(3):
            part, start = f if len(rest) == size else f.take(rest), x[rest]
            floor = f.energy.rounding(start, f.params, part.data).cpu().numpy() / mu
            asked = np.maximum(accuracy[rest] - floor, floor)
            solution = self._solution(part, start, asked)
            x[rest], reason[rest] = solution.x, solution.reason
            niter[rest] += solution.niter
            bound[rest] = self._slopes(part, solution) / mu
            met = bound[rest] <= accuracy[rest]
            reason[rest[met]] = "accuracy"
            if met.all():
                rest = rest[:0]
                break
            floor = f.energy.rounding(solution.x, f.params, part.data).cpu().numpy() / mu
            hopeless = ~met & (2 * floor > accuracy[rest])
            reason[rest[hopeless]] = "rounding"
            rest = rest[~met & ~hopeless & (reason[rest] == "accuracy")]
            if not rest.size:
                break
        reason[rest] = "rounding"
        bound = certified_bounds(f, x, bound)
        if not f.claims.stands("constants"):
            reason[:] = "refuted"
        return Solution(x, bound, niter, reason)

    def _solution(self, f, x, accuracy):
        """What the solver returns, after checks, or its failure with what to do next."""
        try:
            solution = self.solver(f, x, accuracy)
        except DivergenceError as error:
            raise DivergenceError(
                f"{error} The constants are those of {type(f.energy).__name__}; "
                "check_energy(energy, x, params, data, rng) finds out which one is wrong."
            ) from error
        if certifies(self.solver):
            return solution
        found = getattr(solution, "x", None)
        if not (isinstance(found, torch.Tensor) and found.shape == x.shape
                and found.dtype == x.dtype):  # fmt: skip
            given = type(solution).__name__
            if isinstance(found, torch.Tensor):
                given = f"x of shape {tuple(found.shape)} and {found.dtype}"
            raise TypeError(f"the solver returned {given}, expected a Solution(x, error_bound, "
                            f"niter, reason) with x of shape {tuple(x.shape)} and {x.dtype}.")
        return solution

    def _slopes(self, f, solution):
        """Bound ``|grad E|`` at a solution, rounding errors of computing it included."""
        x, mu = solution.x, f.strong_convexity
        double = torch.complex128 if x.is_complex() else torch.float64
        if x.dtype == double and certifies(self.solver):
            return mu * solution.error_bound + _numbers(f.energy.rounding(x, f.params, f.data))
        self.work.gradients += len(x)
        x, data = x.to(double), in_double(f.data)
        slope = f.energy.gradient(x, f.params, data).flatten(1)
        return _numbers(slope.norm(dim=1) + f.energy.rounding(x, f.params, data))

    def _accuracy(self, accuracy):
        size = len(self.problem.x0)
        try:
            accuracy = np.asarray(accuracy, dtype=float)
        except (TypeError, ValueError, OverflowError) as error:
            raise TypeError(f"accuracy is {shown(accuracy)}, expected a positive number, or one "
                            "per sample.") from error
        if accuracy.shape not in ((), (1,), (size,)):
            raise ValueError(f"accuracy has shape {accuracy.shape}, expected one number or "
                             f"({size},), one per sample.")
        accuracy = np.broadcast_to(accuracy, (size,))
        if not (accuracy > 0).all():
            raise ValueError(f"accuracy is {float(accuracy.min())!r} for one of the samples; "
                             "expected positive distances, such as 1e-3 times an image's norm.")
        return accuracy

    def _remember(self, params, x):
        if not self.memory:
            return
        self._known = [(p, z) for p, z in self._known if not torch.equal(p, params)]
        self._known = [*self._known, (params.clone(), x)][-self.memory :]


def _numbers(values):
    return values.double().cpu().numpy()
