"""How the elements of a space are laid out as tensors, and what the inner product weighs.

===================================  ==============================================
space X                              a batch of elements of X
===================================  ==============================================
tensor space of shape ``s``          one tensor ``(*batch, *s)``
power space ``Y ** n``               one tensor ``(*batch, n, *shape of Y)``
any other product ``Y_1 x Y_2``      a tuple, one entry for every factor
field (values of a functional)       one tensor ``(*batch,)``
===================================  ==============================================

A power of a space that is itself a tuple is a tuple again. The inner product of X is
``<x, z>_X = sum_j w_j x_j conj(z_j)``: the weights ``w`` turn ODL's adjoint and gradient (Riesz)
into torch's transpose and gradient (Euclidean), and nothing outside this room knows them.
"""

import math

import numpy as np
import odl
import torch

from odl_learned.bridge.nested import each


def layout_of(space):
    """Return the layout of the elements of a space.

    Parameters
    ----------
    space : odl.LinearSpace or odl.Field
        Tensor space, discretized function space, product of such spaces, or field.

    Returns
    -------
    layout : TensorLayout, TupleLayout or ScalarLayout

    Raises
    ------
    TypeError
        If the inner product of the space is not a weighted sum.
    """
    if isinstance(space, odl.ProductSpace):
        parts = [layout_of(part) for part in space.spaces]
        weights = _component_weights(space)
        if len(parts) > 0 and space.is_power_space and isinstance(parts[0], TensorLayout):
            return _stacked(space, parts[0], weights)
        return TupleLayout(space, parts, weights)
    if isinstance(space, odl.core.set.sets.Field):
        return ScalarLayout(space)
    dtype = getattr(torch, str(space.dtype_identifier))
    return TensorLayout(space, tuple(space.shape), dtype, _weight(space.weighting, space))


class TensorLayout:
    """Elements of a tensor space, or of a power of one: one tensor ``(*batch, *shape)``."""

    def __init__(self, space, shape, dtype, weight):
        self.space, self.shape, self.dtype, self.weight = space, shape, dtype, weight

    @property
    def ndim(self):
        """Number of trailing axes that belong to one element."""
        return len(self.shape)

    def check(self, x, name="input"):
        """Raise TypeError or ValueError unless ``x`` is a batch of elements."""
        if not isinstance(x, torch.Tensor):
            raise TypeError(
                f"{name} is a {type(x).__name__}, expected one tensor of shape "
                f"(*batch, {', '.join(map(str, self.shape))}). Convert with torch.from_numpy; "
                "ODL elements go to the operator itself."
            )
        if tuple(x.shape[x.ndim - self.ndim :]) != self.shape or x.ndim < self.ndim:
            raise ValueError(
                f"{name} has shape {tuple(x.shape)}, expected "
                f"(*batch, {', '.join(map(str, self.shape))}): any leading axes, then the shape "
                "of the space, without a channel axis. Use x.squeeze or x.reshape."
            )

    def batch_shape(self, x):
        """Leading axes of ``x``."""
        return x.shape[: x.ndim - self.ndim]

    def flatten_batch(self, x):
        """``(*batch, *shape)`` as ``(B, *shape)``."""
        return x.reshape(math.prod(self.batch_shape(x)), *self.shape)

    def weigh(self, x):
        """``W x``: from a Riesz representative to a Euclidean gradient."""
        return x if _is_one(self.weight) else _on(self.weight, x) * x

    def unweigh(self, x):
        """``W^-1 x``: from a Euclidean gradient to a Riesz representative."""
        return x if _is_one(self.weight) else x / _on(self.weight, x)

    def integrate(self, x):
        """``sum_j w_j x_j`` over the axes of one element, of shape ``(*batch,)``."""
        axes = tuple(range(-self.ndim, 0))
        if isinstance(self.weight, torch.Tensor):
            return (_on(self.weight, x) * x).sum(axes)
        total = x.sum(axes) if axes else x
        return total if self.weight == 1.0 else self.weight * total

    def split(self, x):
        """The components of a batch of elements of a power space."""
        return x.unbind(-self.ndim)

    def join(self, parts):
        """Inverse of :meth:`split`."""
        return torch.stack(tuple(parts), dim=-self.ndim)

    def zeros(self, lead, device):
        """A batch of zero elements."""
        return torch.zeros((*lead, *self.shape), dtype=self.dtype, device=device)

    def to_tensor(self, element):
        """One element as a tensor of shape ``shape``, sharing memory where possible."""
        if isinstance(self.space, odl.ProductSpace):
            base = layout_of(self.space[0])
            return torch.stack([base.to_tensor(part) for part in element])
        return torch.as_tensor(element.data)

    def to_element(self, x):
        """One tensor of shape ``shape`` as an element of the space."""
        if x.is_complex() and not self.dtype.is_complex:
            raise TypeError(
                f"the values are of dtype {x.dtype}, expected real ones for {self.space!r}. Use "
                "x.real or x.abs(), or a complex space."
            )
        x = x.detach().to(self.dtype)
        if isinstance(self.space, odl.ProductSpace):
            base = layout_of(self.space[0])
            return self.space.element([base.to_element(part) for part in x])
        if self.space.impl == "pytorch":
            return self.space.element(x.to(self.space.device).contiguous())
        return self.space.element(np.ascontiguousarray(x.resolve_conj().cpu().numpy()))


class TupleLayout:
    """Elements of a product of different spaces: a tuple of tensors."""

    def __init__(self, space, parts, weights):
        self.space, self.parts, self.weights = space, parts, weights

    @property
    def dtype(self):
        """The dtype that holds every part."""
        dtype = self.parts[0].dtype
        for part in self.parts[1:]:
            dtype = torch.promote_types(dtype, part.dtype)
        return dtype

    def check(self, x, name="input"):
        """Raise TypeError or ValueError unless ``x`` is a tuple of batches of elements."""
        if not isinstance(x, (tuple, list)) or len(x) != len(self.parts):
            is_tuple = isinstance(x, (tuple, list))
            got = f"tuple of {len(x)} entries" if is_tuple else type(x).__name__
            raise TypeError(
                f"{name} is a {got}, expected a tuple of {len(self.parts)} tensors, one for every "
                "factor of the product space. Pass (x_1, ..., x_n)."
            )
        for i, (part, xi) in enumerate(zip(self.parts, x)):
            part.check(xi, f"{name}[{i}]")
        leads = [tuple(part.batch_shape(xi)) for part, xi in zip(self.parts, x)]
        if len(set(leads)) > 1:
            raise ValueError(
                f"the parts of {name} have the batch axes {leads}, expected the same ones for all. "
                "Use torch.Tensor.expand."
            )

    def batch_shape(self, x):
        """Leading axes, those of the first part."""
        return self.parts[0].batch_shape(x[0])

    def flatten_batch(self, x):
        """Every part with one batch axis."""
        return tuple(part.flatten_batch(xi) for part, xi in zip(self.parts, x))

    def weigh(self, x):
        """``W x``: from a Riesz representative to a Euclidean gradient."""
        return tuple(p.weigh(_scale(w, xi)) for p, w, xi in zip(self.parts, self.weights, x))

    def unweigh(self, x):
        """``W^-1 x``: from a Euclidean gradient to a Riesz representative."""
        return tuple(p.unweigh(_scale(1 / w, xi)) for p, w, xi in zip(self.parts, self.weights, x))

    def split(self, x):
        """The components of a batch of elements."""
        return x

    def join(self, parts):
        """Inverse of :meth:`split`."""
        return tuple(parts)

    def zeros(self, lead, device):
        """A batch of zero elements."""
        return tuple(part.zeros(lead, device) for part in self.parts)

    def integrate(self, x):
        """Weighted sum over all entries of all parts, of shape ``(*batch,)``."""
        return sum(w * p.integrate(xi) for p, w, xi in zip(self.parts, self.weights, x))

    def to_tensor(self, element):
        """One element as a tuple of tensors."""
        return tuple(part.to_tensor(e) for part, e in zip(self.parts, element))

    def to_element(self, x):
        """One tuple of tensors as an element."""
        return self.space.element([part.to_element(xi) for part, xi in zip(self.parts, x)])


class ScalarLayout:
    """Values of functionals: ``(*batch,)``; ODL's element is a Python number."""

    shape, ndim, weight = (), 0, 1.0

    def __init__(self, field):
        self.space = field
        self.dtype = torch.complex128 if isinstance(field, odl.ComplexNumbers) else torch.float64

    def check(self, x, name="input"):
        """Raise TypeError unless ``x`` is a tensor: one number per sample."""
        if not isinstance(x, torch.Tensor):
            raise TypeError(
                f"{name} is a {type(x).__name__}, expected one tensor of shape (*batch,), a number "
                "per sample. Use torch.tensor(value, dtype=torch.float64)."
            )

    def integrate(self, x):
        """The identity."""
        return x

    def batch_shape(self, x):
        """All axes."""
        return x.shape

    def flatten_batch(self, x):
        """``(B,)``."""
        return x.reshape(-1)

    def weigh(self, x):
        """The identity: a field has no weights."""
        return x

    unweigh = weigh

    def zeros(self, lead, device):
        """Zero for every sample."""
        return torch.zeros(lead, dtype=self.dtype, device=device)

    def to_tensor(self, value):
        """A Python number as a tensor without axes, in double precision."""
        dtype = torch.complex128 if isinstance(value, complex) else torch.float64
        return torch.tensor(value, dtype=dtype)

    def to_element(self, x):
        """A tensor without axes as a Python number."""
        return x.item()


def _stacked(space, base, weights):
    if all(w == weights[0] for w in weights):
        weight = weights[0] if _is_one(base.weight) else weights[0] * base.weight
    else:
        ones = torch.ones(base.shape, dtype=torch.float64)
        weight = torch.stack([w * base.weight * ones for w in weights])
    return TensorLayout(space, (len(space), *base.shape), base.dtype, weight)


def _component_weights(space):
    weighting = space.weighting
    if getattr(weighting, "exponent", 2.0) != 2.0:
        raise TypeError(f"{space} has exponent {weighting.exponent}, expected 2: without an inner "
                        "product there is no adjoint. Build it with exponent=2.")
    if hasattr(weighting, "const"):
        return [float(weighting.const)] * len(space)
    if hasattr(weighting, "array"):
        return [float(w) for w in np.asarray(weighting.array)]
    raise TypeError(_unsupported(weighting, space))


def _weight(weighting, space):
    if getattr(weighting, "exponent", 2.0) != 2.0:
        raise TypeError(f"{space} has exponent {weighting.exponent}, expected 2: without an inner "
                        "product there is no adjoint. Build it with exponent=2.")
    if hasattr(weighting, "const"):
        return float(weighting.const)
    if hasattr(weighting, "array"):
        return torch.as_tensor(weighting.array)
    raise TypeError(_unsupported(weighting, space))


def _unsupported(weighting, space):
    return (f"the weighting {type(weighting).__name__} of {space} is not a weighted sum; expected "
            "a constant or an array of weights. Build the space with weighting=<number or array>.")


def _is_one(weight):
    return not isinstance(weight, torch.Tensor) and weight == 1.0


def _on(weight, x):
    if isinstance(weight, torch.Tensor):
        return weight.to(device=x.device, dtype=x.real.dtype if x.is_complex() else x.dtype)
    return weight


def _scale(w, x):
    return x if w == 1.0 else each(lambda part: w * part, x)
