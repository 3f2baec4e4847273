"""Comparisons: the same numbers by any executor, nothing computed twice, nothing lost."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import comparison_problems as problems
import numpy as np
import pytest
import torch

from odl_learned import comparison
from odl_learned.comparison import compare, grid

ROOT = Path(__file__).resolve().parent.parent
CELLS = grid({"gain": (0.5, 2), "noise": (0.1, 0.4, 0.9)})
METHODS = {"divided": problems.divided, "shrunken": problems.shrunken}


def counted(method, calls):
    def function(A, data, noise_level):
        calls.append(noise_level)
        return method(A, data, noise_level)

    return function


def run(folder=None, methods=METHODS, cells=CELLS, executor=None, simulate=problems.simulate):
    return compare(simulate, methods, cells, problems.minus_error, folder=folder,
                   executor=executor, progress=False)  # fmt: skip


def same(first, second):
    return all(np.array_equal(a.scores, b.scores) and a[:2] == b[:2]
               for a, b in zip(first.records, second.records, strict=True))  # fmt: skip


def test_scores_are_those_of_a_loop_in_the_order_of_the_cells():
    table = run()
    assert [(r.cell, r.method) for r in table.records] == [
        (cell, method) for cell in CELLS for method in METHODS]
    for cell in CELLS:
        A, y, level, truth = problems.simulate(cell)
        for name, method in METHODS.items():
            expected = problems.minus_error(method(A, y, level), truth)
            assert np.array_equal(table.scores(cell, name), expected)
            assert table.mean(cell, name) == expected.mean()


@pytest.mark.parametrize("executor", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_executors_give_the_same_numbers(executor, tmp_path):
    with executor(2) as pool:
        assert same(run(tmp_path, executor=pool), run())


def test_what_is_in_the_folder_is_not_computed_again(tmp_path):
    calls = []
    methods = {"divided": counted(problems.divided, calls)}
    first = run(tmp_path, methods, CELLS[:2])
    assert len(calls) == 2
    second = run(tmp_path, methods | METHODS, CELLS)
    assert len(calls) == 2 and same(second, run())
    assert same(first, run(tmp_path, {"divided": problems.fragile}, CELLS[:2]))
    assert len(list(tmp_path.iterdir())) == len(CELLS) * 2


def test_another_score_is_another_result(tmp_path):
    run(tmp_path, cells=CELLS[:1])
    table = compare(problems.simulate, METHODS, CELLS[:1], plus_error, folder=tmp_path,
                    progress=False)
    assert np.array_equal(table.records[0].scores, -run(tmp_path, cells=CELLS[:1])
                          .records[0].scores)  # fmt: skip


def plus_error(images, truth):
    return -problems.minus_error(images, truth)


def interrupted_after(count):
    """An executor of this process whose user interrupts, and which then has one more result."""
    class Interrupting(Executor):
        def __init__(self):
            self.calls = 0

        def submit(self, function, /, *arguments):
            future = Future()
            self.calls += 1
            if self.calls > count + 1:
                future.set_exception(KeyboardInterrupt())
            else:
                future.set_result(function(*arguments))
            return future

    return Interrupting()


def test_an_interruption_loses_nothing_that_was_done(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, executor=interrupted_after(4))
    assert len(list(tmp_path.iterdir())) == 5
    calls = []
    table = run(tmp_path, {name: counted(m, calls) for name, m in METHODS.items()})
    assert len(calls) == len(CELLS) * 2 - 5 and same(table, run())


def test_an_interruption_in_this_process_loses_nothing_that_was_done(tmp_path):
    calls = []

    def interrupted(A, data, noise_level):
        calls.append(noise_level)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return problems.divided(A, data, noise_level)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, {"divided": interrupted})
    assert len(list(tmp_path.iterdir())) == 3
    assert same(run(tmp_path, {"divided": interrupted}), run(methods={"divided": problems.divided}))
    assert len(calls) == 4 + 3


def test_processes_that_are_interrupted_lose_nothing_that_was_done(tmp_path):
    """By the signal of Ctrl-C, to all processes of a group, as a terminal sends it."""
    process = subprocess.Popen([sys.executable, problems.__file__, tmp_path / "cells"],
                               start_new_session=True, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "PYTHONPATH": str(ROOT)})
    while len(list((tmp_path / "cells").glob("*.json"))) < 2:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode != 0 and "KeyboardInterrupt" in errors
    calls = []
    cells = grid({"gain": (2,), "noise": (0.1, 0.2, 0.9)})
    table = run(tmp_path / "cells", {"divided": counted(problems.divided, calls)}, cells)
    assert calls == [0.9] and same(table, run(methods={"divided": problems.divided}, cells=cells))


@pytest.mark.parametrize("executor", [None, ThreadPoolExecutor, ProcessPoolExecutor])
def test_failures_are_named_after_all_others_are_done(executor, tmp_path):
    methods = METHODS | {"fragile": problems.fragile}
    with pytest.raises(comparison.CellError, match=(
            r"2 of 18 tasks failed, the first one 'fragile' at gain=\S+ noise=0.9: "
            r"ZeroDivisionError: too much noise")) as caught:  # fmt: skip
        if executor is None:
            run(tmp_path, methods)
        else:
            with executor(2) as pool:
                run(tmp_path, methods, executor=pool)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert set(caught.value.failures) == {f"'fragile' at gain={gain}, noise=0.9"
                                          for gain in (0.5, 2)}  # fmt: skip
    assert len(list(tmp_path.iterdir())) == 16
    assert len(run(tmp_path, methods | {"fragile": problems.divided})) == 18


def test_a_process_that_dies_is_an_error_that_says_so():
    with ProcessPoolExecutor(1) as pool, pytest.raises(
            comparison.CellError, match="A process died, such as for want of memory"):  # fmt: skip
        run(methods={"dying": problems.dying}, cells=CELLS[2:3], executor=pool)


def test_what_processes_cannot_find_is_an_error_that_says_so():
    with ProcessPoolExecutor(1) as pool, pytest.raises(
            comparison.CellError, match="must be found by import"):  # fmt: skip
        run(methods={"local": lambda A, y, s: y}, cells=CELLS[:1], executor=pool)


def test_methods_that_had_other_data_are_not_compared(tmp_path):
    with pytest.raises(ValueError, match="'divided' at gain=0.5, noise=0.1 and 'shrunken' had "
                                         "other data"):
        run(simulate=problems.never_alike)
    run(tmp_path, {"divided": problems.divided})
    rounded = lambda cell: problems.simulate(cell)._replace(  # noqa: E731
        data=torch.from_numpy(problems.simulate(cell).data.astype(np.float32)))
    table = run(tmp_path, METHODS | {"shrunken": lambda A, y, s: problems.shrunken(
        A, y.double().numpy(), s)}, simulate=rounded)  # fmt: skip
    assert len(table) == 12


class Place(NamedTuple):
    gain: float
    noise: float


def test_cells_may_be_named_tuples():
    table = run(cells=[Place(0.5, 0.1)], simulate=lambda cell: problems.simulate(cell._asdict()))
    assert np.array_equal(table.scores(Place(0.5, 0.1), "divided"), run().scores(
        {"noise": 0.1, "gain": 0.5}, "divided"))  # fmt: skip


def test_tables_have_means_spreads_and_paired_differences(tmp_path):
    table = run()
    cell = CELLS[4]
    a, b = (table.scores(cell, name) for name in METHODS)
    row = next(row for row in table.rows() if (row["gain"], row["noise"]) == (2, 0.4))
    assert (row["mean"], row["spread"], row["count"]) == (a.mean(), a.std(ddof=1), 5)
    difference = table.difference(cell, "shrunken", "divided")
    assert difference.mean == (b - a).mean() and difference.wins == (b > a).mean()
    assert difference.half_width == pytest.approx(1.96 * (b - a).std(ddof=1) / 5**0.5)
    table.to_csv(tmp_path / "t.csv")
    table.to_json(tmp_path / "t.json")
    read = list(csv.DictReader((tmp_path / "t.csv").open()))
    assert json.loads((tmp_path / "t.json").read_text()) == table.rows()
    assert [float(r["mean"]) for r in read] == [r["mean"] for r in table.rows()]
    with pytest.raises(KeyError, match="there are no scores of 'tv' at"):
        table.scores(cell, "tv")


def test_scores_of_one_image_are_not_paired_with_those_of_many():
    some = {"all": problems.divided, "one": lambda A, y, s: problems.divided(A, y, s)[:1]}
    table = compare(problems.simulate, some, CELLS[:1],
                    lambda images, truth: images.reshape(len(images), -1).mean(1), progress=False)
    with pytest.raises(ValueError, match="'all' has scores of 5 images and 'one' of 1"):
        table.difference(CELLS[0], "all", "one")


def test_files_of_others_are_named(tmp_path):
    run(tmp_path, cells=CELLS[:1])
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ValueError, match=r"other.json has \[\], expected a record"):
        run(tmp_path)
    (tmp_path / "other.json").write_text('{"half of')
    with pytest.raises(ValueError, match="other.json is no record of a comparison"):
        run(tmp_path)


MISTAKES = {
    "no cells": (dict(cells=[]), ValueError, "cells are .*expected a list of at least one"),
    "cells twice": (dict(cells=[CELLS[0], CELLS[0]]), ValueError, "the cells 0 and 1 are both"),
    "a cell of arrays": (dict(cells=[{"mask": np.ones(3)}]), TypeError, "made by simulate"),
    "no method": (dict(methods={}), TypeError, "methods are {}, expected a mapping"),
    "a method of two": (dict(methods={"one": lambda A, y: y}), TypeError,
                        "the method 'one' .*expected a function of 3"),
    "a number of processes": (dict(executor=2), TypeError, r"executor is 2.*ProcessPoolExecutor"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named(name):
    changed, kind, message = MISTAKES[name]
    with pytest.raises(kind, match=message):
        run(**changed)


def test_scores_are_numbers_of_images():
    for score in (problems.one_number, lambda images, truth: np.full(5, np.nan)):
        with pytest.raises(comparison.CellError, match="expected a number for each image"):
            compare(problems.simulate, METHODS, CELLS[:1], score, progress=False)
    with pytest.raises(comparison.CellError, match="expected comparison.Simulated"):
        run(simulate=lambda cell: cell)
    holes = lambda cell: problems.simulate(cell)._replace(truth=np.full((5, 4), np.nan))  # noqa: E731
    with pytest.raises(comparison.CellError, match="the truth of simulate.cell. contains 20 NaN"):
        compare(holes, METHODS, CELLS[:1], lambda images, truth: np.ones(5), progress=False)
    with pytest.raises(ValueError, match="expected a list of at least one"):
        grid({"noise": ()})
