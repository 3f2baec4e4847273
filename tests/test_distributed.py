"""Shares of training pairs: sums over processes are the whole problem."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from bilevel_problems import START, Stop, denoising, require_same_bits, stop_after

from odl_learned.learning import processes
from odl_learned.learning.bilevel import Run
from odl_learned.learning.bilevel.distributed import common_step, share
from odl_learned.learning.bilevel.first_order import isgd, lbfgsb
from odl_learned.learning.bilevel.first_order.evaluations import Accuracy, Evaluations
from odl_learned.learning.bilevel.hypergradients import Implicit
from odl_learned.learning.bilevel.lower import Newton

SCRIPT = """
    import sys
    import odl_learned, torch, numpy as np
    torch.set_num_threads(1)
    sys.path.insert(0, sys.argv[1])
    from bilevel_problems import START, denoising
    from odl_learned.learning import processes
    from odl_learned.learning.bilevel import Run
    from odl_learned.learning.bilevel.distributed import all_reduce, share
    from odl_learned.learning.bilevel.first_order import lbfgsb
    from odl_learned.learning.bilevel.hypergradients import Implicit
    from odl_learned.learning.bilevel.lower import Newton
    with processes() as (rank, size):
        problem = share(denoising(3, 16), rank, size)
        learned = lbfgsb(problem, START, Implicit(), Newton(), maxiter=int(sys.argv[3]),
                         run=Run(f"{sys.argv[2]}/checkpoint.{rank}", reduce=all_reduce))
        np.savez(f"{sys.argv[2]}/{rank}.npz", final=learned.params.numpy(),
                 **{k: v for k, v in learned.history.items()})
"""


def learn_by_two(folder, maxiter):
    """Run the script by torchrun; return what both processes have saved."""
    script = folder / "learn.py"
    script.write_text(textwrap.dedent(SCRIPT))
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2",
        str(script), os.path.dirname(__file__), str(folder), str(maxiter),
    ]  # fmt: skip
    root = os.path.dirname(os.path.dirname(__file__))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    ended = subprocess.run(command, capture_output=True, env=environment, timeout=120)
    assert ended.returncode == 0, ended.stderr.decode()[-2000:]
    return [dict(np.load(folder / f"{rank}.npz")) for rank in (0, 1)]


NAMES = ("params", "value", "value_bound", "gradients", "evaluations", "final")


def test_two_processes_take_the_steps_of_one_and_go_on_together(tmp_path):
    """Also if one of them has lost its last checkpoint."""
    first, second = learn_by_two(tmp_path, 6)
    alone = lbfgsb(denoising(3, 16), START, Implicit(), Newton(), maxiter=6)
    for name in NAMES:
        np.testing.assert_array_equal(first[name], second[name])
    for name in ("params", "value"):
        np.testing.assert_allclose(first[name], alone.history[name], rtol=1e-8, atol=0)
    os.replace(tmp_path / "checkpoint.1.before", tmp_path / "checkpoint.1")
    for again in learn_by_two(tmp_path, 6):
        for name in NAMES:
            np.testing.assert_array_equal(again[name], first[name])


@pytest.mark.parametrize("size", [1, 2, 3])
def test_shares_sum_to_the_whole_problem(size):
    problem, accuracy = denoising(3, 16), Accuracy(1e-8, 1e-8)
    whole = Evaluations(problem, Implicit(), Newton())(START, accuracy)
    parts = [Evaluations(share(problem, rank, size), Implicit(), Newton())(START, accuracy)
             for rank in range(size)]  # fmt: skip
    assert sum(part.value for part in parts) == pytest.approx(whole.value, rel=1e-12)
    torch.testing.assert_close(sum(part.gradient for part in parts), whole.gradient)


def test_a_failure_of_one_process_is_known_to_all():
    """All numbers are NaN, also where only another process has failed."""
    def reduce(values):
        return values + (torch.nan if len(values) > 5 else 0)

    evaluations = Evaluations(denoising(3, 16), Implicit(), Newton(), reduce)
    assert evaluations.attempt(START, Accuracy(1e-3, 1e-3)) is None
    with pytest.raises(ValueError, match="not finite"):
        evaluations.start(START, Accuracy(1e-3, 1e-3))


@pytest.mark.parametrize("steps, common", [
    ([4, 4], 4), ([4, 5], 4), ([5, 4, 4], 4), ([0, 1, 0], 0), ([0, 0], 0), ([7], 7),
    ([4, 6], None), ([0, 2], None), ([3, 4, 5], None), ([1, 1, 1, 4], None),
])  # fmt: skip
def test_all_go_on_from_the_last_step_that_all_have(steps, common):
    def reduce(values):
        everyone = [torch.tensor([1.0, s, s**2], dtype=torch.float64) for s in steps]
        assert any(torch.equal(values, each) for each in everyone)
        return sum(everyone)

    for own in steps:
        if common is None:
            with pytest.raises(ValueError, match=f"at step {own}, .* more than one step away"):
                common_step(own, reduce)
        else:
            assert common_step(own, reduce) == common


@pytest.mark.parametrize("method", ["lbfgsb", "isgd"])
def test_a_process_that_is_ahead_goes_back_one_step(method, tmp_path):
    """Its file before the last is the last of the others, and leads to the same bits."""
    def learn(reduce, checkpoint, callback=None):
        run = Run(checkpoint, callback, reduce=reduce)
        if method == "lbfgsb":
            return lbfgsb(denoising(3, 16), START, Implicit(), Newton(), maxiter=6, run=run)
        generator = torch.Generator().manual_seed(0)
        return isgd(denoising(3, 16), START, Implicit(), Newton(), generator=generator,
                    batch_size=1, epochs=3, run=run)  # fmt: skip

    whole = learn(torch.clone, tmp_path / "whole")
    with pytest.raises(Stop):
        learn(torch.clone, tmp_path / "part", stop_after(4))

    def behind(values):
        """The other process has written three steps, this one four."""
        if len(values) == 3 and values.tolist() == [1, 4, 16]:
            return values + torch.tensor([1.0, 3, 9], dtype=torch.float64)
        return values

    rows = []
    require_same_bits(learn(behind, tmp_path / "part", rows.append), whole)
    assert len(rows) == len(whole.history["value"]) - 3


def test_more_processes_than_pairs_are_refused():
    with pytest.raises(ValueError, match="fewer processes"):
        share(denoising(3, 16), 0, 4)


def test_without_torchrun_there_are_no_processes():
    with pytest.raises(RuntimeError, match="not started by torchrun"), processes():
        pass
