"""Checks of the steps of training: losses, gradients and parameters."""

import inspect

import torch


def needs_closure(optimizer):
    """Whether the optimizer evaluates the loss itself, as LBFGS does, by ``step(closure)``."""
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


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
    norm = torch.nn.utils.clip_grad_norm_(parameters_of(optimizer), bound)
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


def parameters_of(optimizer):
    """Return the parameters of all groups of an optimizer."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
