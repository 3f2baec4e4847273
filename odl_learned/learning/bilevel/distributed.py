r"""Bilevel learning by several processes, each with its share of the training pairs.

    torchrun --nproc_per_node=2 learn.py

with, in ``learn.py``, `learning.processes` and

    with processes() as (rank, size):
        learned = lbfgsb(share(problem, rank, size), params0, run=Run(
            checkpoint=f"learned.{rank}", progress=rank == 0, reduce=all_reduce))

Values, gradients, bounds and counts are sums over the pairs; so every process sees the same numbers
and takes the same steps, and only vectors of the length of the parameters travel. Each process has
a checkpoint of its own and keeps the one before: if they were killed while some had written theirs
and others had not, all go on from the last step that all have (`common_step`).
"""

import dataclasses

import torch
import torch.distributed

from odl_learned.learning.bilevel.problem import BilevelProblem, require_problem
from odl_learned.validation import require_count


def share(problem: BilevelProblem, rank: int, size: int) -> BilevelProblem:
    r"""Return the part of a bilevel problem for one of several processes.

    The training pairs ``rank, rank + size, ...`` and the ``size``-th part of the penalty, so that
    the sum over all processes is the whole problem.

    Parameters
    ----------
    problem : BilevelProblem
    rank, size : int
        Number of this process, from 0, and of all.

    Returns
    -------
    BilevelProblem

    Raises
    ------
    ValueError
        If there are more processes than pairs.
    """
    require_problem(problem)
    require_count("size", size)
    require_count("rank", rank, 0)
    pairs = len(problem.x0)
    if not rank < size <= pairs:
        raise ValueError(
            f"rank {rank} of {size} processes cannot have a share of {pairs} training pairs; "
            "expected rank < size <= pairs; start fewer processes."
        )
    penalty = problem.penalty
    part = problem.take(torch.arange(rank, pairs, size))
    return dataclasses.replace(part, penalty=lambda params: penalty(params) / size)


def all_reduce(values: torch.Tensor) -> torch.Tensor:
    """Return the sum of a float64 vector over all processes, the same bits for each.

    Parameters
    ----------
    values : tensor ``(n,)``, float64, on the CPU
    """
    nccl = torch.distributed.get_backend() == "nccl"
    sums = values.to("cuda", copy=True) if nccl else values.clone()
    torch.distributed.all_reduce(sums)
    torch.distributed.broadcast(sums, 0)
    return sums.cpu()


def common_step(steps, reduce):
    r"""Return the last step that the checkpoints of all processes have.

    With the least number ``m = floor(mean s)``, all ``s_i`` are ``m`` or ``m + 1`` if and only if
    ``sum (s_i - m)^2 = sum (s_i - m)``; so sums are enough to know.

    Parameters
    ----------
    steps : int
        Those in the checkpoint of this process, 0 without one.
    reduce : callable
        Sums a vector over all processes, such as `all_reduce`.

    Raises
    ------
    ValueError
        If checkpoints are more than one step apart.
    """
    moments = torch.tensor([1.0, steps, steps**2], dtype=torch.float64)
    count, total, squares = (round(value) for value in reduce(moments).tolist())
    least = total // count
    if squares - 2 * least * total + count * least**2 != total - count * least:
        raise ValueError(
            f"the checkpoint of this process is at step {steps}, those of others are more than one "
            "step away; restore checkpoints of one step, or move them away to start anew."
        )
    return least
