"""Training of generative models: the evidence lower bound, a critic, and stages."""

import copy
from math import sqrt

import pytest
import torch
from instances.generative import dense_pair, variational
from torch import nn

from odl_learned import learning
from odl_learned.learning.batch import Batch
from odl_learned.learning.objectives import Autoencoding, EvidenceLowerBound, Wasserstein
from odl_learned.networks import generative

IMAGES = torch.randn(12, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


class LinearDecoder(generative.Decoder):
    """``G(z) = W z`` with orthonormal columns."""

    def __init__(self):
        super().__init__(3, 1, (4, 6))
        source = torch.Generator().manual_seed(1)
        matrix = torch.randn(24, 3, dtype=torch.float64, generator=source)
        self.matrix = nn.Parameter(torch.linalg.qr(matrix).Q)

    def decoded(self, z):
        return (z @ self.matrix.T).reshape(-1, 1, 4, 6)


class ExactEncoder(generative.Encoder):
    """The posterior of the linear model: ``z | u ~ N(W^T u / (1 + s^2), s^2 / (1 + s^2))``."""

    def __init__(self, decoder, deviation):
        super().__init__(1, (4, 6), 3)
        self.decoder, self.variance = decoder, deviation**2

    def features(self, x):
        mean = x.flatten(1) @ self.decoder.matrix / (1 + self.variance)
        variance = torch.full_like(mean, self.variance / (1 + self.variance))
        return torch.cat([mean, variance.log()], 1)


def batch(images, seed=3):
    return Batch(images, None, torch.Generator().manual_seed(seed), "in step 1")


def linear_model(deviation):
    decoder = LinearDecoder()
    head = generative.ConstantHead(1, (4, 6), deviation=deviation).double()
    return generative.VariationalAutoencoder(ExactEncoder(decoder, deviation), decoder, head)


def test_the_bound_is_the_density_where_the_encoder_is_exact():
    r"""``u ~ N(0, W W^T + s^2)``, whose density torch knows; a mean over 20,000 latent vectors."""
    deviation, count = 0.4, 20_000
    model, u = linear_model(deviation), IMAGES[0]
    matrix = model.decoder.matrix.detach()
    density = torch.distributions.MultivariateNormal(
        torch.zeros(24, dtype=torch.float64),
        matrix @ matrix.T + deviation**2 * torch.eye(24, dtype=torch.float64))  # fmt: skip
    exact = -density.log_prob(u.flatten()) / 24
    with torch.no_grad():
        values = torch.stack([EvidenceLowerBound()(model, batch(u.expand(50, 4, 6), seed))
                              for seed in range(count // 50)])  # fmt: skip
    error = float(values.std()) / sqrt(len(values))
    assert abs(float(values.mean() - exact)) < 5 * error < 0.02


def test_a_wrong_encoder_lies_above():
    model, u = linear_model(0.4), IMAGES[0]
    with torch.no_grad():
        exact = EvidenceLowerBound()(model, batch(u.expand(4000, 4, 6)))
        model.encoder.variance *= 4
        assert float(EvidenceLowerBound()(model, batch(u.expand(4000, 4, 6))) - exact) > 0.05


def test_the_divergence_has_its_weight_and_images_their_noise():
    model = linear_model(0.4)
    with torch.no_grad():
        values = [float(EvidenceLowerBound(weight)(model, batch(IMAGES))) for weight in (0, 1, 3)]
        assert values[2] - values[0] == pytest.approx(3 * (values[1] - values[0]), abs=1e-12)
        mean, v = model.encode(IMAGES)
        divergence = torch.distributions.kl_divergence(
            torch.distributions.Normal(mean, (0.5 * v).exp()),
            torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean)))
        assert values[1] - values[0] == pytest.approx(float(divergence.sum(1).mean()) / 24)
        noisy = batch(IMAGES)
        moved = IMAGES + 0.3 * noisy.normal(IMAGES)
        noisy.data = moved
        expected = EvidenceLowerBound()(model, noisy)
        assert torch.equal(EvidenceLowerBound(noise_level=0.3)(model, batch(IMAGES)), expected)


def test_autoencoding_is_the_squared_error_and_the_latent_norm():
    model = generative.Autoencoder(*dense_pair(2)).double()
    u = torch.complex(IMAGES, IMAGES.flip(0))
    mean, _ = model.encode(u)
    expected = ((model(u) - u).abs().square().sum() + 0.5 * mean.square().sum()) / (12 * 24)
    torch.testing.assert_close(Autoencoding(0.5)(model, batch(u)), expected)


def adversary():
    torch.manual_seed(2)
    model = generative.Autoencoder(*dense_pair(1))
    critic = generative.Critic(generative.FullyConnectedEncoder(1, (4, 6), (8,), 1))
    return model, critic, Wasserstein(critic, torch.optim.Adam(critic.parameters(), 1e-2), 3)


def test_the_critic_learns_in_prepare_and_the_decoder_in_the_step():
    model, critic, objective = adversary()
    before = copy.deepcopy([critic.state_dict(), model.state_dict()])
    objective.prepare(model, batch(IMAGES.float()))
    assert all(torch.equal(a, b) for a, b in zip(before[1].values(), model.state_dict().values()))
    assert not torch.equal(before[0]["encoder.layers.0.weight"], critic.encoder.layers[0].weight)
    objective(model, batch(IMAGES.float())).backward()
    assert all(p.grad is None for p in model.encoder.parameters())
    assert all(p.grad is not None for p in model.decoder.parameters())


def test_adversarial_training_moves_the_images_to_their_mean():
    """Images of one distribution with the mean one: the decoder starts at zero and gets there."""
    model, _, objective = adversary()
    source = torch.Generator().manual_seed(3)
    images = 1 + 0.1 * torch.randn(64, 4, 6, generator=source)
    optimizer = torch.optim.Adam(model.decoder.parameters(), 1e-2, betas=(0.5, 0.9))
    learning.train(model, images, steps=150, optimizer=optimizer, loss=objective, batch_size=16,
                   progress=False)
    with torch.no_grad():
        mean = model.decoder(torch.randn(500, 3, generator=source)).mean()
    assert abs(float(mean) - 1) < 0.25


def test_training_with_a_critic_continues_to_the_same_bits(tmp_path):
    def trained(steps, name):
        model, critic, objective = adversary()
        loss = learning.WeightedSum([(1.0, objective), (1.0, Autoencoding())])
        learning.train(model, IMAGES.float(), steps=steps, loss=loss, batch_size=4, progress=False,
                       optimizer=torch.optim.Adam(model.parameters(), 1e-2),
                       checkpoint=tmp_path / name)  # fmt: skip
        return [*model.parameters(), *critic.parameters()]

    trained(3, "parts")
    for a, b in zip(trained(6, "parts"), trained(6, "whole"), strict=True):
        assert torch.equal(a, b)


def stages_of(model, steps=4):
    mean = [model.encoder, model.decoder, model.head.log_precision]
    return [learning.Stage("mean", mean, steps, learning.adam_with_cosine(1e-2)),
            learning.Stage("covariance", [model.head], steps, learning.adam_with_cosine(1e-2)),
            learning.Stage("all", [model], steps, learning.adam_with_cosine(1e-3))]


def test_each_stage_changes_its_parts_alone():
    model = variational(0)
    frozen = model.decoder.layers[0].weight
    frozen.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    options = dict(loss=EvidenceLowerBound(), batch_size=4, progress=False)
    learning.train_in_stages(model, IMAGES, stages_of(model)[:1], **options)
    first = copy.deepcopy(model.state_dict())
    changed = {name for name in before if not torch.equal(before[name], first[name])}
    assert changed == {name for name in before if not name.startswith("head.decoder")
                       and name != "decoder.layers.0.weight"}  # fmt: skip
    learning.train_in_stages(model, IMAGES, stages_of(model)[1:2], **options)
    second = model.state_dict()
    assert {name.split(".")[0] for name in first if not torch.equal(first[name], second[name])
            } == {"head"}  # fmt: skip
    assert [p is not frozen for p in model.parameters()] == [
        p.requires_grad for p in model.parameters()]


@pytest.mark.slow
def test_stages_continue_to_the_same_bits(tmp_path):
    def trained(folder, stop):
        folder.mkdir(exist_ok=True)
        model = variational(0)
        learning.train_in_stages(model, IMAGES, stages_of(model)[:stop], loss=EvidenceLowerBound(),
                                 batch_size=4, folder=folder, progress=False)  # fmt: skip
        return list(model.parameters())

    trained(tmp_path / "parts", 2)
    again = trained(tmp_path / "parts", 3)
    assert all(map(torch.equal, again, trained(tmp_path / "whole", 3)))
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == [
        "1-mean", "2-covariance", "3-all"]


def test_learning_rates_fall_to_zero_along_a_cosine():
    optimizer, schedule = learning.adam_with_cosine(2.0)([nn.Parameter(torch.ones(1))], 4)
    rates = []
    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([2.0, 1 + sqrt(0.5), 1.0, 1 - sqrt(0.5)])


def test_mistakes_are_named():
    model = variational(0)
    stage = stages_of(model)[0]
    for stages, kind, message in (
            ([stage, stage], ValueError, "expected different names"),
            ([stage._replace(parts=[nn.Linear(1, 1)])], ValueError, "none of the model"),
            ([stage._replace(parts=["decoder"])], TypeError, "expected a list of modules"),
            ([], TypeError, "expected a list of learning.Stage")):  # fmt: skip
        with pytest.raises(kind, match=message):
            learning.train_in_stages(model, IMAGES, stages, loss=EvidenceLowerBound())
    for objective in (EvidenceLowerBound(), Autoencoding()):
        with pytest.raises(TypeError, match=r"expected a networks\.generative"):
            objective(nn.Identity(), batch(IMAGES))
    critic = nn.Flatten()
    objective = Wasserstein(critic, torch.optim.SGD(model.parameters(), 0.1))
    with pytest.raises(ValueError, match=r"shape \(12, 24\) in step 1, expected one real number"):
        objective(model, batch(IMAGES))
