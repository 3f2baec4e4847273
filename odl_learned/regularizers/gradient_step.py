r"""Gradient-step denoisers: ``D = Id - grad g``, so that there is a functional behind them."""

import odl
import torch
from torch import nn

from odl_learned.bridge import as_functional
from odl_learned.networks.images import require_dimension, require_network
from odl_learned.odl_validation import require_array_space
from odl_learned.regularizers.certificates import is_gradient
from odl_learned.validation import shown
from odl_learned.weights import constant_weight


class GradientStepDenoiser(nn.Module):
    r"""A denoiser that is a gradient step of half the squared residual of a network.

    .. math:: D(x) = x - \nabla g(x), \qquad g(x) = \tfrac12 |x - N(x)|^2, \qquad
              \nabla g(x) = \big( 1 - N'(x)^T \big) (x - N(x))

    So its Jacobian is symmetric for every network, and `gradient_step_functional` is its
    regularizer, exactly. It is trained as any denoiser.

    Parameters
    ----------
    net : torch.nn.Module
        N, maps images ``(*batch, *shape)``, real or complex, to the same shape, sample by sample;
        with smooth activations g is smooth.
    dimension : int
        Number of axes of an image.

    Maps images ``(*batch, *shape)`` to the same shape.

    Raises
    ------
    TypeError
        If the network is no module.
    ValueError
        If the network returns another shape.

    Source: Hurault, Leclaire, Papadakis, Gradient step denoiser for convergent plug-and-play
    (2022); Cohen et al., It has potential: gradient-driven denoisers (2021).

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> import torch
    >>> from odl_learned import networks, regularizers
    >>> X, seed = odl.uniform_discr([0, 0], [4, 4], (4, 4)), torch.Generator().manual_seed(0)
    >>> net = networks.CNN(1, 1, width=4, depth=2, dimension=2, generator=seed).double()
    >>> net = networks.OnImages(net, dimension=2)
    >>> denoiser = regularizers.GradientStepDenoiser(net, dimension=2)
    >>> g = regularizers.gradient_step_functional(denoiser, X)  # the denoiser is I - grad g
    >>> y = X.one()
    >>> denoised = denoiser(torch.ones(1, 4, 4, dtype=torch.float64))[0].detach()
    >>> print(np.abs(denoised.numpy() - (y - g.gradient(y)).data).max() < 1e-12)
    True
    """

    def __init__(self, net: nn.Module, *, dimension: int) -> None:
        super().__init__()
        require_network(net)
        require_dimension(dimension)
        self.net, self.dimension = net, dimension

    def potential(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``g`` of images ``(*batch, *shape)``, of shape ``(*batch,)``."""
        rest = x - _images(self.net, x)
        return 0.5 * rest.abs().square().sum(tuple(range(-self.dimension, 0)))

    def gradient(self, x: torch.Tensor) -> torch.Tensor:
        """Return the Euclidean gradient of g, differentiable in the parameters."""
        y, pull_back = torch.func.vjp(lambda z: _images(self.net, z), x)[:2]
        rest = x - y
        return rest - pull_back(rest)[0]

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (*batch, *shape) -> (*batch, *shape)
        return x - self.gradient(x)


is_gradient.register(GradientStepDenoiser, lambda module: True)


class Potential(nn.Module):
    """``x -> w g(x)``, with the gradient in the space of weight w."""

    def __init__(self, denoiser, weight):
        super().__init__()
        self.denoiser, self.weight = denoiser, weight

    def forward(self, x):
        return self.weight * self.denoiser.potential(x)


def gradient_step_functional(
    denoiser: GradientStepDenoiser, space: odl.LinearSpace
) -> odl.functionals.Functional:
    r"""Return the regularizer of a gradient-step denoiser as an ODL functional.

    .. math:: R(x) = \tfrac12 |x - N(x)|_X^2, \qquad \nabla R(x) = x - D(x)

    Parameters
    ----------
    denoiser : GradientStepDenoiser
        In evaluation mode, of the dtype of the space. Not copied.
    space : ``uniform_discr``, ``rn`` or ``cn`` space
        Images, with one weight for all entries.

    Returns
    -------
    functional : odl.functionals.Functional
        With gradient and Hessian; its Lipschitz constant is not known.

    Raises
    ------
    TypeError
        If the denoiser is none, or the space.
    ValueError
        If the space has other axes or several weights, or samples influence each other.
    """
    if not isinstance(denoiser, GradientStepDenoiser):
        raise TypeError(f"denoiser is {shown(denoiser)}, expected a GradientStepDenoiser; other "
                        "denoisers are functionals only by red_functional.")
    weight = weight_of(space, denoiser.dimension)
    return as_functional(Potential(denoiser, weight), space)


def weight_of(space, dimension=None):
    """The one weight of a space of images of this many axes; raise if it is none."""
    require_array_space("space", space)
    if dimension is not None and space.ndim != dimension:
        raise ValueError(f"space has {space.ndim} axes, expected {dimension}, those of the images "
                         "of the denoiser; build it with another dimension.")
    return constant_weight("space", space)


def _images(net, x):
    y = net(x)
    if not isinstance(y, torch.Tensor) or y.shape != x.shape:
        given = tuple(y.shape) if isinstance(y, torch.Tensor) else type(y).__name__
        raise ValueError(f"the network returned {given}, expected a tensor {tuple(x.shape)}, of "
                         "the shape of its input; wrap networks of channels in networks.OnImages.")
    return y
