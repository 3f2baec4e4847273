"""A training as one folder: settings, versions, curves, weights, and the state to go on from."""

import importlib.metadata
import json
import os
import platform
import time
from pathlib import Path

import torch

from odl_learned.learning.files.checkpoint import write_checkpoint
from odl_learned.learning.files.sole_writer import open_temporary, remove_orphans, target_of
from odl_learned.learning.training.keeper import Keeper
from odl_learned.learning.training.state import Learner

STATE, BEST, SETTINGS = "state.pt", "best.pt", "settings.json"
STARTS, CURVE, PICTURE = "starts.jsonl", "curve.csv", "curve.png"
#: Settings that describe for a reader; whether they are the same is judged by what they compute.
DESCRIPTIONS = ("loss", "validation_metric", "model", "parameters")
#: What a schedule counts, and what belongs to the optimizer.
_COUNTERS = ("last_epoch", "_step_count", "_last_lr", "_get_lr_called_within_step", "_is_initial")


def settings_of(learner: Learner, setting: dict, training, best) -> dict:
    """Return what a training was made with, in lists, dicts, numbers and strings.

    Parameters
    ----------
    learner : Learner
        Before the first step, or before a state is put back.
    setting : dict
        Numbers that have to be the same when training continues.
    training : identity.Training
    best : Best or None
    """
    model, optimizer, schedule = learner.model, learner.optimizer, learner.schedule
    groups = [{name: len(value) if name == "params" else _plain(value)
               for name, value in group.items()} for group in optimizer.param_groups]
    found = {} if schedule is None else schedule.state_dict()
    found = {name: _plain(value) for name, value in found.items() if name not in _COUNTERS}
    return json.loads(json.dumps({
        **setting,
        "validation": None if training.validation is None else len(training.validation),
        "best": None if best is None else repr(best),
        "optimizer": {"kind": type(optimizer).__name__, "groups": groups},
        "schedule": None if schedule is None else {"kind": type(schedule).__name__, **found},
        "loss": _name(training.objective),
        "validation_metric": _name(training.metric),
        "parameters": sum(p.numel() for p in model.parameters()),
        "model": repr(model).splitlines(),
    }))  # fmt: skip


def place_of(folder: str | os.PathLike) -> Path:
    """Make the folder of a run if it is not there; return the path of its state.

    Raises
    ------
    TypeError
        If it is no path.
    OSError
        FileNotFoundError if it would be in a folder that does not exist, NotADirectoryError for a
        file.
    ValueError
        If there is something else in the folder.
    """
    if not isinstance(folder, (str, os.PathLike)):
        raise TypeError(f"folder is {folder!r}, expected the path of a folder, a str or Path.")
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"folder {folder} is a file, expected a folder; check the path.")
    if not folder.absolute().parent.is_dir():
        raise FileNotFoundError(f"folder {folder} would be in one that does not exist; create it.")
    folder.mkdir(exist_ok=True)
    inside = sorted(path.name for path in folder.iterdir())
    if inside and SETTINGS not in inside:
        raise ValueError(
            f"folder {folder} is not one of a training: it has {', '.join(inside[:5])} and no "
            f"{SETTINGS}; give a new folder, or an empty one."
        )
    return folder / STATE


class RunFolder:
    """Writes a training to its folder; the first process has one.

    Parameters
    ----------
    folder : path-like
        From `place_of`; this is the sole writer of its state.
    settings : dict
        From `settings_of`.
    learner : Learner
    setting, training, steps
        Those of a `Keeper`.
    processes : int
        Number of those that train, to be noted.

    Raises
    ------
    ValueError
        If the folder is that of another training, with the name of what is different.
    """

    def __init__(self, folder, settings, learner, setting, training, steps, processes):
        self.folder, self.learner = Path(folder), learner
        for name in (BEST, SETTINGS, STARTS, CURVE):
            remove_orphans(target_of(self.folder / name))
        self._require_same(settings)
        self.keeper = Keeper(self.folder / STATE, setting, training, learner, steps)
        _write(self.folder / SETTINGS, json.dumps(settings, indent=1) + "\n")
        with open(self.folder / STARTS, "a") as file:
            file.write(json.dumps(_start(learner.record.steps, processes, training.device)) + "\n")
        self.best_step = None

    def save(self, random: dict) -> None:
        """Write the present state, the curve up to it, and the best weights if they are others."""
        self.keeper.save(random)
        record, kept = self.learner.record, self.learner.best.kept
        validation = dict(zip(record.validation_step, record.validation))
        rows = [f"{step},{loss!r},{validation.get(step, '')}"
                for step, loss in enumerate(record.loss, start=1)]
        _write(self.folder / CURVE, "\n".join(["step,loss,validation", *rows]) + "\n")
        if kept is not None and kept.step != self.best_step:
            write_checkpoint(self.folder / BEST, {
                "step": kept.step, "value": kept.value, "model": kept.weights})
            self.best_step = kept.step

    def draw(self) -> None:
        """Draw the learning curve, if there is one."""
        from odl_learned import plotting  # matplotlib takes a second

        if self.learner.record.steps:
            history = self.learner.record.history(self.learner.best.kept)
            plotting.learning_curves({self.folder.name: history}, self.folder / PICTURE)

    def _require_same(self, settings):
        path = self.folder / SETTINGS
        if not path.exists():
            return
        try:
            before = json.loads(path.read_text())
            differences = [*_differences(before, settings, "")]
        except (ValueError, AttributeError) as error:
            raise ValueError(
                f"{path} is damaged ({error}); restore a copy of it, or remove it: what the state "
                "itself says is compared in any case."
            ) from error
        for name, one, two in differences:
            if name.partition(".")[0] not in DESCRIPTIONS:
                raise ValueError(
                    f"folder {self.folder} is of another training: {name} is {one} there and {two} "
                    "here. Go on with the settings there, or give a new folder."
                )


def _differences(one, two, name):
    """Names and values of entries that differ."""
    if isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        one, two = (dict(enumerate(x)) for x in (one, two))
    if not (isinstance(one, dict) and isinstance(two, dict)):
        if one != two:
            yield name, one, two
        return
    for key in {**one, **two}:
        yield from _differences(one.get(key, "absent"), two.get(key, "absent"),
                                f"{name}.{key}".lstrip("."))  # fmt: skip


def _plain(value):
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    return value if value is None or isinstance(value, (bool, int, float, str)) else (
        type(value).__name__)


def _name(objective):
    function = getattr(objective, "loss", None)
    name = getattr(function, "__qualname__", type(function).__name__)
    return type(objective).__name__ + ("" if function is None else f" of {name}")


def _start(step, processes, device):
    # torch's own version says which build it is, its metadata do not for every one
    versions = {name: _version(name) for name in ("odl_learned", "odl", "numpy")} | {
        "torch": str(torch.__version__)}  # fmt: skip
    return {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "step": step, "processes": processes,
            "threads": torch.get_num_threads(), "device": str(device),
            "python": platform.python_version(), **versions}  # fmt: skip


def _write(path, text):
    """Write a text so that the path holds the old or the new one."""
    target = target_of(path)
    descriptor, name = open_temporary(target)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        os.replace(name, target)
    except BaseException:
        name.unlink(missing_ok=True)
        raise


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:  # a folder on the path
        return "that is not installed"
