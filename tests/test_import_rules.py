"""Who may import whom, read from the sources with `ast`; docs/house.md explains the rooms.

Nor may any check be an ``assert`` statement, which ``python -O`` leaves out.
"""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "odl_learned"
NEUTRAL = {
    "dispatch", "validation", "odl_validation", "weights", "odl_fixes", "metrics", "plotting",
    "threads", "compiled",
}  # fmt: skip
GROUND = {"data", "operators", "functionals", "variational", "solvers"}
ROOMS = {
    "data": {"operators"},
    "operators": set(),
    "networks": set(),
    "solvers": set(),
    "functionals": {"operators", "solvers"},
    "variational": {"functionals", "operators", "solvers"},
    "bridge": {"operators", "functionals", "solvers"},
    "energies": {"bridge", "operators", "functionals", "solvers"},
    "regularizers": {"bridge", "energies", "networks", "functionals", "operators", "solvers"},
    "reconstruction": {"bridge", "networks", "solvers", "functionals", "operators", "variational",
                       "regularizers"},
    "learning": GROUND
    | {"bridge", "energies", "networks", "regularizers", "reconstruction"},
    "conformance": {"bridge", "functionals", "networks", "operators"},
    "dispatch": set(),
    "validation": set(),
    "odl_validation": set(),
    "weights": set(),
    "odl_fixes": set(),
    "metrics": set(),
    "plotting": {"data"},
    "comparison": set(),
    "threads": set(),
    "compiled": set(),
}
#: Rooms of bilevel learning, each above those it may import; the files beside them may be imported.
BILEVEL = {
    "learned_energy": {"first_order", "hypergradients", "lower"},
    "lower": set(),
    "hypergradients": {"lower"},
    "first_order": {"lower", "hypergradients"},
    "derivative_free": {"lower"},
    "sampling": {"lower", "hypergradients", "first_order", "derivative_free"},
}
ENTRANCES = {"__init__", "__main__", "commands", "demo"}
FORBIDDEN = dict.fromkeys(
    GROUND | {"comparison", "dispatch", "odl_validation", "weights"}, {"torch"}) | {
    "networks": {"odl"}, "validation": {"odl", "torch"},
}


def imported(tree):
    """Dotted names that a module imports anywhere, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write imports in full, not relative"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def violations(room, source):
    """Sentences that say which imports of this source its room does not allow."""
    for name in imported(ast.parse(source)):
        top, _, rest = name.partition(".")
        other = rest.partition(".")[0]
        if top in FORBIDDEN.get(room, ()):
            yield f"{room} imports {top}"
        elif top == "odl_learned" and other not in ROOMS[room] | NEUTRAL | {room}:
            yield f"{room} imports {other or top}"


def bilevel_violations(room, source):
    """Sentences that say which rooms of bilevel learning one of them, or a file, may not import."""
    above = "odl_learned.learning.bilevel."
    for name in imported(ast.parse(source)):
        other = name.removeprefix(above).partition(".")[0] if name.startswith(above) else None
        if other in BILEVEL.keys() - BILEVEL.get(room, set()) - {room}:
            yield f"{room} imports {other}"


def asserts(tree):
    """Lines of ``assert`` statements, which ``python -O`` leaves out."""
    return [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]


def public_kwargs(tree):
    """Names of public functions and methods that take **kwargs."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_kwargs(node)
        if isinstance(node, ast.FunctionDef) and node.args.kwarg is not None:
            if not node.name.startswith("_") or node.name.startswith("__"):
                yield node.name


MODULES = [
    path for path in sorted(PACKAGE.rglob("*.py"))
    if path.relative_to(PACKAGE).parts[0].removesuffix(".py") not in ENTRANCES
]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")),
                         ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_check_vanishes_under_optimization(path):
    lines = asserts(ast.parse(path.read_text()))
    assert not lines, f"assert in the lines {lines}; raise instead, python -O leaves it out"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_imports_only_what_its_room_may(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert room in ROOMS, f"{room} is no room of the house; add it to ROOMS and to docs/house.md"
    assert list(violations(room, path.read_text())) == []
    assert list(public_kwargs(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize("path", sorted((PACKAGE / "learning" / "bilevel").rglob("[!_]*.py")),
                         ids=lambda path: str(path.relative_to(PACKAGE)))
def test_rooms_of_bilevel_learning_lie_above_each_other(path):
    room = path.relative_to(PACKAGE / "learning" / "bilevel").parts[0].removesuffix(".py")
    assert list(bilevel_violations(room, path.read_text())) == []


@pytest.mark.parametrize("path", sorted((PACKAGE / "compiled").rglob("[!_]*.py")),
                         ids=lambda path: path.name)
def test_files_of_loops_are_complete_in_themselves(path):
    # numba keeps machine code until the file of a loop changes, not those it takes loops from
    others = {name for name in imported(ast.parse(path.read_text()))
              if name.startswith("odl_learned.")}
    assert others <= {"odl_learned.compiled.compiler.compiled", "odl_learned.threads.thread_count",
                      "odl_learned.compiled.compiler.compiled_in_vectors"}  # fmt: skip


def test_the_rules_catch_violations():
    source = "from odl_learned.learning.bilevel.first_order import lbfgsb"
    assert list(bilevel_violations("lower", source)) == ["lower imports first_order"]
    assert list(bilevel_violations("problem", source)) == ["problem imports first_order"]
    assert list(bilevel_violations("sampling", source)) == []
    assert list(violations("data", "def f():\n    from torch.nn import Module")) == [
        "data imports torch"]
    assert list(violations("networks", "import odl.tomo, numpy")) == ["networks imports odl"]
    assert list(violations("solvers", "from odl_learned.bridge import as_module")) == [
        "solvers imports bridge"]
    assert list(violations("operators", "from odl_learned import functionals, validation")) == [
        "operators imports functionals"]
    assert list(violations("learning", "import torch\nfrom odl_learned import bridge")) == []
    source = "import odl\nimport odl_learned.operators.tomography.ray"
    assert list(violations("functionals", source)) == []
    with pytest.raises(AssertionError, match="in full"):
        list(violations("data", "from . import noise"))
    assert asserts(ast.parse("def f():\n    if x:\n        assert x, 1")) == [3]
    source = "def f(**k): ...\nclass A:\n    def __init__(self, **k): ...\ndef _g(**k): ..."
    assert list(public_kwargs(ast.parse(source))) == ["f", "__init__"]
