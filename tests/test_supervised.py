"""Supervised learning: it learns, and it says what is wrong."""

import numpy as np
import pytest
import torch
from torch import nn
from training_runs import Pairs, assert_same_bits, build_model, run, setting

from odl_learned import metrics
from odl_learned.learning import mean_squared_error, train
from odl_learned.learning.files.checkpoint import read_checkpoint


def test_it_learns_the_inverse_matrix():
    pairs = Pairs(40)
    model = nn.Linear(4, 4, bias=False)
    nn.init.zeros_(model.weight)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    history = train(
        model, pairs, steps=800, optimizer=optimizer, batch_size=8, validation=Pairs(5),
        validation_metric=metrics.psnr, validate_every=400, progress=False,
        schedule=torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 800),
    )  # fmt: skip
    inverse = np.linalg.lstsq(pairs.data, pairs.truth, rcond=None)[0].T
    np.testing.assert_allclose(model.weight.detach(), inverse, atol=0.02)
    assert history.loss[0] == pytest.approx(np.mean(pairs.truth[pairs.seen[:8]] ** 2), rel=1e-6)
    assert history.loss[-1] < 1e-2 * history.loss[0]
    np.testing.assert_array_equal(history.step, np.arange(1, 801))
    np.testing.assert_array_equal(history.validation_step, [400, 800])
    own = [metrics.psnr(model(torch.from_numpy(d)), t) for d, t in
           zip(Pairs(5).data, Pairs(5).truth)]  # fmt: skip
    assert history.validation[-1] == pytest.approx(np.mean(own), rel=1e-4)


def test_steps_are_those_of_a_plain_loop():
    pairs = Pairs()
    model, _, _, history = run(None, pairs, steps=7, validation=None)
    twin = build_model()
    optimizer, schedule = setting("adam", twin)
    losses = []
    for k in range(7):
        indices = pairs.seen[3 * k : 3 * k + 3]
        data, truth = torch.from_numpy(pairs.data[indices]), torch.from_numpy(pairs.truth[indices])
        value = (twin(data) - truth).square().mean()
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(value.item())
    assert_same_bits((model, optimizer, schedule, history), (twin, optimizer, schedule, history))
    np.testing.assert_array_equal(history.loss, losses)


def test_every_epoch_is_a_fresh_permutation():
    pairs = Pairs(10)
    run(None, pairs, steps=10)
    epochs = np.reshape(pairs.seen, (3, 10))
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(np.arange(10), (3, 1)))
    assert len({tuple(epoch) for epoch in epochs}) == 3
    other = Pairs(10)
    run(None, other, steps=10, seed=1)
    assert other.seen != pairs.seen


def test_modes_and_silence(capfd):
    model = build_model()
    model[1].eval()
    run_modes = []
    model[3].register_forward_hook(lambda module, *_: run_modes.append(module.training))
    optimizer, _ = setting("adam", model)
    train(model, Pairs(), steps=2, optimizer=optimizer, batch_size=2, progress=False,
          validation=Pairs(1), validate_every=2)  # fmt: skip
    assert run_modes == [False, True, False, False, True, False]  # tried, trained, compared, ...
    assert [module.training for module in model] == [True, False, True, True, True]
    assert capfd.readouterr() == ("", "")
    train(model, Pairs(), steps=2, optimizer=optimizer, batch_size=2)
    assert "loss=" in capfd.readouterr().err


def test_mean_squared_error_of_complex_images(rng):
    x, truth = (rng.standard_normal((2, 3)) + 1j * rng.standard_normal((2, 3)) for _ in range(2))
    value = mean_squared_error(torch.from_numpy(x), torch.from_numpy(truth))
    assert not value.is_complex()
    assert value.item() == pytest.approx(np.mean(np.abs(x - truth) ** 2))
    real = mean_squared_error(torch.from_numpy(x.real), torch.from_numpy(truth.real))
    assert real.item() == pytest.approx(np.mean((x.real - truth.real) ** 2))
    conjugate = mean_squared_error(torch.from_numpy(x).conj(), torch.from_numpy(truth).conj())
    assert conjugate.item() == pytest.approx(value.item())


class Explodes(torch.autograd.Function):
    """The identity, with an infinite gradient."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * float("inf")


@pytest.mark.parametrize("bad, message", [
    (lambda x, truth: mean_squared_error(x, truth) * float("nan"), "the loss is nan in step 8"),
    (lambda x, truth: mean_squared_error(Explodes.apply(x), truth), "norm of the gradient is .* 8"),
])  # fmt: skip
def test_divergence_keeps_the_last_good_checkpoint(bad, message, tmp_path):
    path = tmp_path / "run.pt"
    calls = []

    def loss(x, truth):
        calls.extend([1] * torch.is_grad_enabled())  # not where a checkpoint looks at it
        return (bad if len(calls) == 8 else mean_squared_error)(x, truth)

    options = dict(validation=None, normalization=nn.LayerNorm)  # no buffers
    with pytest.raises(FloatingPointError, match=message):
        run(path, Pairs(), loss=loss, **options)
    assert len(read_checkpoint(path)["record"]["loss"]) == 5
    assert_same_bits(run(path, Pairs(), **options), run(None, Pairs(), **options))


def test_infinite_parameters_are_not_saved(tmp_path):
    path = tmp_path / "run.pt"
    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e38)
    with pytest.raises(FloatingPointError, match="weight is not finite in step 1"):
        train(model, Pairs(), steps=3, optimizer=optimizer, checkpoint=path, checkpoint_every=1,
              loss=lambda x, truth: 1e3 * mean_squared_error(x, truth), progress=False)  # fmt: skip
    assert len(read_checkpoint(path)["record"]["loss"]) == 0


def test_errors_of_settings():
    model = build_model()
    optimizer, schedule = setting("adam", model)
    cases = [
        (dict(pairs=Pairs(0)), "pairs is empty"),
        (dict(validation=[]), "validation is empty"),
        (dict(batch_size=11), "batch_size is 11, expected at most 10"),
        (dict(batch_size=0), "batch_size is 0"),
        (dict(steps=0), "steps is 0"),
        (dict(steps=1.5), "steps is 1.5"),
        (dict(validate_every=0), "validate_every is 0"),
        (dict(checkpoint_every=-1), "checkpoint_every is -1"),
        (dict(seed=-1), "seed is -1"),
        (dict(clip_norm=0.0), "clip_norm is 0.0"),
        (dict(optimizer=torch.optim.SGD(build_model().parameters(), lr=0.1)), "not of the model"),
        (dict(schedule=torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)), "needs a metric"),
        (dict(schedule=setting("adam", model)[1]), "made with another optimizer"),
        (dict(model=nn.Tanh()), "no parameters"),
    ]
    for changes, message in cases:
        options = dict(model=model, pairs=Pairs(), steps=1, optimizer=optimizer, schedule=schedule)
        options.update(changes)
        with pytest.raises(ValueError, match=message):
            train(options.pop("model"), options.pop("pairs"), progress=False, **options)


def test_errors_of_data():
    zeros = np.zeros(4, dtype="float32")
    cases = [
        ([(zeros, zeros[:3])], ValueError, r"to \(1, 4\), expected \(1, 3\)"),
        ([(zeros[:3], zeros)], RuntimeError, r"failed in step 1 on data of shape \(1, 3\)"),
        ([(zeros.astype(float), zeros)], RuntimeError, "torch.float64"),
        ([(zeros * np.nan, zeros)], ValueError, r"data of pairs\[0\] contains 4 NaN"),
        ([(zeros, zeros + np.inf)], ValueError, r"truth of pairs\[0\]"),
        ([zeros], ValueError, "drawn in step 1 is not a pair but data alone"),
    ]
    for pairs, error, message in cases:
        model = nn.Linear(4, 4)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with pytest.raises(error, match=message):
            train(model, pairs, steps=1, optimizer=optimizer, progress=False)
    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    unequal = [(zeros, zeros), (np.zeros((2, 4), "float32"), np.zeros((2, 4), "float32"))]
    with pytest.raises(ValueError, match=r"data of pairs\[\d\] has shape .* use batch_size=1"):
        train(model, unequal, steps=1, optimizer=optimizer, batch_size=2, progress=False)
    for loss in (lambda x, truth: (x - truth) ** 2, lambda x, truth: (x - truth).mean() + 0j):
        with pytest.raises(ValueError, match=r"expected a real tensor of shape \(\)"):
            train(model, [(zeros, zeros)], steps=1, optimizer=optimizer, loss=loss, progress=False)
