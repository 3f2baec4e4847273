r"""What learning reports: its result, one row per accepted step, and a checkpoint after each.

Every algorithm of this room is a loop of accepted steps and keeps its journal the same way:

    with Journal(setting, run) as journal:
        state = journal.resume()              # None: start afresh
        while ...:
            ...                               # one step, in which nothing is recorded
            journal.accepted({"params": params, "value": value, ...}, state)
        return journal.learned(params, value, value_bound, reason)

All that the next step depends on belongs into the state; then a run that was killed and continued
goes through the same bits as one that was not: the same operations on arrays of the same shapes,
as long as the processor and the number of threads are the same.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from odl_learned.learning.bilevel.distributed import common_step
from odl_learned.learning.bilevel.run import Run, require_run
from odl_learned.learning.bilevel.settings import require_same
from odl_learned.learning.files.checkpoint import read_checkpoint, require_keys, write_checkpoint
from odl_learned.learning.files.sole_writer import sole_writer
from odl_learned.learning.training.interruption import deferred_interruption


class Learned(NamedTuple):
    r"""Result of learning parameters.

    Parameters
    ----------
    params : tensor ``(P,)``
        The learned parameters.
    value : float
        Computed upper-level value there.
    value_bound : float
        Bound of the distance of `value` to the exact upper-level value; infinite where the method
        has none.
    history : dict of numpy.ndarray
        One entry along the first axis per accepted step; the starting point is the first.
        ``"seconds"`` is the time since the start, that of interrupted runs included.
    reason : str
        Why the algorithm stopped.
    """

    params: torch.Tensor
    value: float
    value_bound: float
    history: dict[str, np.ndarray]
    reason: str


class Journal:
    r"""Rows and checkpoints of accepted steps, as a context.

    Within the context Ctrl-C (SIGINT) and SIGTERM wait for the end of the step, when its checkpoint
    is written, and then come as KeyboardInterrupt; a second one comes at once.

    Parameters
    ----------
    setting : dict
        What must be the same when a run is continued: strings, numbers, tensors and None; for
        example ``setting_of(problem, params0) | {"method": "HOAG", "maxiter": 100}``. Floats may
        differ by rounding.
    run : Run, optional
        Checkpoint, callback and progress bar. With ``reduce`` each process keeps the checkpoint
        before the last one, too, and all go on from the last step that all have.
    """

    def __init__(self, setting, run=Run()):
        if not isinstance(setting, Mapping):
            raise TypeError(f"setting is {setting!r}, expected a dict, such as "
                            "setting_of(problem, params0).")
        require_run(run)
        self._setting, self._run, self._rows, self._earlier = setting, run, [], 0.0

    def __enter__(self):
        self._started = time.perf_counter()
        with contextlib.ExitStack() as stack:
            if self._run.checkpoint is not None:
                stack.enter_context(sole_writer(self._run.checkpoint))
            self._interruption = stack.enter_context(deferred_interruption())
            self._signals = stack.pop_all()
        self._bar = tqdm(disable=not self._run.progress, unit="step")
        return self

    def __exit__(self, kind, error, trace):
        self._bar.close()
        return self._signals.__exit__(kind, error, trace)

    @property
    def steps(self):
        """Number of rows so far."""
        return len(self._rows)

    @property
    def rows(self):
        """The rows so far, a list of dicts."""
        return list(self._rows)

    @property
    def seconds(self):
        """Seconds since the start, those of the runs that are continued included."""
        return self._earlier + time.perf_counter() - self._started

    def resume(self):
        """Return the state of the last accepted step in the checkpoint, or None without one.

        Raises
        ------
        ValueError
            If the file is damaged or was written with another setting, or if checkpoints of several
            processes are more than one step apart.
        """
        saved = self._saved(self._run.checkpoint)
        if self._run.reduce is not None and self._run.checkpoint is not None:
            step = common_step(len(saved["rows"]) if saved else 0, self._run.reduce)
            if saved and step < len(saved["rows"]):
                saved = self._saved(self._before) if step else None
        if saved is None:
            return None
        self._rows = [_numpy_row(row) for row in saved["rows"]]
        self._earlier = float(saved["rows"][-1]["seconds"]) if saved["rows"] else 0.0
        self._bar.update(len(self._rows))
        return saved["state"]

    def accepted(self, row, state=None):
        """Record an accepted step, and write the checkpoint.

        Parameters
        ----------
        row : dict
            Numbers, strings, arrays and tensors, always with the same keys and shapes;
            ``"seconds"`` is added. ``"value"`` and ``"value_bound"`` are shown by the bar.
        state : dict, or callable without arguments that returns it
            All that the following steps depend on; what `write_checkpoint` can write. A callable is
            called only if there is a checkpoint.

        Raises
        ------
        KeyboardInterrupt
            If SIGINT or SIGTERM has come in, after the checkpoint is written.
        """
        row = _numpy_row({**row, "seconds": self.seconds})
        if self._rows and row.keys() != self._rows[-1].keys():
            raise ValueError(
                f"the row has the keys {list(row)}, expected {list(self._rows[-1])}, those of the "
                "rows before; record the same in every step."
            )
        self._rows.append(row)
        if self._run.checkpoint is not None:
            state = _ordinary(state() if callable(state) else state)
            rows = [{k: _plain(v) for k, v in row.items()} for row in self._rows]
            if self._run.reduce is not None:
                _copy(self._run.checkpoint, self._before)
            write_checkpoint(
                self._run.checkpoint, {"setting": self._setting, "rows": rows, "state": state}
            )
        shown = {name: f"{row[name]:.6g}" for name in ("value", "value_bound") if name in row}
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update()
        if self._run.callback is not None:
            self._run.callback(dict(row))
        self._interruption.raise_pending()

    @property
    def _before(self):
        return Path(f"{self._run.checkpoint}.before")

    def _saved(self, path):
        if path is None or not Path(path).exists():
            return None
        saved = read_checkpoint(path)
        require_keys(path, saved, ("setting", "rows", "state"), "bilevel learning")
        require_same(path, saved["setting"], self._setting)
        return saved | {"state": _complete(path, saved["state"])}

    def learned(self, params, value, value_bound, reason):
        """Return the `Learned` with the history of all rows."""
        names = self._rows[0] if self._rows else ()
        history = {name: np.stack([row[name] for row in self._rows]) for name in names}
        return Learned(params, float(value), float(value_bound), history, reason)


class _State(dict):
    """A state of which missing keys are an error that names the file."""

    def __init__(self, path, state):
        super().__init__({key: _complete(path, value) for key, value in state.items()})
        self._path = path

    def __missing__(self, key):
        raise ValueError(
            f"checkpoint {self._path} lacks {key!r} and has {sorted(map(str, self))}, expected "
            "one of this version. Go on with what wrote it, or move it away to start anew."
        )


def _complete(path, value):
    if isinstance(value, dict):
        return _State(path, value)
    return [_complete(path, part) for part in value] if isinstance(value, list) else value


def _ordinary(value):
    """The same in dicts that a checkpoint may hold: parts of a state that was read go on."""
    if isinstance(value, dict):
        return {key: _ordinary(part) for key, part in value.items()}
    return [_ordinary(part) for part in value] if isinstance(value, list) else value


def _copy(path, target):
    """Copy a file, if there is one, such that the target is always whole."""
    if Path(path).exists():
        partial = Path(f"{target}.tmp")
        shutil.copyfile(path, partial)
        os.replace(partial, target)


def _numpy_row(row):
    return {
        name: v.detach().cpu().numpy().copy() if isinstance(v, torch.Tensor) else np.array(v)
        for name, v in row.items()
    }


def _plain(value):
    """A numpy array as what a checkpoint may hold."""
    return value.item() if value.dtype.kind in "US" else torch.as_tensor(value)
