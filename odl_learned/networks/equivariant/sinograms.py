r"""Networks on the data of parallel beams, where a turn of the image shifts the views.

The ray transform of the image turned by an angle is ``(A g u)(phi, s) = (A u)(phi - angle, s)``,
and half a turn later the same lines are seen from the other side,
``(A u)(phi + pi, s) = (A u)(phi, -s)``. A convolution of data that are continued by this rule
commutes with turns if its filters are symmetric in s, or, with fields, equivariant under the mirror
of the detector.
"""

import torch

from odl_learned.networks.equivariant.groups import Dihedral
from odl_learned.networks.equivariant.maps import EquivariantNetwork
from odl_learned.networks.layers import ChannelNetwork
from odl_learned.validation import require_count


class OnHalfCircle(ChannelNetwork):
    r"""A network on sinograms that are continued beyond the half circle of their views.

    .. math:: N(y) = R F(E y), \qquad (E y)(\varphi + \pi, s) = y(\varphi, -s),

    with E the continuation by ``margin`` views on both sides, and R that leaves them away again.
    If F commutes with the mirror of the detector, N commutes with what turns of the image by whole
    views do to its data, so that it may be the step on the data of an equivariant
    `reconstruction.LearnedPrimalDual`.

    Parameters
    ----------
    net : EquivariantNetwork
        F, of the group ``Dihedral(1)``, the mirror of the last axis, for example
        ``EquivariantCNN(Dihedral(1), ...)``.
    margin : int
        Number of views that a value of F depends on, to either side: for an `EquivariantCNN` of
        filters of size 3 its depth.

    Maps ``(N, in_channels, views, bins)`` to ``(N, out_channels, views, bins)``; the views are
    equally spaced on half a circle, and the detector is symmetric about its center.

    Raises
    ------
    TypeError
        If the network is none of the group ``Dihedral(1)``.
    ValueError
        If there are fewer views than the margin, or the input has another shape.
    """

    def __init__(self, net: EquivariantNetwork, margin: int) -> None:
        if not isinstance(net, EquivariantNetwork) or net.group != Dihedral(1):
            raise TypeError(
                f"net is of type {type(net).__name__}, expected an equivariant network of the "
                "mirror of the detector, such as EquivariantCNN(Dihedral(1), ...): a continued "
                "sinogram is seen from the other side.")
        require_count("margin", margin)
        super().__init__(net.in_channels, 2)
        self.net, self.margin = net, int(margin)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.ndim != 4 or x.shape[2] < self.margin:
            raise ValueError(f"x has shape {tuple(x.shape)}, expected (N, {self.in_channels}, "
                             f"views, bins) with at least {self.margin} views, the margin.")
        views = x.shape[2]
        before, after = x[:, :, views - self.margin :].flip(-1), x[:, :, : self.margin].flip(-1)
        continued = self.net(torch.cat([before, x, after], dim=2))
        return continued[:, :, self.margin : self.margin + views]
