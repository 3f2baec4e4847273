"""A learned regularizer as one file without code, and back."""

import os
from pathlib import Path
from typing import Any

import odl
from torch import nn

from odl_learned.learning.files.checkpoint import read_checkpoint, require_keys, write_checkpoint
from odl_learned.learning.files.model_recipes import build_model, describe_model
from odl_learned.learning.files.saved import LANGUAGE
from odl_learned.validation import shown

#: A denoiser for every noise level of slices of chests at 64 x 64, from -1000 to 1000 HU in [0, 1],
#: for `load_regularizer` and the samplers of `reconstruction.diffusion`.
CT_DENOISER = Path(__file__).parent / "weights" / "ct_denoiser.pt"
#: Files for `load_regularizer`, learned from photographs in [0, 1] with noise of 25 / 255: a convex
#: and a weakly convex ridge, and the `reconstruction.FlowStep` of a total deep variation, which was
#: learned with eight of them; see ``weights/README.md``.
CONVEX_RIDGE, WEAKLY_CONVEX_RIDGE, DEEP_VARIATION = (
    Path(__file__).parent / "weights" / f"{name}.pt" for name in ("crr", "wcrr", "tdv"))
_KEYS = ("language", "regularizer", "weights")
#: Regularizers know no forward operator; recipes are made for one.
_NOTHING = odl.IdentityOperator(odl.rn(1))


def save_regularizer(path: str | os.PathLike, regularizer: nn.Module) -> None:
    """Write a learned regularizer to a file: weights and a recipe of its classes, no code.

    Parameters
    ----------
    path : str or path-like
        The file, in an existing folder; it is replaced in one step.
    regularizer : torch.nn.Module
        Of classes of ``regularizers`` and ``networks``, such as `regularizers.Ridge`; a functional
        `RidgeRegularizer` has it as its attribute ``ridge``.

    Raises
    ------
    TypeError
        If it is no module, or a part of it has no recipe.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import torch
    >>> from odl_learned import learning, networks, regularizers
    >>> filters = regularizers.ComposedFilters((1, 4), 3, networks.Reflecting(), dimension=2)
    >>> ridge = regularizers.Ridge(filters, regularizers.LogCosh())
    >>> learning.save_regularizer("ridge.pt", ridge)
    >>> x = torch.rand(1, 6, 6, generator=torch.Generator().manual_seed(0))
    >>> print(torch.equal(learning.load_regularizer("ridge.pt")(x), ridge(x)))
    True
    """
    if not isinstance(regularizer, nn.Module):
        raise TypeError(f"regularizer is {shown(regularizer)}, expected a torch module, such as "
                        "regularizers.Ridge, or the attribute ridge of a functional.")
    weights = {name: t.detach().cpu().clone() for name, t in regularizer.state_dict().items()}
    write_checkpoint(path, {"language": LANGUAGE, "weights": weights,
                            "regularizer": describe_model(regularizer, _NOTHING)})


def load_regularizer(path: str | os.PathLike) -> Any:
    """Read a regularizer that `save_regularizer` wrote; no code in the file is run.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    regularizer : torch.nn.Module
        On the CPU, in evaluation mode.

    Raises
    ------
    ValueError
        If the file is damaged, none of these, or of another version.
    OSError
        If the file cannot be opened.
    """
    state = read_checkpoint(path)
    require_keys(path, state, _KEYS, "a regularizer")
    if state["language"] != LANGUAGE:
        raise ValueError(f"{path} is written in language {state['language']!r}, expected "
                         f"{LANGUAGE}; read it with the version of the package that wrote it.")
    try:
        return build_model(state["regularizer"], _NOTHING, state["weights"])
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError) as error:
        raise ValueError(f"{path} cannot be built: {type(error).__name__}: {error}. It is damaged, "
                         "or another version is needed.") from error
