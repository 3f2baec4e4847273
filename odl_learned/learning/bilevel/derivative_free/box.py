"""Parameters of bilevel problems in the unit box, where trust regions are the same for all."""

import numpy as np
import torch


class Box:
    """Parameters scaled to the unit box, with the penalty there.

    Raises
    ------
    ValueError
        If bounds are infinite or empty, or the start is not within them.
    TypeError
        If the loss is not a squared error.
    """

    def __init__(self, problem, params0):
        if not (hasattr(problem.loss, "truth") and hasattr(problem.loss, "factor")):
            raise TypeError(
                f"the loss is {type(problem.loss).__name__}, expected SquaredError: models are "
                "those of least squares; for other losses use bobyqa or a method of first order."
            )
        problem.require_start(params0)
        self._problem, self._dtype = problem, params0.dtype
        self._lower, self._upper = (
            torch.as_tensor(b, dtype=torch.float64).expand(params0.shape).numpy()
            for b in (problem.lower, problem.upper)
        )
        with np.errstate(over="ignore", invalid="ignore"):
            self._width = self._upper - self._lower
        if not np.all((self._width > 0) & (self._width < np.inf)):
            raise ValueError(
                f"the bounds are {problem.lower} and {problem.upper}, expected finite numbers, the "
                "lower below the upper ones, and a finite distance: the trust region needs a scale "
                "of every parameter. Set them by dataclasses.replace(problem, lower=..., "
                "upper=...)."
            )

    def scaled(self, params):
        """Return ``z`` of parameters, an array ``(n,)``."""
        # Bounds are compared in the precision of params.
        return np.clip((params.double().numpy() - self._lower) / self._width, 0, 1)

    def params(self, z):
        """Return the parameters as a tensor."""
        return torch.as_tensor(self._values(z), dtype=self._dtype)

    def condition(self, z):
        """Return the condition number of the lower level: evaluations cost about its root."""
        params, energy = self.params(z), self._problem.energy
        return energy.lipschitz(params) / energy.strong_convexity(params)

    def penalty(self, z):
        """Return the penalty as a float."""
        return self._problem.penalty_value(torch.as_tensor(self._values(z)))

    def expansion(self, z):
        """Return gradient and Hessian of the penalty with respect to ``z``."""
        params, w = torch.as_tensor(self._values(z)), self._width
        slope = self._problem.penalty_value_and_gradient(params)[1]
        bend = torch.autograd.functional.hessian(self._problem.penalty, params).numpy()
        return slope.numpy() * w, bend * np.outer(w, w)

    def _values(self, z):
        return np.clip(self._lower + z * self._width, self._lower, self._upper)
