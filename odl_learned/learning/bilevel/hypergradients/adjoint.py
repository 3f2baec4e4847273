"""Adjoint equations ``d_x^2 E(x_i) q_i = b_i`` of many samples, for conjugate gradients."""

import numpy as np
import torch

from odl_learned.validation import shown


class AdjointOperator:
    r"""``v -> d_x^2 E(x) v`` at fixed points, with a preconditioner, as solvers want it.

    While more than half of the samples run, the others are carried along as zeros; then the rest is
    linearized anew.

    Parameters
    ----------
    f : FixedEnergy
    x : tensor ``(B, *shape)``
    """

    def __init__(self, f, x, linearization=None, position=None):
        self._f, self._x, self._position = f, x, position
        self.linearization = f.linearize(x) if linearization is None else linearization
        self._last = None, None

    def __call__(self, v):
        return self._apply(self.linearization.hessian, v)

    def precondition(self, v):
        """``M^-1 v``."""
        return self._apply(self.linearization.precondition, v)

    def take(self, index):
        """Return the operator for some of its samples; the last one is kept."""
        key = tuple(int(i) for i in index)
        size = len(self._x) if self._position is None else len(self._position)
        if key == tuple(range(size)):
            return self
        if self._last[0] != key:
            self._last = key, self._part(np.array(key, dtype=int))
        return self._last[1]

    def _part(self, index):
        position = index if self._position is None else self._position[index]
        if 2 * len(position) > len(self._x):
            return AdjointOperator(self._f, self._x, self.linearization, position)
        return AdjointOperator(self._f.take(position), self._x[position])

    def _apply(self, operator, v):
        if self._position is None:
            return operator(v)
        whole = torch.zeros_like(self._x)
        whole[self._position] = v
        return operator(whole)[self._position]


class AdjointPreconditioner:
    """``M^-1`` of an `AdjointOperator`."""

    def __init__(self, operator):
        self._operator = operator

    def __call__(self, v):
        return self._operator.precondition(v)

    def take(self, index):
        """Return that of some of the samples."""
        return AdjointPreconditioner(self._operator.take(index))


def adjoint_accuracies(adjoint_accuracy, size):
    """Return one positive residual per sample, or raise ValueError."""
    return asked_accuracies("adjoint_accuracy", adjoint_accuracy, size)


def asked_accuracies(name, value, size):
    """Return one positive number per sample, an array ``(size,)``, or raise ValueError."""
    try:
        asked = np.asarray(value, dtype=float)
    except (TypeError, ValueError, OverflowError):
        asked = np.array(np.nan)
    if asked.shape not in ((), (1,), (size,)) or not (asked > 0).all():
        raise ValueError(
            f"{name} is {shown(value)}, expected a positive residual, or one per sample, of shape "
            f"({size},)."
        )
    return np.array(np.broadcast_to(asked, (size,)))
