"""`energy_of`: from an ODL functional to its parametric energy."""

import odl
from odl.functionals.functional import FunctionalComp

from odl_learned.energies.expressions.arguments import whole
from odl_learned.energies.expressions.blocks import Blocks
from odl_learned.energies.expressions.energy import ExpressionEnergy
from odl_learned.energies.expressions.leaves import term_of
from odl_learned.energies.expressions.missing import missing
from odl_learned.energies.expressions.preconditioners import ScaledSpectral
from odl_learned.energies.expressions.preconditioners.methods import Preconditioner
from odl_learned.energies.expressions.remainder import Remainder
from odl_learned.energies.expressions.summands import Summand, summands
from odl_learned.functionals import Exponential
from odl_learned.odl_validation import require_functional
from odl_learned.validation import require_method


def energy_of(functional: odl.functionals.Functional,
              preconditioner: Preconditioner | None = None) -> ExpressionEnergy:  # fmt: skip
    r"""Return the parametric energy of an ODL functional, with all derivatives and certificates.

    .. math:: E(x, \theta, y) = \sum_k c_k(\theta) \, F_k \big( m_k(\theta)
              (A_k x + B_k y + b_k) \big)

    with any linear ODL operators ``A_k``, and functionals ``F_k`` that have a rule
    (`expressions.term_of`): squared norms, smoothed lengths of groups, Huber's functional, fields
    of experts, learned ridges, linear functionals, and the likelihood of Poisson counts. Factors
    depend on the parameters, by `FunctionalProduct` and `FunctionalMultiple`. Values, gradients,
    Hessians and mixed derivatives are formulas around the lowered operators, and so are the bounds
    from above and below, the Lipschitz constants of second derivatives and their variation on
    balls, from norms of operators in closed form or, where there is none, `operator_norm`, which is
    too small with a probability of at most 1e-6.

    Any other functional that torch differentiates twice, nonlinear operators included, has
    derivatives by autograd, and bounds from rules (`expressions.autograd`) or from its
    attributes ``grad_lipschitz`` and ``weak_convexity``.

    Parameters
    ----------
    functional : odl.functionals.Functional
        On ``X x Theta x Y``, images, parameters and data; on ``X x Theta``, with fixed data; or on
        ``X``, any domain that is no product of two or three different spaces.

    preconditioner : callable, optional
        For Newton's method and for hypergradients: what makes ``v -> M^-1 v`` of the terms at a
        point. Default: ``preconditioners.ScaledSpectral()``.

    Returns
    -------
    energy : ExpressionEnergy
        For tensors ``x`` and ``data`` of the shapes ``(B, *X.shape)`` and ``(B, *Y.shape)``;
        Euclidean, its gradient is ``W`` times that of ODL with the weights ``W`` of ``X``. On ``X
        x Theta`` and ``X`` the data are not looked at.

    Raises
    ------
    TypeError
        If this is no functional.
    NotImplementedError
        If a node has neither rules nor attributes: names it, and what is missing.
    ValueError
        If a factor is negative, whatever the parameters are.
    """
    require_functional("functional", functional)
    preconditioner = ScaledSpectral() if preconditioner is None else preconditioner
    require_method("preconditioner", preconditioner, "preconditioners.ScaledSpectral()")
    blocks, terms, rest = Blocks(functional.domain), [], []
    for summand in summands(Summand(functional, whole(blocks))):
        if not summand.sees_images:
            rest.append(Remainder(summand, blocks))
        else:
            _require_sign(summand)
            terms.append(term_of(summand.functional, summand, blocks))
    if not terms:
        raise missing(functional, "a part that depends on the images")
    return ExpressionEnergy(terms, rest, blocks, preconditioner)


def _require_sign(summand):
    """Raise ValueError if a factor is a negative number, times exponentials at most."""
    others = (*summand.factors, *getattr(summand.argument, "scales", ()))
    if summand.factor < 0 and all(map(_is_exponential, others)):
        raise ValueError(
            f"{type(summand.functional).__name__} has the factor {summand.factor:g} in the energy, "
            "whatever the parameters are; expected a nonnegative number. Turn its sign; what is "
            "concave on purpose is a functional with weak_convexity, see energies.expressions.")


def _is_exponential(functional):
    while isinstance(functional, FunctionalComp):
        functional = functional.left
    return isinstance(functional, Exponential)
