"""Random states that are put back: looking at a module or at data must not change what follows."""

import contextlib
import random
from collections.abc import Iterable, Iterator

import numpy as np
import torch


@contextlib.contextmanager
def kept_random_states(
    devices: Iterable[torch.device] = (), seed: int | None = None
) -> Iterator[None]:
    """Put the global random states of torch, numpy and Python back at the end of a context.

    Parameters
    ----------
    devices : iterable of torch.device
        Those, beside the CPU, whose generators are kept.
    seed : int, optional
        Seed of all of them within the context; without it they go on.
    """
    cuda = [device for device in devices if device.type == "cuda"]
    of_numpy, of_python = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(cuda):
        try:
            if seed is not None:
                seed_random_states(seed, cuda)
            yield
        finally:
            np.random.set_state(of_numpy)
            random.setstate(of_python)


def seed_random_states(seed: int, cuda: Iterable[torch.device] = ()) -> None:
    """Seed the global random generators of torch, numpy and Python.

    Parameters
    ----------
    seed : int
        At least 0 and below ``2^32``.
    cuda : iterable of torch.device
        CUDA devices whose generators are seeded, too.
    """
    torch.default_generator.manual_seed(seed)
    for device in cuda:
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
