"""Rules by class that hold for what computes as the class does, and for no subclass that differs.

A rule knows what a class computes: torch code, a norm, a bound. A subclass that computes something
else, by a method of its own, must not take it: it is what no rule knows.
"""

import functools
import types
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar, TypeVarTuple, overload

Arguments = TypeVarTuple("Arguments")
R = TypeVar("R", covariant=True)
Rule = TypeVar("Rule", bound=Callable[..., object])


class Rules(Protocol[*Arguments, R]):
    """A function of an object with rules by its class, as `functools.singledispatch` makes one."""

    registry: Mapping[type, Callable[..., object]]

    def __call__(self, *arguments: *Arguments) -> R: ...

    @overload
    def register(self, cls: type | types.UnionType, /) -> Callable[[Rule], Rule]: ...
    @overload
    def register(self, cls: type | types.UnionType, rule: Rule, /) -> Rule: ...
    @overload
    def register(self, rule: Rule, /) -> Rule:
        """Register a rule, as a decorator: for a class, or for that of its first argument."""

    def dispatch(self, cls: type, /) -> Callable[..., R]:
        """Return the rule for a class."""


def inherits(cls: type, kind: type, methods: tuple[str, ...]) -> bool:
    """Return whether a class has these methods, or has them not, as a base class of it."""
    return all(getattr(cls, name, None) is getattr(kind, name, None) for name in methods)


def rules_by_class(
    root: type, *methods: str
) -> Callable[[Callable[[*Arguments], R]], Rules[*Arguments, R]]:
    """Return a decorator like `functools.singledispatch` that looks at overridden methods.

    A class takes the rule of its nearest base class that has one and from which it has the named
    methods. Rules for abstract classes, those with the methods of the root, are for all subclasses.

    Parameters
    ----------
    root : type
        Such as ``odl.Operator``.
    methods : str
        Names of the methods that say what is computed, such as ``"_call"``.

    Returns
    -------
    decorator : callable
        Of the function for what has no rule. The result has ``register``, ``dispatch`` and
        ``registry``, as of `functools.singledispatch`.
    """

    def holds(kind, cls):
        abstract = not issubclass(kind, root) or inherits(kind, root, methods)
        return abstract or inherits(cls, kind, methods)

    def decorator(default):
        rules = functools.singledispatch(default)

        def dispatch(cls):
            kinds = (kind for kind in cls.__mro__ if kind in rules.registry)
            return next((rules.registry[kind] for kind in kinds if holds(kind, cls)), default)

        @functools.wraps(default)
        def function(value, *arguments):
            return dispatch(type(value))(value, *arguments)

        function.register, function.registry = rules.register, rules.registry
        function.dispatch = dispatch
        return function

    return decorator
