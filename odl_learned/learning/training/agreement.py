"""Whether all processes of a group train the same, and what would depend on their number."""

import torch

from odl_learned.bridge.layouts.random_states import kept_random_states
from odl_learned.learning.files.identity import (
    Training,
    drawn_arrays,
    model_identity,
    probes_of,
    unlike_pairs,
)
from odl_learned.learning.files.values import is_mean, random_image
from odl_learned.learning.group import Group
from odl_learned.learning.training.state import Learner, factors_of, kinds_of, signature

#: Relative difference beyond which buffers are others.
TOLERANCE = 1e-6


def require_agreement(group: Group, setting: dict, training: Training, learner: Learner) -> None:
    """Raise the same error in all processes unless they train the same model on the same pairs.

    Numbers, kinds of optimizer and schedule, the text of the model and three pairs are compared;
    pairs that are random in themselves are not. Weights need not agree: those of the first process
    are everybody's.

    Raises
    ------
    ValueError
        That names what is different; if the batch has fewer samples than there are processes, if a
        part of the model couples samples in training, or if the objective is no mean over them.
    """
    if group.size == 1:
        return
    _require_separable(group, setting, training, learner)
    found = group.gather(group.together(lambda: _described(setting, training, learner)))
    for rank, other in enumerate(found):
        for name, value in found[0].items():
            if name in ("pairs", "validation"):
                different = _differ(name, value, other[name])
            else:
                different = "" if value == other[name] else f"{_short(value, other[name])}"
            if different:
                raise ValueError(
                    f"process {rank} of {group.size} trains something else than process 0: {name}: "
                    f"{different}; expected the same in all. Run the same program with the same "
                    "seeds, and pass all pairs to each process: train deals them out."
                )


def require_equal_buffers(group: Group, model: torch.nn.Module) -> None:
    """Raise the same error in all processes unless buffers that change agree.

    Raises
    ------
    ValueError
        If one of them depends on the share of a process.
    """
    if group.size == 1:
        return
    norms = {name: float(torch.linalg.vector_norm(b.detach().double())) for name, b in
             model.named_buffers() if b.layout == torch.strided and b.is_floating_point()}
    found = group.gather(norms)
    for rank, other in enumerate(found):
        for name, norm in found[0].items():
            if abs(other[name] - norm) > TOLERANCE * max(abs(norm), abs(other[name])):
                raise ValueError(
                    f"buffer {name} is another one in process {rank} of {group.size} after a step "
                    "than in process 0: it depends on the samples that the process has seen. "
                    "Expected buffers that do not couple samples; leave such a normalization out, "
                    "or train in one process."
                )


def _require_separable(group, setting, training, learner):
    if setting["batch_size"] < group.size:
        raise ValueError(
            f"batch_size is {setting['batch_size']} in {group.size} processes, expected at least "
            "one sample for each of them; it counts the samples of all processes."
        )
    for name, part in learner.model.named_modules():
        coupling = isinstance(part, torch.nn.modules.batchnorm._BatchNorm)
        if coupling and not isinstance(part, torch.nn.SyncBatchNorm):
            raise ValueError(
                f"part {name!r} of the model is a {type(part).__name__}, which couples the samples "
                f"of a batch, of which each of {group.size} processes has a share; expected a "
                "normalization of single samples, such as GroupNorm, torch.nn.SyncBatchNorm on "
                "GPUs, or training in one process."
            )

    def mean():
        if learner.objective.state_dict():
            return True
        data, truth = next(iter(probes_of(training.pairs).values()))
        pair = [None if x is None else torch.cat((x, (0.25 * x).to(x.dtype))).to(training.device)
                for x in (data, truth)]
        image = pair[1][:1] if truth is not None else random_image(learner.model, pair[0][:1])
        return is_mean(learner.objective, 3 * image + 1, *pair)

    if not all(group.gather(group.together(mean))):
        raise ValueError(
            "the loss of two samples is not the mean of their losses, so that it would depend on "
            f"the {group.size} processes that share a batch; expected a mean over samples: divide "
            "a sum by their number."
        )


def _described(setting, training, learner):
    probes = probes_of(training.pairs)
    with kept_random_states([training.device]):
        text = model_identity(learner.model, probes[0][0].to(training.device))["text"]
    return {
        **setting,
        **kinds_of(learner),
        "factors of the schedule": factors_of(learner.schedule),
        "model": text,
        "parameters": signature(learner.model.state_dict()),
        "pairs": _repeatable(training.pairs, "pairs"),
        "validation": _repeatable(training.validation, "validation"),
    }


def _repeatable(pairs, name):
    """What identifies pairs, or None for those that are random in themselves."""
    first, again = drawn_arrays(pairs, name), drawn_arrays(pairs, name)
    return None if first is None or unlike_pairs(name, first, again) else first


def _differ(name, one, two):
    return "" if one is None or two is None else unlike_pairs(name, one, two)


def _short(one, two):
    """The first line in which two texts differ."""
    if isinstance(one, dict) and isinstance(two, dict):
        key = next(key for key in {**one, **two} if one.get(key) != two.get(key))
        return f"{key} is {one.get(key)} there and {two.get(key)} here"
    lines = [[*str(value).splitlines(), "the end"] for value in (one, two)]
    before, after = next((a, b) for a, b in zip(*lines) if a != b)
    return f"{before.strip()} there and {after.strip()} here"
