"""Generative regularizers as ODL functionals, of images and latent vectors and of images alone."""

from collections.abc import Callable

import odl
import torch
from torch import nn

from odl_learned.bridge import as_functional
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.odl_validation import require_array_space
from odl_learned.regularizers.generative.descent import latent_descent, require_start
from odl_learned.regularizers.generative.determinants import Joint
from odl_learned.regularizers.generative.prior import GenerativePrior
from odl_learned.validation import require_count, require_method, require_positive, shown


def joint_functional(prior: GenerativePrior, space: odl.LinearSpace,
                     determinant: Joint | None = None) -> odl.functionals.Functional:  # fmt: skip
    r"""Return the regularizer of image and latent vector as an ODL functional on ``U x Z``.

    .. math:: R(u, z) = d(u - G(z), z) + \tfrac\mu2 |z|^2 - \tfrac w2 \log\det P(z)

    In nats, whatever the weights of U; its gradient is that in the inner product of ``U x Z``. It
    is convex in u, not in z: solvers find stationary points, without a guarantee.

    Parameters
    ----------
    prior : GenerativePrior
        In the precision of the space. Not copied.
    space : ``uniform_discr`` or ``rn`` space
        U, real images with two axes; ODL has no products of complex and real spaces.
    determinant : Joint, optional
        w; by default 1, the density.

    Returns
    -------
    functional : odl.functionals.Functional
        On ``odl.ProductSpace(space, odl.rn(latent))``, with gradient.

    Raises
    ------
    TypeError
        If an argument is of another kind.

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import regularizers
    >>> from odl_learned.networks import generative
    >>> seed = torch.Generator().manual_seed(0)
    >>> X = odl.uniform_discr([0, 0], [4, 4], (4, 4))
    >>> decoder = generative.FullyConnectedDecoder(2, (5,), 1, (4, 4), generator=seed).double()
    >>> deviations = regularizers.generative.WhiteDeviations(0.1)
    >>> prior = regularizers.generative.GenerativePrior(decoder, deviations, latent_weight=1.0)
    >>> R = regularizers.generative.joint_functional(prior, X)
    >>> images = decoder(torch.tensor([[1.0, 2.0], [0.0, 0.0]]).double())[:, 0].detach().numpy()
    >>> print(f"{R([images[0], [1, 2]]) - R([images[1], [0, 0]]):.3f}")  # |z|^2 / 2
    2.500
    """
    _require(prior, space, determinant)
    if space.field != odl.RealNumbers():
        raise TypeError(f"space is {space!r}, expected real images; for complex ones take "
                        "reduced_functional.")
    latent = odl.rn(prior.latent, dtype=space.dtype)
    return as_functional(_JointValues(prior, determinant or Joint()),
                         odl.ProductSpace(space, latent))


class _JointValues(nn.Module):
    """``(u, z) -> R(u, z)``."""

    def __init__(self, prior, determinant):
        super().__init__()
        self.prior, self.determinant = prior, determinant
        self.decoder = prior.decoder

    def forward(self, pair):
        u, z = pair
        lead = z.shape[:-1]
        if 0 in lead:
            return z.sum(-1)
        u, z = u.reshape(-1, *u.shape[len(lead):]), z.reshape(-1, z.shape[-1])
        return _values(self.prior, self.determinant, u, z).to(z.dtype).reshape(lead)


def reduced_functional(
    prior: GenerativePrior,
    space: odl.LinearSpace,
    guess: Callable[[torch.Tensor], torch.Tensor],
    determinant: Joint | None = None,
    accuracy: float = 1e-3,
    maxiter: int = 200,
) -> odl.functionals.Functional:
    r"""Return the regularizer of images alone, with the latent vector eliminated by descent.

    .. math:: R(u) = \min_z R(u, z), \qquad \nabla R(u) = \nabla_u R(u, z^*)

    with z* a stationary point that descent finds from a guess. By the envelope theorem the gradient
    needs no derivative of z*; its error is of the order of the accuracy. R is not convex, and where
    z* jumps from one local minimum to another it has no gradient: there is no guarantee for
    solvers.

    Parameters
    ----------
    prior : GenerativePrior
        In the precision of the space. Not copied.
    space : ``uniform_discr``, ``rn`` or ``cn`` space
        U, images with two axes, real or complex.
    guess : callable
        ``images (1, *shape) -> z (1, latent)``, such as ``lambda u: network.encode(u)[0]``.
    determinant : Joint, optional
        As in `joint_functional`.
    accuracy : float, optional
        Norm of the gradient in z at which descent stops, in nats.
    maxiter : int, optional
        Largest number of its steps.

    Returns
    -------
    functional : odl.functionals.Functional
        With gradient, in the inner product of the space.

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If a number is out of range; on call, if the guess has another shape.

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import regularizers
    >>> from odl_learned.networks import generative
    >>> seed = torch.Generator().manual_seed(0)
    >>> X = odl.uniform_discr([0, 0], [4, 4], (4, 4))
    >>> decoder = generative.FullyConnectedDecoder(2, (5,), 1, (4, 4), generator=seed).double()
    >>> deviations = regularizers.generative.WhiteDeviations(0.1)
    >>> prior = regularizers.generative.GenerativePrior(decoder, deviations, latent_weight=1.0)
    >>> guess = lambda u: torch.zeros(len(u), 2, dtype=u.dtype)
    >>> R = regularizers.generative.reduced_functional(prior, X, guess, accuracy=1e-6, maxiter=100)
    >>> joint = regularizers.generative.joint_functional(prior, X)
    >>> u = decoder(torch.tensor([[1.0, 2.0]]).double())[0, 0].detach().numpy()
    >>> print(R(u) <= joint([u, [1.0, 2.0]]))  # the least of all z
    True
    """
    _require(prior, space, determinant)
    require_method("guess", guess, "lambda u: network.encode(u)[0]", 1)
    require_positive("accuracy", accuracy)
    require_count("maxiter", maxiter)
    return _Reduced(prior, space, guess, determinant or Joint(), accuracy, maxiter)


class _Reduced(odl.functionals.Functional):
    def __init__(self, prior, space, guess, determinant, accuracy, maxiter):
        super().__init__(space, linear=False)
        self.prior, self.guess, self.determinant = prior, guess, determinant
        self.accuracy, self.maxiter, self.layout = accuracy, maxiter, layout_of(space)

    def minimizer(self, x):
        """Return x as a batch of one, and what descent in z finds."""
        u = self.layout.to_tensor(x)[None]
        with torch.no_grad():
            start = self.guess(u)
        require_start(start, 1, self.prior.latent)

        def objective(z, index):
            return _values(self.prior, self.determinant, u.expand(len(z), *u.shape[1:]), z)

        return u, latent_descent(objective, start, accuracy=self.accuracy, maxiter=self.maxiter)

    def _call(self, x):
        return float(self.minimizer(x)[1].value)

    @property
    def gradient(self):
        """The gradient operator, that in the inner product of the space."""
        return _ReducedGradient(self)


class _ReducedGradient(odl.Operator):
    def __init__(self, functional):
        super().__init__(functional.domain, functional.domain, linear=False)
        self.functional = functional

    def _call(self, x):
        f = self.functional
        u, found = f.minimizer(x)
        with torch.enable_grad():
            u = u.requires_grad_()
            (slope,) = torch.autograd.grad(
                _values(f.prior, f.determinant, u, found.z).sum(), u)
        return f.layout.to_element(f.layout.unweigh(slope[0]))


def _values(prior, determinant, u, z):
    return prior.objective(u, z, determinant, None)


def _require(prior, space, determinant):
    if not isinstance(prior, GenerativePrior):
        raise TypeError(f"prior is {shown(prior)}, expected a GenerativePrior.")
    require_array_space("space", space)
    if tuple(space.shape) != prior.decoder.shape:
        raise ValueError(f"space has the shape {space.shape}, expected {prior.decoder.shape}, that "
                         "of the images of the decoder.")
    if not (determinant is None or isinstance(determinant, Joint)):
        raise TypeError(f"determinant is {shown(determinant)}, expected Joint(); Marginal needs "
                        "measurements, and is for alternating.")
