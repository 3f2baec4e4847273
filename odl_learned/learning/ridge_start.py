"""The start of bilevel learning of ridges: one factor of all scales, found by a small search."""

import math
from collections.abc import Sequence

import torch

from odl_learned.learning.losses import require_comparable
from odl_learned.reconstruction import RegularizedLeastSquares
from odl_learned.regularizers import Ridge
from odl_learned.validation import real_numbers, require_finite, shown

#: Logarithms of the factors that are tried.
FACTORS = (-1.5, -0.75, 0.0, 0.75, 1.5)


def search_scale(
    model: RegularizedLeastSquares,
    data: torch.Tensor,
    truth: torch.Tensor,
    factors: Sequence[float] = FACTORS,
) -> float:
    r"""Set the scales of a ridge to the best of a few multiples of one, by the squared error.

    .. math:: s_k \leftarrow s_k + \log 2 + f, \qquad
              f \in \text{argmin} \sum_i |\hat x_i - x_i|^2

    Potentials bend where ``a_k |w_k * x|`` is about one; at the noise level sigma this is at
    ``sigma e^(-s_k)``. With cosines as filters, the result is a good regularizer before training.

    Parameters
    ----------
    model : RegularizedLeastSquares
        With a `Ridge`, whose ``log_scale`` is changed.
    data, truth : tensors ``(B, *Y.shape)`` and ``(B, *X.shape)``
        A few training pairs.
    factors : sequence of float, optional
        Candidates for f.

    Returns
    -------
    factor : float
        The best ``log 2 + f``.

    Raises
    ------
    TypeError
        If the model is none of these.
    ValueError
        If there are no factors.

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import bridge, learning, networks, reconstruction, regularizers
    >>> A = odl.IdentityOperator(odl.uniform_discr([0, 0], [6, 6], (6, 6)))
    >>> filters = regularizers.ComposedFilters((1, 4), 3, networks.Reflecting(), dimension=2)
    >>> ridge = regularizers.Ridge(filters, regularizers.LogCosh()).double()
    >>> model = reconstruction.RegularizedLeastSquares(
    ...     bridge.as_module(A), bridge.as_module(A.adjoint), ridge, noise_level=0.5, norm=1.0,
    ...     dimension=2, accuracy=1e-2, maxiter=100)
    >>> truth = torch.zeros(1, 6, 6, dtype=torch.float64)
    >>> y = 0.1 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0)).double()
    >>> before = (model(y) - truth).norm()
    >>> scale = learning.search_scale(model, y, truth, factors=(-1.0, 0.0, 1.0))
    >>> print(bool((model(y) - truth).norm() < before))
    True
    """
    if not isinstance(model, RegularizedLeastSquares) or not isinstance(model.regularizer, Ridge):
        raise TypeError(f"model is {shown(model)}, expected a RegularizedLeastSquares with a "
                        "regularizers.Ridge.")
    factors = real_numbers("factors", factors).reshape(-1)
    if not len(factors):
        raise ValueError("factors is empty; expected some numbers, such as (-1.0, 0.0, 1.0).")
    with torch.no_grad():
        require_comparable("model(data)", model(data), "truth", truth)
    require_finite("truth", truth.cpu().numpy())
    scales = model.regularizer.log_scale
    errors: dict[float, float] = {}
    first = scales.detach().clone()
    with torch.no_grad():
        for factor in factors:
            scales.copy_(first + math.log(2) + float(factor))
            errors[math.log(2) + float(factor)] = float((model(data) - truth).abs().square().sum())
        best = min(errors, key=errors.__getitem__)
        scales.copy_(first + best)
    return best
