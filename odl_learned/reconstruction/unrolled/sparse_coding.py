"""Learned iterative shrinkage, LISTA: sparse coefficients with respect to any dictionary."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from odl_learned.reconstruction.tensor_maps import (
    TensorMap,
    modules,
    require_data_of,
    require_samples_apart,
    require_tensor,
    require_tensor_map,
)
from odl_learned.reconstruction.unrolled.proximal_gradient import step_size_of
from odl_learned.validation import real_numbers

#: ``z -> A D z - y``; None stands for zero.
Residual = Callable[[torch.Tensor | None], torch.Tensor]


class LearnedShrinkage(nn.Module):
    r"""Iterative shrinkage for ``1/2 |A D z - y|^2 + lambda |z|_1`` with learned steps.

    .. math:: z_{k+1} = N_k (z_k, A D z_k - y, y), \qquad k = 0, \dots, K - 1, \qquad z_0 = 0,
              \qquad u = D z_K .

    With `CoupledShrinkage`, ``z - W (A D z - y)`` behind a soft threshold, and ``W = tau D* A*`` it
    is ISTA. Learned ``W`` and thresholds are the coupled LISTA: the theorem says that the weights
    of any LISTA that converges to the code of all sparse signals couple in this way in the limit.
    With `FreeShrinkage` it is LISTA as it was first proposed.

    Parameters
    ----------
    forward : torch.nn.Module or callable
        The linear operator A on images, ``(*batch, *X.shape) -> (*batch, *Y.shape)``.
    synthesis : torch.nn.Module or callable
        The dictionary D, coefficients ``(*batch, *Z.shape)`` to images; for orthogonal wavelets
        ``bridge.as_module(operators.OrthogonalWavelet(X, ...).adjoint)``. It may be learned.
    steps : sequence of torch.nn.Module
        K modules ``(z, residual, data) -> z`` with a function ``residual``, ``z -> A D z - y``,
        that costs nothing where it is not called; the first is given ``z = None`` for zero. The
        same module several times shares its weights.

    Maps data ``(*batch, *Y.shape)`` to images ``(*batch, *X.shape)``; `coefficients` returns z.

    Raises
    ------
    ValueError
        If there are no steps, data do not fit the operator, or the samples of a batch influence
        each other, where a module of ``bridge.as_module`` knows the space of the data.
    TypeError
        If an ODL operator is passed in place of its module, or a step is no module.

    Source: Gregor, LeCun, Learning fast approximations of sparse coding (2010), algorithm 3; Chen,
    Liu, Wang, Yin, Theoretical linear convergence of unfolded ISTA (2018), theorem 1.
    """

    def __init__(
        self, forward: TensorMap, synthesis: TensorMap, steps: Sequence[nn.Module] | nn.ModuleList
    ) -> None:
        super().__init__()
        require_tensor_map("forward", forward)
        require_tensor_map("synthesis", synthesis)
        self.forward_op, self.synthesis = forward, synthesis
        self.steps = modules("steps", steps)
        for step in self.steps:
            require_samples_apart(self, getattr(step, "back", None))

    def coefficients(self, data: torch.Tensor) -> torch.Tensor:
        """Return ``z_K``, ``(*batch, *Y.shape) -> (*batch, *Z.shape)``."""
        require_tensor("data", data)

        def residual(z):
            if z is None:
                return -data  # A D 0 = 0
            u = self.synthesis(z)
            simulated = self.forward_op(u)
            require_data_of(simulated, data, u)
            return simulated - data

        z: Any = None
        for step in self.steps:
            z = step(z, residual, data)
        return z

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        # (*batch, *Y.shape) -> (*batch, *X.shape)
        return self.synthesis(self.coefficients(data))


class CoupledShrinkage(nn.Module):
    r"""A step of LISTA with coupled weights, ``z -> S_theta(z - tau W (A D z - y))``.

    .. math:: S_\theta(z) = \frac{z}{|z|} \max(|z| - \theta, 0)

    Parameters
    ----------
    back : torch.nn.Module or callable
        W, maps data ``(*batch, *Y.shape)`` to coefficients ``(*batch, *Z.shape)``: the adjoint
        ``D* A*``, such as ``bridge.as_module(D.adjoint @ A.adjoint)``, then tau and theta alone are
        learned as in ALISTA; or a module with weights.
    threshold : torch.Tensor or float
        First value of theta, positive, one number or an array that broadcasts to ``Z.shape``, such
        as one threshold for each subband; it is learned as ``exp(s)``.
    step_size : float or LearnedStepSize, optional
        tau, greater than zero; a number is kept, a `LearnedStepSize` is learned.

    Raises
    ------
    TypeError
        If an ODL operator is passed in place of its module.
    ValueError
        If thresholds or step size are not positive and finite.
    """

    def __init__(
        self, back: TensorMap, threshold: torch.Tensor | float, step_size: float | nn.Module = 1.0
    ) -> None:
        super().__init__()
        require_tensor_map("back", back)
        self.back, self.step_size = back, step_size_of(step_size)
        self.log_threshold = nn.Parameter(_log_threshold(threshold))

    def forward(
        self, z: torch.Tensor | None, residual: Residual, data: torch.Tensor
    ) -> torch.Tensor:
        change = self.step_size() * self.back(residual(z))
        return soft_threshold(-change if z is None else z - change, self.log_threshold.exp())


class FreeShrinkage(nn.Module):
    """A step of LISTA as first proposed, ``z -> S_theta(W_e y + W_s z)`` without the operator.

    Parameters
    ----------
    encode, mix : torch.nn.Module
        ``W_e`` from data to coefficients, ``W_s`` from coefficients to coefficients; for ISTA with
        the step tau, ``tau D* A*`` and ``1 - tau D* A* A D``.
    threshold : torch.Tensor or float
        First value of theta, as in `CoupledShrinkage`.

    Raises
    ------
    TypeError
        If an ODL operator is passed in place of its module.
    ValueError
        If thresholds are not positive and finite.

    Source: Gregor, LeCun (2010), algorithm 3.

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import bridge, reconstruction
    >>> identity = bridge.as_module(odl.IdentityOperator(odl.rn(2)))
    >>> step = reconstruction.FreeShrinkage(identity, identity, threshold=0.5)
    >>> model = reconstruction.LearnedShrinkage(identity, identity, [step])
    >>> print(model(torch.tensor([[2.0, 0.3]], dtype=torch.float64)).detach())
    tensor([[1.5000, 0.0000]], dtype=torch.float64)
    """

    def __init__(self, encode: TensorMap, mix: TensorMap, threshold: torch.Tensor | float) -> None:
        super().__init__()
        require_tensor_map("encode", encode)
        require_tensor_map("mix", mix)
        self.encode, self.mix = encode, mix
        self.log_threshold = nn.Parameter(_log_threshold(threshold))

    def forward(
        self, z: torch.Tensor | None, residual: Residual, data: torch.Tensor
    ) -> torch.Tensor:
        encoded = self.encode(data)
        return soft_threshold(encoded if z is None else encoded + self.mix(z),
                              self.log_threshold.exp())  # fmt: skip


def soft_threshold(z: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
    """Return ``z / |z| max(|z| - theta, 0)``, also for complex numbers; zero stays zero."""
    if z.is_complex():
        size = z.abs()
        factor = (size - threshold).clamp(min=0) / size.clamp(min=torch.finfo(size.dtype).tiny)
        return factor * z
    return z - torch.maximum(torch.minimum(z, threshold), -threshold)


def _log_threshold(threshold):
    if not isinstance(threshold, torch.Tensor):
        threshold = torch.as_tensor(real_numbers("threshold", threshold))
        threshold = threshold.to(torch.get_default_dtype())
    require_tensor("threshold", threshold)
    if threshold.is_complex() or not threshold.numel():
        raise ValueError(f"threshold has dtype {threshold.dtype} and shape "
                         f"{tuple(threshold.shape)}, expected positive real numbers.")
    if not threshold.is_floating_point():
        threshold = threshold.to(torch.get_default_dtype())
    if not bool(torch.all(torch.isfinite(threshold) & (threshold > 0))):
        raise ValueError(f"threshold is {threshold}, expected positive finite numbers.")
    return threshold.clone().log()
