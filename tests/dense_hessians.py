"""Energies of every kind, and their second derivatives as dense matrices."""

import torch
from hypergradient_problems import PROBLEMS, noisy, pictures

from odl_learned.energies import FourierSampling, VariationEnergy
from odl_learned.energies.coefficients import Coefficients
from odl_learned.energies.potentials import Charbonnier
from odl_learned.energies.transforms import ForwardDifferences
from odl_learned.learning.bilevel import BilevelProblem, SquaredError


def energies(rng):
    """Energies of every kind with params and data: name, problem, params."""
    for name in ("denoising", "signals", "sampling", "odds"):
        yield name, *PROBLEMS[name](rng)
    truth = pictures((5, 4), 2, rng, torch.complex128)
    # All coefficients at once, each a function of every parameter.
    matrix = torch.as_tensor(rng.uniform(0, 0.3, (20, 4)))
    energy = VariationEnergy(
        FourierSampling(), ForwardDifferences((5, 4)), Charbonnier(),
        lambda p: Coefficients(p.sum().exp(), (p[0] - p[1]).exp(), p[2].exp(),
                               ((matrix @ p.exp()) ** 2).reshape(5, 4)))
    params = torch.as_tensor(rng.uniform(-1.5, -0.5, 4))
    yield "mixed", BilevelProblem(energy, noisy(truth, rng), SquaredError(truth), truth), params


def jacobians(energy, x, params, data):
    """Hessians and ``J^T`` of single samples as dense matrices, ``J`` of shape ``(P, n)``."""
    flat = torch.view_as_real(x) if x.is_complex() else x
    units = torch.eye(flat[0].numel(), dtype=flat.dtype).reshape(-1, *flat.shape[1:])
    units = torch.view_as_complex(units.contiguous()) if x.is_complex() else units
    for i in range(len(x)):
        linear = energy.linearize(x[i:i + 1], params, data[i:i + 1])
        yield (torch.stack([reals(linear.hessian(u[None])) for u in units], 1),
               torch.stack([linear.mixed_adjoint(u[None]) for u in units], 1))


def reals(x):
    return (torch.view_as_real(x.contiguous()) if x.is_complex() else x).flatten()


def norm(matrix):
    return float(torch.linalg.matrix_norm(matrix, 2))


def root_of(matrix):
    """``matrix^-1/2``."""
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values**-0.5) @ vectors.mT
