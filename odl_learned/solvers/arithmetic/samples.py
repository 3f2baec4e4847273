r"""Samples: one ODL element, or a batch of arrays with the samples along the first axis.

The iterations of this room are written once, for both. Numbers that belong to samples (norms, inner
products, steps, certificates) are numpy arrays of shape ``(size,)``, with ``size = 1`` for an
element; ``scale`` multiplies every sample with its number. Samples of a batch never mix, and a
sample has the same iterates alone and among others, to the last bit on the CPU, as long as the
operators keep them apart, too. What that rests on:

* Everything but inner products is entrywise, and IEEE arithmetic rounds an entry the same wherever
  it stands. Products and sums are separate steps: a fused one rounds once, and libraries fuse in
  full vector registers, but not in the remainder.
* Inner products are `row_products`, added up by numpy row by row, in blocks and then in pairs, in
  an order that depends on the length of the row alone. Dot products of BLAS depend on the kernel
  for the processor, the number of threads and, for some kernels, on where the row lies in memory.
"""

from typing import TypeVar

import numpy as np
from array_api_compat import is_array_api_obj
from numpy.typing import ArrayLike

from odl_learned.solvers.arithmetic.batch_samples import Batch
from odl_learned.solvers.arithmetic.element_samples import Element
from odl_learned.solvers.arithmetic.row_sums import on_host
from odl_learned.solvers.types import Point

#: A functional, operator or problem.
Restricted = TypeVar("Restricted")


def samples_of(x: Point, space: object = None) -> Element | Batch:
    """Return the arithmetic of an element or of a batch.

    Parameters
    ----------
    x : ODL element, or array or tuple of arrays of shape ``(size, ...)``
        Numpy arrays and torch tensors, real or complex.
    space : object, optional
        Of batches: ``space.inner(x, y)`` returns inner products as an array of shape ``(size,)``.
        Default: the Euclidean inner product. ODL elements bring their own.

    Returns
    -------
    samples : Element or Batch
    """
    is_batch = isinstance(x, tuple) or (is_array_api_obj(x) and not hasattr(x, "space"))
    return Batch(x, getattr(space, "inner", None)) if is_batch else Element()


def numbers_of(values):
    """Numbers of samples, of Python, numpy or tensors on any device, as an array of float64."""
    array = on_host(values) if hasattr(values, "device") else np.asarray(values)
    array = values.cpu().numpy() if array is None else array
    return np.atleast_1d(array).astype(np.float64)


def restricted(problem: Restricted, index: ArrayLike) -> Restricted:
    """Return a functional, operator or problem for some of the samples.

    What belongs to samples, such as data, knows how to ``take(index)``; what does not is the same
    for all of them, and stays as it is.
    """
    take = getattr(problem, "take", None)
    return problem if take is None else take(index)
