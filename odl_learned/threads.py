"""How many threads torch, BLAS and OpenMP use, all together.

numpy and scipy each bring a BLAS with threads of its own, which wait for work by spinning; torch
has a pool of another kind. To limit one of them leaves the others as they are: a program on one
torch thread may keep all cores busy.
"""

import contextlib
from collections.abc import Iterator

from odl_learned.validation import require_count


@contextlib.contextmanager
def limit_threads(count: int) -> Iterator[None]:
    """Use at most so many threads in torch, BLAS and OpenMP inside of a ``with`` block.

    Nothing is limited otherwise. Libraries that are loaded inside of the block are not; those of
    numpy, scipy and torch are loaded with the package.

    Parameters
    ----------
    count : int
        Number of threads, at least one.

    Raises
    ------
    ValueError
        If it is not such a number.

    Examples
    --------
    >>> with limit_threads(1):
    ...     pass  # iterations on small arrays, or one of several programs on a shared machine
    """
    require_count("count", count)
    # Inside, so that modules without torch may use this one.
    import threadpoolctl
    import torch

    before = torch.get_num_threads()
    with threadpoolctl.threadpool_limits(count):
        torch.set_num_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def thread_count() -> int:
    """Return how many threads torch uses, which the compiled loops of the package follow."""
    import torch

    return torch.get_num_threads()
