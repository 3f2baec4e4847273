"""Filters that are not learned, with their weights as parameters."""

import torch

from odl_learned.energies.doors import require_length
from odl_learned.energies.filters.experts import Experts
from odl_learned.validation import require_finite, shown


def fixed_filters(filters: torch.Tensor) -> Experts:
    """Return experts with these filters ``(K, s_1, s_2)``, whose weights are the parameters.

    Parameters are ``(K,)``, for one scale; bound them by zero from below.
    """
    if not isinstance(filters, torch.Tensor) or filters.ndim != 3 or filters.is_complex():
        raise TypeError(f"filters is {shown(filters)}, expected a real tensor (K, s_1, s_2), such "
                        "as dct_filters(5).")
    require_finite("filters", filters)

    def experts(params):
        require_length(params, len(filters), "one weight for every filter")
        return filters.to(params), params[:, None]

    return experts
