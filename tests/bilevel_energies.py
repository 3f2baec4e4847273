"""Energies of lower levels by name, and the same formula written for autograd."""

import math

import numpy as np
import odl
import torch

from odl_learned import operators
from odl_learned.bridge import as_module
from odl_learned.energies import AutogradEnergy, Denoising, FourierSampling, VariationEnergy
from odl_learned.energies.coefficients import (
    Coefficients,
    decimal,
    decimal_alpha,
    decimal_times_alpha,
    natural,
    odds_weights,
    squared_weights,
)
from odl_learned.energies.potentials import Charbonnier, CubicAbsolute, HalfSquare
from odl_learned.energies.transforms import (
    BackwardDifferences,
    ForwardDifferences,
    OrthogonalTransform,
    Separate,
)

F64, C128 = torch.float64, torch.complex128


def wavelet(shape, space):
    transform = operators.OrthogonalWavelet(space(shape), "db2", 1)
    return OrthogonalTransform(as_module(transform), as_module(transform.adjoint), shape)


def lines(params):
    """One weight for every row of a 4 x 4 grid, and log alpha: a linear map of parameters."""
    return Coefficients(params[-1].exp(), 0.1, 0.05, params[:4, None].expand(4, 4))


ENERGIES = {
    "signal, one parameter": (
        Denoising(), BackwardDifferences(9), Charbonnier(), decimal_alpha(0.1, 0.2), (9,), F64, 1),
    "signal, three parameters": (
        Denoising(), BackwardDifferences(9), Charbonnier(), decimal, (9,), F64, 3),
    "signal, xi times alpha": (
        Denoising(), BackwardDifferences(9), Charbonnier(), decimal_times_alpha, (9,), F64, 3),
    "images, directions apart": (
        Denoising(), Separate(ForwardDifferences((4, 5))), Charbonnier(),
        lambda p: natural(p)._replace(alpha=0.5 * p[0].exp()), (4, 5), F64, 2),
    "images": (
        Denoising(), ForwardDifferences((4, 5)), CubicAbsolute(), natural, (4, 5), F64, 2),
    "volumes": (
        Denoising(), ForwardDifferences((3, 4, 2)), Charbonnier(), natural, (3, 4, 2), F64, 2),
    "sampling of volumes": (
        FourierSampling(), ForwardDifferences((3, 2, 2)), CubicAbsolute(),
        squared_weights((3, 2, 2), 0.4, 0.01), (3, 2, 2), C128, 13),
    "complex images": (
        Denoising(), ForwardDifferences((4, 5)), Charbonnier(), decimal, (4, 5), C128, 3),
    "inpainting": (
        Denoising(), ForwardDifferences((4, 4)), Charbonnier(), lines, (4, 4), F64, 5),
    "sampling, cubic": (
        FourierSampling(), ForwardDifferences((4, 4)), CubicAbsolute(),
        squared_weights((4, 4), 0.4, 0.01), (4, 4), C128, 17),
    "sampling, no regularizer": (
        FourierSampling(), ForwardDifferences((4, 4)), HalfSquare(),
        lambda p: Coefficients(0.0, 1.0, 0.01, p.reshape(4, 4) ** 2), (4, 4), C128, 16),
    "sampling, H1": (
        FourierSampling(), ForwardDifferences((4, 4)), HalfSquare(),
        squared_weights((4, 4), 1.0, 0.01), (4, 4), C128, 17),
    "sampling, wavelets": (
        FourierSampling(), wavelet((4, 4), odl.cn), CubicAbsolute(),
        squared_weights((4, 4), 0.4, 0.01), (4, 4), C128, 17),
    "sampling, lines": (
        FourierSampling(), ForwardDifferences((4, 4)), Charbonnier(), lines, (4, 4), C128, 5),
    "sampling, real images": (
        FourierSampling(), ForwardDifferences((4, 4)), Charbonnier(), lines, (4, 4), F64, 5),
    "sampling of signals": (
        FourierSampling(), BackwardDifferences(8), Charbonnier(), odds_weights(0.3, 0.1, 0.02),
        (8,), C128, 8),
    "wavelets": (
        Denoising(), wavelet((4, 4), odl.rn), Charbonnier(), decimal, (4, 4), F64, 3),
}  # fmt: skip


def build(name, seed=0, scale=1.0, size=3):
    """An energy, and random ``x, params, data`` for it."""
    fidelity, transform, potential, coefficients, shape, dtype, count = ENERGIES[name]
    generator = torch.Generator().manual_seed(seed)
    x = scale * torch.randn((size, *shape), dtype=dtype, generator=generator)
    data = torch.randn((size, *shape), dtype=dtype, generator=generator)
    if isinstance(fidelity, FourierSampling):
        data = fidelity.forward(data)
    params = 0.2 + 0.5 * torch.rand(count, dtype=F64, generator=generator)
    if count <= 3:
        params = params - 1
    return VariationEnergy(fidelity, transform, potential, coefficients), x, params, data


def formula(name):
    """The formula, written for autograd with products and sums only."""
    fidelity, transform, potential, coefficients, shape, dtype, _ = ENERGIES[name]

    def phi(t2, nu):
        if isinstance(potential, HalfSquare):
            return t2 / 2
        if isinstance(potential, Charbonnier):
            return (t2 + nu**2).sqrt()
        t = torch.where(t2 > 0, torch.where(t2 > 0, t2, 1.0).sqrt(), 0.0)
        return torch.where(t <= nu, -(t**3) / (3 * nu**2) + t2 / nu, t - nu / 3)

    def square(z):
        return z.real**2 + z.imag**2 if z.is_complex() else z**2

    def differences(x):
        inner = transform.transform if isinstance(transform, Separate) else transform
        if isinstance(inner, BackwardDifferences):
            return [torch.diff(x, dim=1, prepend=torch.zeros_like(x[:, :1]))]
        if isinstance(inner, OrthogonalTransform):
            return [inner._analysis(x)]
        return [torch.diff(x, dim=i, append=x.narrow(i, n - 1, 1))
                for i, n in enumerate(x.shape) if i]

    def energy(x, params, data):
        c = coefficients(params)
        if isinstance(fidelity, FourierSampling):
            residual = torch.fft.fftn(x, dim=list(range(1, x.ndim))) / math.sqrt(x[0].numel())
        else:
            residual = x
        residual = square(residual - data)
        residual = residual if c.weights is None else c.weights * residual
        squares = [square(p) for p in differences(x)]
        groups = squares if isinstance(transform, Separate) else [sum(squares)]
        value = 0.5 * residual.flatten(1).sum(1) + 0.5 * c.xi * square(x).flatten(1).sum(1)
        return value + c.alpha * sum(phi(g, c.nu).flatten(1).sum(1) for g in groups)

    return AutogradEnergy(energy, lambda p: 1.0, lambda p: 1.0)


def close(actual, expected, tolerance=1e-12):
    scale = float(expected.abs().max())
    assert torch.isfinite(actual).all() and actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * scale)


def real(x):
    return (torch.view_as_real(x.contiguous()) if x.is_complex() else x).flatten(1)


def norm(x):
    return real(x).norm(dim=1)
