r"""Input-convex networks as regularizers, convex for all parameters."""

import copy
import dataclasses
import math

import odl
import torch
from torch import nn

from odl_learned.bridge import as_functional
from odl_learned.networks.boundaries import ROUNDING, Circular, Reflecting, Zero
from odl_learned.networks.layers import require_generator, require_sizes
from odl_learned.networks.lipschitz import CORRELATE
from odl_learned.regularizers.certificates import convexity_bound
from odl_learned.regularizers.certificates.verdicts import Bound
from odl_learned.regularizers.gradient_step import weight_of
from odl_learned.validation import require_positive, shown


class InputConvex(nn.Module):
    r"""An input-convex network: convex in the image for all parameters, smooth, with constants.

    .. math:: z_1 = \phi(W_1 x + b_1), \qquad z_{k+1} = \phi(V_k z_k + W_{k+1} x + b_{k+1}), \qquad
              R(x) = \lambda \sum_{c,i} (z_K)_{c,i} + \tfrac{\xi}{2} |x|^2,

    with convolutions, ``V_k >= 0`` and phi, a softplus of slope in (0, 1), convex and increasing:
    then every ``z_k`` is convex, one layer after the other. The weights ``V_k`` are softplus
    functions of the parameters, so that no step of learning leaves the class and nothing is
    clipped; ``lambda`` and ``xi`` are exponentials, and xi makes R strongly convex.

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
    ):
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

        self.image_kernels = nn.ParameterList(normal(outer, taps) for _ in range(depth))
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

    def at(self, noise_level: float = 1.0) -> "InputConvexAt":
        """Return the regularizer; it does not depend on the noise level."""
        return InputConvexAt(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (*batch, *shape) -> (*batch,)
        axes = self.dimension
        if not isinstance(x, torch.Tensor) or x.ndim < axes or x.is_complex():
            given = tuple(x.shape) if isinstance(x, torch.Tensor) else type(x).__name__
            raise ValueError(f"x is {given}, expected a real tensor (*batch, *shape) with images "
                             f"of {axes} axes.")
        batch, shape = x.shape[: x.ndim - axes], x.shape[x.ndim - axes :]
        image = x.reshape(-1, 1, *shape)
        sizes, correlate = (self.size,) * axes, CORRELATE[axes]
        padded, z = self.boundary(image, sizes), None
        for k, kernel in enumerate(self.image_kernels):
            a = correlate(padded, kernel, self.biases[k])
            if z is not None:
                V = nn.functional.softplus(self.raw_kernels[k - 1])
                a = a + correlate(self.boundary(z, sizes), V)
            z = nn.functional.softplus(a, self.sharpness, threshold=1e3)
        value = self.log_strength.exp() * z.flatten(1).sum(1)
        value = value + 0.5 * self.log_convexity.exp() * image.square().flatten(1).sum(1)
        return value.reshape(batch)

    def constants(self) -> tuple[float, float]:
        """Return ``(L, 0)``: a Lipschitz constant of the gradient, and no weak convexity."""
        with torch.no_grad():
            kernels = [kernel.double() for kernel in self.nonnegative_kernels()]
            images = [self._norm(kernel.double()) for kernel in self.image_kernels]
            steep = [images[0]]
            for V, image in zip(kernels, images[1:]):
                steep.append(self._norm(V) * steep[-1] + image)
            sensitive = [1.0]
            for V in reversed(kernels):
                sensitive.append(sensitive[-1] * self._gain(V))
            curved = sum(c * j**2 for c, j in zip(reversed(sensitive), steep))
            strength, xi = float(self.log_strength.exp()), float(self.log_convexity.exp())
        return (strength * self.sharpness / 4 * curved + xi) * (1 + 1e-5), 0.0

    def _norm(self, kernel):
        return math.sqrt(float(self.boundary.largest_square(kernel))) * (1 + ROUNDING)

    def _gain(self, V):
        """How much sensitivities grow; mirrored entries stand at up to two places along an axis."""
        copies = 2.0**self.dimension if isinstance(self.boundary, Reflecting) else 1.0
        return copies * float(V.sum(tuple(range(2, V.ndim))).sum(0).amax())


@dataclasses.dataclass(frozen=True)
class InputConvexAt:
    """An `InputConvex` with value and gradient, as solvers of `reconstruction` take them."""

    net: InputConvex

    def value(self, x: torch.Tensor) -> torch.Tensor:
        """Return R of images ``(*batch, *shape)``."""
        return self.net(x)

    def gradient(self, x: torch.Tensor) -> torch.Tensor:
        """Return the Euclidean gradient, differentiable in images and parameters."""
        return torch.func.grad(lambda z: self.net(z).sum())(x)


@convexity_bound.register
def _(net: InputConvex):
    if any(bool((V < 0).any()) for V in net.nonnegative_kernels()):
        return Bound(-math.inf, "a negative weight behind an activation")
    return Bound(float(net.log_convexity.detach().exp()), "nonnegative weights, softplus, and xi")


class _Weighted(nn.Module):
    """``x -> w R(x)``, with the gradient in the space of weight w."""

    def __init__(self, net, weight):
        super().__init__()
        self.net, self.weight = net, weight

    def forward(self, x):
        return self.weight * self.net(x)


def input_convex_functional(net: InputConvex, space: odl.LinearSpace) -> odl.functionals.Functional:
    r"""Return an input-convex network as an ODL functional on a space of images.

    .. math:: R(x) = w \Big( \lambda \sum_{c,i} (z_K)_{c,i} + \tfrac{\xi}{2} \sum_i x_i^2 \Big)

    with the weight w of the space, such as its cell volume.

    Parameters
    ----------
    net : InputConvex
        Copied, in the precision of the space.
    space : ``uniform_discr`` or ``rn`` space
        Real images of as many axes as the network has, with one weight for all entries.

    Returns
    -------
    functional : odl.functionals.Functional
        With gradient, Hessian, and ``grad_lipschitz``, a bound in the inner product of the space.

    Raises
    ------
    TypeError
        If the network is none, or the space is complex.
    ValueError
        If the space has other axes, or several weights.
    """
    if not isinstance(net, InputConvex):
        raise TypeError(f"net is {shown(net)}, expected a regularizers.InputConvex.")
    weight = weight_of(space, net.dimension)
    if space.field != odl.RealNumbers():
        raise TypeError(f"space is {space!r}, expected real images.")
    net = copy.deepcopy(net).to(getattr(torch, str(space.dtype_identifier))).requires_grad_(False)
    functional = as_functional(_Weighted(net, weight), space)
    functional.grad_lipschitz = net.constants()[0]
    return functional
