"""U-Net, DnCNN and the denoiser for all noise levels: sizes, samples, starts, homogeneity."""

import numpy as np
import pytest
import scipy.signal
import torch
from torch import nn

from odl_learned.networks import (
    CNN,
    DnCNN,
    NoiseLevelOnImages,
    NoiseLevelUNet,
    OnImages,
    Residual,
    UNet,
)
from odl_learned.networks.multiscale import padded

F64 = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def shaken(net, seed=1):
    """Every parameter random, so that nothing is zero by construction."""
    source = generator(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=source))
    return net.double()


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=F64)


NETWORKS = {
    "UNet": lambda d: UNet(2, 2, (4, 8, 8), dimension=d),
    "Residual": lambda d: Residual(UNet(2, 1, (4, 4), dimension=d)),
    "DnCNN": lambda d: DnCNN(2, 3, 3, dimension=d),
    "NoiseLevelUNet": lambda d: WithLevel(NoiseLevelUNet(2, (3, 4, 5), 1, dimension=d)),
}


class WithLevel(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x, 0.3)


@pytest.mark.parametrize("shape", [(7,), (8, 5), (4, 6, 5)], ids=["1D", "2D", "3D"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_size_of_image_and_no_mixing_of_samples(name, shape):
    net = shaken(NETWORKS[name](len(shape)))
    x = draw(3, 2, *shape)
    for net in (net.train(), net.eval()):
        y = net(x)
        assert y.shape == (3, y.shape[1], *shape) and y.dtype == F64
        for n in range(3):
            # sums of at most 3 * 27 * 8 products a layer, in another order: 1e-13 of the size
            torch.testing.assert_close(y[n], net(x[n : n + 1])[0], rtol=1e-11, atol=1e-12)
    moved = net(torch.cat([x[:1], 100 * x[1:]]))
    torch.testing.assert_close(moved[0], y[0], rtol=1e-11, atol=1e-12)
    assert net(x[:0]).shape == (0, *y.shape[1:])


def test_starting_values():
    x = draw(2, 2, 6, 7).float()
    assert not UNet(2, 3, (4, 8), dimension=2)(x).any()
    assert torch.equal(Residual(UNet(2, 1, (4, 8), dimension=2))(x), x[:, :1])
    assert torch.equal(NoiseLevelUNet(2, (4, 8), 2, dimension=2)(x, 0.1), x)
    noise = x - DnCNN(2, 64, 5, dimension=2, generator=generator())(x)
    assert 0.1 < noise.square().mean() < 10  # the size of what passes is kept


@pytest.mark.parametrize("build", [
    lambda g: UNet(1, 1, (4, 8), dimension=2, generator=g),
    lambda g: DnCNN(1, 4, 3, dimension=2, generator=g),
    lambda g: NoiseLevelUNet(1, (4, 8), 1, dimension=2, generator=g)])  # fmt: skip
def test_weights_come_from_the_generator(build):
    one, two, other = (list(build(generator(seed)).parameters()) for seed in (0, 0, 1))
    assert all(map(torch.equal, one, two)) and not all(map(torch.equal, one, other))


def test_the_unet_is_what_its_text_says():
    """One scale below, by hand in numpy, on a size that needs no padding."""
    net = shaken(UNet(1, 1, (2, 2), dimension=2, groups=1))
    x = draw(1, 1, 4, 6)

    def convolve(layer, channels):
        weight = layer.weight.detach().numpy()
        return np.stack([sum(scipy.signal.correlate2d(c, weight[o, i], mode="same")
                             for i, c in enumerate(channels)) for o in range(len(weight))])

    def block(layers, channels):
        for convolution, norm in (layers[0:2], layers[3:5]):
            channels = convolve(convolution, channels)
            channels = (channels - channels.mean()) / np.sqrt(channels.var() + norm.eps)
            scale, shift = (p.detach().numpy()[:, None, None] for p in (norm.weight, norm.bias))
            channels = np.maximum(scale * channels + shift, 0)
        return channels

    def doubled(rows):  # linear interpolation between centers of pixels, constant at the border
        rows = np.concatenate([rows[:1], rows, rows[-1:]])
        fine = np.empty((2 * len(rows) - 4, *rows.shape[1:]))
        fine[0::2] = 0.25 * rows[:-2] + 0.75 * rows[1:-1]
        fine[1::2] = 0.75 * rows[1:-1] + 0.25 * rows[2:]
        return fine

    fine = block(list(net.down[0]), x[0].numpy())
    coarse = block(list(net.down[1]), fine.reshape(2, 2, 2, 3, 2).mean((2, 4)))
    up = np.stack([doubled(doubled(c).T).T for c in coarse])
    channels = block(list(net.up[0]), np.concatenate([fine, up]))
    weight, bias = net.last.weight.detach().numpy(), net.last.bias.item()
    expected = np.tensordot(weight[0, :, 0, 0], channels, 1) + bias
    np.testing.assert_allclose(net(x)[0, 0].detach(), expected, rtol=1e-11, atol=1e-12)


def test_images_are_reflected_to_the_coarsest_pixel_and_cut_again():
    x = draw(2, 1, 5, 8)
    larger, crop = padded(x, 4)
    assert larger.shape == (2, 1, 8, 8) and torch.equal(larger[crop], x)
    np.testing.assert_array_equal(larger[0, 0], np.pad(x[0, 0], ((1, 2), (0, 0)), "reflect"))
    same, crop = padded(x[:, :, :4], 4)
    assert same.data_ptr() == x.data_ptr() and torch.equal(same[crop], x[:, :, :4])
    volume, crop = padded(draw(1, 1, 3, 5, 6), 2)
    assert volume.shape == (1, 1, 4, 6, 6) and volume[crop].shape == (1, 1, 3, 5, 6)
    with pytest.raises(ValueError, match="axis 1 of the image has length 1, too short for 8"):
        padded(draw(1, 1, 8, 1), 8)


@pytest.mark.parametrize("shape", [(9,), (6, 7), (4, 4, 5)])
def test_one_denoiser_for_all_levels_is_homogeneous(shape):
    net = shaken(NoiseLevelUNet(1, (3, 4), 2, dimension=len(shape)))
    x, levels = draw(2, 1, *shape), torch.tensor([0.1, 0.7], dtype=F64)
    for t in (1e-3, 8.0):
        torch.testing.assert_close(net(t * x, t * levels), t * net(x, levels), rtol=1e-11,
                                   atol=1e-13)  # fmt: skip
    one = net(x[1:], 0.7)
    torch.testing.assert_close(net(x, levels)[1:], one, rtol=1e-11, atol=1e-12)
    assert (net(x, 0.2) - net(x, 0.3)).abs().max() > 1e-3  # the level counts


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex128])
def test_noise_levels_of_images(dtype):
    channels = 2 if dtype.is_complex else 1
    net = shaken(NoiseLevelUNet(channels, (3, 4), 1, dimension=2))
    model = NoiseLevelOnImages(net.to(torch.zeros((), dtype=dtype).real.dtype), dimension=2)
    x = torch.randn(3, 2, 6, 5, generator=generator(), dtype=dtype)
    levels = torch.rand(3, 2, generator=generator())
    y = model(x, levels)
    assert y.shape == x.shape and y.dtype == dtype
    torch.testing.assert_close(y[2, 1], model(x[2, 1], levels[2, 1]), rtol=1e-4, atol=1e-5)
    assert model(x, 0.1).shape == x.shape
    with pytest.raises(ValueError, match=r"noise_level has shape \(3,\), expected one.*\(3, 2\)"):
        model(x, levels[:, 0])


@pytest.mark.parametrize("net", [
    lambda: DnCNN(1, 3, 2, dimension=1), lambda: UNet(1, 1, (2, 2), dimension=1, groups=2)])
def test_second_derivatives(net):
    net = shaken(net())
    x = draw(1, 1, 6).requires_grad_()
    assert torch.autograd.gradcheck(net, x) and torch.autograd.gradgradcheck(net, x)


def test_errors():
    for mistake, message in (
        (lambda: UNet(1, 1, (), dimension=2), "the number of scales is 0; expected"),
        (lambda: UNet(1, 1, (4, 6), dimension=2), r"widths\[1\] is 6, expected a multiple of"),
        (lambda: UNet(1, 1, (4, 4.0), dimension=2), r"widths\[1\] is 4.0; expected a whole"),
        (lambda: UNet(1, 1, (4,), dimension=4), "dimension is 4; expected 1, 2 or 3"),
        (lambda: DnCNN(1, 0, 3, dimension=2), "width is 0; expected"),
        (lambda: NoiseLevelUNet(1, (2,), 1, dimension=1)(torch.ones(2, 1, 5), [0.1] * 3),
         "noise_level has 3 entries, expected one number or 2"),
        (lambda: NoiseLevelUNet(1, (2,), 1, dimension=1)(torch.ones(2, 1, 5), -0.1),
         "noise_level is -0.1, expected finite numbers of at least zero"),
        (lambda: NoiseLevelUNet(1, (2,), 1, dimension=1)(torch.ones(2, 1, 5), np.nan),
         "noise_level is nan, expected finite"),
        (lambda: Residual(CNN(1, 2, 2, 2))(torch.ones(1, 1, 4, 4)),
         r"maps \(1, 1, 4, 4\) to \(1, 2, 4, 4\), expected the same size and at most 1"),
        (lambda: OnImages(UNet(1, 1, (4,), dimension=2), dimension=1),
         "the network is for images with 2 axes and dimension is 1"),
        (lambda: UNet(1, 1, (4, 4), dimension=2)(torch.ones(2, 1, 2, 2)),
         "one channel of one pixel.*take fewer scales or fewer groups"),
        (lambda: UNet(1, 1, (4,), dimension=2)(torch.ones(1, 2, 4, 4)), r"expected \(N, 1, H, W\)"),
    ):
        with pytest.raises(ValueError, match=message):
            mistake()
    with pytest.raises(TypeError, match="net is of type Identity, expected a network on channels"):
        Residual(nn.Identity())
    with pytest.raises(TypeError, match="x is of type ndarray, expected a tensor"):
        DnCNN(1, 2, 2, dimension=1)(np.ones((1, 1, 4)))
