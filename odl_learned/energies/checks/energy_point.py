"""A parametric energy at a point, as its checks see it."""

import torch


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
