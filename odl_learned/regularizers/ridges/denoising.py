"""Denoising with a ridge as a parametric energy, for the certified methods of bilevel learning."""

import torch

from odl_learned.energies import AutogradEnergy
from odl_learned.regularizers.ridges.ridge import Ridge
from odl_learned.validation import require_positive, shown


def denoising_energy(ridge: Ridge, noise_level: float) -> tuple[AutogradEnergy, torch.Tensor]:
    r"""Return the energy of denoising with a ridge, and the parameters of the ridge as a vector.

    .. math:: E(x, \theta, y) = \tfrac12 |x - y|^2 + R_\theta(x)

    It is ``1 - lambda rho`` strongly convex for all parameters of a weakly convex ridge, so that
    lower levels, hypergradients and their bounds in `learning.bilevel` hold. `with_params` puts
    what was learned back into a ridge.

    Parameters
    ----------
    ridge : Ridge
        Of real images; its parameters are where learning begins.
    noise_level : float
        ``sigma``, positive.

    Returns
    -------
    energy : AutogradEnergy
    params : tensor ``(P,)``

    Raises
    ------
    TypeError
        If the ridge is none.
    ValueError
        If the noise level is not positive.

    Examples
    --------
    >>> import torch
    >>> from odl_learned import networks, regularizers
    >>> filters = regularizers.ComposedFilters((1, 4), 3, networks.Reflecting(), dimension=2)
    >>> ridge = regularizers.Ridge(filters, regularizers.LogCosh()).double()
    >>> energy, params = regularizers.denoising_energy(ridge, noise_level=0.1)
    >>> y = torch.rand(1, 6, 6, generator=torch.Generator().manual_seed(0)).double()
    >>> print(float(energy.value(y, params, y)) > 0)  # for learning.bilevel
    True
    >>> softer = regularizers.with_params(ridge, params - 0.1)
    """
    _require_ridge(ridge)
    require_positive("noise_level", noise_level)

    def energy(x, params, data):
        def terms(ridge):
            return 0.5 * (x - data).square().flatten(1).sum(1) + ridge.at(noise_level).value(x)

        return torch.func.functional_call(_Applied(ridge), _split(ridge, params), (terms,))

    def constants(params):
        with torch.no_grad():
            return torch.func.functional_call(
                _Applied(ridge), _split(ridge, params), (lambda ridge: ridge.constants(),))

    params = torch.cat([p.detach().flatten() for p in ridge.parameters()])
    return AutogradEnergy(energy, lambda params: 1 + constants(params)[0],
                          lambda params: 1 - constants(params)[1]), params


def with_params(ridge: Ridge, params: torch.Tensor) -> Ridge:
    """Put a vector of parameters, of the order of `denoising_energy`, into a ridge; return it.

    Parameters
    ----------
    ridge : Ridge
        Changed.
    params : tensor ``(P,)``

    Raises
    ------
    TypeError
        If the ridge is none.
    ValueError
        If there are more or fewer parameters.
    """
    _require_ridge(ridge)
    params = _checked(ridge, params)
    like = next(ridge.parameters())
    if params.device == like.device and not params.isfinite().all():
        raise ValueError(f"params is {shown(params)}, expected finite numbers.")
    if not params.is_floating_point() or params.device != like.device:
        raise ValueError(f"params is of dtype {params.dtype} on {params.device}, expected real "
                         f"floats on {like.device}, where the ridge is; use .to(device).")
    torch.nn.utils.vector_to_parameters(params.detach(), ridge.parameters())
    return ridge


class _Applied(torch.nn.Module):
    """A function of the ridge as the forward pass of a module, for torch's functional calls."""

    def __init__(self, ridge):
        super().__init__()
        self.ridge = ridge

    def forward(self, function):
        return function(self.ridge)


def _split(ridge, params):
    parts = _checked(ridge, params).split([p.numel() for p in ridge.parameters()])
    return {f"ridge.{name}": part.view_as(p)
            for part, (name, p) in zip(parts, ridge.named_parameters(), strict=True)}


def _checked(ridge, params):
    count = sum(p.numel() for p in ridge.parameters())
    if not isinstance(params, torch.Tensor) or params.shape != (count,):
        given = tuple(params.shape) if isinstance(params, torch.Tensor) else shown(params)
        raise ValueError(f"params is {given}, expected a tensor of shape ({count},), the "
                         "parameters of the ridge; take those of denoising_energy.")
    return params


def _require_ridge(ridge):
    if not isinstance(ridge, Ridge):
        raise TypeError(f"ridge is {shown(ridge)}, expected a regularizers.Ridge.")
