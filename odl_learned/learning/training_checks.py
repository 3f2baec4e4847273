"""Checks of training: its arguments before it starts, losses and gradients in every step."""

import numpy as np
import torch

from odl_learned.validation import require_positive


def require_settings(
    model, pairs, steps, optimizer, batch_size, seed, schedule, clip_norm, validation,
    validate_every, checkpoint_every,
):  # fmt: skip
    """Raise unless these arguments of `supervised.train` fit together.

    Raises
    ------
    TypeError
        If the model is no module or the optimizer no optimizer.
    ValueError
        If pairs are empty, numbers out of range, or optimizer and schedule of something else.
    """
    for name, value, kind in (
        ("model", model, torch.nn.Module), ("optimizer", optimizer, torch.optim.Optimizer),
    ):  # fmt: skip
        if not isinstance(value, kind):
            raise TypeError(
                f"{name} is of type {type(value).__name__}, expected a torch {kind.__name__}; "
                "an ODL operator becomes a module by bridge.as_module(op), and an optimizer is "
                "made with model.parameters()."
            )
    counts = dict(
        steps=steps, batch_size=batch_size, validate_every=validate_every,
        checkpoint_every=checkpoint_every,
    )  # fmt: skip
    for name, count in counts.items():
        if not isinstance(count, (int, np.integer)) or count < 1:
            raise ValueError(f"{name} is {count!r}; expected a whole number, at least 1.")
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed is {seed!r}; expected a whole number, at least 0.")
    if clip_norm is not None:
        require_positive("clip_norm", clip_norm)
    for name, sequence in (("pairs", pairs), ("validation", validation)):
        if sequence is not None and len(sequence) == 0:
            raise ValueError(f"{name} is empty; expected at least one pair (data, truth).")
    if batch_size > len(pairs):
        raise ValueError(
            f"batch_size is {batch_size}, expected at most {len(pairs)}, the number of pairs."
        )
    known = {id(parameter) for parameter in model.parameters()}
    if not known:
        raise ValueError("the model has no parameters; expected something to learn.")
    if not all(id(parameter) in known for parameter in _parameters(optimizer)):
        raise ValueError(
            "the optimizer has parameters that are not of the model; make it with "
            "model.parameters(), after the model has been moved to its device."
        )
    if isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
        raise ValueError("schedule needs a metric in each step; expected one that does not.")
    if schedule is not None and schedule.optimizer is not optimizer:
        raise ValueError("schedule was made with another optimizer; make it with this one.")


def require_loss(value, step):
    """Raise unless the loss of a step is a finite real number that torch can differentiate."""
    if not isinstance(value, torch.Tensor):
        raise TypeError(
            f"the loss is of type {type(value).__name__}, expected a real tensor of shape (); "
            "compute it with torch, without .item()."
        )
    if value.ndim or value.is_complex():
        raise ValueError(
            f"the loss is of shape {tuple(value.shape)} and dtype {value.dtype}, expected a real "
            "tensor of shape (); take the mean, for complex images of the squared modulus."
        )
    if not torch.isfinite(value):
        raise FloatingPointError(_diverged(f"the loss is {value.item()}", step))
    if not value.requires_grad:
        raise ValueError(
            "the loss does not depend on the parameters, expected one that torch can "
            "differentiate; leave out detach, numpy and no_grad in model and loss."
        )


def clip_gradient(optimizer, clip_norm, step):
    """Scale the gradient down to the norm ``clip_norm``, if one is given.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
    clip_norm : float or None
    step : int
        Number of the step, for the message.

    Raises
    ------
    FloatingPointError
        If the norm of the gradient is not finite.
    """
    bound = float("inf") if clip_norm is None else clip_norm
    norm = torch.nn.utils.clip_grad_norm_(_parameters(optimizer), bound)
    if not torch.isfinite(norm):
        raise FloatingPointError(_diverged(f"the norm of the gradient is {norm.item()}", step))


def require_finite_parameters(model, step):
    """Raise FloatingPointError unless all parameters of the model are finite."""
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise FloatingPointError(_diverged(f"the parameter {name} is not finite", step))


def _diverged(what, step):
    return (
        f"{what} in step {step}, expected finite numbers; lower the learning rate or set clip_norm "
        "and start anew. The last checkpoint, if any, is of an earlier step."
    )


def _parameters(optimizer):
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
