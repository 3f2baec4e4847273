r"""Bounds of derivatives of functionals without a closed form, by rules.

All norms are those of the spaces. With ``|F'| <= f_1`` and Lipschitz constants ``f_2, f_3`` of
``F'`` and ``F''``, and ``|g'| <= s``, ``l <= g'' <= u``, a Lipschitz constant ``t`` of ``g''``:

.. math:: (g \circ F)'' = F'^* \, g''(F) \, F' + \langle g'(F), F'' \rangle
          \in [\min(l, 0) f_1^2 - s f_2, \; \max(u, 0) f_1^2 + s f_2] .
"""

import math
from typing import NamedTuple

import odl
from odl.core.operator.operator import (
    OperatorComp,
    OperatorLeftScalarMult,
)
from odl.functionals.functional import (
    FunctionalComp,
    FunctionalQuadraticPerturb,
    FunctionalSum,
    FunctionalTranslation,
)

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.dispatch import rules_by_class
from odl_learned.energies.expressions.autograd.rates import rates_of, times
from odl_learned.energies.expressions.blocks import Blocks
from odl_learned.energies.expressions.missing import missing
from odl_learned.energies.potentials import Charbonnier
from odl_learned.functionals import KullbackLeiblerFidelity, SmoothedGroupL1
from odl_learned.operators.norms.factors import adjoint_of
from odl_learned.operators.norms.operator_norms import operator_norm
from odl_learned.validation import is_finite_number


class Bounds(NamedTuple):
    """What holds for a functional everywhere, in the inner product of its domain.

    Parameters
    ----------
    slope : float
        Bound of the norm of the gradient; infinite where unknown, and needed under nonlinear
        operators only.
    lower, upper : float
        Bounds of the second derivative, finite; ``lower`` is negative where it is not convex.
    third : float
        Lipschitz constant of the second derivative; infinite where unknown: then hypergradients
        have no bounds.
    """

    slope: float
    lower: float
    upper: float
    third: float


@rules_by_class(odl.Operator, "_call")
def bounds_of(functional: odl.functionals.Functional, blocks: Blocks) -> Bounds:
    r"""Return the `Bounds` of a functional without a closed form.

    A `functools.singledispatch` function: register a rule for a functional of your own. Without
    one, its attributes count: ``grad_lipschitz`` L, finite, and ``weak_convexity`` rho, with ``-rho
    <= f'' <= L``; without the latter ``-L <= f'' <= L``.

    Parameters
    ----------
    functional : odl.functionals.Functional
    blocks : Blocks
        Of the whole domain; bounds of functionals on that are for the images alone.

    Raises
    ------
    NotImplementedError
        If nothing is known: names the class.

    Examples
    --------
    >>> import math
    >>> import odl
    >>> from odl_learned.energies.expressions import autograd
    >>> class LogCosh(odl.functionals.Functional):
    ...     def __init__(self, space):
    ...         super().__init__(space, linear=False)
    ...
    >>> @autograd.bounds_of.register
    ... def _(functional: LogCosh, blocks):
    ...     return autograd.Bounds(slope=math.inf, lower=0.0, upper=1.0, third=1.0)
    ...
    >>> print(autograd.bounds_of(LogCosh(odl.rn(2)), None))
    Bounds(slope=inf, lower=0.0, upper=1.0, third=1.0)
    """
    found = stated(functional)
    if found is None:
        raise missing(functional, "a rule in leaves.term_of or autograd.bounds_of, or the "
                      "attributes grad_lipschitz, a number, and weak_convexity")  # fmt: skip
    return found


def known_bounds(functional, blocks):
    """Return the `Bounds` that are stated of an expression of ODL, or those of its rule."""
    found = stated(functional) if is_stated(functional) else None
    return bounds_of(functional, blocks) if found is None else found


def is_stated(functional):
    """Whether constants were stated of this expression: nothing of ODL has a weak convexity."""
    return type(functional).__module__.startswith("odl.") and "weak_convexity" in vars(functional)


def stated(functional):
    """Return the `Bounds` of the attributes of a functional, or None."""
    L, rho = (getattr(functional, name, None) for name in ("grad_lipschitz", "weak_convexity"))
    if not is_finite_number(L) or L < 0:
        return None
    if not is_finite_number(rho):
        rho = L
    return Bounds(math.inf, -float(rho), float(L), math.inf)


def under(bounds, rates):
    """Return the `Bounds` of a functional of an operator."""
    slope, lower, upper, third = bounds
    f1, f2, f3 = rates
    bent, most = times(slope, f2), max(abs(lower), abs(upper))
    return Bounds(times(slope, f1), times(min(lower, 0.0), f1, f1) - bent,
                  times(max(upper, 0.0), f1, f1) + bent,
                  times(third, f1, f1, f1) + times(3, most, f1, f2) + times(slope, f3))


def _multiple(bounds, factor):
    slope, lower, upper, third = (times(factor, part) for part in bounds)
    return Bounds(abs(slope), min(lower, upper), max(lower, upper), abs(third))


@bounds_of.register
def _(functional: KullbackLeiblerFidelity, blocks):
    raise missing(functional, "PoissonLikelihood(background, most), which is smooth everywhere")


@bounds_of.register
def _(functional: odl.functionals.ConstantFunctional, blocks):
    return Bounds(0.0, 0.0, 0.0, 0.0)


@bounds_of.register
def _(functional: odl.functionals.L2NormSquared, blocks):
    return Bounds(math.inf, 2.0, 2.0, 0.0)


@bounds_of.register
def _(functional: odl.functionals.QuadraticForm, blocks):
    # <z, A z> + <z, b> has the second derivative A + A*.
    op, b = functional.operator, functional.vector
    if op is None:
        return Bounds(0.0 if b is None else float(b.norm()), 0.0, 0.0, 0.0)
    norm = 2 * operator_norm(op)
    return Bounds(math.inf, 0.0 if is_normal(op) else -norm, norm, 0.0)


# int phi(|z|) with weights w: the gradient phi'(|z_g|) z_g / |z_g| is at most one, entry by entry,
# and |z_g| <= |z| / min w^1/2.
@bounds_of.register
def _(functional: SmoothedGroupL1, blocks):
    constants = Charbonnier().constants(functional.nu)
    return _of_lengths(functional.domain[0], constants.curvature, constants.third)


@bounds_of.register
def _(functional: odl.functionals.Huber, blocks):
    if not functional.gamma > 0:
        raise missing(functional, "a positive gamma: without it there is no gradient")
    space = functional.domain
    space = space[0] if isinstance(space, odl.ProductSpace) else space
    return _of_lengths(space, 1 / float(functional.gamma), math.inf)


def is_normal(op):
    """Whether this is ``B* B`` as it is written, which is not negative."""
    if not isinstance(op, OperatorComp):
        return False
    adjoint = adjoint_of(op.right)
    return adjoint is not None and (adjoint is op.left or adjoint_of(op.left) is op.right)


def _of_lengths(space, curvature, third):
    weights = layout_of(space).weigh(layout_of(space).to_tensor(space.one())).real.double()
    return Bounds(math.sqrt(float(weights.sum())), 0.0, curvature,
                  third / math.sqrt(float(weights.min())))  # fmt: skip


@bounds_of.register
def _(functional: FunctionalComp, blocks):
    found = under(known_bounds(functional.left, blocks), rates_of(functional.right, blocks))
    if not math.isfinite(found.upper - found.lower):
        raise missing(functional, f"bounds of its second derivative: that of "
                      f"{type(functional.left).__name__} has no bounded slope. State "
                      "grad_lipschitz and weak_convexity of the composition")  # fmt: skip
    return found


@bounds_of.register
def _(functional: FunctionalSum, blocks):
    return Bounds(*map(sum, zip(known_bounds(functional.left, blocks),
                                known_bounds(functional.right, blocks), strict=True)))  # fmt: skip


@bounds_of.register
def _(functional: OperatorLeftScalarMult, blocks):
    return _multiple(known_bounds(functional.operator, blocks), float(functional.scalar.real))


@bounds_of.register
def _(functional: FunctionalTranslation, blocks):
    return known_bounds(functional.functional, blocks)


@bounds_of.register
def _(functional: FunctionalQuadraticPerturb, blocks):
    found, a = known_bounds(functional.functional, blocks), float(functional.quadratic_coeff.real)
    return found._replace(slope=math.inf, lower=found.lower + 2 * a, upper=found.upper + 2 * a)
