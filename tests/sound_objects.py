"""Sound operators, functionals and modules of a user, by name; the conformance suite passes them.

None has a native rule; the spaces are of every kind that the bridge knows.
"""

import numpy as np
import odl
import torch
from torch import nn

from odl_learned import networks

F = odl.functionals
PLANE = odl.uniform_discr([0, 0], [1, 2], (5, 7))
COMPLEX = odl.uniform_discr([0, 0], [1, 2], (5, 4), dtype="complex128")
LINE = odl.uniform_discr(0, 3, 11)
ROW = odl.uniform_discr([0, 0], [1, 2], (1, 6))
EDGES = odl.uniform_discr([0, 0], [1, 2], (4, 5), nodes_on_bdry=True)
ARRAY = odl.rn(6, weighting=[0.5, 1.0, 2.0, 0.1, 3.0, 1.5])
SINGLE = odl.uniform_discr([0, 0], [1, 2], (5, 7), dtype="float32")


class Map(odl.Operator):
    """``x -> g(x)`` entry by entry, with the derivative ``h -> g'(x) h`` of one's own."""

    def __init__(self, space, function, slope):
        super().__init__(space, space)
        self.function, self.slope = function, slope

    def _call(self, x):
        return self.range.element(self.function(x.data))

    def derivative(self, x):
        return Multiply(self.domain, self.slope(x.data))


class Multiply(odl.Operator):
    """``h -> c h``."""

    def __init__(self, space, factor):
        super().__init__(space, space, linear=True)
        self.factor = factor

    def _call(self, h):
        return self.range.element(self.factor * h.data)

    @property
    def adjoint(self):
        return Multiply(self.domain, np.conj(self.factor))


def tanh(space):
    """A smooth nonlinearity."""
    return Map(space, np.tanh, lambda x: 1 - np.tanh(x) ** 2)


def square(space):
    """``x^2``, holomorphic on complex spaces."""
    return Map(space, lambda x: x * x, lambda x: 2 * x)


def relu(space):
    """A nonlinearity with kinks."""
    return Map(space, lambda x: np.maximum(x, 0), lambda x: (x > 0).astype(x.dtype))


class Intensity(odl.Operator):
    """``x -> |x|^2`` on a complex space, with a derivative that is linear over the reals only."""

    def __init__(self, space):
        super().__init__(space, space.real_space)

    def _call(self, x):
        return self.range.element(np.abs(x.data) ** 2)

    def derivative(self, x):
        return IntensityDerivative(self, x)


class IntensityDerivative(odl.Operator):
    def __init__(self, op, x):
        super().__init__(op.domain, op.range, linear=True)
        self.op, self.x = op, x.data.copy()

    def _call(self, h):
        return self.range.element(2 * np.real(self.x.conj() * h.data))

    @property
    def adjoint(self):
        return IntensityAdjoint(self)


class IntensityAdjoint(odl.Operator):
    def __init__(self, derivative):
        super().__init__(derivative.range, derivative.domain, linear=True)
        self.of = derivative

    def _call(self, y):
        return self.range.element(2 * self.of.x * y.data)

    @property
    def adjoint(self):
        return self.of


class Means(odl.Operator):
    """``x -> M x`` with a matrix, between spaces of any weights."""

    def __init__(self, domain, range, matrix):
        super().__init__(domain, range, linear=True)
        self.matrix = matrix

    def _call(self, x):
        return self.range.element((self.matrix @ x.data.ravel()).reshape(self.range.shape))

    @property
    def adjoint(self):
        w_x, w_y = weights(self.domain), weights(self.range)
        return Means(self.range, self.domain, self.matrix.conj().T * w_y / w_x[:, None])


class OnlyInPlace(odl.Operator):
    """``x -> 2 x`` with one implementation, into ``out``."""

    def __init__(self, space):
        super().__init__(space, space, linear=True)

    def _call(self, x, out):
        out.data[...] = 2 * x.data

    @property
    def adjoint(self):
        return self

    def norm(self, estimate=False):
        return 2.0


class Flip(odl.Operator):
    """``x`` backwards, a view of the memory of ``x``."""

    def __init__(self, space):
        super().__init__(space, space, linear=True)

    def _call(self, x):
        return self.range.element(x.data[::-1])

    @property
    def adjoint(self):
        return self


class NoAdjoint(odl.Operator):
    """Linear, and brings no adjoint."""

    def __init__(self, space):
        super().__init__(space, space, linear=True)

    def _call(self, x):
        return 3 * x


class Quadratic(F.Functional):
    """``mu/2 |x|^2`` with everything: gradient, constants, proximal, conjugate."""

    def __init__(self, space, mu=1.0):
        super().__init__(space, grad_lipschitz=mu)
        self.mu = self.strong_convexity = mu

    def _call(self, x):
        return self.mu / 2 * float(np.real(x.inner(x)))

    @property
    def gradient(self):
        return odl.ScalingOperator(self.domain, self.mu)

    @property
    def proximal(self):
        return lambda sigma: odl.ScalingOperator(self.domain, 1 / (1 + sigma * self.mu))

    @property
    def convex_conj(self):
        return Quadratic(self.domain, 1 / self.mu)


class LogCosh(F.Functional):
    """``sum_j w_j log cosh x_j``, with a gradient whose derivative is known."""

    def __init__(self, space):
        super().__init__(space, grad_lipschitz=1.0)

    def _call(self, x):
        size = np.abs(x.data)
        values = size + np.log1p(np.exp(-2 * size)) - np.log(2).astype(size.dtype)
        return self.domain.element(values).inner(self.domain.one())

    @property
    def gradient(self):
        return tanh(self.domain)


class Ball(F.Functional):
    """The indicator of ``|x| <= 1``, with its projection."""

    def __init__(self, space):
        super().__init__(space)

    def _call(self, x):
        return 0.0 if x.norm() <= 1 + 1e-10 else np.inf

    @property
    def proximal(self):
        return lambda sigma: Projection(self.domain)


class Projection(odl.Operator):
    def __init__(self, space):
        super().__init__(space, space)

    def _call(self, x):
        return (1 / max(1.0, x.norm())) * x


def weights(space):
    """The weights of the inner product, entry by entry, from inner products of unit elements."""
    units = np.eye(space.size).reshape(-1, *space.shape)
    return np.array([np.real(space.element(e).inner(space.element(e))) for e in units])


def matrix(rows, columns, dtype=float):
    """Random numbers."""
    rng = np.random.default_rng(5)
    values = rng.standard_normal((2, rows, columns))
    return values[0] if dtype is float else values[0] + 1j * values[1]


def element(space):
    """A fixed random element."""
    return space.element(np.random.default_rng(6).standard_normal(space.shape))


GRADIENT = odl.Gradient(PLANE, pad_mode="symmetric")

OPERATORS = {
    "nonlinear": lambda: tanh(PLANE),
    "nonlinear, kinks, float32": lambda: relu(SINGLE),
    "composition": lambda: square(PLANE) @ tanh(PLANE),
    "composition with a linear operator, 1D":
        lambda: square(ARRAY) @ Means(LINE, ARRAY, matrix(6, 11)) @ tanh(LINE),
    "sum, 1 x N": lambda: tanh(ROW) + 2.0 * square(ROW),
    "sum with a fixed element, half cells at the edges": lambda: tanh(EDGES) + element(EDGES),
    "product": lambda: odl.OperatorPointwiseProduct(tanh(LINE), square(LINE)),
    "multiples and broadcast": lambda: odl.BroadcastOperator(tanh(PLANE), -0.5 * square(PLANE)),
    "diagonal on a product of spaces": lambda: odl.DiagonalOperator(square(LINE), tanh(ARRAY)),
    "nonlinear of a gradient": lambda: odl.PointwiseNorm(GRADIENT.range) @ GRADIENT @ tanh(PLANE),
    "holomorphic": lambda: square(COMPLEX),
    "intensity": lambda: Intensity(COMPLEX),
    "linear, 1D to an array of weights": lambda: Means(LINE, ARRAY, matrix(6, 11)),
    "linear, half cells at the edges": lambda: Means(EDGES, LINE, matrix(11, 20)),
    "linear, complex": lambda: Means(COMPLEX, odl.cn(3, weighting=2.0), matrix(3, 20, complex)),
    "linear, float32": lambda: Means(
        SINGLE, odl.rn(4, dtype="float32", weighting=0.2), matrix(4, 35).astype("float32")),
    "only in place": lambda: OnlyInPlace(PLANE),
    "a view of its argument": lambda: Flip(LINE),
    "without adjoint": lambda: NoAdjoint(PLANE),
}

FUNCTIONALS = {
    "everything, half cells at the edges": lambda: Quadratic(EDGES, 0.7),
    "everything, complex": lambda: Quadratic(COMPLEX, 2.5),
    "everything, 1 x N": lambda: Quadratic(ROW),
    "everything, power space": lambda: Quadratic(PLANE**2, 0.3),
    "smooth": lambda: LogCosh(ARRAY),
    "smooth, float32": lambda: LogCosh(SINGLE),
    "composition": lambda: LogCosh(LINE) @ tanh(LINE),
    "composition with an operator of the user": lambda: Quadratic(ARRAY) @ Means(
        LINE, ARRAY, matrix(6, 11)),
    "sum": lambda: 0.5 * LogCosh(PLANE) + F.L2NormSquared(PLANE),
    "product": lambda: F.FunctionalProduct(LogCosh(LINE), Quadratic(LINE)),
    "translation": lambda: LogCosh(LINE).translated(element(LINE)),
    "separable": lambda: F.SeparableSum(Quadratic(LINE), LogCosh(ARRAY)),
    "indicator": lambda: Ball(EDGES),
    "without a value": lambda: F.MoreauEnvelope(F.L1Norm(LINE), 0.4),
}


class Mean(nn.Module):
    """The mean over neighbors, of each image by itself."""

    def forward(self, x):
        return (x + x.roll(1, -1)) / 2


IMAGE = torch.linspace(-1, 2, 12, dtype=torch.float64).reshape(3, 4)

MODULES = {
    "without parameters": lambda: (Mean(), IMAGE),
    "network": lambda: (networks.CNN(1, 1, width=3, depth=2).double(), IMAGE[None]),
    "random, in evaluation mode": lambda: (nn.Sequential(Mean(), nn.Dropout(0.5)).eval(), IMAGE),
}
