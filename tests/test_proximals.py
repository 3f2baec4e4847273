"""Proximals of functionals as torch modules, against ODL: values, steps, batches, errors."""

import copy
import inspect
import pickle

import numpy as np
import odl
import pytest
import torch
from instances.spaces import PAIR, XC, F, R, V, X, element
from proximal_cases import CASES, X32, batch, leaves

from odl_learned import functionals
from odl_learned.bridge import as_proximal_module, lower_proximal
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import each
from odl_learned.bridge.proximals.lowering import OpaqueProximal
from odl_learned.conformance.modules import check_proximal_module
from odl_learned.conformance.sampling import flat, positive, precision
from odl_learned.conformance.tensors import entries, stack


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
    for part, like in zip(leaves(y), leaves(x)):
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
    one = module(x, 0.7)
    # Steps that broadcast differently take other loops; maps whose errors are of the size of the
    # point are compared relative to it.
    scale = max(np.abs(entries(x)).max(), np.abs(entries(one)).max())
    tolerance = (1e-14 if precision(f) < 1e-9 else 1e-6) * scale
    for other in (module(x, torch.full((2,), 0.7, dtype=real)),
                  module(x, torch.tensor(0.7, dtype=real)),
                  module(stack(x), torch.full((1, 2), 0.7, dtype=real))):
        np.testing.assert_allclose(entries(other), entries(one), rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", CASES)
def test_empty_batch(name):
    f = CASES[name]()
    _, x = batch(f, 1)
    none = each(lambda part: part[:0], x)
    y = as_proximal_module(f)(none, torch.empty(0))
    for part, like in zip(leaves(y), leaves(x)):
        assert part.shape == (0, *like.shape[1:]) and part.dtype == like.dtype


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
    assert all(a.shape == b[:0].shape for a, b in zip(leaves(none), leaves(x)))
    mapped = torch.func.vmap(module)(x, steps)  # ODL multiplies the same samples one by one
    np.testing.assert_array_equal(entries(mapped), entries(y))
    first = each(lambda t: t.clone().requires_grad_(), x)
    with pytest.raises(NotImplementedError, match="no derivative of the proximal of WithoutRule"):
        leaves(module(first, 0.5))[0].sum().backward()


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
