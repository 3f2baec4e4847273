r"""Convex ridge regularizers and fields of experts with learned filters and potentials."""

import math

import torch

from odl_learned.learning.bilevel.energy import AutogradEnergy
from odl_learned.validation import require_positive, require_shape


class RidgeEnergy(AutogradEnergy):
    r"""Denoising with learned filters and learned convex potentials.

    .. math:: E(x, \theta, y) = \tfrac12 |x - y|^2 + \sum_k \sum_j \sum_i w_{kj}
              \big( \sqrt{(f_k * x)_i^2 + \nu_j^2} - \nu_j \big) + \tfrac{\xi}{2} |x|^2 .

    One scale ``nu_j`` is a field of experts; several make a convex ridge regularizer, whose
    potential of every filter is a positive combination. Correlation with periodic boundary; the
    Hessian is at most ``1 + xi + max |sum_k sum_j w_kj / nu_j |f_k^|^2|`` over the frequencies of
    the image, which is attained at ``x = 0``.

    Parameters
    ----------
    shape : tuple of two int
        Of images.
    filter_shape : tuple of three int
        ``(K, s_1, s_2)``.
    scales : tuple of float
        ``nu_j``, positive.
    xi : float
        Strong convexity, nonnegative.

    References
    ----------
    Y. Chen, R. Ranftl, T. Pock, *Insights into analysis operator learning*, IEEE Trans. Image
    Process. 23 (2014); A. Goujon et al., *A neural-network-based convex regularizer for inverse
    problems*, IEEE Trans. Comput. Imaging 9 (2023).
    """

    def __init__(self, shape, filter_shape, scales, xi):
        for nu in scales:
            require_positive("scales", nu)
        self.shape, self.filter_shape = tuple(shape), tuple(filter_shape)
        self.scales, self.xi = tuple(float(nu) for nu in scales), float(xi)
        super().__init__(self._energy, self._largest_curvature, lambda params: 1 + self.xi)

    def params(self, filters, weights):
        """Return parameters ``(K s_1 s_2 + K J,)``: filters, and logarithms of the weights.

        Parameters
        ----------
        filters : tensor ``(K, s_1, s_2)``
        weights : tensor ``(K, J)``
            Positive.
        """
        require_shape("filters", filters, self.filter_shape, "See filter_shape.")
        require_shape("weights", weights, (self.filter_shape[0], len(self.scales)),
                      "Pass one weight for every filter and scale.")  # fmt: skip
        if not bool((weights > 0).all()):
            raise ValueError(f"weights has the smallest entry {float(weights.min())}; expected "
                             "positive ones, since their logarithms are learned.")
        return torch.cat([filters.flatten(), weights.log().flatten()])

    def split(self, params):
        """Return filters ``(K, s_1, s_2)`` and weights ``(K, J)``."""
        count = math.prod(self.filter_shape)
        weights = params[count:].reshape(self.filter_shape[0], len(self.scales))
        return params[:count].reshape(self.filter_shape), weights.exp()

    def _energy(self, x, params, data):
        filters, weights = (part.to(x.dtype) for part in self.split(params))
        _, height, width = self.filter_shape
        padded = torch.nn.functional.pad(x[:, None], (0, width - 1, 0, height - 1), "circular")
        squares = torch.nn.functional.conv2d(padded, filters[:, None]).square()
        value = 0.5 * (x - data).square().flatten(1).sum(1)
        value = value + 0.5 * self.xi * x.square().flatten(1).sum(1)
        for j, nu in enumerate(self.scales):
            lengths = (squares + nu**2).sqrt() - nu
            value = value + (weights[:, j] * lengths.flatten(2).sum(2)).sum(1)
        return value

    def _largest_curvature(self, params):
        filters, weights = self.split(params.detach().double())
        curvatures = (weights / torch.tensor(self.scales, dtype=torch.float64)).sum(1)
        squares = torch.fft.fft2(filters, s=self.shape).abs().square()
        return 1 + self.xi + float((curvatures[:, None, None] * squares).sum(0).max())
