"""Terms of functionals in closed form: from a class of ODL to a density and its scalars."""

import functools

import odl

from odl_learned.bridge.layout import layout_of
from odl_learned.energies.expressions.blocks import Scalar
from odl_learned.energies.expressions.densities import Lengths, Squares
from odl_learned.energies.expressions.maps import AffineMap
from odl_learned.energies.expressions.missing import missing
from odl_learned.energies.expressions.terms import Term
from odl_learned.energies.potentials import Charbonnier
from odl_learned.functionals import SmoothedGroupL1


@functools.singledispatch
def term_of(functional, summand, blocks):
    r"""Return the `Term` of a leaf, ``c(theta) F(m(theta) z)``.

    A `functools.singledispatch` function: register a rule for a functional of your own.

    Parameters
    ----------
    functional : odl.functionals.Functional
        ``summand.functional``.
    summand : Summand
        Its argument is affine in the images.
    blocks : Blocks

    Returns
    -------
    term : Term

    Raises
    ------
    NotImplementedError
        If the class has no rule: names it.
    """
    raise missing(functional, "a rule in leaves.term_of, with bounds of its derivatives")


@term_of.register
def _(functional: odl.functionals.L2NormSquared, summand, blocks):
    # c |m z|^2 = 2 c m^2 (|z|^2 / 2)
    scales = summand.argument.scales
    alpha = Scalar((*summand.factors, *scales, *scales), 2 * summand.factor, blocks)
    weights = entry_weights_of(functional.domain)
    return Term(AffineMap(summand.argument, weights, 1), Squares(), alpha)


@term_of.register
def _(functional: SmoothedGroupL1, summand, blocks):
    space = functional.domain
    map = AffineMap(summand.argument, entry_weights_of(space[0]), len(space))
    return lengths_term(Charbonnier(), functional.nu, map, summand, blocks)


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
