"""A parametric energy at a point, as its checks see it."""

import math

import torch

from odl_learned.energies.energy import ParametricEnergy


class EnergyPoint:
    """An energy, a point, and its linearization there.

    Parameters
    ----------
    energy : ParametricEnergy
    x : tensor ``(B, *shape)``
    params : tensor ``(P,)``
    data : tensor or tuple of tensors
    rng : numpy.random.Generator
        Of the directions.
    """

    def __init__(self, energy, x, params, data, rng):
        self.energy, self.x, self.params, self.data = energy, x, params, data
        self._rng, self.name = rng, type(energy).__name__
        self.linear = energy.linearize(x, params, data)

    def direction(self, like=None):
        """Return random numbers of the shape of ``x``, or of another tensor."""
        like = self.x if like is None else like
        v = torch.as_tensor(self._rng.standard_normal(like.shape), dtype=like.dtype)
        if like.is_complex():
            v = v + 1j * torch.as_tensor(self._rng.standard_normal(like.shape))
        return v.to(like.device)

    def gradient(self, x):
        """Return ``d_x E`` at another ``x``."""
        return self.energy.gradient(x, self.params, self.data)

    def linearize(self, x):
        """Return the `Linearization` at another ``x``."""
        return self.energy.linearize(x, self.params, self.data)


def require(condition, at, found, expected):
    """Raise an AssertionError that names the energy, unless the condition holds."""
    if not condition:
        raise AssertionError(f"{at.name}: {found}; expected {expected}.")


def require_arguments(energy, x, params, data):
    if not isinstance(energy, ParametricEnergy):
        raise TypeError(
            f"energy is {energy!r}, expected a ParametricEnergy; a function of (x, params, data) "
            "becomes one by AutogradEnergy."
        )
    for name, tensor in (("x", x), ("params", params)):
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"{name} is {type(tensor).__name__}, expected a tensor in double "
                            "precision; pass torch.as_tensor(array, dtype=torch.float64).")
    for name, tensor in (("x", x), ("params", params)):
        if tensor.is_meta:
            raise TypeError(f"{name} is on the device meta, expected numbers; build it on a real "
                            "one.")
    if x.dtype not in (torch.float64, torch.complex128) or params.dtype != torch.float64:
        raise TypeError(
            f"x and params are {x.dtype} and {params.dtype}, expected double precision: "
            "differences in single precision tell nothing. Use .double()."
        )
    if params.ndim != 1 or not bool(torch.isfinite(params).all()):
        raise ValueError(f"params is {params}, expected a finite vector (P,).")
    if not (x.ndim > 1 and bool(torch.isfinite(x).all())):
        raise ValueError(f"x has shape {tuple(x.shape)} and {int((~torch.isfinite(x)).sum())} "
                         "entries that are not finite, expected (B, *shape) and none.")
    for part in data if isinstance(data, tuple) else (data,):
        if not isinstance(part, torch.Tensor) or not part.ndim or part.is_meta:
            raise TypeError(f"data is {type(part).__name__}, expected a tensor or a tuple of "
                            "tensors with first axis B.")
    sizes = [len(part) for part in (data if isinstance(data, tuple) else (data,))]
    if len(x) < 2 or any(size != len(x) for size in sizes):
        raise ValueError(
            f"x and data have {len(x)} and {sizes} samples, expected the same number, at least 2 "
            "to see whether they mix; stack them along the first axis."
        )
    mu, L = energy.strong_convexity(params), energy.lipschitz(params)
    if not (math.isfinite(mu) and mu > 0 and math.isfinite(L) and L >= mu):
        raise ValueError(
            f"strong_convexity(params) is {mu!r} and lipschitz(params) is {L!r}, expected finite "
            "numbers with 0 < strong_convexity <= lipschitz; add xi/2 |x|^2 to the energy."
        )
