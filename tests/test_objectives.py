"""Objectives of training: they keep what their theory promises, and training resumes with them."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from odl_learned.learning import (
    Batch,
    Objective,
    Supervised,
    WeightedSum,
    mean_squared_error,
    train,
)
from odl_learned.learning import objectives as O
from odl_learned.learning.batch import generator_of

IDENTITY = nn.Identity()


def matrix_map(*shape, seed=0, dtype=torch.float64):
    """A random matrix as a map of tensors ``(*batch, n) -> (*batch, m)``."""
    source = torch.Generator().manual_seed(seed)
    matrix = torch.randn(shape, generator=source, dtype=dtype) / math.sqrt(shape[1])
    return matrix, lambda x: x @ matrix.T


def batch_of(data, truth=None, step=1):
    return Batch(data, truth, generator_of(0, step), f"in step {step}")


def within_errors(draws, expected):
    """Whether the mean of independent draws is within four standard errors of the expectation."""
    draws = np.asarray(draws)
    return abs(draws.mean() - expected) <= 4 * draws.std(ddof=1) / math.sqrt(len(draws))


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("varying", [False, True])
def test_sure_is_an_unbiased_estimate_of_the_risk(dtype, varying):
    """``E |h(y) - A x|^2 / m = (|(H - I) A x|^2 + k |H s|_F^2) / m`` for linear h, k real parts."""
    A, forward = matrix_map(6, 4, dtype=dtype)
    W, model = matrix_map(4, 6, seed=1, dtype=dtype)
    clean = forward(torch.randn(4, generator=torch.Generator().manual_seed(2), dtype=dtype))
    levels = torch.full((6,), 0.3, dtype=torch.float64)
    if varying:
        levels = torch.tensor([0.0, 0.5, 0.2, 0.0, 0.4, 0.3], dtype=torch.float64)
    H, parts = A @ W, 2 if dtype.is_complex else 1
    bias, spread = (H @ clean - clean).abs().square().sum(), (H * levels).abs().square().sum()
    risk = float(bias + parts * spread) / 6
    objective = O.SURE(forward, levels if varying else 0.3)
    noise = batch_of(clean.expand(2000, 6)).normal(clean.expand(2000, 6))
    draws = [float(objective(model, batch_of((clean + levels * n)[None], step=i)))
             for i, n in enumerate(noise)]  # fmt: skip
    assert within_errors(draws, risk)
    plain = [float(mean_squared_error(forward(model(clean + levels * n)), clean + levels * n))
             for n in noise]  # fmt: skip
    assert not within_errors(plain, risk)


def test_noise2noise_and_recorruption_have_supervised_minimizers():
    """For ``h(y) = w y`` and x ~ N(0, 1), ``w = 1 / (1 + v)`` with v the variance of the noise.

    The slope at this w has the mean zero: its draws say so within their errors.
    """
    level, spread, size = 0.6, 0.5, 2000
    source = torch.Generator().manual_seed(0)
    x, n, m = torch.randn(3, size, 1, generator=source, dtype=torch.float64)
    model = nn.Linear(1, 1, bias=False).double()
    cases = [
        (O.Noise2Noise(IDENTITY), x + level * m, level**2),
        (O.Recorrupted(IDENTITY, level, spread), None, level**2 * (1 + spread**2)),
    ]
    for objective, second, variance in cases:
        for factor, right in ((1.0, True), (1.3, False)):
            nn.init.constant_(model.weight, factor / (1 + variance))
            slopes = []
            for i in range(size):
                truth = None if second is None else second[i : i + 1]
                y = x[i : i + 1] + level * n[i : i + 1]
                value = objective(model, batch_of(y, truth, step=i))
                slopes.append(float(torch.autograd.grad(value, model.weight)[0]))
            assert within_errors(slopes, 0.0) == right


def test_equivariance_says_what_the_null_space_misses():
    A, forward = matrix_map(3, 5)
    inverse = torch.linalg.pinv(A)
    y = forward(torch.randn(2, 5, generator=torch.Generator().manual_seed(3)).double())

    def model(y):
        return y @ inverse.T

    def moved(x):
        return x.roll(1, -1)

    def imaging(transforms):
        return WeightedSum([(1.0, O.DataConsistency(forward)),
                            (0.5, O.Equivariance(forward, transforms))])  # fmt: skip

    consistency = O.DataConsistency(forward)(model, batch_of(y))
    torch.testing.assert_close(imaging([IDENTITY])(model, batch_of(y)), consistency,
                               rtol=0, atol=1e-24)  # fmt: skip
    u = moved(y @ inverse.T)
    expected = (u @ A.T @ inverse.T - u).square().mean()
    value = O.Equivariance(forward, [moved])(model, batch_of(y))
    torch.testing.assert_close(value, expected)
    assert value > 0.01
    both = O.Equivariance(forward, [IDENTITY, moved])
    values = {round(float(both(model, batch_of(y, step=k))), 9) for k in range(20)}
    assert values == {0.0, round(float(expected), 9)}


@pytest.mark.parametrize("views", [12, 13])
def test_views_are_split_into_disjoint_and_complete_parts(views):
    data = torch.ones(2, views, 5)
    split = O.ViewSplit(3)
    masks = {tuple(split(data, generator_of(0, k)).flatten().tolist()) for k in range(40)}
    held = ~torch.tensor(sorted(masks))
    assert held.shape == (3, views) and (held.sum(0) == 1).all()
    assert split(data, generator_of(0, 0)).shape == (views, 1)


def test_points_are_split_into_disjoint_and_complete_parts():
    sampled = torch.rand(6, 7, generator=torch.Generator().manual_seed(0)) < 0.5
    split = O.PointSplit(sampled, 0.4)
    data = torch.ones(2, 3, 6, 7)
    for k in range(5):
        kept = split(data, generator_of(0, k))
        assert kept[~sampled].all()  # nothing that is not measured is predicted
        assert int((~kept).sum()) == round(0.4 * int(sampled.sum()))
    assert not torch.equal(kept, split(data, generator_of(0, 0)))
    assert torch.equal(kept, split(data, generator_of(0, 4)))


def test_noise2inverse_compares_reconstructions_of_parts():
    """As in the paper: those of single parts, averaged over those that are kept."""
    matrix, backproject = matrix_map(4, 12)
    y = torch.randn(2, 6, 2, generator=torch.Generator().manual_seed(1)).double()

    def reconstruct(y):
        return backproject(y.flatten(1))

    network = nn.Linear(4, 4).double()

    def model(y):
        return network(reconstruct(y))

    value = O.Noise2Inverse(reconstruct, O.ViewSplit(3))(model, batch_of(y))
    first = int(torch.randint(3, (), generator=generator_of(0, 1)))
    columns = matrix.reshape(4, 6, 2)
    parts = [3 * torch.einsum("ivd,nvd->ni", columns[:, j::3], y[:, j::3]) for j in range(3)]
    target = parts.pop(first)
    torch.testing.assert_close(value, (network(sum(parts) / 2) - target).square().mean())


def test_held_out_points_are_predicted_from_the_others():
    A, forward = matrix_map(6, 4, dtype=torch.complex128)
    _, model = matrix_map(4, 6, seed=1, dtype=torch.complex128)
    y = forward(torch.randn(2, 4, dtype=torch.complex128,
                            generator=torch.Generator().manual_seed(2)))  # fmt: skip
    split = O.PointSplit(torch.ones(6, dtype=torch.bool), 0.5)
    value = O.SelfSupervisedSplit(forward, split)(model, batch_of(y))
    kept = split(y, generator_of(0, 1)).numpy()
    x = model(torch.from_numpy(np.where(kept, y, 0))).numpy()
    u, v = (x @ A.numpy().T)[:, ~kept], y.numpy()[:, ~kept]
    expected = np.mean([np.linalg.norm(a - b) / np.linalg.norm(b)
                        + np.abs(a - b).sum() / np.abs(b).sum() for a, b in zip(u, v)])
    assert float(value) == pytest.approx(expected, rel=1e-12)
    seen = []
    O.SelfSupervisedSplit(forward, split, restricted=lambda m, data, kept: (
        seen.append((data, kept)), m(data))[1])(model, batch_of(y))
    assert torch.equal(seen[0][0], y) and np.array_equal(seen[0][1], kept)


def of_each(x, target):
    """Mean squared errors, one for each sample."""
    return (x - target).abs().square().flatten(1).mean(1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_splits_judge_as_the_truth_does_but_for_a_constant(dtype):
    """Held out data are ``b = B x + m`` with noise m of mean zero, independent of what is kept:
    ``E |Phi(a) - b|^2 = E |Phi(a) - B x|^2 + E |m|^2``, the last term ``k s^2 |B_m|_F^2``, k real
    parts. This is false for what copies the held out data with their noise.
    """
    views, level, parts = 6, 0.3, 2 if dtype.is_complex else 1
    A, forward = matrix_map(2 * views, 4, dtype=dtype)
    B, back = matrix_map(4, 2 * views, seed=1, dtype=dtype)
    network = matrix_map(4, 4, seed=2, dtype=dtype)[1]
    x = torch.randn(4, generator=torch.Generator().manual_seed(3), dtype=dtype)
    clean = forward(x).reshape(views, 2).expand(4000, views, 2)
    y = clean + level * batch_of(clean).normal(clean)
    split = O.ViewSplit(3)
    held = ~split(y, generator_of(0, 1))

    def reconstruct(y):
        return back(y.flatten(1))

    def predicted(y):
        return forward(network(reconstruct(y))).reshape(y.shape)

    def model(y):
        return network(reconstruct(y))

    weights = held.expand(views, 2).flatten()
    cases = {
        O.Noise2Inverse(reconstruct, split, of_each): (
            lambda y: model(1.5 * y * ~held), reconstruct(3 * clean * held),
            (3 * B[:, weights]).abs().square().sum() / 4),
        O.SelfSupervisedSplit(lambda x: forward(x).reshape(-1, views, 2), split, of_each): (
            lambda y: predicted(y * ~held) * held, clean * held, weights.sum() / (2 * views)),
    }  # fmt: skip
    for objective, (predict, truth, size) in cases.items():
        supervised = of_each(predict(y), truth)
        excess = objective(model, batch_of(y)) - supervised
        assert within_errors(excess.detach(), parts * level**2 * float(size))
    copied = of_each(y * held, y * held) - of_each(y * held, clean * held)
    assert not within_errors(copied, parts * level**2 * float(weights.sum() / (2 * views)))


def test_equivariance_judges_moved_images_as_the_truth_does():
    """Where ``Phi(A x) = x``, its mean over the group is the supervised loss on the ``T_g x``."""
    A, forward = matrix_map(3, 5)
    x = torch.randn(5, generator=torch.Generator().manual_seed(3)).double()
    y = forward(x)

    def model(data):  # exact for x and wrong for others
        return (data @ y / (y @ y))[..., None] * x

    shifts = [lambda u, k=k: u.roll(k, -1) for k in range(5)]
    values = [O.Equivariance(forward, [g])(model, batch_of(y[None])) for g in shifts]
    orbit = torch.stack([g(x) for g in shifts])
    supervised = Supervised(mean_squared_error)(model, batch_of(forward(orbit), orbit))
    torch.testing.assert_close(torch.stack(values).mean(), supervised)
    assert supervised > 0.1 and float(values[0]) < 1e-20
    objective = O.Equivariance(forward, shifts)
    draws = [float(objective(model, batch_of(y[None], step=k))) for k in range(400)]
    assert within_errors(draws, float(supervised))  # all are as probable


def test_terms_of_a_sum_share_the_reconstruction():
    model, calls = nn.Linear(3, 3), []
    model.register_forward_hook(lambda *_: calls.append(1))
    y, x = torch.randn(2, 2, 3, generator=torch.Generator().manual_seed(0))
    objective = WeightedSum([(1.0, mean_squared_error), (0.5, O.DataConsistency(IDENTITY))])
    value = objective(model, batch_of(y, x))
    assert len(calls) == 1
    expected = (model(y) - x).square().mean() + 0.5 * (model(y) - y).square().mean()
    torch.testing.assert_close(value, expected)


def denoiser():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4))


NOISY = np.random.default_rng(0).standard_normal((10, 4)).astype("float32")
EVERY = {
    "SURE": lambda: O.SURE(IDENTITY, 0.3),
    "recorrupted": lambda: O.Recorrupted(IDENTITY, 0.3),
    "equivariance": lambda: WeightedSum([
        (1.0, O.SURE(IDENTITY, 0.3)),
        (1.0, O.Equivariance(IDENTITY, [IDENTITY, lambda x: x.flip(-1)]))]),
    "views": lambda: O.Noise2Inverse(IDENTITY, O.ViewSplit(2, axis=-1)),
    "points": lambda: O.SelfSupervisedSplit(
        IDENTITY, O.PointSplit(torch.ones(4, dtype=torch.bool))),
}  # fmt: skip


def learned(objective, steps, checkpoint=None, **options):
    model = denoiser()
    history = train(model, NOISY, steps=steps, loss=objective, batch_size=3, progress=False,
                    optimizer=torch.optim.Adam(model.parameters(), 0.01), validation=NOISY[:2],
                    validate_every=2, checkpoint=checkpoint, **options)  # fmt: skip
    return model, history


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
def test_training_without_truth_resumes_to_the_same_bits(make, tmp_path):
    straight, expected = learned(make(), 8)
    learned(make(), 3, tmp_path / "run.pt")
    resumed, history = learned(make(), 8, tmp_path / "run.pt")
    np.testing.assert_array_equal(history.loss, expected.loss)
    np.testing.assert_array_equal(history.validation, expected.validation)
    for one, two in zip(straight.parameters(), resumed.parameters()):
        assert torch.equal(one, two)


@pytest.mark.parametrize("other", [
    lambda: O.SURE(IDENTITY, 0.31), lambda: O.Recorrupted(IDENTITY, 0.3),
    lambda: WeightedSum([(2.0, O.SURE(IDENTITY, 0.3))]),
])  # fmt: skip
def test_a_checkpoint_knows_its_objective(other, tmp_path):
    learned(O.SURE(IDENTITY, 0.3), 3, tmp_path / "run.pt")
    with pytest.raises(ValueError, match="written with another loss: its values differ by"):
        learned(other(), 8, tmp_path / "run.pt")
    with pytest.raises(ValueError, match=r"other data: truth of pairs.*\(no array there"):
        model = denoiser()
        train(model, list(zip(NOISY, NOISY)), steps=8, batch_size=3, progress=False,
              optimizer=torch.optim.Adam(model.parameters(), 0.01), validation=NOISY[:2],
              loss=O.SURE(IDENTITY, 0.3), checkpoint=tmp_path / "run.pt")  # fmt: skip


def test_a_wrapped_loss_is_the_loss():
    pairs = list(zip(NOISY, NOISY[::-1].copy()))
    losses = []
    for loss in (mean_squared_error, Supervised(mean_squared_error)):
        model = denoiser()
        losses.append(train(model, pairs, steps=3, loss=loss, progress=False,
                            optimizer=torch.optim.Adam(model.parameters(), 0.01)).loss)
    np.testing.assert_array_equal(*losses)


def test_lbfgs_sees_one_function_in_each_step():
    """Its closure is evaluated several times; other random numbers would be another function."""
    model, numbers = denoiser(), []

    class Recording(Objective):
        def __call__(self, model, batch):
            if torch.is_grad_enabled():
                numbers.append(float(torch.rand((), generator=batch.generator)))
            return batch.images(model).square().mean()

    train(model, NOISY, steps=2, loss=Recording(), progress=False,
          optimizer=torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3))
    assert len(numbers) > 2 and len(set(numbers)) == 2


def test_a_denoiser_learns_without_truth():
    """The identity has the risk s^2; noise of one sign pattern is all there is to learn here."""
    rng = np.random.default_rng(1)
    truth = rng.standard_normal((400, 1)) * np.ones(8)
    noisy = truth + 0.5 * rng.standard_normal(truth.shape)
    model = nn.Linear(8, 8, bias=False).double()
    nn.init.eye_(model.weight)
    train(model, noisy, steps=300, batch_size=50, loss=O.SURE(IDENTITY, 0.5), progress=False,
          optimizer=torch.optim.Adam(model.parameters(), 0.01))
    with torch.no_grad():
        error = mean_squared_error(model(torch.from_numpy(noisy)), torch.from_numpy(truth))
    wiener = 0.25 / 8.25  # of the one signal that there is, by its mean over eight entries
    assert wiener < float(error) < 0.25 / 4


ERRORS = [
    (lambda: O.SURE(IDENTITY, 0.0), ValueError, "noise_level is 0.0; expected"),
    (lambda: O.SURE(IDENTITY, torch.tensor([0.1, -1.0])), ValueError, "noise_level has negative"),
    (lambda: O.SURE(IDENTITY, torch.zeros(2)), ValueError, "none above zero"),
    (lambda: O.Recorrupted(IDENTITY, 0.1, -1.0), ValueError, "spread is -1.0; expected"),
    (lambda: O.Equivariance(IDENTITY, []), ValueError, "transforms is empty"),
    (lambda: O.DataConsistency(3), TypeError, "forward is 3; expected a torch module"),
    (lambda: O.ViewSplit(1), ValueError, "parts is 1"),
    (lambda: O.ViewSplit(2, axis=0), ValueError, "axis is 0, expected one counted from the end"),
    (lambda: O.ViewSplit(4)(torch.ones(3, 2), generator_of(0, 0)), ValueError, "at most 3"),
    (lambda: O.PointSplit(torch.ones(3)), ValueError, "expected a tensor of bool"),
    (lambda: O.PointSplit(torch.ones(3) > 0, 1.0), ValueError, "held_out is 1.0, expected"),
    (lambda: O.PointSplit(torch.ones(3) > 0, 0.1), ValueError, "which is 0 of 3 measured points"),
    (lambda: WeightedSum([]), ValueError, "terms is empty"),
    (lambda: WeightedSum([(math.nan, mean_squared_error)]), ValueError, "weight 0 is nan"),
    (lambda: learned(O.SURE, 1), TypeError, "loss is .*SURE.*made with its arguments"),
    (lambda: learned(O.Noise2Noise(IDENTITY), 1), ValueError, "not a pair but data alone"),
    (lambda: learned(mean_squared_error, 1), ValueError, "in validation is not a pair but data"),
]  # fmt: skip


@pytest.mark.parametrize("attempt, error, message", ERRORS, ids=[row[2] for row in ERRORS])
def test_errors(attempt, error, message):
    with pytest.raises(error, match=message):
        attempt()


def test_batches_of_pairs_and_data_alone_are_errors():
    model = denoiser()
    with pytest.raises(ValueError, match="has a truth and the other one has none.*batch_size=1"):
        train(model, [NOISY[0], (NOISY[1], NOISY[1])], steps=1, batch_size=2, progress=False,
              loss=O.DataConsistency(IDENTITY), optimizer=torch.optim.SGD(model.parameters(), 0.1))
