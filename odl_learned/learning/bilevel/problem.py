r"""Bilevel problems: an energy, training pairs, a loss and a penalty.

.. math:: \min_\theta f(\theta) = \sum_i \ell_i(\hat x_i(\theta)) + p(\theta), \qquad
          \hat x_i(\theta) = \text{argmin}_x E(x, \theta, y_i), \qquad a \le \theta \le b .
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import torch

from odl_learned.learning.bilevel.energy import ParametricEnergy, take
from odl_learned.validation import require_positive


class SquaredError:
    r"""The squared distance to the truth, ``l_i(x) = c |x_i - x_i*|^2``, as upper-level loss.

    Parameters
    ----------
    truth : tensor ``(B, *shape)``
        Real or complex.
    factor : float, optional
        ``c``, positive; for example ``1 / (2 N)`` for half the mean over ``N`` images.
    """

    def __init__(self, truth, factor=1.0):
        require_positive("factor", factor)
        self.truth, self.factor = truth, float(factor)

    def value(self, x):
        """Return ``l_i(x_i)``, of shape ``(B,)``, in double precision."""
        return self.factor * _squares((x - self.truth).to(_double(x)))

    def gradient(self, x):
        """Return ``2 c (x_i - x_i*)``, of the shape of ``x``."""
        return 2 * self.factor * (x - self.truth)

    def value_bound(self, x, error_bound):
        """Bound ``|l_i(x_i) - l_i(z_i)|`` for all ``|z_i - x_i| <= error_bound_i``, ``(B,)``.

        ``| |z - t|^2 - |x - t|^2 | <= 2 |x - t| e + e^2``.
        """
        e = torch.as_tensor(error_bound, dtype=torch.float64)
        return self.factor * e * (2 * torch.sqrt(_squares(x - self.truth)).to(e) + e)

    @property
    def lipschitz(self):
        """Lipschitz constant of the gradient."""
        return 2 * self.factor

    def take(self, index):
        """Return the loss of some of the samples."""
        return SquaredError(self.truth[index], self.factor)


def no_penalty(params):
    """The penalty zero."""
    return 0 * params.sum()


@dataclasses.dataclass(frozen=True, eq=False)
class BilevelProblem:
    r"""What is learned from what.

    Parameters
    ----------
    energy : ParametricEnergy
        ``E``, smooth and strongly convex in ``x``.
    data : tensor or tuple of tensors, first axis ``B``
        Measurements ``y_i``.
    loss : SquaredError, or an object with the same methods
        Upper-level loss of every sample.
    x0 : tensor ``(B, *shape)``
        Where the first lower-level solve starts.
    penalty : callable, optional
        ``params -> p(params)``, differentiable by torch, a tensor without axes.
    lower, upper : float or tensor ``(P,)``, optional
        Bounds of the parameters.
    """

    energy: ParametricEnergy
    data: Any
    loss: SquaredError
    x0: torch.Tensor
    penalty: Callable = no_penalty
    lower: Any = -math.inf
    upper: Any = math.inf

    def take(self, index):
        """Return the problem of some of the training pairs; the penalty stays as it is."""
        return dataclasses.replace(self, data=take(self.data, index), loss=self.loss.take(index),
                                   x0=self.x0[index])  # fmt: skip

    def penalty_value_and_gradient(self, params):
        """Return the penalty as a float and its gradient ``(P,)``."""
        with torch.enable_grad():
            params = params.detach().requires_grad_()
            value = self.penalty(params)
            (slope,) = torch.autograd.grad(value, params, allow_unused=True, materialize_grads=True)
        return float(value.detach()), slope

    def clip(self, params):
        """Return the nearest admissible parameters."""
        lower, upper = (torch.as_tensor(b, dtype=params.dtype) for b in (self.lower, self.upper))
        return torch.minimum(torch.maximum(params, lower), upper)


def _squares(x):
    return (torch.view_as_real(x.contiguous()) if x.is_complex() else x).flatten(1).square().sum(1)


def _double(x):
    return torch.complex128 if x.is_complex() else torch.float64
