"""Maps that commute with a group, and maps that break it where one does not look, by name."""

import warnings

import numpy as np
import odl
import torch
from torch import nn

from odl_learned import bridge, functionals, operators
from odl_learned.conformance import Translations
from odl_learned.networks import equivariant as e

N = 16
TURNS, ALL = e.Cyclic(4), e.Dihedral(4)
IMAGES = odl.uniform_discr([-1, -1], [1, 1], (N, N))
SINGLE = odl.uniform_discr([-1, -1], [1, 1], (N, N), dtype="float32")
COMPLEX = odl.uniform_discr([-1, -1], [1, 1], (N, N), dtype="complex128")
OBLONG = odl.uniform_discr([-1, -2], [1, 2], (N, N))
SHIFTS = Translations([(1, 0), (0, 3), (5, 7)])


def generator():
    return torch.Generator().manual_seed(0)


def kernel(*, symmetric):
    """A 3 x 3 kernel that all turns and flips keep, or one that none does."""
    weights = torch.arange(9.0, dtype=torch.float64).reshape(3, 3)
    return sum(ALL.act(g, weights) for g in range(8)) if symmetric else weights


def convolution(*, symmetric=True, stride=1, padding_mode="zeros"):
    layer = nn.Conv2d(1, 1, 3, stride, 1, padding_mode=padding_mode, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(kernel(symmetric=symmetric))
    return nn.Sequential(nn.Unflatten(1, (1, -1)), layer, nn.Flatten(1, 2))


class OnImages(nn.Module):
    """A network of one channel on images ``(N, n, n)``, followed by parts without channels."""

    def __init__(self, *parts):
        super().__init__()
        self.parts = nn.Sequential(*parts)

    def forward(self, x):
        return self.parts(x[:, None])[:, 0]


class SpatialBias(nn.Module):
    def forward(self, x):
        return x + torch.linspace(0, 1, x.shape[-1], dtype=x.dtype)


def augmented():
    """An ordinary convolution fitted to a turned and flipped one: nearly symmetric, by learning."""
    draw, target = generator(), convolution()
    model = OnImages(nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 1, 3, padding=1))
    model = model.double()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(50):
        x = ALL.act(step % 8, torch.randn(4, N, N, dtype=torch.float64, generator=draw))
        loss = (model(x) - target(x).detach()).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def normal(forward_op):
    return forward_op.adjoint @ forward_op


def fan(views):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return normal(operators.fan_beam_ray_transform(SINGLE, views, 4.0, 4.0))


def lines(mask):
    return normal(operators.SampledFourier(COMPLEX, mask))


def square_mask():
    """Frequencies ``|k_1| + |k_2| <= 5``; the center is entry ``n // 2``, so that row 0 has no
    partner and stays out."""
    k = np.abs(np.arange(N) - N // 2)
    return (k[:, None] + k[None, :] <= 5).astype(float)


def rows_mask():
    return np.repeat((np.abs(np.arange(N) - N // 2) <= 3).astype(float)[:, None], N, axis=1)


#: name: (map, group, domain or None for modules)
BROKEN = {
    "bias that varies in space": lambda: (SpatialBias(), TURNS),
    "stride 2 on an even grid": lambda: (convolution(stride=2), TURNS),
    "zero padding where circular was promised": lambda: (convolution(), SHIFTS),
    "odd views": lambda: (normal(operators.parallel_ray_transform(SINGLE, 15)), TURNS),
    "one asymmetric filter": lambda: (operators.PeriodicConvolution(
        IMAGES, kernel(symmetric=False).numpy()), ALL),
    "max pooling off the grid": lambda: (OnImages(nn.MaxPool2d(3, stride=2, padding=1)), TURNS),
    "anisotropic cells": lambda: (functionals.H1Seminorm(OBLONG), TURNS),
    "fan beam": lambda: (fan(14), TURNS),
    "asymmetric mask": lambda: (lines(rows_mask()), TURNS),
    "augmentation in place of design": lambda: (augmented(), ALL),
}

EXACT = {
    "symmetric filter": lambda: (operators.PeriodicConvolution(
        IMAGES, kernel(symmetric=True).numpy()), ALL),
    "symmetric filter with zeros": lambda: (convolution(), ALL),
    "circular padding": lambda: (convolution(symmetric=False, padding_mode="circular"), SHIFTS),
    "anisotropic total variation": lambda: (functionals.TotalVariation(IMAGES, exponent=1), ALL),
    "H1 seminorm": lambda: (functionals.H1Seminorm(IMAGES), ALL),
    "proximal of the H1 seminorm": lambda: (functionals.H1Seminorm(IMAGES).proximal(0.1), ALL),
    "symmetric mask": lambda: (lines(square_mask()), ALL),
    "equivariant network of turns": lambda: (OnImages(e.EquivariantDnCNN(
        TURNS, 1, 3, 3, generator=generator()).double()), TURNS),
    "equivariant network of turns and flips": lambda: (OnImages(e.EquivariantDnCNN(
        ALL, 1, 2, 3, generator=generator()).double()), ALL),
    "equivariant network as an operator": lambda: (bridge.as_operator(OnImages(e.EquivariantDnCNN(
        TURNS, 1, 2, 2, generator=generator()).double()), IMAGES, IMAGES), TURNS),
}
