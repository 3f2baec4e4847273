r"""Learned regularizers that are networks, as ODL functionals."""

import copy

import odl
import torch
from torch import nn

from odl_learned.bridge import as_functional
from odl_learned.regularizers.gradient_step import weight_of
from odl_learned.regularizers.input_convex import InputConvex
from odl_learned.regularizers.sums import Sum
from odl_learned.regularizers.total_deep_variation import TotalDeepVariation
from odl_learned.validation import require_positive, shown


class _Weighted(nn.Module):
    """``x -> w R_sigma(x)``, with the gradient in the space of weight w."""

    def __init__(self, net, noise_level, weight):
        super().__init__()
        self.net, self.noise_level, self.weight = net, noise_level, weight

    def forward(self, x):
        return self.weight * self.net.at(self.noise_level).value(x)


def network_functional(
    net: InputConvex | TotalDeepVariation | Sum, space: odl.LinearSpace, noise_level: float = 1.0
) -> odl.functionals.Functional:
    r"""Return a regularizer that is a network as an ODL functional on a space of images.

    .. math:: R_X(x) = w \, R_\sigma(x)

    with the weight w of the space, such as its cell volume.

    Parameters
    ----------
    net : InputConvex, TotalDeepVariation or Sum
        Copied, in the precision of the space.
    space : ``uniform_discr``, ``rn`` or ``cn`` space
        Images of as many axes as the network has, with one weight for all entries; real ones for an
        `InputConvex`.
    noise_level : float, optional
        ``sigma``, positive, in the unit of the images.

    Returns
    -------
    functional : odl.functionals.Functional
        With gradient, Hessian, ``grad_lipschitz`` and ``weak_convexity``, which are bounds in the
        inner product of the space by construction.

    Raises
    ------
    TypeError
        If the network is none, or the space is complex and the network real.
    ValueError
        If the space has other axes, or several weights, or the noise level is not positive.
    """
    if not isinstance(net, InputConvex | TotalDeepVariation | Sum):
        inside = getattr(net, "regularizer", None)
        where = (f" Its .regularizer is a {type(inside).__name__}: pass that."
                 if isinstance(inside, InputConvex | TotalDeepVariation | Sum) else "")
        raise TypeError(f"net is {shown(net)}, expected a regularizers.InputConvex, a "
                        "TotalDeepVariation or a Sum; a Ridge becomes a functional by "
                        f"RidgeRegularizer.{where}")
    require_positive("noise_level", noise_level)
    weight = weight_of(space, net.dimension)
    if space.field != odl.RealNumbers() and not net.takes_complex:
        raise TypeError(f"space is {space!r}, expected real images; an input-convex network has no "
                        "value of complex ones.")
    real = torch.zeros((), dtype=getattr(torch, str(space.dtype_identifier))).real.dtype
    net = copy.deepcopy(net).to(device="cpu", dtype=real).requires_grad_(False)
    functional = as_functional(_Weighted(net, float(noise_level), weight), space)
    functional.grad_lipschitz, functional.weak_convexity = net.constants()
    return functional
