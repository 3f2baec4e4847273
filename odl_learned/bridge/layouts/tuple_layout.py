"""The elements of a product of different spaces as tuples, part by part; see `layout`."""

import torch

from odl_learned.bridge.layouts.weights import times


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
        return tuple(p.weigh(times(w, xi)) for p, w, xi in zip(self.parts, self.weights, x))

    def unweigh(self, x):
        """``W^-1 x``: from a Euclidean gradient to a Riesz representative."""
        return tuple(p.unweigh(times(1 / w, xi)) for p, w, xi in zip(self.parts, self.weights, x))

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
