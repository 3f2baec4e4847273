"""Tridiagonal systems of many samples at once, by LAPACK."""

import odl  # noqa: F401  (before scipy, whose array API it switches on)
import torch
from scipy.linalg import lapack


class Tridiagonal:
    """``v -> T^-1 v`` for symmetric positive definite tridiagonal matrices, one per sample.

    Parameters
    ----------
    diagonal, side : tensor ``(B, n)``
        ``side[:, j]`` is the entry ``(j, j + 1)``, and zero for the last ``j``.
    """

    def __init__(self, diagonal, side):
        self._shape, self._dtype, self._device = diagonal.shape, diagonal.dtype, diagonal.device
        flat = [t.double().flatten().cpu().numpy() for t in (diagonal, side)]
        self._diagonal, self._side, info = lapack.dpttrf(flat[0], flat[1][:-1])
        if info:
            raise ArithmeticError(f"the tridiagonal matrix is not positive definite at entry {info}"
                                  "; expected positive shift and nonnegative curvatures.")

    def __call__(self, v):
        columns = torch.view_as_real(v) if v.is_complex() else v[..., None]
        right = columns.reshape(-1, columns.shape[-1]).double().cpu().numpy()
        solution, _ = lapack.dpttrs(self._diagonal, self._side, right)
        solution = torch.from_numpy(solution).to(self._device, self._dtype)
        solution = solution.reshape(columns.shape).contiguous()
        return torch.view_as_complex(solution) if v.is_complex() else solution[..., 0]
