"""Certificates of symmetric Jacobians: whether a map is a gradient."""

import torch
from torch import nn

from odl_learned import networks
from odl_learned.bridge.gradients import Gradient
from odl_learned.bridge.lowering import OperatorModule
from odl_learned.regularizers.certificates.construction import rules_of_construction, unknown
from odl_learned.regularizers.certificates.measured import examined, largest_asymmetry
from odl_learned.regularizers.certificates.verdicts import Bound, Verdict, at_most
from odl_learned.validation import require_positive


@rules_of_construction
def is_gradient(module: nn.Module) -> bool:
    """Return whether a map is the gradient of a function by construction.

    Rules are registered by class, ``is_gradient.register``.

    Examples
    --------
    >>> import torch
    >>> from odl_learned.regularizers import certificates
    >>> rotation = torch.nn.Linear(2, 2, bias=False)
    >>> rotation.weight.data = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    >>> print(certificates.is_gradient(torch.nn.ReLU()), certificates.is_gradient(rotation))
    True False
    """
    return False


@is_gradient.register(nn.Identity | nn.ReLU | nn.Tanh | nn.Softplus | nn.Sigmoid | nn.LeakyReLU
                      | networks.ConvexSpline | Gradient)
def _(module):
    return True


@is_gradient.register
def _(module: OperatorModule):
    return is_gradient(module.native)


@is_gradient.register
def _(module: networks.Averaged):
    return is_gradient(module.net)


def certify_symmetric_jacobian(
    module: nn.Module,
    tolerance: float = 1e-6,
    *,
    shape: tuple[int, ...],
    generator: torch.Generator,
) -> Verdict:
    r"""Judge the claim that a map has a symmetric Jacobian, that is, is a gradient.

    .. math:: \max_x \frac{|J(x) - J(x)^T|_F}{\sqrt 2 \, |J(x)|_F} \le \varepsilon

    Only then is there a functional behind regularization by denoising, ``x - D(x) = grad R(x)``.
    Certified is what is a gradient by construction (`is_gradient`): modules of
    `bridge.as_gradient_module`, and activations, entry by entry. A free network has about 0.9.

    Parameters
    ----------
    module : torch.nn.Module
        Maps ``(N, *shape)`` to the same shape.
    tolerance : float, optional
        ``epsilon``, positive.
    shape, generator
        As for `certify_lipschitz`.

    Returns
    -------
    verdict : Verdict
        With the witness ``(x, v)``, for which ``J(x) v`` and ``J(x)^T v`` differ most.

    Raises
    ------
    BrokenCertificateError
        If the Jacobian of a gradient is not symmetric.
    ValueError, TypeError
        For arguments that are none of these.

    Source: Reehorst, Schniter, Regularization by denoising: clarifications and new interpretations
    (2019).
    """
    require_positive("tolerance", tolerance)
    copy = examined(module, shape, generator)
    known = is_gradient(copy)
    bound = (Bound(tolerance, "a gradient by construction") if known
             else Bound(float("inf"), unknown(copy)))
    measured, witness = largest_asymmetry(copy, shape, generator)
    return at_most("the Jacobian is symmetric", tolerance, bound, measured, witness)
