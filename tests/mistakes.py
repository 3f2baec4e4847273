"""Small spaces, operators and modules to make mistakes with, and what an error has to say.

A table of mistakes has rows of a name, what is done, the type of the error, and a pattern of its
message, usually value, expectation and next step in this order.
"""

import re

import numpy as np
import odl
import pytest
import torch
from torch import nn

from odl_learned import data, operators, variational
from odl_learned import functionals as F
from odl_learned.bridge import as_batch

X = odl.uniform_discr([-1, -1], [1, 1], (4, 4), dtype="float32")
C = odl.uniform_discr([-1, -1], [1, 1], (4, 4), dtype="complex64")
SMALL = odl.uniform_discr([0, 0], [1, 1], (3, 3), dtype="float32")
WIDE = odl.uniform_discr([-1, -1], [1, 1], (4, 6), dtype="float32")
PAIR = odl.ProductSpace(X, SMALL)
A = operators.mask_operator(X, np.ones((4, 4)))
RAY = operators.parallel_ray_transform(X, 4)
TV = F.SmoothedTV(X, 1.0, 0.1, 0.1)
FIDELITY = F.l2_fidelity(X.one())
BOX = F.BoxConstraint(X, 0, 1)
PROBLEM = variational.tv_problem(A, FIDELITY, 0.1, BOX)
TV2, TWO = as_batch(TV), torch.ones(2, 4, 4)
ONE = np.ones((4, 4))
NAN = np.full((4, 4), np.nan)
T = torch.ones(4, 4)


def rng():
    return np.random.default_rng(0)


class Square(odl.Operator):
    """Nonlinear, without derivative."""

    def __init__(self, space):
        super().__init__(space, space, linear=False)

    def _call(self, x):
        return x * x


class SmoothSquare(Square):
    """Nonlinear, with ODL's derivative and without a native rule."""

    def derivative(self, x):
        return 2 * odl.MultiplyOperator(x)


class Double(odl.Operator):
    """Linear, without adjoint."""

    def __init__(self, space):
        super().__init__(space, space, linear=True)

    def _call(self, x):
        return 2 * x


class Quartic(odl.functionals.Functional):
    """``sum_j w_j x_j^4``, with a gradient and without a native rule."""

    def __init__(self, space):
        super().__init__(space, linear=False)

    def _call(self, x):
        return (x * x).inner(x * x)

    @property
    def gradient(self):
        return _QuarticGradient(self.domain)


class _QuarticGradient(Square):
    def _call(self, x):
        return 4 * x * x * x

    def derivative(self, x):
        return 12 * odl.MultiplyOperator(x * x)


class Value(odl.functionals.Functional):
    """Without gradient."""

    def __init__(self, space):
        super().__init__(space, linear=False)

    def _call(self, x):
        return x.norm()


class Map(nn.Module):
    """A module given by a function, with one parameter."""

    def __init__(self, function=lambda x: x):
        super().__init__()
        self.scale, self.function = nn.Parameter(torch.ones(())), function

    def forward(self, x):
        return self.function(self.scale * x)


def pairs():
    return data.SimulatedPairs(lambda rng: X.one(), lambda x, rng: x, 4, 0)


def rows(table):
    """Repeat a test for the ``mistake, error, pattern`` of every row, under the name of the row."""
    return pytest.mark.parametrize(("mistake", "error", "pattern"), [row[1:] for row in table],
                                   ids=[row[0] for row in table])  # fmt: skip


def check_message(mistake, error, pattern):
    """Assert that the mistake raises the error, with a message of this pattern in one line."""
    with pytest.raises(error) as caught:
        mistake()
    assert re.search(pattern, " ".join(str(caught.value).split())), str(caught.value)
    assert "weights_only" not in str(caught.value)
