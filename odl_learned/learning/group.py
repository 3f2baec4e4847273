"""Several processes that train together, by ``torch.distributed``; one is a group of one."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, final

import torch
import torch.distributed

T = TypeVar("T")


@contextmanager
def processes(backend: str = "gloo") -> Iterator[tuple[int, int]]:
    """Join the processes that torchrun has started, as a context that gives ``(rank, size)``.

    Parameters
    ----------
    backend : str
        Of torch.distributed: ``"gloo"`` between CPUs, ``"nccl"`` between GPUs, where each process
        is given the GPU of its local rank.

    Raises
    ------
    RuntimeError
        If the program was not started by torchrun.
    """
    if not torch.distributed.is_torchelastic_launched():
        raise RuntimeError(
            "this process was not started by torchrun; start it by `torchrun --nproc_per_node=2 "
            "program.py`, or leave out processes() and, in bilevel learning, reduce=."
        )
    if backend == "nccl":
        torch.cuda.set_device(torch.distributed.get_node_local_rank())
    torch.distributed.init_process_group(backend)
    try:
        yield torch.distributed.get_rank(), torch.distributed.get_world_size()
    finally:
        torch.distributed.destroy_process_group()


@final
class Group:
    """The processes of a training, and what they say to each other.

    A batch of B samples is dealt like cards: process r of R has the samples ``r, r + R, ...``. The
    mean over the batch is the mean over the processes of their own means times ``R n_r / B``, with
    ``n_r`` samples each, which is what the mean of the gradients needs where shares are uneven.

    Parameters
    ----------
    rank, size : int
        r and R; everything is done alone if R is one.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @classmethod
    def current(cls) -> "Group":
        """Return the initialized default group of torch.distributed, or this process alone.

        Raises
        ------
        RuntimeError
            If torchrun has started several processes that have not joined.
        """
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return cls(torch.distributed.get_rank(), torch.distributed.get_world_size())
        launched = torch.distributed.is_torchelastic_launched()
        if launched and int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise RuntimeError(
                f"this is one of {os.environ['WORLD_SIZE']} processes of torchrun and they have "
                "not joined, so that each would train by itself; train within "
                "`with learning.processes():`, or after torch.distributed.init_process_group."
            )
        return cls()

    def part(self, batch: Sequence) -> Sequence:
        """Return the share of this process in something with a first axis of samples."""
        return batch if self.size == 1 else batch[self.rank :: self.size]

    def factor(self, total: int) -> float:
        """Return ``R n_r / B`` for a batch of B samples."""
        return self.size * len(self.part(range(total))) / total

    def gather(self, value: T) -> list[T]:
        """Return what all processes pass here, in the order of their ranks."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(values, value)
        return values

    def first(self, value: T) -> T:
        """Return what the first process passes here; tensors are on the CPU."""
        if self.size == 1:
            return value
        values: list[Any] = [_on_cpu(value) if self.rank == 0 else None]
        torch.distributed.broadcast_object_list(values, src=0)
        return values[0]

    def together(self, function: Callable[[], T]) -> T:
        """Call a function in all processes, without communication in it: none or all go on.

        An exception in one of them ends all: that one raises it, the others a RuntimeError that
        names it, or KeyboardInterrupt if that is what it was.
        """
        return function() if self.size == 1 else self._mean(function, lambda result: 0.0)[0]

    def mean(self, function: Callable[[], torch.Tensor], total: int) -> tuple[torch.Tensor, float]:
        """Call a function together; return the mean of this share, and that of the whole batch.

        Parameters
        ----------
        function : callable
            Returns the mean over the share of this process, a finite real tensor of shape ().
        total : int
            B, the number of samples in the batch.
        """
        if self.size == 1:
            value = function()
            return value, float(value.detach())
        share = self.factor(total) / self.size
        return self._mean(function, lambda value: share * float(value.detach()))

    def average_(self, gradients: Sequence[torch.Tensor]) -> None:
        """Replace tensors by their means over the processes, the same bits in all of them."""
        if self.size > 1:
            for gradient in gradients:
                torch.distributed.all_reduce(gradient)
                gradient /= self.size

    def _mean(self, function, number_of):
        """A result, and the sum of its numbers; NaN is the number of a process that failed."""
        result = error = None
        try:
            result = function()
            number = number_of(result)
        except BaseException as failure:
            error, number = failure, float("nan")
        on = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
        numbers = torch.zeros(self.size, dtype=torch.float64, device=on)
        numbers[self.rank] = number
        torch.distributed.all_reduce(numbers)  # of one number and zeros: exact in any order
        numbers = numbers.tolist()
        if any(value != value for value in numbers):
            self._end(error)
        return result, sum(numbers)

    def _end(self, error):
        kinds = self.gather(None if error is None else (type(error).__name__, str(error)))
        if error is not None:
            raise error
        rank, (kind, message) = next((r, found) for r, found in enumerate(kinds) if found)
        alike = {"KeyboardInterrupt": KeyboardInterrupt, "FloatingPointError": FloatingPointError}
        raise alike.get(kind, RuntimeError)(
            f"process {rank} of {self.size} has failed, and training ends in all of them: {kind}: "
            f"{message}"
        )


def _on_cpu(value):
    """Nested containers with all tensors on the CPU."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    if isinstance(value, dict):
        return type(value)((key, _on_cpu(entry)) for key, entry in value.items())
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)(_on_cpu(entry) for entry in value)
    return value
