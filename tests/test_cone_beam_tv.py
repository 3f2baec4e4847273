"""The script that reconstructs a volume goes on where it was interrupted, with the same bits."""

import runpy
from pathlib import Path

import numpy as np
import odl
import pytest

from odl_learned import data, functionals, operators, solvers, variational

SCRIPT = Path(__file__).resolve().parents[1] / "examples" / "cone_beam_tv.py"


def test_interrupted_rounds_go_on_with_the_same_bits(tmp_path, rng, monkeypatch):
    reconstruct = runpy.run_path(str(SCRIPT))["reconstruct"]
    X = odl.uniform_discr([-1] * 3, [1] * 3, (8, 8, 8), dtype="float32")
    A = operators.cone_beam_ray_transform(X, 5, 4.0, 2.0)
    y = data.add_white_noise(A(A.domain.element(rng.random(A.domain.shape))), 0.02, rng)
    problem = variational.tv_problem(A, functionals.l2_fidelity(y), 1e-3,
                                     functionals.BoxConstraint(X, 0, 1))  # fmt: skip
    path = tmp_path / "state.npz"
    monkeypatch.setitem(reconstruct.__globals__, "ACCURACY", 1e-9)
    straight = solvers.primal_dual(problem, None, 1e-9, 60, solvers.FixedSteps(3.0))
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
