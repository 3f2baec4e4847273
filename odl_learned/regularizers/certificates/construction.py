"""Rules by class hold for modules that are as their class was written.

A subclass may compute something else, and so may an instance with a ``forward`` or with hooks of
its own; what is known of `torch.nn.Conv2d` says nothing about them.
"""

import functools
from collections.abc import Callable, Iterable

from torch import nn

from odl_learned.dispatch import Arguments, R, Rules, inherits, rules_by_class
from odl_learned.validation import shown


def is_unaltered(module: nn.Module, kinds: Iterable[type]) -> bool:
    """Return whether a module computes what its first base class among ``kinds`` does.

    Parametrizations of weights change the class and not what is computed from the weights.
    """
    kind = next((base for base in type(module).__mro__ if base in kinds), None)
    return kind is not None and inherits(type(module), kind, ("forward",)) and not (
        _is_patched(module))


def _is_patched(module):
    return "forward" in vars(module) or bool(module._forward_hooks or module._forward_pre_hooks)


def unknown(module: nn.Module) -> str:
    """Return a phrase that says why there is no rule for a module."""
    name = type(module).__name__
    if _is_patched(module):
        return f"{name} has hooks or a forward of its own"
    return f"no rule for {name}"


def is_softplus(layer: nn.Softplus) -> bool:
    r"""Return whether a layer is ``log(1 + e^{b t}) / b`` with ``b > 0``, up to ``2e-9 / b``.

    From ``b t = threshold`` on torch returns t, which is a jump by ``log(1 + e^{-threshold}) / b``:
    below the rounding of single precision for its default, 20, and no convex function for less.
    """
    return layer.beta > 0 and layer.threshold >= 20


def rules_of_construction(default: Callable[[*Arguments], R]) -> Rules[*Arguments, R]:
    """Dispatch on the class of a module if it is unaltered, and call the default otherwise.

    Parameters
    ----------
    default : callable
        Of a module and further arguments: what is known without a rule.

    Returns
    -------
    function : callable
        With ``register``, as of `functools.singledispatch`.
    """
    return _of_unaltered(default, rules_by_class(nn.Module, "forward")(default))


def _of_unaltered(default, rules):
    @functools.wraps(default)
    def function(module, *arguments):
        if not isinstance(module, nn.Module):
            raise TypeError(f"the module is {shown(module)}, expected a torch.nn.Module; functions "
                            "become one by a class with a forward.")
        return (default if _is_patched(module) else rules)(module, *arguments)

    function.register = rules.register
    return function
