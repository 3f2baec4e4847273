"""Learned Landweber iteration that stops by the discrepancy principle."""

import warnings
from typing import Any

import numpy as np
import torch
from torch import nn

from odl_learned.bridge.layouts.layout import TensorLayout
from odl_learned.bridge.lowering import OperatorModule
from odl_learned.reconstruction.tensor_maps import (
    TensorMap,
    require_data_of,
    require_images,
    require_samples_apart,
    require_tensor_map,
)
from odl_learned.reconstruction.unrolled.data_gradient import require_maps
from odl_learned.reconstruction.unrolled.proximal_gradient import step_size_of
from odl_learned.solvers import DivergenceError, Solution
from odl_learned.validation import is_finite_number, require_count, require_positive


class LearnedLandweber(nn.Module):
    r"""Landweber's iteration with a learned direction, stopped when the data are explained.

    .. math:: u_{k+1} = u_k - \tau_k \, B (A u_k - y) \quad \text{until} \quad
              |A u_k - y| \le \tau \, \delta ,

    every sample of a batch by itself, with ``B = A*`` or a learned map in its place. The derivative
    is that of the steps that were taken, a fixed number for each sample; where the principle would
    stop one step earlier, the map jumps, and there is none.

    What is proven: with ``B = P A*`` and a self-adjoint positive definite P, such as
    `PositiveFilter`, and ``0 < tau_k = const <= 2 / |A P^(1/2)|^2`` it is Landweber's iteration in
    the inner product ``<P^-1 u, v>`` of the images. So residuals never grow, the iteration stops
    for every ``tau > 1`` and data whose noise is at most delta, and the results tend to a solution
    of ``A u = y`` as delta tends to zero. For another B nothing is: an iteration that does not stop
    is reported, and one that is not finite an error.

    Parameters
    ----------
    forward, adjoint : torch.nn.Module or callable
        The linear operator A, ``(*batch, *X.shape) -> (*batch, *Y.shape)``, and its adjoint. If the
        adjoint is a module of ``bridge.as_module``, residuals are measured in the inner product of
        its domain, the data, otherwise by the Euclidean norm.
    step_size : float or LearnedStepSize
        ``tau_k``, greater than zero; a number is kept, a `LearnedStepSize` is learned.
    noise_norm : float or callable
        delta, the norm of the noise, positive; or a function of data ``(B, *Y.shape)`` that returns
        one for each sample, a tensor of shape ``(B,)``.
    dimension : int
        Number of axes of an image, ``len(X.shape)``.
    direction : torch.nn.Module or callable, optional
        B, maps data to images, such as ``nn.Sequential(adjoint, PositiveFilter(X.shape))``, or a
        network behind the adjoint; the default is the adjoint.
    tau : float, optional
        Safety factor of the principle, at least 1.
    maxiter : int, optional
        Largest number of steps; a RuntimeWarning says where it was not enough.
    initial : torch.nn.Module or callable, optional
        Maps the data to the first image; the default is zero.

    Maps data ``(*batch, *Y.shape)`` to images ``(*batch, *X.shape)``.

    Raises
    ------
    ValueError
        If a number is out of bounds, data do not fit the operator, or samples influence each other.
    TypeError
        If an ODL operator is passed in place of its module.
    DivergenceError
        If values are not finite.

    Source: Engl, Hanke, Neubauer, Regularization of inverse problems (1996), section 6.1; learned:
    Aspri, Banert, Oktem, Scherzer, A data-driven iteratively regularized Landweber iteration
    (2020), there with a second data term that is learned.

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import bridge, reconstruction
    >>> A = odl.MatrixOperator([[2.0, 0.0], [0.0, 1.0]])
    >>> forward, adjoint = bridge.as_module(A), bridge.as_module(A.adjoint)
    >>> model = reconstruction.LearnedLandweber(
    ...     forward, adjoint, step_size=0.4, dimension=1, tau=1.1,
    ...     noise_norm=lambda y: torch.full((len(y),), 0.1, dtype=y.dtype))
    >>> y = torch.tensor([[2.0, 3.0]], dtype=torch.float64)
    >>> print(bool((forward(model(y)) - y).norm() <= 1.1 * 0.1))  # it stops by the discrepancy
    True
    """

    def __init__(
        self,
        forward: TensorMap,
        adjoint: TensorMap,
        step_size: float | nn.Module,
        noise_norm: float | TensorMap,
        *,
        dimension: int,
        direction: TensorMap | None = None,
        tau: float = 1.1,
        maxiter: int = 100,
        initial: TensorMap | None = None,
    ) -> None:
        super().__init__()
        require_maps(forward, adjoint, None, dimension)
        require_tensor_map("direction", direction, optional=True)
        require_tensor_map("initial", initial, optional=True)
        if not callable(noise_norm):
            require_positive("noise_norm", noise_norm)
        if not (is_finite_number(tau) and tau >= 1):
            raise ValueError(f"tau is {tau!r}; expected a finite number of at least 1, such as "
                             "1.1.")
        require_count("maxiter", maxiter)
        self.forward_op, self.adjoint_op, self.direction = forward, adjoint, direction
        self.step_size, self.noise_norm = step_size_of(step_size), noise_norm
        self.dimension, self.tau, self.maxiter = dimension, float(tau), maxiter
        self.initial = initial
        require_samples_apart(self, adjoint)

    @property
    def compared_by(self) -> nn.Module:
        """``y -> u_1``: if one step keeps samples apart, so do all."""
        return _OneStep(self)

    def solve(self, data: torch.Tensor) -> Solution:
        """Return the images with the number of steps of each, without derivatives.

        Parameters
        ----------
        data : torch.Tensor, shape (B, *Y.shape)
            With one batch axis.

        Returns
        -------
        solution : Solution
            ``x``; ``niter``, ``reason``, ``"discrepancy"`` or ``"maxiter"``, and ``residual``,
            ``|A u - y|``, of each sample; no error bound.
        """
        with torch.no_grad():
            u = self._start(data)
            if u.ndim != self.dimension + 1:
                raise ValueError(f"data has shape {tuple(data.shape)}, expected one batch axis "
                                 "before those of the data; add or flatten axes.")
            return self._stopped(u, data)

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        # (*batch, *Y.shape) -> (*batch, *X.shape)
        start = self._start(data)
        batch = start.shape[: start.ndim - self.dimension]
        if not start.numel():
            return start
        flat = data.reshape(batch.numel(), *data.shape[len(batch) :])
        solution = self._stopped(start.reshape(len(flat), *start.shape[len(batch) :]), flat)
        missed = solution.reason != "discrepancy"
        if missed.any():
            warnings.warn(
                f"the discrepancy principle was not reached in {missed.sum()} of {len(missed)} "
                f"samples after {self.maxiter} steps: the largest residual |A u - y| is "
                f"{solution.residual[missed].max():.3g}. Pass a larger maxiter or noise_norm, or a "
                "step size between 0 and 2 / |A|^2.", RuntimeWarning, stacklevel=2)  # fmt: skip
        return solution.x.reshape(start.shape)

    def _start(self, data):
        return (torch.zeros_like(self.adjoint_op(data)) if self.initial is None
                else self.initial(data))  # fmt: skip

    def _step(self, u, residual):
        back = self.adjoint_op if self.direction is None else self.direction
        change = back(residual)
        require_images("the direction", change, u.shape)
        return u - self.step_size() * change

    def _stopped(self, u, data) -> Solution:
        """The iteration on ``(B, *X.shape)``, with the graph of every sample's own steps."""
        size = len(u)
        limits = self.tau * _numbers(self._noise_norms(data))
        images: list[Any] = [None] * size
        niter, reason, rest = np.zeros(size, int), np.full(size, "", object), np.zeros(size)
        index = np.arange(size)
        for k in range(self.maxiter + 1):
            simulated = self.forward_op(u)
            require_data_of(simulated, data, u)
            residual = simulated - data
            sizes = _numbers(self._norm(residual))
            if not np.isfinite(sizes).all():
                raise DivergenceError(
                    f"the residual of sample {index[~np.isfinite(sizes)][0]} is not finite after "
                    f"{k} steps: the direction is expansive. Take a smaller step size, or a "
                    "PositiveFilter behind the adjoint.")
            done = sizes <= limits[index]
            ends = done | (k == self.maxiter)
            for j in np.flatnonzero(ends):
                images[index[j]] = u[j]
            where = index[ends]
            niter[where], rest[where] = k, sizes[ends]
            reason[where] = np.where(done[ends], "discrepancy", "maxiter")
            if ends.all():
                break
            if ends.any():
                keep = torch.as_tensor(np.flatnonzero(~ends), device=u.device)
                u, data, residual = (v.index_select(0, keep) for v in (u, data, residual))
                index = index[~ends]
            u = self._step(u, residual)
        return Solution(torch.stack(images), None, niter, reason, residual=rest)

    def _norm(self, residual):
        if isinstance(self.adjoint_op, OperatorModule) and isinstance(
                self.adjoint_op.layout, TensorLayout):  # fmt: skip
            return self.adjoint_op.layout.integrate(residual.abs().square()).sqrt()
        return torch.linalg.vector_norm(residual.flatten(1), dim=1)

    def _noise_norms(self, data):
        if not callable(self.noise_norm):
            return torch.full((len(data),), float(self.noise_norm), dtype=torch.float64)
        norms = self.noise_norm(data)
        if not isinstance(norms, torch.Tensor) or norms.shape != data.shape[:1]:
            raise ValueError(f"noise_norm(data) is {norms!r}, expected a tensor of shape "
                             f"({len(data)},), one number for each sample.")
        return norms


class _OneStep(nn.Module):
    """``y -> u_1``."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, data):
        u = self.model._start(data)
        return self.model._step(u, self.model.forward_op(u) - data)


def _numbers(values):
    """Numbers of samples as an array, also inside the transforms of ``torch.func``."""
    return np.array([value.item() for value in values.detach().unbind()], dtype=float)
