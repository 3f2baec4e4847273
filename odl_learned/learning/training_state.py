"""All that a continued training needs, and the checks before it is put back."""

import torch


def training_state(setting, model, optimizer, schedule, record, random):
    """Collect the state of a training after a complete step.

    Parameters
    ----------
    setting : dict
        Numbers that have to be the same when training continues.
    model : torch.nn.Module
    optimizer : torch.optim.Optimizer
    schedule : torch.optim.lr_scheduler.LRScheduler or None
    record : Record
        Losses and validations so far; their number is that of the steps.
    random : dict
        As returned by `random_states`.

    Returns
    -------
    dict
        For `checkpoint.write_checkpoint`; the tensors are not copied.
    """
    return {
        "setting": setting,
        "model": model.state_dict(),
        "optimizer_kind": type(optimizer).__name__,
        "optimizer": optimizer.state_dict(),
        "schedule_kind": type(schedule).__name__,
        "schedule": None if schedule is None else schedule.state_dict(),
        "record": record.state(),
        "random": random,
    }


def restore(path, state, setting, steps, model, optimizer, schedule, record):
    """Put a training state back, after it has been found to fit in every respect.

    Parameters
    ----------
    path : str or path-like
        Where the state is from, for messages.
    state : dict
        As collected by `training_state`.
    steps : int
        The number of steps that are asked for in all.
    setting, model, optimizer, schedule, record
        As in `training_state`; all but the first are changed.

    Raises
    ------
    ValueError
        If the state is of another model, optimizer, schedule or setting, or ahead of `steps`.
    """
    advice = "go on with what it was written with, or move it away to start anew."
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
                f"expected {expected.get(name, 'absent')}; {advice}"
            )
    found = {name: state[f"{name}_kind"] for name in ("optimizer", "schedule")}
    found |= state["setting"] | {"optimizer groups": _groups(state["optimizer"])}
    expected = {"optimizer": type(optimizer).__name__, "schedule": type(schedule).__name__}
    expected |= setting | {"optimizer groups": _groups(optimizer.state_dict())}
    for name, value in expected.items():
        if found[name] != value:
            raise ValueError(
                f"checkpoint {path} was written with {name} = {found[name]}, expected {value}; "
                f"{advice}"
            )
    _require_devices(path, state["random"])
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    if schedule is not None:
        schedule.load_state_dict(state["schedule"])
    record.restore(state["record"])
    torch.set_rng_state(state["random"]["cpu"])
    if state["random"]["cuda"]:
        torch.cuda.set_rng_state_all(state["random"]["cuda"])


def random_states():
    """Return the states of torch's global random generators, on the CPU and each CUDA device."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def _require_devices(path, random):
    if random["cuda"] and len(random["cuda"]) != torch.cuda.device_count():
        raise ValueError(
            f"checkpoint {path} is of a machine with {len(random['cuda'])} CUDA devices, expected "
            f"{torch.cuda.device_count()}, those visible here; continue where as many are visible."
        )


def _groups(optimizer_state):
    return [len(group["params"]) for group in optimizer_state["param_groups"]]


def _signature(state_dict):
    return {
        name: f"{value.dtype} of shape {tuple(value.shape)}"
        for name, value in state_dict.items()
        if isinstance(value, torch.Tensor)
    }
