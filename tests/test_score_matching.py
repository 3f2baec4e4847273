"""Denoising score matching: what it minimizes, and its place in the one loop of training."""

import functools

import numpy as np
import odl
import pytest
import torch
from torch import nn
from training_processes import by_processes

from odl_learned import data, learning, networks
from odl_learned.learning.batch import generator_of
from odl_learned.learning.objectives import (
    BalancedWeight,
    DenoisingScoreMatching,
    LogUniformLevels,
)
from odl_learned.networks.noise_levels import AtLevel

LOSS = DenoisingScoreMatching(LogUniformLevels(0.1, 2.0), BalancedWeight(0.5))


class Images:
    """Independent normal pixels of mean 0.3 and standard deviation 0.5, real or complex."""

    def __init__(self, count=64, shape=(4, 4), dtype=torch.float32, dies_at=None):
        source = torch.Generator().manual_seed(0)
        scale = 0.5 * (2**0.5 if dtype.is_complex else 1.0)
        self.x = scale * torch.randn(count, *shape, generator=source, dtype=dtype) + 0.3
        self.left = dies_at

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        if self.left is not None:
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt
        return self.x[i]


class Linear(nn.Module):
    """``m + g(t) (z - m)`` with a gain for each of several ranges of levels."""

    def __init__(self, mean=0.0, gains=8):
        super().__init__()
        self.mean = nn.Parameter(torch.tensor(mean))
        self.gains = nn.Parameter(torch.full((gains,), 0.5))

    def forward(self, x, level):
        level = torch.as_tensor(level)
        place = torch.log(level / 0.1) / np.log(20) * len(self.gains)
        gain = self.gains[place.long().clamp(0, len(self.gains) - 1)].reshape(-1, 1, 1)
        return self.mean + gain * (x - self.mean)

    @property
    def compared_by(self):
        return AtLevel(self, 1.0)


def denoiser(channels=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    net = networks.CNN(channels + 1, channels, 4, 2, generator=generator)
    return networks.NoiseLevelOnImages(
        networks.PreconditionedDenoiser(net, 0.3, 0.5), dimension=2)


def trained(model, images=None, steps=5, checkpoint=None, loss=LOSS):
    learning.train(model, images or Images(12), steps=steps, loss=loss, batch_size=4, seed=3,
                   optimizer=torch.optim.Adam(model.parameters(), 0.02), checkpoint=checkpoint,
                   checkpoint_every=2, progress=False)  # fmt: skip
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_its_value_is_one_for_the_best_denoiser_of_normal_pixels(dtype):
    """The trivial network is that denoiser, and its weighted error is one at every level."""
    x = Images(20000, (2, 2), dtype).x
    net = networks.CNN(3 if dtype.is_complex else 2, 2 if dtype.is_complex else 1, 4, 2).double()
    mean = 0.3
    if dtype.is_complex:  # the mean is that of both parts
        x = x + 0.3j
    best = networks.NoiseLevelOnImages(
        networks.PreconditionedDenoiser(net, mean, 0.5), dimension=2)
    value = LOSS(best, learning.Batch(x, None, generator_of(0), "now"))
    assert float(value.detach()) == pytest.approx(1, rel=0.03)
    level = torch.full((len(x),), 0.7, dtype=torch.float64)
    noisy = x + 0.7 * learning.Batch(x, None, generator_of(1), "now").normal(x)
    variance = (best(noisy, level) - x).abs().square().mean() / (2 if dtype.is_complex else 1)
    assert float(variance.detach()) == pytest.approx(0.25 * 0.49 / 0.74, rel=0.03)


def test_training_finds_the_conditional_mean():
    model, x = Linear(), Images(2000).x
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    for k in range(200):
        optimizer.zero_grad()
        LOSS(model, learning.Batch(x, None, generator_of(k), "now")).backward()
        optimizer.step()
    edges = 0.1 * 20 ** (np.arange(9) / 8)
    least, largest = (0.25 / (0.25 + edges[k : k + 8] ** 2) for k in (1, 0))
    gains = model.gains.detach().numpy()
    assert (gains > least - 0.03).all() and (gains < largest + 0.03).all()
    assert float(model.mean.detach()) == pytest.approx(0.3, abs=0.05)


def test_the_level_is_drawn_for_each_sample_from_its_range():
    levels = LogUniformLevels(0.1, 10.0)(torch.rand(10000, generator=generator_of(0)))
    assert 0.1 <= levels.min() < 0.11 and 9 < levels.max() < 10
    assert float(levels.log().mean()) == pytest.approx(0, abs=0.05)
    assert float((levels < 1).float().mean()) == pytest.approx(0.5, abs=0.02)


def test_training_goes_on_to_the_same_bits(tmp_path):
    whole = trained(denoiser())
    with pytest.raises(KeyboardInterrupt):
        trained(denoiser(), Images(12, dies_at=4 * 3 + 6), checkpoint=tmp_path / "run.pt")
    assert torch.equal(trained(denoiser(), checkpoint=tmp_path / "run.pt"), whole)
    other = DenoisingScoreMatching(LogUniformLevels(0.2, 2.0), LOSS.weight)
    with pytest.raises(ValueError, match="written with another loss"):
        trained(denoiser(), steps=6, checkpoint=tmp_path / "run.pt", loss=other)


def learned_weights():
    return trained(denoiser()).tolist()


def test_two_processes_learn_what_one_does(tmp_path):
    alone = learned_weights()
    for found in by_processes(2, str(tmp_path), learned_weights):
        np.testing.assert_allclose(found, alone, rtol=1e-4, atol=1e-5)


def test_the_denoiser_of_the_package_removes_noise_of_every_level(tmp_path):
    path = learning.CT_DENOISER
    assert path.stat().st_size < 1e6
    model = learning.load_regularizer(path)
    space = odl.uniform_discr([0, 0], [1, 1], (64, 64), dtype="float32")
    body = data.random_body(space, np.random.default_rng(0)).asarray()
    x = torch.from_numpy(0.5 * body / body.max())
    noise = torch.randn(x.shape, generator=generator_of(0))
    with torch.no_grad():
        left = [float((model(x + t * noise, t) - x).square().mean() / t**2)
                for t in (0.02, 0.1, 0.5)]
    assert left[0] < 0.6 and left[1] < 0.25 and left[2] < 0.1  # a body is no slice
    learning.save_regularizer(tmp_path / "copy.pt", model)
    copy = learning.load_regularizer(tmp_path / "copy.pt")
    with torch.no_grad():
        assert torch.equal(copy(x, 0.1), model(x, 0.1))


def test_a_denoiser_that_mixes_samples_is_found_out():
    class Mixes(networks.NoiseLevelOnImages):
        def forward(self, x, level):
            return super().forward(x - x.mean(0), level)

    with pytest.raises(ValueError, match="maps a sample in a batch of two to something else"):
        trained(Mixes(denoiser().net, dimension=2))


def test_errors():
    x = Images(4).x
    batch = functools.partial(learning.Batch, x, None, generator_of(0), "now")
    with pytest.raises(ValueError, match="levels are .*expected positive"):
        DenoisingScoreMatching(lambda u: -u, LOSS.weight)(denoiser(), batch())
    with pytest.raises(ValueError, match="weights are .*one for each image"):
        DenoisingScoreMatching(LOSS.levels, lambda t: t[:2])(denoiser(), batch())
    with pytest.raises(ValueError, match="least is 2.0, expected less"):
        LogUniformLevels(2.0, 1.0)
    with pytest.raises(RuntimeError, match="the model failed now"):
        LOSS(networks.OnImages(networks.CNN(1, 1, 4, 2), dimension=2), batch())
    with pytest.raises(ValueError, match="spread is 0"):
        networks.PreconditionedDenoiser(networks.CNN(2, 1, 4, 2), 0.0, 0)
    with pytest.raises(TypeError, match="one input channel more"):
        networks.PreconditionedDenoiser(networks.CNN(1, 1, 4, 2), 0.0, 1.0)
