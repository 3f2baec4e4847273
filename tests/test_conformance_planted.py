"""The conformance suite finds planted defects, by the right check, and passes sound objects."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import odl
import planted_defects
import pytest
import sound_objects
import torch

from odl_learned import conformance

DEFECTS = [(table, name) for table in ("OPERATORS", "FUNCTIONALS", "MODULES")
           for name in getattr(planted_defects, table)]
SOUND = [(table, name) for table in ("OPERATORS", "FUNCTIONALS", "MODULES")
         for name in getattr(sound_objects, table)]


def failures(table, obj):
    """The checks that fail, with their messages."""
    torch.manual_seed(0)
    obj, example = obj if table == "MODULES" else (obj, None)
    found = {}
    for check in conformance.checks_for(obj):
        argument = np.random.default_rng(0) if example is None else example.clone()
        try:
            check(obj, argument)
        except conformance.ConformanceError as error:
            found[check.__name__] = str(error)
    return found


@pytest.mark.parametrize(("table", "name"), DEFECTS)
def test_a_defect_is_found_by_its_check(table, name):
    check, make = getattr(planted_defects, table)[name]
    found = failures(table, make())
    assert check in found, f"only {found}"
    assert len(found[check]) > 20


@pytest.mark.parametrize(("table", "name"), SOUND)
def test_a_sound_object_passes(table, name):
    assert not failures(table, getattr(sound_objects, table)[name]())


def test_defects_are_found_under_optimization():
    """``python -O`` removes assert statements, and no check."""
    here = Path(__file__).resolve().parent
    done = subprocess.run(
        [sys.executable, "-O", "-c", "import test_conformance_planted as t; t.report()"],
        capture_output=True, text=True, cwd=here,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(here.parent), str(here)])})
    assert done.returncode == 0, done.stderr
    optimized, found = json.loads(done.stdout.splitlines()[-1])
    assert optimized
    assert [tuple(pair) for pair in found] == DEFECTS


def report():
    """Print whether asserts are off, and the defects that are found by the check that is meant."""
    found = []
    for table, name in DEFECTS:
        check, make = getattr(planted_defects, table)[name]
        if check in failures(table, make()):
            found.append((table, name))
    print(json.dumps([not __debug__, found]))


@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1e200])
def test_operators_of_garbage_fail_as_any_other(garbage):
    """Memory that was never written can hold anything; the answer is a ConformanceError."""
    space = odl.rn(6)
    op = planted_defects.Linear(space, space, lambda x: np.full(6, garbage) * (x != 0),
                                lambda y: np.full(6, garbage))
    with np.errstate(all="ignore"):
        assert "check_linear" in failures("OPERATORS", op)
