"""Encoders, decoders and heads of generative models."""

from math import log

import pytest
import torch
from instances.generative import convolutional_pair, dense_pair, variational, window_head

from odl_learned.networks import generative
from odl_learned.operators.triangular.neighborhood import Neighborhood
from odl_learned.regularizers.generative.precision import Precision

Z = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))


def test_convolutions_halve_and_double_volumes():
    encoder = generative.ConvolutionalEncoder(2, (4, 8, 4), (4, 8), 5, groups=2)
    decoder = generative.ConvolutionalDecoder(5, (8, 4), 2, (4, 8, 4), groups=2)
    mean, log_variance = encoder(torch.randn(3, 2, 4, 8, 4))
    assert mean.shape == log_variance.shape == (3, 5)
    assert decoder(mean).shape == (3, 2, 4, 8, 4)


@pytest.mark.parametrize("pair", [dense_pair(1), convolutional_pair()])
def test_the_same_generator_gives_the_same_weights(pair):
    again = {7: lambda: dense_pair(1), 4: convolutional_pair}[pair[0].widths[0]]()
    for one, other in zip(pair, again):
        for a, b in zip(one.parameters(), other.parameters(), strict=True):
            assert torch.equal(a, b)


def test_scale_zero_starts_at_zero():
    decoder = generative.FullyConnectedDecoder(3, (5,), 2, (4, 6), scale=0.0)
    assert torch.equal(decoder(Z), torch.zeros(3, 2, 4, 6))


def test_a_refined_decoder_is_the_first_channels_and_convolutions_of_all():
    rough = dense_pair(2)[1]
    start = generative.RefinedDecoder(rough, (3,), scale=0.0)
    assert torch.equal(start(Z), rough(Z)[:, :1])
    refined = generative.RefinedDecoder(rough, (3, 4), 2)
    x = rough(Z)
    first, middle, last = refined.refinement[::2]

    def at(layer, x):  # correlation with zeros outside
        patches = torch.nn.functional.unfold(x, 3, padding=1)
        return (layer.weight.flatten(1) @ patches + layer.bias[:, None]).unflatten(2, x.shape[2:])

    silu = torch.nn.functional.silu
    expected = x + at(last, silu(at(middle, silu(at(first, x)))))
    torch.testing.assert_close(refined(Z), expected)
    with pytest.raises(ValueError, match="the decoder has 1 channels, expected at least 2"):
        generative.RefinedDecoder(dense_pair(1)[1], (3,), 2)
    with pytest.raises(TypeError, match="expected a Decoder"):
        generative.RefinedDecoder(torch.nn.Identity(), (3,))


def test_heads_start_near_their_deviation():
    log_diagonal, neighbors = generative.ConstantHead(2, (4, 6), deviation=0.3)(Z)
    torch.testing.assert_close(log_diagonal, torch.full((3, 2, 4, 6), -log(0.3)))
    assert neighbors.shape == (3, 1, 4, 6) and not neighbors.any()
    head = window_head(1, scale=0.0)
    log_diagonal, neighbors = head(Z)
    # m - log(1 + e^(m - l0)) with e^-m = 0.01 and e^-l0 = 0.1: the variances add up inversely.
    torch.testing.assert_close(log_diagonal, torch.full((3, 1, 4, 6), log(1 / (0.1 + 0.01))))
    assert torch.equal(neighbors, torch.zeros(3, 4, 4, 6))
    assert abs(head.deviation - 0.1) < 1e-7


def test_no_pixel_is_more_certain_than_the_least_deviation():
    head = window_head(0)
    with torch.no_grad():
        head.decoder.layers[-1].bias.fill_(50.0)
    log_diagonal, neighbors = head(Z)
    assert neighbors.shape == (3, 0, 4, 6) and bool((log_diagonal <= -log(0.01) + 1e-6).all())
    assert bool((log_diagonal > -log(0.0101)).all())


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("radius", [0, 1, 2, 4])
def test_heads_have_the_neighbors_of_a_precision(radius, channels):
    head = window_head(radius, channels)
    log_diagonal, neighbors = head(Z)
    assert log_diagonal.shape == (3, channels, 4, 6)
    assert neighbors.shape[1] == len(Neighborhood(radius, channels))
    Precision(log_diagonal, neighbors, radius)


def test_complex_images_are_two_channels():
    model = variational(0, 2)
    u = torch.randn(3, 4, 6, dtype=torch.complex128)
    mean, _ = model.encode(u)
    expected, _ = model.encoder(torch.stack([u.real, u.imag], 1))
    assert torch.equal(mean, expected)
    assert torch.equal(torch.stack([model(u).real, model(u).imag], 1), model.decoder(mean))


def test_a_critic_is_the_mean_of_its_encoder():
    encoder = generative.FullyConnectedEncoder(1, (4, 6), (5,), 1)
    u = torch.randn(3, 4, 6)
    assert torch.equal(generative.Critic(encoder)(u), encoder(u[:, None])[0][:, 0])


ENCODER, DECODER = dense_pair(1)
MISTAKES = {
    "a length that cannot be halved": (
        lambda: generative.ConvolutionalEncoder(1, (6, 8), (4, 4), 3),
        ValueError, "axis 0 of the image has length 6, expected a multiple of 4"),
    "groups that do not divide": (
        lambda: generative.ConvolutionalDecoder(3, (6,), 1, (4, 8)),
        ValueError, r"widths\[0\] is 6, expected a multiple of groups = 4"),
    "no widths": (lambda: generative.FullyConnectedEncoder(1, (4, 6), (), 3),
                  TypeError, "at least one number"),
    "another shape": (lambda: ENCODER(torch.zeros(2, 1, 6, 4)),
                      ValueError, r"shape \(6, 4\), expected \(4, 6\).*resample"),
    "another latent vector": (lambda: DECODER(torch.zeros(2, 4)),
                              ValueError, r"z is \(2, 4\), expected a tensor of shape \(N, 3\)"),
    "channels of another window": (lambda: generative.WindowHead(DECODER, 1),
                                   ValueError, "1 channels, expected 5: 1 and later_neighbors"),
    "certain from the start": (
        lambda: generative.WindowHead(window_head(0).decoder, 0, deviation=0.01),
        ValueError, "least_deviation is 0.01, expected less than deviation = 0.01"),
    "a pair that does not fit": (lambda: generative.Autoencoder(ENCODER, dense_pair(2)[1]),
                                 ValueError, "1 channels .* the decoder 2 of"),
    "a head that does not fit": (
        lambda: generative.VariationalAutoencoder(ENCODER, DECODER, window_head(0, 2)),
        ValueError, "the head has 2 channels"),
    "an image without a batch": (lambda: variational(0)(torch.zeros(4, dtype=torch.float64)),
                                 ValueError, r"u\[None\]"),
    "a critic with two values": (lambda: generative.Critic(ENCODER),
                                 ValueError, "3 latent numbers, expected 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named(name):
    call, kind, message = MISTAKES[name]
    with pytest.raises(kind, match=message):
        call()
