r"""Lower levels: reconstructions with certified accuracy, from warm starts, with all work counted.

.. math:: |x_i - \hat x_i(\theta)| \le \frac{|\nabla E(x_i)|}{\mu} \le \text{accuracy}_i .
"""

import dataclasses
import time

import numpy as np
import torch

from odl_learned.learning.bilevel.lower_solvers import Newton
from odl_learned.learning.bilevel.problem import require_method
from odl_learned.learning.bilevel.work import CountedEnergy, Work
from odl_learned.solvers import Solution
from odl_learned.validation import require_count


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
    adjoint : tensor ``(B, *shape)`` or None
        The last adjoint state of a hypergradient, where the next one starts.
    """

    def __init__(self, problem, solver=None, memory=8):
        require_count("memory", memory, 0)
        if solver is not None:
            require_method("solver", solver, "Newton()")
        self.problem, self.memory = problem, int(memory)
        self.solver = Newton() if solver is None else solver
        self.work = Work()
        self.adjoint, self._known = None, []

    def fixed(self, params):
        """Return the energy with these parameters, counted."""
        return CountedEnergy(self.problem.energy, params, self.problem.data, self.work)

    def start(self, params):
        """Return where a solve with these parameters starts."""
        if not self._known:
            return self.problem.x0
        distances = [float((known - params).norm()) for known, _ in self._known]
        return self._known[int(np.argmin(distances))][1]

    def solve(self, params, accuracy, x0=None):
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
            the precision of the numbers does not allow the accuracy asked for.

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
        if f.strong_convexity <= 0:
            raise ValueError(
                f"strong_convexity(params) of {type(f.energy).__name__} is {f.strong_convexity}, "
                "expected a positive number: distances to the minimizer cannot be certified "
                "otherwise. Add xi/2 |x|^2 with xi > 0, or bound the parameters."
            )
        x = self.start(params) if x0 is None else x0
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

    def state(self):
        """Return everything that later solves depend on: tensors and numbers in a dictionary."""
        images = [x for _, x in self._known]
        parameters = [params for params, _ in self._known]
        return {
            "parameters": torch.stack(parameters) if parameters else None,
            "images": torch.stack(images) if images else None,
            "adjoint": self.adjoint,
            "work": dataclasses.asdict(self.work),
        }

    def restore(self, state):
        """Continue from what `state` returned, exactly."""
        self.work, self.adjoint = Work(**state["work"]), state["adjoint"]
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
            solution = self.solver(part, start, asked)
            x[rest], reason[rest] = solution.x, solution.reason
            niter[rest] += solution.niter
            bound[rest] = self._certified(part, solution) / mu
            met = bound[rest] <= accuracy[rest]
            reason[rest[met]] = "accuracy"
            floor = f.energy.rounding(solution.x, f.params, part.data).cpu().numpy() / mu
            hopeless = ~met & (2 * floor > accuracy[rest])
            reason[rest[hopeless]] = "rounding"
            rest = rest[~met & ~hopeless & (reason[rest] == "accuracy")]
            if not rest.size:
                break
        reason[rest] = "rounding"
        return Solution(x, bound, niter, reason)

    def _certified(self, f, solution):
        """Bound ``|grad E|`` at a solution, rounding errors of computing it included."""
        x, mu = solution.x, f.strong_convexity
        double = torch.complex128 if x.is_complex() else torch.float64
        if x.dtype == double:
            return mu * solution.error_bound + _numbers(f.energy.rounding(x, f.params, f.data))
        self.work.gradients += len(x)
        x, data = x.to(double), in_double(f.data)
        slope = f.energy.gradient(x, f.params, data).flatten(1)
        return _numbers(slope.norm(dim=1) + f.energy.rounding(x, f.params, data))

    def _accuracy(self, accuracy):
        size = len(self.problem.x0)
        accuracy = np.asarray(accuracy, dtype=float)
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


def in_double(data):
    """Return a tensor or a tuple of tensors in double precision."""
    if isinstance(data, tuple):
        return tuple(in_double(part) for part in data)
    return data.to(torch.complex128 if data.is_complex() else torch.float64)


def _numbers(values):
    return values.double().cpu().numpy()
