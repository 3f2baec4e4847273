"""Instances of networks of generative models, with images that they are applied to."""

import odl
import torch

from odl_learned import regularizers
from odl_learned.networks import generative

IMAGE = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


def dense_pair(channels, latent=3):
    """Encoder and decoder of fully connected layers."""
    source = torch.Generator().manual_seed(2)
    return (
        generative.FullyConnectedEncoder(channels, (4, 6), (7, 5), latent, generator=source),
        generative.FullyConnectedDecoder(latent, (5, 7), channels, (4, 6), generator=source),
    )


def convolutional_pair():
    """Encoder and decoder of convolutions."""
    source = torch.Generator().manual_seed(3)
    return (
        generative.ConvolutionalEncoder(1, (4, 6), (4,), 3, groups=2, generator=source),
        generative.ConvolutionalDecoder(3, (4,), 1, (4, 6), groups=2, generator=source),
    )


def refined_pair():
    """Encoder and decoder, whose channels convolutions turn into an image."""
    source = torch.Generator().manual_seed(6)
    rough = generative.FullyConnectedDecoder(3, (5,), 2, (4, 6), generator=source)
    return dense_pair(1)[0], generative.RefinedDecoder(rough, (3,), generator=source)


def window_head(radius, channels=1, scale=1.0, deviation=0.1):
    """A head whose covariance depends on the latent vector."""
    entries = channels + generative.heads.later_neighbors(radius, channels)
    source = torch.Generator().manual_seed(4)
    return generative.WindowHead(
        generative.FullyConnectedDecoder(3, (5,), entries, (4, 6), scale=scale, generator=source),
        radius, channels, deviation=deviation)  # fmt: skip


def variational(radius, channels=1, deviation=0.1):
    """A variational autoencoder in double precision; None has one precision."""
    head = (generative.ConstantHead(channels, (4, 6), deviation=deviation) if radius is None
            else window_head(radius, channels, deviation=deviation))  # fmt: skip
    return generative.VariationalAutoencoder(*dense_pair(channels), head).double()


GENERATIVE = {
    "Autoencoder": lambda: (generative.Autoencoder(*dense_pair(1)).double(), IMAGE),
    "Autoencoder, convolutional": lambda: (
        generative.Autoencoder(*convolutional_pair()).double(), IMAGE),
    "Autoencoder, refined": lambda: (
        generative.Autoencoder(*refined_pair()).double(), IMAGE),
    "VariationalAutoencoder": lambda: (variational(1), IMAGE),
    "VariationalAutoencoder, one precision": lambda: (variational(None), IMAGE),
    "VariationalAutoencoder, complex": lambda: (
        variational(0, 2), torch.complex(IMAGE, IMAGE.flip(0))),
    "VariationalAutoencoder, components": lambda: (
        variational(2, 2), torch.stack([IMAGE, IMAGE.flip(0)])),
    "Critic": lambda: (
        generative.Critic(generative.FullyConnectedEncoder(1, (4, 6), (5,), 1)).double(), IMAGE),
}

SPACE = odl.uniform_discr([0, 0], [2, 1], (4, 6), dtype="float64")


def joint(radius):
    """A regularizer of images and latent vectors."""
    prior = regularizers.generative.prior_of(variational(radius, deviation=0.8))
    return regularizers.generative.joint_functional(prior, SPACE)


FUNCTIONALS = {"generative, joint": lambda: joint(1)}
