"""What an objective is evaluated on: a batch of data, and its random numbers."""

from collections.abc import Callable
from typing import final

import numpy as np
import torch

from odl_learned.learning.group import Group


def generator_of(*numbers: int) -> torch.Generator:
    """Return a generator on the CPU that depends on these nonnegative numbers alone.

    So training that continues draws the numbers that it would have drawn, and an optimizer that
    evaluates one step several times minimizes one function.
    """
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))


@final
class Batch:
    """What an objective is evaluated on.

    Parameters
    ----------
    data : torch.Tensor, shape (batch, *Y.shape)
    truth : torch.Tensor, shape (batch, *X.shape), or None
    generator : torch.Generator
        Of all random numbers of the objective, on the CPU, so that they are the same on every
        device. Where several processes share a batch, it is in the same state in all of them: what
        is drawn once for all samples is the same, and numbers of their own come from `normal` and
        `uniform`, which draw those of all samples and return the share of this process.
    when : str
        When this is, for messages, such as "in step 3".
    group : group.Group, optional
        The processes that share the batch, of which this one has the data.
    total : int, optional
        Number of samples in the batch of all processes; the default is that of the data.
    """

    def __init__(
        self,
        data: torch.Tensor,
        truth: torch.Tensor | None,
        generator: torch.Generator,
        when: str,
        group: Group | None = None,
        total: int | None = None,
    ) -> None:
        self.data, self.truth, self.generator, self.when = data, truth, generator, when
        self.group = Group() if group is None else group
        self.total = len(data) if total is None else total
        self._model: torch.nn.Module | None = None
        self._images: torch.Tensor | None = None

    def images(self, model: torch.nn.Module) -> torch.Tensor:
        """Return ``model(data)``; terms of a sum share it."""
        if self._images is None or self._model is not model:
            self._model, self._images = model, self.predict(model, self.data)
        return self._images

    def predict(
        self, model: Callable[[torch.Tensor], torch.Tensor], data: torch.Tensor
    ) -> torch.Tensor:
        """Return ``model(data)`` for other data, a tensor.

        Raises
        ------
        RuntimeError
            If the model fails.
        TypeError
            If it returns no tensor.
        """
        try:
            x = model(data)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, TypeError, ValueError) as error:
            raise RuntimeError(
                f"the model failed {self.when} on data of shape {tuple(data.shape)} and dtype "
                f"{data.dtype}, the batch axis first: {error}"
            ) from error
        if not isinstance(x, torch.Tensor):
            shape = "" if self.truth is None else (
                f" of the shape of the truth, {tuple(self.truth.shape)}")
            raise TypeError(
                f"the model returned a {type(x).__name__}, expected one tensor{shape}; return the "
                "image alone."
            )
        return x

    def normal(self, x: torch.Tensor) -> torch.Tensor:
        """Return standard normal numbers of the shape of x, in the real and the imaginary part.

        The first axis is that of the samples.
        """
        return self._drawn(torch.randn, x)

    def uniform(self, x: torch.Tensor) -> torch.Tensor:
        """Return numbers in [0, 1) of the shape of x, in the real and the imaginary part.

        The first axis is that of the samples.
        """
        return self._drawn(torch.rand, x)

    def _drawn(self, draw, x):
        total = x.shape[0] if self.group.size == 1 else self.total
        if self.group.size > 1 and len(x) != len(self.data):
            raise ValueError(
                f"random numbers of shape {tuple(x.shape)} were asked for {self.when}, expected "
                f"{len(self.data)} along the first axis, the samples of this process; numbers that "
                "belong to no sample are torch.randn(..., generator=batch.generator)."
            )
        shape = (total, *x.shape[1:], 2) if x.is_complex() else (total, *x.shape[1:])
        numbers = draw(shape, generator=self.generator, dtype=x.real.dtype)
        numbers = torch.view_as_complex(numbers) if x.is_complex() else numbers
        return self.group.part(numbers).to(x.device)

    def descend(self, value: torch.Tensor, optimizer: torch.optim.Optimizer) -> float:
        """Do a step of an optimizer that belongs to the objective; return the value.

        Parameters
        ----------
        value : torch.Tensor, shape ()
            A mean over the samples of this batch, made with the parameters of the optimizer.
        optimizer : torch.optim.Optimizer
            Its gradients are those of the mean over the batch of all processes.

        Raises
        ------
        FloatingPointError
            If the value is not finite.
        """
        def finite():
            if not torch.isfinite(value):
                raise FloatingPointError(
                    f"what the objective descends is {float(value.detach())} {self.when}, expected "
                    "a finite number; lower the learning rate of its optimizer."
                )
            return value

        _, mean = self.group.mean(finite, self.total)
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        gradients = torch.autograd.grad(
            self.group.factor(self.total) * value, parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        self.group.average_([g for g in gradients if g is not None])
        optimizer.step()
        optimizer.zero_grad()
        return mean
