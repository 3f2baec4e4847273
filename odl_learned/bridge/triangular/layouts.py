"""Images ``(*lead, N, [C,] H, W)``, real or complex, as real ones ``(M, N, C, H, W)`` and back."""

import math

import torch


def packed(u: torch.Tensor, count: int, axes: int) -> torch.Tensor:
    """Return images as real ones ``(M, N, C, H, W)``; both parts of complex ones count as two.

    Parameters
    ----------
    u : tensor ``(*lead, N, C, H, W)``, or ``(*lead, N, H, W)`` for ``axes = 2``
        With one set of coefficients, ``N = 1``, all axes before the image are leading ones.
    count : int
        ``N``.
    axes : int
        Of one image: 2, or 3 with channels.
    """
    if u.is_complex():
        u = torch.view_as_real(u).movedim(-1, 0)
    shape = u.shape[u.ndim - axes :]
    if axes == 2:
        shape = (1, *shape)
    lead = math.prod(u.shape[: u.ndim - axes]) // count
    return u.reshape(lead, count, *shape)


def unpacked(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return ``(M, N, C, H, W)`` in the layout of the images that they were packed from."""
    if like.is_complex():
        real, imag = x.reshape(2, *like.shape)
        return torch.complex(real, imag)
    return x.reshape(like.shape)


def stacked(info, in_dims, *tensors):
    """Return tensors under ``vmap`` as larger ones: the mapped axis joins that of coefficients.

    Parameters
    ----------
    info, in_dims
        As `torch.autograd.Function.vmap` gets them.
    tensors : tensors
        Images have five axes and coefficients four, without the mapped one.
    """
    result = []
    for t, dim in zip(tensors, in_dims):
        t = t.expand(info.batch_size, *t.shape) if dim is None else t.movedim(dim, 0)
        result.append(t.transpose(0, 1).flatten(1, 2) if t.ndim == 6 else t.flatten(0, 1))
    return result


def unstacked(x, size):
    """Return what `stacked` made, with the mapped axis first again."""
    if x.ndim == 5:
        return x.unflatten(1, (size, x.shape[1] // size)).transpose(0, 1)
    return x.unflatten(0, (size, len(x) // size))
