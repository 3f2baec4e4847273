"""Every repair of ODL has a reproduction that passes with the repair and fails without it."""

import os
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import odl
import pytest
from odl.core.set.space import LinearSpace
from reproductions import REPRODUCTIONS
from reproductions.elements import close, draw, image_space

from odl_learned import odl_fixes

F = odl.functionals
S = odl.solvers


@contextmanager
def only(*repairs):
    """ODL with these repairs and no others."""
    odl_fixes.remove()
    odl_fixes.apply(repairs)
    try:
        yield
    finally:
        odl_fixes.remove()
        odl_fixes.apply()


def test_every_repair_has_a_reproduction():
    assert sorted(repair.name for repair in odl_fixes.REPAIRS) == sorted(REPRODUCTIONS)
    assert all(repair.symptom.endswith(".") for repair in odl_fixes.REPAIRS)


@pytest.mark.parametrize("name", REPRODUCTIONS)
def test_repair_cures_its_symptom_and_nothing_else_does(name):
    REPRODUCTIONS[name]()
    with only(*(repair for repair in odl_fixes.REPAIRS if repair.name != name)):
        with pytest.raises((AssertionError, AttributeError, RuntimeError, TypeError, ValueError)):
            REPRODUCTIONS[name]()
    REPRODUCTIONS[name]()


def test_repairs_reach_objects_built_before_them():
    with only():
        gradient = odl.Gradient(odl.uniform_discr(0, 1, 3, impl="pytorch"))
        adjoint, p = gradient.adjoint, gradient.range.one()
        norm = F.L1Norm(odl.cn(2))
        prox, x = F.L1Norm(odl.rn(2)).proximal(1.0), odl.rn(2).element([3, 0])
    close(adjoint(p, out=gradient.domain.element()).asarray(), adjoint(p).asarray())
    assert norm([3 + 4j, 0]) == 5.0
    prox(x, out=x)
    close(x.asarray(), [2, 0])


def test_apply_twice_and_remove_restore_odl():
    watched = (odl.Operator, F.Functional, LinearSpace, F.SeparableSum, F.LpNorm, odl.Divergence)
    with only():
        plain = [dict(vars(cls)) for cls in watched]
        odl_fixes.apply()
        odl_fixes.apply()
        odl_fixes.remove()
        cache = {"_call_in_place", "_call_out_of_place", "_call_has_out", "_call_out_optional"}
        for cls, before in zip(watched, plain):
            after = vars(cls)
            names = (set(before) | set(after)) - cache
            assert all(after.get(name) is before.get(name) for name in names)


def test_another_version_of_odl_is_left_alone(monkeypatch):
    with only():
        monkeypatch.setattr(odl, "__version__", "1.0.7")
        with pytest.warns(UserWarning, match="1.0.7.*stay off"):
            odl_fixes.apply()
        with pytest.raises(RuntimeError):
            np.float64(2) * odl.rn(3).one()
        monkeypatch.undo()


def test_switch_turns_all_repairs_off():
    code = (
        "import numpy as np, odl_learned, odl\n"
        "x = odl.rn(2).element([3, 0])\n"
        "odl.functionals.L1Norm(x.space).proximal(1.0)(x, out=x)\n"
        "print(x.norm(), len(odl_learned.odl_fixes.applied))"
    )
    for switch, expected in (("0", "0.0 0"), ("1", f"2.0 {len(odl_fixes.REPAIRS)}")):
        result = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, odl_fixes.SWITCH: switch},
            capture_output=True, text=True, check=True,
        )
        assert result.stdout.strip() == expected


def test_solvers_run_with_their_own_step_sizes():
    space = odl.uniform_discr([0, 0], [1, 1], (6, 6))
    b = draw(space)
    gradient = odl.Gradient(space, method="forward", pad_mode="symmetric")
    fidelity = 0.5 * F.L2NormSquared(space).translated(b)
    x, alpha = space.zero(), 0.02
    S.pdhg(x, fidelity, alpha * F.GroupL1Norm(gradient.range), gradient, niter=1500)
    y, sigma = space.zero(), S.douglas_rachford_pd_stepsize([gradient], tau=1.0)[1]
    S.douglas_rachford_pd(y, fidelity, [alpha * F.GroupL1Norm(gradient.range)], [gradient],
                          niter=1500, tau=1.0, sigma=sigma)
    assert (x - y).norm() < 1e-4 * x.norm()
    assert (x - b).norm() > 0.1 * b.norm()


def test_pdhg_total_variation_agrees_on_numpy_and_pytorch():
    results = []
    for impl in ("numpy", "pytorch"):
        space = image_space(impl)
        gradient = odl.Gradient(space, method="forward", pad_mode="symmetric")
        b = space.element(np.arange(20.0).reshape(5, 4) % 7)
        x = space.zero()
        S.pdhg(x, 0.5 * F.L2NormSquared(space).translated(b),
               0.1 * F.GroupL1Norm(gradient.range), gradient, niter=50, tau=0.1, sigma=0.1)
        results.append(np.asarray(x.data))
    close(results[0], results[1])
    assert np.ptp(results[0]) > 0
