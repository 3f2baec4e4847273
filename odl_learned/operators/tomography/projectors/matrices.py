"""A projector of ASTRA as a sparse matrix, built once for elements of ODL and for tensors.

The projector ``M`` is linear in the pixels, ``vec(A x) = M vec(x)``. ``M^T`` is stored beside it,
so that both directions read memory in order.
"""

import contextlib
import contextvars
import functools
import math
import os
import pathlib
import warnings
import weakref
from collections.abc import Iterator

from odl_learned.operators.tomography.projectors.narrow import NarrowMatrix
from odl_learned.operators.tomography.projectors.storage import stored
from odl_learned.validation import level_outside

#: Largest size in bytes of the two matrices of one geometry; larger ones go through ASTRA.
SPARSE_LIMIT = 2 * 2**30

_pairs: weakref.WeakValueDictionary = weakref.WeakValueDictionary()
_folder: contextvars.ContextVar[pathlib.Path | None] = contextvars.ContextVar(
    "cache_folder", default=None)  # fmt: skip


class MatrixPair:
    """A sparse matrix and its transpose, shared by all that has one geometry.

    Copies share it. A pickle holds the geometry and not the matrices, which are found in memory,
    read from the cache folder or built again when it is loaded.

    Parameters
    ----------
    geometry : RayGeometry or SymmetrizedGeometry
    matrix, transpose : scipy.sparse.csr_matrix
        With float32 values, of shape (number of rays, number of pixels) in the order of ODL's
        arrays, and its transpose.
    """

    def __init__(self, geometry, matrix, transpose):
        self.geometry, self.matrix, self.transpose = geometry, matrix, transpose

    @property
    def nbytes(self):
        """Memory of both matrices in bytes."""
        return sum(part.nbytes for m in (self.matrix, self.transpose)
                   for part in (m.data, m.indices, m.indptr))

    @functools.cached_property
    def narrow(self):
        """`NarrowMatrix` of both, which take a quarter of their memory in addition."""
        return NarrowMatrix(self.matrix), NarrowMatrix(self.transpose)

    def project(self, x):
        """``M x`` of a numpy array, in single precision, real or complex.

        Of shape ``source``, or with further axes, which count independent images.
        """
        return _product(self.matrix, x, self.geometry.source, self.geometry.target)

    def backproject(self, y):
        """``M^T y`` of a numpy array of shape ``target``, or with further axes, as `project`."""
        return _product(self.transpose, y, self.geometry.target, self.geometry.source)

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        return matrix_pair, (self.geometry,)


def matrix_pair(geometry):
    """Return the projector of a geometry and its transpose, from memory if possible.

    Parameters
    ----------
    geometry : RayGeometry or SymmetrizedGeometry
        In the plane, with a projector of ASTRA that runs on the CPU.
    """
    pair = _pairs.get(geometry.digest)
    if pair is None:
        folder = _folder.get()
        matrix = geometry.build_matrix() if folder is None else (
            stored(folder, geometry, type(geometry).build_matrix))
        pair = _pairs[geometry.digest] = MatrixPair(geometry, matrix, matrix.T.tocsr())
    return pair


def fits_in_memory(geometry):
    """Whether the two matrices of a geometry are within `SPARSE_LIMIT`; warns where not."""
    if geometry.expected_bytes <= SPARSE_LIMIT:
        return True
    warnings.warn(
        f"the projector as a matrix takes {geometry.expected_bytes / 2**30:.1f} GiB, more than "
        f"the limit of {SPARSE_LIMIT / 2**30:.1f} GiB; every image goes through ASTRA by itself, "
        f"which is slower. Raise {__name__}.SPARSE_LIMIT to change that.",
        RuntimeWarning,
        stacklevel=level_outside("odl_learned", "odl", "functools", "torch"),
    )
    return False


@contextlib.contextmanager
def cache_folder(path: str | os.PathLike) -> Iterator[None]:
    """Keep the matrices that are built inside a ``with`` block on disk, and read them from there.

    A file is found by a hash of the geometry and of the version of ASTRA, and verified by a
    checksum, which takes a third of the time of reading. It is written under a temporary name and
    then renamed; one that is damaged or of another geometry is built again, with a warning. Where
    files cannot be written there is a warning, and all goes on without them. A matrix that a living
    module or operator holds is taken from memory, and not written.

    Parameters
    ----------
    path : str or path-like
        A folder, made where it is missing. Files are as large as the matrix, for 256 x 256 pixels
        and 180 views 170 MB, and never deleted.

    Raises
    ------
    NotADirectoryError
        If the path is that of a file.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import bridge, operators
    >>> from odl_learned.bridge import ray
    >>> X = odl.uniform_discr([-1, -1], [1, 1], (8, 8), dtype="float32")
    >>> A = operators.parallel_ray_transform(X, num_angles=4)
    >>> with ray.cache_folder("projectors"):
    ...     module = bridge.as_module(A)
    """
    path = pathlib.Path(path)
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"cache_folder is {path}, a file; expected a folder.")
    token = _folder.set(path)
    try:
        yield
    finally:
        _folder.reset(token)


def _product(matrix, x, source, target):
    if x.dtype.kind == "c":
        real, imag = (_product(matrix, part, source, target) for part in (x.real, x.imag))
        return real + 1j * imag
    # of a single column as a vector; the order of its sums is that of several columns
    further = x.shape[len(source) :]
    columns = x.reshape(-1) if math.prod(further) == 1 else x.reshape(matrix.shape[1], -1)
    product = matrix @ columns.astype(matrix.dtype, copy=False)
    return product.reshape((*target, *further))
