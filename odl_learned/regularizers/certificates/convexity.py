"""Certificates of convexity and of weak convexity of functionals."""

import torch
from torch import nn

from odl_learned.regularizers.certificates.convexity_rules import convexity_bound
from odl_learned.regularizers.certificates.measured import examined, least_curvature
from odl_learned.regularizers.certificates.verdicts import Bound, Verdict, at_most, negated
from odl_learned.validation import is_finite_number, shown


def certify_convexity(
    module: nn.Module,
    modulus: float = 0.0,
    *,
    shape: tuple[int, ...],
    generator: torch.Generator,
) -> Verdict:
    r"""Judge the claim that a functional is convex, strongly convex or weakly convex.

    .. math:: f - \tfrac{m}{2} |\cdot|^2 \text{ is convex}
              \quad \Leftrightarrow \quad
              \langle \nabla f(x) - \nabla f(y), x - y \rangle \ge m |x - y|^2

    With m = 0 it is convex, with ``m = -rho`` it is ``rho``-weakly convex. The bound follows from
    signs of weights and kinds of activations (`convexity_bound`); the measured value is the least
    curvature between two points, also across kinks.

    Parameters
    ----------
    module : torch.nn.Module
        Maps ``(N, *shape)`` to ``(N,)``, differentiable almost everywhere.
    modulus : float, optional
        ``m``.
    shape : tuple of int
        Of one sample without batch axis.
    generator : torch.Generator
        Source of points and starts.

    Returns
    -------
    verdict : Verdict
        ``bound`` and ``measured`` are moduli, the bound below the measured value; the witness is
        the pair ``(x, y)`` that has the measured curvature.

    Raises
    ------
    BrokenCertificateError
        If a curvature below the bound was found.
    ValueError, TypeError
        For arguments that are none of these.
    """
    if not is_finite_number(modulus):
        raise ValueError(f"modulus is {shown(modulus)}; expected a finite number, 0.0 for convex.")
    copy = examined(module, shape, generator)
    bound = convexity_bound(copy)
    least, pair, largest = least_curvature(copy, shape, generator)
    # "-m is at most -modulus": all signs are changed, and changed back.
    verdict = at_most(f"f - {modulus:g}/2 |.|^2 is convex", -modulus,
                      Bound(-bound.value, bound.because), -least, pair, largest)  # fmt: skip
    return negated(verdict)
