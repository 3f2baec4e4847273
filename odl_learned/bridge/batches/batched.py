"""``as_batch``: the twins of an operator, a functional or a problem on batches of tensors."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar, overload

import odl

from odl_learned.bridge.batches.twins import BatchFunctional, BatchOperator
from odl_learned.functionals import precise_value

T = TypeVar("T")


class Batchable(Protocol[T]):
    """An object that builds its twin, such as `variational.Problem`."""

    def batched(
        self, objects: Sequence["Batchable[T]"], convert: Callable[[Sequence[object]], object], /
    ) -> T:
        """Return the twin of these objects; `convert` makes those of one part of every object."""


@overload
def as_batch(  # type: ignore[overload-overlap]  # functionals are operators with other twins
    obj: odl.functionals.Functional | Sequence[odl.functionals.Functional],
) -> BatchFunctional: ...
@overload
def as_batch(obj: odl.Operator | Sequence[odl.Operator]) -> BatchOperator: ...
@overload
def as_batch(obj: Batchable[T] | Sequence[Batchable[T]]) -> T: ...
def as_batch(
    obj: odl.Operator | Batchable[T] | Sequence[odl.Operator] | Sequence[Batchable[T]],
) -> BatchFunctional | BatchOperator | T:
    r"""Return the twin of an ODL object that acts on batches of tensors.

    A list stands for one object per sample: they must be of one form, and what differs, such as
    data, masks or weights of the shape of an element, is stacked along the first axis. Factors of
    scalar multiples may differ, too, so that a list of problems with different regularization
    parameters is one batch.

    Parameters
    ----------
    obj : linear odl.Operator, odl.functionals.Functional, variational.Problem, or a list of them
        Any other object may bring a method ``batched(objects, convert)``, which builds its twin
        from those of its parts, ``convert([part of every object])``.

    Returns
    -------
    twin : BatchOperator, BatchFunctional, or what ``batched`` returns
        Where a list was given it knows ``take(index)``: the twin for some of the samples.

    Raises
    ------
    TypeError
        If the object is none of these.
    ValueError
        If the list is empty or the objects differ in more than such constants; the message names
        the sample and what differs.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import bridge, functionals
    >>> X = odl.rn(2)
    >>> f = bridge.as_batch([functionals.l2_fidelity(X.element([k, 0])) for k in (1, 2)])
    >>> isinstance(f, bridge.BatchFunctional), isinstance(f.domain, bridge.BatchSpace)
    (True, True)
    >>> print(f(f.domain.zero()))  # one value for each functional
    tensor([0.5000, 2.0000], dtype=torch.float64)
    >>> isinstance(bridge.as_batch([odl.ScalingOperator(X, 2.0)] * 2), bridge.BatchOperator)
    True
    """
    return _twin(obj)


def _twin(obj):
    is_list = isinstance(obj, (list, tuple))
    objects = list(obj) if is_list else [obj]
    if not objects:
        raise ValueError("the list is empty; expected one object per sample, at least one.")
    first, size = objects[0], len(objects) if is_list else None
    if isinstance(first, odl.functionals.Functional):
        kind = BatchFunctional
    elif isinstance(first, odl.Operator) and first.is_linear:
        kind = BatchOperator
    elif hasattr(first, "batched") and not isinstance(first, type):
        return first.batched(objects, as_batch if is_list else lambda parts: as_batch(parts[0]))
    else:
        raise TypeError(
            f"cannot batch {type(first).__name__} ({first!r}); expected a functional, a linear "
            "operator or a problem of odl_learned.variational, or a list of them. A torch module "
            "needs no twin; an element becomes a tensor by its data."
        )
    for number, other in enumerate(objects):
        if not isinstance(other, odl.Operator) or other.domain != first.domain or (
                other.range != first.range):
            raise ValueError(
                f"sample {number} is {type(other).__name__} ({other!r}), expected one between the "
                f"spaces of sample 0, {first.domain!r} and {first.range!r}."
            )
    return kind(objects, size)


precise_value.register(BatchFunctional, lambda functional, x: functional.precise(x))
