r"""Gaussian posteriors: what data leave of a prior with a sparse precision.

In the coordinates ``w = L^T u`` of `lanczos` data are ``H w`` and noise of deviation one, with
``H^T H = B``. Of k functionals of the data, ``V_k^T H^T (H w + noise)``, the posterior is known in
closed form: their covariance with ``w`` is ``B V_k = V_{k+1} T``, and among themselves
``V_k^T (B^2 + B) V_k = T^T T + T_k`` with the square part ``T_k`` of T. So

    Cov_k = I - V_{k+1} C V_{k+1}^T,    C = T (T^T T + T_k)^-1 T^T .

Functionals of the data say at most what the data say, and more say more,

    Cov_k >= Cov_{k+1} >= (I + B)^-1,

with equality when the vectors span the range of B: a covariance that is never too small. With the
eigenvalues c of C, between 0 and 1, the symmetric root of ``Cov_k`` is
``I - Y (1 - (1 - c)^{1/2}) Y^T``.
"""

from collections.abc import Sequence

import torch

from odl_learned.regularizers.generative.precision.lanczos import InWhiteCoordinates, krylov
from odl_learned.regularizers.generative.precision.marginals import (
    marginal_variances,
    unit_image,
)
from odl_learned.regularizers.generative.precision.precision import Precision
from odl_learned.regularizers.generative.precision.preconditioners import require_images
from odl_learned.regularizers.generative.precision.samples import TensorMap
from odl_learned.validation import require_count, require_method, shown


class GaussianPosterior:
    r"""The Gaussian of images given data, of a Gaussian prior with a sparse precision.

    .. math:: u \,|\, y \sim N\big( m, \Sigma_k \big), \qquad
              \Sigma_k \ge \Sigma_{k+1} \ge \big( P + A^T A / s^2 \big)^{-1},

    a correction of rank k, by Lanczos' method, of the covariance ``P^-1`` of the prior. It is never
    too small, and exact up to rounding when k is a little larger than the rank of A: so standard
    deviations are upper bounds. Each sample of a batch has a posterior of its own.

    Parameters
    ----------
    precision : Precision
        P, of N samples.
    normal : callable
        ``u -> A^T A u / s^2`` on tensors ``(count, *image)`` of the dtype of the precision, the
        same for all samples, such as `Measurements.normal`.
    mean : torch.Tensor, shape (N, *image)
        m, such as that of `posterior_mean`; not computed here.
    rank : int
        k; ``2 k`` numbers per pixel are kept, and k products with A and two triangular solves.
    generator : torch.Generator, optional
        For the start of Lanczos' method; a fixed one by default.

    Attributes
    ----------
    mean : torch.Tensor, shape (N, *image)
    reduction : torch.Tensor, shape (N, k)
        The eigenvalues c, from the smallest on: by which part data reduce the variance of a
        direction in white coordinates. If the smallest one is not small, a larger rank says more.

    Raises
    ------
    TypeError, ValueError
        If an argument is not what it should be.

    Source: Schneider, Willsky, Krylov subspace estimation (2001), with the functionals of the data
    that belong to a Krylov space in the coordinates of the prior.

    Examples
    --------
    >>> import torch
    >>> from odl_learned.regularizers.generative import precision
    >>> white = precision.Precision(torch.zeros(1, 2, 2), torch.zeros(1, 4, 2, 2), radius=1)
    >>> mask, mean = torch.tensor([1.0, 0.0]), torch.zeros(1, 2, 2)
    >>> posterior = precision.GaussianPosterior(white, lambda u: mask * u, mean, rank=3)
    >>> print(posterior.variances())  # half of one where it is measured
    tensor([[[0.5000, 1.0000],
             [0.5000, 1.0000]]])
    """

    def __init__(self, precision: Precision, normal: TensorMap, mean: torch.Tensor, rank: int,
                 generator: torch.Generator | None = None) -> None:  # fmt: skip
        require_images("mean", mean, precision)
        if len(mean) != len(precision):
            raise ValueError(f"mean has {len(mean)} images, expected {len(precision)}, one for "
                             "each precision.")
        if mean.dtype != precision.scale.dtype or not bool(mean.isfinite().all()):
            raise TypeError(f"mean has {mean.dtype}, or NaN, or infinite values; expected finite "
                            f"numbers of {precision.scale.dtype}, as the precision; complex images "
                            "are two channels.")
        require_method("normal", normal, "measurements.normal", 1)
        require_count("rank", rank, 1, precision.size)
        if generator is not None and not isinstance(generator, torch.Generator):
            raise TypeError(f"generator is {shown(generator)}, expected a torch.Generator.")
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        self.precision, self.mean = precision.detach(), mean.detach()
        with torch.no_grad():
            operator = InWhiteCoordinates(precision, normal, precision.scale.dtype)
            self._white = operator.precision

            def inside():  # in the range of B, which data say something of
                noise = torch.randn(1, len(precision), precision.size, dtype=torch.float64,
                                    generator=generator)  # fmt: skip
                return operator(noise)[0]

            space = krylov(operator, inside(), rank, inside)
            self.reduction, self._directions = _reduced(space.basis[0], space.matrix[0])

    def sample(self, generator: torch.Generator, lead: Sequence[int] = ()) -> torch.Tensor:
        """Return independent samples ``(*lead, N, *image)``.

        Parameters
        ----------
        generator : torch.Generator
        lead : sequence of int, optional
            How many, for each of the N.
        """
        if not isinstance(generator, torch.Generator):
            raise TypeError(f"generator is {shown(generator)}, expected a torch.Generator; build "
                            "one with torch.Generator().manual_seed(seed).")
        noise = torch.randn((*lead, *self.mean.shape), generator=generator, dtype=torch.float64)
        root = self._corrected(noise, 1 - (1 - self.reduction).sqrt())
        return self.mean + self._white.unwhiten(root).to(self.mean)

    def times(self, u: torch.Tensor) -> torch.Tensor:
        """Return ``Sigma_k u`` for tensors ``(*lead, N, *image)``."""
        white = self._corrected(self._white.unwhiten_transposed(u.double()), self.reduction)
        return self._white.unwhiten(white).to(u)

    def variances(self) -> torch.Tensor:
        """Return the variances of all pixels, the diagonal of ``Sigma_k``, ``(N, *image)``."""
        directions = self._white.unwhiten(
            self._directions.movedim(1, 0).unflatten(-1, self.precision.image))
        weights = self.reduction.T.reshape(-1, len(self.mean), *[1] * (self.mean.ndim - 1))
        known = (weights * directions.square()).sum(0)
        return (marginal_variances(self._white) - known).clamp_min(0).to(self.mean)

    def correlations(self, pixel: tuple[int, ...]) -> torch.Tensor:
        """Return the correlations of all pixels with one, ``(N, *image)``.

        Parameters
        ----------
        pixel : tuple of int
            As for `correlations`.
        """
        unit = unit_image(self.precision, pixel)
        column, variances = self.times(unit), self.variances()
        own = variances.movedim(0, -1)[pixel].reshape(-1, *[1] * (self.mean.ndim - 1))
        return column / (own * variances).sqrt()

    def _corrected(self, w, factors):
        """``w - Y factors Y^T w``."""
        flat, image = w.flatten(-len(self.precision.image)), self.precision.image
        entries = factors * torch.einsum("nkj,...nj->...nk", self._directions, flat)
        known = torch.einsum("nkj,...nk->...nj", self._directions, entries)
        return (flat - known).unflatten(-1, image)


def _reduced(basis, matrix):
    """Eigenvalues c ``(N, k)``, ascending, and directions Y^T ``(N, k, n)`` of the correction."""
    k = matrix.shape[-1]
    gram = matrix.mT @ matrix + matrix[..., :k, :]
    # Directions of which data say nothing are zero in T: any positive number divides them.
    values, vectors = torch.linalg.eigh(gram)
    safe = torch.where(values > 1e-13 * values[..., -1:], values, torch.inf)
    half = matrix @ (vectors / safe.sqrt()[..., None, :])  # C = half half^T
    left, roots, _ = torch.linalg.svd(half, full_matrices=False)
    c = roots.square().clamp_max(1.0)
    return c.flip(-1), (left.mT @ basis).flip(-2)
