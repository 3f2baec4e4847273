"""What must be the same when a run of bilevel learning is continued."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import torch


def setting_of(problem, params0):
    r"""Return what identifies a bilevel problem and its start, for the setting of a `Journal`.

    The functions of a problem cannot be compared; so their values are, at the start and at one
    gradient step of the lower level from there.

    Parameters
    ----------
    problem : BilevelProblem
    params0 : tensor ``(P,)``

    Returns
    -------
    dict of tensors and floats
    """
    energy, x = problem.energy, problem.x0
    lipschitz = energy.lipschitz(params0)
    x = x - energy.gradient(x, params0, problem.data) / lipschitz
    return {
        "params0": params0.detach().clone(),
        "samples": int(x.shape[0]),
        "energy": float(energy.value(x, params0, problem.data).sum()),
        "lipschitz": float(lipschitz),
        "strong_convexity": float(energy.strong_convexity(params0)),
        "loss": float(problem.loss.value(x).sum()),
        "penalty": problem.penalty_value_and_gradient(params0)[0],
        "lower": _bound(problem.lower),
        "upper": _bound(problem.upper),
    }


def described(solver):
    """Return a solver as text that is the same in every process."""
    if not dataclasses.is_dataclass(solver):
        return getattr(solver, "__qualname__", type(solver).__name__)
    fields = ((f.name, getattr(solver, f.name)) for f in dataclasses.fields(solver))
    values = ", ".join(f"{k}={getattr(v, '__qualname__', repr(v))}" for k, v in fields)
    return f"{type(solver).__name__}({values})"


def _bound(value):
    return torch.as_tensor(value, dtype=torch.float64)


def require_same(path, found, expected):
    """Raise ValueError unless a checkpoint has the setting of the run that reads it."""
    advice = "go on with what it was written with, or move the file away to start anew."
    if not isinstance(found, Mapping):
        raise ValueError(f"checkpoint {path} is not one of bilevel learning; {advice}")
    for name in [*expected, *(name for name in found if name not in expected)]:
        if name not in found or name not in expected or not _same(found[name], expected[name]):
            raise ValueError(
                f"checkpoint {path} was written with {name} = {found.get(name, 'absent')}, "
                f"expected {expected.get(name, 'absent')}; {advice}"
            )


def _same(a: Any, b: Any):
    if isinstance(a, torch.Tensor) or isinstance(b, torch.Tensor):
        a, b = torch.as_tensor(a), torch.as_tensor(b)
        return a.shape == b.shape and a.dtype == b.dtype and bool(
            torch.isclose(a, b, rtol=1e-6, atol=0).all())  # fmt: skip
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-6) or a == b or (math.isnan(a) and math.isnan(b))
    return type(a) is type(b) and a == b
