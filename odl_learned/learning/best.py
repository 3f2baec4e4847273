"""The weights that were best on the validation pairs."""

import copy
import math
from collections.abc import Callable
from typing import NamedTuple, final

import torch

from odl_learned.validation import shown


@final
class Best:
    """Which value of the validation is the best, and whether the model ends with its weights.

    Parameters
    ----------
    choose : callable
        ``min`` for losses, ``max`` for measures of quality such as ``metrics.psnr``.
    restored : bool, optional
        Whether the model has the best weights after training; else the last ones. In both cases
        the history has the best, and training continues from the last.

    Raises
    ------
    TypeError
        If it is neither of the two functions.
    """

    def __init__(self, choose: Callable[..., float], restored: bool = False) -> None:
        if not any(choose is function for function in (min, max)):
            raise TypeError(f"choose is {shown(choose)}, expected the function min or max.")
        if not isinstance(restored, bool):
            raise TypeError(f"restored is {shown(restored)}, expected True or False.")
        self.choose, self.restored = choose, restored

    def __repr__(self) -> str:
        return f"{self.choose.__name__} of the validation"


class Kept(NamedTuple):
    """Weights, after which step, and their value on the validation pairs.

    Parameters
    ----------
    step : int
    value : float
    weights : dict
        ``model.state_dict()``, copied.
    """

    step: int
    value: float
    weights: dict


class BestSoFar:
    """Keeps a copy of the best weights.

    Parameters
    ----------
    best : Best or None
        None keeps nothing.
    """

    def __init__(self, best):
        self.best, self.kept = best, None

    def validated(self, model: torch.nn.Module, step: int, value: float) -> None:
        if self.best is None or math.isnan(value):
            return
        if self.kept is None or self.best.choose(self.kept.value, value) != self.kept.value:
            self.kept = Kept(step, value, copy.deepcopy(model.state_dict()))

    def restore(self, model: torch.nn.Module) -> None:
        if self.best is not None and self.best.restored and self.kept is not None:
            model.load_state_dict(self.kept.weights)

    def state_dict(self) -> dict:
        if self.kept is None:
            return {}
        return {"choose": self.best.choose.__name__, **self.kept._asdict()}

    def load_state_dict(self, state: dict) -> None:
        if not state or self.best is None:
            self.kept = None
            return
        if state["choose"] != self.best.choose.__name__:
            raise ValueError(f"the best was the {state['choose']}, and {self.best} is asked for")
        self.kept = Kept(state["step"], state["value"], state["weights"])
