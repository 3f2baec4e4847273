"""Rows of arrays on the host, summed in an order that depends on the length of a row alone."""

import math

import numpy as np
from array_api_compat import array_namespace, to_device

#: So many products of a row are added up at once.
BLOCK = 512


def euclidean(x, y):
    """``Re <x_b, y_b>`` for every sample of two batches, a numpy array ``(B,)`` of float64."""
    if isinstance(x, tuple):
        return sum(euclidean(a, b) for a, b in zip(x, y, strict=True))
    a = rows(x)
    b = a if y is x else rows(y)
    if a is not None and b is not None:
        return row_products(a, b).astype(np.float64, copy=False)
    xp = array_namespace(x)
    if xp.isdtype(x.dtype, "complex floating"):
        products = x.real * y.real + x.imag * y.imag
    else:
        products = x * y
    sums = xp.sum(products, axis=tuple(range(1, x.ndim)))
    return np.asarray(to_device(sums, "cpu"), dtype=np.float64)


def rows(x):
    """Return the samples of an array as rows of a numpy array on the same memory, or None.

    None if the array lives elsewhere than in the memory of the CPU.
    """
    x = on_host(x)
    return None if x is None else x.reshape(x.shape[0], math.prod(x.shape[1:]))


# Without `optimize`, einsum calls no BLAS, and its loops are compiled for the oldest processor that
# numpy supports: newer ones run the same instructions. Errors of a sum grow with its longest chain
# of additions, which blocks bound by BLOCK / 4 + 2 log2(n / BLOCK): vectors of two or four numbers
# are added one by one, and numpy adds up the blocks in pairs.
def row_products(a, b):
    """``Re <a_i, b_i>`` of the rows of two numpy arrays ``(B, n)``, in their precision.

    A complex row is a real one of twice the length. What is not finite is a result without a
    warning, as of BLAS: solvers look at it and name the sample.
    """
    dtype = a.dtype if a.dtype == b.dtype else np.result_type(a, b)
    a, b = _in_line(a, dtype), None if b is a else _in_line(b, dtype)
    b = a if b is None else b
    size, length = a.shape
    whole = length - length % BLOCK
    if whole == 0:
        return np.einsum("ij,ij->i", a, b)
    blocks = (v[:, :whole].reshape(size, -1, BLOCK) for v in (a, b))
    with np.errstate(over="ignore", invalid="ignore"):  # einsum itself never warns
        sums = np.add.reduce(np.einsum("ijk,ijk->ij", *blocks), axis=1)
        if whole < length:
            sums += np.einsum("ij,ij->i", a[:, whole:], b[:, whole:])
    return sums


def _in_line(x, dtype):
    """Real numbers of one precision that follow each other in memory."""
    if not (x.dtype == dtype and x.flags.c_contiguous and x.flags.aligned):
        x = np.array(x, dtype, order="C")
    return x.view(x.real.dtype) if dtype.kind == "c" else x


def on_host(x):
    """Return a numpy array on the memory of an array, or None if it is not on the CPU."""
    if isinstance(x, np.ndarray):
        return x
    if str(getattr(x, "device", "")) != "cpu":
        return None
    # Of torch, without a graph, and with what is conjugate or negative by a flag written out.
    return x.numpy(force=True) if hasattr(x, "resolve_conj") else np.asarray(x)
