"""What training minimizes: objectives are values that see the model and a batch."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import final

import torch

from odl_learned.learning.batch import Batch
from odl_learned.validation import is_finite_number, require_method, shown

#: A loss ``(x, truth) -> real tensor of shape ()``.
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


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

    Examples
    --------
    >>> import torch
    >>> from odl_learned import learning
    >>> y = torch.zeros(2, 3)
    >>> batch = learning.Batch(y, y + 2, torch.Generator().manual_seed(0), "in step 1")
    >>> objective = learning.Supervised(learning.mean_squared_error)
    >>> print(objective(torch.nn.Identity(), batch))
    tensor(4.)
    """

    def __init__(self, loss: Loss) -> None:
        require_method("loss", loss, "mean_squared_error", 2)
        self.loss = loss

    def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        truth = require_truth(batch)
        x = batch.images(model)
        if x.shape != truth.shape:
            raise ValueError(
                f"the model maps data of shape {tuple(batch.data.shape)} to {tuple(x.shape)}, "
                f"expected {tuple(truth.shape)}, the shape of the truth; make pairs and "
                "model with the same spaces."
            )
        return self.loss(x, truth)


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

    def __init__(self, terms: Sequence[tuple[float, Objective | Loss]]) -> None:
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
        return functools.reduce(
            torch.add, (weight * term(model, batch) for weight, term in self.terms))

    def prepare(self, model: torch.nn.Module, batch: Batch) -> None:
        for _, term in self.terms:
            term.prepare(model, batch)

    def state_dict(self) -> dict:
        states = {str(k): term.state_dict() for k, (_, term) in enumerate(self.terms)}
        return states if any(states.values()) else {}

    def load_state_dict(self, state: dict) -> None:
        for k, (_, term) in enumerate(self.terms):
            term.load_state_dict(state.get(str(k), {}))


def as_objective(loss: Objective | Loss) -> Objective:
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


def require_truth(batch: Batch) -> torch.Tensor:
    """Return the truth of a batch; raise ValueError if there is none."""
    if batch.truth is None:
        raise ValueError(
            f"what is drawn {batch.when} is not a pair but data alone, and the loss compares with "
            "a truth; expected pairs (data, truth), two arrays, tensors or elements. Two arrays of "
            "all data and all truths become pairs by data.FixedPairs(data, truth); objectives "
            "without truth are in learning.objectives."
        )
    return batch.truth
