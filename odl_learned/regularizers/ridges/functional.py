"""Learned ridges as ODL functionals, and their native rule in the bridge."""

import copy

import odl
import torch
from odl.core.space.base_tensors import TensorSpace
from torch import nn

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.lowering import lower
from odl_learned.odl_validation import require_array_space
from odl_learned.regularizers.ridges.ridge import Ridge
from odl_learned.validation import require_positive, shown
from odl_learned.weights import constant_weight


class RidgeRegularizer(odl.functionals.Functional):
    r"""A learned ridge on a space of images.

    .. math:: R(x) = w \, \lambda \sum_{k,i} \psi_k\big( |(w_k * x)_i| \big),

    with the weight ``w`` of the space, such as its cell volume, and everything else of `Ridge` at a
    noise level, fixed. The gradient in the inner product of the space is Lipschitz with
    ``grad_lipschitz``, and ``R + weak_convexity / 2 |.|^2`` is convex, both by construction: for
    images of every size, whatever the weight. ``1/2 |x - y|^2 + R(x)`` is ``1 - weak_convexity >
    0`` strongly convex.

    Parameters
    ----------
    ridge : Ridge
        Copied, in the precision of the space.
    space : ``uniform_discr``, ``rn`` or ``cn`` space
        Images, real or complex, of as many axes as the filters have; one weight for all entries.
    noise_level : float
        ``sigma``, positive, in the unit of the images.

    Raises
    ------
    TypeError
        If ridge or space are none, or the inner product has no weights.
    ValueError
        If the space has other axes, a weight for every entry, or the noise level is not positive.

    Source: see `Ridge`.
    """

    def __init__(self, ridge: Ridge, space: TensorSpace, noise_level: float) -> None:
        if not isinstance(ridge, Ridge):
            raise TypeError(f"ridge is {shown(ridge)}, expected a regularizers.Ridge.")
        require_array_space("space", space)
        if space.ndim != ridge.dimension:
            raise ValueError(f"space has {space.ndim} axes, expected {ridge.dimension}, those of "
                             "the filters; build them with another dimension.")
        require_positive("noise_level", noise_level)
        self.weight = constant_weight("space", space)
        self.layout = layout_of(space)
        real = torch.zeros((), dtype=self.layout.dtype).real.dtype
        self.ridge = copy.deepcopy(ridge).to(device="cpu", dtype=real).requires_grad_(False)
        self.noise_level = float(noise_level)
        lipschitz, self.weak_convexity = self.ridge.constants()
        super().__init__(space, linear=False, grad_lipschitz=lipschitz)
        self._at = self.ridge.at(self.noise_level)

    def _call(self, x):
        return self.weight * float(self._at.value(self.layout.to_tensor(x)))

    @property
    def gradient(self) -> odl.Operator:
        """The gradient operator, that in the inner product of the space."""
        return _RidgeGradient(self)


class _RidgeGradient(odl.Operator):
    def __init__(self, functional):
        super().__init__(functional.domain, functional.domain, linear=False)
        self.functional = functional

    def _call(self, x):
        f = self.functional
        return f.layout.to_element(f._at.gradient(f.layout.to_tensor(x)))

    def derivative(self, point):
        """The Hessian at a point, its own adjoint."""
        return _RidgeHessian(self, point)


class _RidgeHessian(odl.Operator):
    def __init__(self, gradient, point):
        super().__init__(gradient.domain, gradient.range, linear=True)
        self.functional, self.point = gradient.functional, gradient.domain.element(point).copy()

    def _call(self, h):
        f = self.functional
        x, direction = f.layout.to_tensor(self.point), f.layout.to_tensor(h)
        _, product = torch.func.jvp(f._at.gradient, (x,), (direction,))
        return f.layout.to_element(product)

    @property
    def adjoint(self):
        """The Hessian is self-adjoint."""
        return self


class RidgeValues(nn.Module):
    """``x -> w R(x)`` on ``(*batch, *shape)``; ``gradient`` is that of the space."""

    def __init__(self, ridge, noise_level, weight):
        super().__init__()
        self.ridge, self.noise_level, self.weight = ridge, noise_level, weight

    def forward(self, x):
        return self.weight * self.ridge.at(self.noise_level).value(x)

    @property
    def gradient(self):
        """The gradient as a module."""
        return RidgeSlopes(self.ridge, self.noise_level)


class RidgeSlopes(nn.Module):
    """``x -> grad R(x)``, without weights: both of them cancel."""

    def __init__(self, ridge, noise_level):
        super().__init__()
        self.ridge, self.noise_level = ridge, noise_level

    def forward(self, x):
        return self.ridge.at(self.noise_level).gradient(x)


@lower.register
def _(f: RidgeRegularizer):
    return RidgeValues(f.ridge, f.noise_level, f.weight)
