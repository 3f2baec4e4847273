"""Tikhonov's regularization as a map of the data, with implicit derivatives of every order."""

import warnings

import torch
from torch import nn

from odl_learned.bridge.batches.batch_space import BatchSpace
from odl_learned.bridge.forward_mode import jvp_rule
from odl_learned.reconstruction.tensor_maps import TensorMap, require_samples_apart
from odl_learned.reconstruction.unrolled.data_gradient import (
    layout_of_images,
    normal_image,
    require_maps,
)
from odl_learned.reconstruction.unrolled.proximal_gradient import step_size_of
from odl_learned.solvers import Solution, conjugate_gradient
from odl_learned.solvers.arithmetic.samples import samples_of
from odl_learned.validation import require_count, require_positive


class Tikhonov(nn.Module):
    r"""The minimizer of ``1/2 |A u - y|^2 + alpha/2 |u|^2``, a linear map of the data.

    .. math:: (A^* A + \alpha) u = A^* y, \qquad
              (A^* A + \alpha) \, du = A^* dy - u \, d\alpha,

    by conjugate gradients in the inner product of the images, every sample until its own residual
    is small. The derivatives solve the same equation, of every order, and memory does not grow with
    the iterations. Operators with parameters that are learned are refused, since the second
    equation does not have their derivatives.

    Parameters
    ----------
    forward, adjoint : torch.nn.Module or callable
        The linear operator A, ``(*batch, *X.shape) -> (*batch, *Y.shape)``, and its adjoint. Where
        A is a module of ``bridge.as_module``, the inner product is that of its domain, otherwise
        the Euclidean one.
    alpha : float or LearnedStepSize
        Greater than zero; a number is kept, a `LearnedStepSize` is learned and stays positive.
    dimension : int
        Number of axes of an image, ``len(X.shape)``.
    accuracy : float, optional
        Relative residual to reach, ``|A* y - (A* A + alpha) u| <= accuracy |A* y|``.
    maxiter : int, optional
        Largest number of iterations; a RuntimeWarning says where it was not enough.
    normal : torch.nn.Module or callable, optional
        ``A* A`` as one map where it costs less than its parts.

    Maps data ``(*batch, *Y.shape)`` to images ``(*batch, *X.shape)``; `solve` has certificates.

    Raises
    ------
    ValueError
        If a number is out of bounds, an operator is learned or nonlinear, or ``normal`` is not the
        product of the others.
    TypeError
        If an ODL operator is passed in place of its module.
    DivergenceError
        If ``adjoint`` is not the adjoint of ``forward``.

    Source: Engl, Hanke, Neubauer, Regularization of inverse problems (1996), section 5.1.
    """

    is_linear = True

    def __init__(
        self,
        forward: TensorMap,
        adjoint: TensorMap,
        alpha: float | nn.Module,
        *,
        dimension: int,
        accuracy: float = 1e-5,
        maxiter: int = 200,
        normal: TensorMap | None = None,
    ) -> None:
        super().__init__()
        require_maps(forward, adjoint, normal, dimension)
        for name, map in (("forward", forward), ("adjoint", adjoint), ("normal", normal)):
            if isinstance(map, nn.Module) and any(p.requires_grad for p in map.parameters()):
                raise ValueError(f"{name} has parameters that are learned, expected a fixed "
                                 "operator, such as bridge.as_module(A). Unroll the iteration by "
                                 "LeastSquares to learn in it.")
        if not isinstance(alpha, nn.Module):
            require_positive("alpha", alpha)
        require_positive("accuracy", accuracy)
        require_count("maxiter", maxiter)
        self.forward_op, self.adjoint_op, self.normal_op = forward, adjoint, normal
        self.alpha, self.dimension = step_size_of(alpha), dimension
        self.accuracy, self.maxiter = float(accuracy), maxiter
        require_samples_apart(self, adjoint)

    @property
    def compared_by(self) -> nn.Module:
        """``y -> A* A A* y``: if the operators keep samples apart, so do the iterations."""
        return _Operators(self)

    def solve(self, data: torch.Tensor) -> Solution:
        """Return the minimizers with their certificates, without derivatives.

        Parameters
        ----------
        data : torch.Tensor, shape (B, *Y.shape)
            With one batch axis.

        Returns
        -------
        solution : Solution
            ``error_bound`` is ``|A* y - (A* A + alpha) u| / alpha`` in the norm of the images.
        """
        with torch.no_grad():
            b = self.adjoint_op(data)
            if b.ndim != self.dimension + 1:
                raise ValueError(f"data has shape {tuple(data.shape)}, expected one batch axis "
                                 "before those of the data; add or flatten axes.")
            return self._solution(b, float(self.alpha()))

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        # (*batch, *Y.shape) -> (*batch, *X.shape)
        b = self.adjoint_op(data)
        alpha = torch.as_tensor(self.alpha(), dtype=b.real.dtype, device=b.device)
        if not b.numel():
            return b / alpha
        shape = b.shape[b.ndim - self.dimension :]
        return _Inverse.apply(b.reshape(-1, *shape), alpha, self).reshape(b.shape)

    def _solution(self, b, alpha):
        system = _System(self, alpha, layout_of_images(self.forward_op))
        size = samples_of(b, system.domain).norm(b)
        target = (self.accuracy / alpha) * size.clip(min=torch.finfo(b.dtype).tiny)
        solution = conjugate_gradient(system, b, torch.zeros_like(b), target, self.maxiter,
                                      lower_bound=alpha)  # fmt: skip
        missed = solution.reason == "maxiter"
        if missed.any():
            warnings.warn(
                f"Tikhonov: {missed.sum()} of {len(missed)} samples did not reach the relative "
                f"residual {self.accuracy:.1e} in {self.maxiter} iterations; pass a larger maxiter "
                "or alpha.", RuntimeWarning, stacklevel=3)  # fmt: skip
        return solution

    def _weighted(self, g, apply):
        """``W apply(W^-1 g)``: the Hermitian transpose of what is self-adjoint in X."""
        layout = layout_of_images(self.forward_op)
        if layout is None or isinstance(layout.weight, float):
            return apply(g)
        return layout.weigh(apply(layout.unweigh(g)))


class _Operators(nn.Module):
    """``y -> A* A A* y``."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, data):
        return normal_image(self.model, self.model.adjoint_op(data))


class _System:
    """``u -> A* A u + alpha u`` for `conjugate_gradient`, with the inner product of the images."""

    def __init__(self, model, alpha, layout):
        self.model, self.alpha = model, alpha
        self.domain = self.range = None if layout is None else BatchSpace(layout.space)

    def __call__(self, u):
        return normal_image(self.model, u) + self.alpha * u

    def take(self, index):
        return self


class _Inverse(torch.autograd.Function):
    """``(b, alpha) -> (A* A + alpha)^-1 b``, whose derivatives are maps of the same kind."""

    @staticmethod
    def forward(b, alpha, model):
        return model._solution(b, float(alpha)).x

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, alpha, ctx.model = inputs
        ctx.save_for_backward(output, alpha)
        ctx.save_for_forward(output, alpha)

    @staticmethod
    def vmap(info, in_dims, b, alpha, model):
        """Further samples, side by side with those there are."""
        if in_dims[1] is not None:
            raise NotImplementedError("alpha is mapped over by torch.func.vmap, expected one alpha "
                                      "for all samples; use a loop.")
        b = b.movedim(in_dims[0], 0)
        return _Inverse.apply(b.flatten(0, 1), alpha, model).reshape(b.shape), 0

    @staticmethod
    def backward(ctx, g):
        u, alpha = ctx.saved_tensors
        w = ctx.model._weighted(g, lambda v: _Inverse.apply(v, alpha, ctx.model))
        return w, -(w.conj() * u).real.sum(), None

    @staticmethod
    @jvp_rule
    def jvp(ctx, saved, db, dalpha, _):
        u, alpha = saved
        change = torch.zeros_like(u) if db is None else db
        change = change if dalpha is None else change - dalpha * u
        return _Inverse.apply(change, alpha, ctx.model)
