"""A denoiser that is proven to be firmly nonexpansive, in the place of a functional."""

import copy
import functools
import math
from collections.abc import Callable

import odl
import torch
from odl.core.space.base_tensors import TensorSpace
from torch import nn

from odl_learned.bridge import ImplicitRegularizer, as_proximal, lower_proximal
from odl_learned.odl_validation import require_array_space
from odl_learned.reconstruction.plug_and_play.convex import is_convex
from odl_learned.regularizers.certificates import Certified, certify_firmly_nonexpansive
from odl_learned.solvers.checks import knows
from odl_learned.weights import constant_weight


class CertifiedDenoiser(odl.functionals.Functional):
    r"""A denoiser that is firmly nonexpansive by construction, which is checked here.

    .. math:: \text{prox}_{\sigma R} = D, \qquad
              |D(x) - D(y)|^2 \le \langle D(x) - D(y), x - y \rangle

    Then D is the resolvent of a maximally monotone operator (Minty), and the splitting methods of
    this room converge to a zero of the sum of it and the gradient of the data term, if there is
    one. It is a functional only as far as solvers go, with a proximal and neither value nor
    gradient: it has one if the Jacobian of D is symmetric, too.

    Parameters
    ----------
    denoiser : torch.nn.Module
        Maps images ``(*batch, *domain.shape)`` to the same shape, such as
        ``networks.OnImages(networks.Averaged(...))`` of 1-Lipschitz layers; in evaluation mode.
        Copied.
    domain : ``uniform_discr`` or ``rn`` space
        Real images, with one weight for all pixels.
    generator : torch.Generator
        Source of points and starts of the certificate.

    Attributes
    ----------
    verdict : regularizers.certificates.Certified

    Raises
    ------
    ValueError
        If it is not certified: refuted with a witness, or unknown. Or if the space has several
        weights, in whose norm the certificate does not hold.
    TypeError
        If an argument is of another kind.

    Source: Ryu et al., Plug-and-play methods provably converge with properly trained denoisers
    (2019); Pesquet et al., Learning maximally monotone operators for image recovery (2021).
    """

    def __init__(
        self, denoiser: nn.Module, domain: TensorSpace, generator: torch.Generator
    ) -> None:
        require_array_space("domain", domain)
        constant_weight("domain", domain)
        if domain.field != odl.RealNumbers():
            raise TypeError(f"domain is {domain!r}, expected real images; certificates are for "
                            "networks of real channels.")
        # A copy, which no training can change afterwards.
        self.implicit = ImplicitRegularizer(as_proximal(copy.deepcopy(denoiser), domain))
        self.verdict = certify_firmly_nonexpansive(
            denoiser, shape=tuple(domain.shape), generator=generator)
        if not isinstance(self.verdict, Certified):
            raise ValueError(
                f"the denoiser is not certified to be firmly nonexpansive: {self.verdict}. The "
                f"constant of 2 D - 1 is at least {self.verdict.measured:.4g}, expected at most 1; "
                "build it as networks.Averaged of 1-Lipschitz layers, or take "
                "bridge.ImplicitRegularizer, without a guarantee.")
        super().__init__(domain, linear=False)

    def _call(self, x):
        return self.implicit(x)

    @property
    def proximal(self) -> Callable[..., odl.Operator]:
        """The factory of the denoiser, the same for every step."""
        return self.implicit.proximal


@lower_proximal.register
def _(f: CertifiedDenoiser):
    return lower_proximal(f.implicit)


def objects_of(f):
    """The ODL functionals behind a functional, or behind its twin for batches."""
    return getattr(f, "objects", [f])


def firmness(g) -> str:
    """Why all proximals of g are firmly nonexpansive; empty where it is not known."""
    reasons = dict.fromkeys(_firmness(f) for f in objects_of(g))
    return "" if "" in reasons else "; ".join(reasons)


@functools.singledispatch
def _firmness(f):
    return "g is convex" if _all_convex([f]) and knows(f, "proximal") else ""


@_firmness.register
def _(f: CertifiedDenoiser):
    bound = math.ceil(1e6 * f.verdict.bound) / 1e6
    return f"2 D - 1 has a Lipschitz constant of at most {bound:g}, by the {f.verdict.because}"


def all_convex(f) -> bool:
    """Whether f, or what is behind its twin, is convex by construction."""
    return _all_convex(objects_of(f))


def _all_convex(objects):
    return all(isinstance(f, odl.functionals.Functional) and is_convex(f) for f in objects)
