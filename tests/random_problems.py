"""Random problems on random spaces, with solutions by dense linear algebra, for certificates.

A kind of space is a name of its weights, of its field and of its shape. A space that a solver or
builder refuses with a reason, in a TypeError, counts as fine; anything else has to be honest.
"""

import math

import numpy as np
import odl

from odl_learned import variational
from odl_learned.weights import entry_weights

WEIGHTS = ("constant", "array", "boundary")
FIELDS = ("real", "complex")
SHAPES = {"1D": (7,), "2D": (4, 5), "3D": (3, 2, 3), "1 x N": (1, 6)}
KINDS = [(w, f, s) for w in WEIGHTS for f in FIELDS for s in SHAPES]


def random_space(kind, rng):
    """A ``uniform_discr`` space of the kind, with random cell sides and weights."""
    weights, field, name = kind
    shape = SHAPES[name]
    top = np.array(shape) * 2.0 ** rng.uniform(-2, 2, len(shape))
    dtype = "float64" if field == "real" else "complex128"
    if weights == "array":
        array = 10 ** rng.uniform(-1, 1, shape)
        return odl.uniform_discr(np.zeros(len(shape)), top, shape, dtype=dtype, weighting=array)
    # Points on the boundary need two of them along an axis.
    on_boundary = [n > 1 for n in shape] if weights == "boundary" else False
    return odl.uniform_discr(np.zeros(len(shape)), top, shape, dtype=dtype,
                             nodes_on_bdry=on_boundary)  # fmt: skip


def random_spaces(kind, rng):
    """A space of the kind, and one for a few numbers as data, with a weight."""
    X, weight = random_space(kind, rng), float(10 ** rng.uniform(-1, 1))
    numbers = odl.cn if is_complex(X) else odl.rn
    return X, numbers(rng.integers(2, 9), weighting=weight)


def entries(space, rng):
    """Random entries, an array of the shape and field of the space."""
    values = rng.standard_normal(space.shape)
    return values + 1j * rng.standard_normal(space.shape) if is_complex(space) else values


def is_complex(space):
    return space.field == odl.ComplexNumbers()


class Dense(odl.Operator):
    """A matrix between the entries of two spaces, with its adjoint in their weights."""

    def __init__(self, matrix, domain, range):
        super().__init__(domain, range, linear=True)
        self.matrix = matrix

    def _call(self, x):
        return self.range.element((self.matrix @ x.data.ravel()).reshape(self.range.shape))

    @property
    def adjoint(self):
        w = [np.broadcast_to(entry_weights(space), space.shape).ravel()
             for space in (self.domain, self.range)]  # fmt: skip
        transpose = self.matrix.conj().T * w[1] / w[0][:, None]
        return Dense(transpose, self.range, self.domain)


class LeastSquares(odl.functionals.Functional):
    """``|A x - y|^2 / 2 + mu |x|^2 / 2`` with its constants, solution and Hessian."""

    def __init__(self, kind, rng, spaces=None):
        X, Y = random_spaces(kind, rng) if spaces is None else spaces
        m = Y.size
        matrix = rng.standard_normal((m, X.size)) * np.geomspace(1, 10 ** rng.uniform(-2, 0), m)[
            :, None]
        if is_complex(X):
            matrix = matrix * np.exp(2j * np.pi * rng.random(matrix.shape))
        self.A, self.mu = Dense(matrix, X, Y), float(10 ** rng.uniform(-1, 1))
        self.data = Y.element(10 ** rng.uniform(-2, 2) * entries(Y, rng))
        self.data_norm = self.data.norm()
        self.w = np.broadcast_to(entry_weights(X), X.shape).ravel()
        v = entry_weights(Y)
        # (A* A + mu) in coordinates sqrt(w) x, in which the inner product is Euclidean.
        scaled = math.sqrt(v) * matrix / np.sqrt(self.w)
        self.normal = scaled.conj().T @ scaled + self.mu * np.eye(X.size)
        self.right = scaled.conj().T @ (math.sqrt(v) * self.data.data)
        spectrum = np.linalg.eigvalsh(self.normal)
        super().__init__(X, linear=False, grad_lipschitz=float(spectrum[-1]) * (1 + 1e-12))
        self.strong_convexity = self.mu
        self.fidelity = 0.5 * odl.functionals.L2NormSquared(Y).translated(self.data)
        self.exact = self.element(np.linalg.solve(self.normal, self.right))

    def element(self, coordinates):
        """The element with these entries times the roots of the weights."""
        return self.domain.element((coordinates / np.sqrt(self.w)).reshape(self.domain.shape))

    def start(self, rng):
        """A random starting point."""
        return self.domain.element(10 ** rng.uniform(-2, 2) * entries(self.domain, rng))

    def norm(self, x):
        """Norm of an element."""
        return x.norm()

    def smooth_and_ridge(self):
        """The fidelity and ``mu |x|^2 / 2`` by themselves."""
        return self.fidelity * self.A, (self.mu / 2) * odl.functionals.L2NormSquared(self.domain)

    def tikhonov(self):
        """The same as a problem of `variational`."""
        return variational.tikhonov_problem(self.A, self.fidelity, self.mu)

    def steps(self):
        """``x -> x - s grad f(x)`` with the best step for a contraction."""
        return lambda x: x - (2 / (self.grad_lipschitz + self.mu)) * self.gradient(x)

    def _call(self, x):
        return 0.5 * (self.A(x) - self.data).norm() ** 2 + self.mu / 2 * x.norm() ** 2

    @property
    def gradient(self):
        return Gradient(self)

    def linearize(self, x):
        """Gradient and Hessian for Newton's method."""
        return Linearization(self.gradient(x), self.hessian)

    def hessian(self, v):
        return self.A.adjoint(self.A(v)) + self.mu * v


class Linearization:
    def __init__(self, gradient, hessian):
        self.gradient, self.hessian = gradient, hessian


class Gradient(odl.Operator):
    """``A* (A x - y) + mu x``."""

    def __init__(self, f):
        super().__init__(f.domain, f.domain, linear=False)
        self.f = f

    def _call(self, x):
        f = self.f
        return f.A.adjoint(f.A(x) - f.data) + f.mu * x
