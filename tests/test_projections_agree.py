"""Functionals are finite at their own proximals, in ODL and in torch, whoever computes which.

What one kernel sums to one, another sums to a little more; `odl_fixes.sums` derives how much.
Points are random of scales from 1e-6 to 1e6, dense and sparse, of one sign, or far from the set in
all entries alike, where differences cancel. Sizes are 1 to 5000.
"""

import numpy as np
import odl
import pytest
import torch
from instances.spaces import plane

from odl_learned import functionals
from odl_learned.bridge import as_module, as_proximal_module
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import each
from odl_learned.conformance.sampling import flat
from odl_learned.conformance.tensors import as_tensor, entries, stack

F = odl.functionals
SCALES = 10.0 ** np.arange(-6, 7)
WEIGHTS = np.random.default_rng(0).uniform(0.5, 5, 300)


def array_weighted(dtype):
    return odl.rn(300, dtype=dtype, weighting=WEIGHTS.astype(dtype))


def on_boundary(dtype):
    return odl.uniform_discr([0, 0], [1, 2], (3, 4), dtype=dtype, nodes_on_bdry=True)


REAL = {"one": lambda t: odl.rn(1, dtype=t), "line": lambda t: odl.rn(50, dtype=t),
        "many": lambda t: odl.rn(5000, dtype=t), "array": array_weighted,
        "plane": lambda t: plane(dtype=t), "nodes": on_boundary}
COMPLEX = {"complex plane": REAL["plane"], "complex": lambda t: odl.cn(500, dtype=t)}
VECTORS = {"vectors": lambda t: plane(dtype=t) ** 2, "long vectors": lambda t: odl.rn(200, t) ** 3}
COMPLEX_VECTORS = {"complex vectors": lambda t: plane(dtype=t) ** 2}
IMAGES = {"plane": REAL["plane"]}
CONSTANT = {"line": REAL["line"], "many": REAL["many"], "plane": REAL["plane"]}


def positive(space):
    """An element with entries between 0.1 and 3, some of them zero."""
    rng = np.random.default_rng(5)
    return space.element(rng.uniform(0.1, 3, space.shape) * (rng.random(space.shape) < 0.8))


def fidelity(space, background=0.0):
    return functionals.KullbackLeiblerFidelity(positive(space), background * space.one())


ALL = REAL | COMPLEX | VECTORS | COMPLEX_VECTORS
#: Sets: their indicators, and the spaces that they are tried on.
SETS = {
    "L1 ball": (lambda s: F.IndicatorLpUnitBall(s, 1), ALL),
    "L2 ball": (lambda s: F.IndicatorLpUnitBall(s, 2), ALL),
    "Linf ball": (lambda s: F.IndicatorLpUnitBall(s, np.inf), ALL),
    "group ball": (F.IndicatorGroupL1UnitBall, VECTORS | COMPLEX_VECTORS),
    "group ball, inf": (lambda s: F.IndicatorGroupL1UnitBall(s, np.inf), VECTORS),
    "simplex": (lambda s: F.IndicatorSimplex(s, 1.5), REAL),
    "simplex, no tolerance": (lambda s: F.IndicatorSimplex(s, 0.3, sum_rtol=0), REAL),
    "sum": (lambda s: F.IndicatorSumConstraint(s, 1.5), REAL | VECTORS),
    "sum, no tolerance": (lambda s: F.IndicatorSumConstraint(s, -0.3, sum_rtol=0), REAL),
    "box": (lambda s: F.IndicatorBox(s, -0.3, 0.1), REAL | VECTORS),
    "nonnegative": (F.IndicatorNonnegativity, REAL | VECTORS),
    "zero": (F.IndicatorZero, REAL),
    "BoxConstraint": (lambda s: functionals.BoxConstraint(s, -0.3, 0.1), CONSTANT),
    "MagnitudeBound": (lambda s: functionals.MagnitudeBound(s, 0.7), CONSTANT | COMPLEX),
    "WaveletBound": (lambda s: functionals.WaveletL1(s, "db2", 1).convex_conj,
                     {"line": REAL["line"]} | {"complex": COMPLEX["complex"]}),
    "WaveletBound of details": (lambda s: functionals.WaveletDetailL1(s, "haar", 1).convex_conj,
                                {"line": REAL["line"]}),
    "weighted L1, conjugate": (
        lambda s: functionals.weighted_l1(s, [0.5, 2.0]).convex_conj, {"V": VECTORS["vectors"]}),
}  # fmt: skip
#: Functionals that are infinite somewhere, and multiples of indicators: `prox` need not repeat.
DOMAINS = {
    "conjugate of a multiple of L1": (lambda s: (0.3 * F.L1Norm(s)).convex_conj, ALL),
    "conjugate of a multiple of L2": (lambda s: (0.3 * F.L2Norm(s)).convex_conj, ALL),
    "conjugate of a multiple of Linf": (lambda s: (7 * F.LpNorm(s, np.inf)).convex_conj, ALL),
    "conjugate of a group norm": (lambda s: (0.3 * F.GroupL1Norm(s)).convex_conj, VECTORS),
    "conjugate of Huber": (lambda s: F.Huber(s, 0.2).convex_conj, IMAGES | VECTORS),
    "conjugate of MagnitudeSupport": (
        lambda s: (0.3 * functionals.MagnitudeBound(s, 0.7).convex_conj).convex_conj, CONSTANT),
    "KL": (lambda s: F.KullbackLeibler(s, positive(s)), REAL),
    "KL without prior": (F.KullbackLeibler, IMAGES),
    "KL conjugate": (lambda s: F.KullbackLeibler(s, positive(s)).convex_conj, REAL),
    "KL multiple, conjugate": (
        lambda s: (0.3 * F.KullbackLeibler(s, positive(s))).convex_conj, IMAGES),
    "cross entropy": (lambda s: F.KullbackLeiblerCrossEntropy(s, positive(s)), REAL),
    "cross entropy conjugate": (
        lambda s: F.KullbackLeiblerCrossEntropy(s, positive(s)).convex_conj, REAL),
    "KullbackLeiblerFidelity": (fidelity, CONSTANT),
    "KullbackLeiblerFidelity, background": (lambda s: fidelity(s, 0.3), CONSTANT),
    "KullbackLeiblerConjugate": (lambda s: fidelity(s, 0.3).convex_conj, CONSTANT),
    "H1SeminormConjugate": (
        lambda s: functionals.H1Seminorm(s).convex_conj, IMAGES | {"complex": REAL["plane"]}),
}  # fmt: skip


def cases(table):
    """One parameter per functional, space and precision."""
    return [pytest.param(build, space, dtype, id=f"{name}-{where}-{bits}")
            for name, (build, spaces) in table.items() for where, space in spaces.items()
            for bits in (32, 64)
            for dtype in [f"complex{2 * bits}" if "complex" in where else f"float{bits}"]]


def draw(layout, rng, scales):
    """A batch of random points, one of every scale."""
    return each(lambda zeros: _entries(zeros, rng, scales), layout.zeros((len(scales),), "cpu"))


def _entries(zeros, rng, scales):
    values = rng.standard_normal(zeros.shape)
    if zeros.is_complex():
        values = values + 1j * rng.standard_normal(zeros.shape)
    kind = rng.integers(4, size=len(values))
    values[kind == 1] *= rng.random(values[kind == 1].shape) < 0.1
    values[kind == 2] /= np.abs(values[kind == 2])
    values[kind == 3] = 1 + 1e-6 * values[kind == 3]
    return torch.from_numpy(scales.reshape(-1, *[1] * (zeros.ndim - 1)) * values).to(zeros.dtype)


def check(f, rng, count, odl_count, is_set):
    """All four: values of ODL and of torch at the proximals of ODL and of torch."""
    project, value, layout = as_proximal_module(f), as_module(f), layout_of(f.domain)
    points = draw(layout, rng, np.repeat(SCALES, count))
    step = 10.0 ** rng.uniform(-3, 3)
    inside = project(points, step)
    values = value(inside)
    assert values.isfinite().all()
    if is_set:
        assert (values == 0).all()
        assert np.array_equal(entries(project(inside, step)), entries(inside))
    proximal, outcomes = f.proximal(step), []
    for i in rng.permutation(len(values))[:odl_count]:
        x, other = (layout.to_element(each(lambda part, i=i: part[i], v))
                    for v in (points, inside))  # fmt: skip
        p = proximal(x)
        outcomes.append(as_tensor(f, p))
        assert np.isfinite(f(p)) and np.isfinite(f(other))
        if is_set:
            # The very same entries come back, since the projection leaves alone what is inside.
            assert f(p) == 0 and np.array_equal(flat(proximal(p)), flat(p))
    assert value(stack(*outcomes)).isfinite().all()


@pytest.mark.parametrize(("build", "space", "dtype"), cases(SETS))
def test_projections_are_inside_and_stay(build, space, dtype, rng):
    check(build(space(dtype)), rng, 3, 13, True)


@pytest.mark.parametrize(("build", "space", "dtype"), cases(DOMAINS))
def test_proximals_are_in_the_domain(build, space, dtype, rng):
    check(build(space(dtype)), rng, 3, 13, False)


def test_constants_keep_their_precision():
    f = F.IndicatorZero(plane(), 0.1)
    assert float(as_module(f)(as_tensor(f, f.domain.zero()))) == f(f.domain.zero()) == 0.1


@pytest.mark.slow
@pytest.mark.parametrize(("build", "space", "dtype"), cases(SETS | DOMAINS))
def test_ten_thousand_points(build, space, dtype, rng):
    """With ten steps; every tenth point goes through ODL, too."""
    is_set = any(build is other for other, _ in SETS.values())
    f = build(space(dtype))
    for _ in range(10):
        check(f, rng, 77, 100, is_set)
