"""Checks at the door of what comes from ODL: spaces, operators, elements, numbers of entries.

As `odl_learned.validation`, for rooms that know ODL: each error names the value, what was expected,
and what to do next.
"""

import numbers

import odl
from odl.core.space.base_tensors import TensorSpace

from odl_learned.validation import shown


def require_space(name: str, space: object) -> None:
    """Raise TypeError unless this is a linear space of ODL, or the field of a functional."""
    if not isinstance(space, odl.LinearSpace | odl.core.set.sets.Field):
        raise TypeError(
            f"{name} is {shown(space)}, expected an ODL space such as forward_op.domain; build it "
            "with odl.uniform_discr(min_pt, max_pt, shape, dtype=...)."
        )


def require_array_space(name: str, space: object) -> None:
    """Raise TypeError unless elements of the space are numpy arrays of real or complex floats."""
    if isinstance(space, TensorSpace) and space.impl != "numpy":
        raise TypeError(f"{name} is {shown(space)} on {space.impl}, expected one on numpy; build "
                        "it without impl, bridge.as_module runs what is defined on it in torch.")
    if not isinstance(space, TensorSpace) or space.field is None or is_whole_numbered(space):
        raise TypeError(
            f"{name} is {shown(space)}, expected a space of arrays of real or complex numbers; "
            "build it with odl.uniform_discr(min_pt, max_pt, shape, dtype='float64') or odl.rn(n)."
        )


def require_array_spaces(name: str, space: object) -> None:
    """Raise TypeError unless `require_array_space` accepts the space, or all of its factors."""
    if isinstance(space, odl.ProductSpace):
        for i, part in enumerate(space):
            require_array_spaces(f"{name}[{i}]", part)
    else:
        require_array_space(name, space)


def is_whole_numbered(space: odl.LinearSpace) -> bool:
    """Whether an array space holds whole numbers or truth values, which cannot be scaled."""
    return space.dtype.kind in "biu"


def require_operator(name: str, op: object, kind: type = odl.Operator, hint: str = "") -> None:
    """Raise TypeError unless this is an ODL operator of the class; the hint says what to do."""
    if not isinstance(op, kind):
        hint = hint or "a torch module becomes an operator by bridge.as_operator."
        raise TypeError(f"{name} is {shown(op)}, expected an operator of the class "
                        f"{kind.__name__}; {hint}")


def require_functional(name: str, f: object) -> None:
    """Raise TypeError unless this is a functional of ODL."""
    if not isinstance(f, odl.functionals.Functional):
        raise TypeError(
            f"{name} is {shown(f)}, expected an odl.functionals.Functional; a torch module becomes "
            "one by bridge.as_functional(module, domain)."
        )


def require_element(name: str, x: object, space: odl.LinearSpace) -> None:
    """Raise TypeError unless ``x`` is an element of the space."""
    if x not in space:
        raise TypeError(f"{name} is {shown(x)}, expected an element of {space!r}; build it with "
                        "space.element(values).")


def require_index(name: str, index: object, length: int, what: str) -> None:
    """Raise TypeError unless the index is a whole number, IndexError unless it is in range."""
    if not isinstance(index, numbers.Integral) or isinstance(index, bool):
        raise TypeError(f"{name} is {shown(index)}, expected a whole number, that of {what}; count "
                        "from 0.")
    if not -length <= int(index) < length:
        raise IndexError(f"{name} is {shown(index)}, expected {what} from 0 to {length - 1}.")
