"""Deep equilibria: the limit of an unrolled method, with the derivative of the limit."""

import torch
from torch import nn

from odl_learned.networks.images import require_dimension
from odl_learned.reconstruction.implicit_maps.implicit import differentiable_limit
from odl_learned.reconstruction.tensor_maps import (
    TensorMap,
    require_samples_apart,
    require_tensor_map,
)
from odl_learned.reconstruction.unrolled.commuting import warn_of_broken_symmetry
from odl_learned.reconstruction.unrolled.data_gradient import DataGradient, require_maps
from odl_learned.solvers import Solution, fixed_point
from odl_learned.validation import is_finite_number, require_count, require_positive


class DeepEquilibrium(nn.Module):
    r"""The fixed point of a learned step, ``u = N(u, grad E(u))`` with ``E(u) = 1/2 |A u - y|^2``.

    .. math:: u_\infty = T(u_\infty), \qquad T(u) = N(u, A^*(A u - y)), \qquad
              \partial u_\infty = (I - T'(u_\infty))^{-1} \, \partial T,

    found by Anderson's acceleration, every sample of a batch until its own residual is small. The
    derivatives of the limit in data and parameters come from the second equation, whose solution is
    a fixed point of its own, ``w = g + T'(u)^T w``; memory does not grow with the iterations. With
    ``N(u, g) = P(u - tau g)`` it is the limit of proximal gradient descent: with the proximal of a
    regularizer, its variational solution.

    Parameters
    ----------
    forward, adjoint : torch.nn.Module or callable
        The linear operator A, ``(*batch, *X.shape) -> (*batch, *Y.shape)``, and its adjoint.
    step : torch.nn.Module
        ``(u, gradient, None) -> (u, memory)``, a step of `LearnedProximalGradient` without memory,
        such as ``GradientStep(net, tau)``. A fixed point exists for sure where T is a contraction,
        for example where the Lipschitz constant of the network is below one and
        ``0 < tau < 2 / |A|^2``.
    dimension : int
        Number of axes of an image, ``len(X.shape)``.
    initial : torch.nn.Module or callable, optional
        Maps the data to the first point; the default is zero.
    accuracy, backward_accuracy : float, optional
        Relative residuals to reach, ``|T(u) - u| <= accuracy |T(u)|``, of the limit and of the
        equation of its derivative.
    maxiter : int, optional
        Largest number of iterations of either.
    memory : int, optional
        Differences that Anderson's acceleration keeps; 0 is the plain iteration.
    contraction : float, optional
        A proven Lipschitz constant of T below one, of which error bounds are made.
    normal : torch.nn.Module or callable, optional
        ``A^* A`` as one map where it costs less than its parts, as in `LearnedProximalGradient`.

    Maps data ``(*batch, *Y.shape)`` to images ``(*batch, *X.shape)``. A RuntimeWarning says where
    the limit or its derivative was not reached; `solve` returns the residuals.

    Raises
    ------
    ValueError
        If a number is out of bounds, data do not fit the operator, ``normal`` is not the product
        of the others, or samples influence each other.
    TypeError
        If an ODL operator is passed in place of its module.
    DivergenceError
        If values are not finite, or two points refute the contraction.

    Source: Gilton, Ongie, Willett, Deep equilibrium architectures for inverse problems in imaging
    (2021), section III, the proximal gradient version.
    """

    def __init__(
        self,
        forward: TensorMap,
        adjoint: TensorMap,
        step: nn.Module,
        *,
        dimension: int,
        initial: TensorMap | None = None,
        accuracy: float = 1e-4,
        backward_accuracy: float = 1e-4,
        maxiter: int = 100,
        memory: int = 5,
        contraction: float | None = None,
        normal: TensorMap | None = None,
    ) -> None:
        super().__init__()
        require_maps(forward, adjoint, normal)
        require_tensor_map("initial", initial, optional=True)
        if not isinstance(step, nn.Module):
            raise TypeError(f"step is {step!r}; expected a torch module such as GradientStep(net, "
                            "step_size).")
        require_dimension(dimension)
        require_positive("accuracy", accuracy)
        require_positive("backward_accuracy", backward_accuracy)
        require_count("maxiter", maxiter)
        require_count("memory", memory, 0)
        if contraction is not None and not (is_finite_number(contraction) and 0 <= contraction < 1):
            raise ValueError(f"contraction is {contraction!r}; expected a proven Lipschitz "
                             "constant of at least 0 and below 1. Leave it out if none is known.")
        self.forward_op, self.adjoint_op, self.step, self.initial = forward, adjoint, step, initial
        self.normal_op, self.dimension, self.contraction = normal, dimension, contraction
        self.accuracy, self.backward_accuracy = float(accuracy), float(backward_accuracy)
        self.maxiter, self.memory = maxiter, memory
        require_samples_apart(self, adjoint)
        warn_of_broken_symmetry(self, forward, adjoint)

    @property
    def compared_by(self) -> nn.Module:
        """``y -> T(u_0)``: if T keeps samples apart, so does its limit."""
        return _FirstStep(self)

    def image(self, u: torch.Tensor, data: torch.Tensor) -> torch.Tensor:
        """Return ``T(u)`` for images u and data y with the same batch axes."""
        return self.step(u, DataGradient(self, data)(u), None)[0]

    def solve(self, data: torch.Tensor) -> Solution:
        """Return the limit with its certificate, without derivatives.

        Parameters
        ----------
        data : torch.Tensor, shape (B, *Y.shape)
            With one batch axis.

        Returns
        -------
        solution : Solution
            ``x`` of shape ``(B, *X.shape)``; ``residual``, ``niter`` and ``reason`` for each
            sample, ``"accuracy"`` or ``"maxiter"``; ``error_bound`` where a contraction is known.
        """
        with torch.no_grad():
            slope = DataGradient(self, data)
            u = self._start(slope)
            if u.ndim != self.dimension + 1:
                raise ValueError(f"data has shape {tuple(data.shape)}, expected one batch axis "
                                 "before those of the data; add or flatten axes.")
            return fixed_point(_Images(self.step, slope), u, self.accuracy,
                               self.maxiter, self.memory, self.contraction)  # fmt: skip

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        # (*batch, *Y.shape) -> (*batch, *X.shape)
        start = self._start(DataGradient(self, data))
        batch = start.shape[: start.ndim - self.dimension]
        shape = data.shape[len(batch) :]
        flat = data.reshape(batch.numel(), *shape)
        if not len(flat):
            return self.image(start, data)
        return differentiable_limit(self, flat).reshape(start.shape)

    def _start(self, slope):
        return (torch.zeros_like(slope.back) if self.initial is None
                else self.initial(slope.data))


class _FirstStep(nn.Module):
    """``y -> T(u_0)`` with the first point of y."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, data):
        return self.model.image(self.model._start(DataGradient(self.model, data)), data)


class _Images:
    """``u -> T(u)`` for the data of some samples, without derivatives."""

    def __init__(self, step, slope):
        self.step, self.slope = step, slope

    def __call__(self, u):
        with torch.no_grad():
            return self.step(u, self.slope(u), None)[0]

    def take(self, index):
        return _Images(self.step, self.slope.take(index))
