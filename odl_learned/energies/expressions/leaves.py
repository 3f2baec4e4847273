"""Terms of functionals in closed form: from a class of ODL to a density and its scalars."""

import dataclasses

import odl
import torch
from odl.core.operator.operator import OperatorComp

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.dispatch import rules_by_class
from odl_learned.energies import huber_intervals  # noqa: F401  (registers its rule)
from odl_learned.energies.expressions.arguments import applied
from odl_learned.energies.expressions.autograd.term import AutogradTerm
from odl_learned.energies.expressions.blocks import Blocks, Scalar
from odl_learned.energies.expressions.counts import Counts
from odl_learned.energies.expressions.densities import Lengths, Products, Squares
from odl_learned.energies.expressions.maps import AffineMap, double
from odl_learned.energies.expressions.missing import missing
from odl_learned.energies.expressions.summands import Summand
from odl_learned.energies.expressions.terms import Term
from odl_learned.energies.potentials import Charbonnier, HuberPotential
from odl_learned.functionals import (
    FieldsOfExperts,
    KullbackLeiblerFidelity,
    PoissonLikelihood,
    SmoothedGroupL1,
)


@rules_by_class(odl.Operator, "_call")
def term_of(
    functional: odl.functionals.Functional, summand: Summand, blocks: Blocks
) -> Term | AutogradTerm:
    r"""Return the `Term` of a leaf, ``c(theta) F(m(theta) z)``.

    A `functools.singledispatch` function: register a rule for a functional of your own. Without one
    derivatives are by autograd, and bounds those of `bounds_of`.

    Parameters
    ----------
    functional : odl.functionals.Functional
        ``summand.functional``.
    summand : Summand
        Its argument is affine in the images.
    blocks : Blocks

    Returns
    -------
    term : Term or AutogradTerm

    Raises
    ------
    NotImplementedError
        If nothing is known of the class: names it.
    """
    return AutogradTerm(summand, blocks)


@term_of.register
def _(functional: odl.functionals.L2NormSquared, summand, blocks):
    # c |m z|^2 = 2 c m^2 (|z|^2 / 2)
    scales = summand.argument.scales
    alpha = Scalar((*summand.factors, *scales, *scales), 2 * summand.factor, blocks)
    weights = entry_weights_of(functional.domain)
    return Term(AffineMap(summand.argument, weights, 1), Squares(), alpha)


@term_of.register
def _(functional: odl.functionals.QuadraticForm, summand, blocks):
    # <z, b>: what summands.opened leaves of it
    if functional.operator is not None:
        return AutogradTerm(summand, blocks)
    scales, layout = summand.argument.scales, layout_of(functional.domain)
    alpha = Scalar((*summand.factors, *scales), summand.factor, blocks)
    density = Products(double(layout.to_tensor(functional.vector))[None])
    return Term(AffineMap(summand.argument, layout.weight, 1), density, alpha)


@term_of.register
def _(functional: SmoothedGroupL1, summand, blocks):
    space = functional.domain
    map = AffineMap(summand.argument, entry_weights_of(space[0]), len(space))
    return lengths_term(Charbonnier(), functional.nu, map, summand, blocks)


@term_of.register
def _(functional: odl.functionals.Huber, summand, blocks):
    space = functional.domain
    if not functional.gamma > 0:
        raise missing(functional, "a positive gamma: without it there is no gradient")
    if isinstance(space, odl.ProductSpace):
        map = AffineMap(summand.argument, entry_weights_of(space[0]), len(space))
    else:
        map = AffineMap(summand.argument, entry_weights_of(space), 1)
    return lengths_term(HuberPotential(), float(functional.gamma), map, summand, blocks)


@term_of.register
def _(functional: FieldsOfExperts, summand, blocks):
    # alpha_k int sqrt(|f_k * u|^2 + nu^2): every response is a group, with the weight alpha_k
    argument = applied(functional.bank, summand.argument)
    layout = layout_of(functional.bank.range)
    alphas = torch.as_tensor(functional.alphas).reshape(-1, *[1] * functional.domain.ndim)
    weights = alphas * entry_weights_of(functional.domain) * torch.ones(
        layout.shape, dtype=torch.float64)  # fmt: skip
    inner = dataclasses.replace(summand, argument=argument)
    return lengths_term(Charbonnier(), functional.nu, AffineMap(argument, weights, 1), inner,
                        blocks)  # fmt: skip


@term_of.register
def _(functional: PoissonLikelihood, summand, blocks):
    pair = summand.argument
    if pair.scales:
        raise missing(functional, "no factor of parameters inside; put it in front")
    mean, counts = (_cleaned(applied(odl.ComponentProjection(functional.domain, i), pair))
                    for i in (0, 1))
    if counts.image is not None:
        raise missing(functional, "counts that do not depend on the images")
    density = Counts(counts, functional.background, functional.most)
    alpha = Scalar(summand.factors, summand.factor, blocks)
    return Term(AffineMap(mean, entry_weights_of(functional.domain[0]), 1), density, alpha)


@term_of.register
def _(functional: KullbackLeiblerFidelity, summand, blocks):
    raise missing(functional, "PoissonLikelihood(background, most), which is smooth everywhere: "
                  "this one is infinite below zero")  # fmt: skip


def lengths_term(potential, nu, map, summand, blocks):
    r"""Return the term of ``c phi_nu(|m p|) = c m phi_{nu / m}(|p|)``.

    Parameters
    ----------
    potential : Potential
        Positively homogeneous of degree one in length and ``nu`` together.
    nu : float
    map : AffineMap
        ``p``.
    summand : Summand
        With factors ``c`` and scales ``m``.
    blocks : Blocks
    """
    scales = summand.argument.scales
    alpha = Scalar((*summand.factors, *scales), summand.factor, blocks)
    return Term(map, Lengths(potential), alpha, Quotient(nu, Scalar(scales, 1.0, blocks)))


class Quotient:
    """``params -> c / m(params)``.

    Parameters
    ----------
    factor : float
    scalar : Scalar
    """

    def __init__(self, factor, scalar):
        self._factor, self._scalar = factor, scalar
        self.is_learned = scalar.is_learned

    def __call__(self, params):
        """Return the number, a tensor without axes."""
        return self._factor / self._scalar(params)


def entry_weights_of(space):
    """Return the weights of the inner product, a float or a tensor of the shape of the layout."""
    return layout_of(space).weight


def _cleaned(argument):
    """Return an argument without the blocks of a column of operators that it does not look at."""
    return dataclasses.replace(argument, image=_row(argument.image), data=_row(argument.data))


def _row(op):
    if isinstance(op, OperatorComp) and isinstance(op.left, odl.ComponentProjection) and isinstance(
            op.right, odl.BroadcastOperator):  # fmt: skip
        op = op.right.operators[op.left.index]
    return None if isinstance(op, odl.ZeroOperator) else op
