"""Batches of random problems of `random_problems`, as solvers take them.

A batch has one space; data, matrices, weights of the problems and starts differ by sample, and so
do accuracies, so that every sample stops by itself.
"""

import numpy as np
import torch
from random_problems import Dense, LeastSquares, Linearization
from torch import nn

from odl_learned.bridge import as_batch
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import Held
from odl_learned.bridge.lowering import lower


class DenseModule(nn.Module):
    """``x -> M x`` on all entries of an element, with one matrix or one per sample."""

    def __init__(self, matrix, ndim, shape):
        super().__init__()
        self.matrix, self.ndim, self.shape = Held(matrix), ndim, shape

    def forward(self, x):
        column = x.flatten(-self.ndim)[..., None]
        return (self.matrix() @ column).unflatten(-2, self.shape)[..., 0]


@lower.register
def _(op: Dense):
    matrix = torch.from_numpy(np.ascontiguousarray(op.matrix)).to(layout_of(op.range).dtype)
    return DenseModule(matrix, op.domain.ndim, op.range.shape)


class LeastSquaresBatch:
    """`LeastSquares` of one space and one number of data, with the same attributes."""

    def __init__(self, problems):
        self.problems, self.A = problems, as_batch([f.A for f in problems])
        self.domain, self.is_linear = self.A.domain, False
        self.mu = self.strong_convexity = np.array([f.mu for f in problems])
        self.grad_lipschitz = np.array([f.grad_lipschitz for f in problems])
        self.data = stacked([f.data for f in problems])
        self.exact = stacked([f.exact for f in problems])
        self.data_norm = np.array([f.data_norm for f in problems])

    @classmethod
    def random(cls, kind, rng, count):
        """``count`` problems on one space of the kind."""
        first = LeastSquares(kind, rng)
        return cls([first] + [LeastSquares(kind, rng, (first.A.domain, first.A.range))
                              for _ in range(count - 1)])  # fmt: skip

    def take(self, index):
        """The problems of some of the samples."""
        part = object.__new__(LeastSquaresBatch)
        part.A, part.is_linear, part.data = self.A.take(index), False, self.data[index]
        part.domain = part.A.domain
        part.mu = part.strong_convexity = self.mu[index]
        part.grad_lipschitz = self.grad_lipschitz[index]
        return part

    def start(self, rng):
        """A random starting point."""
        return stacked([f.start(rng) for f in self.problems])

    def norm(self, x):
        """Norms of the samples."""
        return self.domain.norm(x).numpy()

    def __call__(self, x):
        residual = self.A.range.norm(self.A(x) - self.data).numpy()
        return 0.5 * residual**2 + self.mu / 2 * self.norm(x) ** 2

    def gradient(self, x):
        """``A* (A x - y) + mu x``."""
        return self.A.adjoint(self.A(x) - self.data) + column(self.mu, x) * x

    @property
    def hessian(self):
        """``A* A + mu``, which knows how to ``take``."""
        return PerSample(lambda f, v: f.A.adjoint(f.A(v)) + column(f.mu, v) * v, self)

    def linearize(self, x):
        """Gradient and Hessian for Newton's method."""
        return LinearizationBatch(self.gradient(x), self.hessian)

    def smooth_and_ridge(self):
        """The fidelity and ``mu |x|^2 / 2`` by themselves."""
        return tuple(as_batch(list(parts))
                     for parts in zip(*[f.smooth_and_ridge() for f in self.problems]))

    def tikhonov(self):
        """The same as a problem of `variational`."""
        return as_batch([f.tikhonov() for f in self.problems])

    def steps(self):
        """``x -> x - s grad f(x)`` with a step per sample."""
        return PerSample(lambda f, x: x - column(2 / (f.grad_lipschitz + f.mu), x) * f.gradient(x),
                         self)  # fmt: skip


class PerSample:
    """A map of points that belongs to problems: ``rule(problems, x)``."""

    def __init__(self, rule, f):
        self.rule, self.f, self.domain, self.range = rule, f, f.domain, f.domain

    def __call__(self, x):
        return self.rule(self.f, x)

    def take(self, index):
        """The map of some of the samples."""
        return PerSample(self.rule, self.f.take(index))


class LinearizationBatch(Linearization):
    """Gradient and Hessian of some of the samples."""

    def take(self, index):
        """Of some of the samples."""
        return LinearizationBatch(self.gradient[index], self.hessian.take(index))


def stacked(elements):
    """Elements of one space as a batch."""
    return torch.from_numpy(np.stack([x.data for x in elements]))


def column(numbers, x):
    """Numbers of samples against a batch."""
    return torch.from_numpy(numbers).reshape(-1, *[1] * (x.ndim - 1))
