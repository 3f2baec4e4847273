"""Learned regularization of inverse problems, written in ODL and run in torch.

The rooms of the package, such as ``odl_learned.operators``, are imported when they are first asked
for.
"""

import importlib
import pkgutil

import numpy as np

# ODL switches numpy to legacy printing on import; a library must not.
_print_options = np.get_printoptions()
import odl  # noqa: E402, F401

np.set_printoptions(**_print_options)

from odl_learned import odl_fixes  # noqa: E402

odl_fixes.apply()

__version__ = "0.2.0"


def __getattr__(name):
    """Import a room (PEP 562)."""
    if name in _rooms():
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(
        f"odl_learned has no {name!r}, expected one of {', '.join(_rooms())}. What a room exports "
        "is in the room, such as odl_learned.operators.gradient."
    )


def __dir__():
    return sorted({*globals(), *_rooms()})


def _rooms():
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in names if not name.startswith("_"))
