"""The model on a batch: its objective, and its quality on the pairs of a validation."""

import torch

from odl_learned.bridge.learned.separation import evaluation_mode, require_samples_apart
from odl_learned.learning.batch import Batch, generator_of
from odl_learned.learning.training.batches import draw_batch


def require_batches_alike(model: torch.nn.Module, data: torch.Tensor) -> None:
    """Raise ValueError unless data mean the same in every batch, in evaluation mode.

    Parameters
    ----------
    model : torch.nn.Module
    data : torch.Tensor, shape (batch, *Y.shape)
        One batch; of a batch of one, a smaller copy that is turned over is the second sample.
    """
    other = (0.25 * data[0].flip(tuple(range(data.ndim - 1)))).to(data.dtype)
    with evaluation_mode(model):
        require_samples_apart(model, data[0], data[1] if len(data) > 1 else other)


def validate(model, validation, metric, device, indices=None):
    """Return the values of a metric for pairs of a validation, in evaluation mode.

    Random pairs and metrics depend on the index alone.

    Parameters
    ----------
    model : torch.nn.Module
    validation : sequence
    metric : Objective
        Its value may be any number.
    device : torch.device
        That of the model.
    indices : iterable of int, optional
        Which pairs; the default is all.
    """
    values = []
    with evaluation_mode(model), torch.no_grad():
        for i in range(len(validation)) if indices is None else indices:
            pair = draw_batch(validation, [i], "validation", device, [(0, i)])
            value = metric(model, Batch(*pair, generator_of(0, i), "in validation"))
            try:
                values.append(float(value))
            except (TypeError, ValueError, RuntimeError) as error:
                raise TypeError(
                    f"validation_metric returned a {type(value).__name__}, expected a number for a "
                    "batch of one; take the mean over its entries."
                ) from error
    return values
