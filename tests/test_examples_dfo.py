"""The claims of the figures of derivative-free bilevel learning would notice if they were false."""

import copy
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from odl_learned.learning.bilevel.derivative_free import ImageResiduals, dynamic_accuracy
from odl_learned.learning.bilevel.lower import (
    Accelerated,
    FixedIterations,
    GradientDescent,
    LowerLevel,
    Newton,
)

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "figures" / "dfo2021"


@pytest.fixture(autouse=True)
def modules_beside_the_scripts(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)  # as python does with the folder of a script


def load(script):
    return runpy.run_path(str(FOLDER / script))


def reconstructions():
    truth = np.repeat([0.0, 1.0, 0.0], 4)
    return {
        "counts": np.array([1, 5, 9]), "exact": np.array([3.0, 1.2, 1.01]),
        "believed": np.array([3.1, 1.19, 1.01]), "bound": np.array([0.2, 0.02, 0.001]),
        "minimum": 1.0, "truth": truth, "data": truth + 0.1,
        "reconstructions": np.stack([truth + 0.5, truth + 0.2, truth + 0.1]),
    }  # fmt: skip


def races():
    def run(work, bound, start=3.0):
        return {"work": np.array([work / 2, work]), "exact": np.array([start, 1.01]),
                "bound": bound}  # fmt: skip

    three = {"dynamic": run(100, 1e-4), "few": run(200, 0.1), "many": run(2000, 1e-12),
             "1e-8, warm starts": run(300, 1e-8), "plain, dynamic": run(600, 1e-4),
             "plain, many": run(10000, 1e-12), "Newton, dynamic": run(10, 1e-4),
             "Newton, 1e-8": run(15, 1e-8)}  # fmt: skip
    one = {"dynamic": run(100, 1e-4), "many": run(500, 1e-12),
           "plain, dynamic": run(2000, 1e-4), "plain, many": run(1800, 1e-3)}  # fmt: skip
    return {"three": {"minimum": 1.0, "runs": three}, "one": {"minimum": 1.005, "runs": one}}


def robustness():
    def run(params, exact, believed, bound):
        return {"params": np.full(3, params), "exact": np.full(3, exact),
                "believed": np.full(3, believed), "bound": np.full(3, bound)}  # fmt: skip

    return {"minimum": 1.0, "dynamic": run(-0.3, 1.001, 1.002, 0.01),
            "cold": run(-0.7, 1.5, 1.7, 0.5), "warm": run(-0.31, 1.02, 1.02, 0.1)}  # fmt: skip


def keeps(script, results, spoil):
    claim = load(script)["claim"]
    claim(results)
    spoiled = copy.deepcopy(results)
    spoil(spoiled)
    with pytest.raises(AssertionError):
        claim(spoiled)


@pytest.mark.parametrize("spoil", [
    lambda r: r["exact"].__setitem__(1, 3.05),
    lambda r: r["believed"].__setitem__(0, 3.3),
    lambda r: r.update(minimum=0.9),
    lambda r: r["reconstructions"].__setitem__(-1, r["reconstructions"][0]),
])  # fmt: skip
def test_the_claim_of_reconstructions_can_fail(spoil):
    keeps("reconstructions_by_evaluations.py", reconstructions(), spoil)


@pytest.mark.parametrize("spoil", [
    lambda r: r["three"]["runs"]["dynamic"]["work"].__imul__(5),
    lambda r: r["three"]["runs"]["dynamic"]["exact"].__imul__(1.1),
    lambda r: r["three"]["runs"]["many"]["exact"].__imul__(1.1),
    lambda r: r["three"]["runs"]["1e-8, warm starts"]["work"].__imul__(0.5),
    lambda r: r["three"]["runs"]["plain, dynamic"]["work"].__imul__(0.4),
    lambda r: r["three"]["runs"]["plain, many"]["work"].__imul__(0.2),
    lambda r: r["three"]["runs"]["plain, many"]["exact"].__imul__(1.1),
    lambda r: r["three"]["runs"]["Newton, 1e-8"]["work"].__imul__(2),
    lambda r: r["three"]["runs"]["Newton, dynamic"]["exact"].__imul__(1.1),
    lambda r: r["three"]["runs"]["few"]["exact"].__imul__(1.1),
    lambda r: r["three"]["runs"]["few"].update(bound=1e-3),
    lambda r: r["one"]["runs"]["dynamic"]["work"].__imul__(3),
    lambda r: r["one"]["runs"]["many"]["exact"].__imul__(1.02),
    lambda r: r["one"]["runs"]["plain, dynamic"]["work"].__imul__(0.5),
    lambda r: r["one"]["runs"]["plain, dynamic"]["exact"].__imul__(1.02),
    lambda r: r["one"]["runs"]["plain, many"]["exact"].__imul__(1.02),
])  # fmt: skip
def test_the_claim_of_dynamic_accuracy_can_fail(spoil):
    keeps("dynamic_against_fixed.py", races(), spoil)


@pytest.mark.parametrize("spoil", [
    lambda r: r["dynamic"]["exact"].__setitem__(2, 1.02),
    lambda r: r["dynamic"]["believed"].__setitem__(0, 1.1),
    lambda r: r["dynamic"]["bound"].__setitem__(1, 0.2),
    lambda r: r["cold"]["params"].__setitem__(1, -0.5),
    lambda r: r["cold"]["exact"].__setitem__(0, 1.05),
    lambda r: r["cold"]["bound"].__setitem__(2, 0.05),
    lambda r: r["warm"]["exact"].__setitem__(1, 1.3),
])  # fmt: skip
def test_the_claim_of_robustness_can_fail(spoil):
    keeps("robustness_to_initialization.py", robustness(), spoil)


def test_the_bound_drawn_is_that_of_the_last_time_the_iterate_was_computed():
    history = {"params": np.array([[0.0], [1.0], [0.0], [2.0]]),
               "value": np.array([5.0, 6.0, 4.9, 7.0]), "best": np.array([[0.0]] * 4),
               "best_value": np.array([5.0, 5.0, 4.9, 4.9]),
               "value_bound": np.array([0.5, 0.4, 0.1, 0.3])}  # fmt: skip
    known = load("reconstructions_by_evaluations.py")["_bound_known"]
    assert [known(history, row) for row in range(4)] == [0.5, 0.5, 0.1, 0.1]


def test_the_signals_are_plateaus_with_noise():
    signals = load("signal_denoising.py")["signals"]
    truth, y = signals(40, 256, 0.1, np.random.default_rng(0))
    assert truth.shape == y.shape == (40, 256) and truth.dtype == torch.float64
    assert set(truth.unique().tolist()) == {0.0, 1.0}
    jumps = (truth.diff(dim=1) != 0).sum(1)
    assert jumps.max() <= 2 and 64 <= float(truth.sum(1).mean()) <= 128
    assert float((y - truth).std()) == pytest.approx(0.1, rel=0.05)
    scripts = [load(path.name) for path in FOLDER.glob("*.py") if path.stem != "signal_denoising"]
    assert [script["NOISE_LEVEL"] for script in scripts] == [0.1] * 3


def test_the_problem_is_the_published_one():
    """Against value and penalty written out."""
    module = load("dynamic_against_fixed.py")
    assert load("reconstructions_by_evaluations.py")["BETA"] == module["BETA"]
    truth, y = module["signals"](2, 16, 0.1, np.random.default_rng(1))
    problem = module["three_parameters"](truth, y, module["BETA"])
    params = torch.tensor([-0.5, -2.0, -3.0], dtype=torch.float64)
    alpha, nu, xi = (10.0**a for a in params.tolist())
    assert float(problem.penalty(params)) == pytest.approx(
        1e-6 * 2 / 20 * ((1 + 4 * alpha / nu + xi) / (1 + xi)) ** 2)
    x = torch.as_tensor(np.random.default_rng(2).normal(size=(2, 16)))
    steps = np.diff(x.numpy(), axis=1, prepend=0.0)  # Dirichlet on the left
    energy = (0.5 * ((x - y) ** 2).sum(1).numpy() + alpha * np.sqrt(steps**2 + nu**2).sum(1)
              + 0.5 * xi * (x**2).sum(1).numpy())  # fmt: skip
    np.testing.assert_allclose(problem.energy.value(x, params, y).numpy(), energy, rtol=1e-12)
    one = module["one_parameter"](truth, y, nu)
    values = one.energy.value(x, params[:1], y).numpy()
    energy += 0.5 * (nu - xi) * (x**2).sum(1).numpy()  # xi = nu
    np.testing.assert_allclose(values, energy, rtol=1e-12)
    for made in (problem, one):  # lower levels without warm starts begin at zero, as in the paper
        assert not made.x0.any()


def test_one_trial_with_a_large_alpha_is_what_plain_gradient_descent_pays_for():
    """The reason behind the figure: most of the work of dynamic accuracy is done at one point."""
    module = load("dynamic_against_fixed.py")
    truth, y = module["signals"](3, 256, 0.1, np.random.default_rng(0))
    problem = module["one_parameter"](truth, y, 2e-2)
    start, share = torch.zeros(1, dtype=torch.float64), {}
    for solver in (GradientDescent(), Accelerated()):
        run = dynamic_accuracy(problem, start, 6, solver, ImageResiduals())
        work = np.diff(run.history["gradients"], prepend=0)
        at = run.history["params"][:, 0] > 0.7
        share[type(solver)] = work[at].sum() / work.sum()
    assert share[GradientDescent] > 0.7 > share[Accelerated], share


def test_few_iterations_from_zero_are_wrong_where_warm_starts_are_not():
    """The reason behind the figure, on one signal: the bias depends on where they begin."""
    module = load("robustness_to_initialization.py")
    truth, y = module["signals"](1, 64, 0.1, np.random.default_rng(0))
    problem = module["one_parameter"](truth, y, module["NU"])
    params = torch.tensor([-0.5], dtype=torch.float64)
    exact = LowerLevel(problem, Newton()).solve(params, 1e-9).x
    errors = {}
    for memory in (0, 8):
        few = LowerLevel(problem, FixedIterations(40), memory)
        for _ in range(25):
            x = few.solve(params, 1e-9).x
        errors[memory] = float((x - exact).norm())
    assert errors[0] > 100 * errors[8]
