"""How the elements of a space are laid out as tensors.

===================================  ==============================================
space X                              a batch of elements of X
===================================  ==============================================
tensor space of shape ``s``          one tensor ``(*batch, *s)``
power space ``Y ** n``               one tensor ``(*batch, n, *shape of Y)``
any other product ``Y_1 x Y_2``      a tuple, one entry for every factor
field (values of a functional)       one tensor ``(*batch,)``
===================================  ==============================================

A power of a space that is itself a tuple is a tuple again. With the weights of the inner product
(`weights`) a layout turns ODL's adjoint and gradient (Riesz) into torch's transpose and gradient
(Euclidean), and nothing outside this room knows them.
"""

import math

import numpy as np
import odl
import torch

from odl_learned.bridge.layouts.arrays import array_of, tensor_of
from odl_learned.bridge.layouts.tuple_layout import TupleLayout
from odl_learned.bridge.layouts.weights import entry_weight, over, power_weight, times, weighted_sum
from odl_learned.weights import component_weights


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
        weights = component_weights(space)
        if len(parts) > 0 and space.is_power_space and isinstance(parts[0], TensorLayout):
            base = parts[0]
            weight = power_weight(weights, base.weight, base.shape)
            return TensorLayout(space, (len(space), *base.shape), base.dtype, weight)
        return TupleLayout(space, parts, weights)
    if isinstance(space, odl.core.set.sets.Field):
        return ScalarLayout(space)
    dtype = getattr(torch, str(space.dtype_identifier))
    return TensorLayout(space, tuple(space.shape), dtype, entry_weight(space))


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
        return times(self.weight, x)

    def unweigh(self, x):
        """``W^-1 x``: from a Euclidean gradient to a Riesz representative."""
        return over(self.weight, x)

    def integrate(self, x):
        """``sum_j w_j x_j`` over the axes of one element, of shape ``(*batch,)``."""
        return weighted_sum(self.weight, x, tuple(range(-self.ndim, 0)))

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
        return tensor_of(element.data)

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
        return self.space.element(np.ascontiguousarray(array_of(x)))


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


#: What `layout_of` returns.
Layout = TensorLayout | TupleLayout | ScalarLayout
