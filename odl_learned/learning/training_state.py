"""All that a continued training needs, and the checks before it is put back."""

import copy
from typing import NamedTuple

import torch

from odl_learned.learning.checkpoint import require_keys
from odl_learned.learning.identity import (
    ADVICE,
    model_identity,
    require_same_model,
    require_same_training,
)
from odl_learned.learning.record import Record

_KIND = "a supervised training"
#: Steps at which functions of a schedule are compared.
_STEPS = (0, 1, 2, 3, 5, 10, 20, 50, 100, 1000, 10000)


class Learner(NamedTuple):
    """What changes in a training.

    Parameters
    ----------
    model : torch.nn.Module
    optimizer : torch.optim.Optimizer
    schedule : torch.optim.lr_scheduler.LRScheduler or None
    record : Record
        Losses and validations so far; their number is that of the steps.
    """

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    schedule: object
    record: Record


def training_state(setting, identity, learner, data, random):
    """Collect the state of a training after a complete step.

    Parameters
    ----------
    setting : dict
        Numbers that have to be the same when training continues.
    identity : dict
        Of data, loss and metric, as `identity.identity_of` returned it.
    learner : Learner
    data : torch.Tensor
        A batch of one, that of the first pair, for the identity of the model.
    random : dict
        As returned by `random_states`.

    Returns
    -------
    dict
        For `checkpoint.write_checkpoint`; the tensors are not copied.
    """
    model, optimizer, schedule, record = learner
    return {
        "setting": setting,
        "identity": identity,
        "model_identity": model_identity(model, data),
        "model": model.state_dict(),
        "optimizer_kind": type(optimizer).__name__,
        "optimizer": optimizer.state_dict(),
        "schedule_kind": type(schedule).__name__,
        "schedule_factors": _factors(schedule),
        "schedule": None if schedule is None else schedule.state_dict(),
        "record": record.state(),
        "random": random,
    }


def restore(path, state, setting, steps, learner, training, probes):
    """Put a training state back, after it has been found to fit in every respect.

    Parameters
    ----------
    path : str or path-like
        Where the state is from, for messages.
    state : dict
        As collected by `training_state`.
    setting : dict
        As in `training_state`.
    steps : int
        The number of steps that are asked for in all.
    learner : Learner
        Is changed, unless there is an error.
    training : identity.Training
        Data, loss and metric.
    probes : dict
        Some of its pairs, from `identity.probes_of`.

    Raises
    ------
    ValueError
        If the state is of other data, another model, loss, metric, optimizer, schedule or setting,
        ahead of `steps`, or not whole.
    """
    model, optimizer, schedule, record = learner
    _require_whole(path, state, setting)
    done = len(state["record"]["loss"])
    if done > steps:
        raise ValueError(
            f"checkpoint {path} is at step {done}, expected at most steps = {steps}; ask for more "
            "steps, or move it away to start anew."
        )
    found, expected = _signature(state["model"]), _signature(model.state_dict())
    for name in [*expected, *found]:
        if found.get(name) != expected.get(name):
            raise ValueError(
                f"checkpoint {path} is of another model: {name} is {found.get(name, 'absent')}, "
                f"expected {expected.get(name, 'absent')}. {ADVICE}"
            )
    found = {name: state[f"{name}_kind"] for name in ("optimizer", "schedule")}
    found |= state["setting"] | {"optimizer groups": _groups(state["optimizer"]),
                                 "factors of the schedule": state["schedule_factors"]}
    expected = {"optimizer": type(optimizer).__name__, "schedule": type(schedule).__name__}
    expected |= setting | {"optimizer groups": _groups(optimizer.state_dict()),
                           "factors of the schedule": _factors(schedule)}
    for name, value in expected.items():
        if found[name] != value:
            raise ValueError(
                f"checkpoint {path} was written with {name} = {found[name]}, expected {value}. "
                f"{ADVICE}"
            )
    _require_devices(path, state["random"])
    same_pairs = require_same_training(path, state["identity"], training, probes, model)
    data = probes[0][0].to(training.device)
    _load(path, state, learner, lambda: require_same_model(
        path, state["model_identity"], model, data, same_pairs))
    record.restore(state["record"])
    torch.set_rng_state(state["random"]["cpu"])
    if state["random"]["cuda"]:
        torch.cuda.set_rng_state_all(state["random"]["cuda"])


def random_states():
    """Return the states of torch's global random generators, on the CPU and each CUDA device."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def _require_whole(path, state, setting):
    wanted = {
        None: ("setting", "identity", "model_identity", "model", "optimizer_kind", "optimizer",
               "schedule_kind", "schedule_factors", "schedule", "record", "random"),
        "setting": tuple(setting),
        "identity": ("pairs", "validation", "loss", "validation_metric"),
        "model_identity": ("text", "torch", "device", "output"),
        "model": (),
        "optimizer": ("state", "param_groups"),
        "record": tuple(Record().state()),
        "random": ("cpu", "cuda"),
    }  # fmt: skip
    for part, keys in wanted.items():
        require_keys(path, state if part is None else state[part], keys, _KIND)
    for group in state["optimizer"]["param_groups"]:
        require_keys(path, group, ("params",), _KIND)


def _load(path, state, learner, check):
    """Load all states and check, or leave everything as it was."""
    parts = {"model": learner.model, "optimizer": learner.optimizer, "schedule": learner.schedule}
    parts = {name: part for name, part in parts.items() if part is not None}
    before = {name: copy.deepcopy(part.state_dict()) for name, part in parts.items()}
    name = None
    try:
        for name, part in parts.items():
            part.load_state_dict(state[name])
        name = None
        check()
    except Exception as error:
        for restored, part in parts.items():
            part.load_state_dict(before[restored])
        if name is None:
            raise
        raise ValueError(
            f"checkpoint {path} has a state of the {name} that it does not take: "
            f"{type(error).__name__}: {error}. {ADVICE}"
        ) from error


def _require_devices(path, random):
    if random["cuda"] and len(random["cuda"]) != torch.cuda.device_count():
        raise ValueError(
            f"checkpoint {path} is of a machine with {len(random['cuda'])} CUDA devices, expected "
            f"{torch.cuda.device_count()}, those visible here; continue where as many are visible."
        )


def _factors(schedule):
    """Values of the functions that a schedule was made with: they are in no state of it."""
    functions = getattr(schedule, "lr_lambdas", [])
    try:
        return [[float(function(step)) for step in _STEPS] for function in functions]
    except Exception:  # of functions of which nothing is known
        return None


def _groups(optimizer_state):
    return [len(group["params"]) for group in optimizer_state["param_groups"]]


def _signature(state_dict):
    return {
        name: f"{value.dtype} of shape {tuple(value.shape)}"
        for name, value in state_dict.items()
        if isinstance(value, torch.Tensor)
    }
