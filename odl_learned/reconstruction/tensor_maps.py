"""The linear operator of a reconstruction map as maps of tensors: checks at the door."""

from collections.abc import Callable

import torch
from torch import nn

from odl_learned.bridge.learned.separation import evaluation_mode, require_samples_of_space_apart
from odl_learned.bridge.lowering import OperatorModule

#: A map of tensors: a module, or a function.
TensorMap = nn.Module | Callable[[torch.Tensor], torch.Tensor]


def require_tensor_map(name: str, map: TensorMap | None, optional: bool = False) -> None:
    """Raise TypeError unless this is a callable on tensors; an ODL operator is none."""
    if hasattr(map, "domain") and not isinstance(map, nn.Module):
        raise TypeError(
            f"{name} is an operator on spaces, {type(map).__name__}; expected a map of tensors. "
            "Use bridge.as_module(op)."
        )
    if isinstance(map, type) or not (callable(map) or (optional and map is None)):
        raise TypeError(f"{name} is {map!r}; expected a torch module or a function of tensors, "
                        "such as bridge.as_module(op).")


def require_linear_map(name: str, map: TensorMap) -> None:
    """Raise TypeError unless this is a callable on tensors, ValueError if known to be nonlinear."""
    require_tensor_map(name, map)
    if isinstance(map, OperatorModule) and not map.is_linear:
        raise ValueError(
            f"{name} is the module of a nonlinear operator, expected a linear one; linearize it, "
            "as_module(A.derivative(x))."
        )


def modules(name: str, steps) -> nn.ModuleList:
    """Return the steps as a list of modules, at least one; the same one may occur repeatedly."""
    steps = list(steps) if isinstance(steps, list | tuple | nn.ModuleList) else steps
    if not isinstance(steps, list) or not all(isinstance(step, nn.Module) for step in steps):
        raise TypeError(f"{name} is {steps!r}; expected a list of torch modules, one for each "
                        "iteration.")
    if not steps:
        raise ValueError(f"{name} is empty; expected at least one step, one for each iteration.")
    return nn.ModuleList(steps)


def require_tensor(name: str, value: torch.Tensor) -> None:
    """Raise TypeError unless this is a tensor with numbers; elements go to `as_operator`."""
    if not isinstance(value, torch.Tensor):
        raise TypeError(
            f"{name} is of type {type(value).__name__}, expected a tensor (*batch, *shape). Use "
            "torch.from_numpy for arrays, and bridge.as_operator(module, domain, range) for "
            "elements."
        )
    if value.device.type == "meta":
        raise TypeError(f"{name} is on the device meta, expected numbers; build it on a real one.")


def require_data_of(simulated: torch.Tensor, data: torch.Tensor, u: torch.Tensor) -> None:
    """Raise ValueError if data do not have the shape of ``A u``."""
    if simulated.shape != data.shape:
        raise ValueError(
            f"data has shape {tuple(data.shape)}, expected {tuple(simulated.shape)}, the shape of "
            f"A u for images of shape {tuple(u.shape)}; build it with the same operator, and "
            "`initial` with the same batch axes."
        )


def require_images(what: str, x: torch.Tensor, shape: torch.Size) -> None:
    """Raise ValueError unless the images have this shape: others would be broadcast."""
    if x.shape != shape:
        raise ValueError(
            f"{what} has shape {tuple(x.shape)}, expected {tuple(shape)}, that of the images; each "
            "part of an iteration has to keep it."
        )


def require_samples_apart(map: nn.Module, adjoint: TensorMap | None) -> None:
    """Raise ValueError if a reconstruction map mixes samples, tried on random data in a batch of
    two where the adjoint is a module of ``bridge.as_module``, which knows the space of the data."""
    if isinstance(adjoint, OperatorModule):
        with evaluation_mode(map):
            require_samples_of_space_apart(map, adjoint.layout)
