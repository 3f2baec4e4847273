"""Dense twins, adjoint identities and spaces for tests of operators."""

import math

import numpy as np
import odl

from odl_learned import operators as ops


def dense(op):
    """Matrix of a linear operator between flattened arrays, one column per unit vector."""

    def flat(element):
        parts = element if isinstance(element.space, odl.ProductSpace) else [element]
        return np.concatenate([np.asarray(part.data).ravel() for part in parts])

    parts = op.domain if isinstance(op.domain, odl.ProductSpace) else [op.domain]
    columns = []
    for number, part in enumerate(parts):
        for index in range(part.size):
            unit = np.zeros(part.size, part.dtype)
            unit[index] = 1
            x = op.domain.zero()
            target = x[number] if isinstance(op.domain, odl.ProductSpace) else x
            target.data[...] = unit.reshape(part.shape)
            columns.append(flat(op(x)))
    return np.array(columns).T


def adjoint_error(op, rng):
    x, y = ops.random_element(op.domain, rng), ops.random_element(op.range, rng)
    image = op(x)
    error = abs(image.inner(y) - x.inner(op.adjoint(y)))
    return error / (image.norm() * y.norm())


def tolerance(dtype):
    return 1e-6 if dtype in ("float32", "complex64") else 1e-12


def assert_out_and_linear(op, rng):
    x, y = ops.random_element(op.domain, rng), ops.random_element(op.domain, rng)
    out = ops.random_element(op.range, rng)
    before = x.copy()
    assert op(x, out=out) is out
    assert (out - op(x)).norm() == 0
    assert (x - before).norm() == 0
    assert (op(2 * x + y) - 2 * op(x) - op(y)).norm() <= 1e-5 * op(x).norm()


def complex_space(shape, dtype, weighting=None):
    return odl.uniform_discr([0] * len(shape), [2] * len(shape), shape, dtype=dtype)


def dft_matrix(n):
    k = np.arange(n) - n // 2
    return np.exp(-2j * np.pi * np.outer(k, k) / n) / math.sqrt(n)


def ct_space(n=16, m=16, dtype="float32"):
    return odl.uniform_discr([-1, -1], [1, 1], (n, m), dtype=dtype)
