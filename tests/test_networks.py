"""Networks: shape contract, starting values, plain-loop twin, round trips, errors."""

import numpy as np
import pytest
import scipy.signal
import torch

from odl_learned.networks import CNN, OnImages, ResidualCNN, from_channels, to_channels


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def shaken(net, seed=1):
    """Give every parameter random values, so that nothing is zero by construction."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator(seed)))
    return net


@pytest.mark.parametrize("dimension, shape", [(1, (7,)), (2, (6, 5)), (3, (4, 5, 3))])
@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_dtype_and_starting_values(dimension, shape, depth, dtype):
    x = torch.randn(2, 3, *shape, generator=generator(), dtype=dtype)
    plain = CNN(3, 4, 5, depth, dimension=dimension).to(dtype)
    residual = ResidualCNN(3, 2, 5, depth, dimension=dimension).to(dtype)
    assert plain(x).dtype == residual(x).dtype == dtype
    assert torch.equal(plain(x), torch.zeros(2, 4, *shape, dtype=dtype))
    assert torch.equal(residual(x), x[:, :2])
    shaken(plain), shaken(residual)
    assert plain(x).shape == (2, 4, *shape)
    assert residual(x).shape == (2, 2, *shape)
    assert plain(x[:0]).shape == (0, 4, *shape)
    for n in range(2):
        torch.testing.assert_close(residual(x)[n : n + 1], residual(x[n : n + 1]))


def test_cnn_is_what_its_formula_says():
    net = shaken(CNN(2, 1, 3, 2)).double()
    x = torch.randn(1, 2, 6, 5, generator=generator(), dtype=torch.float64)
    first, activation, last = net.layers

    def convolve(layer, channels):
        weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        return [
            bias[o] + sum(scipy.signal.correlate2d(c, weight[o, i], mode="same")
                          for i, c in enumerate(channels))
            for o in range(len(weight))
        ]  # fmt: skip

    slopes = activation.weight.detach().numpy()
    hidden = convolve(first, x[0].numpy())
    hidden = [np.maximum(h, 0) + a * np.minimum(h, 0) for a, h in zip(slopes, hidden)]
    np.testing.assert_allclose(net(x)[0].detach(), convolve(last, hidden), atol=1e-12)
    residual = ResidualCNN(2, 1, 3, 2).double()
    residual.residual.load_state_dict(net.state_dict())
    torch.testing.assert_close(residual(x), x[:, :1] + net(x))


def test_weights_come_from_the_generator():
    one, two, other = (CNN(1, 1, 4, 3, generator=generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(one.layers[0].weight, two.layers[0].weight)
    assert not torch.equal(one.layers[0].weight, other.layers[0].weight)
    bound = (6 / (9 * 1 + 9 * 4)) ** 0.5  # Xavier: fan in 9, fan out 36
    largest = one.layers[0].weight.abs().max()
    assert 0.8 * bound < largest <= bound


@pytest.mark.parametrize("build", [CNN, ResidualCNN])
def test_state_dict_round_trip(build, tmp_path):
    x = torch.randn(1, 2, 6, 6, generator=generator())
    net = shaken(build(2, 1, 4, 3))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    twin = build(2, 1, 4, 3)
    assert not torch.equal(twin(x), net(x))
    twin.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True))
    assert torch.equal(twin(x), net(x))


def test_all_parameters_receive_gradients():
    net = shaken(ResidualCNN(2, 1, 4, 3))
    net(torch.randn(1, 2, 6, 6, generator=generator())).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3), (0,), (2, 0)])
def test_on_images_keeps_axes_and_dtype(batch, dtype):
    x = torch.randn(*batch, 6, 5, generator=generator(), dtype=dtype)
    count = 2 if dtype.is_complex else 1
    net = shaken(ResidualCNN(count, count, 4, 2)).to(x.real.dtype)
    result = OnImages(net, dimension=2)(x)
    assert result.shape == x.shape
    assert result.dtype == dtype
    for index in np.ndindex(*batch):
        image = x[index]
        channels = torch.stack([image.real, image.imag]) if count == 2 else image[None]
        expected = net(channels[None])[0].detach()
        expected = torch.complex(*expected) if count == 2 else expected[0]
        torch.testing.assert_close(result[index], expected)


def test_channels_round_trip_and_conjugate_views():
    x = torch.randn(2, 3, 4, 5, generator=generator(), dtype=torch.complex64)
    assert to_channels(x, 2).shape == (6, 2, 4, 5)
    assert torch.equal(from_channels(to_channels(x, 2), x, 2), x)
    assert torch.equal(from_channels(to_channels(x.conj(), 2), x, 2), x.conj())
    assert to_channels(x, dimension=3).shape == (2, 2, 3, 4, 5)
    assert torch.equal(from_channels(to_channels(x, 3), x, 3), x)


def test_on_images_is_differentiable():
    net = shaken(ResidualCNN(2, 2, 3, 2)).double()
    x = torch.randn(2, 4, 3, generator=generator(), dtype=torch.complex128, requires_grad=True)
    assert torch.autograd.gradcheck(OnImages(net, dimension=2), x)


def test_errors():
    with pytest.raises(ValueError, match=r"shape \(1, 3, 4, 4\), expected \(N, 2, H, W\)"):
        CNN(2, 1, 3, 2)(torch.zeros(1, 3, 4, 4))
    with pytest.raises(ValueError, match="OnImages"):
        ResidualCNN(2, 1, 3, 2)(torch.zeros(4, 4))
    with pytest.raises(TypeError, match="float64, expected torch.float32"):
        CNN(1, 1, 3, 2)(torch.zeros(1, 1, 4, 4, dtype=torch.float64))
    with pytest.raises(ValueError, match="width is 0"):
        CNN(1, 1, 0, 2)
    with pytest.raises(ValueError, match="depth is 1.5"):
        CNN(1, 1, 1, 1.5)
    with pytest.raises(ValueError, match="dimension is 4"):
        CNN(1, 1, 1, 1, dimension=4)
    with pytest.raises(ValueError, match="out_channels is 2, expected at most in_channels = 1"):
        ResidualCNN(1, 2, 3, 2)
    with pytest.raises(ValueError, match="expected at least 2 axes"):
        OnImages(CNN(1, 1, 3, 2), dimension=2)(torch.zeros(4))
    with pytest.raises(ValueError, match=r"shape \(1, 1, 4, 4\), expected \(1, 2, 4, 4\)"):
        OnImages(CNN(2, 1, 3, 2), dimension=2)(torch.zeros(4, 4, dtype=torch.complex64))
