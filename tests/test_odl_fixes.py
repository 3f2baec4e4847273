"""Every repair of ODL has a reproduction that passes with the repair and fails without it."""

import os
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import odl
import pytest
import torch
from odl.core.set.space import LinearSpace
from scipy.optimize import minimize

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


def image_space(impl="numpy", dtype="float64"):
    return odl.uniform_discr([0, 0], [1, 2], (5, 4), impl=impl, dtype=dtype)


def draw(space):
    """A reproducible element: standard normal, with unequal components in a product space."""
    return odl.phantom.white_noise(space, seed=1)


def close(actual, expected, rtol=1e-10):
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=1e-12)


def soft(x, t):
    return np.sign(x) * np.maximum(np.abs(x) - t, 0)


def numpy_scalars():
    for impl in ("numpy", "pytorch"):
        x = odl.rn(3, dtype="float32", impl=impl).element([1, 2, 3])
        for scalar in (np.float64(2), np.float32(2), np.int64(2)):
            for y in (scalar * x, x * scalar, x.space.lincomb(scalar, x)):
                assert y in x.space
                close(y.asarray(), [2, 4, 6])
    x = odl.rn(2).element([3.0, 0.1])
    S.accelerated_proximal_gradient(z := x.space.zero(), F.L1Norm(x.space),
                                    0.5 * F.L2NormSquared(x.space).translated(x), 1.0, niter=3)
    close(z.asarray(), [2, 0])


def divergence_out():
    for method in ("forward", "backward", "central"):
        for impl in ("numpy", "pytorch"):
            gradient = odl.Gradient(image_space(impl), method=method, pad_mode="symmetric")
            p, out = draw(gradient.range), gradient.domain.element()
            assert gradient.adjoint(p, out=out) is out
            close(out.asarray(), gradient.adjoint(p).asarray())
            x = draw(gradient.domain)
            close(gradient(x).inner(p), x.inner(out))


def array_lookup():
    printed = []
    original = torch.Tensor.__repr__
    torch.Tensor.__repr__ = lambda self, **kwargs: printed.append(1) or original(self, **kwargs)
    try:
        x = odl.rn(3, impl="pytorch").element([1, 2, 3])
        assert x.inner(x) == 14
    finally:
        torch.Tensor.__repr__ = original
    assert not printed


def aliasing():
    for impl in ("numpy", "pytorch"):
        space = odl.rn(4, impl=impl)
        x = space.element([3, 0.5, -0.5, -2])
        F.L1Norm(space).proximal(1.0)(x, out=x)
        close(x.asarray(), [2, 0, 0, -1])
        y = (space**2).element([[3, 0, 1, 0], [4, 0, 0, 0.5]])
        F.GroupL1Norm(space**2).proximal(1.0)(y, out=y)
        close(y[0].asarray(), [2.4, 0, 0, 0])
        close(y[1].asarray(), [3.2, 0, 0, 0])
    # min |x|_1 + 1/2 |x - b|^2, which ODL's linearized ADMM answers with zero.
    space = odl.rn(4)
    b, x = space.element([3, 0.5, -0.5, -2]), space.zero()
    S.admm_linearized(x, F.L1Norm(space), 0.5 * F.L2NormSquared(space).translated(b),
                      odl.IdentityOperator(space), tau=0.9, sigma=1.0, niter=200)
    close(x.asarray(), [2, 0, 0, -1], rtol=1e-6)


def separable_sum_linear():
    space = odl.rn(2)
    f = F.SeparableSum(F.L1Norm(space), 0.5 * F.L2NormSquared(space))
    x = (space**2).element([[1, -2], [3, 4]])
    assert not f.is_linear
    close((f * 2)(x), 2 * 3 + 0.5 * 4 * 25)
    g = 3.0 * f
    moreau = g.proximal(0.7)(x) + 0.7 * g.convex_conj.proximal(1 / 0.7)(x / 0.7)
    close((moreau - x).norm(), 0)
    assert F.SeparableSum(F.ZeroFunctional(space), 2).is_linear


def inner_once():
    class Counting(type(odl.rn(3))):
        calls = 0

        def _inner(self, x1, x2):
            Counting.calls += 1
            return super()._inner(x1, x2)

    x = Counting((3,), dtype="float64", device="cpu").one()
    assert x.inner(x) == 3.0
    assert Counting.calls == 1
    with pytest.raises(Exception, match="not an element"):
        x.space.inner(x, odl.rn(4).one())


def complex_values():
    for impl in ("numpy", "pytorch"):
        space = odl.cn(2, impl=impl)
        x = space.element([3 + 4j, 1j])
        squared = F.L2NormSquared(space)
        shifted = F.FunctionalQuadraticPerturb(squared, linear_term=space.element([1j, 1]))
        for f, value in (
            (squared, 26.0),
            (2.0 * squared.translated(space.element([3, 0])), 34.0),
            (squared + F.GroupL1Norm(space**1) @ odl.BroadcastOperator(odl.IdentityOperator(space)),
             32.0),
            (shifted, 26 + 4.0),
        ):
            assert type(f(x)) is float
            close(f(x), value)
    assert type(F.IdentityFunctional(odl.ComplexNumbers())(2j)) is complex


def lp_norm():
    for impl in ("numpy", "pytorch"):
        weighted = odl.uniform_discr(0, 1, 2, dtype="complex128", impl=impl)
        for space, weight in ((odl.cn(2, impl=impl), 1.0), (weighted, 0.5)):
            x = space.element([3 + 4j, 0])
            for p, value in ((0, 1), (1, 5), (2, 25), (3, 125)):
                close(F.LpNorm(space, p)(x), (weight * value) ** (1 / max(p, 1)))
        # The weights of a product space must survive the absolute value.
        product = odl.ProductSpace(weighted, 2, weighting=[1, 3])
        close(F.L1Norm(product)(product.element([x, 2 * x])), 0.5 * (5 + 3 * 10))


def grad_lipschitz():
    space = odl.rn(2)
    f, u = 0.5 * F.L2NormSquared(space), odl.rn(2).element([30.0, 40.0])
    perturbed = F.FunctionalQuadraticPerturb(f, quadratic_coeff=3.0, linear_term=u)
    bregman = F.BregmanDistance(f, u, f.gradient(u))
    for g, lipschitz in ((f * 3.0, 9.0), (perturbed, 7.0), (bregman, 1.0)):
        assert g.grad_lipschitz == lipschitz
        x, y = draw(space), u
        close((g.gradient(x) - g.gradient(y)).norm(), lipschitz * (x - y).norm())


def l1_projections():
    for impl in ("numpy", "pytorch"):
        space = odl.uniform_discr(0, 1, 4, impl=impl)
        values = np.array([3, -1, 0.5, -0.25])
        x = space.element(values)
        # In this space |x|_1 is the sum over 4: the threshold 8 leaves |4 x| = 4 / 4, and the
        # threshold 1 leaves |x| = 2 / 4.
        close(F.IndicatorLpUnitBall(space, 1).proximal(1.0)(4 * x).asarray(), soft(4 * values, 8))
        close(F.LpNorm(space, np.inf).proximal(0.5)(x).asarray(), np.clip(values, -1, 1))
        simplex = F.IndicatorSimplex(space, diameter=2)
        close(simplex.proximal(1.0)(x).asarray(), [2, 0, 0, 0])
        small = 0.1 * x
        close(simplex.proximal(1.0)(small).asarray(), simplex_by_search(np.asarray(small.data), 2))
    # Brute force in an array-weighted space, where sorting without weights goes wrong.
    weights = np.array([1.0, 2.0, 5.0])
    space = odl.rn(3, weighting=weights)
    x, radius = np.array([2.0, -1.5, 0.7]), 0.8
    z = (space.element(x) - F.LpNorm(space, np.inf).proximal(radius)(space.element(x))).data
    split = minimize(
        lambda v: 0.5 * weights @ (v[:3] - v[3:] - x) ** 2,
        np.zeros(6), bounds=[(0, None)] * 6, method="SLSQP", options={"ftol": 1e-15},
        constraints={"type": "ineq", "fun": lambda v: radius - weights @ (v[:3] + v[3:])},
    ).x
    close(z, split[:3] - split[3:], rtol=1e-5)


def simplex_by_search(x, diameter):
    """(x - t)_+ with sum equal to the diameter, by bisection in t."""
    low, high = x.min() - diameter, x.max()
    for _ in range(100):
        t = (low + high) / 2
        low, high = (t, high) if np.maximum(x - t, 0).sum() > diameter else (low, t)
    return np.maximum(x - low, 0)


def sum_constraint():
    for impl in ("numpy", "pytorch"):
        space = odl.rn(3, impl=impl)
        f = F.IndicatorSumConstraint(space, sum_value=7)
        y = f.proximal(1.0)(space.element([1, 2, 1]))
        close(y.asarray(), [2, 3, 2])
        assert f(y) == 0


def huber_proximal():
    for impl in ("numpy", "pytorch"):
        for space in (image_space(impl), image_space(impl) ** 2):
            x, sigma = draw(space), 0.3
            f = F.Huber(space, 0.5)
            y = f.proximal(sigma)(x)
            # Optimality: (x - y) / sigma is the gradient of f at y.
            close(((x - y) / sigma - f.gradient(y)).norm(), 0)
            moreau = y + sigma * f.convex_conj.proximal(1 / sigma)(x / sigma)
            close((moreau - x).norm(), 0, rtol=0)


def norm_cache():
    operator = odl.Gradient(image_space(), pad_mode="symmetric")
    assert operator.norm(estimate=True) == operator.norm(estimate=True)
    assert type(operator.norm(estimate=True)) is float
    rough = operator.norm(estimate=True, maxiter=2)
    assert rough < operator.norm(estimate=True)
    with pytest.raises(NotImplementedError):
        odl.Gradient(image_space()).norm()


def lincomb_one_term():
    for impl in ("numpy", "pytorch"):
        space = odl.rn(2, impl=impl)
        for x in (space.element([np.inf, 1]), (space**2).element([[np.inf, 1], [2, 3]])):
            out = x.space.element()
            assert x.space.lincomb(2, x, out=out) is out
            for y in (out, x.space.lincomb(2, x)):
                close((y[0] if y in space**2 else y).asarray(), [np.inf, 2])
        with pytest.raises(Exception, match="not an element"):
            space.lincomb(2, odl.rn(3).one())


def real_part_adjoint():
    space = image_space(dtype="complex128")
    x, y = draw(space), draw(space.real_space)
    for part in (odl.RealPart(space), odl.ImagPart(space)):
        assert part.adjoint.domain == space.real_space and part.adjoint.range == space
        close(part(x).inner(y), x.inner(part.adjoint(y)).real)
        close((part.adjoint.adjoint(x) - part(x)).norm(), 0)
    real = draw(space.real_space)
    close((odl.RealPart(real.space).adjoint(real) - real).norm(), 0)
    assert odl.ImagPart(real.space).adjoint(real).norm() == 0


REPRODUCTIONS = {
    f.__name__: f
    for f in (
        numpy_scalars, divergence_out, array_lookup, aliasing, separable_sum_linear, inner_once,
        complex_values, lp_norm, grad_lipschitz, l1_projections, sum_constraint, huber_proximal,
        norm_cache, lincomb_one_term, real_part_adjoint,
    )
}


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
