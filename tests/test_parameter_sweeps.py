"""Batches with one regularization parameter per sample against the samples alone and elements."""

import numpy as np
import odl
import pytest
import torch
from rounding import assert_rounded
from test_batched import close, join

from odl_learned import functionals, solvers, variational
from odl_learned.bridge import as_batch
from odl_learned.bridge.factors import PerSample
from odl_learned.functionals import l2_fidelity
from odl_learned.operators import SampledFourier, gradient, mask_operator, random_element

X = odl.uniform_discr([0, 0], [1, 2], (5, 4))
XC = odl.uniform_discr([0, 0], [1, 2], (5, 4), dtype="complex128")
F = odl.functionals
ALPHAS = (0.03, 0.3, 2.0)


def families(rng):
    """Lists of functionals that differ in factors, and some in data, too."""
    datas = [random_element(X, rng) for _ in ALPHAS]
    return [
        [a * F.L1Norm(X) for a in ALPHAS],
        [a * (F.L1Norm(X) * s) for a, s in zip(ALPHAS, (2.0, -3.0, 2.0))],
        [a * l2_fidelity(d) for a, d in zip(ALPHAS, datas)],
        [2.0 * (l2_fidelity(d) * a) for a, d in zip(ALPHAS, datas)],
        [a * F.GroupL1Norm(X**2) for a in ALPHAS],
        [F.SeparableSum(a * F.L2NormSquared(X), 0.5 * F.L1Norm(X)) for a in ALPHAS],
        [a * F.L1Norm(XC) for a in ALPHAS],
        [a * functionals.H1Seminorm(X) for a in ALPHAS],
    ]


@pytest.mark.parametrize("case", range(8))
def test_functionals(case, rng):
    family = families(rng)[case]
    domain, steps = family[0].domain, np.array([0.2, 1.0, 3.0])
    points = [random_element(domain, rng) for _ in family]
    x, twin = join(domain, points), as_batch(family)
    np.testing.assert_allclose(twin(x), [f(p) for f, p in zip(family, points)], rtol=1e-12)
    np.testing.assert_allclose(twin.precise(x), [f(p) for f, p in zip(family, points)], rtol=1e-12)
    np.testing.assert_allclose(twin.grad_lipschitz, [f.grad_lipschitz for f in family])
    moved = [f.proximal(s)(p) for f, s, p in zip(family, steps, points)]
    close(twin.proximal(steps)(x), domain, moved)
    conjugate = [f.convex_conj.proximal(s)(p) for f, s, p in zip(family, steps, points)]
    close(twin.convex_conj.proximal(steps)(x), domain, conjugate)
    few = join(domain, [points[2], points[0]])
    close(twin.take([2, 0]).proximal(steps[[2, 0]])(few), domain, [moved[2], moved[0]])
    for k, f in enumerate(family):
        one, single = join(domain, points[k : k + 1]), as_batch([f])
        alone = single.convex_conj.proximal(steps[k : k + 1])(one)
        among = twin.convex_conj.proximal(steps)(x)
        parts = zip(alone, among) if isinstance(alone, tuple) else [(alone, among)]
        for a, b in parts:
            assert_rounded(a[0], b[k], 1e-13)
        assert float(single(one)[0]) == pytest.approx(float(twin(x)[k]), rel=1e-13)


def test_gradients(rng):
    datas = [random_element(X, rng) for _ in ALPHAS]
    family = [a * l2_fidelity(d) + functionals.SmoothedTV(X, 1.0, 0.1, 0.1)
              for a, d in zip(ALPHAS, datas)]  # fmt: skip
    points = [random_element(X, rng) for _ in family]
    slopes = [f.gradient(p) for f, p in zip(family, points)]
    close(as_batch(family).gradient(join(X, points)), X, slopes)


@pytest.mark.parametrize("make", [
    lambda a: a * odl.IdentityOperator(X),
    lambda a: gradient(X) * a,
    lambda a: a * gradient(XC),
    lambda a: (1j * a) * SampledFourier(XC, np.ones(XC.shape)),
    lambda a: odl.ScalingOperator(X, a),
])
def test_operators(make, rng):
    ops = [make(a) for a in ALPHAS]
    points = [random_element(ops[0].domain, rng) for _ in ops]
    L = as_batch(ops)
    y = L(join(ops[0].domain, points))
    close(y, ops[0].range, [op(p) for op, p in zip(ops, points)])
    close(L.adjoint(y), ops[0].domain, [op.adjoint(op(p)) for op, p in zip(ops, points)])
    assert not L.is_shared
    close(L.take([1])(join(ops[0].domain, points[1:2])), ops[0].range, [ops[1](points[1])])


def test_single_precision_is_summed_in_double_with_exact_factors(rng):
    space = odl.uniform_discr([0, 0], [1, 1], (8, 8), dtype="float32")
    x = random_element(space, rng)
    family = [a * F.L1Norm(space) for a in ALPHAS]
    exact = np.abs(x.data.astype(np.float64)).sum() * float(space.weighting.const)
    values = as_batch(family).precise(join(space, [x] * 3))
    np.testing.assert_allclose(values, np.array(ALPHAS) * exact, rtol=1e-14)
    assert as_batch(family)(join(space, [x] * 3)).dtype == torch.float32


def test_what_does_not_differ_stays_a_plain_number():
    twin = as_batch([2.0 * F.L1Norm(X).translated(X.one()), 2.0 * F.L1Norm(X).translated(X.zero())])
    modules = [twin.module(name, torch.device("cpu")) for name in ("value", "proximal")]
    assert not any(isinstance(part, PerSample) for m in modules for part in m.modules())


BUILDERS = {
    "tikhonov": lambda A, D, C, a: variational.tikhonov_problem(A, D, a, C),
    "h1": lambda A, D, C, a: variational.h1_problem(A, D, a, C),
    "tv": lambda A, D, C, a: variational.tv_problem(A, D, a, C),
    "tgv": lambda A, D, C, a: variational.tgv_problem(A, D, a, 0.1 + a, C),
    "experts": lambda A, D, C, a: variational.experts_problem(
        A, D, [[[-1.0, 1.0]], [[2.0, -2.0]]], [a, a**2], C),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
@pytest.mark.parametrize("name", BUILDERS)
def test_problems(name, dtype, rng):
    space = odl.uniform_discr([0, 0], [5, 4], (5, 4), dtype=dtype)
    mask = rng.random(space.shape) < 0.7
    if dtype == "complex128":
        A, C = SampledFourier(space, mask), functionals.MagnitudeBound(space, 5.0)
    else:
        A, C = mask_operator(space, mask), functionals.BoxConstraint(space, -5.0, 5.0)
    D = l2_fidelity(A(random_element(space, rng)))
    problems = [BUILDERS[name](A, D, C, a) for a in ALPHAS]
    batch = as_batch(problems)
    x0 = batch.L.domain.zero(3)
    together = solvers.primal_dual(batch, x0, accuracy=1e-3, maxiter=60)
    tolerance = 1e-4 if dtype == "float32" else 1e-9
    for k, problem in enumerate(problems):
        alone = solvers.primal_dual(as_batch([problem]), accuracy=1e-3, maxiter=60)
        element = solvers.primal_dual(problem, accuracy=1e-3, maxiter=60)
        images = [s.x[0] if name == "tgv" else s.x for s in (together, alone, element)]
        assert together.niter[k] == alone.niter[0]
        # 60 iterations, none of which enlarges what rounding has done before
        assert_rounded(images[0][k], images[1][0], 60 * (1e-15 if dtype == "complex128" else 1e-6))
        np.testing.assert_allclose(images[0][k], images[2].data, atol=tolerance)
        assert together.gap[k] == pytest.approx(element.gap, rel=1e-2, abs=tolerance)
