"""What training minimizes: objectives are values that see the model and a batch."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import final

import numpy as np
import torch

from odl_learned.learning.group import Group
from odl_learned.validation import is_finite_number, require_method, shown


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
        self._model = self._images = None

    def images(self, model: torch.nn.Module) -> torch.Tensor:
        """Return ``model(data)``; terms of a sum share it."""
        if self._model is not model:
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


class Objective(ABC):
    """A function of a reconstruction map and a batch that training minimizes.

    ``objective(model, batch)`` is a real tensor of shape (), a mean over the samples of the batch.
    The model may be evaluated on anything; all randomness is drawn by the batch.

    An objective may learn itself, such as one with a critic whose optimum it approximates. Then it
    takes steps of its own in `prepare`, and everything that changes there is in its `state_dict`,
    so that training continues with it.
    """

    @abstractmethod
    def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Return the value; nothing changes by that."""

    def prepare(self, model: torch.nn.Module, batch: Batch) -> None:
        """Do what comes before a step of the model, once for a step, such as steps of a critic.

        The batch has random numbers of its own. Gradients of the model that are left by it do not
        count. The default does nothing.
        """

    def state_dict(self) -> dict:
        """Return what changes in `prepare`: dicts and lists of tensors and numbers; {} if nothing.
        """
        return {}

    def load_state_dict(self, state: dict) -> None:
        """Go on from what `state_dict` has returned."""
        if state:
            raise ValueError(f"{type(self).__name__} has no state, and {list(state)} was given.")


@final
class Supervised(Objective):
    """The loss against the truth, ``loss(Phi(y), x)``.

    Parameters
    ----------
    loss : callable
        ``(x, truth) -> real tensor of shape ()``.

    Raises
    ------
    TypeError
        If it is no function of two arguments.

    Calling it raises a ValueError where data have no truth or the model's images another shape.
    """

    def __init__(self, loss: Callable) -> None:
        require_method("loss", loss, "mean_squared_error", 2)
        self.loss = loss

    def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        require_truth(batch)
        x = batch.images(model)
        if x.shape != batch.truth.shape:
            raise ValueError(
                f"the model maps data of shape {tuple(batch.data.shape)} to {tuple(x.shape)}, "
                f"expected {tuple(batch.truth.shape)}, the shape of the truth; make pairs and "
                "model with the same spaces."
            )
        return self.loss(x, batch.truth)


@final
class WeightedSum(Objective):
    r"""A sum of objectives, ``\sum_k w_k O_k``, which share ``Phi(y)``.

    Parameters
    ----------
    terms : sequence of (float, Objective or callable)
        Weights and objectives; a loss ``(x, truth) -> number`` is `Supervised`.

    Raises
    ------
    ValueError
        If there are no terms or a weight is not finite.
    TypeError
        If they are no pairs, or a term is no objective.
    """

    def __init__(self, terms: Sequence[tuple[float, Objective | Callable]]) -> None:
        if not isinstance(terms, list | tuple) or not all(
                isinstance(term, list | tuple) and len(term) == 2 for term in terms):  # fmt: skip
            raise TypeError(f"terms is {shown(terms)}; expected a list of pairs (weight, "
                            "objective), such as [(1.0, mean_squared_error)].")
        if not len(terms):
            raise ValueError("terms is empty; expected at least one pair (weight, objective).")
        for k, (weight, _) in enumerate(terms):
            if not is_finite_number(weight):
                raise ValueError(f"weight {k} is {weight!r}, expected a finite number.")
        self.terms = [(float(weight), as_objective(term)) for weight, term in terms]

    def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        return sum(weight * term(model, batch) for weight, term in self.terms)

    def prepare(self, model: torch.nn.Module, batch: Batch) -> None:
        for _, term in self.terms:
            term.prepare(model, batch)

    def state_dict(self) -> dict:
        states = {str(k): term.state_dict() for k, (_, term) in enumerate(self.terms)}
        return states if any(states.values()) else {}

    def load_state_dict(self, state: dict) -> None:
        for k, (_, term) in enumerate(self.terms):
            term.load_state_dict(state.get(str(k), {}))


def as_objective(loss: Objective | Callable) -> Objective:
    """Return an objective as it is, and a loss ``(x, truth) -> number`` as `Supervised`.

    Raises
    ------
    TypeError
        If it is neither, or the class of an objective.
    """
    if isinstance(loss, type) or not callable(loss):
        raise TypeError(
            f"an objective is {loss!r}, expected an Objective, made with its arguments, or a "
            "function (x, truth) -> number."
        )
    return loss if isinstance(loss, Objective) else Supervised(loss)


def require_truth(batch: Batch) -> None:
    """Raise ValueError if the data of a batch have no truth."""
    if batch.truth is None:
        raise ValueError(
            f"what is drawn {batch.when} is not a pair but data alone, and the loss compares with "
            "a truth; expected pairs (data, truth), two arrays, tensors or elements. Two arrays of "
            "all data and all truths become pairs by data.FixedPairs(data, truth); objectives "
            "without truth are in learning.objectives."
        )
