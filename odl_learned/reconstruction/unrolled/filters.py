"""Learned filters of images that keep what is known of the methods that they are put into."""

import torch
from torch import nn

from odl_learned.validation import require_image_shape


class PositiveFilter(nn.Module):
    r"""A learned filter that is self-adjoint and positive definite, ``P = F^-1 exp(s) F``.

    .. math:: \hat p_k = \exp \tfrac12 (s_k + s_{-k}) > 0

    with periodic boundary and one parameter for every frequency; it begins as the identity.

    Parameters
    ----------
    shape : tuple of int
        That of an image, or of its last axes, along which it filters.

    Maps ``(*batch, *shape)`` to the same shape, real or complex.

    Raises
    ------
    TypeError
        If the shape is no tuple, or empty.
    ValueError
        If the shape is not one of positive whole numbers; on call, if the image has another one.

    Examples
    --------
    >>> import torch
    >>> from odl_learned import reconstruction
    >>> seed = torch.Generator().manual_seed(0)
    >>> P = reconstruction.PositiveFilter((4, 4)).double()
    >>> for parameter in P.parameters():
    ...     parameter.data = torch.randn(parameter.shape, generator=seed, dtype=parameter.dtype)
    ...
    >>> x, y = torch.randn(2, 1, 4, 4, generator=seed, dtype=torch.float64)
    >>> print(bool((x * P(x)).sum() > 0), bool(((x * P(y)).sum() - (P(x) * y).sum()).abs() < 1e-12))
    True True
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        shape = require_image_shape(shape)
        self.logarithms = nn.Parameter(torch.zeros(shape))

    @property
    def multiplier(self) -> torch.Tensor:
        """The numbers ``p``, the zero frequency first."""
        s, axes = self.logarithms, tuple(range(self.logarithms.ndim))
        mirrored = s.flip(axes).roll([1] * s.ndim, axes)
        return (0.5 * (s + mirrored)).exp()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shape = self.logarithms.shape
        if x.shape[-len(shape) :] != shape:
            raise ValueError(f"x has shape {tuple(x.shape)}, expected (*batch, "
                             f"{', '.join(map(str, shape))}), that of the filter.")
        dims = tuple(range(-len(shape), 0))
        filtered = torch.fft.ifftn(self.multiplier * torch.fft.fftn(x, dim=dims), dim=dims)
        return filtered if x.is_complex() else filtered.real
