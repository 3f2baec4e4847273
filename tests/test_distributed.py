"""Shares of training pairs: sums over processes are the whole problem."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from bilevel_problems import START, denoising

from odl_learned.learning.bilevel.distributed import processes, share
from odl_learned.learning.bilevel.evaluations import Accuracy, Evaluations
from odl_learned.learning.bilevel.gradient_based import lbfgsb
from odl_learned.learning.bilevel.hypergradient import Implicit
from odl_learned.learning.bilevel.lower_solvers import Newton

SCRIPT = """
    import sys
    import odl_learned, torch, numpy as np
    torch.set_num_threads(1)
    sys.path.insert(0, sys.argv[1])
    from bilevel_problems import START, denoising
    from odl_learned.learning.bilevel.distributed import all_reduce, processes, share
    from odl_learned.learning.bilevel.gradient_based import lbfgsb
    from odl_learned.learning.bilevel.hypergradient import Implicit
    from odl_learned.learning.bilevel.lower_solvers import Newton
    with processes() as (rank, size):
        problem = share(denoising(3, 16), rank, size)
        learned = lbfgsb(problem, START, Implicit(), Newton(), maxiter=6, reduce=all_reduce,
                         checkpoint=f"{sys.argv[2]}/checkpoint.{rank}")
        np.savez(f"{sys.argv[2]}/{rank}.npz", final=learned.params.numpy(),
                 **{k: v for k, v in learned.history.items()})
"""


def test_two_processes_take_the_steps_of_one(tmp_path):
    script = tmp_path / "learn.py"
    script.write_text(textwrap.dedent(SCRIPT))
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2",
        str(script), os.path.dirname(__file__), str(tmp_path),
    ]  # fmt: skip
    root = os.path.dirname(os.path.dirname(__file__))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    ended = subprocess.run(command, capture_output=True, env=environment, timeout=120)
    assert ended.returncode == 0, ended.stderr.decode()[-2000:]
    alone = lbfgsb(denoising(3, 16), START, Implicit(), Newton(), maxiter=6)
    first, second = (np.load(tmp_path / f"{rank}.npz") for rank in (0, 1))
    for name in ("params", "value", "value_bound", "gradients", "evaluations", "final"):
        np.testing.assert_array_equal(first[name], second[name])
    for name in ("params", "value"):
        np.testing.assert_allclose(first[name], alone.history[name], rtol=1e-8, atol=0)


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


def test_checkpoints_of_different_steps_are_refused():
    def reduce(values):
        return values + torch.tensor([1.0, 4.0, 16.0], dtype=torch.float64)[: len(values)]

    evaluations = Evaluations(denoising(3, 16), Implicit(), Newton())
    evaluations.reduce = reduce
    evaluations.require_together(4)
    with pytest.raises(ValueError, match="at step 5, expected the same step"):
        evaluations.require_together(5)


def test_more_processes_than_pairs_are_refused():
    with pytest.raises(ValueError, match="fewer processes"):
        share(denoising(3, 16), 0, 4)


def test_without_torchrun_there_are_no_processes():
    with pytest.raises(RuntimeError, match="not started by torchrun"), processes():
        pass
