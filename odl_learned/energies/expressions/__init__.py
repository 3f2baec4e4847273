r"""Parametric energies of ODL expressions, with certificates by rules.

`energy_of` takes a functional of images, parameters and data apart, node by node, into terms

.. math:: \alpha(\theta) \sum_g w_g \, \psi_{\nu(\theta)}(p_g), \qquad p = A x + B y + b,

and returns an `ExpressionEnergy`, which has formulas for all derivatives, and bounds of them that
follow from norms of ``A`` and intervals of ``psi``. Rules are `functools.singledispatch` functions:

- `applied` tells what a node that is affine in images and data does to its argument,
- `opened` takes a functional apart into others,
- `term_of` makes a `Term` of a functional in closed form: an `AffineMap`, a `Density`, and a
  `Scalar`, a factor that depends on the parameters,
- `row_norm` bounds the rows of an operator, where that is less than its norm.

A functional without such a rule has its derivatives by autograd, and needs bounds of them alone:
its attributes ``grad_lipschitz`` and ``weak_convexity``, numbers that may be stated of any
functional, also of the composition with a nonlinear operator, or rules of `autograd`. What has none
of these is an error that names it.

A rule in closed form for a class of your own::

    @term_of.register
    def _(functional: MyFunctional, summand, blocks):
        alpha = Scalar(summand.factors, summand.factor, blocks)
        return Term(AffineMap(summand.argument, 1.0, 1), MyDensity(), alpha)

Hold it against random points with `energies.check_energy`.
"""

from odl_learned.energies.expressions import autograd
from odl_learned.energies.expressions.arguments import applied
from odl_learned.energies.expressions.blocks import Scalar
from odl_learned.energies.expressions.densities import Density
from odl_learned.energies.expressions.gains import row_norm
from odl_learned.energies.expressions.leaves import term_of
from odl_learned.energies.expressions.maps import AffineMap
from odl_learned.energies.expressions.summands import opened
from odl_learned.energies.expressions.terms import Term

__all__ = [
    "AffineMap",
    "Density",
    "Scalar",
    "Term",
    "applied",
    "autograd",
    "opened",
    "row_norm",
    "term_of",
]
