r"""Whether a forward operator keeps the symmetry that the networks of a map have by design.

If the networks of an unrolled map commute with a group, then so does ``Phi o A`` where the normal
operator does, ``A^* A g = g A^* A``, since the iteration from ``A^* A x`` sees nothing else. Where
it does not, as with odd views or a mask in one direction, the networks still have fewer weights,
but what is reconstructed of a turned image is not the turned reconstruction.
"""

import warnings

import torch
from torch import nn

from odl_learned.bridge.layouts.layout import TensorLayout
from odl_learned.bridge.lowering import OperatorModule
from odl_learned.networks.equivariant import Group, GroupAverage
from odl_learned.networks.equivariant.maps import EquivariantNetwork
from odl_learned.reconstruction.tensor_maps import TensorMap

#: Matrices of ray transforms in single precision commute up to 3e-4; a broken symmetry is larger.
TOLERANCE = 1e-2


def warn_of_broken_symmetry(steps: nn.Module, forward: TensorMap, adjoint: TensorMap) -> None:
    """Warn if networks on images commute with a group, and ``A^* A`` does not, on white noise.

    Tried on one image, with elements that generate those of the group that permute the pixels, if
    the operator is a module of ``bridge.as_module``, which knows its space. UserWarning otherwise.
    """
    groups = {part.group for part in steps.modules()
              if isinstance(part, EquivariantNetwork | GroupAverage)}  # fmt: skip
    if not (groups and isinstance(forward, OperatorModule)
            and isinstance(adjoint, OperatorModule)):  # fmt: skip
        return
    layout = forward.layout
    if not isinstance(layout, TensorLayout):
        return
    device = next(forward.buffers()).device
    noise = torch.randn(1, *layout.shape, dtype=layout.dtype,
                        generator=torch.Generator().manual_seed(0)).to(device)
    with torch.no_grad():
        value = adjoint(forward(noise))
        for group in groups:
            for element in _generators(group, noise):
                turned = adjoint(forward(group.act(element, noise)))
                difference = turned - group.act(element, value)
                error = float(difference.norm() / value.norm())
                if not error <= TOLERANCE:
                    warnings.warn(_said(group, element, error), stacklevel=3)
                    break


def _said(group, element, error):
    return (f"the networks commute with {group}, but A* A does not, relative error {error:.1e} for "
            f"element {element} on white noise: the reconstruction of a turned image will not be "
            "the turned reconstruction. Take an even number of views (of fan beams one that four "
            "divides), square images, masks with the same symmetry; or filter this warning if only "
            "the networks are meant to have it.")


def _generators(group: Group, x: torch.Tensor) -> list[int]:
    """Elements that generate all that permute the pixels of images of this shape."""
    found, reached = [], {0}
    for element in range(group.order):
        if element not in reached and group.preserves_grid(element) and x.ndim > group.dimension:
            if group.act(element, x).shape == x.shape:
                found.append(element)
                reached = set(group.subgroup(*found))
    return found
