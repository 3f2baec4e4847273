"""Checks at the doors of energies and bilevel learning: shapes, kinds, parameters, samples."""

from typing import Any

import torch

from odl_learned.validation import shown


def require_kind(name: str, value: Any, kind: type | tuple[type, ...], next_step: str) -> None:
    """Raise TypeError unless the value is of a class of this room."""
    if not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        names = " or ".join(each.__name__ for each in kinds)
        raise TypeError(f"{name} is {shown(value)}, expected a {names}; {next_step}.")


def require_function(name: str, value: Any, example: str) -> None:
    """Raise TypeError unless the value can be called."""
    if not callable(value):
        raise TypeError(f"{name} is {shown(value)}, expected a function, such as {example}.")


def require_length(params: Any, length: int, what: str) -> None:
    """Raise unless these are real numbers, a tensor with one axis of this length."""
    if not isinstance(params, torch.Tensor) or params.is_complex() or params.ndim != 1:
        given = type(params).__name__
        if isinstance(params, torch.Tensor):
            given = f"a tensor of shape {tuple(params.shape)} and {params.dtype}"
        raise TypeError(f"params is {given}, expected a real tensor with one axis: {what}.")
    if len(params) != length:
        raise ValueError(f"params has {len(params)} entries, expected {length}: {what}.")


def require_images(name: str, x: Any) -> None:
    """Raise TypeError unless ``x`` is a tensor ``(B, *shape)`` of floats."""
    if not isinstance(x, torch.Tensor) or not (x.is_floating_point() or x.is_complex()):
        given = x.dtype if isinstance(x, torch.Tensor) else type(x).__name__
        raise TypeError(f"{name} is {given}, expected a tensor (B, *shape) of floats; convert it "
                        "by torch.as_tensor(array, dtype=torch.float64).")
    if x.ndim < 2:
        raise ValueError(f"{name} has shape {tuple(x.shape)}, expected (B, *shape); one image is "
                         "image[None].")


def require_samples(name, x):
    """Raise unless ``x`` is a tensor ``(B, ...)`` of finite floats with at least one sample."""
    if not (isinstance(x, torch.Tensor) and (x.is_floating_point() or x.is_complex())):
        given = x.dtype if isinstance(x, torch.Tensor) else type(x).__name__
        raise TypeError(
            f"{name} is {given}, expected a tensor of real or complex floats; convert it by "
            "torch.as_tensor(array, dtype=torch.float64)."
        )
    if x.ndim == 0 or not len(x):
        raise ValueError(
            f"{name} has shape {tuple(x.shape)}, expected (B, ...) with at least one sample; one "
            "image is image[None]."
        )
    if x.device.type == "meta":
        raise ValueError(f"{name} is on the device meta, expected numbers; build it on a real one.")
    finite = torch.isfinite(x)
    if not bool(finite.all()):
        bad = ~finite.flatten(1).all(1) if x.ndim > 1 else ~finite
        raise ValueError(
            f"{name} contains NaN or infinite values in sample {int(bad.int().argmax())}; expected "
            "finite numbers only. Find them with torch.isfinite and mask or replace them first."
        )
