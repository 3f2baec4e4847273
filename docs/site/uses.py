"""Where each public name is used: in which scripts, pages and docstrings, read without running.

A use is a path of attributes that begins with something imported from the package, such as
``operators.gradient`` after ``from odl_learned import operators``.
"""

import ast
import doctest
import importlib
import inspect
import re
from pathlib import Path

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PARSER = doctest.DocTestParser()


def paths_in(source: str) -> set[str]:
    """Return all dotted paths below the package that Python code takes, ``bridge.as_module``."""
    nodes, begins = list(ast.walk(ast.parse(source))), {}
    for node in nodes:
        if isinstance(node, ast.Import):
            begins |= {each.asname or each.name.partition(".")[0]:
                       each.name if each.asname else each.name.partition(".")[0]
                       for each in node.names}  # fmt: skip
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            begins |= {each.asname or each.name: f"{node.module}.{each.name}"
                       for each in node.names}  # fmt: skip
    begins = {name: path for name, path in begins.items() if path.split(".")[0] == "odl_learned"}
    found = set(begins.values())
    for node in nodes:
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name) and node.id in begins:
            found.add(".".join([begins[node.id], *reversed(parts)]))
    return {path.removeprefix("odl_learned.") for path in found}


def named(source: str) -> list:
    """Return the objects of the package that Python code names; a module is none."""
    found = []
    for path in paths_in(source):
        obj = importlib.import_module("odl_learned")
        for name in path.split("."):
            try:
                obj = (getattr(obj, name) if hasattr(obj, name)
                       else importlib.import_module(f"{obj.__name__}.{name}"))
            except (AttributeError, ImportError):  # a variable of the same name
                break
            if not inspect.ismodule(obj):
                found.append(obj)
                break
    return found


def example(obj) -> str:
    """Return the Python code of the examples in a docstring."""
    return "".join(each.source for each in PARSER.get_examples(inspect.getdoc(obj) or ""))


def sources(root: Path) -> dict[str, str]:
    """Return the Python code of all scripts and pages, by their path from the root."""
    pages = {}
    for path in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        blocks = BLOCK.findall(path.read_text(encoding="utf-8"))
        if blocks:
            pages[path.relative_to(root).as_posix()] = "\n".join(blocks)
    return pages | {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8")
                    for path in sorted((root / "examples").rglob("*.py"))}


def uses(root: Path, names: dict) -> dict[str, list[str]]:
    """Return for each name the scripts and pages, and the names whose docstrings, use it.

    Parameters
    ----------
    root : Path
        Of the repository.
    names : dict, str -> object
        Public names by their path, ``"bridge.as_module"``. An object with several names is used
        under all of them.
    """
    found = {name: [] for name in names}
    places = sources(root) | {name: example(obj) for name, obj in names.items()}
    by_object = {}
    for name, obj in names.items():
        by_object.setdefault(id(obj), []).append(name)
    for place, source in places.items():
        for obj in named(source) if source else ():
            for name in by_object.get(id(obj), ()):
                if place not in found[name]:
                    found[name].append(place)
    return found
