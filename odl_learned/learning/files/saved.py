"""A learned reconstruction as one file without code, and back as an ODL operator."""

import importlib.metadata
import os
from typing import Any, NamedTuple

import odl
import torch
from torch import nn

from odl_learned.bridge import as_operator
from odl_learned.bridge.layouts.layout import TensorLayout, layout_of
from odl_learned.bridge.learned.separation import evaluation_mode
from odl_learned.learning.files.checkpoint import read_checkpoint, require_keys, write_checkpoint
from odl_learned.learning.files.model_recipes import build_model, describe_model
from odl_learned.learning.files.operator_recipes import (
    build_operator,
    describe_operator,
    difference,
)
from odl_learned.learning.files.values import array_values, unlike
from odl_learned.odl_validation import require_operator, shown

#: Of the recipes; another number is another language.
LANGUAGE = 1
_KEYS = ("language", "versions", "forward_op", "dictionary", "model", "weights", "value")


class SavedReconstruction(NamedTuple):
    """What `load_reconstruction` makes of a file.

    Parameters
    ----------
    operator : odl.Operator
        From data to images, with derivative and adjoint of it.
    model : torch.nn.Module
        The same on batches of tensors, in evaluation mode.
    forward_op : odl.Operator
        A, whose spaces these are.

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import bridge, learning, networks, reconstruction
    >>> A = odl.IdentityOperator(odl.uniform_discr([0, 0], [4, 4], (4, 4), dtype="float32"))
    >>> seed = torch.Generator().manual_seed(0)
    >>> net = networks.CNN(1, 1, width=2, depth=2, dimension=2, generator=seed)
    >>> model = reconstruction.Postprocessing(
    ...     bridge.as_module(A), networks.OnImages(net, dimension=2))
    >>> learning.save_reconstruction("map.pt", model, A)
    >>> saved = learning.load_reconstruction("map.pt", A)
    >>> isinstance(saved, learning.SavedReconstruction)
    True
    >>> y = torch.rand(1, 4, 4, generator=seed)
    >>> print(torch.equal(saved.model(y), model(y)))
    True
    """

    operator: odl.Operator
    model: nn.Module
    forward_op: odl.Operator


def save_reconstruction(
    path: str | os.PathLike,
    model: nn.Module,
    forward_op: odl.Operator,
    dictionary: odl.Operator | None = None,
) -> None:
    """Write a reconstruction to a file: weights, recipes of its network and operator, no code.

    What the model makes of one set of random data is stored too, and the file is tried at once:
    the model that is built from the recipes has to give the same.

    Parameters
    ----------
    path : str or path-like
        The file, in an existing folder; it is replaced in one step.
    model : torch.nn.Module
        Built of the classes of ``reconstruction`` and ``networks``, and of modules of ``as_module``
        for A, its adjoint, ``A* A`` or ``operators.fbp(A, window)``. Not of functions.
    forward_op : odl.Operator
        A: a ray transform of parallel or fan beams, `SampledFourier`, `MultiCoilFourier`, a
        convolution, a mask or other multiplication, a matrix, an identity, or a multiple.
    dictionary : odl.Operator, optional
        D, from coefficients to images, of a `LearnedShrinkage`: the adjoint of an
        `OrthogonalWavelet`, or one of the above. The model may then hold modules of D, its adjoint,
        ``A D`` and ``D* A*``.

    Raises
    ------
    TypeError
        If a part of model or operator has no recipe.
    ValueError
        If the model that is built again has other values.
    OSError
        If the file cannot be written.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is {shown(model)}, expected a torch module; an operator of "
                        "bridge.as_operator has it as its attribute module.")
    require_operator("forward_op", forward_op)
    if dictionary is not None:
        require_operator("dictionary", dictionary)
    weights = {name: t.detach().cpu().clone() for name, t in model.state_dict().items()}
    recipes: dict[str, Any] = {"forward_op": describe_operator(forward_op), "dictionary": None,
               "model": describe_model(model, forward_op, dictionary)}  # fmt: skip
    if dictionary is not None:
        recipes["dictionary"] = describe_operator(dictionary)
    value = _value(model, forward_op)
    rebuilt = build_model(recipes["model"], forward_op, weights, dictionary)
    found = unlike(value, _value(rebuilt, forward_op), _tolerance(forward_op))
    if found:
        raise ValueError(f"the model cannot be stored: what is built from its recipe differs "
                         f"{found}. It may be random in evaluation mode or have been changed after "
                         "it was made; store model.state_dict(), and build it by your script.")
    write_checkpoint(path, {"language": LANGUAGE, "versions": _versions(), **recipes,
                            "weights": weights, "value": value})


def load_reconstruction(
    path: str | os.PathLike, forward_op: odl.Operator | None = None
) -> SavedReconstruction:
    """Read a reconstruction that `save_reconstruction` wrote, in any process, without a script.

    No code in the file is run, and classes are looked up by name among those of this package. The
    model has to give the values that were stored for random data.

    Parameters
    ----------
    path : str or path-like
        The file.
    forward_op : odl.Operator, optional
        What the data are from. It must be the operator of the file: same spaces, same geometry.

    Returns
    -------
    SavedReconstruction
        On the CPU.

    Raises
    ------
    ValueError
        If the file is damaged or none of these; if the operator is another one, with what differs,
        such as the angles; if another version of a package gives other values.
    OSError
        If the file cannot be opened.
    """
    state = read_checkpoint(path)
    require_keys(path, state, _KEYS, "a reconstruction")
    if state["language"] != LANGUAGE:
        raise ValueError(f"{path} is written in language {state['language']!r}, expected "
                         f"{LANGUAGE}; read it with {_said(state['versions'])}.")
    if forward_op is not None:
        require_operator("forward_op", forward_op)
        found = difference(state["forward_op"], describe_operator(forward_op), "forward_op")
        if found:
            raise ValueError(f"{path} is for another operator: {found}. Learned maps hold for the "
                             "operator of their training; leave forward_op out to see it.")
    try:
        A = build_operator(state["forward_op"])
        D = None if state["dictionary"] is None else build_operator(state["dictionary"])
        model = build_model(state["model"], A, state["weights"], D)
        found = unlike(state["value"], _value(model, A), _tolerance(A))
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError) as error:
        raise ValueError(f"{path} cannot be built: {type(error).__name__}: {error}. It is damaged, "
                         f"or other versions are needed. {_written(state)}") from error
    if found:
        raise ValueError(f"{path} does not give here what it gave where it was written: the "
                         f"values differ {found}. {_written(state)}")
    return SavedReconstruction(as_operator(model, A.range, A.domain), model, A)


def _value(model, forward_op):
    """What a model makes of random data."""
    layout = layout_of(forward_op.range)
    if not isinstance(layout, TensorLayout):
        raise TypeError(f"the data are of {shown(forward_op.range)}, expected a space of arrays or "
                        "a power of one.")
    data = torch.randn(1, *layout.shape, dtype=layout.dtype,
                       generator=torch.Generator().manual_seed(0))
    device = next((t.device for t in (*model.parameters(), *model.buffers())), data.device)
    with torch.no_grad(), evaluation_mode(model):
        return array_values(model(data.to(device)))


def _tolerance(forward_op):
    """Two thirds of the digits may go: products and sums run in other orders elsewhere."""
    return torch.finfo(layout_of(forward_op.range).dtype).eps ** (1 / 3)


def _versions():
    try:
        own = importlib.metadata.version("odl_learned")
    except importlib.metadata.PackageNotFoundError:  # a folder on the path
        own = "that is not installed"
    return {"odl_learned": own, "odl": odl.__version__,
            "torch": torch.__version__.partition("+")[0]}


def _written(state):
    return f"It was written with {_said(state['versions'])}, and this is {_said(_versions())}."


def _said(versions):
    return ", ".join(f"{name} {version}" for name, version in versions.items())
