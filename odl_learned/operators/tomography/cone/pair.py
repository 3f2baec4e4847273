"""Joseph's projector and its transpose on arrays: compiled, or a few rows of its matrix at a time.

A volume and its data are real and of one precision; complex ones are two real ones. However many
threads there are, and whichever samples come together, each has the same bits.
"""

import math
import warnings

import numpy as np

from odl_learned import compiled
from odl_learned.operators.tomography.cone.joseph import joseph_matrix, pieces
from odl_learned.validation import level_outside

#: Pieces for each thread: views differ in how much of the volume they see.
PIECES = 8


def project(geometry, x):
    """``M x`` for volumes ``(*batch, *source)``, real or complex, in their precision.

    Parameters
    ----------
    geometry : ConeGeometry
    x : float32, float64, complex64 or complex128 array
    """
    loop = _project if compiled.is_available() else _project_plainly
    return _one_by_one(loop, geometry, x, geometry.source, geometry.target)


def backproject(geometry, y):
    """``M^T y`` for data ``(*batch, *target)``, real or complex, in their precision."""
    loop = _backproject if compiled.is_available() else _backproject_plainly
    return _one_by_one(loop, geometry, y, geometry.target, geometry.source)


def _one_by_one(loop, geometry, x, source, target):
    """A loop for real samples on batches, real or complex."""
    if x.dtype.kind == "c":
        real, imag = (_one_by_one(loop, geometry, part, source, target)
                      for part in (x.real, x.imag))  # fmt: skip
        result = np.empty(real.shape, x.dtype)
        result.real, result.imag = real, imag
        return result
    lead = x.shape[: x.ndim - len(source)]
    samples = np.ascontiguousarray(x).reshape(-1, *source)
    result = np.empty((len(samples), *target), x.dtype)
    for sample, out in zip(samples, result, strict=True):
        loop(geometry, sample, out)
    return result.reshape(*lead, *target)


def _project(geometry, x, out):
    from odl_learned.compiled.rays import cone

    shares = _shares(math.prod(geometry.target[:2]), out.size)
    compiled.run_all(cone.project, [(x, *geometry.arrays, *share, out) for share in shares])


def _backproject(geometry, y, out):
    from odl_learned.compiled.rays import cone

    shares = _shares(geometry.source[0], y.size)
    compiled.run_all(cone.backproject, [(y, *geometry.arrays, *share, out) for share in shares])


def _shares(count, entries):
    """More pieces than threads, since they take different times; one where one thread is best."""
    threads = compiled.useful_threads(entries)
    number = min(count, threads * PIECES if threads > 1 else 1)
    return [(i * count // number, (i + 1) * count // number) for i in range(number)]


def _project_plainly(geometry, x, out):
    _warn(geometry)
    flat, bins = out.reshape(-1), geometry.target[2]
    for begin, end in pieces(geometry):
        flat[begin * bins : end * bins] = joseph_matrix(geometry, begin, end) @ x.ravel()


def _backproject_plainly(geometry, y, out):
    _warn(geometry)
    flat, bins = y.reshape(-1), geometry.target[2]
    total = np.zeros(out.size)
    for begin, end in pieces(geometry):
        total += joseph_matrix(geometry, begin, end).T @ flat[begin * bins : end * bins]
    out[...] = total.reshape(out.shape)


def _warn(geometry):
    """Where it takes more than some seconds."""
    if math.prod(geometry.target) * max(geometry.source) > 2**24:
        warnings.warn(
            "cone beams are projected without numba, a few rows of the matrix at a time, some "
            "hundred times slower than by compiled loops. Run pip install odl-learned[fast].",
            RuntimeWarning,
            stacklevel=level_outside("odl_learned", "odl", "functools", "torch"),
        )
