"""Measured data in npz archives, with directions where they come from."""

from os import PathLike

import numpy as np

from odl_learned.data.dicom.files import as_path
from odl_learned.data.files.limits import Limits
from odl_learned.data.files.numpy_files import Archive


def read_measurement(
    path: str | PathLike, origin: str, *names: str, limits: Limits = Limits()
) -> list[np.ndarray]:
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
    limits : Limits, optional
        How much each array may expand to.

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
        If the file is not an npz archive of plain arrays, or an array is larger than the limits.
    TypeError
        If an array holds Python objects.
    """
    path = as_path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; expected measured data. {origin}")
    try:
        archive = Archive(path, limits)
    except ValueError as error:
        raise ValueError(f"{path} is not an npz archive: {error} {origin}") from error
    with archive:
        missing = [name for name in names if name not in archive.names]
        if missing:
            raise KeyError(f"{path} has no arrays {missing}, only {archive.names}. {origin}")
        return [archive.read(name) for name in names]
