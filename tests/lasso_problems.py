"""Lasso problems, alone on ODL spaces and in batches of arrays, and the solvers for them."""

import numpy as np
import odl

from odl_learned.functionals import l2_fidelity
from odl_learned.operators import random_element
from odl_learned.solvers import fista, proximal_gradient

F = odl.functionals
SOLVERS = [proximal_gradient, fista]


class LeastSquares:
    """``|A_b x_b - y_b|^2 / 2`` for arrays of shape (B, n); counts products of samples.

    Sums along rows of numpy arrays, or term by term along another axis: a sample has the same bits
    in every batch.
    """

    def __init__(self, A, y, xp=np):
        self.A, self.y, self.xp, self.products = A, y, xp, [0]
        if xp is np:
            spectrum = np.linalg.eigvalsh(np.swapaxes(A, 1, 2) @ A)
            self.grad_lipschitz, self.strong_convexity = spectrum[:, -1], spectrum[:, 0]

    def residual(self, x):
        return (self.A * x[:, None, :]).sum(-1) - self.y

    def __call__(self, x):
        return (self.residual(x) ** 2).sum(-1) / 2

    def gradient(self, x):
        self.products[0] += len(x)
        return (self.A * self.residual(x)[:, :, None]).sum(1)

    def take(self, index):
        part = object.__new__(LeastSquares)
        part.__dict__.update(self.__dict__)
        for name in ("A", "y", "grad_lipschitz", "strong_convexity"):
            if hasattr(self, name):
                setattr(part, name, getattr(self, name)[index])
        return part


class L1:
    """``alpha |x_b|_1`` for arrays of shape (B, n)."""

    def __init__(self, alpha):
        self.alpha = alpha

    def proximal(self, tau):
        level = self.alpha * np.reshape(np.asarray(tau), (-1, 1))
        return lambda x: np.sign(x) * np.maximum(np.abs(x) - level, 0)


def lasso(rng, size, shape=(9, 6), alpha=0.5):
    """A batch of lasso problems, harder from sample to sample."""
    A = rng.standard_normal((size, *shape)) * np.geomspace(1, 2, shape[1])
    return LeastSquares(A, 2 * rng.standard_normal((size, shape[0]))), L1(alpha)


def problem(rng, dtype="float64", weighting=0.5):
    """One lasso on weighted ODL spaces, with its constants."""
    X = odl.rn(6, dtype=dtype, weighting=weighting)
    A = odl.MatrixOperator((rng.standard_normal((9, 6))).astype(dtype), domain=X)
    f = l2_fidelity(random_element(A.range, rng)) @ A
    spectrum = np.linalg.eigvalsh(A.matrix.T @ A.matrix) / weighting * A.range.weighting.const
    return f, 0.1 * F.L1Norm(X), float(spectrum[-1]), float(spectrum[0])
