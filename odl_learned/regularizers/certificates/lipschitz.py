"""Certificates of Lipschitz constants of networks, and of firm nonexpansiveness."""

import torch
from torch import nn

from odl_learned.networks import Averaged, OnImages
from odl_learned.regularizers.certificates.construction import is_unaltered
from odl_learned.regularizers.certificates.lipschitz_rules import lipschitz_bound
from odl_learned.regularizers.certificates.measured import examined, steepest
from odl_learned.regularizers.certificates.verdicts import Bound, Verdict, at_most
from odl_learned.validation import require_positive


def certify_lipschitz(
    module: nn.Module,
    claim: float = 1.0,
    *,
    shape: tuple[int, ...],
    generator: torch.Generator,
) -> Verdict:
    r"""Judge the claim that a network has at most a Lipschitz constant.

    .. math:: |N(x) - N(y)| \le c |x - y|

    The bound is a product over layers, sums over branches (`lipschitz_bound`); layers without a
    rule, such as normalization by the statistics of the batch, make it infinite. The measured
    value is the largest ``|N'(x) h| / |h|`` that Lanczos' iteration found: random pairs would find
    far less, they pass maps of twice the constant.

    Parameters
    ----------
    module : torch.nn.Module
    claim : float, optional
        ``c``, positive.
    shape : tuple of int
        Of one sample without batch axis: ``(C, *image)`` for networks of channels.
    generator : torch.Generator
        Source of points and starts.

    Returns
    -------
    verdict : Verdict
        With the witness ``(x, h)``: ``|N'(x) h| / |h|`` is the measured value.

    Raises
    ------
    BrokenCertificateError
        If the measured value is above the bound.
    ValueError, TypeError
        For arguments that are none of these.

    Examples
    --------
    >>> import torch
    >>> from odl_learned.regularizers import certificates
    >>> layer, seed = torch.nn.Linear(2, 2, bias=False), torch.Generator().manual_seed(0)
    >>> layer.weight.data = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    >>> bound = certificates.lipschitz_bound(layer, (2,))
    >>> isinstance(bound, certificates.Bound)
    True
    >>> print(f"{bound.value:.3f}")
    3.000
    >>> for claim in (4.0, 2.0):
    ...     verdict = certificates.certify_lipschitz(layer, claim, shape=(2,), generator=seed)
    ...     print(type(verdict).__name__, isinstance(verdict, certificates.Verdict))
    ...
    Certified True
    Refuted True
    """
    require_positive("claim", claim)
    copy = examined(module, shape, generator)
    measured, witness = steepest(copy, shape, generator)
    bound = lipschitz_bound(copy, shape)
    return at_most(f"the Lipschitz constant is at most {claim:g}", claim, bound, measured, witness)


def certify_firmly_nonexpansive(
    module: nn.Module, *, shape: tuple[int, ...], generator: torch.Generator
) -> Verdict:
    r"""Judge the claim that a map is firmly nonexpansive, as proximals are.

    .. math:: |D(x) - D(y)|^2 \le \langle D(x) - D(y), x - y \rangle
              \quad \Leftrightarrow \quad |2 D - 1|_{\text{Lip}} \le 1.

    For `networks.Averaged` the map ``2 D - 1`` is the network inside, whose Lipschitz bound is
    taken; for other maps nothing is known from their construction.

    Parameters
    ----------
    module : torch.nn.Module
    shape, generator
        As for `certify_lipschitz`.

    Returns
    -------
    verdict : Verdict
        Its numbers are those of ``2 D - 1``, the witness ``(x, h)`` has ``|2 D'(x) h - h| / |h|``
        as measured value.

    Raises
    ------
    BrokenCertificateError, ValueError, TypeError
        As there.

    Source: Bauschke, Combettes, Convex analysis and monotone operator theory (2011), Prop. 4.4.

    Examples
    --------
    >>> import torch
    >>> from odl_learned import networks
    >>> from odl_learned.regularizers import certificates
    >>> seed = torch.Generator().manual_seed(0)
    >>> for module in (networks.Averaged(torch.nn.ReLU()), torch.nn.ReLU(), torch.nn.Linear(4, 4)):
    ...     verdict = certificates.certify_firmly_nonexpansive(module, shape=(4,), generator=seed)
    ...     print(type(verdict).__name__, isinstance(verdict, certificates.Unknown))
    ...
    Certified False
    Unknown True
    Refuted False
    """
    copy = examined(module, shape, generator)
    measured, witness = steepest(lambda x: 2 * copy(x) - x, shape, generator)
    inner, inside = copy, shape
    if is_unaltered(inner, [OnImages]):
        inner, inside = inner.net, (getattr(inner.net, "in_channels", 1), *shape)
    if is_unaltered(inner, [Averaged]):
        bound = lipschitz_bound(inner.net, inside)
    else:
        bound = Bound(float("inf"), f"{type(inner).__name__} is no networks.Averaged")
    return at_most("the map is firmly nonexpansive", 1.0, bound, measured, witness)
