"""Convex ridge regularizers with learned filters and potentials, and as ODL functionals."""

import functools
import math
import operator

import odl
import torch
from odl.core.space.base_tensors import TensorSpace

from odl_learned.energies.doors import require_length
from odl_learned.energies.filters.experts import ExpertsEnergy
from odl_learned.energies.potentials.potential import Charbonnier
from odl_learned.functionals import FieldsOfExperts
from odl_learned.validation import require_image_shape, require_shape


class RidgeEnergy(ExpertsEnergy):
    r"""Denoising with learned filters and learned convex potentials.

    .. math:: E(x, \theta, y) = \tfrac12 |x - y|^2 + \sum_k \sum_j \sum_i w_{kj}
              \big( \sqrt{(f_k * x)_i^2 + \nu_j^2} - \nu_j \big) + \tfrac{\xi}{2} |x|^2,
              \qquad f_k = \frac{g_k - \bar g_k}{|g_k - \bar g_k|} .

    One scale ``nu_j`` is a field of experts; several make a convex ridge regularizer, whose
    potential of every filter is a positive combination. The parameters are ``g_k``, of which mean
    and norm do not count, and the logarithms of ``w``. The boundary is reflecting.

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

    Examples
    --------
    >>> import torch
    >>> from odl_learned.energies import filters
    >>> energy = filters.RidgeEnergy((4, 4), filter_shape=(1, 1, 2), scales=(0.001,), xi=0.1)
    >>> one = torch.ones(1, 1, dtype=torch.float64)
    >>> params = energy.params(torch.tensor([[[-1.0, 1.0]]], dtype=torch.float64), one)
    >>> step = torch.zeros(1, 4, 4, dtype=torch.float64)
    >>> step[..., 2:] = 1
    >>> print(energy.value(step, params, step))  # four jumps, and xi/2 |x|^2 = 0.4
    tensor([3.2244], dtype=torch.float64)
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        filter_shape: tuple[int, ...],
        scales: tuple[float, ...] | list[float],
        xi: float,
    ) -> None:
        self.filter_shape = require_image_shape(filter_shape, 3)
        super().__init__(shape, Charbonnier(), scales, self.split, xi)

    def params(self, filters: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Return parameters ``(K s_1 s_2 + K J,)``: filters, and logarithms of the weights.

        Parameters
        ----------
        filters : tensor ``(K, s_1, s_2)``
            None constant.
        weights : tensor ``(K, J)``
            Positive.
        """
        require_shape("filters", filters, self.filter_shape, "See filter_shape.")
        require_shape("weights", weights, (self.filter_shape[0], len(self.scales)),
                      "Pass one weight for every filter and scale.")  # fmt: skip
        if not bool((weights > 0).all()):
            raise ValueError(f"weights has the smallest entry {float(weights.min())}; expected "
                             "positive ones, since their logarithms are learned.")
        if not bool((filters.amax((1, 2)) > filters.amin((1, 2))).all()):
            raise ValueError("filters has a constant filter; expected others, since filters are "
                             "made free of mean, such as dct_filters(size).")
        return torch.cat([filters.flatten(), weights.log().flatten()])

    def functional(
        self, params: torch.Tensor, space: TensorSpace
    ) -> odl.functionals.Functional:
        r"""Return the learned regularizer as an ordinary ODL functional.

        .. math:: R(u) = \sum_k \sum_j w_{kj} \int \sqrt{(f_k * u)^2 + \nu_j^2},

        a sum of `functionals.FieldsOfExperts`, one for each scale, with gradient and
        ``grad_lipschitz``; minimizers of ``1/2 |u - y|^2 + R(u) + xi/2 |u|^2`` are those of the
        energy.

        Parameters
        ----------
        params : tensor ``(P,)``
        space : ``uniform_discr`` or ``rn`` space
            Images of any size.

        Returns
        -------
        functional : odl.functionals.Functional
        """
        filters, weights = (part.detach().cpu().numpy() for part in self.split(params))
        parts = [FieldsOfExperts(space, filters, w, nu)
                 for w, nu in zip(weights.T, self.scales, strict=True)]  # fmt: skip
        return functools.reduce(operator.add, parts)

    def split(self, params: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return filters ``(K, s_1, s_2)`` of mean zero and norm one, and weights ``(K, J)``."""
        count = math.prod(self.filter_shape)
        length = count + self.filter_shape[0] * len(self.scales)
        require_length(params, length, "filters, then logarithms of weights")
        weights = params[count:].reshape(self.filter_shape[0], len(self.scales)).exp()
        filters = params[:count].reshape(self.filter_shape)
        filters = filters - filters.mean((1, 2), keepdim=True)
        return filters / filters.square().sum((1, 2), keepdim=True).sqrt(), weights
