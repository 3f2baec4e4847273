"""Equivariant imaging: images that are moved are images, too."""

from collections.abc import Sequence
from typing import final

import torch

from odl_learned.learning.batch import Batch
from odl_learned.learning.losses import mean_squared_error
from odl_learned.learning.objective import Loss, Objective
from odl_learned.reconstruction.tensor_maps import TensorMap, require_tensor_map
from odl_learned.validation import require_method, shown


@final
class Equivariance(Objective):
    r"""How far the chain of measurement and reconstruction is from commuting with a group.

    .. math:: loss(T_g x, Phi(A T_g x)), \qquad x = Phi(y),

    with a random g for every batch. Measurements of one image tell nothing about the null space of
    A; those of moved images do, where A does not commute with ``T_g``. Equivariant imaging is
    ``WeightedSum([(1, DataConsistency(A)), (alpha, Equivariance(A, transforms))])``, and its
    robust variant has `SURE` in place of `DataConsistency`. For the trivial group and a right
    inverse of A, such as ``Phi = A^+``, data consistency is all that is left.

    Parameters
    ----------
    forward : torch.nn.Module or callable
        The operator A, ``(*batch, *X.shape) -> (*batch, *Y.shape)``.
    transforms : sequence of torch.nn.Module or callable
        The ``T_g``, ``(*batch, *X.shape) -> (*batch, *X.shape)``, e.g. ``bridge.as_module`` of
        `operators.QuarterTurn` and its powers, each as probable as the others.
    loss : callable, optional
        ``(reconstruction, image) -> real tensor of shape ()``.

    Raises
    ------
    TypeError
        If ODL operators are passed in place of their modules.
    ValueError
        If there are no transforms.

    Source: Chen, Tachella, Davies, Equivariant imaging (2021); robust: the same authors
    (2022).

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import bridge, learning
    >>> from odl_learned.learning import objectives
    >>> class Flip(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x.flip(-1)
    ...
    >>> forward = bridge.as_module(odl.IdentityOperator(odl.rn(3)))
    >>> objective = objectives.Equivariance(forward, [Flip()], learning.mean_squared_error)
    >>> y = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64)
    >>> batch = learning.Batch(y, None, torch.Generator().manual_seed(0), "in step 1")
    >>> print(objective(torch.nn.Identity(), batch))  # the identity commutes with flips
    tensor(0., dtype=torch.float64)
    """

    def __init__(
        self,
        forward: TensorMap,
        transforms: Sequence[TensorMap],
        loss: Loss = mean_squared_error,
    ) -> None:
        require_tensor_map("forward", forward)
        require_method("loss", loss, "mean_squared_error", 2)
        if not isinstance(transforms, list | tuple):
            raise TypeError(f"transforms is {shown(transforms)}; expected a list of maps of "
                            "images.")
        for k, transform in enumerate(transforms):
            require_tensor_map(f"transforms[{k}]", transform)
        if not len(transforms):
            raise ValueError("transforms is empty; expected at least one map of images.")
        self.forward_op, self.transforms, self.loss = forward, tuple(transforms), loss

    def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        x = batch.images(model)
        g = int(torch.randint(len(self.transforms), (), generator=batch.generator))
        moved = self.transforms[g](x)
        return self.loss(batch.predict(model, self.forward_op(moved)), moved)
