r"""Triangular solves with the unit factor ``U = I + B``, ``B u = sum_k b_k S_k u``.

With ``x = U^-1 y`` and ``z = U^-T v``, and the maps of `shifts`,

    dx = U^-1 (dy - G(x, db)),      <g, dx> = <h, dy> - <C(x, h), db>  with  h = U^-T g,
    dz = U^-T (dv - T(z, db)),      <g, dz> = <h, dv> - <C(h, z), db>  with  h = U^-1 g.
"""

import functools
import warnings

import numpy as np
import torch

from odl_learned.bridge.forward_mode import jvp_rule
from odl_learned.bridge.graphs import outside_graphs
from odl_learned.bridge.triangular.layouts import stacked, unstacked
from odl_learned.bridge.triangular.shifts import Gather, Products, Scatter
from odl_learned.operators.triangular import Neighborhood


def solved(y: torch.Tensor, b: torch.Tensor, hood: Neighborhood) -> torch.Tensor:
    """Return ``U^-1 y``, on the CPU, by a sparse triangular solve for each set of coefficients.

    Parameters
    ----------
    y : real tensor ``(M, N, C, H, W)``
    b : tensor ``(N, len(hood), H, W)``, of the same dtype
    hood : operators.triangular.Neighborhood
        Of ``C`` channels.
    """
    return outside_graphs(Solve.apply, y, b, hood)


def solved_transposed(v: torch.Tensor, b: torch.Tensor, hood: Neighborhood) -> torch.Tensor:
    """Return ``U^-T v``, as `solved`."""
    return outside_graphs(SolveTransposed.apply, v, b, hood)


class Solve(torch.autograd.Function):
    """``(y, b) -> U^-1 y``."""

    @staticmethod
    def forward(y, b, hood):
        return _substituted(y, b, hood, False)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, b, ctx.hood = inputs
        ctx.save_for_backward(output, b)
        ctx.save_for_forward(output, b)

    @staticmethod
    def backward(ctx, g):
        x, b = ctx.saved_tensors
        h = SolveTransposed.apply(g, b, ctx.hood)
        return h, -Products.apply(x, h, ctx.hood) if ctx.needs_input_grad[1] else None, None

    @staticmethod
    @jvp_rule
    def jvp(ctx, saved, dy, db, _):
        x, b = saved
        change = torch.zeros_like(x) if dy is None else dy
        if db is not None:
            change = change - Gather.apply(x, db, ctx.hood)
        return Solve.apply(change, b, ctx.hood)

    @staticmethod
    def vmap(info, in_dims, y, b, hood):
        return unstacked(Solve.apply(*stacked(info, in_dims, y, b), hood), info.batch_size), 0


class SolveTransposed(torch.autograd.Function):
    """``(v, b) -> U^-T v``."""

    @staticmethod
    def forward(v, b, hood):
        return _substituted(v, b, hood, True)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, b, ctx.hood = inputs
        ctx.save_for_backward(output, b)
        ctx.save_for_forward(output, b)

    @staticmethod
    def backward(ctx, g):
        z, b = ctx.saved_tensors
        h = Solve.apply(g, b, ctx.hood)
        return h, -Products.apply(h, z, ctx.hood) if ctx.needs_input_grad[1] else None, None

    @staticmethod
    @jvp_rule
    def jvp(ctx, saved, dv, db, _):
        z, b = saved
        change = torch.zeros_like(z) if dv is None else dv
        if db is not None:
            change = change - Scatter.apply(z, db, ctx.hood)
        return SolveTransposed.apply(change, b, ctx.hood)

    @staticmethod
    def vmap(info, in_dims, v, b, hood):
        x = SolveTransposed.apply(*stacked(info, in_dims, v, b), hood)
        return unstacked(x, info.batch_size), 0


def _substituted(y, b, hood, transposed):
    """``U^-1 y`` or ``U^-T y``: images as columns in raster order, one matrix after the other."""
    count, (channels, height, width) = b.shape[0], y.shape[2:]
    columns = y.permute(1, 3, 4, 2, 0).reshape(count, height * width * channels, len(y)).cpu()
    indptr, indices, source = _structure(hood, (height, width))
    ones = b.new_ones(count, len(indptr) - 1, device="cpu")
    entries = torch.cat([ones, b.flatten(1).cpu()], 1).index_select(1, source)
    size = (len(indptr) - 1,) * 2
    x = torch.stack([_substitution(_rows(indptr, indices, values, size), column, transposed)
                     for values, column in zip(entries, columns, strict=True)])
    x = x.reshape(count, height, width, channels, len(y)).permute(4, 0, 3, 1, 2)
    return x.to(y.device).contiguous()


@functools.lru_cache(maxsize=16)
def _structure(hood, shape):
    return tuple(torch.from_numpy(np.array(part)) for part in hood.structure(shape))


def _rows(indptr, indices, values, size):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(indptr, indices, values, size, check_invariants=False)


def _substitution(matrix, columns, transposed):
    if not torch.backends.mkl.is_available():
        return _substitution_of_scipy(matrix, columns, transposed)
    # Its diagonal of ones is stored: told of it, torch takes thirty times as long.
    return torch.triangular_solve(columns, matrix, upper=True, transpose=transposed).solution


def _substitution_of_scipy(matrix, columns, transposed):
    import scipy.sparse
    import scipy.sparse.linalg

    parts = matrix.values(), matrix.col_indices(), matrix.crow_indices()
    rows = scipy.sparse.csr_array(tuple(part.numpy() for part in parts), matrix.shape)
    solution = scipy.sparse.linalg.spsolve_triangular(
        rows.T.tocsr() if transposed else rows, columns.numpy(), lower=transposed)
    return torch.from_numpy(solution).to(columns.dtype)
