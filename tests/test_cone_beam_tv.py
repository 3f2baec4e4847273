"""The script that reconstructs a volume goes on where it was interrupted, with the same bits."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from odl_learned import data, solvers

SCRIPT = Path(__file__).resolve().parents[1] / "examples" / "cone_beam_tv.py"


def test_interrupted_rounds_go_on_with_the_same_bits(tmp_path, rng, monkeypatch):
    script = runpy.run_path(str(SCRIPT))
    A = script["scanner"](8, 5)
    y = data.add_white_noise(A(A.domain.element(rng.random(A.domain.shape))), 0.02, rng)
    problem = script["problem_of"](A, y, 1e-3, 6.0)
    reconstruct, path = script["reconstruct"], tmp_path / "state.npz"
    monkeypatch.setitem(reconstruct.__globals__, "ACCURACY", 1e-9)
    straight = solvers.primal_dual(problem, None, 1e-9, 60, solvers.FixedSteps())
    assert straight.niter == 60
    whole, gap = reconstruct(problem, tmp_path / "other.npz", 60)
    reconstruct(problem, path, 20)
    run, calls = solvers.primal_dual, []

    def stopped(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return run(*arguments)

    monkeypatch.setattr(solvers, "primal_dual", stopped)
    with pytest.raises(KeyboardInterrupt):
        reconstruct(problem, path, 60)
    resumed, last = reconstruct(problem, path, 60)
    assert len(calls) == 3 and not path.with_suffix(".part").exists()
    for x in (whole, resumed):
        assert np.array_equal(x.data, straight.x.data)
    assert gap == last == straight.gap / problem.value(straight.x)
