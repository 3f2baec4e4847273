r"""Potentials of filter responses: combinations of one potential at several scales.

.. math:: \psi_k(r) = \sum_j w_{kj} \big( \phi_{\nu_j}(|r|) - \phi_{\nu_j}(0) \big) .
"""

import torch

from odl_learned.validation import require_positive


class ScaledPotentials:
    """One potential at scales ``nu_j``, combined with weights ``(K, J)`` for ``K`` filters.

    Responses ``r`` and their squares are ``(B, K, *shape)``.

    Parameters
    ----------
    potential : Potential
        ``phi``.
    scales : tuple of float
        ``nu_j``, positive.
    """

    def __init__(self, potential, scales):
        for nu in scales:
            require_positive("scales", nu)
        self._potential, self._scales = potential, tuple(float(nu) for nu in scales)

    def values(self, squares, weights):
        """Yield ``sum_k w_kj sum_i (phi_j(r_ki) - phi_j(0))`` scale by scale, ``(B,)``."""
        for weight, nu in self._terms(weights):
            lengths = self._potential.value(squares, nu)
            lengths = lengths - self._potential.value(lengths.new_zeros(1), nu)
            yield lengths.flatten(2).sum(2) @ weight.flatten()

    def weight(self, squares, weights):
        """Return ``sum_j w_kj phi_j'(r) / r``."""
        return sum(weight * self._potential.weight(squares, nu)
                   for weight, nu in self._terms(weights))  # fmt: skip

    def weight_and_curvature(self, squares, weights):
        """Return `weight` and ``sum_j w_kj (phi_j'' - phi_j' / r) / r^2``."""
        total = bent = 0.0
        for factor, nu in self._terms(weights):
            weight, bend = self._potential.weight_and_curvature(squares, nu)
            total, bent = total + factor * weight, bent + factor * bend
        return total, bent

    def third_derivative(self, r, weights):
        """Return the third derivative of ``psi_k``, the Newton derivative where it jumps."""
        return sum(weight * self._potential.third_derivative(r, nu)
                   for weight, nu in self._terms(weights))  # fmt: skip

    def constants(self, name, like):
        """Return a constant of the potential at every scale, ``(J,)``, such as ``curvature``."""
        values = [getattr(self._potential.constants(nu), name) for nu in self._scales]
        return torch.tensor(values, dtype=like.dtype, device=like.device)

    def largest_slopes(self, weights):
        """Return bounds of ``|psi_k'|``, ``(K,)``."""
        largest = weights @ self.constants("slope", weights)
        return torch.where(weights.sum(1) > 0, largest, 0.0)

    def _terms(self, weights):
        """Pairs of weights ``(K, 1, 1)`` and scales."""
        return [(weights[:, j, None, None], nu) for j, nu in enumerate(self._scales)]
