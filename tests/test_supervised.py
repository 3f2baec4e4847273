"""Supervised learning: it learns, it continues to the same bits, it says what is wrong."""

import os
import signal
import threading
import time

import numpy as np
import pytest
import torch
from torch import nn

from odl_learned import metrics
from odl_learned.learning import checkpoint as checkpoint_module
from odl_learned.learning import mean_squared_error, train
from odl_learned.learning.checkpoint import read_checkpoint, write_checkpoint


class Pairs:
    """Truth x, data ``M x``; raises an exception in place of the pair number `at`, once."""

    def __init__(self, size=10, at=None, exception=KeyboardInterrupt):
        rng = np.random.default_rng(0)
        matrix = rng.standard_normal((4, 4)).astype("float32")
        self.truth = rng.standard_normal((size, 4)).astype("float32")
        self.data = self.truth @ matrix
        self.seen, self.at, self.exception = [], at, exception

    def __len__(self):
        return len(self.truth)

    def __getitem__(self, i):
        if len(self.seen) == self.at:
            self.at = None
            torch.rand(3)  # what is drawn for a step that does not come to pass must not count
            raise self.exception
        self.seen.append(i)
        return self.data[i], self.truth[i]


def build_model(seed=0, normalization=nn.BatchNorm1d):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(4, 8), normalization(8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 4)
    )


def setting(kind, model):
    if kind == "adam":
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
    if kind == "momentum":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
        return optimizer, torch.optim.lr_scheduler.MultiStepLR(optimizer, [5, 12], gamma=0.5)
    if kind == "cycle":
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=20)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=0.02)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))


def run(
    path, pairs, steps=20, kind="adam", seed_of_model=0, normalization=nn.BatchNorm1d, **changes
):
    model = build_model(seed_of_model, normalization)
    optimizer, schedule = setting(kind, model)
    options = dict(
        steps=steps, optimizer=optimizer, schedule=schedule, batch_size=3, clip_norm=1.0,
        validation=Pairs(3), validate_every=4, checkpoint=path, checkpoint_every=5, progress=False,
    )  # fmt: skip
    history = train(model, pairs, **{**options, **changes})
    return model, optimizer, schedule, history


def assert_same_bits(one, two):
    """The same models, optimizers, schedules, histories and next random numbers."""
    for name, value in one[0].state_dict().items():
        assert torch.equal(value, two[0].state_dict()[name]), name
    for number, values in one[1].state_dict()["state"].items():
        for name, value in values.items():
            other = two[1].state_dict()["state"][number][name]
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(other)), name
    assert one[2].get_last_lr() == two[2].get_last_lr()
    for name in ("step", "loss", "validation_step", "validation"):
        np.testing.assert_array_equal(getattr(one[3], name), getattr(two[3], name))


def straight(kind="adam", steps=20):
    return run(None, Pairs(), steps=steps, kind=kind)


# --- learning ------------------------------------------------------------------------------------


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
    assert run_modes == [True, True, False]
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


# --- continuation --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["adam", "momentum", "cycle", "lambda"])
@pytest.mark.parametrize("exception", [KeyboardInterrupt, OSError])
def test_interrupted_and_continued_gives_the_same_bits(kind, exception, tmp_path):
    path = tmp_path / "run.pt"
    with pytest.raises(exception):
        run(path, Pairs(at=8 * 3 + 1, exception=exception), kind=kind)
    assert len(read_checkpoint(path)["record"]["loss"]) == 8
    torch.manual_seed(123)
    assert_same_bits(run(path, Pairs(), kind=kind, seed_of_model=7), straight(kind))
    assert len(read_checkpoint(path)["record"]["loss"]) == 20
    assert os.listdir(tmp_path) == ["run.pt"]


def test_the_next_random_numbers_are_the_same_too(tmp_path):
    straight()
    expected = torch.rand(3)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run.pt", Pairs(at=30))
    run(tmp_path / "run.pt", Pairs())
    assert torch.equal(torch.rand(3), expected)


def test_more_steps_later_gives_the_same_bits(tmp_path):
    path = tmp_path / "run.pt"
    run(path, Pairs(), steps=8)
    again = Pairs()
    history = run(path, again, steps=8)[3]
    assert again.seen == [] and len(history.loss) == 8
    assert_same_bits(run(path, Pairs(), steps=20), straight())


class Dies(nn.Module):
    """Raises in the forward pass number `at`, after the random numbers have been drawn."""

    def __init__(self, net, at):
        super().__init__()
        self.net, self.at, self.calls = net, at, 0

    def forward(self, x):
        self.calls += self.training
        result = self.net(x)
        if self.calls == self.at:
            raise KeyboardInterrupt
        return result


def train_dying(path, at, layers):
    torch.manual_seed(0)
    model = Dies(nn.Sequential(*layers()), at)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    train(model, Pairs(), steps=12, optimizer=optimizer, batch_size=3, checkpoint=path,
          checkpoint_every=5, progress=False)  # fmt: skip
    return model


def test_an_exception_within_a_step_saves_what_is_whole(tmp_path):
    def layers():
        return nn.Linear(4, 8), nn.Dropout(0.3), nn.Linear(8, 4)

    path = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        train_dying(path, 9, layers)
    assert len(read_checkpoint(path)["record"]["loss"]) == 8
    continued, whole = train_dying(path, None, layers), train_dying(None, None, layers)
    assert all(map(torch.equal, continued.parameters(), whole.parameters()))


def test_a_step_that_has_changed_a_buffer_is_not_saved(tmp_path):
    def layers():
        return nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 4)

    path = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        train_dying(path, 9, layers)
    assert len(read_checkpoint(path)["record"]["loss"]) == 5
    continued, whole = train_dying(path, None, layers), train_dying(None, None, layers)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, continued.state_dict()[name])


def test_interrupted_in_validation(tmp_path):
    path = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        run(path, Pairs(), validation=Pairs(3, at=4))  # the second of the validation after step 8
    assert len(read_checkpoint(path)["record"]["loss"]) == 8
    assert_same_bits(run(path, Pairs()), straight())


def test_random_numbers_drawn_in_validation(tmp_path):
    class Noisy(Pairs):
        def __getitem__(self, i):
            torch.rand(1)
            return super().__getitem__(i)

    path = tmp_path / "run.pt"
    whole = run(None, Pairs(), validation=Noisy(3))
    with pytest.raises(KeyboardInterrupt):
        run(path, Pairs(at=8 * 3), validation=Noisy(3))  # just after the validation of step 8
    assert_same_bits(run(path, Pairs(), validation=Noisy(3)), whole)
    path.unlink()
    with pytest.raises(KeyboardInterrupt):
        run(path, Pairs(), validation=Noisy(3, at=4))  # within it
    assert_same_bits(run(path, Pairs(), validation=Noisy(3)), whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_wait_for_the_step(number, tmp_path):
    class Signals(Pairs):
        def __getitem__(self, i):
            pair = super().__getitem__(i)
            if len(self.seen) == 8 * 3 + 1:
                os.kill(os.getpid(), number)
            return pair

    before = signal.getsignal(number)
    pairs = Signals()
    with pytest.raises(KeyboardInterrupt, match=signal.Signals(number).name):
        run(tmp_path / "run.pt", pairs)
    assert len(pairs.seen) == 9 * 3  # the batch at hand was still drawn, but not used
    assert signal.getsignal(number) is before
    assert len(read_checkpoint(tmp_path / "run.pt")["record"]["loss"]) == 8
    assert_same_bits(run(tmp_path / "run.pt", Pairs()), straight())


def test_a_second_signal_does_not_wait():
    class Hangs(Pairs):
        def __getitem__(self, i):
            os.kill(os.getpid(), signal.SIGINT)
            self.seen.append("first")
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            self.seen.append("second")

    pairs = Hangs()
    with pytest.raises(KeyboardInterrupt, match="twice"):
        run(None, pairs)
    assert pairs.seen == ["first"]


def test_training_in_another_thread():
    results = []
    thread = threading.Thread(target=lambda: results.append(run(None, Pairs(), steps=3)))
    thread.start()
    thread.join()
    assert len(results[0][3].loss) == 3


# --- checkpoints ---------------------------------------------------------------------------------


def test_a_write_that_fails_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    write_checkpoint(path, {"value": torch.ones(3)})

    def half(state, file):
        file.write(b"half a checkpoint")
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoint_module.torch, "save", half)
    with pytest.raises(OSError, match="No space"):
        write_checkpoint(path, {"value": torch.zeros(3)})
    monkeypatch.setattr(checkpoint_module.torch, "save", lambda state, file: file.write(b"rubbish"))
    with pytest.raises(ValueError, match="cannot be read back"):
        write_checkpoint(path, {"value": torch.zeros(3)})
    monkeypatch.undo()
    assert torch.equal(read_checkpoint(path)["value"], torch.ones(3))
    assert os.listdir(tmp_path) == ["run.pt"]


def test_training_whose_write_fails_continues_from_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    replace = os.replace

    def fails_after_five(source, destination):
        if len(read_checkpoint(source)["record"]["loss"]) > 5:
            raise OSError("disk gone")
        replace(source, destination)

    monkeypatch.setattr(checkpoint_module.os, "replace", fails_after_five)
    with pytest.raises(OSError, match="disk gone"):
        run(path, Pairs())
    monkeypatch.undo()
    assert len(read_checkpoint(path)["record"]["loss"]) == 5
    assert os.listdir(tmp_path) == ["run.pt"]
    assert_same_bits(run(path, Pairs()), straight())


def test_a_damaged_file_is_an_error_and_stays(tmp_path):
    path = tmp_path / "run.pt"
    run(path, Pairs(), steps=2)
    whole = path.read_bytes()
    middle = whole.index(run(path, Pairs(), steps=2)[0][0].weight.detach().numpy().tobytes())
    flipped = bytearray(whole)
    flipped[middle] ^= 1
    for damaged in (whole[: len(whole) // 2], b"", b"rubbish" * 50, bytes(flipped)):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="run.pt cannot be read.*move it away"):
            run(path, Pairs())
        assert path.read_bytes() == damaged


def test_other_files_are_errors(tmp_path):
    path = tmp_path / "run.pt"
    torch.save(build_model().state_dict(), path)
    with pytest.raises(ValueError, match="not a training state"):
        run(path, Pairs())
    torch.save({"format": 99}, path)
    with pytest.raises(ValueError, match="has format 99, expected 1"):
        run(path, Pairs())


def test_unsuitable_places_fail_before_training(tmp_path):
    for path, error in (("absent/run.pt", FileNotFoundError), (".", IsADirectoryError)):
        pairs = Pairs()
        with pytest.raises(error):
            run(tmp_path / path, pairs)
        assert pairs.seen == []


def test_states_that_could_not_be_read_fail_before_training(tmp_path):
    class Odd(nn.Linear):
        def get_extra_state(self):
            return threading.Event  # loading this would run code

        def set_extra_state(self, state):
            pass

    model, pairs = Odd(4, 4), Pairs()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="cannot be read back"):
        train(model, pairs, steps=3, optimizer=optimizer, checkpoint=tmp_path / "run.pt",
              progress=False)  # fmt: skip
    assert pairs.seen == [] and os.listdir(tmp_path) == []


def test_another_training_is_an_error_that_changes_nothing(tmp_path):
    path = tmp_path / "run.pt"
    run(path, Pairs(), steps=6)
    cases = [
        (dict(steps=5), "at step 6, expected at most steps = 5"),
        (dict(batch_size=2), "batch_size = 3, expected 2"),
        (dict(seed=3), "seed = 0, expected 3"),
        (dict(pairs=Pairs(11)), "pairs = 10, expected 11"),
        (dict(kind="momentum"), "optimizer = Adam, expected SGD"),
        (dict(schedule=None), "schedule = CosineAnnealingLR, expected NoneType"),
    ]
    for changes, message in cases:
        with pytest.raises(ValueError, match=message):
            run(path, **{"pairs": Pairs(), **changes})
    models = [
        (nn.Linear(4, 4), r"is absent, expected torch.float32 of shape \(4, 4\)"),
        (build_model().double(), "expected torch.float64"),
        (nn.Sequential(*build_model(), nn.Linear(4, 4)), "5.weight is absent"),
        (build_model()[:4], r"4.weight is torch.float32 of shape \(4, 8\), expected absent"),
    ]
    for model, message in models:
        before = [p.clone() for p in model.parameters()]
        optimizer, schedule = setting("adam", model)
        with pytest.raises(ValueError, match=f"of another model.*{message}"):
            train(model, Pairs(), steps=9, optimizer=optimizer, schedule=schedule, batch_size=3,
                  checkpoint=path, progress=False)  # fmt: skip
        assert all(map(torch.equal, before, model.parameters()))
    model = build_model()
    groups = torch.optim.Adam([{"params": [p]} for p in model.parameters()])
    with pytest.raises(ValueError, match="optimizer groups"):
        train(model, Pairs(), steps=9, optimizer=groups, batch_size=3, checkpoint=path,
              schedule=torch.optim.lr_scheduler.CosineAnnealingLR(groups, 20),
              progress=False)  # fmt: skip


# --- divergence and other errors -----------------------------------------------------------------


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
        calls.append(1)
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
        ([zeros], ValueError, r"pairs\[0\] is not a pair"),
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
