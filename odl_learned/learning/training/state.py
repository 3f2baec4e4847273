"""All that a continued training needs, and the checks before it is put back."""

import copy
from typing import NamedTuple

import torch

from odl_learned.learning.best import BestSoFar
from odl_learned.learning.files.checkpoint import require_keys
from odl_learned.learning.files.identity import (
    ADVICE,
    model_identity,
    require_same_model,
    require_same_training,
)
from odl_learned.learning.objective import Objective
from odl_learned.learning.training.record import Record

_KIND = "a supervised training"
#: Steps at which functions of a schedule are compared.
_STEPS = (0, 1, 2, 3, 5, 10, 20, 50, 100, 1000, 10000)


class Learner(NamedTuple):
    """What changes in a training: each part has a ``state_dict`` and takes it back.

    Parameters
    ----------
    model : torch.nn.Module
    optimizer : torch.optim.Optimizer
    schedule : torch.optim.lr_scheduler.LRScheduler or None
    objective : Objective
    scaler : torch.amp.GradScaler or None
    best : BestSoFar
    record : Record
        Losses and validations so far; their number is that of the steps.
    """

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler | None
    objective: Objective
    scaler: torch.amp.GradScaler | None
    best: BestSoFar
    record: Record

    def states(self) -> dict:
        """Return the states of all parts by name, None for those that there are not."""
        return {name: None if part is None else part.state_dict()
                for name, part in self._asdict().items()}

    def load_states(self, states: dict) -> None:
        """Go on from states; what was read or received is not shared."""
        for name, part in self._asdict().items():
            if part is not None:
                part.load_state_dict(copy.deepcopy(states[name]))


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
    return {
        "setting": setting,
        "identity": identity,
        "model_identity": model_identity(learner.model, data),
        "kinds": kinds_of(learner),
        "schedule_factors": factors_of(learner.schedule),
        "random": random,
        **learner.states(),
    }


def kinds_of(learner: Learner) -> dict:
    """Return the names of the classes of those parts that a training is made with."""
    names = ("optimizer", "schedule", "scaler")
    return {name: type(getattr(learner, name)).__name__ for name in names}


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
    model, state = learner.model, _of_this_format(state)
    _require_whole(path, state, setting)
    done = len(state["record"]["loss"])
    if done > steps:
        raise ValueError(
            f"checkpoint {path} is at step {done}, expected at most steps = {steps}; ask for more "
            "steps, or move it away to start anew."
        )
    for name in ("model", "objective"):
        part = getattr(learner, name).state_dict()
        found, expected = signature(state[name]), signature(part)
        if name == "objective":  # optimizers of its own have states after their first steps alone
            found = {key: kind for key, kind in found.items() if key in expected}
        for key in [*expected, *found]:
            if found.get(key) != expected.get(key):
                raise ValueError(
                    f"checkpoint {path} is of another {name}: {key} is "
                    f"{found.get(key, 'absent')}, expected {expected.get(key, 'absent')}. {ADVICE}"
                )
    found = state["kinds"] | state["setting"] | {
        "optimizer groups": _groups(state["optimizer"]),
        "factors of the schedule": state["schedule_factors"]}
    expected = kinds_of(learner) | setting | {
        "optimizer groups": _groups(learner.optimizer.state_dict()),
        "factors of the schedule": factors_of(learner.schedule)}
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
    torch.set_rng_state(state["random"]["cpu"])
    if state["random"]["cuda"]:
        torch.cuda.set_rng_state_all(state["random"]["cuda"])


def _of_this_format(state):
    """A state of format 2 as one of format 3; what it lacks was not there at its time."""
    if state["format"] > 2 or not {"setting", "optimizer_kind", "schedule_kind"} <= set(state):
        return state
    kinds = {"optimizer": state["optimizer_kind"], "schedule": state["schedule_kind"],
             "scaler": "NoneType"}  # fmt: skip
    setting = {**state["setting"], "precision": "None"}
    return {**state, "kinds": kinds, "setting": setting, "objective": {}, "scaler": None,
            "best": {}}  # fmt: skip


def random_states():
    """Return the states of torch's global random generators, on the CPU and each CUDA device."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def _require_whole(path, state, setting):
    wanted = {
        None: ("setting", "identity", "model_identity", "kinds", "schedule_factors", "random",
               *Learner._fields),
        "setting": tuple(setting),
        "kinds": ("optimizer", "schedule", "scaler"),
        "identity": ("pairs", "validation", "loss", "validation_metric"),
        "model_identity": ("text", "torch", "device", "output"),
        "model": (),
        "optimizer": ("state", "param_groups"),
        "record": tuple(Record().state_dict()),
        "random": ("cpu", "cuda"),
    }  # fmt: skip
    for part, keys in wanted.items():
        require_keys(path, state if part is None else state[part], keys, _KIND)
    for group in state["optimizer"]["param_groups"]:
        require_keys(path, group, ("params",), _KIND)


def _load(path, state, learner, check):
    """Load all states and check, or leave everything as it was."""
    parts = {name: part for name, part in learner._asdict().items() if part is not None}
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


def factors_of(schedule):
    """Values of the functions that a schedule was made with: they are in no state of it."""
    functions = getattr(schedule, "lr_lambdas", [])
    try:
        return [[float(function(step)) for step in _STEPS] for function in functions]
    except Exception:  # of functions of which nothing is known
        return None


def _groups(optimizer_state):
    return [len(group["params"]) for group in optimizer_state["param_groups"]]


def signature(state_dict):
    """Return dtype and shape of each tensor of a state, by name."""
    found = {}
    for name, value in state_dict.items():
        if isinstance(value, torch.Tensor):
            found[name] = f"{value.dtype} of shape {tuple(value.shape)}"
        elif isinstance(value, dict):
            found |= {f"{name}.{key}": kind for key, kind in signature(value).items()}
    return found
