"""What the construction of a ridge proves, with the norm of the kernel as it is found."""

import torch
from torch import nn

from odl_learned.networks import ConvexSpline
from odl_learned.regularizers.certificates.convexity_rules import convexity_bound
from odl_learned.regularizers.certificates.lipschitz_rules import lipschitz_bound
from odl_learned.regularizers.certificates.symmetry import is_gradient
from odl_learned.regularizers.certificates.verdicts import Bound
from odl_learned.regularizers.ridges.functional import RidgeSlopes
from odl_learned.regularizers.ridges.ridge import Ridge


def _kernel_square(ridge):
    """The bound of ``|W|^2`` of the kernel that the filters return, for images of every size."""
    with torch.no_grad():
        return float(ridge.filters.boundary.largest_square(ridge.filters.kernel()))


def _steepest(phi: nn.Module | None) -> float:
    """A bound of ``phi'``, which is at least zero for all kinds of potentials."""
    if phi is None:
        return 0.0
    return float(phi.slopes().detach().max()) if isinstance(phi, ConvexSpline) else 1.0


@convexity_bound.register
def _(ridge: Ridge):
    strength = float(ridge.strength().detach())
    rho = strength * _kernel_square(ridge) * _steepest(ridge.subtracted)
    return Bound(-rho, "lambda |W|^2 times the slope of the subtracted potential")


@lipschitz_bound.register
def _(slopes: RidgeSlopes, shape):
    ridge = slopes.ridge
    upper = float(ridge.sharpness.detach().exp()) * _steepest(ridge.potential)
    size = float(ridge.strength().detach()) * _kernel_square(ridge)
    return Bound(size * max(upper, _steepest(ridge.subtracted)), "lambda |W|^2 max(e^b, rho)")


is_gradient.register(RidgeSlopes, lambda module: True)
