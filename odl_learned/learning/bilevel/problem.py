r"""Bilevel problems: an energy, training pairs, a loss and a penalty.

.. math:: \min_\theta f(\theta) = \sum_i \ell_i(\hat x_i(\theta)) + p(\theta), \qquad
          \hat x_i(\theta) = \text{argmin}_x E(x, \theta, y_i), \qquad a \le \theta \le b .
"""

import dataclasses
import math
from collections.abc import Callable

import torch

from odl_learned.energies.doors import require_samples
from odl_learned.energies.energy import Data, ParametricEnergy, UnsolvableError
from odl_learned.energies.fixed_energy import take
from odl_learned.energies.samples import Index
from odl_learned.learning.bilevel.loss import UpperLoss
from odl_learned.validation import shown


def no_penalty(params: torch.Tensor) -> torch.Tensor:
    """The penalty zero."""
    return 0 * params.sum()


@dataclasses.dataclass(frozen=True, eq=False)
class BilevelProblem:
    r"""What is learned from what.

    Parameters
    ----------
    energy : ParametricEnergy
        ``E``, smooth and strongly convex in ``x``.
    data : tensor or tuple of tensors, first axis ``B``
        Measurements ``y_i``.
    loss : SquaredError, or an object with the same methods
        Upper-level loss of every sample.
    x0 : tensor ``(B, *shape)``
        Where the first lower-level solve starts.
    penalty : callable, optional
        ``params -> p(params)``, differentiable by torch, a tensor without axes.
    lower, upper : float or tensor ``(P,)``, optional
        Bounds of the parameters.

    Raises
    ------
    TypeError
        If energy or penalty are none, or data, truth and start no tensors of numbers.
    ValueError
        If these have different numbers of samples or entries that are not finite, or a lower bound
        is above the upper one.
    """

    energy: ParametricEnergy
    data: Data
    loss: UpperLoss
    x0: torch.Tensor
    penalty: Callable[[torch.Tensor], torch.Tensor] = no_penalty
    lower: float | torch.Tensor = -math.inf
    upper: float | torch.Tensor = math.inf

    def __post_init__(self):
        if not isinstance(self.energy, ParametricEnergy):
            raise TypeError(
                f"energy is {self.energy!r}, expected a ParametricEnergy such as VariationEnergy; "
                "a function of (x, params, data) becomes one by AutogradEnergy."
            )
        if not callable(self.penalty):
            raise TypeError(
                f"penalty is {self.penalty!r}, expected a function of params; leave it out for "
                "none."
            )
        if isinstance(self.loss, type) or not all(hasattr(self.loss, name) for name in (
                "value", "gradient", "value_bound", "lipschitz", "take")):  # fmt: skip
            raise TypeError(
                f"loss is {self.loss!r}, expected SquaredError(truth), or an object with its "
                "methods."
            )
        require_samples("x0", self.x0)
        truth = getattr(self.loss, "truth", self.x0)
        if truth.shape != self.x0.shape:
            raise ValueError(
                f"x0 has shape {tuple(self.x0.shape)}, expected {tuple(truth.shape)} as the truth "
                "of the loss; start from zeros_like(truth) or the data."
            )
        parts = self.data if isinstance(self.data, tuple) else (self.data,)
        if not parts:
            raise ValueError("data is an empty tuple, expected at least one tensor with a first "
                             "axis of samples.")
        for part in parts:
            require_samples("data", part)
            if len(part) != len(self.x0):
                raise ValueError(
                    f"data has {len(part)} samples, expected {len(self.x0)} as x0 and the truth; "
                    "stack the measurements of all pairs along the first axis."
                )
        self._require_bounds()

    def _require_bounds(self):
        bounds = {}
        for name in ("lower", "upper"):
            try:
                bound = bounds[name] = torch.as_tensor(getattr(self, name))
            except (RuntimeError, TypeError, ValueError) as error:
                raise TypeError(
                    f"{name} is {getattr(self, name)!r}, expected a number or a tensor (P,); "
                    "leave it out where there is no bound."
                ) from error
            vector = bound.ndim < 2 and bound.numel() and not bound.is_complex()
            if not vector or bool(torch.isnan(bound).any()):
                raise ValueError(
                    f"{name} is {bound}, expected a number or a real vector, one bound for every "
                    "parameter, infinite where there is none."
                )
        lower, upper = bounds.values()
        for name, bound, never in (("lower", lower, math.inf), ("upper", upper, -math.inf)):
            if bool((bound == never).any()):
                raise ValueError(f"{name} is {bound}, expected no {never}, which no parameter "
                                 f"satisfies; {-never} means that there is no bound.")
        if lower.ndim and upper.ndim and lower.shape != upper.shape:
            raise ValueError(
                f"lower and upper have shapes {tuple(lower.shape)} and {tuple(upper.shape)}, "
                "expected the same, that of params."
            )
        crossed = (lower > upper).reshape(-1)
        if crossed.any():
            k = int(crossed.int().argmax())
            low, high = (float(b.expand(crossed.shape)[k]) for b in (lower, upper))
            raise ValueError(
                f"lower is {low} and upper is {high} for parameter {k}, expected lower <= upper; "
                "exchange them."
            )

    def require_params(self, params: torch.Tensor, name: str = "params0") -> None:
        """Raise unless parameters are a finite real vector of the length of the bounds."""
        if not (isinstance(params, torch.Tensor) and params.is_floating_point()):
            given = params.dtype if isinstance(params, torch.Tensor) else type(params).__name__
            raise TypeError(
                f"{name} is {given}, expected a tensor of real floats; pass torch.tensor([...], "
                "dtype=torch.float64)."
            )
        shapes = {tuple(b.shape) for b in map(torch.as_tensor, (self.lower, self.upper)) if b.ndim}
        if params.ndim != 1 or shapes - {tuple(params.shape)}:
            expected = f"{shapes.pop()} as the bounds" if shapes else "(P,), a vector"
            raise ValueError(
                f"{name} has shape {tuple(params.shape)}, expected {expected}; flatten() it, "
                "and let the energy reshape it."
            )
        if params.device.type == "meta":
            raise ValueError(f"{name} is on the device meta, expected numbers; build it on a real "
                             "one.")
        if not bool(torch.isfinite(params).all()):
            raise ValueError(
                f"{name} has entries that are not finite: {params}; expected finite numbers. Look "
                "at the step that led there, or at logarithms of zero."
            )

    def require_start(self, params: torch.Tensor) -> None:
        """Raise unless parameters are as `require_params` wants them, and within the bounds."""
        self.require_params(params)
        outside = (self.clip(params) != params).nonzero()
        if len(outside):
            k = int(outside[0])
            low, high = (float(torch.as_tensor(b).expand(params.shape)[k])
                         for b in (self.lower, self.upper))  # fmt: skip
            raise ValueError(
                f"params0 is {float(params[k])} for parameter {k}, expected numbers between "
                f"{low} and {high}; start from problem.clip(params0), or set other bounds by "
                "dataclasses.replace(problem, lower=..., upper=...)."
            )

    def take(self, index: Index) -> "BilevelProblem":
        """Return the problem of some of the training pairs; the penalty stays as it is."""
        return dataclasses.replace(self, data=take(self.data, index), loss=self.loss.take(index),
                                   x0=take(self.x0, index))  # fmt: skip

    def penalty_value(self, params: torch.Tensor) -> float:
        """Return the penalty as a float, or raise UnsolvableError where it is not finite."""
        with torch.no_grad():
            value = self.penalty(params)
        _require_scalar(value)
        return _finite(value)

    def penalty_value_and_gradient(self, params: torch.Tensor) -> tuple[float, torch.Tensor]:
        """Return the penalty as a float and its gradient ``(P,)``, or raise UnsolvableError."""
        with torch.enable_grad():
            params = params.detach().requires_grad_()
            value = self.penalty(params)
            _require_scalar(value)
            slope = torch.zeros_like(params)
            if value.requires_grad:
                (slope,) = torch.autograd.grad(
                    value, params, allow_unused=True, materialize_grads=True)
        if not bool(torch.isfinite(slope).all()):
            _finite(math.nan)
        return _finite(value), slope

    def clip(self, params: torch.Tensor) -> torch.Tensor:
        """Return the nearest admissible parameters."""
        lower, upper = (torch.as_tensor(b, dtype=params.dtype) for b in (self.lower, self.upper))
        return torch.minimum(torch.maximum(params, lower), upper)


def _require_scalar(value):
    if not (isinstance(value, torch.Tensor) and value.ndim == 0):
        given = type(value).__name__
        if isinstance(value, torch.Tensor):
            given = f"a tensor of shape {tuple(value.shape)}"
        raise TypeError(
            f"the penalty returned {given}, expected a tensor without axes computed from params; "
            "sum over the parameters."
        )


def _finite(penalty):
    penalty = float(torch.as_tensor(penalty).detach())
    if not math.isfinite(penalty):
        raise UnsolvableError(
            "the penalty or its gradient is not finite, expected finite numbers; bound the "
            "parameters by `lower` and `upper` of the problem."
        )
    return penalty


def require_problem(problem):
    """Raise TypeError unless this is a `BilevelProblem`."""
    if not isinstance(problem, BilevelProblem):
        raise TypeError(f"problem is {shown(problem)}, expected a BilevelProblem(energy, data, "
                        "loss, x0).")


def require_lower(lower):
    """Raise TypeError unless this is a `LowerLevel`, or an object with its methods."""
    if not all(hasattr(lower, name) for name in ("problem", "fixed", "work")):
        raise TypeError(f"lower is {shown(lower)}, expected a LowerLevel(problem).")
