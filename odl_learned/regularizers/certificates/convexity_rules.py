r"""Convexity from how networks are built, layer by layer.

A composition has convex components if it begins with affine layers, goes on with activations that
are convex and nondecreasing, and all affine layers after the first of them have nonnegative
weights (biases are free).

Source: Boyd, Vandenberghe, Convex optimization (2004), section 3.2.4; Amos, Xu, Kolter, Input
convex neural networks (2017).
"""

import enum
import math

from torch import nn

from odl_learned.regularizers.certificates.construction import (
    is_softplus,
    rules_of_construction,
    unknown,
)
from odl_learned.regularizers.certificates.verdicts import Bound


class Kind(enum.Enum):
    """What a layer does to components that are convex functions of the image."""

    AFFINE = "affine"
    NONNEGATIVE = "affine with nonnegative weights"
    CONVEX = "convex and nondecreasing"
    OTHER = "neither affine nor convex and nondecreasing"


@rules_of_construction
def layer_kind(layer: nn.Module) -> Kind:
    """Return the `Kind` of a layer; rules are registered by class, ``layer_kind.register``.

    Examples
    --------
    >>> import torch
    >>> from odl_learned.regularizers import certificates
    >>> print(certificates.layer_kind(torch.nn.ReLU()))
    Kind.CONVEX
    """
    return Kind.OTHER


@layer_kind.register(nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d
                     | nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d)
def _(layer):
    return Kind.NONNEGATIVE if bool((layer.weight >= 0).all()) else Kind.AFFINE


@layer_kind.register(nn.Identity | nn.Flatten | nn.Unflatten | nn.AvgPool1d | nn.AvgPool2d
                     | nn.AvgPool3d)
def _(layer):
    return Kind.NONNEGATIVE


@layer_kind.register(nn.ReLU | nn.MaxPool1d | nn.MaxPool2d | nn.MaxPool3d)
def _(layer):
    return Kind.CONVEX


@layer_kind.register
def _(layer: nn.Softplus):
    return Kind.CONVEX if is_softplus(layer) else Kind.OTHER


@layer_kind.register
def _(layer: nn.LeakyReLU):
    return Kind.CONVEX if 0 <= layer.negative_slope <= 1 else Kind.OTHER


@layer_kind.register
def _(layer: nn.PReLU):
    slopes = layer.weight
    return Kind.CONVEX if bool(((slopes >= 0) & (slopes <= 1)).all()) else Kind.OTHER


@layer_kind.register(nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d)
def _(layer):
    if layer.training or layer.running_var is None:
        return Kind.OTHER
    positive = not layer.affine or bool((layer.weight >= 0).all())
    return Kind.NONNEGATIVE if positive else Kind.AFFINE


@rules_of_construction
def convexity_bound(module: nn.Module) -> Bound:
    """Return the largest known m for which ``f - m/2 |.|^2`` is convex; minus infinity if none.

    Parameters
    ----------
    module : torch.nn.Module
        A functional, images ``(N, *shape)`` to values ``(N,)``. Rules are registered by class:
        ``convexity_bound.register``.

    Examples
    --------
    >>> import torch
    >>> from odl_learned import networks, regularizers
    >>> from odl_learned.regularizers import certificates
    >>> seed = torch.Generator().manual_seed(0)
    >>> convex = regularizers.InputConvex(
    ...     2, 2, 3, networks.Zero(), dimension=2, convexity=0.1, generator=seed)
    >>> bound = certificates.convexity_bound(convex)
    >>> print(f"{bound.value:.3f}", bound.because)
    0.100 nonnegative weights, softplus, and xi
    """
    return Bound(-math.inf, unknown(module))


@convexity_bound.register
def _(net: nn.Sequential):
    affine = True
    for place, layer in enumerate(net):
        kind = layer_kind(layer)
        if kind is Kind.OTHER:
            return Bound(-math.inf, f"layer {place}, {type(layer).__name__}, is {kind.value}")
        if kind is Kind.AFFINE and not affine:
            return Bound(-math.inf, f"layer {place}, {type(layer).__name__}, has a negative weight "
                         "behind an activation")
        affine = affine and kind is not Kind.CONVEX
    return Bound(0.0, "nonnegative weights and convex, nondecreasing activations")
