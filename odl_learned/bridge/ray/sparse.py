"""The sparse matrix of a projector in torch, on the memory of the one that ODL's elements use.

The matrix ``M`` applies to a whole batch at a time; derivatives of every order are products with it
and with the transpose beside it, see `operators.tomography.projectors.matrices`.
"""

import warnings
import weakref

import torch

from odl_learned import compiled
from odl_learned.operators.tomography.projectors.matrices import matrix_pair

_pairs: weakref.WeakValueDictionary = weakref.WeakValueDictionary()


class SparsePair:
    """A sparse matrix and its transpose, shared by all modules of one geometry.

    Copies of a module share its pair. A pickle holds the geometry and not the matrices, which are
    found in memory, read from the cache folder or built again when it is loaded.
    """

    def __init__(self, geometry, matrix, transpose, host=None):
        self.geometry, self.matrix, self.transpose = geometry, matrix, transpose
        self._host = host  # keeps it in memory for others who ask for it

    @property
    def nbytes(self):
        """Memory of both matrices in bytes."""
        return sum(part.element_size() * part.numel() for m in (self.matrix, self.transpose)
                   for part in (m.values(), m.col_indices(), m.crow_indices()))

    def project(self, x):
        """``M x`` for images ``(*batch, *source)``, real or complex, without derivatives."""
        return self._product(0, x, self.geometry.source, self.geometry.target)

    def backproject(self, y):
        """``M^T y`` for data ``(*batch, *target)``, real or complex, without derivatives."""
        return self._product(1, y, self.geometry.target, self.geometry.source)

    def _product(self, side, x, source, target):
        matrix = (self.matrix, self.transpose)[side]
        _require_alike(x, matrix)
        if self._host is not None and compiled.is_available():
            return _narrow_product(self._host.narrow[side], x, source, target)
        return _product(matrix, x, source, target)

    def to(self, device, dtype):
        """Return the pair on another device or in the other precision: a copy, shared again.

        Raises
        ------
        TypeError
            If the dtype is neither ``torch.float32`` nor ``torch.float64``.
        """
        if dtype not in (torch.float32, torch.float64):
            raise TypeError(
                f"dtype of the ray transform is {dtype}, expected torch.float32 or torch.float64, "
                "or a complex dtype of that precision; keep this module in one of them."
            )
        key = self.geometry.digest, dtype, torch.device(device)
        pair = _pairs.get(key)
        if pair is None:
            parts = (_moved(m, device, dtype) for m in (self.matrix, self.transpose))
            pair = _pairs[key] = SparsePair(self.geometry, *parts)
        return pair

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        return sparse_pair, (self.geometry, self.matrix.dtype)


def sparse_pair(geometry, dtype=torch.float32):
    """Return the projector of a geometry and its transpose, from memory if possible.

    Parameters
    ----------
    geometry : RayGeometry or SymmetrizedGeometry
        In the plane, with a projector of ASTRA that runs on the CPU.
    dtype : torch.dtype, optional
        ``torch.float32`` or ``torch.float64``; the entries are ASTRA's, in single precision.

    Returns
    -------
    pair : SparsePair
        On the CPU, of shape (number of rays, number of pixels), in the order of ODL's arrays.
    """
    key = geometry.digest, dtype, torch.device("cpu")
    pair = _pairs.get(key)
    if pair is None:
        host = matrix_pair(geometry)
        pair = SparsePair(geometry, *map(_as_torch, (host.matrix, host.transpose)), host)
        _pairs[geometry.digest, pair.matrix.dtype, pair.matrix.device] = pair
    return pair.to("cpu", dtype)


def _product(matrix, x, source, target):
    """``matrix x`` for every sample: one product with the samples as columns.

    A real matrix acts on real and imaginary parts alike, which lie side by side in memory, so
    that ``B`` complex columns are ``2 B`` real ones without a copy. Autocast would round both
    factors to half precision.
    """
    lead = x.shape[: x.ndim - len(source)]
    columns = x.resolve_conj().reshape(-1, matrix.shape[1]).T.contiguous()  # (pixels, B)
    if not columns.numel():
        return x.new_zeros((*lead, *target))
    if x.is_complex():
        columns = torch.view_as_real(columns).reshape(matrix.shape[1], -1)
    with torch.autocast(x.device.type, enabled=False):
        # of a single column as a vector, which takes two thirds of the time
        result = matrix @ (columns[:, 0] if columns.shape[1] == 1 else columns)
    result = result.reshape(matrix.shape[0], -1)
    if x.is_complex():
        result = torch.view_as_complex(result.reshape(matrix.shape[0], -1, 2))
    return result.T.reshape((*lead, *target))


def _narrow_product(narrow, x, source, target):
    """The same with the bits of SciPy, whatever the batch; see `narrow`."""
    lead = x.shape[: x.ndim - len(source)]
    rows = x.resolve_conj().reshape(-1, narrow.shape[1])
    if x.is_complex():  # real and imaginary parts as samples of their own
        rows = torch.view_as_real(rows).movedim(2, 1).flatten(0, 1)
    result = torch.empty(len(rows), narrow.shape[0])
    for begin in range(0, len(rows), 8):
        part = rows[begin : begin + 8]
        width = 1 if len(part) == 1 else 4 if len(part) <= 4 else 8
        columns = torch.zeros(narrow.shape[1], width)
        columns[:, : len(part)] = part.T
        product = torch.from_numpy(narrow.product(columns.numpy()))
        result[begin : begin + 8] = product[:, : len(part)].T
    if x.is_complex():
        result = torch.complex(result[::2], result[1::2])
    return result.reshape((*lead, *target))


def _require_alike(x, matrix):
    if x.real.dtype != matrix.dtype or x.device != matrix.device:
        raise TypeError(
            f"the ray transform got {x.dtype} on {x.device}, its matrix is {matrix.dtype} on "
            f"{matrix.device}; move the module and its input together with .to(...)."
        )


def _as_torch(matrix):
    return _csr(*(torch.from_numpy(part) for part in (matrix.indptr, matrix.indices, matrix.data)),
                matrix.shape)


def _moved(matrix, device, dtype):
    """A matrix elsewhere or in another precision; the indices are shared where they can be."""
    return _csr(matrix.crow_indices().to(device), matrix.col_indices().to(device),
                matrix.values().to(device, dtype), matrix.shape)


def _csr(starts, columns, values, shape):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(starts, columns, values, size=shape, check_invariants=True)
