"""Proximals and gradients of functionals as torch modules, against ODL, brute force, identities."""

import copy
import inspect
import pickle

import instances
import numpy as np
import odl
import pytest
import scipy.optimize
import torch
from instances import RA, RW, XC, F, R, V, X, element, plane

from odl_learned import functionals
from odl_learned.bridge import (
    as_functional,
    as_gradient_module,
    as_module,
    as_proximal_module,
    lower_proximal,
)
from odl_learned.bridge.layout import layout_of
from odl_learned.bridge.nested import each
from odl_learned.bridge.proximals.entropies import LogLambertW
from odl_learned.bridge.proximals.lowering import OpaqueProximal
from odl_learned.conformance.modules import as_tensor, check_proximal_module, entries, stack
from odl_learned.conformance.sampling import flat, positive, precision, sample

X32, XC64, V32 = plane(dtype="float32"), plane(dtype="complex64"), plane(dtype="float32") ** 2
RA32 = odl.rn(4, dtype="float32", weighting=[1.0, 2.0, 3.0, 4.0])
CA = odl.cn(4, weighting=[1.0, 2.0, 3.0, 4.0])
PAIR = odl.ProductSpace(R, X)
W, WC, W32 = (plane((4, 8), dtype) for dtype in ("float64", "complex128", "float32"))


def positive_element(space):
    """An element with entries in [1/2, 3/2]."""
    return space.element(0.5 + 1 / (1 + np.exp(-element(space).data)))


def on_all(build, *spaces):
    """The functionals that a function builds on spaces, by the name of the space."""
    names = {id(X): "X", id(XC): "complex", id(V): "V", id(RA): "array", id(RW): "const",
             id(X32): "float32", id(XC64): "complex64", id(V32): "V float32", id(R): "R",
             id(CA): "complex array", id(RA32): "array float32", id(PAIR): "pair",
             id(W): "W", id(WC): "W complex", id(W32): "W float32"}
    return {names[id(space)]: lambda space=space: build(space) for space in spaces}


TABLES = {
    # leaves
    "L1": on_all(F.L1Norm, X, XC, V, RA, CA, X32, XC64, PAIR),
    "L2": on_all(F.L2Norm, X, XC, V, RA, CA, X32, RW, PAIR),
    "L2 squared": on_all(F.L2NormSquared, X, XC, V, RA, X32, XC64, PAIR),
    "Linf": on_all(lambda s: F.LpNorm(s, np.inf), X, V, R, RA, X32, RW),
    "GroupL1": on_all(F.GroupL1Norm, V, V32),
    "GroupL1 complex": {"V": lambda: F.GroupL1Norm(XC**2)},
    "GroupL1 anisotropic": on_all(lambda s: F.GroupL1Norm(s, exponent=1), V, V32),
    "GroupL1 ball": on_all(F.IndicatorGroupL1UnitBall, V, V32),
    "GroupL1 ball complex": {"V": lambda: F.IndicatorGroupL1UnitBall(XC**2)},
    "GroupL1 ball inf": on_all(lambda s: F.IndicatorGroupL1UnitBall(s, exponent=np.inf), V, V32),
    "L1 ball": on_all(lambda s: F.IndicatorLpUnitBall(s, 1), X, V, R, RA, RW, X32, RA32),
    "L2 ball": on_all(lambda s: F.IndicatorLpUnitBall(s, 2), X, XC, RA, X32, RW, PAIR),
    "Linf ball": on_all(lambda s: F.IndicatorLpUnitBall(s, np.inf), X, RA, X32, PAIR),
    "box": on_all(lambda s: F.IndicatorBox(s, -0.3, 0.5), X, V, RA, X32),
    "box of elements": on_all(lambda s: F.IndicatorBox(s, -positive_element(s), 0.5), X, RA),
    "box, one side": on_all(lambda s: F.IndicatorBox(s, upper=0.1), X),
    "nonnegativity": on_all(F.IndicatorNonnegativity, X, V, X32),
    "zero indicator": on_all(F.IndicatorZero, X, XC, PAIR),
    "zero": on_all(F.ZeroFunctional, X, XC, PAIR),
    "constant": on_all(lambda s: F.ConstantFunctional(s, 2.0), X),
    "Huber": on_all(lambda s: F.Huber(s, 0.3), X, XC, V, RA, X32, V32),
    "Huber, sharp": on_all(lambda s: F.Huber(s, 0.0), X),
    "KL": on_all(lambda s: F.KullbackLeibler(s, positive_element(s)), X, RA, X32),
    "KL without prior": on_all(F.KullbackLeibler, X),
    "KL with a prior that vanishes": on_all(lambda s: F.KullbackLeibler(s, s.zero()), X),
    "KL conjugate": on_all(
        lambda s: F.KullbackLeibler(s, positive_element(s)).convex_conj, X, RA, X32),
    "KL conjugate without prior": on_all(lambda s: F.KullbackLeibler(s).convex_conj, X),
    "cross entropy": on_all(
        lambda s: F.KullbackLeiblerCrossEntropy(s, positive_element(s)), X, RA, X32),
    "cross entropy without prior": on_all(F.KullbackLeiblerCrossEntropy, X),
    "cross entropy conjugate": on_all(
        lambda s: F.KullbackLeiblerCrossEntropy(s, positive_element(s)).convex_conj, X, RA, X32),
    "simplex": on_all(lambda s: F.IndicatorSimplex(s, 1.5), X, R, RW, RA, X32, RA32),
    "sum constraint": on_all(lambda s: F.IndicatorSumConstraint(s, 1.5), X, R, RW, RA, X32, RA32),
    "BoxConstraint": on_all(lambda s: functionals.BoxConstraint(s, -0.3, 0.5), X, RW, X32),
    "BoxSupport": on_all(lambda s: functionals.BoxConstraint(s, -0.3, 0.5).convex_conj, X, X32),
    "MagnitudeBound": on_all(lambda s: functionals.MagnitudeBound(s, 0.8), X, XC, X32, XC64),
    "MagnitudeSupport": on_all(
        lambda s: functionals.MagnitudeBound(s, 0.8).convex_conj, X, XC, X32),
    "Kullback-Leibler fidelity": on_all(
        lambda s: functionals.KullbackLeiblerFidelity(positive_element(s)), X, RW, X32),
    "Kullback-Leibler fidelity, background": on_all(
        lambda s: functionals.KullbackLeiblerFidelity(s.zero(), positive_element(s)), X, RW),
    "Kullback-Leibler conjugate": on_all(
        lambda s: functionals.KullbackLeiblerFidelity(
            positive_element(s), 0.5 * s.one()).convex_conj, X, RW, X32),
    "WaveletL1": on_all(lambda s: functionals.WaveletL1(s, "db2", 2), W, WC, W32),
    "WaveletDetailL1": on_all(
        lambda s: functionals.WaveletDetailL1(s, "haar", 1), W, WC, W32),
    "bounded wavelets": on_all(
        lambda s: functionals.WaveletL1(s, "db2", 2).convex_conj, W, WC, W32),
    "bounded wavelet details": on_all(
        lambda s: functionals.WaveletDetailL1(s, "db2", 1).convex_conj, W, WC, W32),
    "H1 seminorm": on_all(functionals.H1Seminorm, X, XC, X32, XC64),
    "H1 seminorm conjugate": on_all(
        lambda s: functionals.H1Seminorm(s).convex_conj, X, XC, X32),
    "weighted L1": on_all(lambda s: functionals.weighted_l1(s, [0.5, 2.0]), V, V32),
    # structure
    "left scalar": on_all(lambda s: 0.3 * F.L1Norm(s), X, XC),
    "right scalar": on_all(lambda s: F.L1Norm(s) * (-2.0), X, RA),
    "right scalar L2": on_all(lambda s: F.L2Norm(s) * 3.0, X),
    "translation": on_all(lambda s: F.L1Norm(s).translated(element(s)), X, XC, V, PAIR),
    "l2_fidelity": on_all(lambda s: functionals.l2_fidelity(element(s)), X, XC, X32),
    "perturbation": on_all(
        lambda s: F.FunctionalQuadraticPerturb(F.L1Norm(s), 0.4, element(s), 1.5), X, XC, V, X32),
    "linear perturbation": on_all(
        lambda s: F.FunctionalQuadraticPerturb(F.L2Norm(s), linear_term=element(s)), X, RA, PAIR),
    "Bregman": on_all(lambda s: F.L1Norm(s).bregman(element(s), 0.5 * s.one()), X),
    "plus a constant": on_all(lambda s: F.L1Norm(s) + 2.0, X),
    "separable sum": {"pair": lambda: F.SeparableSum(3.0 * F.L1Norm(R), 0.5 * F.L2NormSquared(X))},
    "separable sum, power": {"V": lambda: F.SeparableSum(F.L1Norm(X), 2.0 * F.L2Norm(X))},
    "separable sum, nested": {"nested": lambda: F.SeparableSum(
        F.L1Norm(R), F.SeparableSum(F.GroupL1Norm(V), F.L2NormSquared(R)))},
    "multiple of a sum": {"pair": lambda: 0.7 * F.SeparableSum(F.L1Norm(R), F.L2Norm(X))},
    # conjugates
    "conjugate of a multiple": on_all(lambda s: (0.3 * F.L2Norm(s)).convex_conj, X, RA),
    "conjugate of a translation": on_all(
        lambda s: (0.3 * F.L1Norm(s).translated(element(s))).convex_conj, X, RA),
    "conjugate of a fidelity": on_all(
        lambda s: functionals.l2_fidelity(element(s)).convex_conj, X, XC),
    "conjugate of a box": on_all(lambda s: F.IndicatorBox(s, -0.3, 0.5).convex_conj, X, X32),
    "conjugate of Huber": on_all(lambda s: F.Huber(s, 0.3).convex_conj, X, V),
    "conjugate of Huber, twice": on_all(lambda s: F.Huber(s, 0.3).convex_conj.convex_conj, X, V),
    "conjugate of a separable sum": {
        "pair": lambda: F.SeparableSum(0.4 * F.L1Norm(R), F.Huber(X, 0.1)).convex_conj},
    "conjugate of KL": on_all(
        lambda s: (2.0 * F.KullbackLeibler(s, positive_element(s))).convex_conj, X),
}
CASES = {f"{name}, {space}": build for name, table in TABLES.items()
         for space, build in table.items()}
DOUBLE = [name for name, build in CASES.items() if precision(build()) < 1e-9]
SETS = ("ball", "box", "nonneg", "zero", "simplex", "sum constraint", "Box", "MagnitudeBound")


def batch(f, n=3, seed=0, scale=2.0):
    """``n`` random elements of the domain, as a list and as a batch."""
    samples = [scale * element(f.domain, seed + i) for i in range(n)]
    return samples, stack(*[as_tensor(f, x) for x in samples])


@pytest.mark.parametrize("name", CASES)
def test_equals_the_proximal_of_odl(name, rng):
    f = CASES[name]()
    check_proximal_module(f, rng)
    samples, x = batch(f)
    steps = (0.2, 0.7, 2.5)
    y = as_proximal_module(f)(x, torch.tensor(steps, dtype=torch.float64))
    tolerance = 1e-12 if precision(f) < 1e-9 else 1e-6
    for i, (point, step) in enumerate(zip(samples, steps)):
        expected = flat(f.proximal(step)(point))
        got = entries(each(lambda part: part[i], y))
        scale = positive(max(np.abs(expected).max(), np.abs(flat(point)).max()))
        assert np.abs(got - expected).max() <= tolerance * scale
    for part, like in zip(_parts(y), _parts(x)):
        assert part.dtype == like.dtype and part.shape == like.shape


@pytest.mark.parametrize("name", CASES)
def test_no_silent_fallback(name):
    module = as_proximal_module(CASES[name]())
    assert not any(isinstance(part, OpaqueProximal) for part in module.modules())


def test_every_proximal_of_odl_has_a_rule_and_a_case():
    """All public functionals with a proximal, but for the nuclear norm, which stays ODL's.

    Proximals that are iterations are tested beside them, in test_total_variation and test_tgv.
    """
    through_odl = {"NuclearNorm", "IndicatorNuclearNormUnitBall"}
    iterated = {functionals.TotalVariation, functionals.TotalGeneralizedVariation}
    classes = [cls for room in (F.default_functionals, F.functional, functionals)
               for name in room.__all__
               if inspect.isclass(cls := getattr(room, name)) and issubclass(cls, F.Functional)]
    with_proximal = {cls for cls in classes
                     if cls.proximal is not F.Functional.proximal
                     and cls.__name__ not in through_odl}
    assert len(with_proximal) >= 24
    missing = [cls for cls in with_proximal
               if lower_proximal.dispatch(cls) is lower_proximal.dispatch(F.Functional)]
    assert not missing
    built = {type(build()) for build in CASES.values()}
    built |= {type(f.convex_conj) for f in (F.IndicatorBox(X, 0, 1),)}
    assert not with_proximal - built - iterated - {F.LpNorm}


@pytest.mark.parametrize("name", CASES)
def test_one_step_for_all_equals_the_same_step_for_each(name):
    f = CASES[name]()
    _, x = batch(f, 2)
    module = as_proximal_module(f)
    real = layout_of(f.domain).dtype.to_real()
    one, each_its_own = module(x, 0.7), module(x, torch.full((2,), 0.7, dtype=real))
    assert np.array_equal(entries(one), entries(each_its_own))
    no_axes = module(x, torch.tensor(0.7, dtype=real))
    assert np.array_equal(entries(one), entries(no_axes))
    deep = module(stack(x), torch.full((1, 2), 0.7, dtype=real))
    assert np.array_equal(entries(deep), entries(one))


@pytest.mark.parametrize("name", CASES)
def test_empty_batch(name):
    f = CASES[name]()
    _, x = batch(f, 1)
    none = each(lambda part: part[:0], x)
    y = as_proximal_module(f)(none, torch.empty(0))
    for part, like in zip(_parts(y), _parts(x)):
        assert part.shape == (0, *like.shape[1:]) and part.dtype == like.dtype


@pytest.mark.parametrize("name", DOUBLE)
def test_derivatives_in_the_point_and_in_the_step(name):
    f = CASES[name]()
    _, x = batch(f, 2)
    steps = torch.tensor([0.4, 0.9], dtype=torch.float64, requires_grad=True)
    module = as_proximal_module(f)
    inputs = tuple(part.requires_grad_() for part in _parts(x))

    def function(steps, *parts):
        rest = iter(parts)
        return tuple(_parts(module(each(lambda _: next(rest), x), steps)))

    if not any(part.requires_grad for part in _parts(function(steps, *inputs))):
        assert "zero indicator" in name
        return
    torch.autograd.gradcheck(function, (steps, *inputs), fast_mode=True)
    torch.autograd.gradgradcheck(function, (steps, *inputs), fast_mode=True)


@pytest.mark.parametrize("name", DOUBLE)
def test_vmap_and_jvp(name):
    f = CASES[name]()
    _, x = batch(f, 2)
    steps = torch.tensor([0.4, 0.9], dtype=torch.float64)
    module = as_proximal_module(f)
    mapped = torch.func.vmap(module)(x, steps)
    np.testing.assert_allclose(entries(mapped), entries(module(x, steps)), rtol=0, atol=1e-12)
    y, dy = torch.func.jvp(lambda x: module(x, steps), (x,), (x,))
    h = 1e-6
    around = [entries(module(each(lambda part, s=s: (1 + s * h) * part, x), steps))
              for s in (1, -1)]
    np.testing.assert_allclose(entries(dy), (around[0] - around[1]) / (2 * h), atol=1e-6)


@pytest.mark.parametrize("name", [n for n in DOUBLE if "Bregman" not in n])
def test_moreau_identity(name):
    """``x = prox_{sigma f}(x) + sigma prox_{f*/sigma}(x / sigma)``, where ODL has a conjugate."""
    f = CASES[name]()
    try:
        conjugate = as_proximal_module(f.convex_conj)
    except NotImplementedError:
        assert name.startswith(("simplex", "sum constraint"))
        return
    _, x = batch(f, 2)
    p = as_proximal_module(f)(x, 0.6)
    q = conjugate(each(lambda part: part / 0.6, x), 1 / 0.6)
    rest = each(lambda x, p, q: p + 0.6 * q - x, x, p, q)
    # ODL's balls are smaller by a margin of 1e-14.
    assert np.abs(entries(rest)).max() <= 1e-12


SMALL = odl.uniform_discr([0, 0], [1, 3], (2, 2))  # cells of volume 3/4
SMALL_ARRAY = odl.rn((2, 2), weighting=np.array([[1.0, 2.0], [0.5, 3.0]]))
BRUTE = {
    "L1": lambda s: 0.5 * F.L1Norm(s),
    "L2": F.L2Norm,
    "Linf": lambda s: F.LpNorm(s, np.inf),
    "Huber": lambda s: F.Huber(s, 0.2),
    "perturbed": lambda s: F.FunctionalQuadraticPerturb(F.L2Norm(s), 0.4, s.one()),
    "scaled": lambda s: F.L2Norm(s) * 2.0,
    "KL": lambda s: F.KullbackLeibler(s, 2 * s.one()),
    "cross entropy": lambda s: F.KullbackLeiblerCrossEntropy(s, 2 * s.one()),
    "cross entropy conjugate":
        lambda s: F.KullbackLeiblerCrossEntropy(s, 2 * s.one()).convex_conj,
}


@pytest.mark.parametrize("space", [SMALL, SMALL_ARRAY], ids=["constant", "array"])
@pytest.mark.parametrize("name", BRUTE)
def test_minimizes_its_definition(name, space):
    f, sigma = BRUTE[name](space), 0.8
    x = space.element([[0.9, -0.4], [1.7, 0.3]])
    value = as_functional(as_module(f), space) if name == "Huber" else f

    def energy(u):
        # ODL's value of the Huber functional raises with an array of weights.
        u = space.element(u.reshape(2, 2))
        return value(u) + (u - x).norm() ** 2 / (2 * sigma)

    got = entries(as_proximal_module(f)(layout_of(space).to_tensor(x), sigma))
    start = np.full(4, 0.5)
    best = scipy.optimize.minimize(
        energy, start, method="Nelder-Mead",
        options={"xatol": 1e-10, "fatol": 1e-14, "maxiter": 8000, "maxfev": 8000, "adaptive": True})
    assert energy(got) <= best.fun + 1e-12
    # The energy is 1/sigma strongly convex in the norm of the space.
    assert np.abs(got - best.x).max() <= 1e-4


@pytest.mark.parametrize("space", [SMALL, SMALL_ARRAY], ids=["constant", "array"])
@pytest.mark.parametrize("name", ["L1 ball", "simplex", "sum constraint"])
def test_projects_in_the_weighted_norm(name, space):
    f = {"L1 ball": lambda s: F.IndicatorLpUnitBall(s, 1),
         "simplex": lambda s: F.IndicatorSimplex(s, 1.5),
         "sum constraint": lambda s: F.IndicatorSumConstraint(s, 1.5)}[name](space)
    x = np.array([0.9, -0.4, 1.7, 0.3])
    weighting = space.weighting
    w = weighting.array.ravel() if hasattr(weighting, "array") else np.full(4, weighting.const)
    sums = {"type": "eq", "fun": lambda u: u.sum() - 1.5}
    ball = {"type": "ineq", "fun": lambda u: 1.0 - (w * u).sum()}
    magnitude = np.abs(x) if name == "L1 ball" else x
    expected = scipy.optimize.minimize(
        lambda u: (w * (u - magnitude) ** 2).sum(), np.full(4, 0.1), method="SLSQP",
        bounds=None if name == "sum constraint" else [(0, None)] * 4,
        constraints=[ball if name == "L1 ball" else sums],
        options={"ftol": 1e-16, "maxiter": 1000}).x
    expected = expected * np.sign(x) if name == "L1 ball" else expected
    got = entries(as_proximal_module(f)(torch.from_numpy(x.reshape(2, 2)), 0.7))
    np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("exponent", [1, 2])
@pytest.mark.parametrize("build", [F.GroupL1Norm, lambda s, p: F.Huber(s, 0.2)],
                         ids=["GroupL1", "Huber"])
@pytest.mark.parametrize("weighting", [2.5, [2.0, 0.5]], ids=["constant", "array"])
def test_weighted_product_space(build, exponent, weighting):
    """There ODL's proximals forget the weights; the module gives the minimizer."""
    space = odl.ProductSpace(odl.rn(2), 2, weighting=weighting)
    f, sigma = build(space, exponent), 0.6
    is_vector = exponent == 2 or isinstance(f, F.Huber)
    if is_vector and weighting != 2.5:
        with pytest.raises(NotImplementedError, match="one weight for all components"):
            as_proximal_module(f)
        return
    x = space.element([[0.9, -0.4], [1.7, 0.3]])

    def energy(u):
        u = space.element(u.reshape(2, 2))
        return f(u) + (u - x).norm() ** 2 / (2 * sigma)

    got = entries(as_proximal_module(f)(layout_of(space).to_tensor(x), sigma))
    best = scipy.optimize.minimize(
        energy, np.full(4, 0.5), method="Nelder-Mead",
        options={"xatol": 1e-10, "fatol": 1e-14, "maxiter": 8000, "maxfev": 8000, "adaptive": True})
    assert energy(got) <= best.fun + 1e-12
    assert energy(flat(f.proximal(sigma)(x))) > best.fun + 1e-3


def test_steps_of_the_components():
    f = F.SeparableSum(3.0 * F.L1Norm(R), 0.5 * F.L2NormSquared(X))
    samples, x = batch(f, 2)
    module = as_proximal_module(f)
    per_sample = torch.tensor([0.3, 0.8], dtype=torch.float64)
    y = module(x, [0.4, per_sample])
    for i in range(2):
        expected = f.proximal([0.4, float(per_sample[i])])(samples[i])
        np.testing.assert_allclose(entries(each(lambda t: t[i], y)), flat(expected), atol=1e-12)
    moved = f.translated(element(f.domain, 7))
    expected = moved.proximal([0.4, 2.0])(samples[0])
    got = as_proximal_module(moved)(each(lambda t: t[0], x), (0.4, 2.0))
    np.testing.assert_allclose(entries(got), flat(expected), atol=1e-12)
    got = as_proximal_module(2.0 * f)(each(lambda t: t[0], x), np.array([0.2, 1.0]))
    expected = f.proximal([0.4, 2.0])(samples[0])
    np.testing.assert_allclose(entries(got), flat(expected), atol=1e-12)
    with pytest.raises(ValueError, match="sigma has 3 entries, expected 2"):
        module(x, [0.4, 0.1, 0.2])
    with pytest.raises(TypeError, match="separable sums, their multiples"):
        as_proximal_module(F.L1Norm(X))(x[1], [0.1, 0.2])


def test_small_and_large_arguments_of_the_entropies():
    """No overflow, no cancellation: the equation of the minimizer holds to rounding."""
    z = torch.tensor([-np.inf, -800.0, -41.0, -39.0, -3.0, 0.0, 1.0, 2.0, 30.0, 900.0],
                     dtype=torch.float64)
    w = LogLambertW.apply(z)
    torch.testing.assert_close(w[2:] + w[2:].log(), z[2:], rtol=4e-16, atol=4e-16)
    assert w[0] == 0 and w[1] == 0
    finite = z[4:9].clone()
    reference = scipy.special.lambertw(np.exp(finite.numpy())).real
    np.testing.assert_allclose(w[4:9], reference, rtol=4e-16)
    f = F.KullbackLeibler(odl.rn(3), prior=odl.rn(3).element([1.0, 1e-3, 2.0]))
    x = torch.tensor([-1e9, 1e9, -3.0], dtype=torch.float64)
    u = as_proximal_module(f)(x, 0.5)
    g = torch.tensor([1.0, 1e-3, 2.0], dtype=torch.float64)
    assert (u > 0).all()
    torch.testing.assert_close(x, u + 0.5 * (1 - g / u), rtol=1e-14, atol=0)


def test_gradient_where_the_prior_vanishes():
    f = F.KullbackLeibler(R, prior=R.zero())
    x = torch.tensor([-1.0, 0.5, 0.7, 2.0], dtype=torch.float64, requires_grad=True)
    (g,) = torch.autograd.grad(as_proximal_module(f)(x, 0.5).sum(), x)
    assert torch.equal(g, torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=torch.float64))


class WithoutRule(F.Functional):
    """``|x|^2 / 2`` of a class that no rule knows."""

    def __init__(self, space):
        super().__init__(space)

    def _call(self, x):
        return x.inner(x) / 2

    @property
    def proximal(self):
        return lambda sigma=1.0: odl.ScalingOperator(self.domain, 1 / (1 + sigma))


@pytest.mark.parametrize("space", [X, X32, PAIR], ids=["X", "float32", "pair"])
def test_unknown_functionals_go_through_odl(space):
    f = WithoutRule(space)
    samples, x = batch(f)
    module = as_proximal_module(2.0 * f)
    steps = torch.tensor([0.2, 0.7, 2.5], dtype=torch.float64)
    y = module(x, steps)
    for i, (point, step) in enumerate(zip(samples, steps)):
        expected = flat(point) / (1 + 2 * float(step))
        np.testing.assert_allclose(entries(each(lambda t: t[i], y)), expected, rtol=1e-6)
    none = module(each(lambda t: t[:0], x), torch.empty(0))
    assert all(a.shape == b[:0].shape for a, b in zip(_parts(none), _parts(x)))
    mapped = torch.func.vmap(module)(x, steps)
    np.testing.assert_array_equal(entries(mapped), entries(y))
    first = each(lambda t: t.clone().requires_grad_(), x)
    with pytest.raises(NotImplementedError, match="no derivative of the proximal of WithoutRule"):
        _parts(module(first, 0.5))[0].sum().backward()


def test_nuclear_norm_goes_through_odl():
    f = F.NuclearNorm((odl.rn(3) ** 2) ** 2, singular_vector_exp=1)
    samples, x = batch(f)
    y = as_proximal_module(f)(x, 0.6)
    assert y.shape == (3, 2, 2, 3)
    s = torch.linalg.svdvals(x.movedim(-1, 1))
    t = torch.linalg.svdvals(y.movedim(-1, 1))
    torch.testing.assert_close(t, (s - 0.6).clamp(min=0), rtol=0, atol=1e-12)


def test_what_has_no_proximal():
    with pytest.raises(NotImplementedError, match="no proximal of FunctionalSum"):
        as_proximal_module(F.L1Norm(X) + F.L2NormSquared(X))
    with pytest.raises(NotImplementedError, match="no proximal of IndicatorGroupL1UnitBall"):
        as_proximal_module(F.IndicatorGroupL1UnitBall(V, exponent=1))
    with pytest.raises(ValueError, match="expected a positive number"):
        as_proximal_module(-1.0 * F.L1Norm(X))
    with pytest.raises(ValueError, match="at least zero"):
        as_proximal_module(F.FunctionalQuadraticPerturb(F.L1Norm(X), -1.0))
    with pytest.raises(ValueError, match="expected a real number"):
        as_proximal_module(F.L1Norm(XC) * 2j)
    with pytest.raises(TypeError, match="expected a real space"):
        as_proximal_module(F.IndicatorBox(XC, 0, 1))
    with pytest.raises(TypeError, match="expected an ODL functional"):
        as_proximal_module(torch.nn.Identity())


def test_errors_at_the_door():
    module = as_proximal_module(F.L1Norm(X))
    x = torch.zeros(3, 5, 7, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"sigma is .* of shape \(2,\), expected .* \(3,\)"):
        module(x, torch.ones(2))
    with pytest.raises(ValueError, match="greater than zero"):
        module(x, 0.0)
    with pytest.raises(ValueError, match="expected"):
        module(x[..., 1:], 0.5)
    with pytest.raises(TypeError, match="torch.float32"):
        module(x.float(), 0.5)


@pytest.mark.parametrize("name", CASES)
def test_pickle_copy_and_state(name):
    f = CASES[name]()
    module, (_, x) = as_proximal_module(f), batch(f, 2)
    expected = entries(module(x, 0.7))
    for other in (pickle.loads(pickle.dumps(module)), copy.deepcopy(module)):
        assert np.array_equal(entries(other(x, 0.7)), expected)
    assert not module.state_dict() and not list(module.parameters())


GRADIENTS = [name for name in instances.FUNCTIONALS if name not in ("as_functional",)]


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient_equals_that_of_odl(name, rng):
    f = instances.FUNCTIONALS[name]()
    try:
        f.gradient
    except NotImplementedError:
        with pytest.raises(NotImplementedError, match="ODL has no gradient"):
            as_gradient_module(f)
        return
    samples = [sample(f, rng) for _ in range(3)]
    y = as_gradient_module(f)(stack(*[as_tensor(f, x) for x in samples]))
    try:
        expected = [flat(f.gradient(x)) for x in samples]
    except NotImplementedError:
        return
    for i, e in enumerate(expected):
        got = entries(each(lambda t: t[i], y))
        assert np.abs(got - e).max() <= 10 * precision(f) * positive(np.abs(e).max())


@pytest.mark.parametrize("space", [X, RA, XC, PAIR], ids=["X", "array", "complex", "pair"])
def test_derivatives_of_gradients(space):
    f = F.L2NormSquared(space) + 0.5 * F.L1Norm(space)
    module, (_, x) = as_gradient_module(f), batch(f, 2)
    inputs = tuple(part.requires_grad_() for part in _parts(x))

    def function(*parts):
        return module(parts if isinstance(x, tuple) else parts[0])

    torch.autograd.gradcheck(function, inputs, fast_mode=True)
    torch.autograd.gradgradcheck(function, inputs, fast_mode=True)


def test_gradient_module_is_the_derivative_of_the_functional():
    f = functionals.SmoothedTV(X, 0.7, 0.1, 0.01)
    _, x = batch(f)
    weight = float(X.weighting.const)
    x.requires_grad_()
    (euclidean,) = torch.autograd.grad(as_module(f)(x).sum(), x, create_graph=True)
    torch.testing.assert_close(weight * as_gradient_module(f)(x), euclidean)
    none = as_gradient_module(f)(x[:0])
    assert none.shape == (0, 5, 7)
    with pytest.raises(TypeError, match="expected an ODL functional"):
        as_gradient_module(instances.GRAD)


def _parts(x):
    return [leaf for part in x for leaf in _parts(part)] if isinstance(x, tuple) else [x]
