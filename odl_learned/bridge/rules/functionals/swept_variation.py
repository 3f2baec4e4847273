"""Smoothed total variation of images in the plane, on the CPU, by compiled sweeps.

Values are added up in double precision, down the columns of blocks of rows and then along them; how
images are cut depends on their shape alone, and neither on the batch nor on the threads.
"""

import numpy as np
import torch

from odl_learned import compiled

#: Entries of a block, about.
BLOCK = 2**14


def can_sweep(x, dimension):
    """Whether compiled loops are there for ``x``, a tensor, of images of some dimension."""
    return (dimension == 2 and x.device.type == "cpu" and x.numel() > 0
            and x.dtype in (torch.float32, torch.float64) and compiled.is_available())  # fmt: skip


def swept_gradient(term, x, g, with_slopes):
    """Values, and ``g f'(x)`` or nothing.

    Parameters
    ----------
    term : SmoothedVariation
    x : tensor ``(N, R, W)``
    g : tensor ``(N,)``
    with_slopes : bool

    Returns
    -------
    values : tensor ``(N,)``
        ``f(x)``.
    slopes : tensor ``(N, R, W)`` or ``(0, 0, 0)``
    """
    from odl_learned.compiled.variation.smoothed_variation import gradient

    images, height = _array(x), _height(x.shape)
    blocks = -(-x.shape[1] // height)
    slopes = np.empty(images.shape if with_slopes else (0, 0, 0), images.dtype)
    sums = np.empty((len(images) * blocks, 2, images.shape[2]))
    compiled.run_all(gradient, [
        (images, _array(g), _numbers(term, images.dtype), height, begin, end, slopes, sums)
        for begin, end in compiled.shares(len(sums), images.size)])  # fmt: skip
    lengths, squares = np.moveaxis(sums.sum(axis=2).reshape(-1, blocks, 2), 2, 0)
    values = term.weight * (term.alpha * _added(lengths) + term.xi / 2 * _added(squares))
    return torch.from_numpy(values).to(x.dtype), torch.from_numpy(slopes)


def swept_hessian(term, x, h, g):
    """``g f''(x) h``, with images ``(N, R, W)`` and factors ``(N,)``."""
    from odl_learned.compiled.variation.smoothed_variation import hessian

    images, directions, height = _array(x), _array(h), _height(x.shape)
    products, blocks = np.empty_like(images), len(images) * -(-x.shape[1] // height)
    compiled.run_all(hessian, [
        (images, directions, _array(g), _numbers(term, images.dtype), height, begin, end, products)
        for begin, end in compiled.shares(blocks, images.size)])  # fmt: skip
    return torch.from_numpy(products)


def _numbers(term, dtype):
    factors = [1 / h for h in term.cell_sides]
    return np.array([*factors, term.nu**2, term.weight * term.alpha, term.weight * term.xi], dtype)


def _height(shape):
    return max(1, min(shape[1], BLOCK // shape[2]))


def _array(x):
    return x.contiguous().numpy(force=True)


def _added(blocks):
    """Sums along axis 1, one after the other."""
    return np.cumsum(blocks, axis=1)[:, -1]
