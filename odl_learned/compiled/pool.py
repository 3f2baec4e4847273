"""Threads for compiled loops, which run without the lock of the interpreter.

Not numba's own: of its layers one must not be entered by two threads at a time, and another aborts
in processes that were forked. Threads of the interpreter are woken in some ten microseconds, so
that a call should take longer.
"""

import collections
import concurrent.futures
import os
from collections.abc import Callable, Sequence

from odl_learned.threads import thread_count

#: Entries below which threads would wait for each other longer than they work.
WORTH = 2**15

_pool = None


def useful_threads(entries: int) -> int:
    """Return how many threads are worth while for arrays of so many entries."""
    return thread_count() if entries >= WORTH else 1


def shares(count: int, entries: int) -> list[tuple[int, int]]:
    """Deal so many pieces of an array with so many entries out to threads: begins and ends."""
    most = min(useful_threads(entries), count)
    return [(i * count // most, (i + 1) * count // most) for i in range(most)]


def run_all(function: Callable, calls: Sequence[tuple]) -> None:
    """Call a function with each tuple of arguments, on as many threads as torch uses.

    Parameters
    ----------
    function : callable
        Returns nothing; releases the lock of the interpreter; calls may run at the same time.
    calls : sequence of tuple
    """
    helpers = min(thread_count(), len(calls)) - 1
    if helpers < 1:
        for arguments in calls:
            function(*arguments)
        return
    waiting = collections.deque(calls)

    def work():
        while True:
            try:
                arguments = waiting.popleft()
            except IndexError:
                return
            function(*arguments)

    others = [_threads().submit(work) for _ in range(helpers)]
    try:
        work()
    finally:  # threads that did not wake up yet have nothing left to do
        others = [other for other in others if not other.cancel()]
        concurrent.futures.wait(others)
    for other in others:
        other.result()


def _threads():
    global _pool
    if _pool is None:
        _pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count(), "odl_learned_loops")
    return _pool


def _forget():
    """In a process that was forked: the threads stayed behind."""
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
