"""Mixed precision as a value: what autocast and a gradient scaler of torch do to a step."""

from contextlib import nullcontext
from typing import final

import torch

from odl_learned.learning.training.step_checks import clip_gradient, needs_closure, parameters_of

#: A scale below this says that gradients are infinite at any scale.
LEAST_SCALE = 2.0**-14


@final
class MixedPrecision:
    """Networks in half precision; weights, operators, images and losses in that of the weights.

    Under ``torch.autocast`` convolutions and products run in bfloat16 or float16, from weights that
    remain float32. Operators of `bridge.as_module` are left alone by it, since sparse products and
    Fourier transforms are not there in bfloat16, or lose digits of the data; what networks return
    becomes an image in the precision of the images before it meets them.

    Parameters
    ----------
    autocast : torch.autocast
        Such as ``torch.autocast("cuda", torch.bfloat16)``; used anew in every step.
    scaler : torch.amp.GradScaler, optional
        Scales the loss up, so that small gradients are not lost in float16, which needs it; its
        state is part of checkpoints. Steps whose scaled gradients are infinite are left out.

    Validation runs in full precision, as the model does after training.

    Raises
    ------
    TypeError
        If they are of other types.
    ValueError
        For float16 without a scaler.
    """

    def __init__(
        self, autocast: torch.autocast, scaler: torch.amp.GradScaler | None = None
    ) -> None:
        if not isinstance(autocast, torch.autocast):
            raise TypeError(f"autocast is {autocast!r}, expected a torch.autocast, such as "
                            'torch.autocast("cpu", torch.bfloat16).')
        if scaler is not None and not isinstance(scaler, torch.amp.GradScaler):
            raise TypeError(f"scaler is {scaler!r}, expected a torch.amp.GradScaler or None.")
        if autocast.fast_dtype == torch.float16 and scaler is None:
            raise ValueError("autocast is to float16, in which small gradients become zero; pass "
                             "scaler=torch.amp.GradScaler(device), or use torch.bfloat16.")
        self.autocast, self.scaler = autocast, scaler

    def __repr__(self) -> str:
        scaled = "" if self.scaler is None else ", scaled"
        return f"{self.autocast.fast_dtype} on {self.autocast.device}{scaled}"


class Updates:
    """Gradients and steps of an optimizer, in mixed precision or not.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
    clip_norm : float or None
    precision : MixedPrecision or None
    """

    def __init__(self, optimizer, clip_norm, precision):
        self.optimizer, self.clip_norm, self.precision = optimizer, clip_norm, precision
        self.scaler = None if precision is None else precision.scaler
        self.needs_closure = needs_closure(optimizer)
        if self.needs_closure and self.scaler is not None:
            raise ValueError(
                f"{type(optimizer).__name__} evaluates the loss several times in a step, which a "
                "gradient scaler does not allow; use torch.bfloat16 without one."
            )
        for parameter in parameters_of(optimizer) if precision is not None else ():
            if parameter.dtype in (torch.bfloat16, torch.float16):
                raise ValueError(
                    f"a parameter is {parameter.dtype}, expected the weights in float32: autocast "
                    "converts them where they are used. Leave out model.to(...) or model.half()."
                )

    def evaluating(self):
        """A context for the loss."""
        return nullcontext() if self.precision is None else self.precision.autocast

    def differentiate(self, value, step):
        """Leave the gradients of a loss in the parameters, clipped."""
        if self.scaler is None:
            value.backward()
            clip_gradient(self.optimizer, self.clip_norm, step)
            return
        self.scaler.scale(value).backward()
        self.scaler.unscale_(self.optimizer)
        bound = float("inf") if self.clip_norm is None else self.clip_norm
        torch.nn.utils.clip_grad_norm_(parameters_of(self.optimizer), bound)

    def update(self, step):
        """Do a step after `differentiate`; return whether the parameters were changed."""
        if self.scaler is None:
            self.optimizer.step()
            return True
        before = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.scaler.get_scale() < LEAST_SCALE:
            raise FloatingPointError(
                f"the gradient is not finite in step {step} at a scale of {before:g}, nor was it "
                "in steps before; lower the learning rate, or use torch.bfloat16."
            )
        return self.scaler.get_scale() >= before
