r"""Objectives that know the noise: ``y = A x + n`` with Gaussian n of known standard deviation s.

As in `data.add_white_noise`, the real and the imaginary part of complex data have the standard
deviation s each. In real coordinates they are data of twice as many entries.
"""

from typing import final

import torch

from odl_learned.learning.batch import Batch
from odl_learned.learning.losses import mean_squared_error
from odl_learned.learning.objective import Loss, Objective
from odl_learned.reconstruction.tensor_maps import TensorMap, require_tensor, require_tensor_map
from odl_learned.validation import require_method, require_positive


@final
class SURE(Objective):
    r"""Stein's unbiased estimate of the mean squared error of ``h(y) = A Phi(y)``.

    .. math:: \frac1m \Big( |h(y) - y|^2 - \sum_i s_i^2 + 2 \sum_i s_i^2 \partial_i h_i(y) \Big),

    whose expectation over the noise is that of ``|h(y) - A x|^2 / m``. With one probe ``b = s z``,
    z standard normal,

    .. math:: \sum_i s_i^2 \partial_i h_i(y) = E_z \langle b, h'(y) b \rangle
              \approx \langle b, h(y + \epsilon b) - h(y) \rangle / \epsilon ,

    exact in expectation for affine h, else up to the order ``epsilon`` for smooth h. Complex
    entries count once in m, with ``2 s_i^2`` in place of ``s_i^2`` and the real inner product.

    Parameters
    ----------
    forward : torch.nn.Module or callable
        The operator A; for denoising, ``torch.nn.Identity()``.
    noise_level : float or torch.Tensor of shape ``Y.shape``
        The standard deviation s of the noise, greater than zero; a tensor for one of each entry,
        zero where there is no noise, such as frequencies that are not measured.
    relative_step : float, optional
        epsilon, greater than zero: the size of the probe relative to the noise.

    The model must treat the samples of a batch apart and not be random. Each evaluation costs two
    of the model.

    Raises
    ------
    ValueError
        If a noise level is negative, infinite, or zero everywhere, or the step not positive.

    Source: Stein (1981); Ramani, Blu, Unser, Monte-Carlo SURE (2008).

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import bridge, learning
    >>> from odl_learned.learning import objectives
    >>> forward = bridge.as_module(odl.IdentityOperator(odl.rn(1000)))
    >>> seed = torch.Generator().manual_seed(0)
    >>> truth = torch.zeros(1, 1000, dtype=torch.float64)
    >>> y = truth + 0.5 * torch.randn(truth.shape, generator=seed, dtype=torch.float64)
    >>> batch = learning.Batch(y, None, seed, "in step 1")
    >>> sure = objectives.SURE(forward, noise_level=0.5)
    >>> print(f"{sure(torch.nn.Identity(), batch):.2f}", f"{(y - truth).square().mean():.2f}")
    0.24 0.25
    """

    def __init__(
        self, forward: TensorMap, noise_level: float | torch.Tensor, relative_step: float = 0.01
    ) -> None:
        require_tensor_map("forward", forward)
        require_positive("relative_step", relative_step)
        self.forward_op = forward
        self.noise_level = _noise_level(noise_level)
        self.relative_step = float(relative_step)

    def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        y, epsilon = batch.data, self.relative_step
        simulated = self.forward_op(batch.images(model))
        levels = _levels(self.noise_level, y)
        probe = levels * batch.normal(y)
        moved = self.forward_op(batch.predict(model, y + epsilon * probe))
        divergence = (probe.conj() * (moved - simulated)).real.mean() / epsilon
        parts = 2 if y.is_complex() else 1
        variance = parts * levels.square().mean()
        return mean_squared_error(simulated, y) - variance + 2 * divergence


@final
class Recorrupted(Objective):
    r"""Noise2Noise from single measurements, by noise that is added to them.

    .. math:: y_+ = y + t s z, \qquad y_- = y - s z / t, \qquad loss(A Phi(y_+), y_-),

    z standard normal. The noises of ``y_+`` and ``y_-`` are Gaussian and have the covariance
    ``s^2 - (t s) (s / t) = 0``; so they are independent, and for the mean squared error the
    minimizers are those of the supervised loss for data with the noise ``s sqrt(1 + t^2)``.

    Parameters
    ----------
    forward : torch.nn.Module or callable
        The operator A; for denoising, ``torch.nn.Identity()``.
    noise_level : float or torch.Tensor of shape ``Y.shape``
        As for `SURE`.
    spread : float, optional
        t, greater than zero: small, the map is trained for nearly the noise of the data, and the
        comparison is noisy.
    loss : callable, optional
        ``(simulated, data) -> real tensor of shape ()``.

    Raises
    ------
    ValueError
        If a noise level or the spread is out of range.

    Source: Pang et al., Recorrupted-to-Recorrupted (2021), with ``D = t I``.

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import bridge, learning
    >>> from odl_learned.learning import objectives
    >>> seed = torch.Generator().manual_seed(0)
    >>> y = 0.5 * torch.randn(1, 10000, generator=seed, dtype=torch.float64)
    >>> batch = learning.Batch(y, None, seed, "in step 1")
    >>> forward = bridge.as_module(odl.IdentityOperator(odl.rn(10000)))
    >>> objective = objectives.Recorrupted(forward, noise_level=0.5, spread=0.5)
    >>> values = [objective(net, batch) for net in (torch.nn.Identity(), torch.nn.Tanhshrink())]
    >>> print(bool(values[1] < values[0]))  # the truth is zero
    True
    """

    def __init__(
        self,
        forward: TensorMap,
        noise_level: float | torch.Tensor,
        spread: float = 0.5,
        loss: Loss = mean_squared_error,
    ) -> None:
        require_tensor_map("forward", forward)
        require_positive("spread", spread)
        require_method("loss", loss, "mean_squared_error", 2)
        self.forward_op, self.loss = forward, loss
        self.noise_level, self.spread = _noise_level(noise_level), float(spread)

    def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        noise = _levels(self.noise_level, batch.data) * batch.normal(batch.data)
        x = batch.predict(model, batch.data + self.spread * noise)
        return self.loss(self.forward_op(x), batch.data - noise / self.spread)


def _noise_level(level):
    if not isinstance(level, torch.Tensor):
        require_positive("noise_level", level)
        return torch.tensor(float(level), dtype=torch.float64)
    require_tensor("noise_level", level)
    good = not level.is_complex() and bool((level.isfinite() & (level >= 0)).all())
    if not (good and bool((level > 0).any())):
        raise ValueError(
            "noise_level has negative, complex or infinite entries, or none above zero; expected "
            "the standard deviation of each entry of the data, zero where there is no noise."
        )
    return level.detach()


def _levels(level, y):
    """The standard deviation of each entry of data."""
    try:
        return level.to(y.real).expand(y.shape)
    except RuntimeError:
        raise ValueError(f"noise_level has shape {tuple(level.shape)}, expected "
                         f"{tuple(y.shape[1:])}, that of the data, or one number.") from None
