"""Results of a comparison, one file for each method in each cell."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from odl_learned.comparison.cells import key_of


class Record(NamedTuple):
    """What a method reached in a cell.

    Parameters
    ----------
    cell : dict
    method : str
    scores : np.ndarray, shape (N,)
        Of the images, in float64.
    seconds : float
        CPU time of the method, of its process.
    fingerprint : tuple of float
        Of the data, see `cells.fingerprint`.
    """

    cell: dict
    method: str
    scores: np.ndarray
    seconds: float
    fingerprint: tuple

    @property
    def key(self) -> str:
        """What cell and method are known by."""
        return key_of(self.cell, self.method)


class Records:
    """The records in a folder, or, without one, in memory.

    A file appears complete or not at all, under a name of its own, so that several processes may
    write to one folder.

    Parameters
    ----------
    folder : Path or None
        Made if it is missing.
    score : str
        Name of the score; records of other ones are left alone.
    """

    def __init__(self, folder: Path | None, score: str) -> None:
        self.folder, self.score, self.known = folder, score, {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            for path in sorted(folder.glob("*.json")):
                record = _read(path, score)
                if record is not None:
                    self.known[record.key] = record

    def keep(self, record: Record) -> None:
        """Write a record, which is then known."""
        self.known[record.key] = record
        if self.folder is None:
            return
        path = self.folder / _file_name(record, self.score)
        content = {"score": self.score, **record._asdict(), "scores": record.scores.tolist()}
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with open(partial, "w", encoding="utf-8") as file:
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def _file_name(record, score):
    words = ",".join(f"{name}={value}" for name, value in record.cell.items())
    readable = re.sub(r"[^\w=,.+-]", "_", f"{words},{record.method}")[:80]
    digest = hashlib.sha256(f"{record.key} {score}".encode()).hexdigest()[:12]
    return f"{readable}-{digest}.json"


def _read(path, score):
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} is no record of a comparison ({error}); expected JSON that "
                         "compare has written. Remove it, or take another folder.") from error
    keys = {"score", *Record._fields}
    if not isinstance(content, Mapping) or set(content) != keys:
        raise ValueError(f"{path} has {sorted(content)[:9]}, expected a record with {sorted(keys)},"
                         " as compare writes them. Remove it, or take another folder.")
    if content.pop("score") != score:
        return None
    content["scores"] = np.asarray(content["scores"], np.float64)
    return Record(**content | {"fingerprint": tuple(content["fingerprint"])})
