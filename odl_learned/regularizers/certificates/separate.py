"""Certificates that samples of a batch do not influence each other: mostly, that they do."""

import torch
from torch import nn

from odl_learned.regularizers.certificates.construction import is_unaltered
from odl_learned.regularizers.certificates.measured import examined, random_points
from odl_learned.regularizers.certificates.verdicts import Bound, Verdict, at_most
from odl_learned.validation import require_positive

#: Layers that never look across a batch, in either mode or in evaluation mode.
ALWAYS = (nn.Identity, nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d,
          nn.ConvTranspose2d, nn.ConvTranspose3d, nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.Tanh,
          nn.Softplus, nn.Sigmoid, nn.ELU, nn.GroupNorm, nn.Unflatten)  # fmt: skip
IN_EVALUATION = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.Dropout)


def certify_separate_samples(
    module: nn.Module,
    tolerance: float = 1e-6,
    *,
    shape: tuple[int, ...],
    generator: torch.Generator,
) -> Verdict:
    r"""Judge the claim that a map of batches is a map of samples.

    .. math:: |N((x, z))_1 - N((x))_1| \le \varepsilon |N((x))_1|

    A gradient that depends on the rest of the batch, as with batch normalization in training mode
    or a loss that is a mean over the batch, is the gradient of nothing. Certified are chains of
    layers that are known never to look across.

    Parameters
    ----------
    module : torch.nn.Module
        Maps ``(N, *shape)`` to ``(N, ...)``.
    tolerance : float, optional
        ``epsilon``, positive.
    shape, generator
        As for `certify_lipschitz`.

    Returns
    -------
    verdict : Verdict
        With the witness ``(x, z)``: the two samples.

    Raises
    ------
    BrokenCertificateError
        If a layer that should not look across a batch does.
    ValueError, TypeError
        For arguments that are none of these.

    Examples
    --------
    >>> import torch
    >>> from odl_learned.regularizers import certificates
    >>> class MinusMean(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x - x.mean(0)  # of the samples, by mistake
    ...
    >>> seed = torch.Generator().manual_seed(0)
    >>> for module in (torch.nn.ReLU(), MinusMean()):
    ...     verdict = certificates.certify_separate_samples(module, shape=(4,), generator=seed)
    ...     print(type(verdict).__name__)
    ...
    Certified
    Refuted
    """
    require_positive("tolerance", tolerance)
    copy = examined(module, shape, generator)
    layers = list(copy) if is_unaltered(copy, [nn.Sequential]) else [copy]
    strange = [type(layer).__name__ for layer in layers if not _is_separate(layer)]
    bound = (Bound(float("inf"), f"no rule for {', '.join(strange)}") if strange
             else Bound(tolerance, "a chain of layers that see one sample"))  # fmt: skip
    worst, witness = 0.0, None
    points = list(random_points(shape, generator, count=2))
    for x, z in zip(points[::2], points[1::2], strict=True):
        with torch.no_grad():
            alone, among = copy(x)[0], copy(torch.cat([x, 3 * z]))[0]
        size = float(alone.norm())
        value = float((alone - among).norm()) / size if size > 0 else float(among.norm())
        if witness is None or value > worst:
            worst, witness = value, (x[0], 3 * z[0])
    return at_most("samples stay apart", tolerance, bound, worst, witness)


def _is_separate(layer):
    return is_unaltered(layer, ALWAYS) or (is_unaltered(layer, IN_EVALUATION)
                                           and not layer.training)
