"""The public check of energies: all of the package pass, and every kind of mistake is found."""

import copy

import numpy as np
import pytest
import torch
from bilevel_energies import ENERGIES, build, formula

from odl_learned.energies import AutogradEnergy, check_energy
from odl_learned.energies.filters import ExpertsEnergy, RidgeEnergy, dct_filters, fixed_filters
from odl_learned.energies.potentials import CubicAbsolute

SHAPE = (6, 7)


def batch(shape=SHAPE, size=3):
    generator = torch.Generator().manual_seed(1)
    return torch.randn((2, size, *shape), dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("name", ENERGIES)
def test_energies_in_closed_form_pass(name, rng):
    energy, x, params, data = build(name)
    check_energy(energy, x, params, data, rng)


@pytest.mark.parametrize("name", ["images", "complex images", "inpainting"])
def test_energies_by_autograd_pass(name, rng):
    closed, x, params, data = build(name)
    function = formula(name)._function
    energy = AutogradEnergy(function, closed.lipschitz, closed.strong_convexity)
    check_energy(energy, x, params, data, rng)


def test_filter_energies_pass(rng):
    filters = torch.as_tensor(dct_filters(3)).double()
    x, data = batch()
    weights = torch.linspace(0.1, 0.5, len(filters)).double()
    for potential in (CubicAbsolute(),):
        energy = ExpertsEnergy(SHAPE, potential, (0.3,), fixed_filters(filters), 0.1)
        check_energy(energy, x, weights, data, rng)
    energy = RidgeEnergy(SHAPE, (2, 3, 3), (0.1, 0.5), 0.2)
    params = energy.params(filters[:2], torch.full((2, 2), 0.3).double())
    check_energy(energy, x, params, data, rng)


class Planted:
    """An energy of the package with one method replaced."""

    def __init__(self, **changes):
        self.changes = changes

    def __call__(self):
        energy, x, params, data = build("images")
        energy = copy.copy(energy)
        kind = type("Planted", (type(energy),), {})
        for name, change in self.changes.items():
            setattr(kind, name, _replaced(getattr(kind, name), change))
        energy.__class__ = kind
        return energy, x, params, data


def _replaced(method, change):
    return lambda self, *args: change(method(self, *args), *args)


def linear(**changes):
    """Change the parts of linearizations."""
    def change(linearization, x, params, data, state=None):
        pair = isinstance(linearization[0], tuple)
        found = linearization[0] if pair else linearization
        found = found._replace(**{name: _after(getattr(found, name), function, x)
                                  for name, function in changes.items()})  # fmt: skip
        return (found, linearization[1]) if pair else found

    return change


def _after(part, function, x):
    return (lambda v: function(part(v), v, x)) if callable(part) else function(part, x)


def first(v):
    """The first sample of all."""
    return v[:1].expand_as(v)


MISTAKES = {
    "value": (Planted(value=lambda f, *args: 1.001 * f), "<gradient, v> is .* by differences"),
    "gradient": (Planted(gradient=lambda g, *args: 1.001 * g),
                 "linearize.*gradient differs by .*expected the gradient"),
    "gradient of all": (
        Planted(gradient=lambda g, x, *args: g + 1e-3 * x,
                linearize=linear(gradient=lambda g, x: g + 1e-3 * x)),
        "<gradient, v> is .* by differences"),
    "gradient of one sample": (
        Planted(gradient=lambda g, *args: torch.cat([g[:2], 1.01 * g[2:]]),
                linearize=linear(gradient=lambda g, x: torch.cat([g[:2], 1.01 * g[2:]]))),
        "<gradient, v> is .*in sample 2; expected"),
    "hessian": (Planted(linearize=linear(hessian=lambda h, v, x: h + 1e-3 * v)),
                r"hessian\(v\) is .* by differences"),
    "hessian that is not symmetric": (
        Planted(linearize=linear(hessian=lambda h, v, x: h + 1e-7 * v.roll(1, -1))),
        "hessian is not symmetric: .*expected <v, M w>"),
    "dual hessian": (
        Planted(linearize_from=linear(hessian=lambda h, v, x: h + 1e-3 * v.roll(1, -1))),
        "hessian of linearize_from is not symmetric"),
    "dual gradient": (Planted(linearize_from=linear(gradient=lambda g, x: 0.9 * g)),
                      "gradient of linearize_from differs"),
    "mixed derivative": (Planted(linearize=linear(mixed_adjoint=lambda p, q, x: -p)),
                         r"<mixed_adjoint\(q\), d> is .* by differences"),
    "one parameter": (
        Planted(linearize=linear(mixed_adjoint=lambda p, q, x: p * torch.tensor([1, 1.01]))),
        r"<mixed_adjoint\(q\), d> is"),
    "asymmetric preconditioner": (
        Planted(linearize=linear(precondition=lambda m, v, x: m + 1e-3 * v.roll(1, -1))),
        "precondition is not symmetric"),
    "negative preconditioner": (Planted(linearize=linear(precondition=lambda m, v, x: -m)),
                                "for precondition is -.*positive definite"),
    "lipschitz": (Planted(lipschitz=lambda c, *args: 0.7 * c),
                  r"lipschitz\(params\) is .*expected at least"),
    "strong convexity": (Planted(strong_convexity=lambda c, *args: 1.05 * c),
                         r"strong_convexity\(params\) is .*expected at most"),
    "curvature of the Hessian": (
        Planted(curvature_constants=lambda c, *args: (1e-3 * c[0], *c[1:])), "LA of curvature"),
    "curvature of the mixed derivative": (
        Planted(curvature_constants=lambda c, *args: (c[0], 1e-3 * c[1], c[2])), "LB of curv"),
    "bound of the mixed derivative": (
        Planted(curvature_constants=lambda c, *args: (*c[:2], 1e-3 * c[2])), "B of curvature"),
    "values that mix": (Planted(value=lambda f, *args: f + f.mean()),
                        "<gradient, v>|value of sample 0 in a batch differs"),
    "values that depend on the size": (Planted(value=lambda f, *args: f + len(f)),
                                       "value of sample 0 in a batch differs.*sample alone"),
    "preconditioners that mix": (
        Planted(linearize=linear(precondition=lambda m, v, x: m * (2 + x.mean().sin()))),
        r"precondition\(v\) of sample 0 in a batch differs"),
    "mixed derivative as a mean": (
        Planted(linearize=linear(mixed_adjoint=lambda p, q, x: p / len(q))), "mixed_adjoint"),
    "shape of values": (Planted(value=lambda f, *args: f.sum()),
                        r"value has shape \(\), expected|value has shape \(\); expected"),
    "graph": (Planted(value=lambda f, x, p, d: f + 0 * p.clone().requires_grad_().sum()),
              "value has shape .*and a graph"),
    "not a number": (Planted(gradient=lambda g, *args: g * np.nan), "gradient is not finite"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_found(name, rng):
    planted, message = MISTAKES[name]
    energy, x, params, data = planted()
    with pytest.raises(AssertionError, match=message):
        check_energy(energy, x, params, data, rng)


def test_arguments(rng):
    energy, x, params, data = build("images")
    for arguments, error, message in (
        ((abs, x, params, data), TypeError, "expected a ParametricEnergy.*AutogradEnergy"),
        ((energy, x.float(), params, data), TypeError, "expected double precision"),
        ((energy, x, params[None], data), ValueError, r"params is .*expected a finite vector"),
        ((energy, x[:1], params, data[:1]), ValueError, "expected the same number, at least 2"),
        ((energy, x, params, data[:2]), ValueError, "expected the same number"),
        ((Planted(strong_convexity=lambda c, *args: 0.0)()[0], x, params, data), ValueError,
         r"strong_convexity\(params\) is 0.0.*add xi/2"),
    ):
        with pytest.raises(error, match=message):
            check_energy(*arguments, rng)
    with pytest.raises(TypeError, match="numpy.random.Generator"):
        check_energy(energy, x, params, data, 3)
