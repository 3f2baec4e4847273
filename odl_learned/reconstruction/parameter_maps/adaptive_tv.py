r"""Total variation with a parameter for every pixel, chosen by a network.

.. math:: \hat x(y) = \text{argmin}_x \; \tfrac12 |x - y|^2 + \sum_i \alpha_i(y) |(D x)_i|_2

For every network this is a convex problem, solved to a certified duality gap. With ``g = D x`` and
``s = (|g|^2 + nu^2)^{1/2}``, derivatives are those of

.. math:: x - y + D^T \frac{\alpha g}{s} = 0, \qquad
          H = I + D^T \frac{\alpha}{s} \Big( 1 - \frac{g g^T}{s^2} \Big) D

at the solution x, which tend to those of the solution for small nu: where g is zero, the factor
``alpha / s`` becomes a penalty that keeps it zero.
"""

import torch

from odl_learned.networks.images import to_channels
from odl_learned.reconstruction.implicit_maps.regularized import ImplicitDerivative
from odl_learned.reconstruction.parameter_maps.adaptive import (
    AdaptiveDenoiser,
    Lengths,
    SmoothedEnergy,
    differences,
)
from odl_learned.reconstruction.parameter_maps.positive_maps import PositiveMaps
from odl_learned.solvers import Solution, rof


class AdaptiveTV(AdaptiveDenoiser):
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

    Examples
    --------
    >>> import torch
    >>> from odl_learned import networks, reconstruction
    >>> seed = torch.Generator().manual_seed(0)
    >>> net = networks.CNN(1, 1, width=2, depth=2, dimension=2, generator=seed)
    >>> maps = reconstruction.PositiveMaps(net, [0.1], dimension=2)
    >>> denoiser = reconstruction.AdaptiveTV(maps, accuracy=1e-2, maxiter=500)
    >>> y = torch.rand(1, 8, 8, generator=seed)
    >>> print(bool(denoiser(y).std() < y.std()))
    True
    """

    def __init__(
        self,
        parameters_of: PositiveMaps,
        *,
        accuracy: float = 1e-4,
        maxiter: int = 2000,
        smoothing: float = 1e-2,
        derivative: ImplicitDerivative = ImplicitDerivative(1e-2, 200),
    ) -> None:
        super().__init__(parameters_of, 1, accuracy, maxiter, smoothing, derivative)

    def solved(self, images: torch.Tensor, maps: torch.Tensor) -> Solution:
        """Return the solutions for images ``(N, *shape)`` and maps ``(N, 1, *shape)``."""
        return rof(images, maps[:, 0], self.accuracy, self.maxiter,
                   cell_sides=(1.0,) * self.dimension)

    def unknowns(self, solution: Solution) -> torch.Tensor:
        """Return the image as real channels, of shape ``(N, c, 1, *shape)``."""
        return to_channels(solution.x, self.dimension).unsqueeze(2)

    def energy(self, y: torch.Tensor, maps: torch.Tensor) -> SmoothedEnergy:
        """Return the smoothed energy for channels ``(N, c, *shape)``."""
        return _Energy(y, maps, self.smoothing)


class _Energy(SmoothedEnergy):
    """``1/2 |x - y|^2 + sum_i alpha_i (|D x|_i^2 + nu^2)^{1/2}``."""

    def gradient(self, z):
        """``x - y + D^T (alpha g / s)``, to be differentiated by everything."""
        x, fall = z.squeeze(2), differences(tuple(self.y.shape[2:]), self.y.dtype)[1]
        return (x - self.y + fall(self._lengths(x).slope)).unsqueeze(2)

    def hessian(self, z):
        """``H`` at z, symmetric."""
        rise, fall, _, _ = differences(tuple(self.y.shape[2:]), self.y.dtype)
        return _Hessian(rise, fall, self._lengths(z.detach().squeeze(2)))

    def _lengths(self, x):
        rise = differences(tuple(self.y.shape[2:]), self.y.dtype)[0]
        return Lengths(rise(x), self.maps.unsqueeze(2), self.smoothing)


class _Hessian:
    is_linear = True

    def __init__(self, rise, fall, lengths):
        self.rise, self.fall, self.lengths = rise, fall, lengths

    def __call__(self, h):
        h = h.squeeze(2)
        return (h + self.fall(self.lengths.curvature(self.rise(h)))).detach().unsqueeze(2)

    @property
    def adjoint(self):
        """Itself."""
        return self

    def take(self, index):
        """The same for some of the samples."""
        return _Hessian(self.rise, self.fall, self.lengths.take(index))
