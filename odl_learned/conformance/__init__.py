"""What every operator, functional and module promises, as checks that anyone can run.

.. code-block:: python

    from odl_learned import conformance

    for check in conformance.checks_for(my_operator):
        check(my_operator, numpy.random.default_rng(0))

A check is a free function of an object and a random generator that tests one identity. Where that
does not hold it raises ConformanceError, an AssertionError with the numbers, also under
``python -O``. ``checks_for`` gives exactly the checks of what the object claims to be: a linear
operator, a nonlinear one, or a functional, each with the checks of its torch module. A torch module
by itself is checked on an example, ``check(module, example)``.

A proximal that is an iteration may say how accurate it is, by a method ``gap(x)`` of the operator
that ``f.proximal(sigma)`` returns; so may the operator ``f.gradient`` of a convex functional. What
is allowed follows from it (`conformance.accuracy`).

`equivariance_error` measures how far a map is from commuting with a group of rotations and
reflections, or a functional from being invariant.
"""

import functools
from collections.abc import Callable

import odl
import torch

from odl_learned.conformance import derivatives, functionals, modules, operators, torch_modules
from odl_learned.conformance.actions import Translations
from odl_learned.conformance.equivariance import EquivarianceErrors, equivariance_error
from odl_learned.conformance.failure import ConformanceError
from odl_learned.conformance.sampling import sample

__all__ = [
    "ConformanceError",
    "EquivarianceErrors",
    "Translations",
    "checks_for",
    "equivariance_error",
    "sample",
]


@functools.singledispatch
def checks_for(obj: odl.Operator | torch.nn.Module) -> tuple[Callable[..., None], ...]:
    """Return the checks of what an object claims to be.

    Parameters
    ----------
    obj : odl.Operator or torch.nn.Module
        An operator or functional, checked by ``check(obj, rng)``; or a module, checked by
        ``check(obj, example)`` with an example input of one sample, without batch axis.

    Returns
    -------
    checks : tuple of callable

    Raises
    ------
    TypeError
        If the object is neither.
    """
    raise TypeError(
        f"no checks for {type(obj).__name__}; expected an ODL operator or functional, or a torch "
        "module."
    )


@checks_for.register
def _(op: odl.Operator):
    return (*(operators.LINEAR if op.is_linear else operators.NONLINEAR), *modules.OPERATOR,
            *derivatives.OPERATOR)


@checks_for.register
def _(f: odl.functionals.Functional):
    return (*functionals.FUNCTIONAL, *modules.FUNCTIONAL, *derivatives.FUNCTIONAL)


@checks_for.register
def _(module: torch.nn.Module):
    return torch_modules.MODULE
