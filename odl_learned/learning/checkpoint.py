"""Training states on disk: written whole or not at all, and read back to the same bits."""

import os
import pickle
import tempfile
import zipfile
from pathlib import Path

import torch

FORMAT = 1


def write_checkpoint(path, state):
    """Write a training state so that `path` holds the old or the new one, never a part.

    The state is written to a temporary file in the same folder, read back, and moved onto `path`
    in one step.

    Parameters
    ----------
    path : str or path-like
        The file, in an existing folder.
    state : dict
        Tensors, numbers, strings, None, and lists, tuples and dicts of them.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    ValueError
        If the state holds something that `read_checkpoint` would refuse.
    OSError
        If the file cannot be written; the old one is left as it was.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"checkpoint {path} is in a folder that does not exist; create it.")
    if path.is_dir():
        raise IsADirectoryError(f"checkpoint {path} is a folder; expected the path of a file.")
    handle, name = tempfile.mkstemp(prefix=path.name + ".", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save({"format": FORMAT, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        try:
            read_checkpoint(name)
        except ValueError as error:
            raise ValueError(
                "the training state cannot be read back from disk; expected states of model, "
                f"optimizer and schedule that are made of tensors and numbers. ({error})"
            ) from error
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_checkpoint(path):
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
    """
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
    if state["format"] != FORMAT:
        raise ValueError(
            f"checkpoint {path} has format {state['format']!r}, expected {FORMAT}; read it with "
            f"the version of the package that wrote it. {advice}"
        )
    return state
