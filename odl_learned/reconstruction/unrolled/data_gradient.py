r"""The gradient of the data term, and what of it is computed once for all iterations.

.. math:: \nabla E(u) = A^* (A u - y) = A^* A u - A^* y

With one map for ``A* A``, where it costs less than its two parts, ``A* y`` is computed once and the
iteration never leaves the space of images.
"""

import torch

from odl_learned.bridge.layouts.layout import TensorLayout
from odl_learned.bridge.lowering import OperatorModule
from odl_learned.networks.images import require_dimension
from odl_learned.reconstruction.tensor_maps import (
    TensorMap,
    require_data_of,
    require_images,
    require_linear_map,
)


class DataGradient:
    """``u -> grad E(u)`` for fixed data.

    Parameters
    ----------
    maps : object
        With ``forward_op``, ``adjoint_op`` and ``normal_op``, which may be None: a reconstruction.
    data : torch.Tensor, shape (*batch, *Y.shape)
    """

    def __init__(self, maps, data: torch.Tensor, back: torch.Tensor | None = None):
        self.maps, self.data, self._back = maps, data, back

    @property
    def back(self) -> torch.Tensor:
        """``A* y``, computed once."""
        if self._back is None:
            self._back = self.maps.adjoint_op(self.data)
        return self._back

    def zero(self) -> torch.Tensor:
        """Return ``grad E(0) = -A* y``, by ``A 0 = 0``."""
        return -self.back

    def __call__(self, u: torch.Tensor) -> torch.Tensor:
        if self.maps.normal_op is None:
            simulated = self.maps.forward_op(u)
            require_data_of(simulated, self.data, u)
            return self.maps.adjoint_op(simulated - self.data)
        require_images("A* y, the adjoint of the data,", self.back, u.shape)
        return self.maps.normal_op(u) - self.back

    def take(self, index) -> "DataGradient":
        """The gradient for some of the samples along the first axis."""
        back = None if self._back is None else self._back[index]
        return DataGradient(self.maps, self.data[index], back)


def require_normal(forward: TensorMap, adjoint: TensorMap, normal: TensorMap | None) -> None:
    """Raise TypeError or ValueError unless a map is the product of adjoint and forward operator.

    It is tried on a random image where the forward operator is a module of ``bridge.as_module``,
    which knows the space of images.
    """
    if normal is None:
        return
    require_linear_map("normal", normal)
    layout = layout_of_images(forward)
    if layout is None or not isinstance(forward, OperatorModule):
        return
    device = next(forward.buffers()).device
    u = torch.randn(1, *layout.shape, dtype=layout.dtype,
                    generator=torch.Generator().manual_seed(0)).to(device)  # fmt: skip
    with torch.no_grad():
        expected, found = adjoint(forward(u)), normal(u)
    # Both add up the same products in different orders, and differ by far less than sqrt(eps).
    tolerance = torch.finfo(u.dtype).eps ** 0.5
    if found.shape != expected.shape or (found - expected).norm() > tolerance * expected.norm():
        raise ValueError(
            "normal is not the product of adjoint and forward: it maps a random image to something "
            "else than adjoint(forward(u)). Expected bridge.as_module(A.adjoint @ A) of the same A "
            "with the same scaling; leave it out if there is no such map."
        )


def require_maps(
    forward: TensorMap, adjoint: TensorMap, normal: TensorMap | None, dimension: int | None = None
) -> None:
    """Raise TypeError or ValueError unless these are linear maps and ``normal`` their product.

    If the dimension of an image is said, it must be that of the space, where it is known.
    """
    require_linear_map("forward", forward)
    require_linear_map("adjoint", adjoint)
    require_normal(forward, adjoint, normal)
    if dimension is not None:
        require_dimension(dimension)
        layout = layout_of_images(forward)
        if layout is not None and layout.ndim != dimension:
            raise ValueError(f"dimension is {dimension}, expected {layout.ndim}: the images of "
                             f"forward have shape {layout.shape}.")


def layout_of_images(forward: TensorMap) -> TensorLayout | None:
    """Return how images are laid out, where the forward operator knows, else None."""
    layout = forward.layout if isinstance(forward, OperatorModule) else None
    return layout if isinstance(layout, TensorLayout) else None


def normal_image(maps, u: torch.Tensor) -> torch.Tensor:
    """Return ``A* A u``, by one map where there is one."""
    return maps.adjoint_op(maps.forward_op(u)) if maps.normal_op is None else maps.normal_op(u)
