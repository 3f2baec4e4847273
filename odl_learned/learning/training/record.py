"""What training records on its way."""

from dataclasses import dataclass

import numpy as np

from odl_learned.learning.best import Kept


@dataclass(frozen=True)
class History:
    """What training recorded.

    Parameters
    ----------
    step, loss : numpy.ndarray, shape (steps,)
        Number of the step, from 1, and the loss of its batch before the parameters changed.
    validation_step, validation : numpy.ndarray, shape (validations,)
        Steps after which the model was validated, and the mean of the metric then.
    best : best.Kept or None
        The weights of the best validation, where they were asked for.
    """

    step: np.ndarray
    loss: np.ndarray
    validation_step: np.ndarray
    validation: np.ndarray
    best: Kept | None = None


class Record:
    """Losses and validations so far."""

    def __init__(self):
        self.loss, self.validation_step, self.validation = [], [], []

    @property
    def steps(self):
        return len(self.loss)

    def updated(self, value):
        self.loss.append(value)

    def validation_is_due(self, every):
        done = self.validation_step and self.validation_step[-1] == self.steps
        return self.steps > 0 and self.steps % every == 0 and not done

    def validated(self, value):
        self.validation_step.append(self.steps)
        self.validation.append(value)

    def show(self, bar):
        values = {"loss": f"{self.loss[-1]:.3e}"}
        if self.validation:
            values["validation"] = f"{self.validation[-1]:.4g}"
        bar.set_postfix(values, refresh=False)
        bar.update()

    def state_dict(self):
        return {name: list(values) for name, values in vars(self).items()}

    def load_state_dict(self, state):
        for name in vars(self):
            setattr(self, name, list(state[name]))

    def history(self, best=None):
        return History(
            step=np.arange(1, self.steps + 1),
            loss=np.array(self.loss, dtype=float),
            validation_step=np.array(self.validation_step, dtype=int),
            validation=np.array(self.validation, dtype=float),
            best=best,
        )
