r"""What makes a training the one that wrote a checkpoint: its data, model, loss and metric.

None of these can be stored, and names say little: a loss is a function, an operator inside a model
has no parameters, and data are drawn on demand. So what they *do* is stored: values of a few pairs,
of the loss and of the metric, and the output of the model for the data of the first pair, in
evaluation mode and with the weights that are saved. Values survive another process, another machine
(up to rounding), and functions that were only renamed or rewritten. What shows in training mode
alone, such as the rate of a dropout, is in the text of the modules.

Loss and metric are evaluated for stand-ins of the model that have no weights (`values`). Where the
pairs have no truth, random numbers of the shape of its output make them.
"""

import re
from typing import NamedTuple

import torch

from odl_learned.bridge.layouts.random_states import kept_random_states
from odl_learned.bridge.learned.separation import evaluation_mode
from odl_learned.learning.files.values import (
    NO_ARRAY,
    array_values,
    objective_values,
    output_of,
    repeatable,
    unlike,
)
from odl_learned.learning.objective import Objective
from odl_learned.learning.training.batches import Pairs, draw_batch

#: Relative difference beyond which data are others: simulations round differently elsewhere.
DATA_TOLERANCE = 1e-5
#: The same for values of losses and metrics, which are sums of many entries.
VALUE_TOLERANCE = 1e-4
#: So often pairs that differ are drawn again, to find out whether they are random.
REPETITIONS = 5

ADVICE = (
    "Go on with what it was written with, or move it away to start anew; to train something else "
    "from its weights, use model.load_state_dict(learning.read_checkpoint(path)['model'])."
)


class Training(NamedTuple):
    """A training to be identified.

    Parameters
    ----------
    pairs : sequence
    validation : sequence or None
    objective, metric : Objective
        What is minimized, and what is shown of the validation.
    device : torch.device
        Where they are evaluated.
    """

    pairs: Pairs
    validation: Pairs | None
    objective: Objective
    metric: Objective
    device: torch.device


def probes_of(pairs: Pairs, name: str = "pairs") -> dict:
    """Return the first, the middle and the last pair, each a batch of one, by their indices.

    Global random states are the same whenever one is drawn, and afterwards what they were before.
    """
    drawn = {}
    for index in sorted({0, len(pairs) // 2, len(pairs) - 1}):
        with kept_random_states(seed=0):
            drawn[index] = draw_batch(pairs, [index], name)
    return drawn


def identity_of(training: Training, probes: dict, model: torch.nn.Module) -> dict:
    """Return what identifies data, loss and metric: nested dicts of tensors, numbers and texts.

    Parameters
    ----------
    training : Training
    probes : dict
        Of its pairs, from `probes_of`; those of the validation are drawn here.
    model : torch.nn.Module
        Tells the shape of images, where pairs have no truth.
    """
    data, truth = probes[0]
    data, truth = data.to(training.device), None if truth is None else truth.to(training.device)
    loss = objective_values(training.objective, model, data, truth)
    metric = None
    if training.validation is not None:
        metric = objective_values(training.metric, model, data, truth)
    return {
        "pairs": _arrays(probes),
        "validation": drawn_arrays(training.validation, "validation"),
        "loss": loss,
        "validation_metric": metric,
    }


def require_same_training(
    path, saved: dict, training: Training, probes: dict, model: torch.nn.Module
) -> bool:
    """Raise ValueError if data, loss or metric are not those of a checkpoint.

    Pairs that are random in themselves, in spite of fixed global random states, are not compared.

    Parameters
    ----------
    path : str or path-like
        Where the checkpoint is, for messages.
    saved : dict
        As `identity_of` returned it.
    training, probes, model
        As in `identity_of`.

    Returns
    -------
    same_pairs : bool
        Whether the pairs are the same, and not random.
    """
    current, same_pairs = identity_of(training, probes, model), True
    for name, pairs in (("pairs", training.pairs), ("validation", training.validation)):
        if saved[name] is None or current[name] is None:
            continue
        found = unlike_pairs(name, saved[name], current[name])
        if found and not any(unlike_pairs(name, current[name], drawn_arrays(pairs, name))
                             for _ in range(REPETITIONS)):  # fmt: skip
            raise ValueError(f"checkpoint {path} was written with other data: {found}. {ADVICE}")
        same_pairs = same_pairs and not (found and name == "pairs")
    for name in ("loss", "validation_metric"):
        if same_pairs and saved[name] is not None and current[name] is not None:
            found = unlike(saved[name], current[name], VALUE_TOLERANCE)
            if found:
                raise ValueError(
                    f"checkpoint {path} was written with another {name}: its values differ {found}."
                    f" {ADVICE}"
                )
    return same_pairs


def model_identity(model: torch.nn.Module, data: torch.Tensor) -> dict:
    """Return what identifies a model with its present weights.

    Parameters
    ----------
    model : torch.nn.Module
    data : torch.Tensor
        A batch of one, that of the first pair.

    Returns
    -------
    dict
        The output is None, and not compared, if the model fails or is random in evaluation mode.
    """
    with evaluation_mode(model):
        output = repeatable(lambda: array_values(output_of(model, data)), data.device)
    return {
        "text": re.sub(r"0x[0-9a-fA-F]+| \(GPU \d+\)|cuda:\d+", "", repr(model)),
        "torch": torch.__version__.partition("+")[0],
        "device": data.device.type,
        "output": output,
    }


def require_same_model(
    path, saved: dict, model: torch.nn.Module, data: torch.Tensor, same_pairs: bool
) -> None:
    """Raise ValueError if a model is not that of a checkpoint.

    Parameters
    ----------
    path : str or path-like
        Where the checkpoint is, for messages.
    saved : dict
        As `model_identity` returned it.
    model : torch.nn.Module
        With the weights of the checkpoint.
    data : torch.Tensor
        A batch of one, that of the first pair.
    same_pairs : bool
        Whether the output for the first pair may be compared.
    """
    current = model_identity(model, data)
    if saved["torch"] == current["torch"] and saved["text"] != current["text"]:
        one, two = ([*text["text"].splitlines(), "the end"] for text in (saved, current))
        before, now = next((a, b) for a, b in zip(one, two) if a != b)
        raise ValueError(
            f"checkpoint {path} is of another model: it says {before.strip()!r} there and "
            f"{now.strip()!r} here. {ADVICE}"
        )
    if same_pairs and saved["output"] is not None and current["output"] is not None:
        found = unlike(saved["output"], current["output"], _tolerance(saved, current))
        if found:
            raise ValueError(
                f"checkpoint {path} is of another model with the same parameters: what it makes of "
                f"the data of pairs[0] differs {found}. {ADVICE}"
            )


def drawn_arrays(pairs, name):
    """Return what identifies pairs, which are drawn for it, or None for None."""
    return None if pairs is None else _arrays(probes_of(pairs, name))


def _arrays(probes):
    return {index: {part: NO_ARRAY if x is None else array_values(x)
                    for part, x in zip(("data", "truth"), pair)}
            for index, pair in probes.items()}  # fmt: skip


def unlike_pairs(name, saved, current):
    """Return how the first pair differs that does, or an empty text."""
    if saved.keys() != current.keys():
        return f"{name} are {max(saved) + 1} there, {max(current) + 1} here"
    for index, pair in saved.items():
        for part, array in pair.items():
            found = unlike(array, current[index][part], DATA_TOLERANCE)
            if found:
                return f"{part} of {name}[{index}] differs {found}"
    return ""


def _tolerance(saved, current):
    """The cube root of the rounding unit: products in half the digits, on CUDA devices, pass."""
    name = saved["output"]["kind"].partition(" ")[0]
    dtype = getattr(torch, name.removeprefix("torch."))
    exact = not (dtype.is_floating_point or dtype.is_complex)
    unit = 0.0 if exact else torch.finfo(dtype).eps ** (1 / 3)
    return unit if saved["device"] == current["device"] else max(unit, 5e-2)
