"""A decoder with a few convolutions behind it."""

from typing import final

import torch
from torch import nn

from odl_learned.networks.generative.decoders import Decoder
from odl_learned.networks.generative.layers import require_architecture, scaled
from odl_learned.networks.layers import CONVOLUTIONS, he_uniform
from odl_learned.validation import shown


@final
class RefinedDecoder(Decoder):
    r"""A decoder of several channels, which convolutions turn into an image.

    .. math:: G(z) = (D_1(z), \dots, D_C(z)) + N(D(z))

    with convolutions N of width 3 and SiLU between them. Linear layers alone draw an edge as a sum
    of images that they have learned, one for each place; convolutions sharpen what they draw alike
    everywhere. That costs little, where the channels are few.

    Parameters
    ----------
    decoder : Decoder
        D, with at least C channels, such as a `FullyConnectedDecoder`.
    widths : tuple of int
        Channels between the convolutions of N, one more convolution than that.
    channels : int
        C, those of the images.
    scale : float, optional
        Of the weights of the last convolution, as in `FullyConnectedDecoder`; with zero it starts
        as the first channels of the decoder.
    generator : torch.Generator, optional
        Source of the random weights of N; the default is torch's own.

    Maps ``(N, latent)`` to ``(N, channels, *shape)``.

    Raises
    ------
    TypeError
        If the decoder is none, or widths are no tuple.
    ValueError
        For sizes below 1, a negative scale, a decoder of fewer channels, or an input of another
        shape.
    """

    def __init__(self, decoder: Decoder, widths: tuple[int, ...], channels: int = 1, *,
                 scale: float = 1.0,
                 generator: torch.Generator | None = None) -> None:  # fmt: skip
        if not isinstance(decoder, Decoder):
            raise TypeError(f"decoder is {shown(decoder)}, expected a Decoder, such as "
                            "networks.generative.FullyConnectedDecoder.")
        shape, self.widths = require_architecture(channels, decoder.shape, widths, decoder.latent)
        if channels > decoder.channels:
            raise ValueError(f"the decoder has {decoder.channels} channels, expected at least "
                             f"{channels}, those of the images; build it with more.")
        super().__init__(decoder.latent, channels, shape)
        self.decoder, convolution = decoder, CONVOLUTIONS[len(shape)]
        layers, sizes = [], (decoder.channels, *self.widths)
        for before, after in zip(sizes, self.widths):
            layers += [he_uniform(convolution(before, after, 3, padding=1), generator), nn.SiLU()]
        last = convolution(sizes[-1], channels, 3, padding=1)
        self.refinement = nn.Sequential(*layers, scaled(last, generator, scale))

    def decoded(self, z: torch.Tensor) -> torch.Tensor:
        """Return the channels of latent vectors that are checked."""
        rough = self.decoder(z)
        if rough.ndim == 4:  # convolutions of few channels are twice as fast in this order
            rough = rough.contiguous(memory_format=torch.channels_last)
        return rough[:, : self.channels] + self.refinement(rough)
