"""What plug-and-play methods give back: images, why they stopped, and what is proven of them."""

import abc
import dataclasses
from typing import Any, NamedTuple


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
    """The objective never increases."""

    def __str__(self):
        return f"the objective never increases: {self.because}"


class NoGuarantee(Guarantee):
    """Nothing is known: the iteration may converge, circle, or diverge."""

    def __str__(self):
        return f"no guarantee: {self.because}"


class Answer(NamedTuple):
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

    x: Any
    guarantee: Guarantee
    niter: Any
    reason: Any
    residual: Any
    objective: Any = None
