r"""Certificates of the norms of convolutions, and of several one after the other."""

import math
from collections.abc import Sequence

import torch
from torch import nn

from odl_learned.networks.boundaries import ROUNDING, Circular, symbols
from odl_learned.networks.lipschitz import BoundedConvolution
from odl_learned.regularizers.certificates.construction import is_unaltered
from odl_learned.regularizers.certificates.lipschitz_rules import (
    chained,
    dense_kernel,
    lipschitz_bound,
)
from odl_learned.regularizers.certificates.measured import examined, steepest
from odl_learned.regularizers.certificates.verdicts import Bound, Verdict, at_most
from odl_learned.validation import require_positive, shown

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d,
                nn.ConvTranspose3d, BoundedConvolution)  # fmt: skip


def certify_convolution(
    layer: nn.Module,
    claim: float = 1.0,
    *,
    shape: tuple[int, ...],
    generator: torch.Generator,
) -> Verdict:
    r"""Judge the claim that a convolution has at most a norm, with the boundary that it uses.

    .. math:: |K| \le c

    Circular: exact, the largest singular value of the symbol over the frequencies of the image.
    Zero: that of the circular convolution of which it is a part. Reflecting: the bound of
    `networks.Reflecting`. Paddings of torch that copy entries: the symbol, times the root of the
    number of copies. The symbol alone is no bound then, nor is ever the norm of the kernel as a
    matrix of ``out`` rows.

    Parameters
    ----------
    layer : torch.nn.Module
        A convolution of torch, transposed or not, or of `networks`.
    claim : float, optional
        ``c``, positive.
    shape : tuple of int
        Of one sample, ``(C, *image)``.
    generator : torch.Generator
        Source of the starts of the iteration.

    Returns
    -------
    verdict : Verdict
        With the witness ``(x, h)``: ``|K h| / |h|`` is the measured value.

    Raises
    ------
    BrokenCertificateError
        If the measured norm is above the bound.
    ValueError, TypeError
        For arguments that are none of these.

    Examples
    --------
    >>> import torch
    >>> from odl_learned.regularizers import certificates
    >>> seed = torch.Generator().manual_seed(0)
    >>> layer = torch.nn.Conv2d(1, 1, 3, padding=1, bias=False)
    >>> torch.nn.init.constant_(layer.weight, 1 / 9).shape  # means of nine pixels
    torch.Size([1, 1, 3, 3])
    >>> verdict = certificates.certify_convolution(layer, 1.0001, shape=(1, 8, 8), generator=seed)
    >>> isinstance(verdict, certificates.Certified)
    True
    >>> verdict = certificates.certify_product([layer, layer], 0.5, shape=(1, 8, 8), generator=seed)
    >>> isinstance(verdict, certificates.Refuted)
    True
    """
    if not isinstance(layer, CONVOLUTIONS):
        raise TypeError(f"layer is {shown(layer)}, expected a convolution; for networks use "
                        "certify_lipschitz.")
    return certify_product([layer], claim, shape=shape, generator=generator)


def certify_product(
    layers: Sequence[nn.Module],
    claim: float = 1.0,
    *,
    shape: tuple[int, ...],
    generator: torch.Generator,
) -> Verdict:
    r"""Judge the claim that convolutions one after the other have at most a norm.

    .. math:: |K_m \cdots K_1| \le c

    For circular ones of stride one it is exact, the norm of the product of the symbols. Otherwise
    the bound is the product of the norms: with zero padding in every layer the image of an impulse
    does not determine the norm, which can be 1 where that image is 0.

    Parameters
    ----------
    layers : sequence of torch.nn.Module
        The first one is applied first.
    claim, shape, generator
        As for `certify_convolution`.

    Returns
    -------
    verdict : Verdict

    Raises
    ------
    BrokenCertificateError, ValueError, TypeError
        As there.
    """
    require_positive("claim", claim)
    if not isinstance(layers, list | tuple) or not all(isinstance(k, CONVOLUTIONS) for k in layers):
        raise TypeError(f"layers are {shown(layers)}, expected a list of convolutions; for "
                        "networks use certify_lipschitz.")
    product = examined(nn.Sequential(*layers), shape, generator)
    measured, witness = steepest(product, shape, generator)
    parts = list(product)
    bound = lipschitz_bound(parts[0], shape) if len(parts) == 1 else chained(parts, shape)
    if len(parts) > 1 and all(_is_circular(part) for part in parts):
        bound = min(bound, _of_symbols(parts, shape))
    return at_most(f"the norm is at most {claim:g}", claim, bound, measured, witness)


def _is_circular(layer):
    if not is_unaltered(layer, CONVOLUTIONS):
        return False
    if isinstance(layer, BoundedConvolution):
        return isinstance(layer.boundary, Circular)
    return (getattr(layer, "padding_mode", "") == "circular" and set(layer.stride) == {1}
            and layer.padding == tuple(d * (k // 2) for d, k in
                                       zip(layer.dilation, layer.kernel_size))
            and all(k % 2 for k in layer.kernel_size))  # fmt: skip


def _of_symbols(layers, shape):
    """The norm of a product of circular convolutions, from the product of their symbols.

    Entry ``s // 2`` is the center of all kernels, which shifts symbols and keeps norms.
    """
    with torch.no_grad():
        total = None
        for layer in layers:
            ours = isinstance(layer, BoundedConvolution)
            kernel = layer.kernel() if ours else dense_kernel(layer)
            if any(s > n for s, n in zip(kernel.shape[2:], shape[1:], strict=True)):
                return Bound(math.inf, "kernels longer than the image")
            factor = symbols(kernel.double(), shape[1:]).movedim(2, 0)
            total = factor if total is None else factor @ total
        value = float(torch.linalg.matrix_norm(total, 2).amax()) * (1 + ROUNDING)
    return Bound(value, "symbol of the product")
