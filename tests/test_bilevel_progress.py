"""The journal of bilevel learning: rows, checkpoints, interruptions, refusals."""

import dataclasses
import math
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from bilevel_problems import START, denoising

from odl_learned.energies import AutogradEnergy
from odl_learned.learning.bilevel import BilevelProblem, Run, SquaredError
from odl_learned.learning.bilevel.first_order import hoag, lbfgsb, maid
from odl_learned.learning.bilevel.first_order.schedules import cubic
from odl_learned.learning.bilevel.hypergradients import Direct, Implicit
from odl_learned.learning.bilevel.lower import Newton, Restarted
from odl_learned.learning.bilevel.progress import Journal
from odl_learned.learning.bilevel.settings import fingerprint, setting_of
from odl_learned.learning.files.checkpoint import read_checkpoint, write_checkpoint


def descend(checkpoint, steps, callback=None, setting=None):
    """Gradient descent on x^2 / 2 with momentum, whose state is a pair."""
    setting = {"step": 0.1} if setting is None else setting
    with Journal(setting, Run(checkpoint, callback)) as journal:
        state = journal.resume()
        if state is None:
            x, v = torch.tensor([1.0, -3.0], dtype=torch.float64), torch.zeros(2).double()
            journal.accepted({"params": x, "value": float(x @ x), "note": "start"},
                             {"x": x, "v": v})  # fmt: skip
        else:
            x, v = state["x"], state["v"]
        while journal.steps <= steps:
            v = 0.9 * v - 0.1 * x
            x = x + v
            journal.accepted({"params": x, "value": float(x @ x), "note": "step"},
                             lambda: {"x": x, "v": v})  # fmt: skip
        return journal.learned(x, float(x @ x), 0.0, "maxiter")


def test_the_history_has_a_row_for_each_step():
    learned = descend(None, 5)
    history = learned.history
    assert history["params"].shape == (6, 2) and history["value"].shape == (6,)
    np.testing.assert_array_equal(history["params"][-1], learned.params.numpy())
    assert np.all(np.diff(history["seconds"]) >= 0)
    assert list(history["note"]) == ["start"] + 5 * ["step"]


def test_rows_have_the_same_keys():
    with Journal({}) as journal:
        journal.accepted({"value": 1.0})
        with pytest.raises(ValueError, match="expected"):
            journal.accepted({"values": 1.0})


def test_the_callback_sees_each_row():
    seen = []
    learned = descend(None, 3, seen.append)
    assert [float(row["value"]) for row in seen] == list(learned.history["value"])


class Stop(Exception):
    pass


def stop_after(count):
    seen = []

    def callback(row):
        seen.append(row)
        if len(seen) == count:
            raise Stop

    return callback


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_continued_run_has_the_same_bits(tmp_path, count):
    full = descend(None, 6)
    with pytest.raises(Stop):
        descend(tmp_path / "c", 6, stop_after(count))
    continued = descend(tmp_path / "c", 6)
    assert torch.equal(full.params, continued.params)
    for name in ("params", "value", "note"):
        np.testing.assert_array_equal(full.history[name], continued.history[name])
    assert np.all(np.diff(continued.history["seconds"]) >= 0)
    again = descend(tmp_path / "c", 6)
    assert torch.equal(full.params, again.params) and len(again.history["value"]) == 7


def test_a_killed_process_continues_to_the_same_bits(tmp_path):
    script = f"""
        import os, signal, sys, torch
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        from test_bilevel_progress import descend
        seen = []
        def kill(row):
            seen.append(row)
            if len(seen) == 3:
                os.kill(os.getpid(), signal.SIGKILL)
        descend({str(tmp_path / "c")!r}, 6, kill)
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert torch.equal(descend(tmp_path / "c", 6).params, descend(None, 6).params)


def test_an_interruption_waits_for_the_checkpoint(tmp_path):
    def interrupt(row):
        if len(row["params"]) and row["note"] == "step":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        descend(tmp_path / "c", 6, interrupt)
    assert len(descend(tmp_path / "c", 1).history["value"]) == 2
    assert torch.equal(descend(tmp_path / "c", 6).params, descend(None, 6).params)


@pytest.mark.parametrize("other", [
    {"step": 0.2}, {}, {"step": 0.1, "more": 1}, {"step": 1}, {"step": torch.tensor([0.1])},
])  # fmt: skip
def test_another_setting_is_refused(tmp_path, other):
    descend(tmp_path / "c", 2)
    with pytest.raises(ValueError, match="was written with .* expected .*"):
        descend(tmp_path / "c", 2, setting=other)


def test_rounding_of_the_setting_is_accepted(tmp_path):
    nan = {"step": 0.1, "bound": math.inf, "unknown": math.nan}
    descend(tmp_path / "c", 2, setting=nan)
    descend(tmp_path / "c", 2, setting={**nan, "step": 0.1 * (1 + 1e-12)})


def test_a_damaged_checkpoint_is_refused(tmp_path):
    descend(tmp_path / "c", 2)
    content = bytearray((tmp_path / "c").read_bytes())
    content[len(content) // 2] ^= 255
    (tmp_path / "c").write_bytes(bytes(content))
    with pytest.raises(ValueError, match="cannot be read"):
        descend(tmp_path / "c", 2)


def test_the_setting_tells_problems_apart():
    generator = torch.Generator().manual_seed(0)
    truth, data = torch.randn(2, 3, 5, generator=generator, dtype=torch.float64)
    energy = AutogradEnergy(
        lambda x, p, y: 0.5 * (x - y).square().sum(1) + p.exp() * x.cosh().sum(1),
        lambda p: 10.0, lambda p: 1.0)  # fmt: skip
    problem = BilevelProblem(energy, data, SquaredError(truth), 0 * data + 0.1)
    params = torch.zeros(1, dtype=torch.float64)
    setting = setting_of(problem, params)
    for other, changed in (
        (BilevelProblem(energy, data + 1e-3, SquaredError(truth), problem.x0), "energy"),
        (BilevelProblem(energy, data, SquaredError(truth, 2.0), problem.x0), "loss"),
        (BilevelProblem(energy, data, problem.loss, problem.x0, lower=-1.0), "lower"),
        (BilevelProblem(energy, data, problem.loss, problem.x0, lambda p: p.sum() + 1), "penalty"),
        (problem.take([0, 1]), "samples"),
    ):
        found = setting_of(other, params)
        assert not np.allclose(float(found[changed]), float(setting[changed]), rtol=1e-6)


BASE = denoising(pairs=3, size=8)
BACKWARD = torch.tensor([2, 1, 0])


def changed(**fields):
    return dataclasses.replace(BASE, **fields)


def learned(checkpoint, method=lbfgsb, problem=BASE, params=START, mode=None, solver=None,
            callback=None, **options):  # fmt: skip
    mode, solver = Implicit() if mode is None else mode, Newton() if solver is None else solver
    options = {"maxiter": 1} | options
    return method(problem, params, mode, solver, run=Run(checkpoint, callback), **options)


OTHERS = {
    "values of data": {"problem": changed(data=-BASE.data)},
    "values of truth": {"problem": changed(loss=SquaredError(BASE.loss.truth[BACKWARD]))},
    "values of x0": {"problem": changed(x0=BASE.x0[BACKWARD])},
    "lower": {"problem": changed(lower=-5.0)},
    "penalty": {"problem": changed(penalty=lambda p: 1 + p.sum())},
    "params0": {"params": START + 0.1},
    "mode": {"mode": Direct()},
    "solver": {"solver": Restarted()},
    "gtol": {"gtol": 1e-3},
    "memory": {"memory": 3},
    "max_step": {"max_step": 0.1},
    "method": {"method": hoag},
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_run_of_something_else_is_not_continued(tmp_path, name):
    """Of data whose order or sign differs, too, with the same sums."""
    learned(tmp_path / "c")
    before = (tmp_path / "c").read_bytes()
    with pytest.raises(ValueError, match=f"was written with {name} = .*, expected .*go on with"):
        learned(tmp_path / "c", **OTHERS[name])
    assert (tmp_path / "c").read_bytes() == before
    assert learned(tmp_path / "c", maxiter=2).reason == "maxiter"


@pytest.mark.parametrize(("method", "options", "name"), [
    (hoag, {"step": 0.1}, "step"), (hoag, {"schedule": cubic}, "schedule"),
    (maid, {"momentum": 0.5}, "momentum"), (maid, {"grow": 1.5}, "grow"),
])  # fmt: skip
def test_settings_of_methods_are_compared(tmp_path, method, options, name):
    learned(tmp_path / "c", method)
    with pytest.raises(ValueError, match=f"was written with {name} = "):
        learned(tmp_path / "c", method, **options)


@pytest.mark.parametrize("keys", [("state",), ("state", "rule"), ("state", "here", "value"),
                                  ("state", "evaluations", "lower", "work", "gradients")])
def test_missing_keys_are_named(tmp_path, keys):
    learned(tmp_path / "c")
    state = part = read_checkpoint(tmp_path / "c")
    for key in keys[:-1]:
        part = part[key]
    del part[keys[-1]]
    write_checkpoint(tmp_path / "c", state)
    with pytest.raises(ValueError, match=f"lacks .*{keys[-1]}.*move it away"):
        learned(tmp_path / "c", maxiter=2)


def test_a_checkpoint_has_one_writer(tmp_path):
    def again(row):
        learned(tmp_path / "c")

    with pytest.raises(BlockingIOError, match="another writer"):
        learned(tmp_path / "c", callback=again)
    assert learned(tmp_path / "c").reason == "maxiter"


def test_fingerprints_are_two_norms():
    """Of ``x`` and of ``x + |x| / sqrt(n) cos k``, by hand."""
    x = torch.tensor([3.0, -4.0], dtype=torch.float64)
    moved = [3 + 5 / 2**0.5, -4 + 5 / 2**0.5 * math.cos(1)]
    np.testing.assert_allclose(fingerprint(x), [5, math.hypot(*moved)], rtol=1e-15)
    for other in (-x, x.flip(0), x.abs()):
        assert abs(float(fingerprint(other)[1] / fingerprint(x)[1]) - 1) > 1e-2
    for zero in (torch.zeros(2, 3), torch.zeros(0, dtype=torch.complex64)):
        assert (fingerprint(zero) == 0).all()
