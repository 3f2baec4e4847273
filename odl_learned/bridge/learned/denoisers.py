"""``as_proximal``: a denoiser in the place of a proximal, in ODL's own solvers (plug and play)."""

from collections.abc import Callable

import odl
from torch import nn

from odl_learned.bridge.learned.module_operators import ModuleOperator
from odl_learned.bridge.learned.to_odl import as_operator, require_module
from odl_learned.bridge.proximals.lowering import lower_proximal, opaque
from odl_learned.validation import require_method, require_positive


class DenoiserProximal:
    """A denoiser for every step; see :func:`as_proximal`."""

    def __init__(self, denoiser, domain):
        self.operator = as_operator(denoiser, domain, domain)

    def __call__(self, sigma: float = 1.0) -> odl.Operator:
        require_positive("sigma", sigma)
        return self.operator

    def as_module(self):
        """The map ``(x, sigma) -> denoiser(x)`` as a module."""
        return WithoutStep(self.operator.module)


class SteppedProximal:
    """A denoiser that takes the step; see :func:`as_stepped_proximal`."""

    def __init__(self, denoiser, domain):
        as_operator(AtStep(denoiser, 1.0), domain, domain)  # once, since solvers ask for many steps
        self.denoiser, self.domain = denoiser, domain

    def __call__(self, sigma: float = 1.0) -> odl.Operator:
        require_positive("sigma", sigma)
        return ModuleOperator(AtStep(self.denoiser, float(sigma)), self.domain, self.domain)

    def as_module(self):
        """The map ``(x, sigma) -> denoiser(x, sigma)``, the denoiser itself."""
        return self.denoiser


class WithoutStep(nn.Module):
    """``(x, sigma) -> denoiser(x)``."""

    def __init__(self, denoiser):
        super().__init__()
        self.denoiser = denoiser

    def forward(self, x, sigma):
        return self.denoiser(x)


class AtStep(nn.Module):
    """``x -> denoiser(x, sigma)`` at a fixed step."""

    def __init__(self, denoiser, sigma):
        super().__init__()
        require_module(denoiser)
        self.denoiser, self.sigma = denoiser, sigma

    def forward(self, x):
        return self.denoiser(x, self.sigma)


class ImplicitRegularizer(odl.functionals.Functional):
    r"""A regularizer that is known only by its proximal, such as that of a denoiser.

    .. math:: \text{prox}_{\sigma R} = D_\sigma

    It has no value and no gradient. ODL's ``pdhg``, ``proximal_gradient`` and ``admm_linearized``
    ask for neither, and take it in the place of any functional; its convex conjugate has the
    proximal of Moreau's identity. Whether there is a convex functional with this proximal, and
    with it a limit of the iterates, depends on the denoiser: it must be firmly nonexpansive with a
    symmetric Jacobian (Moreau, *Bull. Soc. Math. France* 93, 1965, Proposition 7.c).

    Parameters
    ----------
    proximal : callable
        A proximal factory in the sense of ODL, ``proximal(sigma)`` an operator on images, such as
        ``as_proximal(denoiser, domain)``.

    Raises
    ------
    TypeError
        If ``proximal(1.0)`` is not an operator from a space to itself.
    """

    def __init__(self, proximal: Callable[..., odl.Operator]) -> None:
        is_factory = callable(proximal) and not isinstance(proximal, nn.Module)
        if is_factory and not isinstance(proximal, type):  # operators of ODL are factories, too
            require_method("proximal", proximal, "as_proximal(denoiser, domain)", 1)
        operator = proximal(1.0) if is_factory else None
        if not isinstance(operator, odl.Operator) or operator.domain != operator.range:
            raise TypeError(
                f"proximal is {proximal!r}, expected a factory: a function of the step to an "
                "operator from a space to itself. Build it with as_proximal(denoiser, domain)."
            )
        super().__init__(operator.domain, linear=False)
        self._proximal = proximal

    def _call(self, x):
        raise NotImplementedError(
            "a regularizer that is given by its proximal has no value, and one was asked for. Use "
            "a solver that takes proximals only, without line search and callbacks on the energy."
        )

    @property
    def proximal(self) -> Callable[..., odl.Operator]:
        """The factory."""
        return self._proximal


def as_proximal(denoiser: nn.Module, domain: odl.LinearSpace) -> DenoiserProximal:
    r"""Return a denoiser as an ODL proximal factory, the same denoiser for every step.

    .. math:: \text{factory}(\sigma)(x) = D(x)

    This is plug and play: the strength of regularization is that of the denoiser, not of the step.

    Parameters
    ----------
    denoiser : torch.nn.Module
        Maps images ``(*batch, *domain.shape)`` to the same shape; in evaluation mode. A network of
        channels ``(N, C, H, W)`` fits ``domain = space**C``, one without them is wrapped in
        ``networks.OnImages``.
    domain : odl.LinearSpace
        Space of images, of the dtype of the denoiser.

    Returns
    -------
    factory : callable
        ``factory(sigma)`` is an ``odl.Operator`` from ``domain`` to ``domain``.

    Raises
    ------
    TypeError
        If the denoiser is not a module.

    References
    ----------
    S. Venkatakrishnan, C. Bouman, B. Wohlberg, *Plug-and-play priors for model based
    reconstruction*, IEEE GlobalSIP 2013.
    """
    return DenoiserProximal(denoiser, domain)


def as_stepped_proximal(denoiser: nn.Module, domain: odl.LinearSpace) -> SteppedProximal:
    r"""Return a denoiser that takes the step as an ODL proximal factory.

    .. math:: \text{factory}(\sigma)(x) = D(x, \sigma)

    The inverse of `as_proximal_module`: ``as_stepped_proximal(as_proximal_module(f), f.domain)`` is
    ``f.proximal``. A proximal with step :math:`\sigma` removes noise of *variance* :math:`\sigma`;
    a denoiser of a ``noise_level`` is called with :math:`\sqrt{\sigma}`.

    Parameters
    ----------
    denoiser : torch.nn.Module
        Maps images ``(*batch, *domain.shape)`` and a positive float to images of the same shape.
    domain : odl.LinearSpace
        Space of images, of the dtype of the denoiser.

    Returns
    -------
    factory : callable
        ``factory(sigma)`` is an ``odl.Operator`` from ``domain`` to ``domain``.

    Raises
    ------
    TypeError
        If the denoiser is not a module.
    ValueError
        On call of the factory, if the step is not positive.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import bridge, functionals
    >>> X = odl.rn(2)
    >>> shrink = bridge.as_proximal_module(odl.functionals.L1Norm(X))
    >>> proximal = bridge.as_stepped_proximal(shrink, X)
    >>> print(proximal(1.0)([3.0, -0.5]), proximal(2.0)([3.0, -0.5]))
    [ 2., -0.] [ 1., -0.]
    """
    return SteppedProximal(denoiser, domain)


@lower_proximal.register
def _(f: ImplicitRegularizer):
    factory = f.proximal
    return factory.as_module() if hasattr(factory, "as_module") else opaque(f)
