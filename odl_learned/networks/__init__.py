"""Networks in plain torch: they map tensors to tensors and know nothing of ODL.

Channel networks map ``(N, C, *shape)`` to ``(N, C', *shape)``: `CNN`, `UNet`, `DnCNN`, and
`NoiseLevelUNet`, which is told the noise level. `Residual` and `ResidualCNN` add the input.
`OnImages` and `NoiseLevelOnImages` put them on images ``(*batch, *shape)``, real or complex.
`RadialBasis` is a learned activation that has a potential.
"""

from odl_learned.networks.activations import RadialBasis
from odl_learned.networks.convolutional import CNN, ResidualCNN
from odl_learned.networks.denoisers import DnCNN, NoiseLevelOnImages, NoiseLevelUNet
from odl_learned.networks.images import OnImages, from_channels, to_channels
from odl_learned.networks.multiscale import Residual, UNet

__all__ = [
    "CNN",
    "DnCNN",
    "NoiseLevelOnImages",
    "NoiseLevelUNet",
    "OnImages",
    "RadialBasis",
    "Residual",
    "ResidualCNN",
    "UNet",
    "from_channels",
    "to_channels",
]
