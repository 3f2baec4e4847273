"""Certificates of local homogeneity: maps that are linear along rays."""

import torch
from torch import nn

from odl_learned import networks
from odl_learned.regularizers.certificates.construction import rules_of_construction, unknown
from odl_learned.regularizers.certificates.measured import examined, random_points
from odl_learned.regularizers.certificates.verdicts import Bound, Verdict, at_most
from odl_learned.validation import require_positive


@rules_of_construction
def is_homogeneous(module: nn.Module) -> bool:
    """Return whether ``N(t x) = t N(x)`` for ``t > 0``, by construction.

    Rules are registered by class, ``is_homogeneous.register``.
    """
    return False


@is_homogeneous.register(nn.Identity | nn.ReLU | nn.LeakyReLU | nn.PReLU | nn.Flatten | nn.Unflatten
                         | nn.MaxPool1d | nn.MaxPool2d | nn.MaxPool3d | nn.AvgPool1d | nn.AvgPool2d
                         | nn.AvgPool3d | networks.GroupSort)
def _(module):
    return True


@is_homogeneous.register(nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose1d
                         | nn.ConvTranspose2d | nn.ConvTranspose3d)
def _(layer):
    return layer.bias is None or not bool(layer.bias.any())


@is_homogeneous.register
def _(net: nn.Sequential):
    return all(map(is_homogeneous, net))


@is_homogeneous.register
def _(net: networks.Averaged):
    return is_homogeneous(net.net)


@is_homogeneous.register
def _(net: networks.OnImages):
    return is_homogeneous(net.net)


def certify_homogeneous(
    module: nn.Module,
    tolerance: float = 1e-6,
    *,
    shape: tuple[int, ...],
    generator: torch.Generator,
) -> Verdict:
    r"""Judge the claim that a map is locally homogeneous of degree one.

    .. math:: \max_x \frac{|N'(x) x - N(x)|}{|N(x)|} \le \varepsilon

    Chains of layers without biases, with activations that are linear on both sides of zero, are.

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
        With the witness ``(x, x)``, where the difference is largest.

    Raises
    ------
    BrokenCertificateError
        If a map that is homogeneous by construction is not.
    ValueError, TypeError
        For arguments that are none of these.

    Source: Reehorst, Schniter, Regularization by denoising: clarifications and new interpretations
    (2019), lemma 2.

    Examples
    --------
    >>> import torch
    >>> from odl_learned.regularizers import certificates
    >>> seed = torch.Generator().manual_seed(0)
    >>> for module in (torch.nn.ReLU(), torch.nn.Tanh()):
    ...     verdict = certificates.certify_homogeneous(module, shape=(4,), generator=seed)
    ...     print(certificates.is_homogeneous(module), type(verdict).__name__)
    ...
    True Certified
    False Refuted
    """
    require_positive("tolerance", tolerance)
    copy = examined(module, shape, generator)
    bound = (Bound(tolerance, "homogeneous layers") if is_homogeneous(copy)
             else Bound(float("inf"), unknown(copy)))  # fmt: skip
    worst, witness = 0.0, None
    for x in random_points(shape, generator, count=2):
        with torch.no_grad():
            y, along = torch.func.jvp(copy, (x,), (x,))[:2]
        size, rest = float(y.norm()), float((along - y).norm())
        value = rest / size if size > 0 else rest
        if witness is None or value > worst:
            worst, witness = value, (x[0], x[0])
    return at_most("the map is locally homogeneous", tolerance, bound, worst, witness)
