"""How a run of learning is kept, watched and shared: the settings that all methods have."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import torch


@dataclasses.dataclass(frozen=True)
class Run:
    """What every method does with its steps beside taking them.

    Parameters
    ----------
    checkpoint : str or path-like, optional
        File that is written after every accepted step, and from which the same call goes on, if it
        exists, with the same bits.
    callback : callable, optional
        ``row -> None``, called after every accepted step with its row, a dict.
    progress : bool, optional
        Whether to show a progress bar.
    reduce : callable, optional
        Sums a vector over all processes that learn together, ``distributed.all_reduce``. Methods
        without derivatives and `semismooth_newton` have one process.

    Raises
    ------
    TypeError
        If ``callback`` or ``reduce`` are no functions, or the checkpoint is no path.
    ValueError
        If the folder of the checkpoint does not exist.
    """

    checkpoint: str | os.PathLike | None = None
    callback: Callable[[dict], object] | None = None
    progress: bool = False
    reduce: Callable[[torch.Tensor], torch.Tensor] | None = None

    def __post_init__(self):
        if not (self.callback is None or callable(self.callback)):
            raise TypeError(f"callback is {self.callback!r}, expected a function of a row, or "
                            "None.")
        if not (self.reduce is None or callable(self.reduce)):
            raise TypeError(f"reduce is {self.reduce!r}, expected a function such as "
                            "distributed.all_reduce, or None.")
        path = self.checkpoint
        if not (path is None or isinstance(path, (str, os.PathLike))):
            raise TypeError(f"checkpoint is {path!r}, expected the path of a file, a str or Path, "
                            "or None.")
        if path is not None and not Path(path).parent.is_dir():
            raise ValueError(f"checkpoint is {str(path)!r}, expected a file in a folder that "
                             f"exists; create {str(Path(path).parent)!r} first.")


def require_run(run):
    """Raise TypeError unless this is a `Run`."""
    if not isinstance(run, Run):
        raise TypeError(f"run is {run!r}, expected a Run, such as Run(checkpoint='learned.pt').")


def require_one_process(run, method):
    """Raise unless this is a `Run` of one process, for methods that cannot share their pairs."""
    require_run(run)
    if run.reduce is not None:
        raise ValueError(f"run has reduce = {run.reduce!r}, expected None: {method} learns in one "
                         "process; lbfgsb, maid, hoag and isgd share pairs among several.")
