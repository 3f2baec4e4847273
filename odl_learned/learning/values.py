"""Values that a training is known by: of arrays, of functions, and how two of them differ."""

from collections.abc import Callable

import torch

from odl_learned.bridge.random_states import kept_random_states
from odl_learned.bridge.separation import uncompiled

#: Entries of an array that are compared one by one; all others enter its norm.
ENTRIES = 256


def array_values(x: torch.Tensor) -> dict:
    """Dtype and shape, norm and some entries of a batch of one."""
    flat = x.detach().reshape(-1).cpu()
    flat = flat.to(torch.complex128 if x.is_complex() else torch.float64)
    step = max(1, -(-flat.numel() // ENTRIES))
    return {
        "kind": f"{x.dtype} of shape {tuple(x.shape[1:])}",
        "norm": float(torch.linalg.vector_norm(flat)),
        "entries": flat[::step].clone(),
    }


def function_values(function: Callable, t: torch.Tensor) -> dict | None:
    """A loss or metric at two points far from the truth, or None."""
    def evaluate():
        s = t.abs().max().item() or 1.0
        points = [(3 * t + s).to(t.dtype), (-t - s / 2).to(t.dtype)]
        values = [float(function(point, t)) for point in points]
        return {"kind": "numbers", "norm": 0.0, "entries": torch.tensor(values).double()}

    return repeatable(evaluate, t.device)


def repeatable(evaluate: Callable[[], dict], device: torch.device) -> dict | None:
    """A value, or None if it fails or depends on random numbers."""
    values = []
    for seed in (0, 1):
        with torch.no_grad(), uncompiled(), kept_random_states([device], seed):
            try:
                values.append(evaluate())
            except Exception:  # of functions of which nothing is known
                return None
    return None if unlike(*values, 1e-3) else values[0]


def unlike(saved: dict, current: dict, tolerance: float) -> str:
    """How two arrays differ, or an empty text."""
    if saved["kind"] != current["kind"]:
        return f"({saved['kind']} there, {current['kind']} here)"
    one, two = saved["entries"], current["entries"]
    differ = ~((one == two) | (one.isnan() & two.isnan()))
    sizes = [float(torch.linalg.vector_norm(part[part.isfinite()])) for part in (one, two)]
    difference = max(_ratio(float(torch.linalg.vector_norm((one - two)[differ])), *sizes),
                     _ratio(abs(saved["norm"] - current["norm"]), saved["norm"], current["norm"]))
    if difference <= tolerance:
        return ""
    return f"by {difference:.2g} of its size, expected at most {tolerance:.1g}"


def _ratio(difference, *sizes):
    if difference == 0:
        return 0.0
    ratio = difference / max(sizes) if max(sizes) > 0 else float("inf")
    return ratio if ratio == ratio else float("inf")
