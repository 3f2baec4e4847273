"""Values that a training is known by: of arrays, of functions, and how two of them differ."""

from collections.abc import Callable

import torch

from odl_learned.bridge.layouts.random_states import kept_random_states
from odl_learned.bridge.learned.separation import evaluation_mode, uncompiled
from odl_learned.learning.batch import Batch, generator_of
from odl_learned.learning.objective import Objective

#: Entries of an array that are compared one by one; all others enter its norm.
ENTRIES = 256
#: In place of the values of an array that there is not.
NO_ARRAY = {"kind": "no array", "norm": 0.0, "entries": torch.empty(0, dtype=torch.float64)}


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


class _StandIn(torch.nn.Module):
    """In place of a model: ``y -> (1 + m / (1 + m)) p`` with an image p, m the mean of ``|y|``.

    What else a model is told, such as a noise level, is ignored.
    """

    def __init__(self, image):
        super().__init__()
        self.image = image

    def forward(self, y, *told):
        mean = y.abs().double().flatten(1).mean(1)
        factor = (1 + mean / (1 + mean)).reshape(-1, *[1] * (self.image.ndim - 1))
        return (factor * self.image).to(self.image.dtype)


def objective_values(
    objective: Objective, model: torch.nn.Module, data: torch.Tensor, truth: torch.Tensor | None
) -> dict | None:
    """An objective for two stand-ins of the model, or None.

    With t the truth and s its largest modulus, their images are ``3 t + s`` and ``-t - s/2``: far
    from t, different losses have different values. Without truth, t is random. An objective that
    learns itself is another one in every step, and has no values here.
    """
    if objective.state_dict():
        return None

    def evaluate():
        t = random_image(model, data) if truth is None else truth
        s = t.abs().max().item() or 1.0
        values = []
        for point in (3 * t + s, -t - s / 2):
            batch = Batch(data, truth, generator_of(0, 0), "for a checkpoint")
            values.append(float(objective(_StandIn(point.to(t.dtype)), batch)))
        return {"kind": "numbers", "norm": 0.0, "entries": torch.tensor(values).double()}

    return repeatable(evaluate, data.device)


def is_mean(objective: Objective, image: torch.Tensor, data, truth) -> bool:
    """Whether the value for two samples is the mean of those for each, where this can be told.

    Parameters
    ----------
    objective : Objective
    image : torch.Tensor, shape (1, *X.shape)
        What a stand-in of the model is made of.
    data, truth : torch.Tensor, shape (2, ...)
        Two samples; the truth may be None.
    """
    def value(rows, seed):
        batch = Batch(data[rows], None if truth is None else truth[rows], generator_of(seed, 0),
                      "for a comparison")  # fmt: skip
        return float(objective(_StandIn(image), batch))

    with torch.no_grad(), uncompiled(), kept_random_states([data.device], 0):
        try:
            both, other = (value(slice(None), seed) for seed in (0, 1))
            mean = (value(slice(0, 1), 0) + value(slice(1, 2), 0)) / 2
        except Exception:  # of functions of which nothing is known
            return True
    return both != other or abs(both - mean) <= 1e-3 * max(abs(both), abs(mean))


def output_of(model: torch.nn.Module, data: torch.Tensor) -> torch.Tensor:
    """Return ``model(data)``; what a denoiser returns that wants a noise level, too, at one."""
    try:
        return model(data)
    except TypeError:
        compared_by = getattr(model, "compared_by", None)
        if compared_by is None:
            raise
        return compared_by(data)


def random_image(model: torch.nn.Module, data: torch.Tensor) -> torch.Tensor:
    """Return normal random numbers of the shape of the output of a model."""
    with evaluation_mode(model):
        x = output_of(model, data)
    source = torch.Generator().manual_seed(0)
    return torch.randn(x.shape, dtype=x.dtype, generator=source).to(x.device)


def repeatable(evaluate: Callable[[], dict], device: torch.device) -> dict | None:
    """A value, or None if it fails or depends on random numbers."""
    values = []
    for seed in (0, 1):
        with torch.no_grad(), uncompiled(), kept_random_states([device], seed):
            try:
                values.append(evaluate())
            except Exception:  # of functions of which nothing is known
                return None
    return None if unlike(values[0], values[1], 1e-3) else values[0]


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
