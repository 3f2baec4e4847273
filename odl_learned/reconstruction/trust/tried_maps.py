"""A reconstruction map between the spaces of an operator, on batches, whatever it is made of."""

from collections.abc import Callable, Sequence

import odl
import torch
from odl.core.set.space import LinearSpaceElement
from torch import nn

from odl_learned.bridge.layouts.layout import TensorLayout, layout_of
from odl_learned.bridge.learned.separation import evaluation_mode
from odl_learned.bridge.lowering import as_module
from odl_learned.odl_validation import require_operator, shown
from odl_learned.reconstruction.tensor_maps import require_tensor

#: A module on tensors, an operator, or a function of elements, such as a solver.
ReconstructionMap = (
    nn.Module | odl.Operator | Callable[[LinearSpaceElement], LinearSpaceElement])
#: A batch of data or of images: a tensor, or elements.
Elements = torch.Tensor | Sequence[LinearSpaceElement]


class SolvedMap(nn.Module):
    """A solver as a module, whose gradients are directions to search in and no derivatives."""


class Spaces:
    """The layouts of data and images of a forward operator, and the norms of both.

    Parameters
    ----------
    forward_op : odl.Operator
        ``A: X -> Y``, X and Y spaces of arrays or powers of one.

    Raises
    ------
    TypeError
        If it is no operator, or elements of a space are not one array.
    """

    def __init__(self, forward_op: odl.Operator):
        require_operator("forward_op", forward_op)
        self.forward_op = forward_op
        self.data, self.images = layout_of(forward_op.range), layout_of(forward_op.domain)
        for name, layout in (("range", self.data), ("domain", self.images)):
            if not isinstance(layout, TensorLayout):
                raise TypeError(f"the {name} of forward_op is {shown(layout.space)}, expected a "
                                "space of arrays or a power of one: its elements are one tensor.")
        self.simulate = as_module(forward_op)


def norm(layout: TensorLayout, x: torch.Tensor) -> torch.Tensor:
    """Return the norms in the space of a layout, ``(*batch, *shape) -> (*batch,)``, float64."""
    wide = x.to(torch.promote_types(x.dtype, torch.float64))
    return layout.integrate(wide.abs() ** 2).sqrt()


def batch(name: str, values, layout: TensorLayout) -> torch.Tensor:
    """Return a tensor ``(N, *shape)``, or a list of elements, as such a tensor, N at least one.

    Raises
    ------
    TypeError
        If it is neither.
    ValueError
        If it is empty, has another shape, or is not finite.
    """
    if isinstance(values, list | tuple) and all(v in layout.space for v in values) and values:
        values = torch.stack([layout.to_tensor(v) for v in values])
    if not isinstance(values, torch.Tensor):
        raise TypeError(f"{name} is {shown(values)}, expected a tensor (N, *shape) or a list of "
                        f"elements of {shown(layout.space)}; for one element pass [element].")
    layout.check(values, name)
    if values.ndim != layout.ndim + 1 or not len(values):
        raise ValueError(f"{name} has shape {tuple(values.shape)}, expected one batch axis with "
                         f"at least one sample before {layout.shape}; use x[None].")
    require_tensor(name, values)
    values = values.detach()
    if not torch.isfinite(values).all():
        raise ValueError(f"{name} is not finite; expected numbers only. Leave out such samples.")
    if values.is_complex() and not layout.dtype.is_complex:
        raise TypeError(f"{name} is complex, expected real numbers of {shown(layout.space)}.")
    return values.to(layout.dtype)


class TriedMap:
    """A reconstruction map on batches ``(N, *Y.shape) -> (N, *X.shape)``, checked when called.

    Parameters
    ----------
    name : str
        What to call it in messages.
    map : torch.nn.Module, odl.Operator or callable
        On tensors with any batch axes; from the range to the domain of the forward operator; or a
        function of one element of the range that returns one of the domain.
    spaces : Spaces

    Attributes
    ----------
    is_differentiable : bool
        Whether there are gradients to ascend: of modules and of operators that are linear or define
        ``derivative``.
    has_derivative : bool
        Whether these are derivatives, and not only directions, as for a `SolvedMap`.

    Raises
    ------
    TypeError
        If it is none of these, or an operator between other spaces; when it is called, if it has
        parameters in another precision than that of the data.
    """

    def __init__(self, name: str, map: ReconstructionMap, spaces: Spaces):
        self.name, self.spaces = name, spaces
        if isinstance(map, odl.Operator):
            Y, X = spaces.data.space, spaces.images.space
            if map.domain != Y or map.range != X:
                raise TypeError(f"{name} maps {shown(map.domain)} to {shown(map.range)}, expected "
                                "from the range of forward_op to its domain.")
            if map.is_linear or type(map).derivative is not odl.Operator.derivative:
                map = as_module(map)
        elif isinstance(map, type) or not callable(map):
            raise TypeError(f"{name} is {shown(map)}, expected a torch module, an ODL operator, or "
                            "a function of an element of the data.")
        self.map = map
        self.is_differentiable = isinstance(map, nn.Module)
        self.has_derivative = self.is_differentiable and not isinstance(map, SolvedMap)

    def __call__(self, data: torch.Tensor) -> torch.Tensor:
        spaces = self.spaces
        if not isinstance(self.map, nn.Module):
            images = []
            for y in data:
                x = self.map(spaces.data.to_element(y))
                if x not in spaces.images.space:
                    raise TypeError(f"{self.name} returned {shown(x)}, expected an element of "
                                    f"{shown(spaces.images.space)}; return space.element(x).")
                images.append(spaces.images.to_tensor(x).clone())
            return torch.stack(images)
        self._require_precision()
        tensors = (*self.map.parameters(), *self.map.buffers())
        device = next((t.device for t in tensors), data.device)
        with evaluation_mode(self.map):
            x = self.map(data.to(device))
        expected = (len(data), *spaces.images.shape)
        if not isinstance(x, torch.Tensor) or tuple(x.shape) != expected:
            found = tuple(x.shape) if isinstance(x, torch.Tensor) else shown(x)
            raise ValueError(f"{self.name} returned {found} for data of shape {tuple(data.shape)}, "
                             f"expected images of shape {expected}.")
        if x.is_complex() and not spaces.images.dtype.is_complex:
            raise TypeError(f"{self.name} returned complex images, expected real ones of "
                            f"{shown(spaces.images.space)}; use x.real or x.abs().")
        return x.to(data.device)

    def _require_precision(self):
        """Raise TypeError for parameters of another precision; single numbers fit any tensor."""
        expected = self.spaces.data.dtype.to_real()
        for name, p in self.map.named_parameters():
            of_numbers = p.is_floating_point() or p.is_complex()
            if p.ndim and of_numbers and p.dtype.to_real() != expected:
                use = {torch.float32: "float", torch.float64: "double"}.get(expected)
                raise TypeError(
                    f"{self.name} has the parameter {name} of {p.dtype}, expected {expected}, the "
                    f"precision of {shown(self.spaces.data.space)}; "
                    + (f"use model.{use}()" if use else f"use model.to({expected})")
                    + ", or spaces in the precision of the model.")

    def pull_back(self, data: torch.Tensor, direction: Callable) -> torch.Tensor:
        """Return ``Phi'(y)* r = W_Y^-1 J^H W_X r`` with ``r = direction(Phi(y))``."""
        y = data.detach().requires_grad_()
        with torch.enable_grad():
            x = self(y)
        if not x.requires_grad:
            return torch.zeros_like(y)
        r = self.spaces.images.weigh(direction(x.detach()))
        (g,) = torch.autograd.grad(x, y, r.to(x.dtype), allow_unused=True)
        return torch.zeros_like(y) if g is None else self.spaces.data.unweigh(g)


def or_infinite(values: torch.Tensor) -> torch.Tensor:
    """Return the values, infinite where they are not finite: such a map is not stable at all."""
    return torch.where(torch.isfinite(values), values, torch.inf)


def onto_sphere(layout: TensorLayout, e: torch.Tensor, radius: float) -> torch.Tensor:
    """Scale to this norm; what is zero or not finite becomes zero."""
    size = norm(layout, e)
    scale = torch.where(torch.isfinite(size) & (size > 0), radius / size, 0.0)
    return torch.where(each(scale > 0, e), e * each(scale, e), 0.0)


def each(numbers: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return numbers of samples beside their entries, in the precision of these."""
    numbers = numbers if numbers.dtype == torch.bool else numbers.to(like.real.dtype)
    return numbers.reshape(*numbers.shape, *[1] * (like.ndim - numbers.ndim))


def random_data(like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return independent normal numbers of the shape and dtype of data."""
    return torch.randn(like.shape, dtype=like.dtype, generator=generator)


def require_generator(generator: torch.Generator) -> None:
    """Raise TypeError unless this is one."""
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator is {generator!r}, expected a torch.Generator; use "
                        "torch.Generator().manual_seed(0).")
