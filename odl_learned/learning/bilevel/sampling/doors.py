"""Checks at the door of learned sampling: images, measurements, patterns, shapes, generators."""

from typing import Any

import torch

from odl_learned.energies.doors import require_samples
from odl_learned.validation import is_finite_number, shown


def require_scans(truth: Any, data: Any, sensitivities: Any) -> None:
    """Raise unless images ``(B, *shape)`` and complex measurements of them are finite and fit."""
    require_samples("truth", truth)
    require_samples("data", data)
    coils: tuple[int, ...] = ()
    if sensitivities is not None:
        if not isinstance(sensitivities, torch.Tensor) or not sensitivities.is_complex():
            given = getattr(sensitivities, "dtype", type(sensitivities).__name__)
            raise TypeError(f"sensitivities is {given}, expected a complex tensor (C, *shape); "
                            "convert it by torch.as_tensor.")
        if not bool(torch.isfinite(torch.view_as_real(sensitivities)).all()):
            raise ValueError("sensitivities contains NaN or infinite values, expected finite ones; "
                             "replace them first.")
        coils = (len(sensitivities),) if sensitivities.ndim else ()
    shape = tuple(truth.shape[1:])
    wanted = (len(truth), *coils, *shape)
    if not shape or tuple(data.shape) != wanted or not data.is_complex():
        raise ValueError(
            f"data has shape {tuple(data.shape)} and dtype {data.dtype}, expected complex numbers "
            f"{wanted}: one measurement of all frequencies per image{' and coil' if coils else ''}."
        )
    if sensitivities is not None and tuple(sensitivities.shape[1:]) != shape:
        raise ValueError(f"sensitivities has shape {tuple(sensitivities.shape)}, expected (C, *"
                         f"{shape}); build them with data.simulated_sensitivities(space, coils).")


def require_measurements(data: Any, shape: tuple[int, ...] | None = None) -> None:
    """Raise unless these are finite complex measurements of at least one sample."""
    require_samples("data", data)
    if not data.is_complex():
        raise TypeError(f"data is {data.dtype}, expected complex numbers, measurements of "
                        "frequencies; transform images by torch.fft.fftn, or pass them as complex.")
    if shape is not None and tuple(data.shape[data.ndim - len(shape) :]) != shape:
        raise ValueError(f"data has shape {tuple(data.shape)}, expected (B, ..., "
                         f"{', '.join(map(str, shape))}) as the pattern; build it with "
                         "points(data.shape[1:]).")


def require_numbers(name: str, values: Any, shape: tuple[int, ...]) -> torch.Tensor:
    """Return finite real numbers of a shape as a float64 tensor, or raise."""
    try:
        values = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} is {shown(values)}, expected an array of real numbers.") from error
    if values.is_complex() or tuple(values.shape) != shape:
        raise ValueError(f"{name} has shape {tuple(values.shape)} and dtype {values.dtype}, "
                         f"expected real numbers of shape {shape}, that of an image; pass a "
                         "centered mask or weights.")
    values = values.double()
    if not bool(torch.isfinite(values).all()) or bool((values < 0).any()):
        raise ValueError(f"{name} holds negative, NaN or infinite values, expected finite numbers "
                         "of at least zero.")
    return values


def require_params(name: str, params: Any, *sizes: int) -> None:
    """Raise unless these are finite real parameters, as many as one of the sizes."""
    if not isinstance(params, torch.Tensor) or not params.is_floating_point() or params.ndim != 1:
        given = getattr(params, "dtype", type(params).__name__)
        raise TypeError(f"{name} is {given}, expected a tensor of real floats with one axis.")
    if len(params) not in sizes:
        raise ValueError(f"{name} has {len(params)} entries, expected "
                         f"{' or '.join(map(str, sizes))}; pass the pattern of the problem.")
    if params.device.type == "meta" or not bool(torch.isfinite(params).all()):
        raise ValueError(f"{name} contains NaN or infinite values, expected finite numbers.")


def require_prices(beta: Any) -> tuple[float, float]:
    """Return two nonnegative numbers, or raise ValueError."""
    if not (isinstance(beta, tuple | list) and len(beta) == 2
            and all(is_finite_number(b) and b >= 0 for b in beta)):  # fmt: skip
        raise ValueError(f"beta is {shown(beta)}, expected two nonnegative numbers; for example "
                         "(0.1, 0.1).")
    return float(beta[0]), float(beta[1])


def require_generator(generator: Any) -> None:
    """Raise TypeError unless this is a torch.Generator."""
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator is {shown(generator)}, expected a torch.Generator; build one "
                        "by torch.Generator().manual_seed(seed).")
