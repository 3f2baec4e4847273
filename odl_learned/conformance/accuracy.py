r"""What proximals and gradients that are iterations declare of their accuracy, and what follows.

A proximal operator may bring a method ``gap(x)``: a bound of how far the objective at the point
``u = prox(x)`` that it returns is above its minimum,

.. math:: \tfrac12 |u - x|^2 + \sigma f(u) \le \min_v \tfrac12 |v - x|^2 + \sigma f(v) + \gamma(x) .

The objective is strongly convex with the constant one, so that ``e = sqrt(2 gap)`` bounds the
distance of ``u`` to the minimizer. Identities of proximals then hold up to

* ``gap / sigma`` for ``f(u) + |u - x|^2 / (2 sigma)``, which no neighbor has less of;
* ``e (3 |x - z| + e)`` with ``e = e(x) + e(z)`` for firm nonexpansiveness: with the difference
  ``d`` of the minimizers, ``|d| <= |x - z|``, and that of the errors, ``|c| <= e``,
  ``|d + c|^2 - <d + c, x - z> <= |d|^2 - <d, x - z> + 2 |d| |c| + |c|^2 + |c| |x - z|``;
* ``e`` for the identity of Moreau.

A gradient operator of a convex functional may bring a method ``gap(x)``, too: its value ``p`` at
``x`` is a subgradient up to that, for the values that are computed,

.. math:: f(z) \ge f(x) + \text{Re} \langle p, z - x \rangle - \gamma(x) \quad \text{for all } z .

Difference quotients would divide the errors of such values by a short step.
"""

import functools
import math

import numpy as np
import odl

from odl_learned.conformance.failure import require
from odl_learned.conformance.sampling import has_gradient, sample

F = odl.functionals


@functools.singledispatch
def proximal_gap(f, sigma, x):
    """Return the gap that ``f.proximal(sigma)`` declares at ``x``, zero where it declares none.

    Expressions of functionals have the gaps of what they consist of, though ODL's proximals of
    expressions do not say so.
    """
    declared = getattr(f.proximal(sigma), "gap", None)
    if declared is None:
        return 0.0
    gap = float(declared(x))
    require(0 <= gap < math.inf,
            f"the proximal declares the gap {gap}, expected a finite number of at least zero")
    return gap


def proximal_error(f, sigma, x):
    """Return a bound of the distance of ``prox(x)`` to the minimizer, from the declared gap."""
    return math.sqrt(2 * proximal_gap(f, sigma, x))


@proximal_gap.register
def _(f: F.FunctionalLeftScalarMult, sigma, x):
    return proximal_gap(f.functional, float(np.real(f.scalar)) * sigma, x)


@proximal_gap.register
def _(f: F.FunctionalRightScalarMult, sigma, x):
    # With v = s u it is the objective of f for the point s x and the step s^2 sigma, over s^2.
    s = float(np.real(f.scalar))
    return proximal_gap(f.functional, s**2 * sigma, s * x) / s**2 if s else 0.0


@proximal_gap.register
def _(f: F.FunctionalTranslation, sigma, x):
    return proximal_gap(f.functional, sigma, x - f.translation)


@proximal_gap.register
def _(f: F.functional.FunctionalDefaultConvexConjugate, sigma, x):
    # x - sigma prox(x / sigma) is off by sigma times the error of that proximal.
    return sigma**2 * proximal_gap(f.convex_conj, 1 / sigma, x / sigma)


@proximal_gap.register
def _(f: F.SeparableSum, sigma, x):
    return sum(proximal_gap(part, sigma, xi) for part, xi in zip(f.functionals, x, strict=True))


def is_approximate(op, rng):
    """Whether this is a functional whose gradient declares a gap at a sample."""
    is_functional = isinstance(op, F.Functional) and has_gradient(op)
    return is_functional and gradient_gap(op, sample(op, rng)) > 0


@functools.singledispatch
def gradient_gap(f, x):
    """Return the gap that ``f.gradient`` declares at ``x``, zero where it declares none.

    Expressions of functionals have the gaps of what they consist of, as for `proximal_gap`.
    """
    declared = getattr(f.gradient, "gap", None)
    if declared is None:
        return 0.0
    gap = float(declared(x))
    require(0 <= gap < math.inf,
            f"the gradient declares the gap {gap}, expected a finite number of at least zero")
    return gap


@gradient_gap.register
def _(f: F.FunctionalLeftScalarMult, x):
    return abs(f.scalar) * gradient_gap(f.functional, x)


@gradient_gap.register
def _(f: F.FunctionalRightScalarMult, x):
    return gradient_gap(f.functional, f.scalar * x)


@gradient_gap.register
def _(f: F.FunctionalTranslation, x):
    return gradient_gap(f.functional, x - f.translation)


@gradient_gap.register
def _(f: F.FunctionalComp, x):
    return gradient_gap(f.left, f.right(x))


@gradient_gap.register
def _(f: F.FunctionalSum, x):
    return gradient_gap(f.left, x) + gradient_gap(f.right, x)


@gradient_gap.register
def _(f: F.FunctionalQuadraticPerturb, x):
    return gradient_gap(f.functional, x)


@gradient_gap.register
def _(f: F.SeparableSum, x):
    return sum(gradient_gap(part, xi) for part, xi in zip(f.functionals, x, strict=True))
