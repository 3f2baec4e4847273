"""Measured data in npz archives, with directions where they come from."""

from pathlib import Path

import numpy as np


def read_measurement(path, origin, *names):
    """Read named arrays of an npz archive.

    Parameters
    ----------
    path : str or path-like
        The file.
    origin : str
        Where the public original is and what to do with it; part of the error if the file is
        missing.
    *names : str
        Names of the arrays.

    Returns
    -------
    arrays : list of numpy.ndarray
        In the order of the names.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    KeyError
        If an array is missing in it.
    ValueError
        If the file is not an npz archive of plain arrays.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; expected measured data. {origin}")
    try:
        archive = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is not an npz archive: {error}. {origin}") from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise ValueError(f"{path} holds a single array, expected an npz archive. {origin}")
    with archive:
        missing = [name for name in names if name not in archive.files]
        if missing:
            raise KeyError(f"{path} has no arrays {missing}, only {archive.files}. {origin}")
        return [archive[name] for name in names]
