"""Sums of learned regularizers, such as an input-convex network and a bank of filters."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from odl_learned.regularizers.certificates.convexity_rules import convexity_bound
from odl_learned.regularizers.certificates.verdicts import Bound
from odl_learned.regularizers.protocols import RegularizerAt, Summable
from odl_learned.validation import shown


class Sum(nn.Module):
    r"""A sum of regularizers, which are learned together.

    .. math:: R(x) = \sum_k R_k(x)

    Constants of gradients and moduli of weak convexity add up; a sum of convex terms is convex.

    Parameters
    ----------
    terms : sequence of Ridge, InputConvex, TotalDeepVariation or Sum
        At least one, of images of the same number of axes.

    Maps images ``(*batch, *shape)`` to values ``(*batch,)`` at the noise level one; `at` fixes
    another one.

    Raises
    ------
    TypeError
        If a term is no regularizer.
    ValueError
        If there are none, or their images have different numbers of axes.

    Source: Mukherjee et al., Learned convex regularizers for inverse problems (2020), section 4, an
    input-convex network with a quadratic term and a filter bank.
    """

    def __init__(self, terms: Sequence[nn.Module] | nn.ModuleList) -> None:
        super().__init__()
        if not isinstance(terms, list | tuple | nn.ModuleList):
            raise TypeError(f"terms is {shown(terms)}, expected a list of regularizers.")
        for k, term in enumerate(terms):
            if not isinstance(term, nn.Module) or not all(
                    hasattr(term, name) for name in ("at", "constants", "dimension")):  # fmt: skip
                raise TypeError(f"terms[{k}] is {shown(term)}, expected a regularizer, such as "
                                "regularizers.InputConvex.")
        if len({term.dimension for term in terms}) != 1:
            raise ValueError(f"terms have images of {[term.dimension for term in terms]} axes, "
                             "expected at least one term, and the same number for all.")
        self.terms = nn.ModuleList(terms)

    def _parts(self) -> list[Summable]:
        return cast(list[Summable], list(self.terms))

    @property
    def dimension(self) -> int:
        """Number of axes of an image."""
        return self._parts()[0].dimension

    @property
    def takes_complex(self) -> bool:
        """Whether all terms have values of complex images."""
        return all(term.takes_complex for term in self._parts())

    def at(self, noise_level: float | torch.Tensor = 1.0) -> "SumAt":
        """Return the regularizer at a noise level, positive, in the unit of the images."""
        return SumAt([term.at(noise_level) for term in self._parts()])

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (*batch, *shape) -> (*batch,)
        return self.at().value(x)

    def constants(self) -> tuple[float, float]:
        """Return ``(L, rho)``: Lipschitz constant of the gradient, modulus of weak convexity."""
        pairs = [term.constants() for term in self._parts()]
        return sum(L for L, _ in pairs), sum(rho for _, rho in pairs)


@dataclasses.dataclass(frozen=True)
class SumAt:
    """A `Sum` at a noise level, with value and gradient.

    Parameters
    ----------
    terms : list
        Those of the sum, at the level.
    """

    terms: list[RegularizerAt]

    def value(self, x: torch.Tensor) -> torch.Tensor:
        """Return R of images ``(*batch, *shape)``, of shape ``(*batch,)``."""
        return functools.reduce(torch.add, (term.value(x) for term in self.terms))

    def gradient(self, x: torch.Tensor) -> torch.Tensor:
        """Return the Euclidean gradient, differentiable in images and parameters."""
        return functools.reduce(torch.add, (term.gradient(x) for term in self.terms))


@convexity_bound.register
def _(net: Sum):
    bounds = [convexity_bound(term) for term in net.terms]
    return Bound(sum(bound.value for bound in bounds), "the sum over the terms")
