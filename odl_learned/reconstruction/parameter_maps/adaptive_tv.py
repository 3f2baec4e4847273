r"""Total variation with a parameter for every pixel, chosen by a network.

.. math:: \hat x(y) = \text{argmin}_x \; \tfrac12 |x - y|^2 + \sum_i \alpha_i(y) |(D x)_i|_2

For every network this is a convex problem, solved to a certified duality gap. With ``g = D x`` and
``s = (|g|^2 + nu^2)^{1/2}``, derivatives are those of

.. math:: x - y + D^T \frac{\alpha g}{s} = 0, \qquad
          H = I + D^T \frac{\alpha}{s} \Big( 1 - \frac{g g^T}{s^2} \Big) D

at the solution x, which tend to those of the solution for small nu: where g is zero, the factor
``alpha / s`` becomes a penalty that keeps it zero.
"""

import functools

import odl
import torch
from torch import nn

from odl_learned.bridge import as_module
from odl_learned.networks.images import to_channels
from odl_learned.operators import gradient
from odl_learned.reconstruction.implicit_maps.minimizers import Inverse, Minimizer
from odl_learned.reconstruction.implicit_maps.regularized import ImplicitDerivative
from odl_learned.reconstruction.parameter_maps.positive_maps import PositiveMaps
from odl_learned.reconstruction.tensor_maps import require_tensor
from odl_learned.solvers import Solution, rof
from odl_learned.solvers.variation.denoising_weights import SMALLEST
from odl_learned.validation import require_count, require_positive, shown


class AdaptiveTV(nn.Module):
    r"""Denoising by total variation with a learned parameter for every pixel.

    .. math:: \hat x(y) = \text{argmin}_x \; \tfrac12 |x - y|^2 + \sum_i \alpha_i(y) |(D x)_i|_2

    with forward differences D of pixels of unit size. The network only chooses how strongly to
    smooth where: what it returns is always the solution of a convex problem, with a duality gap,
    and its mean is that of the data. Behind a known inverse, ``Postprocessing(inverse,
    AdaptiveTV(...))``, it serves other operators.

    Training it by a loss is bilevel learning, in `learning.train`.

    Parameters
    ----------
    parameters_of : PositiveMaps
        From images to parameters, one map, with a factor below 1000.
    accuracy : float, optional
        Relative duality gap of solutions, see `solvers.rof`.
    maxiter : int, optional
    smoothing : float, optional
        ``nu`` of derivatives, in intensity over pixels; next to it differences count as zero.
    derivative : ImplicitDerivative, optional
        How accurately the equation of derivatives is solved.

    Maps images ``(*batch, *shape)`` to images, real or complex.

    Raises
    ------
    TypeError, ValueError
        If an argument is something else.

    Source: Kofler et al., Learning regularization parameter-maps for variational image
    reconstruction using deep neural networks and algorithm unrolling (2023), with the derivative of
    the solution in the place of that of an iteration.
    """

    def __init__(
        self,
        parameters_of: PositiveMaps,
        *,
        accuracy: float = 1e-4,
        maxiter: int = 2000,
        smoothing: float = 1e-2,
        derivative: ImplicitDerivative = ImplicitDerivative(1e-2, 200),
    ):
        super().__init__()
        if not isinstance(parameters_of, PositiveMaps):
            raise TypeError(f"parameters_of is {shown(parameters_of)}, expected PositiveMaps(net, "
                            "[0.1], dimension=2).")
        if len(parameters_of.start) != 1:
            raise ValueError(f"parameters_of has {len(parameters_of.start)} maps, expected one; "
                             "pass one number as start.")
        if parameters_of.factor**2 * SMALLEST >= 1:
            raise ValueError(f"parameters_of has the factor {parameters_of.factor:g}, expected one "
                             f"below {SMALLEST**-0.5:g}: the solver takes factors of less than "
                             f"{1 / SMALLEST:.0e} in one image (solvers.rof); pass less.")
        for name, value in (("accuracy", accuracy), ("smoothing", smoothing)):
            require_positive(name, value)
        require_count("maxiter", maxiter)
        if not isinstance(derivative, ImplicitDerivative):
            raise TypeError(f"derivative is {shown(derivative)}, expected ImplicitDerivative().")
        require_positive("accuracy of derivative", derivative.accuracy)
        require_count("maxiter of derivative", derivative.maxiter)
        self.parameters_of, self.dimension = parameters_of, parameters_of.dimension
        self.accuracy, self.maxiter = float(accuracy), maxiter
        self.smoothing, self.derivative = float(smoothing), derivative

    def solve(self, data: torch.Tensor) -> Solution:
        """Return the solutions for images ``(N, *shape)``, each with its duality gap."""
        with torch.no_grad():
            return self._solved(data, self.parameters_of(data)[:, 0])

    def _solved(self, images, alpha):
        return rof(images, alpha, self.accuracy, self.maxiter, cell_sides=(1.0,) * self.dimension)

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        # (*batch, *shape) -> (*batch, *shape)
        require_tensor("data", data)
        batch = data.shape[: data.ndim - self.dimension]
        if not batch.numel():
            return data
        flat = data.reshape(batch.numel(), *data.shape[len(batch) :])
        # Real channels: images, and the map behind them.
        packed = torch.cat([to_channels(flat, self.dimension), self.parameters_of(flat)], 1)
        problem = _Denoising(self)
        x = Minimizer.apply(packed, problem)
        if torch.is_grad_enabled():
            x = x - Inverse.apply(problem.energy(packed).gradient(x), x, packed, problem)
        x = torch.complex(x[:, 0], x[:, 1]) if data.is_complex() else x[:, 0]
        return x.reshape(data.shape)


class _Denoising:
    """The problem for packed channels, as `minimizers` want it."""

    def __init__(self, model):
        self.model, self.derivative = model, model.derivative

    def solve(self, packed):
        """The solution, with channels."""
        images, alpha = packed[:, :-1].detach(), packed[:, -1].detach()
        is_complex = images.shape[1] == 2
        flat = torch.complex(images[:, 0], images[:, 1]) if is_complex else images[:, 0]
        found = self.model._solved(flat, alpha)
        return found._replace(x=to_channels(found.x, self.model.dimension))

    def energy(self, packed):
        """The smoothed energy."""
        return _Energy(packed[:, :-1], packed[:, -1:], self.model.smoothing)


class _Energy:
    """``1/2 |x - y|^2 + sum_i alpha_i (|D x|_i^2 + nu^2)^{1/2}`` of channels ``(N, c, *shape)``."""

    def __init__(self, y, alpha, smoothing):
        self.y, self.alpha, self.smoothing = y, alpha.unsqueeze(2), smoothing
        self.rise, self.fall = differences(tuple(y.shape[2:]), y.dtype)

    def gradient(self, x):
        """``x - y + D^T (alpha g / s)``, to be differentiated by everything."""
        g = self.rise(x)
        return x - self.y + self.fall(self.alpha * g / self._lengths(g))

    def hessian(self, x):
        """``H`` at x, symmetric."""
        g = self.rise(x.detach())
        return _Hessian(self, g, self._lengths(g))

    def take(self, index):
        """The same for some of the samples."""
        return _Energy(self.y[index], self.alpha[index].squeeze(2), self.smoothing)

    def _lengths(self, g):
        return (g.square().sum((1, 2), keepdim=True) + self.smoothing**2).sqrt()


class _Hessian:
    is_linear = True

    def __init__(self, energy, g, s):
        self.energy, self.g, self.s = energy, g, s
        self.weight = energy.alpha.detach() / s

    def __call__(self, h):
        q = self.energy.rise(h)
        along = (self.g * q).sum((1, 2), keepdim=True) / self.s**2
        return h + self.energy.fall(self.weight * (q - along * self.g))

    @property
    def adjoint(self):
        """Itself."""
        return self

    def take(self, index):
        """The same for some of the samples."""
        return _Hessian(self.energy.take(index), self.g[index], self.s[index])


@functools.lru_cache(maxsize=32)
def differences(shape, dtype):
    """``D`` and its transpose on images of unit pixels, as modules on tensors."""
    space = odl.uniform_discr([0] * len(shape), shape, shape, dtype=str(dtype).split(".")[1])
    op = gradient(space)
    return as_module(op), as_module(op.adjoint)
