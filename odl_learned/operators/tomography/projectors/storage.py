"""Matrices of projectors on disk: written whole or not at all, verified when they are read.

A file is named by the hash of its geometry, of ASTRA's version and of `FORMAT`. It holds a checksum
of that name and of its arrays, so that neither a damaged file nor that of another geometry under
this name is taken for the matrix. (NumPy's archives have checksums of their own, of every array.)
"""

import hashlib
import os
import secrets
import time
import warnings
import zipfile

import numpy as np
import scipy.sparse

#: 1: without a checksum. 2: with it.
FORMAT = 2
#: Age in seconds at which a partial file belongs to a process that is no more.
ABANDONED = 3600


def stored(folder, geometry, build):
    """Return the matrix of a geometry from a folder, or build it and write it there.

    What cannot be written, or is not read back right, costs time and gives a warning.

    Parameters
    ----------
    folder : pathlib.Path
        Made where it is missing.
    geometry : RayGeometry
    build : callable
        From the geometry to a ``scipy.sparse.csr_matrix`` with float32 values and int32 indices.
    """
    path = folder / f"{geometry.digest}.v{FORMAT}.npz"
    if path.exists():
        try:
            return _read(path, geometry)
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
            warnings.warn(
                f"{path} is not a readable projector ({error}); it is built and written again.",
                RuntimeWarning,
                stacklevel=2,
            )
    matrix = build(geometry)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        _write(path, matrix, geometry)
    except OSError as error:
        warnings.warn(
            f"the projector could not be kept in {folder} ({error}), so that it is built again "
            "next time. Allow writing there, make room, or choose another cache_folder(path).",
            RuntimeWarning,
            stacklevel=2,
        )
    return matrix


def _read(path, geometry):
    with np.load(path, allow_pickle=False) as file:
        parts = file["data"], file["indices"], file["indptr"]
        checksum = bytes(file["checksum"])
    if [part.dtype for part in parts] != [np.float32, np.int32, np.int32]:
        raise ValueError(f"dtypes {[str(part.dtype) for part in parts]}, expected float32, int32")
    if checksum != _checksum(geometry, *parts):
        raise ValueError("wrong checksum")
    matrix = scipy.sparse.csr_matrix(parts, shape=geometry.matrix_shape)
    matrix.check_format(full_check=True)
    return matrix


def _write(path, matrix, geometry):
    parts = matrix.data, matrix.indices, matrix.indptr
    checksum = np.frombuffer(_checksum(geometry, *parts), dtype=np.uint8)
    name = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    try:
        with open(name, "xb") as file:
            np.savez(file, data=parts[0], indices=parts[1], indptr=parts[2], checksum=checksum)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        name.unlink(missing_ok=True)
        raise


def _checksum(geometry, *parts):
    total = hashlib.sha256(f"{FORMAT} {geometry.digest}".encode())
    for part in parts:
        total.update(f"{part.dtype.str}{part.shape}".encode())
        total.update(np.ascontiguousarray(part))
    return total.digest()


def _remove_abandoned(folder):
    """Remove what processes that were killed while writing have left."""
    for name in folder.glob("*.part"):
        try:
            if time.time() - name.stat().st_mtime > ABANDONED:
                name.unlink()
        except OSError:
            continue  # another process was faster, or it belongs to somebody else
