"""Quadratic functionals and matrices, one per sample, that count what they are asked."""

import numpy as np
import torch

from odl_learned.solvers.arithmetic.row_sums import on_host


class Matrices:
    """``x_b -> M_b x_b`` on arrays ``(B, n)``, sample by sample in the same order of sums."""

    is_linear = True

    def __init__(self, matrices, counter=None):
        self.matrices, self.counter = matrices, [0] if counter is None else counter

    def __call__(self, x):
        self.counter[0] += len(x)
        return sums(self.matrices * x[:, None, :])

    @property
    def adjoint(self):
        return Matrices(self.matrices.swapaxes(1, 2), self.counter)

    def take(self, index):
        return Matrices(self.matrices[index], self.counter)


def sums(products):
    """Sums along the last axis, by numpy on the host: its order depends on the length alone."""
    host = on_host(products)
    if host is None:
        return products.sum(-1)
    result = np.ascontiguousarray(host).sum(-1)
    return result if host is products else torch.from_numpy(result)


class Linearization:
    def __init__(self, gradient, hessian):
        self.gradient, self.hessian = gradient, hessian


class Energies:
    """``1/2 <x, H_b x> - <b_b, x> + c sum_j sqrt(1 + x_j^2)``, per sample."""

    def __init__(self, hessians, b, c=0.0, counter=None, known=None):
        self.H, self.b, self.c = Matrices(hessians, counter), b, c
        if known is None:
            spectra = np.linalg.eigvalsh(np.asarray(on_host(hessians), dtype=float))
            known = spectra[:, -1] + c, spectra[:, 0]
        self.grad_lipschitz, self.strong_convexity = known

    @property
    def counter(self):
        return self.H.counter

    def __call__(self, x):
        quadratic = sums(x * (0.5 * self.H(x) - self.b))
        return quadratic + self.c * sums((1 + x * x) ** 0.5)

    def gradient(self, x):
        return self.H(x) - self.b + self.c * x / (1 + x * x) ** 0.5

    def linearize(self, x):
        root = (1 + x * x) ** 0.5  # torch rounds other powers in two ways, by where an entry stands
        curvature = self.c / (root * root * root)
        return Linearization(self.gradient(x), lambda v: self.H(v) + curvature * v)

    def take(self, index):
        known = self.grad_lipschitz[index], self.strong_convexity[index]
        return Energies(self.H.matrices[index], self.b[index], self.c, self.counter, known)


def random_hessians(rng, size, n, conditions, dtype="float64"):
    """Symmetric matrices ``(size, n, n)`` with spectra from 0.3 to 0.3 times the condition."""
    basis = np.linalg.qr(rng.standard_normal((size, n, n)))[0]
    conditions = np.broadcast_to(np.asarray(conditions, dtype=float), (size,))
    spectra = 0.3 * conditions[:, None] ** np.linspace(0, 1, n)
    hessians = basis @ (spectra[:, :, None] * basis.swapaxes(1, 2))
    return ((hessians + hessians.swapaxes(1, 2)) / 2).astype(dtype)
