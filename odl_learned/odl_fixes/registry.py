"""The list of repairs, and how they are put into ODL and taken out again."""

import os
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import odl
from odl.core.operator import Operator

ODL_VERSION = "1.0.0"
SWITCH = "ODL_LEARNED_FIXES"


@dataclass(frozen=True)
class Repair:
    """One repair: its name, the symptom it cures, and the attributes it replaces."""

    name: str
    symptom: str
    replacements: Callable[[], Iterable[tuple[object, str, object]]]


#: All repairs, in the order in which they were registered.
REPAIRS: list[Repair] = []
#: What the attributes were before, for each repair that is in place.
applied: dict[str, list[tuple[object, str, object]]] = {}
_MISSING = object()


def apply(repairs: Iterable[Repair] | None = None) -> None:
    """Apply the repairs that are not yet in place.

    Parameters
    ----------
    repairs : iterable of Repair, optional
        Default: all of `REPAIRS`.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import odl_fixes
    >>> odl.__version__ == odl_fixes.ODL_VERSION
    True
    >>> len(odl_fixes.applied) == len(odl_fixes.REPAIRS)
    True
    >>> isinstance(odl_fixes.REPAIRS[0], odl_fixes.Repair)
    True
    >>> odl_fixes.remove()  # ODL as it was
    >>> print(len(odl_fixes.applied), odl_fixes.SWITCH)  # the variable that keeps it so
    0 ODL_LEARNED_FIXES
    >>> odl_fixes.apply()
    """
    if os.environ.get(SWITCH) == "0":
        return
    if odl.__version__ != ODL_VERSION:
        warnings.warn(
            f"ODL is version {odl.__version__}; the repairs of odl_learned are for {ODL_VERSION} "
            f"and stay off. Install odl=={ODL_VERSION}, or set {SWITCH}=0 to silence this.",
            stacklevel=2,
        )
        return
    for repair in REPAIRS if repairs is None else repairs:
        if repair.name not in applied:
            replacements = list(repair.replacements())
            applied[repair.name] = [
                (owner, name, vars(owner).get(name, _MISSING)) for owner, name, _ in replacements
            ]
            for owner, name, new in replacements:
                _assign(owner, name, new)


def remove() -> None:
    """Put ODL back as it was before `apply`."""
    while applied:
        _, originals = applied.popitem()
        for owner, name, original in reversed(originals):
            _assign(owner, name, original)


def _assign(owner, name, value):
    if value is _MISSING:
        delattr(owner, name)
    else:
        setattr(owner, name, value)
    if name == "_call":
        _refresh_call(owner)


def _refresh_call(cls):
    """Let ODL derive again what `Operator.__new__` caches per class from the signature of _call."""
    if "_call_out_of_place" in vars(cls):
        del cls._call_out_of_place
        Operator.__new__(cls)
    for subclass in cls.__subclasses__():
        _refresh_call(subclass)


def everywhere(original, new):
    """Replace a function in every ODL module that holds it, however it was imported."""
    for module_name, module in list(sys.modules.items()):
        if module_name == "odl" or module_name.startswith("odl."):
            for name, value in list(vars(module).items()):
                if value is original:
                    yield module, name, new


def cures(symptom):
    """Register a generator of replacements ``(owner, attribute, value)`` under its own name."""

    def register(replacements):
        REPAIRS.append(Repair(replacements.__name__, symptom, replacements))
        return replacements

    return register
