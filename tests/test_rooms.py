"""``import odl_learned`` gives all rooms, each imported when it is first asked for."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import odl_learned


def test_rooms_are_attributes_and_lazy():
    source = (
        "import sys, odl_learned\n"
        "loaded = [n for n in sys.modules if n.startswith('odl_learned.')]\n"
        "assert not any(n.split('.')[1] in ('operators', 'bridge', 'learning') for n in loaded)\n"
        "assert {'operators', 'bridge', 'learning', 'data', 'metrics'} <= set(dir(odl_learned))\n"
        "assert odl_learned.operators.gradient and odl_learned.learning.train\n"
        "from odl_learned import bridge\n"
        "assert bridge is odl_learned.bridge is sys.modules['odl_learned.bridge']\n"
        "print('done')\n")
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.stdout == "done\n", done.stderr


@pytest.mark.parametrize("room", [
    "energies", "energies.coefficients", "energies.expressions",
    "energies.expressions.preconditioners", "energies.filters", "energies.potentials",
    "energies.transforms", "learning.bilevel",
    "learning.bilevel.derivative_free",
    "learning.bilevel.first_order", "learning.bilevel.hypergradients", "learning.bilevel.lower",
    "reconstruction.diffusion", "variational.parameter_choice"])
def test_faces_are_short_and_tell_what_is_behind(room):
    room = importlib.import_module(f"odl_learned.{room}")
    assert len(room.__all__) <= 12 and len(list(Path(room.__file__).parent.glob("*.py"))) <= 16
    untold = [name for name in room.__all__ if f"`{name}`" not in room.__doc__]
    assert untold == []


def test_unknown_names_say_what_exists():
    with pytest.raises(AttributeError, match="'operator', expected one of .*operators.*"):
        odl_learned.operator
    with pytest.raises(ImportError, match="nothing"):
        from odl_learned import nothing  # noqa: F401
    assert not hasattr(odl_learned, "__wrapped__") and odl_learned.__version__ in str(
        vars(odl_learned)["__version__"])
