"""Bounds of norms of reflecting filters: of rows, of weighted products, of patches."""

import torch

from odl_learned.bridge.rules.filter_bank import reflected
from odl_learned.energies.filters.reflecting_filters import ReflectingFilters
from odl_learned.energies.transforms.perron import perron_bound


def row_norms(filters):
    r"""Return the norms of all rows, ``|(F_k)_i|``, of shape ``(K, *shape)``.

    With ``W_i`` and ``V_j``, the windows of the reflected unit matrices of both axes, row ``(i,
    j)`` of ``F_k`` is the matrix ``W_i f_k V_j^T``, so that its squared norm is ``tr(f_k^T W_i^T
    W_i f_k V_j^T V_j)``: that of ``f_k`` inside, at most four times as much near the boundary,
    where entries are added.

    Parameters
    ----------
    filters : ReflectingFilters
    """
    kernels = filters.filters
    first, second = (_window_products(n, size, kernels)
                     for n, size in zip(filters.shape, kernels.shape[1:], strict=True))  # fmt: skip
    left = torch.einsum("iac,kcd->kiad", first, kernels)
    both = torch.einsum("kiad,kab->kibd", left, kernels)
    return torch.einsum("kibd,jbd->kij", both, second).clamp_min(0).sqrt()


def product_norm(filters, weights):
    r"""Bound ``|sum_k F_k^T D_k F_k|`` for all diagonal ``D`` with ``|D| <= weights``, ``(B,)``.

    With the nonnegative symmetric matrix ``M = sum_k |F_k|^T weights_k |F_k|``, absolute values
    entry by entry, and any ``u > 0``,

    .. math:: \Big| \sum_k F_k^T D_k F_k \Big| \le |M| \le \max_p \frac{(M u)_p}{u_p} .

    Parameters
    ----------
    filters : ReflectingFilters
    weights : tensor ``(B, K, *shape)``, nonnegative

    Source: `perron_bound`.
    """
    absolute = ReflectingFilters(filters.shape, filters.filters.abs())
    return perron_bound(lambda u: absolute.normal(u, weights), weights[:, 0])


def weighted_norm(filters, weights):
    """Bound ``(sum_k w_k |F_k v|^2)^1/2`` for ``|v| = 1`` and every row of weights ``(B, K)``."""
    largest = [filters.largest_square(row) for row in weights]
    return weights.new_tensor(largest).sqrt()


class Patches:
    """The map from images to all their patches, one for every pixel; rows of filters times them.

    Parameters
    ----------
    filters : ReflectingFilters
        Its shapes of image and filters count only.

    Attributes
    ----------
    norm : float
        Of the map.
    """

    def __init__(self, filters):
        size = filters.filters[0].numel()
        units = torch.eye(size, dtype=filters.filters.dtype, device=filters.filters.device)
        self._units = ReflectingFilters(filters.shape, units.view(-1, *filters.filters.shape[1:]))
        # Every row of the map is a unit vector: P^T P is diagonal and counts.
        counts = self._units.adjoint(torch.ones_like(units[:1, :, None, None]).expand(
            1, size, *filters.shape))  # fmt: skip
        self.norm = float(counts.max()) ** 0.5

    def forward(self, x):
        """Return patches ``(B, s_1 s_2, *shape)``."""
        return self._units.forward(x)

    def norms(self, roots, x, weights):
        r"""Return ``|R_k X^T diag(w_k)|`` with the patches ``X`` of ``x`` as rows, ``(B, K)``.

        Parameters
        ----------
        roots : tensor ``(K, m, s_1 s_2)``
        x : tensor ``(B, *shape)``
        weights : tensor ``(B, K, *shape)``
        """
        patches = self.forward(x).flatten(2)
        norms = []
        for root, weight in zip(roots, weights.flatten(2).unbind(1), strict=True):
            rows = patches * weight[:, None]
            gram = root @ (rows @ rows.mT) @ root.mT
            norms.append(torch.linalg.eigvalsh(gram)[:, -1].clamp_min(0).sqrt())
        return torch.stack(norms, 1)


def _window_products(n, size, like):
    """``W_i^T W_i``, ``(n, size, size)``, for the windows of the reflected unit matrix."""
    unit = torch.eye(n, dtype=like.dtype, device=like.device)
    windows = reflected(unit, 1, size // 2, size - 1 - size // 2).unfold(1, size, 1)
    return torch.einsum("pia,pic->iac", windows, windows)
