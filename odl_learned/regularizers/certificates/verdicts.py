"""Verdicts on claims: certified with a bound, refuted with a witness, or unknown."""

import abc
import dataclasses
from typing import NamedTuple

import torch

#: Relative error of what is measured in double precision, by jvp and vjp through some layers.
MEASURED = 1e-9


class BrokenCertificateError(ArithmeticError):
    """A value was attained that a bound excludes: a rule of the certificate is wrong."""


class Bound(NamedTuple):
    """A bound that follows from the construction, and why.

    Parameters
    ----------
    value : float
        Infinite (for convexity: minus infinite) where nothing is known.
    because : str
        How it follows, or what is not known.
    """

    value: float
    because: str


@dataclasses.dataclass(frozen=True)
class Verdict(abc.ABC):
    """Abstract: what is known of a claim; one of `Certified`, `Refuted`, `Unknown`.

    Parameters
    ----------
    claim : str
    bound : float
        From the construction, infinite where nothing is known.
    measured : float
        Attained, by Lanczos' iteration on the derivative.
    because : str
        Where the bound is from, or what is not known.
    witness : tuple of tensors
        What attains the measured value, without batch axis: points, then a direction.
    """

    claim: str
    bound: float
    measured: float
    because: str
    witness: tuple[torch.Tensor, ...] = dataclasses.field(repr=False)


class Certified(Verdict):
    """The claim holds, by the bound."""


class Refuted(Verdict):
    """The claim does not hold, by the witness."""


class Unknown(Verdict):
    """The bound is too large for the claim, and nothing was found that contradicts it."""


def at_most(claim, allowed, bound, measured, witness, scale=0.0):
    """Return the verdict on "a quantity is at most ``allowed``", given a bound and a value of it.

    Parameters
    ----------
    claim : str
    allowed : float
    bound : Bound
    measured : float
    witness : tuple of tensors
    scale : float, optional
        Of what the measured value is a small difference of.

    Raises
    ------
    BrokenCertificateError
        If the measured value is above the bound.
    """
    slack = MEASURED * max(abs(measured), scale)
    facts = (bound.value, measured, bound.because, witness)
    if not measured - slack <= bound.value:
        raise BrokenCertificateError(
            f"{claim}: a value of {measured} was attained, which is above the bound {bound.value} "
            f"({bound.because}); expected at most it. A rule that was registered is wrong.")
    if bound.value <= allowed:
        return Certified(claim, *facts)
    return (Refuted if measured - slack > allowed else Unknown)(claim, *facts)


def negated(verdict):
    """Return the verdict with the signs of bound and measured value changed."""
    return dataclasses.replace(verdict, bound=-verdict.bound, measured=-verdict.measured)
