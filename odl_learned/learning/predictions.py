"""The model on a batch: its output, its loss, and its quality on the pairs of a validation."""

import numpy as np
import torch

from odl_learned.bridge.separation import evaluation_mode, require_samples_apart
from odl_learned.learning.batches import draw_batch
from odl_learned.learning.training_checks import require_loss


def predict(
    model: torch.nn.Module, data: torch.Tensor, truth: torch.Tensor, when: str
) -> torch.Tensor:
    """Return ``model(data)``, which has to have the shape of the truth.

    Raises
    ------
    RuntimeError
        If the model fails; ``when`` says when.
    TypeError
        If it returns no tensor.
    ValueError
        If the shapes differ.
    """
    try:
        x = model(data)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError, ValueError) as error:
        raise RuntimeError(
            f"the model failed {when} on data of shape {tuple(data.shape)} and dtype {data.dtype}, "
            f"the batch axis first: {error}"
        ) from error
    if not isinstance(x, torch.Tensor):
        raise TypeError(
            f"the model returned a {type(x).__name__}, expected one tensor of the shape of the "
            f"truth, {tuple(truth.shape)}; return the image alone."
        )
    if x.shape != truth.shape:
        raise ValueError(
            f"the model maps data of shape {tuple(data.shape)} to {tuple(x.shape)}, expected "
            f"{tuple(truth.shape)}, the shape of the truth; make pairs and model with the same "
            "spaces."
        )
    return x


def loss_of(model, data, truth, loss, step):
    """Return the loss of a batch, checked to be a finite number that can be differentiated."""
    value = loss(predict(model, data, truth, f"in step {step}"), truth)
    require_loss(value, step)
    return value


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
    """Return the mean of a metric over pairs of a validation, in evaluation mode.

    Parameters
    ----------
    model : torch.nn.Module
    validation : sequence
    metric : callable
        ``(x, truth) -> number``.
    device : torch.device
        That of the model.
    indices : iterable of int, optional
        Which pairs; the default is all.
    """
    values = []
    with evaluation_mode(model), torch.no_grad():
        for i in range(len(validation)) if indices is None else indices:
            data, truth = (batch.to(device) for batch in draw_batch(validation, [i], "validation"))
            value = metric(predict(model, data, truth, "in validation"), truth)
            try:
                values.append(float(value))
            except (TypeError, ValueError, RuntimeError) as error:
                raise TypeError(
                    f"validation_metric returned a {type(value).__name__}, expected a number for a "
                    "batch of one; take the mean over its entries."
                ) from error
    return float(np.mean(values))
