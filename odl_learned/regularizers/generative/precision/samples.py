"""Some of the samples of a batch, by number."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from odl_learned.validation import shown

#: Numbers of samples, or a bool for each.
Samples = Sequence[int] | np.ndarray | torch.Tensor
#: A map of images, such as a normal operator or a preconditioner; with ``take``, if samples differ.
TensorMap = Callable[[torch.Tensor], torch.Tensor]


def numbers_of_samples(index: Samples, count: int,
                       device: torch.device | str = "cpu") -> torch.Tensor:  # fmt: skip
    """Return what chooses samples of a batch as a tensor, whole numbers or a mask.

    Parameters
    ----------
    index : sequence or tensor of int, or of ``count`` bool
        Also of none.
    count : int
        Samples of the batch.
    device : torch.device, optional

    Raises
    ------
    TypeError
        If they are no whole numbers.
    IndexError
        If a number is out of range.
    """
    try:
        chosen = torch.as_tensor(index, device=device)
    except (TypeError, ValueError, RuntimeError):
        chosen = None
    if chosen is not None and not chosen.numel():
        return chosen.long().flatten()
    if chosen is None or chosen.is_floating_point() or chosen.is_complex() or chosen.ndim != 1:
        raise TypeError(f"index is {shown(index)}, expected a list of whole numbers, those of "
                        "samples; count from 0.")
    inside = (len(chosen) == count if chosen.dtype == torch.bool
              else bool(((-count <= chosen) & (chosen < count)).all()))
    if not inside:
        raise IndexError(f"index is {shown(index)}, expected numbers of samples from 0 to "
                         f"{count - 1}, or {count} of bool.")
    return chosen
