"""Networks of generative models: encoders, decoders, heads of their covariance, critics.

An encoder maps channels ``(N, C, *shape)`` to mean and log variance ``(N, latent)`` each, a decoder
maps ``(N, latent)`` back to channels. `FullyConnectedEncoder` and `FullyConnectedDecoder` are for
small images, `ConvolutionalEncoder` and `ConvolutionalDecoder` for larger ones and for volumes. A
`RefinedDecoder` puts convolutions behind another one.

A head says how an image deviates from the mean of its decoder: `ConstantHead` has one precision for
all pixels, `WindowHead` a sparse triangular factor of the precision matrix, diagonal for radius 0.
`Autoencoder` and `VariationalAutoencoder` put them together; they map images to images, real or
complex. `Critic` tells images from those of a decoder.
"""

from odl_learned.networks.generative.autoencoders import Autoencoder, VariationalAutoencoder
from odl_learned.networks.generative.critics import Critic
from odl_learned.networks.generative.decoders import (
    ConvolutionalDecoder,
    Decoder,
    FullyConnectedDecoder,
)
from odl_learned.networks.generative.encoders import (
    ConvolutionalEncoder,
    Encoder,
    FullyConnectedEncoder,
)
from odl_learned.networks.generative.heads import ConstantHead, WindowHead
from odl_learned.networks.generative.refined import RefinedDecoder

__all__ = [
    "Autoencoder",
    "ConstantHead",
    "ConvolutionalDecoder",
    "ConvolutionalEncoder",
    "Critic",
    "Decoder",
    "Encoder",
    "FullyConnectedDecoder",
    "FullyConnectedEncoder",
    "RefinedDecoder",
    "VariationalAutoencoder",
    "WindowHead",
]
