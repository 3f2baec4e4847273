"""What must be the same when a run of bilevel learning is continued."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import torch


def setting_of(problem, params0):
    r"""Return what identifies a bilevel problem and its start, for the setting of a `Journal`.

    Tensors are known by their `fingerprint`. The functions of a problem cannot be compared; so
    their values are, at the start and at one gradient step of the lower level from there.

    Parameters
    ----------
    problem : BilevelProblem
    params0 : tensor ``(P,)``

    Returns
    -------
    dict of tensors, floats and strings
    """
    energy, x = problem.energy, problem.x0
    lipschitz = energy.lipschitz(params0)
    x = x - energy.gradient(x, params0, problem.data) / lipschitz
    parts = problem.data if isinstance(problem.data, tuple) else (problem.data,)
    tensors = {f"data[{k}]" if k else "data": part for k, part in enumerate(parts)}
    tensors["x0"] = problem.x0
    if isinstance(getattr(problem.loss, "truth", None), torch.Tensor):
        tensors["truth"] = problem.loss.truth
    return {
        "params0": params0.detach().clone(),
        "samples": int(x.shape[0]),
        **{name: kind_of(tensor) for name, tensor in tensors.items()},
        **{f"values of {name}": fingerprint(tensor) for name, tensor in tensors.items()},
        "energy": float(energy.value(x, params0, problem.data).sum()),
        "lipschitz": float(lipschitz),
        "strong_convexity": float(energy.strong_convexity(params0)),
        "loss": float(problem.loss.value(x).sum()),
        "penalty": problem.penalty_value_and_gradient(params0)[0],
        "lower": _bound(problem.lower),
        "upper": _bound(problem.upper),
    }


def kind_of(tensor):
    """Return dtype and shape as text."""
    return f"{tensor.dtype} of shape {tuple(tensor.shape)}"


def fingerprint(tensor):
    r"""Return two numbers that other values, other signs or another order change, ``(2,)``.

    .. math:: |x|, \qquad \Big| x + \frac{|x|}{\sqrt n} c \Big|, \quad c_k = \cos k ,

    for complex entries with ``exp(i k)``. Neither is a small difference of large numbers, so that
    both are the same on other machines, up to rounding.
    """
    x = tensor.detach().reshape(-1).cpu()
    x = x.to(torch.complex128 if x.is_complex() else torch.float64)
    k = torch.arange(x.numel(), dtype=torch.float64)
    wave = torch.polar(torch.ones_like(k), k) if x.is_complex() else torch.cos(k)
    norm = torch.linalg.vector_norm(x)
    moved = x + norm / math.sqrt(max(1, x.numel())) * wave
    return torch.stack([norm, torch.linalg.vector_norm(moved)])


def described(solver):
    """Return a solver, a mode or a function as text that is the same in every process."""
    if not dataclasses.is_dataclass(solver):
        return getattr(solver, "__qualname__", type(solver).__name__)
    fields = ((f.name, getattr(solver, f.name)) for f in dataclasses.fields(solver))
    return f"{type(solver).__name__}({', '.join(f'{k}={_text(v)}' for k, v in fields)})"


def _text(value):
    if isinstance(value, torch.Tensor):
        first, second = fingerprint(value).tolist()
        return f"{kind_of(value)} with {first:.6g}, {second:.6g}"
    return getattr(value, "__qualname__", repr(value))


def _bound(value):
    return torch.as_tensor(value, dtype=torch.float64)


def require_same(path, found, expected):
    """Raise ValueError unless a checkpoint has the setting of the run that reads it."""
    advice = "go on with what it was written with, or move the file away to start anew."
    if not isinstance(found, Mapping):
        raise ValueError(f"checkpoint {path} is not one of bilevel learning; {advice}")
    for name in [*expected, *(name for name in found if name not in expected)]:
        if name not in found or name not in expected or not _same(found[name], expected[name]):
            there, here = (setting.get(name, "absent") for setting in (found, expected))
            raise ValueError(f"checkpoint {path} was written with {name} = {_shown(there)}, "
                             f"expected {_shown(here)}; {advice}")


def _shown(value):
    """As it is; tensors on one line."""
    return " ".join(str(value.tolist()).split()) if isinstance(value, torch.Tensor) else value


def _same(a: Any, b: Any):
    if isinstance(a, torch.Tensor) or isinstance(b, torch.Tensor):
        a, b = torch.as_tensor(a), torch.as_tensor(b)
        return a.shape == b.shape and a.dtype == b.dtype and bool(
            torch.isclose(a, b, rtol=1e-6, atol=0).all())  # fmt: skip
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-6) or a == b or (math.isnan(a) and math.isnan(b))
    return type(a) is type(b) and a == b
