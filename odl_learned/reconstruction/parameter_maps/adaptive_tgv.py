r"""Total generalized variation with two parameters for every pixel, chosen by a network.

.. math:: \hat x(y) = \text{argmin}_x \min_v \; \tfrac12 |x - y|^2
          + \sum_i \alpha_i(y) \, \big( |(D x - v)_i|_2 + \beta_i(y) \, |(E v)_i|_2 \big)

For every network this is a convex problem, solved to a certified duality gap. Image and field are
unknowns together: with ``g = D x - v``, ``b = E v`` and the slopes ``p = alpha g / s_g`` and ``r =
alpha beta b / s_b`` of smoothed lengths, derivatives are those of

.. math:: x - y + D^T p = 0, \qquad E^T r - p = 0, \qquad
          H = \begin{pmatrix} I + D^T P D & -D^T P \\ -P D & P + E^T R E \end{pmatrix}

at the solution, with ``P = (alpha / s_g) (1 - g g^T / s_g^2)`` and R likewise. H is positive
definite, since P and the identity are, and ``<h, H h> = |h_x|^2 + <D h_x - h_v, P (D h_x - h_v)> +
<E h_v, R E h_v>``.
"""

import torch

from odl_learned.reconstruction.implicit_maps.regularized import ImplicitDerivative
from odl_learned.reconstruction.parameter_maps.adaptive import (
    AdaptiveDenoiser,
    Lengths,
    SmoothedEnergy,
    differences,
)
from odl_learned.reconstruction.parameter_maps.positive_maps import PositiveMaps
from odl_learned.solvers import Solution, tgv_denoising


class AdaptiveTGV(AdaptiveDenoiser):
    r"""Denoising by total generalized variation with two learned parameters for every pixel.

    .. math:: \hat x(y) = \text{argmin}_x \min_v \; \tfrac12 |x - y|^2
              + \sum_i \alpha_i(y) \, \big( |(D x - v)_i|_2 + \beta_i(y) \, |(E v)_i|_2 \big)

    with the differences of `operators.gradient` and `operators.SymmetrizedGradient` for pixels of
    unit size. Affine images with little noise stay affine, where `AdaptiveTV` makes stairs. What
    the network chooses, the solution is that of a convex problem, with a duality gap.

    Training it by a loss is bilevel learning, in `learning.train`.

    Parameters
    ----------
    parameters_of : PositiveMaps
        From images to two maps, ``alpha`` in intensity times pixels and ``beta`` in pixels, with a
        factor below 1000.
    accuracy : float, optional
        Relative duality gap of solutions, see `solvers.tgv_denoising`.
    maxiter : int, optional
    smoothing : float, optional
        ``nu`` of derivatives, in intensity over pixels, and over squared pixels for differences of
        the field; next to it differences count as zero.
    derivative : ImplicitDerivative, optional
        How accurately the equation of derivatives is solved.

    Maps images ``(*batch, *shape)`` to images, real or complex.

    Raises
    ------
    TypeError, ValueError
        If an argument is something else.

    Source: Bredies, Kunisch and Pock, Total generalized variation (2010), with maps as in Kofler et
    al., Learning regularization parameter-maps for variational image reconstruction using deep
    neural networks and algorithm unrolling (2023).

    Examples
    --------
    >>> import torch
    >>> from odl_learned import networks, reconstruction
    >>> seed = torch.Generator().manual_seed(0)
    >>> net = networks.CNN(1, 2, width=2, depth=2, dimension=2, generator=seed)
    >>> maps = reconstruction.PositiveMaps(net, [0.1, 1.0], dimension=2)
    >>> implicit = reconstruction.ImplicitDerivative(accuracy=1e-2, maxiter=20)
    >>> denoiser = reconstruction.AdaptiveTGV(maps, accuracy=0.1, maxiter=100, derivative=implicit)
    >>> y = torch.rand(1, 6, 6, generator=seed)
    >>> print(bool(denoiser(y).std() < y.std()))
    True
    """

    def __init__(
        self,
        parameters_of: PositiveMaps,
        *,
        accuracy: float = 1e-3,
        maxiter: int = 5000,
        smoothing: float = 1e-2,
        derivative: ImplicitDerivative = ImplicitDerivative(1e-2, 200),
    ) -> None:
        super().__init__(parameters_of, 2, accuracy, maxiter, smoothing, derivative)

    def solved(self, images: torch.Tensor, maps: torch.Tensor) -> Solution:
        """Return the solutions for images ``(N, *shape)`` and maps ``(N, 2, *shape)``."""
        return tgv_denoising(images, maps[:, 0], maps[:, 1], self.accuracy, self.maxiter,
                             cell_sides=(1.0,) * self.dimension)

    def unknowns(self, solution: Solution) -> torch.Tensor:
        """Return image and field as real channels, of shape ``(N, c, 1 + d, *shape)``."""
        fields = torch.cat([solution.x.unsqueeze(1), solution.field], 1)
        return torch.stack([fields.real, fields.imag], 1) if fields.is_complex() else (
            fields.unsqueeze(1))

    def energy(self, y: torch.Tensor, maps: torch.Tensor) -> SmoothedEnergy:
        """Return the smoothed energy for channels ``(N, c, *shape)``."""
        return _Energy(y, maps, self.smoothing)


class _Energy(SmoothedEnergy):
    """``1/2 |x - y|^2 + sum_i alpha_i (|D x - v|_i^2 + nu^2)^{1/2} + ...`` of ``z = (x, v)``."""

    def gradient(self, z):
        """``(x - y + D^T p, E^T r - p)``, to be differentiated by everything."""
        x, slopes = z[:, :, 0], self._lengths(z)
        p, r = (lengths.slope for lengths in slopes)
        _, fall, _, unbend = differences(tuple(self.y.shape[2:]), self.y.dtype)
        return torch.cat([(x - self.y + fall(p)).unsqueeze(2), unbend(r) - p], 2)

    def hessian(self, z):
        """``H`` at z, symmetric."""
        maps = differences(tuple(self.y.shape[2:]), self.y.dtype)
        return _Hessian(maps, *self._lengths(z.detach()))

    def _lengths(self, z):
        rise, _, bend, _ = differences(tuple(self.y.shape[2:]), self.y.dtype)
        x, v = z[:, :, 0], z[:, :, 1:]
        alpha, beta = (entry[:, None, None] for entry in self.maps.unbind(1))
        return (Lengths(rise(x) - v, alpha, self.smoothing),
                Lengths(bend(v), alpha * beta, self.smoothing))


class _Hessian:
    is_linear = True

    def __init__(self, maps, slopes, bends):
        self.maps, self.slopes, self.bends = maps, slopes, bends

    def __call__(self, h):
        rise, fall, bend, unbend = self.maps
        x, v = h[:, :, 0], h[:, :, 1:]
        p, r = self.slopes.curvature(rise(x) - v), self.bends.curvature(bend(v))
        return torch.cat([(x + fall(p)).unsqueeze(2), unbend(r) - p], 2).detach()

    @property
    def adjoint(self):
        """Itself."""
        return self

    def take(self, index):
        """The same for some of the samples."""
        return _Hessian(self.maps, self.slopes.take(index), self.bends.take(index))
