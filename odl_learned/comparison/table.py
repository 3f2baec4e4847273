"""The answer of a comparison: scores of all images, as means, spreads and paired differences."""

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from odl_learned.comparison.cells import key_of, plain
from odl_learned.comparison.records import Record
from odl_learned.validation import shown


class Difference(NamedTuple):
    """Of the scores of two methods on the same images.

    Parameters
    ----------
    mean : float
    half_width : float
        Of the interval of 95 % confidence for the mean, 1.96 standard errors; infinite for a
        single image.
    wins : float
        Share of the images on which the first one has the larger score.
    """

    mean: float
    half_width: float
    wins: float


class Table:
    """Scores of methods in cells, in the order in which they were asked for.

    Parameters
    ----------
    records : sequence of Record
        Made by `compare`.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = tuple(records)
        self._known = {record.key: record for record in records}

    def __len__(self) -> int:
        return len(self.records)

    def scores(self, cell: object, method: str) -> np.ndarray:
        """Return the scores of a method in a cell, ``(N,)``.

        Raises
        ------
        KeyError
            If there are none.
        """
        key = key_of(plain(cell), method)
        if key not in self._known:
            raise KeyError(f"there are no scores of {shown(method)} at {shown(cell)}; expected one "
                           f"of {len(self)} that compare was asked for.")
        return self._known[key].scores

    def mean(self, cell: object, method: str) -> float:
        """Return the mean score of a method in a cell."""
        return float(self.scores(cell, method).mean())

    def difference(self, cell: object, first: str, second: str) -> Difference:
        """Return by how much the first method has larger scores than the second, in a cell.

        Raises
        ------
        KeyError
            If there are no scores of one of them.
        ValueError
            If they have scores of different numbers of images.
        """
        a, b = self.scores(cell, first), self.scores(cell, second)
        if len(a) != len(b):
            raise ValueError(f"{shown(first)} has scores of {len(a)} images and {shown(second)} of "
                             f"{len(b)}, expected as many; let both return all images of the cell.")
        d = a - b
        width = 1.96 * d.std(ddof=1) / len(d) ** 0.5 if len(d) > 1 else np.inf
        return Difference(float(d.mean()), float(width), float((d > 0).mean()))

    def rows(self) -> list[dict]:
        """Return a row for each method in each cell.

        With what the cell says, ``method``, ``mean`` and ``spread``, the standard deviation over
        the images (None for one), their number ``count``, and ``seconds``, CPU time for an image.
        """
        return [{**r.cell, "method": r.method, "mean": float(r.scores.mean()),
                 "spread": float(r.scores.std(ddof=1)) if len(r.scores) > 1 else None,
                 "count": len(r.scores), "seconds": r.seconds / len(r.scores)}
                for r in self.records]  # fmt: skip

    def to_csv(self, path: str | os.PathLike) -> None:
        """Write the rows as a table of comma-separated values, with a line of names."""
        rows = self.rows()
        names = list(dict.fromkeys(name for row in rows for name in row))
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)

    def to_json(self, path: str | os.PathLike) -> None:
        """Write the rows as a list of objects."""
        Path(path).write_text(json.dumps(self.rows(), indent=1) + "\n", encoding="utf-8")

    def __repr__(self):
        return f"<Table of {len(self)} methods in cells>"
