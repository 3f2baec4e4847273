r"""The batches of a training in their order, drawn here or in worker processes, the same bits.

What is drawn at a position of the order depends on the pairs, the seed and the position alone: the
global generators of torch, numpy and Python are seeded with it, ``pairs[i]`` is asked for, and they
are put back. So random pairs are the same with any number of workers, with any number of
processes that share the batches, and in a training that continues.
"""

import multiprocessing
import multiprocessing.context
import signal
from collections.abc import Generator
from typing import final

import torch

from odl_learned.learning.group import Group
from odl_learned.learning.training.batches import Order, Pairs, draw_batch
from odl_learned.threads import limit_threads
from odl_learned.validation import require_count


@final
class Workers:
    """Processes beside the training that draw its batches ahead of time.

    They draw on one thread each, of torch, BLAS and OpenMP. With the default they are forked, where
    the system can, as those of a DataLoader: pairs need not be pickled, and are shared until they
    are written to. A forked process must not use CUDA, nor locks that threads of yours have held;
    if the pairs do, pass ``multiprocessing.get_context("spawn")``, for which they are pickled, and
    which runs the main module again.

    Parameters
    ----------
    count : int
        Number of processes, at least one.
    ahead : int, optional
        Batches that each of them draws in advance, at least one.
    context : multiprocessing.context.BaseContext, optional
        How they are started; the default is "fork" where there is one.

    Raises
    ------
    ValueError
        For numbers below one.
    TypeError
        If the context is none.
    """

    def __init__(
        self, count: int, ahead: int = 2,
        context: multiprocessing.context.BaseContext | None = None,
    ) -> None:  # fmt: skip
        require_count("count", count)
        require_count("ahead", ahead)
        if context is None:
            forks = "fork" in multiprocessing.get_all_start_methods()
            context = multiprocessing.get_context("fork" if forks else None)
        elif not isinstance(context, multiprocessing.context.BaseContext):
            raise TypeError(f"context is {context!r}, expected one of multiprocessing, such as "
                            'multiprocessing.get_context("spawn").')
        self.count, self.ahead, self.context = int(count), int(ahead), context


class Loading:
    """What is drawn for a step: the share of one process, as tensors on the CPU.

    Parameters
    ----------
    pairs : sequence
    seed : int
        Of the order and of random pairs.
    batch_size : int
        That of all processes together.
    group : Group
    """

    def __init__(self, pairs: Pairs, seed: int, batch_size: int, group: Group) -> None:
        self.pairs, self.seed, self.batch_size, self.group = pairs, seed, batch_size, group
        self.order = Order(seed, len(pairs))

    def draw(self, step: int) -> tuple:
        """Return ``(data, truth)`` for step number `step`, from 0."""
        start = step * self.batch_size
        indices = self.group.part(self.order.batch(start, self.batch_size))
        positions = self.group.part(range(start, start + self.batch_size))
        return draw_batch(self.pairs, indices, seeds=[(self.seed, k) for k in positions])

    def batches(
        self, start: int, steps: int, workers: Workers | None
    ) -> Generator[tuple, None, None]:
        """Generate what `draw` returns for the steps from `start` up to `steps`."""
        if workers is None:
            yield from (self.draw(step) for step in range(start, steps))
            return
        loader = torch.utils.data.DataLoader(
            _Steps(self, steps), batch_size=None, sampler=range(start, steps),
            num_workers=workers.count, prefetch_factor=workers.ahead,
            multiprocessing_context=workers.context, worker_init_fn=_begin,
            generator=torch.Generator(),  # or torch's own would be drawn from
        )  # fmt: skip
        for found in loader:
            if isinstance(found, Exception):
                raise found
            yield found


class _Steps(torch.utils.data.Dataset):
    """A step is an item, so that one worker draws a whole batch; an error is an item, too."""

    def __init__(self, loading, steps):
        self.loading, self.steps = loading, steps

    def __len__(self):
        return self.steps

    def __getitem__(self, step):
        try:
            with limit_threads(1):
                return self.loading.draw(step)
        except Exception as error:  # torch would hide it behind a traceback in words
            return error


def _begin(worker):
    # The handlers of the training, which wait for a step to be complete, were inherited. A terminal
    # sends Ctrl-C to all; the training then ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
