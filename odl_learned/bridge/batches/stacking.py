"""Modules of one form for a batch: where their constants differ, they are stacked.

Twins of problems, one per sample, are lowered to modules that differ in constants only, such as the
data. A constant of the shape of an element, stacked to ``(B, *shape)``, broadcasts against a batch
as the single one does, so that one module computes all samples, each with its own constant. Factors
of scalar multiples, such as regularization parameters, are stacked to ``(B,)``, see `factors`.
"""

import copy
import functools
import types

import numpy as np
import odl
import torch
from torch import nn

from odl_learned.bridge.factors import FACTORS
from odl_learned.bridge.layouts.nested import Held
from odl_learned.bridge.rules.expressions import Outer
from odl_learned.bridge.rules.frequencies.fourier import CentredFourier
from odl_learned.bridge.rules.pointwise import Constant

#: Buffers with the axes of an element at their end, which may get a leading axis for the samples.
PER_SAMPLE = ((Held, "tensor"), (CentredFourier, "weights"))

#: Modules that spread a constant over the batch themselves.
COMMON = (Constant, Outer)

_KEPT = {"_modules", "_buffers", "_parameters", "_per_sample"}


def stack(modules):
    """Return one module for a batch.

    Parameters
    ----------
    modules : list of torch.nn.Module
        One per sample, of one form: they may differ in constants of the shape of an element, and
        in the factors of scalar multiples.

    Raises
    ------
    ValueError
        If they differ in anything else; names the sample and what differs.
    """
    return _stack(list(modules), type(modules[0]).__name__)


def is_per_sample(module):
    """Whether a module holds constants of single samples."""
    return any(getattr(part, "_per_sample", ()) for part in module.modules())


def select(module, index):
    """Return the module for some of the samples; what is common to all is shared with it."""
    if not is_per_sample(module):
        return module

    def buffer(name, value):
        return value[index, ...] if name in getattr(module, "_per_sample", ()) else value

    return _with(module, {k: select(m, index) for k, m in module._modules.items()},
                 {k: buffer(k, b) for k, b in module._buffers.items()})


def in_double(module):
    """Return a module that computes in double precision, with numbers of double precision.

    Parameters are copied as they are now, without graphs.
    """
    def buffer(value):
        if value is None or not (value.is_floating_point() or value.is_complex()):
            return value
        return value.to(torch.complex128 if value.is_complex() else torch.float64)

    result = _with(module, {k: in_double(m) for k, m in module._modules.items()},
                   {k: buffer(b) for k, b in module._buffers.items()})
    result._parameters = {k: None if p is None else nn.Parameter(buffer(p.detach()), False)
                          for k, p in module._parameters.items()}
    return result


def _stack(modules, path):
    first = modules[0]
    kept = _KEPT | {"scalar"} if type(first) in FACTORS else _KEPT
    for number, other in enumerate(modules[1:], 1):
        mine, theirs = ({k: v for k, v in vars(m).items() if k not in kept}
                        for m in (first, other))
        if type(first) is not type(other) or set(first._modules) != set(other._modules):
            raise ValueError(_differs(number, path, f"{_name(other)} in place of {_name(first)}"))
        where = difference(mine, theirs) or difference(first._parameters, other._parameters)
        if where:
            raise ValueError(_differs(number, path, where))
    children = {name: _stack([m._modules[name] for m in modules], f"{path}.{name}")
                for name in first._modules}
    if isinstance(first, COMMON) and any(map(is_per_sample, children.values())):
        raise ValueError(_differs(1, path, "another constant value"))
    buffers, per_sample = dict(first._buffers), set()
    for name in buffers:
        values = [m._buffers[name] for m in modules]
        number = next((i for i, value in enumerate(values) if difference(values[0], value)), 0)
        if number:
            buffers[name] = _stacked_buffer(first, name, values, number, path)
            per_sample.add(name)
    result = _with(first, children, buffers)
    result._per_sample = frozenset(per_sample)
    if type(first) in FACTORS:
        scalars = [complex(m.scalar) for m in modules]
        if any(scalar != scalars[0] for scalar in scalars):
            return FACTORS[type(first)](result, _real_if_possible(scalars))
    return result


def _real_if_possible(scalars):
    scalars = np.array(scalars)
    return scalars if scalars.imag.any() else scalars.real.copy()


def _stacked_buffer(module, name, values, number, path):
    may_differ = any(isinstance(module, kind) and name == known for kind, known in PER_SAMPLE)
    same_shape = all(value.shape == values[0].shape for value in values)
    if not may_differ or not same_shape or values[0].ndim == 0:
        raise ValueError(_differs(number, path, f"{name} of another shape or value, where only "
                                  "constants of the shape of an element may differ"))
    return torch.stack(values)


def _with(module, modules, buffers):
    """A shallow copy with other parts."""
    result = copy.copy(module)
    result._modules, result._buffers = modules, buffers
    return result


def difference(a, b, seen=None):
    """Say where two constants of modules differ, or return an empty string.

    Objects are compared by what they hold, so that operators built twice in the same way agree.
    """
    seen = set() if seen is None else seen
    if a is b or (id(a), id(b)) in seen:
        return ""
    seen.add((id(a), id(b)))
    if type(a) is not type(b):
        return f"{_short(b)} in place of {_short(a)}"
    if isinstance(a, torch.Tensor):
        same = a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b)
    elif isinstance(a, np.ndarray):
        same = a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b)
    elif isinstance(a, (tuple, list)):
        return difference(dict(enumerate(a)), dict(enumerate(b)), seen)
    elif isinstance(a, dict):
        if a.keys() != b.keys():
            return f"{sorted(map(str, b))} in place of {sorted(map(str, a))}"
        found = ((key, difference(a[key], b[key], seen)) for key in a)
        return next((f"{key}: {text}" for key, text in found if text), "")
    elif isinstance(a, functools.partial):
        return difference([a.func, a.args, a.keywords], [b.func, b.args, b.keywords], seen)
    elif isinstance(a, types.MethodType):
        return difference([a.__func__, a.__self__], [b.__func__, b.__self__], seen)
    elif isinstance(a, types.FunctionType):
        if a.__code__ is b.__code__:
            return difference(_captured(a), _captured(b), seen)
        same = False
    elif isinstance(a, odl.core.set.sets.Set) or not hasattr(a, "__dict__"):
        same = bool(a == b)
    elif isinstance(a, (nn.Module, odl.Operator)) or hasattr(a, "__dict__"):
        return difference(vars(a), vars(b), seen)
    return "" if same else f"{_short(b)} in place of {_short(a)}"


def _captured(function):
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    return [cells, function.__defaults__, function.__kwdefaults__]


def _differs(number, path, what):
    return (f"sample {number} differs from sample 0 in {path}: {what}. Expected objects of one "
            "form that differ in data and in factors, such as regularization parameters; solve "
            "others as another batch.")


def _name(module):
    return type(module).__name__


def _short(value):
    text = repr(value) if np.isscalar(value) or value is None else type(value).__name__
    return f"{text} of shape {tuple(value.shape)}" if hasattr(value, "shape") else text
