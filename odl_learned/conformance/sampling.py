"""Admissible points, dense matrices and tolerances for the checks."""

import functools

import numpy as np
import odl
from odl.core.set.space import LinearSpaceElement

from odl_learned.functionals import KullbackLeiblerConjugate, KullbackLeiblerFidelity
from odl_learned.operators import random_element
from odl_learned.validation import shown

DENSE_LIMIT = 400


@functools.singledispatch
def sample(obj: odl.Operator, rng: np.random.Generator) -> LinearSpaceElement:
    """Draw a random admissible point of the domain of an operator or functional.

    Register the class of an operator that is not defined on the whole of its domain.

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> from odl_learned import conformance, functionals
    >>> f = functionals.KullbackLeiblerFidelity(odl.rn(3).one())
    >>> print(np.isfinite(f(conformance.sample(f, np.random.default_rng(0)))))
    True
    """
    if isinstance(obj, type) or not hasattr(obj, "domain"):
        raise TypeError(f"obj is {shown(obj)}, expected an operator or functional of ODL; a torch "
                        "module becomes one by bridge.as_operator.")
    return draw(obj.domain, rng)


@sample.register(odl.functionals.KullbackLeibler)
@sample.register(odl.functionals.KullbackLeiblerCrossEntropy)
@sample.register(KullbackLeiblerFidelity)
def positive_sample(obj, rng):
    """Entries in [1/2, 3/2]: divergences of Kullback-Leibler type live on positive points."""
    x = random_element(obj.domain, rng)
    return obj.domain.element(0.5 + 1.0 / (1.0 + np.exp(-x.data)))


@sample.register(odl.functionals.default_functionals.KullbackLeiblerConvexConj)
@sample.register(KullbackLeiblerConjugate)
def below_one_sample(obj, rng):
    """Entries in [-1/2, 1/2]: the conjugate of the Kullback-Leibler divergence ends at one."""
    x = random_element(obj.domain, rng)
    return obj.domain.element(np.tanh(x.data) / 2)


def draw(space, rng):
    """A random element of a space, or number of a field."""
    if not isinstance(space, odl.core.set.Field):
        return random_element(space, rng)
    value = float(rng.standard_normal())
    return complex(value, rng.standard_normal()) if is_complex(space) else value


def norm(x):
    """The norm of an element, the magnitude of a number."""
    return float(x.norm()) if hasattr(x, "norm") else abs(x)


def inner(x, z):
    """``<x, z>`` of elements, ``x conj(z)`` of numbers."""
    return x.inner(z) if hasattr(x, "inner") else x * np.conj(z)


def precision(obj):
    """Allowed relative error of one identity: 1e-6 in single and 1e-12 in double precision."""
    spaces = [s for s in (obj.domain, obj.range) if not isinstance(s, odl.Field)]
    single = any(_is_single(space) for space in spaces)
    return 1e-6 if single else 1e-12


def _is_single(space):
    if isinstance(space, odl.ProductSpace):
        return any(_is_single(part) for part in space)
    return str(space.dtype_identifier) in ("float32", "complex64")


def is_real_linear(op):
    """Whether a linear operator is linear over the real numbers only, such as a real part.

    Its adjoint belongs to the real inner product ``Re <x, z>``.
    """
    complex_domain, complex_range = is_complex(op.domain), is_complex(op.range)
    if not (complex_domain and complex_range):
        return complex_domain or complex_range
    x = draw(op.domain, np.random.default_rng(0))
    y = 1j * op(x)
    return norm(op(1j * x) - y) > 100 * precision(op) * positive(norm(y))


def is_complex(space):
    """Whether the elements of a space are complex."""
    field = space if isinstance(space, odl.Field) else space.field
    return isinstance(field, odl.ComplexNumbers)


def dense_matrix(op, real=False):
    """The matrix of a small linear operator, one column per unit element; None if it is large.

    With ``real``, a complex entry counts as two real ones, first all real and then all imaginary
    parts.
    """
    size_x, size_y = size(op.domain), size(op.range)
    if size_x * size_y > DENSE_LIMIT**2 or isinstance(op.range, odl.Field):
        return None
    units = [element_at(op.domain, j) for j in range(size_x)]
    if real and is_complex(op.domain):
        units += [1j * unit for unit in units]
    columns = np.stack([flat(op(unit)) for unit in units], axis=1)
    if real and is_complex(op.range):
        return np.concatenate([columns.real, columns.imag])
    return columns


def in_isometric_coordinates(op):
    """The matrix of a small linear operator for ``W_X^1/2 x`` and ``W_Y^1/2 y``; None if large.

    Its singular values are those of the operator in the inner products of its spaces.
    """
    real = is_real_linear(op)
    matrix = dense_matrix(op, real)
    if matrix is None:
        return None
    scaled = matrix * np.sqrt(dense_weights(op.range, real))[:, None]
    return scaled / np.sqrt(dense_weights(op.domain, real))[None, :]


def dense_weights(space, real=False):
    """The weights of the inner product, one per entry: ``<x, z> = sum_j w_j x_j conj(z_j)``."""
    units = [element_at(space, j) for j in range(size(space))]
    weights = np.array([np.real(e.inner(e)) for e in units])
    return np.tile(weights, 2) if real and is_complex(space) else weights


def size(space):
    """Number of entries of an element."""
    if isinstance(space, odl.ProductSpace):
        return sum(size(part) for part in space)
    return 1 if isinstance(space, odl.Field) else int(np.prod(space.shape))


def element_at(space, index):
    """The element with one in the entry of that number and zeros elsewhere."""
    if isinstance(space, odl.ProductSpace):
        x = space.zero()
        for i, part in enumerate(space):
            if index < size(part):
                x[i] = element_at(part, index)
                return x
            index -= size(part)
    data = np.zeros(int(np.prod(space.shape)), dtype=str(space.dtype_identifier))
    data[index] = 1
    return space.element(data.reshape(space.shape))


def flat(x):
    """All entries of an element as one numpy vector."""
    if hasattr(x, "parts"):
        return np.concatenate([flat(part) for part in x.parts])
    return np.asarray(x.data).ravel() if hasattr(x, "data") else np.array([x])


def from_flat(space, entries):
    """Inverse of :func:`flat`."""
    if isinstance(space, odl.ProductSpace):
        ends = np.cumsum([size(part) for part in space])
        return space.element([from_flat(part, entries[end - size(part):end])
                              for part, end in zip(space, ends)])
    entries = np.ascontiguousarray(entries.reshape(space.shape))
    return space.element(entries.astype(str(space.dtype_identifier)))


def has_value(op):
    """Whether an operator or functional can be evaluated."""
    return available(lambda: op(sample(op, np.random.default_rng(0))))


def has_gradient(f):
    """Whether a functional brings a gradient."""
    return available(lambda: f.gradient(sample(f, np.random.default_rng(0))))


def has_proximal(f):
    """Whether a functional brings a proximal operator."""
    return available(lambda: f.proximal(1.0))


def is_differentiable(op, rng):
    """Whether ODL knows the derivative and its adjoint, and there is one: not for indicators."""
    if op.is_linear:
        return available(lambda: op.adjoint)
    if not has_value(op) or np.isinf(flat(op(sample(op, rng)))).any():
        return False
    return available(lambda: op.derivative(sample(op, rng)).adjoint)


def available(get):
    """Whether a call succeeds rather than raising NotImplementedError."""
    try:
        get()
    except NotImplementedError:
        return False
    return True


def positive(number):
    """The number as a float, away from zero, to divide by."""
    return max(float(number), 1e-30)
