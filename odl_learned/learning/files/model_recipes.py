"""Networks and reconstruction maps as plain data, and back: classes of this package by name only.

A recipe is a list of nodes, each the name of a class and what its constructor takes: numbers,
texts, tensors, and other nodes by their place in the list, ``{"node": 3}``, so that a step that
occurs several times is one node. A lowered operator is a node with the name of the operator, such
as ``"A"``.
"""

import functools
from collections.abc import Callable, Mapping

import odl
import torch
from torch import nn

from odl_learned import operators
from odl_learned.bridge import OperatorModule, as_module
from odl_learned.bridge.layouts.layout import TensorLayout
from odl_learned.bridge.layouts.random_states import kept_random_states
from odl_learned.learning.files.constructors import CONSTRUCTORS
from odl_learned.networks import equivariant
from odl_learned.reconstruction.unrolled.proximal_gradient import step_size_of

#: The module that holds a step size that is not learned.
_FIXED = type(step_size_of(1.0))
_CLASSES = {cls.__name__: cls for cls in CONSTRUCTORS}


def related_operators(
    forward_op: odl.Operator, dictionary: odl.Operator | None
) -> dict[str, Callable[[], odl.Operator]]:
    """Return the operators that a model may be made of, by name, built when they are called."""
    found: dict[str, Callable[[], odl.Operator]] = {
        "A": lambda: forward_op, "adjoint": lambda: forward_op.adjoint,
        "normal": lambda: forward_op.adjoint @ forward_op}  # fmt: skip
    for window in ("Hann", "Ram-Lak", "Shepp-Logan", "Cosine", "Hamming"):
        found[f"fbp {window}"] = functools.partial(operators.fbp, forward_op, window)
    if dictionary is not None:
        found |= {"D": lambda: dictionary, "D adjoint": lambda: dictionary.adjoint,
                  "A D": lambda: forward_op @ dictionary,
                  "A D adjoint": lambda: dictionary.adjoint @ forward_op.adjoint}  # fmt: skip
    return found


def describe_model(
    model: nn.Module, forward_op: odl.Operator, dictionary: odl.Operator | None = None
) -> list[dict]:
    """Return the recipe of a model without its weights, the model as the last node.

    Raises
    ------
    TypeError
        If a part of it is no class of this package, or an operator not of `related_operators`.
    """
    nodes, places, related = [], {}, related_operators(forward_op, dictionary)
    lowered: dict[int, int] = {}

    def value_of(value, where):
        if isinstance(value, nn.ModuleList):
            return [value_of(part, f"{where}[{i}]") for i, part in enumerate(value)]
        if type(value) is _FIXED:
            return value.step_size
        if isinstance(value, (nn.Module, equivariant.Group, equivariant.Fields)):
            return {"node": place_of(value, where)}
        if callable(value):
            raise TypeError(f"{where} is a function and cannot be stored; expected a module of "
                            "bridge.as_module, or a class of odl_learned.")
        return value

    def place_of(module, where):
        if id(module) not in places:
            nodes.append(node_of(module, where))
            places[id(module)] = len(nodes) - 1
        return places[id(module)]

    def node_of(module, where):
        if isinstance(module, OperatorModule):
            return {"operator": _name_of(module, where, related, lowered)}
        if type(module) not in CONSTRUCTORS:
            raise TypeError(
                f"{where} is of the class {type(module).__name__}, which is not in odl_learned, "
                "and cannot be stored without code; expected one of "
                f"{', '.join(sorted(_CLASSES))}, or a module of bridge.as_module. Store the "
                "weights, model.state_dict(), and build it by your script.")
        arguments = {name: value_of(value, f"{where}.{name}")
                     for name, value in CONSTRUCTORS[type(module)](module).items()}
        return {"class": type(module).__name__, "arguments": arguments}

    place_of(model, "model")
    return nodes


def build_model(
    nodes: list[dict],
    forward_op: odl.Operator,
    state: Mapping,
    dictionary: odl.Operator | None = None,
) -> nn.Module:
    """Return the model of a recipe with these weights, in evaluation mode.

    Raises
    ------
    ValueError
        If a class or an operator is unknown, or the weights do not fit.
    """
    related = related_operators(forward_op, dictionary)
    built: list[nn.Module] = []

    def decoded(value):
        if isinstance(value, list):
            return [decoded(part) for part in value]
        return built[value["node"]] if isinstance(value, dict) else value

    for node in nodes:
        if "operator" in node:
            built.append(as_module(related[node["operator"]]()))
            continue
        if node["class"] not in _CLASSES:
            raise ValueError(f"the file holds a {node['class']!r}, expected one of "
                             f"{', '.join(sorted(_CLASSES))}; read it with the version of the "
                             "package that wrote it.")
        arguments = {name: decoded(value) for name, value in node["arguments"].items()}
        with kept_random_states(seed=0):
            built.append(_CLASSES[node["class"]](**arguments))
    return _with_weights(built[-1], state)


def _with_weights(model, state):
    dtypes = {tensor.dtype for tensor in state.values() if tensor.is_floating_point()}
    if dtypes == {torch.float64}:
        model.double()  # also what is computed from the sizes and not stored
    model.load_state_dict(state, assign=True)
    return model.eval()


def _name_of(module, where, related, lowered):
    """The name of the operator that a lowered one is, by its values for random data."""
    layout = module.layout
    if isinstance(layout, TensorLayout):
        x = torch.randn(1, *layout.shape, dtype=layout.dtype,
                        generator=torch.Generator().manual_seed(0))
        device = next((t.device for t in (*module.parameters(), *module.buffers())), x.device)
        with torch.no_grad():
            value = module(x.to(device)).to(x.device)
        for name, operator in related.items():
            if name not in lowered:
                try:
                    lowered[name] = as_module(operator())
                except (TypeError, ValueError):  # no filtered backprojection for it
                    lowered[name] = None
            other = lowered[name]
            if other is None or other.layout.space != layout.space:
                continue
            with torch.no_grad():
                expected = other(x)
            if value.shape == expected.shape and (value - expected).norm() <= (
                    torch.finfo(x.dtype).eps ** 0.5 * expected.norm()):  # fmt: skip
                return name
    raise TypeError(f"{where} is an operator that cannot be stored: it is none of "
                    f"{', '.join(related)} of forward_op A and dictionary D, by its values. "
                    "Pass the forward_op from which it was made, with the same scaling.")
