"""Piecewise constant signals, and the bilevel problems of denoising them.

    x_i(theta) = argmin_x  1/2 |x - y_i|^2 + alpha sum_j sqrt((grad x)_j^2 + nu^2) + xi/2 |x|^2

is compared with the truth; ``theta`` is ``log10 (alpha, nu, xi)`` or ``log10 alpha`` alone.

Source: M. J. Ehrhardt and L. Roberts, Inexact derivative-free optimization for bilevel learning,
J. Math. Imaging Vis. 63 (2021), section 4.
"""

import numpy as np
import torch

from odl_learned.energies import Denoising, VariationEnergy
from odl_learned.energies.coefficients import decimal, decimal_alpha
from odl_learned.energies.potentials import Charbonnier
from odl_learned.energies.transforms import BackwardDifferences
from odl_learned.learning.bilevel import BilevelProblem, SquaredError


def signals(count, n, noise_level, rng):
    """Return plateaus of height one, and the same with noise, tensors ``(count, n)``."""
    center = rng.uniform(n / 4, 3 * n / 4, (count, 1))
    radius = rng.uniform(n / 8, n / 4, (count, 1))
    truth = (np.abs(np.arange(n) - center) < radius).astype(float)
    y = truth + noise_level * rng.standard_normal(truth.shape)
    return torch.as_tensor(truth), torch.as_tensor(y)


def three_parameters(truth, y, beta):
    """Return the problem of ``log10 (alpha, nu, xi)``, whose lower level begins at zero.

    ``kappa = (1 + 4 alpha / nu + xi) / (1 + xi)`` costs ``beta kappa^2`` for every signal.
    """

    def penalty(p):
        alpha, nu, xi = 10 ** p[0], 10 ** p[1], 10 ** p[2]
        return beta * len(truth) * ((1 + 4 * alpha / nu + xi) / (1 + xi)) ** 2

    bounds = torch.tensor([[-7.0, -7, -7], [7, 0, 0]], dtype=torch.float64)
    return BilevelProblem(_energy(y, decimal), y, SquaredError(truth),
                                  torch.zeros_like(y), penalty, *bounds)  # fmt: skip


def one_parameter(truth, y, nu):
    """Return the problem of ``log10 alpha``, with ``xi = nu``, whose lower level begins at zero."""
    return BilevelProblem(_energy(y, decimal_alpha(nu, nu)), y, SquaredError(truth),
                          torch.zeros_like(y),
                                  lower=-7.0, upper=7.0)  # fmt: skip


def _energy(y, coefficients):
    return VariationEnergy(Denoising(), BackwardDifferences(y.shape[1]), Charbonnier(),
                           coefficients)  # fmt: skip
