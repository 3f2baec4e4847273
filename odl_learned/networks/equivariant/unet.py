"""The equivariant U-Net."""

import torch
from torch import nn

from odl_learned.networks.equivariant.convolutions import GroupConvolution
from odl_learned.networks.equivariant.fields import regular, trivial
from odl_learned.networks.equivariant.groups import Group
from odl_learned.networks.equivariant.maps import EquivariantNetwork, require_equivariant_sizes
from odl_learned.networks.equivariant.pointwise import FieldNormalization
from odl_learned.networks.equivariant.scales import doubled, halved, symmetrically_padded
from odl_learned.networks.layers import require_channels
from odl_learned.validation import shown


class EquivariantUNet(EquivariantNetwork):
    """Group convolutions on scales that halve, with skips; it starts as the zero map.

    The U-Net of `networks.UNet` with regular fields in place of channels. On scale ``k``, with
    ``fields[k]`` fields, a block is twice a group convolution, field normalization and ReLU. Down
    to the next scale images are averaged over blocks of two pixels; up, they are interpolated
    linearly and joined with the fields of the way down. A convolution of size 1, zero at first,
    projects to images. Images are reflected at their border, equally on either side, to a multiple
    of the coarsest pixel: their lengths must be even, since no grid of half the points lies
    symmetrically in one of odd length.

    Parameters
    ----------
    group : Group
        For example ``Cyclic(4)``, the quarter turns; its dimension is that of the images.
    in_channels, out_channels : int
        Numbers of channels, at least 1.
    fields : sequence of int
        Regular fields of every scale, from the finest, each of ``group.order`` channels.
    joint : int, optional
        Fields that are normalized together; it divides all numbers of fields.
    size, generator
        Those of `EquivariantCNN`.

    Maps ``(N, in_channels, *shape)`` to ``(N, out_channels, *shape)``, real, in the dtype of the
    weights; `networks.Residual` adds the input.

    Raises
    ------
    ValueError
        For sizes below 1, fields that are no multiples of ``joint``, an input of another shape, of
        an odd length where there are several scales, or too short to be reflected.
    TypeError
        For an input of another dtype than the weights, or another group.

    Source: Ronneberger, Fischer, Brox, U-Net (2015), with the layers of Cohen, Welling (2016).

    Examples
    --------
    >>> import torch
    >>> from odl_learned import conformance, networks
    >>> from odl_learned.networks import equivariant
    >>> group, seed = equivariant.Cyclic(4), torch.Generator().manual_seed(0)
    >>> net = equivariant.EquivariantUNet(group, 1, 1, fields=(1, 2), joint=1, generator=seed)
    >>> denoiser, x = networks.OnImages(net, dimension=2), torch.rand(1, 8, 8, generator=seed)
    >>> print(float(denoiser(x).abs().max()))  # it starts as the zero map
    0.0
    >>> for parameter in net.parameters():
    ...     parameter.data = torch.randn(parameter.shape, generator=seed)
    ...
    >>> print(float(conformance.equivariance_error(denoiser, group, x)) < 1e-4)
    True
    """

    def __init__(
        self,
        group: Group,
        in_channels: int,
        out_channels: int,
        fields: tuple[int, ...],
        *,
        joint: int = 1,
        size: int = 3,
        generator: torch.Generator | None = None,
    ) -> None:
        if not isinstance(fields, (tuple, list)):
            raise TypeError(f"fields is {shown(fields)}, expected a tuple of whole numbers, one "
                            "for each scale.")
        named = {f"fields[{k}]": count for k, count in enumerate(fields)}
        require_equivariant_sizes(
            group, {"in_channels": in_channels, "out_channels": out_channels, "joint": joint,
                    "the number of scales": len(named), **named}, size)  # fmt: skip
        super().__init__(group, in_channels)
        self.factor = 2 ** (len(named) - 1)

        def block(source, target):
            layers = []
            for before in (source, target):
                convolution = GroupConvolution(
                    before, target, size, bias=False, generator=generator)
                layers += [convolution, FieldNormalization(target, joint), nn.ReLU()]
            return nn.Sequential(*layers)

        scales = [regular(group, count) for count in fields]
        pairs = list(zip(scales, scales[1:]))
        first = (trivial(group, in_channels), scales[0])
        self.down = nn.ModuleList(block(*pair) for pair in [first, *pairs])
        self.up = nn.ModuleList(block(fine.times(fine.count + coarse.count), fine)
                                for fine, coarse in reversed(pairs))
        self.last = GroupConvolution(scales[0], trivial(group, out_channels), 1)
        nn.init.zeros_(self.last.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (N, in, *shape) -> (N, out, *shape)
        require_channels(x, self.in_channels, self.dimension, self.last.weight)
        channels, crop = symmetrically_padded(x, self.factor)
        kept = []
        for block in self.down[:-1]:
            kept.append(block(channels))
            channels = halved(kept[-1], self.dimension)
        channels = self.down[-1](channels)
        for block in self.up:
            channels = block(torch.cat([kept.pop(), doubled(channels, self.dimension)], dim=1))
        return self.last(channels)[crop]
