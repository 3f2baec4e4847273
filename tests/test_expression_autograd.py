"""Terms of energies without a closed form: derivatives by torch, bounds by every door there is."""

import copy

import numpy as np
import odl
import pytest
import torch
from expression_energies import blocks, draw, plane
from torch import nn

from odl_learned import functionals, networks, operators, regularizers
from odl_learned.bridge import as_functional
from odl_learned.bridge.lowering import lower
from odl_learned.energies import check_energy, energy_of
from odl_learned.energies.expressions.autograd import Bounds, Rates, bounds_of, rates_of
from odl_learned.learning.bilevel import BilevelProblem, SquaredError
from odl_learned.learning.bilevel.hypergradients import Implicit, check_hypergradient
from odl_learned.learning.bilevel.lower import LowerLevel

F = odl.functionals
#: Of tanh: sech^2, its first and second derivative. Of -cos on 42 pixels of area one.
CLAIMS = {"rates": Rates(1.0, 4 / (3 * 3**0.5), 2.0), "bounds": Bounds(42**0.5, -1.0, 1.0, 1.0)}


class Saturation(odl.Operator):
    """``x -> tanh x``, a detector that saturates."""

    def __init__(self, space):
        super().__init__(space, space, linear=False)

    def _call(self, x):
        return self.range.element(np.tanh(x.data))


class SaturationModule(nn.Module):
    def forward(self, x):
        return torch.tanh(x)


@lower.register
def _(op: Saturation):
    return SaturationModule()


class Known(Saturation):
    """The same with rates: |F''(x)[v, w]| <= max |f''| |v| |w|, for weights of one."""


@rates_of.register
def _(op: Known, blocks):
    return CLAIMS["rates"]


class Cosines(F.Functional):
    """``x -> -int cos x``, neither convex nor with a closed form."""

    def __init__(self, space):
        super().__init__(space)

    def _call(self, x):
        return -float(odl.cos(x).inner(self.domain.one()))


class CosinesModule(nn.Module):
    def forward(self, x):
        return -torch.cos(x).flatten(1).sum(1)


@lower.register
def _(f: Cosines):
    return CosinesModule()


class KnownCosines(Cosines):
    """The same with bounds, on 42 pixels of area one."""


@bounds_of.register
def _(functional: KnownCosines, blocks):
    return CLAIMS["bounds"]


def with_fidelity(make, weight=1.0):
    """``weight |x - y|^2`` and a learned multiple of a functional of images, or of the whole."""
    space = plane()
    x, y, (alpha,) = blocks(space, 1, space)
    return weight * F.L2NormSquared(space) @ (x - y) + F.FunctionalProduct(alpha, make(x, y))


def stated(functional, lipschitz, weak_convexity):
    """The functional with constants."""
    functional.grad_lipschitz, functional.weak_convexity = lipschitz, weak_convexity
    return functional


def input_convex():
    generator = torch.Generator().manual_seed(0)
    net = regularizers.InputConvex(3, 2, 3, networks.Reflecting(), dimension=2, generator=generator)
    return regularizers.network_functional(net, plane())


DOORS = {
    "attributes of a network": lambda: with_fidelity(lambda x, y: input_convex() @ x),
    "no weak convexity known": lambda: with_fidelity(
        lambda x, y: stated(Cosines(plane()), 1.0, None) @ (0.5 * x)),
    "a rule for a functional": lambda: with_fidelity(
        lambda x, y: 0.7 * KnownCosines(plane()).translated(plane().one()) @ x),
    "a rule for a nonlinear operator": lambda: with_fidelity(
        lambda x, y: F.Huber(plane(), 0.8) @ Known(plane()) @ x, 4.0),
    "a nonlinear operator of images and data": lambda: with_fidelity(
        lambda x, y: 0.3 * functionals.SmoothedGroupL1(plane()**1, 1.0)
        @ odl.BroadcastOperator(Known(plane()) @ x - 0.1 * y), 4.0),
    "several operators of images, one nonlinear": lambda: with_fidelity(
        lambda x, y: functionals.SmoothedGroupL1(plane()**2, 1.0)
        @ odl.BroadcastOperator(Known(plane()), odl.IdentityOperator(plane())) @ x, 4.0),
    "constants of a composition": lambda: with_fidelity(lambda x, y: stated(
        F.L2NormSquared(plane()).translated(plane().one()) @ Saturation(plane()), 5.1, 3.1) @ x,
        2.0),
    "constants in spite of data": lambda: with_fidelity(lambda x, y: stated(
        F.Huber(plane(), 1.0) @ (Saturation(plane()) @ x - 0.1 * y), 1.8, 0.8)),
    "a nonlinear operator of data alone": lambda: with_fidelity(
        lambda x, y: F.Huber(plane(), 0.8) @ (x - Saturation(plane()) @ y)),
}


@pytest.mark.parametrize("door", DOORS)
def test_every_door_leads_to_an_energy_that_passes_the_check(door, rng):
    functional = DOORS[door]()
    energy, drawn = energy_of(functional), draw(functional, rng, 2)
    assert not energy.has_formulas  # so that solvers try the constants
    check_energy(energy, *drawn, rng)
    x, params, data = drawn
    point = functional.domain.element([x[0].numpy(), params.numpy(), data[0].numpy()])
    assert float(energy.value(*drawn)[0]) == pytest.approx(functional(point), rel=1e-12)


def test_hypergradients_are_right_and_bounded_where_third_derivatives_are(rng):
    functional = DOORS["a rule for a functional"]()
    truth, params, data = draw(functional, rng, 2)
    problem = BilevelProblem(energy_of(functional), data, SquaredError(truth), truth)
    check_hypergradient(problem, params, Implicit(), rng, 1e-6)
    found = Implicit()(LowerLevel(problem), params, 1e-4, 1e-4)
    assert found.gradient_bound < 0.1 * float(found.gradient.norm())


def test_a_factor_inside_is_learned_too(rng):
    space = plane()
    x, y, (m,) = blocks(space, 1, space)
    functional = (F.L2NormSquared(space) @ (x - y)
                  + KnownCosines(space) @ operators.FunctionalMultiple(m, x))  # fmt: skip
    check_energy(energy_of(functional), *draw(functional, rng, 2), rng)


def test_complex_ridges_and_arrays_of_weights(rng):
    space = odl.cn((5, 6), weighting=2.0)
    x, y, (alpha,) = blocks(space, 1, space)
    filters = regularizers.ComposedFilters((1, 3), 3, networks.Reflecting(), dimension=2)
    ridge = regularizers.RidgeRegularizer(
        regularizers.Ridge(filters, regularizers.LogCosh()), space, 0.5)
    functional = F.L2NormSquared(space) @ (x - y) + F.FunctionalProduct(alpha, ridge @ x)
    check_energy(energy_of(functional), *draw(functional, rng, 2), rng)
    space = odl.rn((6, 7), weighting=rng.uniform(0.5, 2, (6, 7)))
    x, y, (alpha,) = blocks(space, 1, space)
    functional = 9 * F.L2NormSquared(space) @ (x - y) + F.FunctionalProduct(
        alpha, stated(as_functional(CosinesModule(), space), 2.0, 2.0) @ x)  # 1 / min w
    check_energy(energy_of(functional), *draw(functional, rng, 2), rng)


def test_the_precision_of_a_network_stays_as_it_is():
    net = nn.Linear(7, 1)
    before = copy.deepcopy(net.state_dict())

    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            return torch.cos(self.net(x)).flatten(1).sum(1)

    space = odl.rn((6, 7), dtype="float32")
    energy_of(stated(as_functional(Sum(), space), 1.0, 1.0) + F.L2NormSquared(space))
    assert all(torch.equal(before[name], value) and value.dtype == torch.float32
               for name, value in net.state_dict().items())  # fmt: skip


@pytest.mark.parametrize("wrong", [
    lambda x: stated(input_convex(), 1e-3, 0.0) @ x,  # from above
    lambda x: stated(3 * Cosines(plane()), 3.0, -2.9) @ x,  # from below
], ids=["lipschitz", "strong_convexity"])
def test_wrong_attributes_are_found(wrong, rng):
    functional = with_fidelity(lambda x, y: 20 * wrong(x), 20.0)
    with pytest.raises((AssertionError, ValueError), match="lipschitz|strong_convexity"):
        check_energy(energy_of(functional), *draw(functional, rng, 2), rng)


@pytest.mark.parametrize(("claim", "wrong", "message"), [
    ("bounds", Bounds(42**0.5, -0.1, 0.1, 1.0), "lipschitz|strong|mean"),
    ("bounds", Bounds(42**0.5, -1.0, 1.0, 1e-3), "LA of|variation"),
    ("bounds", Bounds(1e-3, -1.0, 1.0, 1.0), "B of curvature"),
    ("rates", Rates(0.01, 0.0, 0.0), "lipschitz|variation|B of"),
], ids=["upper", "third", "slope", "rates"])  # fmt: skip
def test_wrong_rules_are_found(claim, wrong, message, rng, monkeypatch):
    monkeypatch.setitem(CLAIMS, claim, wrong)
    functional = DOORS["a rule for a functional" if claim == "bounds" else
                       "a rule for a nonlinear operator"]()  # fmt: skip
    with pytest.raises((AssertionError, ValueError), match=message):
        check_energy(energy_of(functional), *draw(functional, rng, 2), rng)


def no_doors():
    """What has neither rules nor constants, each with what its error names."""
    space = plane()
    x, y, (alpha,) = blocks(space, 1, space)
    return {
        "Cosines.*grad_lipschitz": Cosines(space) @ x,
        "Saturation.*rates_of": F.Huber(space, 1.0) @ Saturation(space) @ x,
        "L2NormSquared has no bounded slope": F.L2NormSquared(space) @ (Known(space) @ x - y),
        "no parameters inside": stated(F.FunctionalProduct(
            F.FunctionalQuotient(F.Huber(space, 1.0) @ x, alpha), alpha), 1.0, 1.0),
        "FunctionalProduct": F.FunctionalProduct(Cosines(space) @ x, Cosines(space) @ y),
    }  # fmt: skip


@pytest.mark.parametrize("names", list(no_doors()))
def test_what_has_no_door_is_named(names):
    with pytest.raises(NotImplementedError, match=f"(?s){names}.*[Rr]egister a rule"):
        energy_of(no_doors()[names])
