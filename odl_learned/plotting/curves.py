"""Curves of learning: losses by step, and what validation found."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Protocol

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

#: Points of a smoothed curve of losses, at most.
POINTS = 400


class Recorded(Protocol):
    """What is drawn of a training, such as a `learning.History`."""

    @property
    def step(self) -> np.ndarray:
        """Numbers of the steps."""

    @property
    def loss(self) -> np.ndarray:
        """Losses of the steps."""

    @property
    def validation_step(self) -> np.ndarray:
        """Steps after which the model was validated."""

    @property
    def validation(self) -> np.ndarray:
        """What was found then."""


def learning_curves(
    histories: Mapping[str, Recorded], path: str | PathLike, title: str = ""
) -> Figure:
    """Draw losses and validations of one training or of several and save the figure.

    Above, the loss of every step, faint, and its mean over blocks of steps, on a logarithmic axis
    if all of them are positive; below, if there are any, the validations, with a circle around the
    best one where it was kept.

    Parameters
    ----------
    histories : dict, str -> learning.History
        Trainings by name.
    path : str or Path
        File to write, for example .png or .pdf.
    title : str
        Above the figure.

    Returns
    -------
    figure : matplotlib.figure.Figure

    Raises
    ------
    TypeError
        If histories is no dict of histories, the path no path or the title no string.
    ValueError
        If there are no histories, or one of no steps.
    FileNotFoundError
        If the folder of ``path`` does not exist.
    """
    for name, value, kind in (("histories", histories, dict), ("path", path, (str, PathLike)),
                              ("title", title, str)):  # fmt: skip
        if not isinstance(value, kind):
            raise TypeError(f"{name} is of type {type(value).__name__}, expected histories by name "
                            "in a dict, the path of a file, and a string as title.")
    if not histories:
        raise ValueError("histories is empty, expected at least one training by name.")
    for name, history in histories.items():
        if not all(hasattr(history, part) for part in ("step", "loss", "validation")):
            raise TypeError(f"history {name!r} is of type {type(history).__name__}, expected what "
                            "learning.train returns.")
        if not len(history.loss):
            raise ValueError(f"history {name!r} has no steps, expected at least one; train first.")
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent} is no folder, expected one for {path}; create it.")
    figure = _draw(histories, title)
    figure.savefig(path, dpi=150)
    return figure


def _draw(histories, title):
    validated = any(len(history.validation) for history in histories.values())
    figure = Figure(figsize=(7, 5.4 if validated else 3.2), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(1 + validated, 1, sharex=True, squeeze=False)[:, 0]
    rows[0].set_ylabel("loss")
    if all((np.asarray(history.loss) > 0).all() for history in histories.values()):
        rows[0].set_yscale("log")
    for k, (name, history) in enumerate(histories.items()):
        color = f"C{k}"
        rows[0].plot(history.step, history.loss, color=color, alpha=0.25, linewidth=0.6)
        rows[0].plot(*_smoothed(history), color=color, label=name)
        if len(history.validation):
            rows[1].plot(history.validation_step, history.validation, "o-", color=color,
                         markersize=3, label=name)  # fmt: skip
        best = getattr(history, "best", None)
        if best is not None:
            rows[1].plot([best.step], [best.value], "o", color=color, markersize=10,
                         fillstyle="none")  # fmt: skip
    if validated:
        rows[1].set_ylabel("validation")
    rows[-1].set_xlabel("step")
    rows[0].legend(frameon=False)
    for row in rows:
        row.grid(alpha=0.3)
    figure.suptitle(title)
    return figure


def _smoothed(history):
    """Steps and losses, each the mean of a block of steps."""
    blocks = min(POINTS, max(1, len(history.loss) // 5))
    return [np.array([part.mean() for part in np.array_split(np.asarray(x, float), blocks)])
            for x in (history.step, history.loss)]  # fmt: skip
