"""Losses between images, and between data."""

import torch


def mean_squared_error(x: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return the mean of ``|x - truth|^2`` over all entries, real also for complex images.

    Parameters
    ----------
    x, truth : torch.Tensor
        Real or complex, of the same shape.

    Returns
    -------
    torch.Tensor, shape ()

    Raises
    ------
    ValueError
        If the shapes differ: ``(4, 1)`` and ``(4,)`` would be compared in all 16 combinations.
    TypeError
        If one of them is no tensor.
    """
    require_comparable("x", x, "the truth", truth)
    difference = x - truth
    if difference.is_complex():
        difference = torch.view_as_real(difference.resolve_conj())
        return 2 * difference.square().mean()  # twice as many entries as images have
    return difference.square().mean()


def require_comparable(name: str, x: torch.Tensor, other: str, y: torch.Tensor) -> None:
    """Raise unless two named tensors have one shape and one device.

    Raises
    ------
    TypeError
        If one of them is no tensor.
    ValueError
        If shapes or devices differ.
    """
    for what, value in ((name, x), (other, y)):
        if not isinstance(value, torch.Tensor):
            raise TypeError(f"{what} is of type {type(value).__name__}, expected a tensor; for "
                            "arrays and elements there are the measures of odl_learned.metrics.")
    if x.shape != y.shape:
        raise ValueError(
            f"{name} has shape {tuple(x.shape)} and {other} {tuple(y.shape)}, expected equal "
            "shapes; reshape one of them, or let the model return images of the shape of the truth."
        )
    if x.device != y.device:
        raise ValueError(f"{name} is on {x.device} and {other} on {y.device}, expected one device; "
                         "move one of them with .to(device).")
