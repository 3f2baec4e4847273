"""Regularization by denoising: ``x - N(x)``, and the functional behind it if there is one."""

import odl
import torch
from torch import nn

from odl_learned.bridge import as_functional, as_operator
from odl_learned.networks.images import require_network
from odl_learned.regularizers.certificates import (
    Refuted,
    certify_homogeneous,
    certify_symmetric_jacobian,
)
from odl_learned.regularizers.gradient_step import weight_of


class _Rest(nn.Module):
    """``x -> x - N(x)``."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return x - self.net(x)


class _Half(nn.Module):
    """``x -> w/2 Re <x, x - N(x)>``."""

    def __init__(self, net, weight, dimension):
        super().__init__()
        self.net, self.weight, self.dimension = net, weight, dimension

    def forward(self, x):
        rest = x - self.net(x)
        product = x.real * rest.real + x.imag * rest.imag if x.is_complex() else x * rest
        return 0.5 * self.weight * product.sum(tuple(range(-self.dimension, 0)))


def red_operator(net: nn.Module, space: odl.LinearSpace) -> odl.Operator:
    """Return ``x - N(x)`` as an ODL operator, for every network.

    Parameters
    ----------
    net : torch.nn.Module
        N, maps images ``(*batch, *space.shape)`` to the same shape; in evaluation mode.
    space : ``uniform_discr``, ``rn`` or ``cn`` space

    Returns
    -------
    operator : odl.Operator
        From the space to itself. That it is no gradient does not keep it from being a step of an
        iteration, whose fixed points are then the minimizers of nothing.

    Raises
    ------
    TypeError
        If the network is no module, or the space is none.
    ValueError
        If samples influence each other.

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import regularizers
    >>> X = odl.rn(2, dtype="float32")
    >>> G = regularizers.red_operator(torch.nn.ReLU(), X)
    >>> print(G([1.0, -2.0]))
    [ 0., -2.]
    """
    require_network(net)
    weight_of(space)
    return as_operator(_Rest(net), space, space)


def red_functional(
    net: nn.Module,
    space: odl.LinearSpace,
    generator: torch.Generator,
    tolerance: float = 1e-6,
) -> odl.functionals.Functional:
    r"""Return the functional of regularization by denoising, if the network has one.

    .. math:: R(x) = \tfrac12 \langle x, x - N(x) \rangle, \qquad \nabla R(x) = x - N(x)
              \quad \text{if } N'(x) = N'(x)^T \text{ and } N'(x) x = N(x)

    Both conditions are measured at random points, in double precision, and have to hold there up
    to the tolerance; for most networks neither does, and then no functional has this gradient.

    Parameters
    ----------
    net : torch.nn.Module
        N, maps real images ``(*batch, *space.shape)`` to the same shape; in evaluation mode.
    space : ``uniform_discr`` or ``rn`` space
        Real images, with one weight for all entries.
    generator : torch.Generator
        Source of the points.
    tolerance : float, optional
        Of the relative asymmetry and inhomogeneity, positive; about 1e-6.

    Returns
    -------
    functional : odl.functionals.Functional
        With gradient and Hessian.

    Raises
    ------
    ValueError
        If the Jacobian is not symmetric or the network not homogeneous: what was measured, and
        what to take instead. If the space has several weights, or samples influence each other.
    TypeError
        If the network is no module, or the space is complex.

    Source: Romano, Elad, Milanfar, The little engine that could (2017); Reehorst, Schniter,
    Regularization by denoising: clarifications and new interpretations (2019).
    """
    require_network(net)
    weight = weight_of(space)
    if space.field != odl.RealNumbers():
        raise TypeError(f"space is {space!r}, expected real images; take real and imaginary part "
                        "as components.")
    shape = tuple(space.shape)
    for certify, what in ((certify_symmetric_jacobian, "asymmetry of its Jacobian"),
                          (certify_homogeneous, "inhomogeneity, |N'(x) x - N(x)| / |N(x)|")):
        verdict = certify(net, tolerance, shape=shape, generator=generator)
        if isinstance(verdict, Refuted):
            raise ValueError(
                f"x - N(x) is not the gradient of <x, x - N(x)> / 2: the relative {what} is "
                f"{verdict.measured:.3g}, expected at most {tolerance:g}. Take red_operator, which "
                "is no gradient, or a GradientStepDenoiser, which always has a functional.")
    return as_functional(_Half(net, weight, space.ndim), space)
