"""Networks in plain torch: they map tensors to tensors and know nothing of ODL."""

from odl_learned.networks.convolutional import CNN, ResidualCNN
from odl_learned.networks.images import OnImages, from_channels, to_channels

__all__ = ["CNN", "OnImages", "ResidualCNN", "from_channels", "to_channels"]
