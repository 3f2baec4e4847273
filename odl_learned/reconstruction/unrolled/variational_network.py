"""The variational network: gradient steps on filters with learned potentials."""

import torch
from torch import nn

from odl_learned.bridge.rules.filter_bank import CORRELATE, TRANSPOSE, folded, reflected
from odl_learned.networks.activations import RadialBasis
from odl_learned.networks.images import from_channels, require_dimension, to_channels
from odl_learned.networks.layers import require_generator, require_sizes
from odl_learned.reconstruction.unrolled.proximal_gradient import step_size_of


class VariationalStep(nn.Module):
    r"""A gradient step on the data term and on a learned field of experts.

    .. math:: u \leftarrow u - \tau \nabla E(u) - \nabla R(u), \qquad
              R(u) = \sum_{k} \sum_x \Phi_k \big( (f_k * u)(x) \big), \qquad
              \nabla R(u) = \sum_k F_k^T \phi_k (F_k u), \quad \phi_k = \Phi_k'.

    The filters correlate with the image reflected at its border, as `operators.FilterBank` does;
    they have mean zero and norm one whatever the parameters, ``f = (p - mean p) / |p - mean p|``,
    and the activations take up the scale. Complex images have filters with a real and an imaginary
    part, ``(F u) = f_re * Re u + f_im * Im u``, as in the paper. The gradient of R is the
    Euclidean one: its scale is learned, too. With `LearnedProximalGradient` these steps are the
    variational network; with activations at zero they are Landweber's iteration.

    Parameters
    ----------
    filters : int
        Their number K; 24 or 48 in the paper.
    size : int
        Their length along every axis, odd; 11 in the paper.
    activations : RadialBasis
        ``phi``, of K channels; 31 centers in the paper.
    step_size : float or LearnedStepSize
        tau, greater than zero; a number is kept, a `LearnedStepSize` is learned.
    dimension : int
        Number of axes of an image: 1, 2 or 3.
    parts : int, optional
        1 for real and 2 for complex images.
    generator : torch.Generator, optional
        Source of the first filters, independent normal numbers; the default is torch's own.

    Maps ``(u, gradient, memory)`` to ``(u, memory)``, the memory as it is.

    Raises
    ------
    ValueError
        If a size is wrong, or the activations have another number of channels; on call, if the
        image is complex or real against ``parts``, or smaller than half a filter.
    TypeError
        If the activations have no potential.

    Source: Hammernik et al., Learning a variational network for reconstruction of accelerated MRI
    data (2018), equations 8 to 10, there with 10 steps.
    """

    def __init__(
        self,
        filters: int,
        size: int,
        activations: RadialBasis,
        step_size: float | nn.Module,
        *,
        dimension: int,
        parts: int = 1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        require_sizes({"filters": filters, "size": size, "parts": parts}, dimension)
        require_dimension(dimension)
        require_generator(generator)
        if size % 2 == 0 or size < 3:
            raise ValueError(f"size is {size}; expected an odd number of at least 3, so that a "
                             "filter has a center and a mean to subtract.")
        if parts > 2:
            raise ValueError(f"parts is {parts}; expected 1 for real or 2 for complex images.")
        if not isinstance(activations, RadialBasis):
            raise TypeError(f"activations is of type {type(activations).__name__}, expected "
                            "networks.RadialBasis(filters, centers, radius).")
        if len(activations.weights) != filters:
            raise ValueError(f"activations has {len(activations.weights)} channels, expected "
                             f"{filters}, one for each filter.")
        self.raw_filters = nn.Parameter(
            torch.randn(filters, parts, *[size] * dimension, generator=generator))
        self.activations, self.step_size = activations, step_size_of(step_size)
        self.dimension = dimension

    @property
    def filters(self) -> torch.Tensor:
        """The filters f of mean zero and norm one, ``(K, parts, *size)``."""
        centered = self.raw_filters.flatten(1) - self.raw_filters.flatten(1).mean(1, keepdim=True)
        unit = centered / torch.linalg.vector_norm(centered, dim=1, keepdim=True)
        return unit.view_as(self.raw_filters)

    def forward(
        self, u: torch.Tensor, gradient: torch.Tensor, memory: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        return u - self.step_size() * gradient - self.regularizer_gradient(u), memory

    def regularizer(self, u: torch.Tensor) -> torch.Tensor:
        """Return ``R(u)``, ``(*batch, *shape) -> (*batch,)``, a plain sum over pixels."""
        responses = self._responses(self._channels(u), self.filters)
        return self.activations.potential(responses).flatten(1).sum(1).reshape(
            u.shape[: u.ndim - self.dimension])

    def regularizer_gradient(self, u: torch.Tensor) -> torch.Tensor:
        """Return the Euclidean gradient of `regularizer`, of the shape of ``u``."""
        filters = self.filters
        values = self.activations(self._responses(self._channels(u), filters))
        channels = TRANSPOSE[self.dimension](values, filters)
        for axis in range(-self.dimension, 0):
            channels = folded(channels, axis, self._margin, self._margin)
        return from_channels(channels, u, self.dimension)

    @property
    def _margin(self):
        return self.raw_filters.shape[-1] // 2

    def _channels(self, u):
        channels = to_channels(u, self.dimension)
        parts = self.raw_filters.shape[1]
        if channels.shape[1] != parts:
            kind, number = ("complex", 2) if u.is_complex() else ("real", 1)
            raise ValueError(f"u is {kind} and the filters have {parts} part(s), expected "
                             f"{number}; build the step with parts={number}.")
        if min(channels.shape[2:]) < self._margin:
            raise ValueError(f"u has shape {tuple(u.shape)}, expected at least {self._margin} "
                             "pixels along every axis, which are reflected; take smaller filters.")
        return channels

    def _responses(self, channels, filters):
        for axis in range(-self.dimension, 0):
            channels = reflected(channels, axis, self._margin, self._margin)
        return CORRELATE[self.dimension](channels, filters)
