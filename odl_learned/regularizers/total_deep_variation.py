r"""Total deep variation: a deep, smooth, nonconvex regularizer with features at several scales."""

import math

import torch
from torch import nn

from odl_learned.networks.boundaries import Circular, Reflecting, Zero
from odl_learned.networks.layers import require_generator, require_sizes
from odl_learned.regularizers.deep_variation_layers import (
    MacroBlock,
    OnImages,
    OnNorms,
    OnSensitivities,
)
from odl_learned.regularizers.noise_levels import ScaledRegularizer
from odl_learned.regularizers.ridges.filters import cosine_kernels
from odl_learned.validation import require_positive, shown

#: Filters of the first layer at first: responses to noise of the level are a third of this, where
#: phi begins to bend.
RESPONSE = 0.5


class TotalDeepVariation(nn.Module):
    r"""Total deep variation, the sum over all pixels of what a network of several scales finds.

    .. math:: R_\sigma(x) = \sigma^2 \lambda \sum_i \langle w, N(K x / \sigma)_i \rangle,
              \qquad \phi(t) = \frac{1}{2 \nu} \log(1 + \nu t^2), \quad \nu = 9,

    with filters K without mean and macro blocks N, one behind another: each goes down through all
    scales and up again, has blocks ``z + K_2 phi(K_1 z)`` on the way, binomial filters against
    aliasing, no biases, and hands its features of every scale to the next one. It begins as a
    field of experts: cosines as filters, phi as potential.

    R is smooth and nonconvex. Its gradient is Lipschitz with a constant that `constants` computes
    layer by layer, a safe bound that is far from sharp; the same number is its modulus of weak
    convexity, and nothing else is claimed of it.

    Parameters
    ----------
    width, scales, blocks : int
        Channels, scales and macro blocks; 32, 3 and 3 in the source.
    boundary : networks.Reflecting, networks.Circular or networks.Zero
        How images and channels go on.
    dimension : int
        Number of axes of an image: 1, 2 or 3.
    strength : float, optional
        ``lambda`` at first, positive.
    generator : torch.Generator, optional
        Source of the random weights; the default is torch's own.

    Maps images ``(*batch, *shape)``, real or complex, to values ``(*batch,)`` at the noise level
    one; `at` fixes another one. Of complex images it is the sum of those of both parts.

    Raises
    ------
    ValueError
        For sizes below one or numbers that are not positive.
    TypeError
        If the boundary is none of these.

    Source: Kobler, Effland, Kunisch, Pock, Total deep variation for linear inverse problems (2020);
    the noise level is not in the source.

    Examples
    --------
    >>> import torch
    >>> from odl_learned import networks, regularizers
    >>> seed, zero = torch.Generator().manual_seed(0), networks.Zero()
    >>> deep = regularizers.TotalDeepVariation(2, 2, 1, zero, dimension=2, generator=seed)
    >>> convex = regularizers.InputConvex(2, 2, 3, zero, dimension=2, generator=seed)
    >>> both = regularizers.Sum([deep, convex])
    >>> x = torch.rand(3, 8, 8, generator=seed)
    >>> print(torch.allclose(both(x), deep(x) + convex(x)))
    True
    """

    #: Complex images have values, too.
    takes_complex = True

    def __init__(
        self,
        width: int,
        scales: int,
        blocks: int,
        boundary: Reflecting | Circular | Zero,
        *,
        dimension: int,
        strength: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        require_sizes({"width": width, "scales": scales, "blocks": blocks}, dimension)
        if not isinstance(boundary, Reflecting | Circular | Zero):
            raise TypeError(f"boundary is {shown(boundary)}, expected networks.Reflecting(), "
                            "networks.Circular() or networks.Zero(), which keep sizes.")
        require_positive("strength", strength)
        require_generator(generator)
        self.boundary, self.dimension = boundary, dimension
        self.width, self.scales = width, scales
        self.kernel = nn.Parameter(RESPONSE * cosine_kernels(width, 1, 3, dimension))
        self.blocks = nn.ModuleList(
            MacroBlock(width, scales, dimension, k == 0, generator) for k in range(blocks))
        self.weights = nn.Parameter(torch.ones(width))
        self.log_strength = nn.Parameter(torch.tensor(math.log(strength)))

    def at(self, noise_level: float | torch.Tensor = 1.0) -> ScaledRegularizer:
        """Return the regularizer at a noise level, positive, in the unit of the images."""
        return ScaledRegularizer(self, noise_level)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (*batch, *shape) -> (*batch,)
        axes = self.dimension
        if not isinstance(x, torch.Tensor) or x.ndim < axes:
            given = tuple(x.shape) if isinstance(x, torch.Tensor) else type(x).__name__
            raise ValueError(f"x is {given}, expected a tensor (*batch, *shape) with images of "
                             f"{axes} axes.")
        if x.real.dtype != self.kernel.dtype:
            raise TypeError(f"x is of dtype {x.dtype}, expected {self.kernel.dtype} or its complex "
                            "numbers; convert one of them with .to(dtype).")
        if x.is_complex():
            return self(x.real) + self(x.imag)
        batch, shape = x.shape[: x.ndim - axes], x.shape[x.ndim - axes :]
        features = self._features(OnImages(self.boundary), x.reshape(batch.numel(), 1, *shape))
        values = torch.einsum("nc...,c->n", features, self.weights)
        return (self.log_strength.exp() * values).reshape(batch)

    def constants(self) -> tuple[float, float]:
        """Return ``(L, rho)``: a Lipschitz constant of the gradient, also that of weak convexity.

        ``|R''| <= lambda sum_l max |c_l| |J_l|^2`` with the bounds of `deep_variation_layers`, the
        same for images of every size and every noise level.
        """
        on = OnNorms(self.boundary)
        with torch.no_grad():
            self._features(on, 1.0)
        back = OnSensitivities(self.boundary)
        with torch.enable_grad():
            one = torch.ones(1, dtype=torch.float64, device=self.kernel.device)
            features = self._features(back, one.requires_grad_())
            total = self.weights.detach().double().abs() @ features
            sensitive = torch.autograd.grad(total, back.outputs)
        curved = sum(float(c.amax()) * a**2 for c, a in zip(sensitive, on.steep, strict=True))
        bound = float(self.log_strength.detach().exp()) * curved * (1 + 1e-5)
        return bound, bound

    def _features(self, on, x):
        kernel = self.kernel - self.kernel.flatten(2).mean(2).reshape(
            -1, 1, *[1] * self.dimension)  # fmt: skip
        z, levels = on.convolve(kernel, x), None
        for block in self.blocks:
            levels = block(on, z, levels)
            z = levels[0]
        return z
