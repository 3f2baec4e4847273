r"""Input-convex networks as regularizers, convex for all parameters."""

import math
from typing import Any

import torch
from torch import nn

from odl_learned.networks.boundaries import ROUNDING, Circular, Reflecting, Zero
from odl_learned.networks.layers import require_generator, require_sizes
from odl_learned.networks.lipschitz import CORRELATE
from odl_learned.regularizers.certificates import convexity_bound
from odl_learned.regularizers.certificates.verdicts import Bound
from odl_learned.regularizers.noise_levels import ScaledRegularizer
from odl_learned.regularizers.ridges.filters import cosine_kernels
from odl_learned.validation import require_positive, shown


class InputConvex(nn.Module):
    r"""An input-convex network: convex in the image for all parameters, smooth, with constants.

    .. math:: z_1 = \phi(W_1 x + b_1), \qquad z_{k+1} = \phi(V_k z_k + W_{k+1} x + b_{k+1}), \qquad
              R(x) = \lambda \sum_{c,i} (z_K)_{c,i} + \tfrac{\xi}{2} |x|^2,

    with convolutions, ``V_k >= 0`` and phi, a softplus of slope in (0, 1), convex and increasing:
    then every ``z_k`` is convex, one layer after the other. The weights ``V_k`` are softplus
    functions of the parameters, so that no step of learning leaves the class and nothing is
    clipped; ``lambda`` and ``xi`` are exponentials, and xi makes R strongly convex. Filters ``W_k``
    have no mean, so that constants cost nothing but xi; the first ones are pairs of cosines of both
    signs at the start, with which R begins as a convex ridge. At a noise level it is ``R_sigma(x) =
    sigma^2 R(x / sigma)``.

    The Hessian is ``sum_k J_k^T diag(c_k phi''(a_k)) J_k + xi`` with the Jacobians ``J_k`` of the
    arguments ``a_k`` and sensitivities ``c_k >= 0``, so that with ``phi'' <= beta / 4``

    .. math:: |R''| \le \lambda \frac{\beta}{4} \sum_k |c_k|_\infty |J_k|^2 + \xi, \qquad
              |J_{k+1}| \le |V_k| |J_k| + |W_{k+1}|, \qquad
              |c_k|_\infty \le |c_{k+1}|_\infty \max_c \sum_{o,t} V_k(o, c, t).

    Parameters
    ----------
    width, depth, size : int
        Channels, number K of layers, and entries of the kernels along each axis, odd.
    boundary : networks.Reflecting, networks.Circular or networks.Zero
        How images and channels go on.
    dimension : int
        Number of axes of an image: 1, 2 or 3.
    sharpness : float, optional
        beta, positive: ``phi(t) = log(1 + exp(beta t)) / beta``; large ones are nearly ``max(t,
        0)``.
    strength, convexity : float, optional
        ``lambda`` and ``xi`` at first, positive.
    generator : torch.Generator, optional
        Source of the random weights; the default is torch's own.

    Maps real images ``(*batch, *shape)`` to values ``(*batch,)``.

    Raises
    ------
    ValueError
        For sizes that are even or below 1, or numbers that are not positive.
    TypeError
        If the boundary is none of these.

    Source: Amos, Xu, Kolter, Input convex neural networks (2017); as a regularizer with a quadratic
    term: Mukherjee et al., Learned convex regularizers for inverse problems (2020), there with
    weights that are clipped.
    """

    #: Values are those of real images.
    takes_complex = False

    def __init__(
        self,
        width: int,
        depth: int,
        size: int,
        boundary: Reflecting | Circular | Zero,
        *,
        dimension: int,
        sharpness: float = 10.0,
        strength: float = 1.0,
        convexity: float = 1e-3,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        require_sizes({"width": width, "depth": depth, "size": size}, dimension)
        if size % 2 == 0:
            raise ValueError(f"size is {size}, expected an odd number, so that kernels have a "
                             "center.")
        if not isinstance(boundary, Reflecting | Circular | Zero):
            raise TypeError(f"boundary is {shown(boundary)}, expected networks.Reflecting(), "
                            "networks.Circular() or networks.Zero(), which keep sizes.")
        for name, value in (("sharpness", sharpness), ("strength", strength),
                            ("convexity", convexity)):  # fmt: skip
            require_positive(name, value)
        require_generator(generator)
        self.size, self.boundary, self.dimension = size, boundary, dimension
        self.sharpness = float(sharpness)
        taps = size**dimension
        inner, outer = (width, width, *[size] * dimension), (width, 1, *[size] * dimension)

        def normal(shape, fan):
            return nn.Parameter(torch.randn(shape, generator=generator) / math.sqrt(fan))

        pairs = cosine_kernels(-(-width // 2), 1, size, dimension) if size > 1 else torch.ones(
            -(-width // 2), *outer[1:])  # fmt: skip
        first = nn.Parameter(torch.cat([pairs, -pairs])[:width].contiguous())
        self.image_kernels = nn.ParameterList(
            [first, *(normal(outer, taps) for _ in range(depth - 1))])
        # softplus(v) is about 1 / fan at first, so that channels keep their size.
        level = math.log(math.expm1(1 / (width * taps)))
        self.raw_kernels = nn.ParameterList(
            nn.Parameter(level + 0.1 * torch.randn(inner, generator=generator))
            for _ in range(depth - 1))
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(width)) for _ in range(depth))
        self.log_strength = nn.Parameter(torch.tensor(math.log(strength)))
        self.log_convexity = nn.Parameter(torch.tensor(math.log(convexity)))

    def nonnegative_kernels(self) -> list[torch.Tensor]:
        """Return the ``V_k``, positive."""
        return [nn.functional.softplus(raw) for raw in self.raw_kernels]

    def filters(self) -> list[torch.Tensor]:
        """Return the ``W_k``, without mean."""
        axes = tuple(range(2, 2 + self.dimension))
        return [kernel - kernel.mean(axes, keepdim=True) if self.size > 1 else kernel
                for kernel in self.image_kernels]  # fmt: skip

    def at(self, noise_level: float | torch.Tensor = 1.0) -> ScaledRegularizer:
        """Return the regularizer at a noise level, positive, in the unit of the images."""
        return ScaledRegularizer(self, noise_level)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (*batch, *shape) -> (*batch,)
        axes = self.dimension
        if not isinstance(x, torch.Tensor) or x.ndim < axes or x.is_complex():
            given = tuple(x.shape) if isinstance(x, torch.Tensor) else type(x).__name__
            raise ValueError(f"x is {given}, expected a real tensor (*batch, *shape) with images "
                             f"of {axes} axes.")
        batch, shape = x.shape[: x.ndim - axes], x.shape[x.ndim - axes :]
        image = x.reshape(-1, 1, *shape)
        sizes, correlate = (self.size,) * axes, CORRELATE[axes]
        padded = self.boundary(image, sizes)
        z: Any = None
        for k, kernel in enumerate(self.filters()):
            a = correlate(padded, kernel, self.biases[k])
            if z is not None:
                V = nn.functional.softplus(self.raw_kernels[k - 1])
                a = a + correlate(self.boundary(z, sizes), V)
            # exp(-40) is less than rounding, and exp(80) exists in single precision, too
            z = nn.functional.softplus(a, self.sharpness, threshold=40.0)
        value = self.log_strength.exp() * z.flatten(1).sum(1)
        value = value + 0.5 * self.log_convexity.exp() * image.square().flatten(1).sum(1)
        return value.reshape(batch)

    def constants(self) -> tuple[float, float]:
        """Return ``(L, 0)``: a Lipschitz constant of the gradient, and no weak convexity."""
        with torch.no_grad():
            kernels = [kernel.double() for kernel in self.nonnegative_kernels()]
            images = [self._norm(kernel.double()) for kernel in self.filters()]
            steep = [images[0]]
            for V, image in zip(kernels, images[1:]):
                steep.append(self._norm(V) * steep[-1] + image)
            sensitive = [1.0]
            for V in reversed(kernels):
                sums = self.boundary.largest_sums(V).sum(0)  # over what one entry reaches
                sensitive.append(sensitive[-1] * float(sums.amax()))
            curved = sum(c * j**2 for c, j in zip(reversed(sensitive), steep))
            strength, xi = float(self.log_strength.exp()), float(self.log_convexity.exp())
        return (strength * self.sharpness / 4 * curved + xi) * (1 + 1e-5), 0.0

    def _norm(self, kernel):
        return math.sqrt(float(self.boundary.largest_square(kernel))) * (1 + ROUNDING)


@convexity_bound.register
def _(net: InputConvex):
    if any(bool((V < 0).any()) for V in net.nonnegative_kernels()):
        return Bound(-math.inf, "a negative weight behind an activation")
    return Bound(float(net.log_convexity.detach().exp()), "nonnegative weights, softplus, and xi")
