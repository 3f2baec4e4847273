"""Training states on disk: written whole or not at all, and read back to the same bits."""

import os
import pickle
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch

from odl_learned.learning.files.sole_writer import open_temporary, target_of

#: 1: states without what `identity` says of data, loss and architecture. 2: with it. 3: also with
#: the states of the objective, of a gradient scaler, and of the best weights; trainings of format 2
#: are read as well.
FORMAT, OLDEST = 3, 2


def write_checkpoint(path: str | os.PathLike, state: dict) -> None:
    """Write a training state so that `path` holds the old or the new one, never a part.

    The state is written to a temporary file in the same folder, read back, and moved onto `path`
    in one step; behind symbolic links, onto what they lead to. A file that is replaced keeps its
    permissions, a new one has those that the umask gives. Whoever writes more than once does so
    within `sole_writer.sole_writer(path)`.

    Parameters
    ----------
    path : str or path-like
        The file, in an existing folder.
    state : dict
        Tensors, numbers, strings, None, and lists, tuples and dicts of them.

    Raises
    ------
    ValueError
        If the state holds something that `read_checkpoint` would refuse.
    OSError
        FileNotFoundError if the folder does not exist, IsADirectoryError if the path is a folder,
        PermissionError if the file is write-protected; any if the file cannot be written, for
        example because the disk is full. The old file is left as it was.
    """
    target = target_of(path)
    descriptor, name = open_temporary(target)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _save({"format": FORMAT, **state}, _Written(file), path)
            try:
                read_checkpoint(name)
            except ValueError as error:
                raise ValueError(
                    "the training state cannot be read back from disk; expected states of model, "
                    f"optimizer and schedule that are made of tensors and numbers. ({error})"
                ) from error
        os.replace(name, target)
    except BaseException:
        name.unlink(missing_ok=True)
        raise


class _Written:
    """A file that remembers why writing failed: torch says it in words of its own."""

    def __init__(self, file):
        self.file, self.error = file, None

    def write(self, data):
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self):
        self.file.flush()


def _save(state, written, path):
    try:
        torch.save(state, written)
        written.file.flush()
        os.fsync(written.file.fileno())
    except Exception as error:
        cause = written.error or error
        if not isinstance(cause, OSError):
            raise
        number = () if cause.errno is None else (cause.errno,)
        raise type(cause)(
            *number,
            f"checkpoint {path} could not be written: {cause.strerror or cause}. Make room, or "
            "continue with a file elsewhere; the file that was there before, if any, is unchanged",
        ) from error


def read_checkpoint(path: str | os.PathLike) -> dict:
    """Read the training state that `write_checkpoint` wrote.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    dict
        The state, with all tensors on the CPU.

    Raises
    ------
    ValueError
        If the file is damaged or is not a training state of this format.
    OSError
        If the file cannot be opened.

    No code in the file is run (``torch.load(..., weights_only=True)``).

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from odl_learned import learning
    >>> model, pairs = torch.nn.Linear(1, 1), [(np.zeros(1, "f4"), np.ones(1, "f4"))]
    >>> sgd = torch.optim.SGD(model.parameters(), 0.1)
    >>> history = learning.train(
    ...     model, pairs, steps=2, optimizer=sgd, checkpoint="run.pt", progress=False)
    >>> isinstance(history, learning.History)
    True
    >>> print(sorted(learning.read_checkpoint("run.pt")["model"]))
    ['bias', 'weight']
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"checkpoint is {path!r}, expected the path of a file, a str or Path.")
    advice = "Restore a copy of it, or move it away to start anew."
    if Path(path).is_dir():
        raise IsADirectoryError(f"checkpoint {path} is a folder, expected a file; check the path.")
    if not Path(path).exists():
        raise FileNotFoundError(f"checkpoint {path} does not exist; check the path.")
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:  # torch itself does not check the checksums
                damaged = archive.testzip()
            if damaged is not None:
                raise ValueError(f"wrong checksum of {damaged}")
            file.seek(0)
            state = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:
            reason = str(error).strip().partition("\n")[0].rstrip(".")
            if isinstance(error, pickle.UnpicklingError):  # torch then advises to trust the file
                reason = "it holds more than tensors, numbers and strings, or is damaged"
            raise ValueError(f"checkpoint {path} cannot be read: {reason}. {advice}") from error
    if not isinstance(state, dict) or "format" not in state:
        raise ValueError(f"checkpoint {path} is not a training state of this package. {advice}")
    if state["format"] not in range(OLDEST, FORMAT + 1):
        raise ValueError(
            f"checkpoint {path} has format {state['format']!r}, expected {FORMAT}; read it with "
            f"the version of the package that wrote it. {advice}"
        )
    return state


def require_keys(path: str | os.PathLike, state, keys: Iterable[str], kind: str) -> None:
    """Raise ValueError unless a state has all these keys.

    Parameters
    ----------
    path : str or path-like
        Where the state is from, for the message.
    state : object
        What was read; a dict, if the file is in order.
    keys : iterable of str
    kind : str
        What a state with them is, such as "a supervised training".
    """
    absent = [key for key in keys if not isinstance(state, Mapping) or key not in state]
    if absent:
        found = sorted(map(str, state)) if isinstance(state, Mapping) else type(state).__name__
        raise ValueError(
            f"checkpoint {path} is not one of {kind}: it lacks {', '.join(absent)} and has "
            f"{found}. Go on with what wrote it, or move it away to start anew."
        )
