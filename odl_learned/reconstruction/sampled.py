"""Operators whose rows are weighed by what changes: learned patterns, and parts of split data."""

from collections.abc import Callable

import torch
from torch import nn

from odl_learned.reconstruction.tensor_maps import (
    TensorMap,
    require_linear_map,
    require_tensor,
    require_tensor_map,
)


class WeighedRows(nn.Module):
    """``u -> s A u``, the rows of an operator times weights that a module returns.

    Parameters
    ----------
    forward : torch.nn.Module or callable
        The linear operator A of all data, ``(*batch, *X.shape) -> (*batch, *Y.shape)``.
    weights : torch.nn.Module
        ``() -> s``, real, of a shape that broadcasts with the data from behind: `LearnedSampling`
        or `KeptRows`.

    Raises
    ------
    TypeError
        If an ODL operator is passed in place of its module.

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> import torch
    >>> from odl_learned import bridge, operators, reconstruction
    >>> X = odl.uniform_discr([0, 0], [4, 4], (4, 4), dtype="complex64")
    >>> F, seed = operators.SampledFourier(X, np.ones((4, 4))), torch.Generator().manual_seed(0)
    >>> lines = reconstruction.sampling_lines((4, 4), axis=1)
    >>> sampling = reconstruction.LearnedSampling(lines, kept=2, generator=seed)
    >>> measure = reconstruction.WeighedRows(bridge.as_module(F), sampling)
    >>> back = reconstruction.WeighedRowsAdjoint(bridge.as_module(F.adjoint), sampling)
    >>> x = torch.ones(1, 4, 4, dtype=torch.complex64)
    >>> y = measure(x)
    >>> print(torch.allclose((y.conj() * y).sum(), (x.conj() * back(y)).sum()))
    True
    """

    def __init__(self, forward: TensorMap, weights: nn.Module) -> None:
        super().__init__()
        require_linear_map("forward", forward)
        _require_weights(weights)
        self.forward_op, self.weights = forward, weights

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        return self.weights() * self.forward_op(u)


class WeighedRowsAdjoint(nn.Module):
    """``y -> A* (s y)``, the adjoint of `WeighedRows`: s is real.

    For zeros and ones, ``s^2 = s``, what comes from the difference ``s A u - s y`` needs no second
    weight: maps that step along the gradient of the data term take ``A*`` itself. They must where s
    is learned, as the derivative of ``s^2`` is zero at rows that are not measured, and they would
    never learn. This adjoint is for maps with networks on the side of the data.

    Parameters
    ----------
    adjoint : torch.nn.Module or callable
        ``A*``.
    weights : torch.nn.Module
        As there.

    Raises
    ------
    TypeError
        If an ODL operator is passed in place of its module.
    """

    def __init__(self, adjoint: TensorMap, weights: nn.Module) -> None:
        super().__init__()
        require_linear_map("adjoint", adjoint)
        _require_weights(weights)
        self.adjoint_op, self.weights = adjoint, weights

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return self.adjoint_op(self.weights() * y)


class SampledReconstruction(nn.Module):
    """Sample full data by a learned pattern and reconstruct, ``y -> Phi(s y)``: learned together.

    Parameters
    ----------
    sampling : LearnedSampling
        s.
    model : torch.nn.Module
        Phi, made of `WeighedRows` with the same pattern and of the adjoint ``A*`` of all rows.

    Maps fully sampled data ``(*batch, *Y.shape)`` to images ``(*batch, *X.shape)``.

    Source: Bahadir, Wang, Dalca, Sabuncu, Deep-learning-based optimization of the under-sampling
    pattern in MRI (2020).
    """

    def __init__(self, sampling: nn.Module, model: nn.Module) -> None:
        super().__init__()
        _require_weights(sampling)
        require_tensor_map("model", model)
        self.sampling, self.model = sampling, model

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        require_tensor("data", data)
        return self.model(self.sampling() * data)


class KeptRows(nn.Module):
    """The rows that a reconstruction of split data may use; all of them, unless it is told.

    An unrolled map that was made of `WeighedRows` with this module compares with the kept data
    only, where ``learning.objectives.SelfSupervisedSplit(forward,
    split, restricted=rows.restricted)`` trains it; outside of training it uses all data.

    Source: Yaman et al., Self-supervised learning of physics-guided reconstruction (2020).

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import bridge, learning, reconstruction
    >>> from odl_learned.learning import objectives
    >>> A, rows = odl.IdentityOperator(odl.rn(6)), reconstruction.KeptRows()
    >>> forward, adjoint = bridge.as_module(A), bridge.as_module(A.adjoint)
    >>> kept = reconstruction.WeighedRows(forward, rows)
    >>> back = reconstruction.WeighedRowsAdjoint(adjoint, rows)
    >>> model = reconstruction.Landweber(kept, back, step_size=1.0, iterations=1)
    >>> split = objectives.PointSplit(torch.ones(6, dtype=torch.bool), 0.5)
    >>> loss = objectives.SelfSupervisedSplit(forward, split, restricted=rows.restricted)
    >>> y = torch.ones(1, 6, dtype=torch.float64)
    >>> batch = learning.Batch(y, None, torch.Generator().manual_seed(0), "in step 1")
    >>> print(loss(model, batch), model(y))  # half of the rows; afterwards all
    tensor(2., dtype=torch.float64) tensor([[1., 1., 1., 1., 1., 1.]], dtype=torch.float64)
    """

    def __init__(self) -> None:
        super().__init__()
        self._kept: torch.Tensor | None = None

    def forward(self) -> torch.Tensor | float:
        return 1.0 if self._kept is None else self._kept

    def restricted(
        self, model: Callable[[torch.Tensor], torch.Tensor], data: torch.Tensor, kept: torch.Tensor
    ) -> torch.Tensor:
        """Return ``model(kept * data)``, evaluated with the operator of the kept data."""
        require_tensor_map("model", model)
        require_tensor("data", data)
        require_tensor("kept", kept)
        if any(n not in (1, m) for n, m in zip(kept.shape[::-1], data.shape[::-1])):
            raise ValueError(f"kept has shape {tuple(kept.shape)}, expected one that broadcasts "
                             f"with the data, {tuple(data.shape)}, from behind.")
        self._kept = kept
        try:
            return model(data * kept)
        finally:
            self._kept = None


def _require_weights(weights):
    if not isinstance(weights, nn.Module):
        raise TypeError(f"the weights are {weights!r}, expected a module that returns them, "
                        "LearnedSampling or KeptRows.")
