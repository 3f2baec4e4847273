"""Losses in the space of the data: what a reconstruction would have measured."""

from typing import final

import torch

from odl_learned.learning.batch import Batch
from odl_learned.learning.losses import mean_squared_error
from odl_learned.learning.objective import Loss, Objective, require_truth
from odl_learned.reconstruction.tensor_maps import TensorMap, require_tensor_map
from odl_learned.validation import require_method


@final
class DataConsistency(Objective):
    """The loss against the data themselves, ``loss(A Phi(y), y)``.

    Alone it tells nothing about the null space of A, and fits the noise.

    Parameters
    ----------
    forward : torch.nn.Module or callable
        The operator A, ``(*batch, *X.shape) -> (*batch, *Y.shape)``, e.g. ``bridge.as_module(A)``.
    loss : callable, optional
        ``(simulated, data) -> real tensor of shape ()``.

    Raises
    ------
    TypeError
        If an ODL operator is passed in place of its module.

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import bridge, learning
    >>> from odl_learned.learning import objectives
    >>> forward = bridge.as_module(odl.ScalingOperator(odl.rn(2), 2.0))
    >>> y = torch.ones(1, 2, dtype=torch.float64)
    >>> batch = learning.Batch(y, None, torch.Generator().manual_seed(0), "in step 1")
    >>> objective = objectives.DataConsistency(forward, learning.mean_squared_error)
    >>> print(objective(torch.nn.Identity(), batch))  # |2 y - y|^2, a mean over entries
    tensor(1., dtype=torch.float64)
    """

    def __init__(self, forward: TensorMap, loss: Loss = mean_squared_error) -> None:
        require_tensor_map("forward", forward)
        require_method("loss", loss, "mean_squared_error", 2)
        self.forward_op, self.loss = forward, loss

    def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        return self.loss(self.forward_op(batch.images(model)), batch.data)


@final
class Noise2Noise(Objective):
    r"""The loss against a second measurement, ``loss(A Phi(y), y')``.

    For the mean squared error and independent noise of mean zero in ``y' = A x + n'``,

    .. math:: E |A Phi(y) - y'|^2 = E |A Phi(y) - A x|^2 + E |n'|^2,

    as n' is independent of Phi(y): the minimizers are those of the supervised loss of ``A Phi(y)``.

    Parameters
    ----------
    forward : torch.nn.Module or callable
        The operator A; for denoising, ``torch.nn.Identity()``.
    loss : callable, optional
        ``(simulated, data) -> real tensor of shape ()``.

    The pairs are ``(y, y')``. Source: Lehtinen et al., Noise2Noise (2018).

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import bridge, learning
    >>> from odl_learned.learning import objectives
    >>> forward = bridge.as_module(odl.IdentityOperator(odl.rn(2)))
    >>> y = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    >>> batch = learning.Batch(y, y + 1, torch.Generator().manual_seed(0), "in step 1")
    >>> objective = objectives.Noise2Noise(forward, learning.mean_squared_error)
    >>> print(objective(torch.nn.Identity(), batch))
    tensor(1., dtype=torch.float64)
    """

    def __init__(self, forward: TensorMap, loss: Loss = mean_squared_error) -> None:
        require_tensor_map("forward", forward)
        require_method("loss", loss, "mean_squared_error", 2)
        self.forward_op, self.loss = forward, loss

    def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        truth = require_truth(batch)
        return self.loss(self.forward_op(batch.images(model)), truth)
