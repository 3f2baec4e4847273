"""Plug and play by forward-backward steps: proximal gradient, and half-quadratic splitting."""

import math
from collections.abc import Callable

import numpy as np

from odl_learned.reconstruction.plug_and_play.answers import Answer, Convergence, NoGuarantee
from odl_learned.reconstruction.plug_and_play.denoisers import all_convex, firmness
from odl_learned.reconstruction.plug_and_play.iteration import iterate, require_parts
from odl_learned.reconstruction.plug_and_play.stopping import Below
from odl_learned.solvers import Discrepancy
from odl_learned.solvers.arithmetic.samples import restricted, samples_of
from odl_learned.solvers.checks import known_constant, per_sample
from odl_learned.solvers.types import Image, Numbers, Proximable, Smooth

NOT_FIRM = ("nothing proves the denoiser to be firmly nonexpansive; CertifiedDenoiser does, for "
            "networks that are")  # fmt: skip
NOT_CONVEX = "the data term is not known to be convex"


def proximal_gradient(
    f: Smooth[Image],
    g: Proximable[Image],
    x0: Image,
    accuracy: Numbers | None,
    maxiter: int,
    tau: Numbers | None = None,
    until: Below | Discrepancy | None = None,
    callback: Callable[[Image], object] | None = None,
) -> Answer[Image]:
    r"""Iterate gradient steps of the data term and a denoiser.

    .. math:: u_{k+1} = \text{prox}_{\tau g} \big( u_k - \tau \nabla f(u_k) \big)

    With a firmly nonexpansive denoiser, a convex f and ``tau < 2 / L``, it is a composition of
    averaged maps, which converges to a fixed point if there is one.

    Parameters
    ----------
    f : functional
        The data term, with ``f.gradient(x)``, such as `functionals.LeastSquares`.
    g : functional
        With ``g.proximal(tau)(x)``: a functional of ODL, `bridge.ImplicitRegularizer` with a
        denoiser, or a `CertifiedDenoiser`. For batches both are twins, ``bridge.as_batch(f)``.
    x0 : element of the space, or batch of tensors ``(B, *shape)``
        Not changed. In a batch every sample stops for itself.
    accuracy : float, array (B,) or None
        Of the fixed-point residual, ``|z_{k+1} - z_k| <= accuracy |u_{k+1}|``; here ``z = u``.
        None: stop by `until` or `maxiter`.
    maxiter : int
        Largest number of iterations, at least one.
    tau : float or array (B,), optional
        Step, positive. Default: ``1 / f.grad_lipschitz``.
    until : Below or solvers.Discrepancy, optional
        Another rule to stop by, asked for every image.
    callback : callable, optional
        Called with the images after each iteration.

    Returns
    -------
    answer : Answer

    Raises
    ------
    DivergenceError
        If steps grow although they are proven not to: a certificate or a constant is wrong.
    TypeError, ValueError
        If a gradient or proximal is missing, or a number is out of bounds.

    Source: Venkatakrishnan, Bouman, Wohlberg, Plug-and-play priors for model based reconstruction
    (2013); Bauschke, Combettes, Convex analysis and monotone operator theory (2011), Thm 5.14 and
    Prop. 4.32, for the convergence.
    """
    require_parts("proximal_gradient", f, "gradient", g, until)
    samples = samples_of(x0, getattr(g, "domain", None))
    declared = getattr(f, "grad_lipschitz", math.nan)
    L = np.broadcast_to(np.asarray(declared, dtype=float), (samples.size,))
    if tau is None:
        tau = 1 / known_constant("lipschitz", None, declared, samples)
        tau = samples.number(tau)
    tau = per_sample("tau", tau, samples)
    step = _GradientStep(f, g, tau)
    return iterate("proximal_gradient", step, x0, accuracy, maxiter, until, callback,
                   _guarantee(f, g, tau, L))  # fmt: skip


def _guarantee(f, g, tau, L):
    firm = firmness(g)
    if not firm:
        return NoGuarantee(NOT_FIRM)
    if not all_convex(f):
        return NoGuarantee(NOT_CONVEX)
    if not np.all(tau * L < 2):
        return NoGuarantee(f"tau is not known to be below 2 / L, with L = {np.max(L):g}")
    return Convergence(f"{firm}; f is convex and tau < 2 / L")


def half_quadratic(
    f: Proximable[Image],
    g: Proximable[Image],
    x0: Image,
    accuracy: Numbers | None,
    maxiter: int,
    tau: Numbers,
    until: Below | Discrepancy | None = None,
    callback: Callable[[Image], object] | None = None,
) -> Answer[Image]:
    r"""Alternate the proximal of the data term and a denoiser.

    .. math:: u_{k+1} = \text{prox}_{\tau g} \big( \text{prox}_{\tau f}(u_k) \big)

    With a firmly nonexpansive denoiser and a convex f it converges to a fixed point if there is
    one, for every step. It is proximal gradient on the Moreau envelope of f, and so another point
    than that of the other methods.

    Parameters
    ----------
    f : functional
        The data term, with ``f.proximal(tau)(x)``.
    g, x0, accuracy, maxiter, until, callback
        As for `proximal_gradient`.
    tau : float or array (B,)
        Step, positive; larger ones weigh the data more.

    Returns
    -------
    answer : Answer

    Raises
    ------
    DivergenceError, TypeError, ValueError
        As for `proximal_gradient`.

    Source: Geman, Yang, Nonlinear image recovery with half-quadratic regularization (1995); Zhang
    et al., Learning deep CNN denoiser prior for image restoration (2017).
    """
    require_parts("half_quadratic", f, "proximal", g, until)
    tau = per_sample("tau", tau, samples_of(x0, getattr(g, "domain", None)))
    return iterate("half_quadratic", _Alternation(f, g, tau), x0, accuracy, maxiter, until,
                   callback, guarantee_of_proximals(f, g))  # fmt: skip


def guarantee_of_proximals(f, g):
    """What is proven for compositions of two proximals, or of their reflections."""
    firm = firmness(g)
    if not firm:
        return NoGuarantee(NOT_FIRM)
    return Convergence(f"{firm}; f is convex") if all_convex(f) else NoGuarantee(NOT_CONVEX)


class Steps:
    """What the maps of all methods hold: two functionals, and steps of samples."""

    def __init__(self, f, g, tau):
        self.f, self.g, self.tau = f, g, tau

    def take(self, index):
        """The same for some of the samples."""
        return type(self)(restricted(self.f, index), restricted(self.g, index), self.tau[index])

    def number(self, z):
        """The steps as the functionals take them."""
        samples = samples_of(z, getattr(self.g, "domain", None))
        return samples, samples.number(self.tau)


class _GradientStep(Steps):
    def __call__(self, z):
        samples, tau = self.number(z)
        u = self.g.proximal(tau)(samples.add(z, -tau, self.f.gradient(z)))
        return u, u


class _Alternation(Steps):
    def __call__(self, z):
        _, tau = self.number(z)
        u = self.g.proximal(tau)(self.f.proximal(tau)(z))
        return u, u
