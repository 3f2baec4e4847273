"""`compare`: every method in every cell, in this process or through an executor, resumably."""

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, as_completed
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from tqdm import tqdm

from odl_learned.comparison.cells import Simulated, agree, fingerprint, key_of, named, plain
from odl_learned.comparison.records import Record, Records
from odl_learned.comparison.table import Table
from odl_learned.validation import require_method, shown

Cell = TypeVar("Cell")


class CellError(RuntimeError):
    """Some cells failed; all others were computed, and kept if there is a folder.

    Attributes
    ----------
    failures : dict
        From ``(cell, method)`` in words to the exception.

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> from odl_learned import comparison
    >>> y = np.ones((1, 2))
    >>> def simulate(cell):
    ...     return comparison.Simulated(odl.IdentityOperator(odl.rn(2)), y, 0.1, y)
    ...
    >>> def broken(A, data, noise_level):
    ...     raise ArithmeticError("no minimizer")
    ...
    >>> cells = comparison.grid({"noise": (0.1,)})
    >>> try:
    ...     comparison.compare(simulate, {"broken": broken}, cells, np.subtract, progress=False)
    ... except comparison.CellError as error:
    ...     print(list(error.failures.values()))
    ...
    [ArithmeticError('no minimizer')]
    """

    def __init__(self, message: str, failures: dict[str, BaseException]) -> None:
        super().__init__(message)
        self.failures = failures


def compare(
    simulate: Callable[[Cell], Simulated],
    methods: Mapping[str, Callable],
    cells: Sequence[Cell],
    score: Callable[[Any, Any], np.ndarray],
    *,
    folder: str | os.PathLike | None = None,
    executor: Executor | None = None,
    progress: bool = True,
) -> Table:
    """Run every method in every cell, and return the scores of all images.

    A method in a cell is a task. What is in the folder is not computed again; take another folder
    where a method, the simulation or the score has changed. On an interruption, tasks that are
    waiting are withdrawn and those that are done are kept: the same call goes on. If a task fails,
    all others are run before the error is raised.

    Parameters
    ----------
    simulate : callable
        ``cell -> Simulated``, always the same for a cell: it is called for every method, so that
        all of them, on whatever machine, reconstruct from the same data. This is verified.
    methods : mapping
        From names to functions ``(forward_op, data, noise_level) -> images``.
    cells : sequence of mappings or named tuples
        Such as those of `grid`; at least one, and no two alike.
    score : callable
        ``(images, truth) -> (N,)``, a number for each image, not NaN; larger is better in
        `Table.difference`. Known to the folder by its name.
    folder : path, optional
        Where results are kept, one file for each task, written by this process alone. Without one
        they are in memory.
    executor : concurrent.futures.Executor, optional
        Not shut down. ``ProcessPoolExecutor(4)`` here, ``distributed.Client.get_executor()`` or
        ``mpi4py.futures.MPIPoolExecutor()`` on a cluster; simulation, methods and score are
        pickled, so that they have to be functions or objects of importable modules. Limit the
        threads of its processes by ``initializer=odl_learned.threads.limit_threads``. Without one,
        one task after the other in this process.
    progress : bool, optional
        Whether a bar counts the tasks.

    Returns
    -------
    table : Table
        In the order of cells, and of methods in each.

    Raises
    ------
    CellError
        If tasks failed: it names them, and is raised from the first one.
    TypeError, ValueError
        If an argument is not what it should be, or the folder has other files.

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> from odl_learned import comparison
    >>> A, truth = odl.IdentityOperator(odl.rn(2)), np.zeros((3, 2))
    >>> def simulate(cell):
    ...     noise = cell["noise"] * np.random.default_rng(0).standard_normal(truth.shape)
    ...     return comparison.Simulated(A, truth + noise, cell["noise"], truth)
    ...
    >>> methods = {"data": lambda A, y, noise_level: y, "half": lambda A, y, noise_level: y / 2}
    >>> cells = comparison.grid({"noise": (0.1,)})
    >>> table = comparison.compare(
    ...     simulate, methods, cells, lambda x, truth: -np.linalg.norm(x - truth, axis=1),
    ...     progress=False)
    >>> isinstance(table, comparison.Table)
    True
    >>> difference = table.difference(cells[0], "half", "data")
    >>> isinstance(difference, comparison.Difference), float(difference.wins)
    (True, 1.0)
    """
    for name, value, arguments in (("simulate", simulate, 1), ("score", score, 2)):
        require_method(name, value, f"a function of {arguments}", arguments)
    tasks = _tasks(methods, cells)
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise TypeError(f"executor is {shown(executor)}, expected one of concurrent.futures, such "
                        "as ProcessPoolExecutor(4), or None.")
    if folder is not None and not isinstance(folder, str | os.PathLike):
        raise TypeError(f"folder is {shown(folder)}, expected a path, or None.")
    records = Records(None if folder is None else Path(folder), _name_of(score))
    left = [task for task in tasks if key_of(plain(task[0]), task[1]) not in records.known]
    failures = {}
    bar = tqdm(total=len(tasks), initial=len(tasks) - len(left), unit="task", disable=not progress)

    def note(cell, method, result):
        words = named(plain(cell), method)
        if isinstance(result, BaseException):
            failures[words] = result
        else:
            records.keep(Record(plain(cell), method, *result))
        bar.set_postfix_str(words)
        bar.update()

    with bar:
        calls = [(task, (simulate, methods[task[1]], score, task[0])) for task in left]
        if executor is None:
            for (k, method), arguments in calls:
                note(k, method, _outcome(scored, *arguments))
        else:
            _through(executor, calls, note)
    if failures:
        raise _error(failures, len(left), folder) from next(iter(failures.values()))
    found = [records.known[key_of(plain(cell), method)] for cell, method in tasks]
    _require_same_data(found)
    return Table(found)


def _through(executor, calls, note):
    """Note all outcomes as they come; of an interruption, those that are there."""
    futures, noted = {}, set()
    try:
        for task, arguments in calls:
            try:
                futures[executor.submit(scored, *arguments)] = task
            except BrokenExecutor as error:
                note(*task, error)
        for future in as_completed(futures):
            note(*futures[future], _outcome(future.result))
            noted.add(future)
    except KeyboardInterrupt:
        for future in futures:
            future.cancel()
        for future in futures.keys() - noted:
            if future.done() and not future.cancelled() and future.exception() is None:
                note(*futures[future], future.result())
        raise


def _outcome(function, *arguments):
    try:
        return function(*arguments)
    except Exception as error:
        return error


def scored(simulate: Callable, method: Callable, score: Callable, cell: Any) -> tuple:
    """Return scores, CPU seconds and fingerprint of a method in a cell; runs in any process."""
    problem = simulate(cell)
    if not isinstance(problem, Simulated):
        raise TypeError(f"simulate(cell) is {shown(problem)}, expected comparison.Simulated("
                        "forward_op, data, noise_level, truth).")
    begin = time.process_time()
    images = method(problem.forward_op, problem.data, problem.noise_level)
    seconds = time.process_time() - begin
    scores = np.asarray(score(images, problem.truth), np.float64)
    if scores.ndim != 1 or not scores.size or np.isnan(scores).any():
        raise ValueError(f"score(images, truth) is {shown(scores)} of shape {scores.shape}, "
                         "expected a number for each image, (N,), none of them NaN.")
    return scores, seconds, fingerprint(problem)


def _tasks(methods, cells):
    if not isinstance(methods, Mapping) or not methods:
        raise TypeError(f"methods are {shown(methods)}, expected a mapping from names to functions "
                        "(forward_op, data, noise_level) -> images.")
    for name, method in methods.items():
        if not isinstance(name, str):
            raise TypeError(f"a method is called {shown(name)}, expected a word.")
        require_method(f"the method {name!r}", method, "a function of an operator, data and noise "
                       "level", 3)  # fmt: skip
    if isinstance(cells, Mapping | str) or not isinstance(cells, Sequence) or not len(cells):
        raise ValueError(f"cells are {shown(cells)}, expected a list of at least one, such as "
                         "grid({'noise': (0.01, 0.05)}).")
    keys = [key_of(plain(cell), "") for cell in cells]
    for i, key in enumerate(keys):
        if key in keys[:i]:
            raise ValueError(f"the cells {keys.index(key)} and {i} are both {shown(cells[i])}, "
                             "expected each of them once.")
    return [(cell, method) for cell in cells for method in methods]


def _name_of(score):
    # Without the module: a script is called __main__ when it is run, and otherwise by its name.
    return (score if hasattr(score, "__qualname__") else type(score)).__qualname__


def _error(failures, count, folder):
    (words, first), *_ = failures.items()
    kept = "kept in memory no longer" if folder is None else f"kept in {os.fspath(folder)}"
    cure = "Functions for other processes must be found by import, at the top of a module. " if (
        re.search("pickle|get local object", str(first), re.IGNORECASE)) else ""  # fmt: skip
    if isinstance(first, BrokenExecutor):
        cure = "A process died, such as for want of memory: take fewer, or smaller cells. "
    return CellError(
        f"{len(failures)} of {count} tasks failed, the first one {words}: {type(first).__name__}: "
        f"{first}. {cure}The others are {kept}; mend it and call again to go on.", failures)


def _require_same_data(records):
    first = {}
    for record in records:
        other = first.setdefault(key_of(record.cell, ""), record)
        if not agree(other.fingerprint, record.fingerprint):
            raise ValueError(
                f"{named(*other[:2])} and {record.method!r} had other data, expected the same: "
                "simulate(cell) must be a function of the cell alone, such as with a seed; or the "
                "folder has results of another simulation, and you need a new one.")
