"""Networks in plain torch: they map tensors to tensors and know nothing of ODL.

Channel networks map ``(N, C, *shape)`` to ``(N, C', *shape)``: `CNN`, `UNet`, `DnCNN`, and
`NoiseLevelUNet`, which is told the noise level; so is `PreconditionedDenoiser`, around any of them.
`Residual` and `ResidualCNN` add the input.
`OnImages` and `NoiseLevelOnImages` put them on images ``(*batch, *shape)``, real or complex.
`RadialBasis` is a learned activation that has a potential.

1-Lipschitz by construction, for images of every size: `NormalizedConvolution` with the boundaries
`Circular`, `Inside`, `Zero` and `Reflecting`, `OrthogonalConvolution`, `GroupSort`,
`ConvexSpline`, and `Averaged`, which makes a firmly nonexpansive map of a stack of them.

`equivariant` is a room of its own, with networks that commute with rotations and reflections, and
`generative` another one, with encoders, decoders and what they are uncertain about.
"""

from odl_learned.networks import equivariant, generative
from odl_learned.networks.activations import RadialBasis
from odl_learned.networks.boundaries import Circular, Inside, Reflecting, Zero
from odl_learned.networks.convolutional import CNN, ResidualCNN
from odl_learned.networks.denoisers import DnCNN, NoiseLevelUNet
from odl_learned.networks.images import OnImages, from_channels, to_channels
from odl_learned.networks.lipschitz import Averaged, GroupSort, NormalizedConvolution
from odl_learned.networks.lipschitz_orthogonal import OrthogonalConvolution
from odl_learned.networks.multiscale import Residual, UNet
from odl_learned.networks.noise_levels import NoiseLevelOnImages
from odl_learned.networks.preconditioned import PreconditionedDenoiser
from odl_learned.networks.splines import ConvexSpline

__all__ = [
    "Averaged",
    "CNN",
    "Circular",
    "ConvexSpline",
    "DnCNN",
    "GroupSort",
    "Inside",
    "NoiseLevelOnImages",
    "NoiseLevelUNet",
    "NormalizedConvolution",
    "OnImages",
    "OrthogonalConvolution",
    "PreconditionedDenoiser",
    "RadialBasis",
    "Reflecting",
    "Residual",
    "ResidualCNN",
    "UNet",
    "Zero",
    "equivariant",
    "from_channels",
    "generative",
    "to_channels",
]
