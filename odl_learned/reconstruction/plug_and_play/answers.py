"""What plug-and-play methods give back: images, why they stopped, and what is proven of them."""

import abc
import dataclasses
from typing import Generic, NamedTuple

import numpy as np

from odl_learned.solvers.types import Image


@dataclasses.dataclass(frozen=True)
class Guarantee(abc.ABC):
    """Abstract: what is proven of an iteration; `Convergence`, `Monotone` or `NoGuarantee`.

    Parameters
    ----------
    because : str
        The proof in a sentence, or what is missing for one.
    """

    because: str


class Convergence(Guarantee):
    """The iterates converge to a fixed point, if there is one, and steps never grow longer."""

    def __str__(self):
        return f"converges to a fixed point, if there is one: {self.because}"


class Monotone(Guarantee):
    """The objective never increases.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import functionals
    >>> from odl_learned.reconstruction import plug_and_play
    >>> X = odl.uniform_discr([0, 0], [4, 4], (4, 4))
    >>> f = functionals.LeastSquares(odl.IdentityOperator(X), X.one())
    >>> g = functionals.SmoothedTV(X, 0.1, 0.1, 0.1)
    >>> answer = plug_and_play.descent(f, g, X.zero(), accuracy=1e-8, maxiter=100, tau=0.5)
    >>> isinstance(answer.guarantee, plug_and_play.Monotone)
    True
    >>> isinstance(answer.guarantee, plug_and_play.Guarantee)
    True
    >>> print(answer.guarantee)
    the objective never increases: every step is shortened until f + g falls
    """

    def __str__(self):
        return f"the objective never increases: {self.because}"


class NoGuarantee(Guarantee):
    """Nothing is known: the iteration may converge, circle, or diverge.

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import bridge, functionals
    >>> from odl_learned.reconstruction import plug_and_play
    >>> X = odl.uniform_discr([0, 0], [2, 2], (2, 2))
    >>> f = functionals.LeastSquares(odl.IdentityOperator(X), X.one())
    >>> g = bridge.ImplicitRegularizer(bridge.as_proximal(torch.nn.Tanh(), X))  # any network
    >>> answer = plug_and_play.proximal_gradient(f, g, X.zero(), 1e-8, maxiter=100, tau=0.5)
    >>> isinstance(answer.guarantee, plug_and_play.NoGuarantee)
    True
    >>> print(answer.guarantee.because.split(";")[0])
    nothing proves the denoiser to be firmly nonexpansive
    """

    def __str__(self):
        return f"no guarantee: {self.because}"


class Answer(NamedTuple, Generic[Image]):
    """Result of a plug-and-play method.

    For one ODL element all numbers are Python numbers; for a batch they are numpy arrays with one
    entry per sample.

    Parameters
    ----------
    x : element or batch
        The images; not a number, in every pixel, for samples that diverged.
    guarantee : Guarantee
    niter : int or array
    reason : str or array
        ``"accuracy"``: the fixed-point residual is as small as asked for.
        ``"below"``: an energy came down to its limit. ``"discrepancy"``: the residual of the data
        came down to the noise.
        ``"maxiter"``: the iterations ran out before that.
        ``"rounding"``: the objective falls by less than rounding errors.
        ``"diverged"``: values are not finite, or steps grew, see `iteration.GROWTH`.
    residual : float or array
        ``|z_{k+1} - z_k|``, the length of the last step.
    objective : float, array or None
        Of `descent`.
    """

    x: Image
    guarantee: Guarantee
    niter: int | np.ndarray
    reason: str | np.ndarray
    residual: float | np.ndarray
    objective: float | np.ndarray | None = None
