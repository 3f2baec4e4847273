"""Types of the public surface: every public name says what it takes and what it returns.

Public are the names in the face of a room, ``__all__``, where a room is one file without a face its
functions and classes, and what the pages of the docs import from a file. Of classes, their
constructors, public methods, properties and fields, also those inherited from other classes of the
package. `make lint` runs the type checker, which holds the calls to them.
"""

import functools
import importlib
import inspect
import pkgutil
import re
import typing
from pathlib import Path

import pytest

import odl_learned

ROOT = Path(__file__).resolve().parent.parent
#: Public names with `Any` in an annotation, and why nothing better is true.
ANY = {
    "bridge.BatchOperator.__call__": "tensors, or tuples of them, as the range says",
    "bridge.BatchSpace.zero": "a tensor, or a tuple of them, as the space says",
    "comparison.Simulated": "operators, data and images are the user's, of whatever kind",
    "comparison.compare": "operators, data and images are the user's, of whatever kind",
    "data.Image": "sides of pixels are None where the file does not say, as the caller knows",
    "data.MriScan": "of one coil it is a SampledFourier, as the caller knows",
    "learning.load_regularizer": "of the class that was saved",
    "solvers.Solution": "numbers for an element, arrays for a batch, as the caller knows",
    "variational.parameter_choice.Choice": "numbers for an element, arrays for a batch",
    "solvers.Discrepancy": "operators of elements or of batches, of which only calls are asked",
    "variational.Problem.batched": "twins are of the bridge, which this room does not know",
    "solvers.primal_dual": "iterates are of the space of the problem, which is no type",
}


def public_objects():
    """Pairs of a name, such as ``solvers.lsqr``, and the function or class of this name."""
    for module in pkgutil.walk_packages(odl_learned.__path__, "odl_learned."):
        room = importlib.import_module(module.name)
        if hasattr(room, "__all__"):
            names = room.__all__
        elif module.name.endswith("__main__"):
            continue
        elif module.name.count(".") == 1:
            names = [name for name, value in vars(room).items() if not name.startswith("_")
                     and getattr(value, "__module__", None) == room.__name__]  # fmt: skip
        else:
            continue
        for name in names:
            if callable(value := getattr(room, name)):
                yield f"{module.name.removeprefix('odl_learned.')}.{name}", value
    for room, name in sorted(imported_in_full()):
        if callable(value := getattr(importlib.import_module(f"odl_learned.{room}"), name)):
            yield f"{room}.{name}", value


def imported_in_full():
    """Rooms and names of ``from odl_learned.<room> import <names>`` in the pages of the docs."""
    for page in (*ROOT.glob("docs/*.md"), ROOT / "README.md"):
        for room, names in re.findall(r"^from odl_learned\.([\w.]+) import ([\w, ]+)$",
                                      page.read_text(encoding="utf-8"), re.MULTILINE):
            yield from ((room, name) for name in re.split(r" as \w+|, ", names) if name)


def parts(name, value):
    """Pairs of a name and a function, of a public function or of the methods of a public class."""
    if not isinstance(value, type):
        yield name, inspect.unwrap(value)
        return
    found = {}
    for cls in reversed(value.__mro__):
        if cls.__module__.startswith("odl_learned"):
            found |= vars(cls)
    for method, member in found.items():
        member = getattr(member, "__func__", member)  # of a class method, a static method
        member = getattr(member, "fget", getattr(member, "func", member))  # of a property
        is_public = not method.startswith("_") or method in ("__init__", "__call__")
        if is_public and inspect.isfunction(member) and not _is_generated(member):
            yield f"{name}.{method}", inspect.unwrap(member)


def problems(name, value, reasons=ANY):
    """Sentences about what is not annotated, cannot be resolved, or is `Any` without a reason."""
    functions = list(parts(name, value))
    for whole, function in functions:
        signature = inspect.signature(function)
        open_ones = [parameter.name for position, parameter in
                     enumerate(signature.parameters.values())
                     if parameter.annotation is parameter.empty
                     and not (position == 0 and parameter.name in ("self", "cls"))]
        if open_ones:
            yield f"{whole} has no types for {', '.join(open_ones)}"
        if signature.return_annotation is signature.empty:
            yield f"{whole} does not say what it returns"
    for whole, annotated in [(name, value)] * isinstance(value, type) + functions:
        try:
            hints = typing.get_type_hints(annotated)
        except Exception as error:  # whatever evaluation raises
            yield f"the types of {whole} cannot be resolved: {error}"
            continue
        if name not in reasons and whole not in reasons:
            vague = [key for key, hint in hints.items() if _has_any(hint) and _is_ours(value, key)]
            if vague:
                yield f"{whole} says Any for {', '.join(vague)}"


def _has_any(hint):
    """Whether a type is `Any` or contains it."""
    if isinstance(hint, typing.TypeVar) or getattr(hint, "__module__", "").startswith("numpy"):
        return False  # numpy.ndarray holds Any where it is said of no dtype
    arguments = typing.get_args(hint)
    arguments = [a for part in arguments for a in (part if isinstance(part, list) else [part])]
    return hint is typing.Any or any(map(_has_any, arguments))


def _is_ours(value, key):
    """Whether a field belongs to a class of the package, and not to one that it inherits from."""
    classes = value.__mro__ if isinstance(value, type) else ()
    owners = [cls.__module__ for cls in classes if key in inspect.get_annotations(cls)]
    return all(owner.startswith("odl_learned") for owner in owners)


def _is_generated(function):
    """Whether `dataclasses` or `typing` wrote a method; its types are those of the fields."""
    return function.__code__.co_filename.startswith("<") or function.__module__ == "typing"


OBJECTS = dict(public_objects())


@functools.cache
def _found():
    return [sentence for name, value in OBJECTS.items()
            for sentence in problems(name, value)]


def test_public_names_have_types():
    assert _found() == []


def test_reasons_are_needed():
    vague = {sentence.split()[0] for name, value in OBJECTS.items()
             for sentence in problems(name, value, {}) if " says Any" in sentence}
    idle = [name for name in ANY
            if not any(found == name or found.startswith(f"{name}.") for found in vague)]
    assert idle == []


@pytest.mark.parametrize("source, problem", [
    ("def f(x): ...", ["f has no types for x", "f does not say what it returns"]),
    ("def f(x: int): ...", ["f does not say what it returns"]),
    ("def f(x: int, *y) -> int: ...", ["f has no types for y"]),
    ("def f(x: 'Missing') -> int: ...",
     ["the types of f cannot be resolved: name 'Missing' is not defined"]),
    ("def f(x: list[Any]) -> int: ...", ["f says Any for x"]),
    ("def f(x: Callable[[Any], int] | None) -> int: ...", ["f says Any for x"]),
    ("def f(x: int, *, y: Callable[..., float]) -> None: ...", []),
    ("class f:\n    def __init__(self, x): ...",
     ["f.__init__ has no types for x", "f.__init__ does not say what it returns"]),
    ("class f:\n    @property\n    def g(self): ...", ["f.g does not say what it returns"]),
    ("class f:\n    @functools.cached_property\n    def g(self): ...",
     ["f.g does not say what it returns"]),
    ("class f:\n    @classmethod\n    def g(cls, x) -> int: ...", ["f.g has no types for x"]),
    ("class f:\n    @staticmethod\n    def g(self) -> int: ...", []),
    ("@dataclasses.dataclass\nclass f:\n    x: Any", ["f says Any for x"]),
    ("class g:\n    def h(self, x): ...\nclass f(g):\n    pass",
     ["f.h has no types for x", "f.h does not say what it returns"]),
    ("class f:\n    def _h(self, x): ...", []),
], ids=range(15))  # fmt: skip
def test_the_check_finds_what_is_missing(source, problem):
    names = {"__name__": "odl_learned.planted"}
    source = ("import dataclasses, functools\nfrom collections.abc import Callable\n"
              f"from typing import Any\n{source}")
    exec(compile(source, "planted.py", "exec"), names)
    assert list(problems("f", names["f"])) == problem


def test_types_come_with_the_package():
    from importlib import resources

    assert resources.files(odl_learned).joinpath("py.typed").is_file()
