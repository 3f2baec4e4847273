"""Every public class passes the checks of what it claims to be."""

import functools
import inspect

import instances
import numpy as np
import odl
import pytest
import torch
from instances.spaces import X

from odl_learned import (
    conformance,
    functionals,
    networks,
    operators,
    reconstruction,
    regularizers,
)

build = functools.cache(lambda table, name: getattr(instances, table)[name]())

WRONG_FOURIER_ADJOINT = (
    "ODL calls the inverse of its Fourier transform the adjoint, though the transform of its "
    "interpolation kernel makes it far from unitary; the module has the true transpose"
)
ODL_FOURIER = [name for name in instances.OPERATORS if name.startswith("ODL Fourier")]
FOURIER_CHECKS = ("check_adjoint", "check_dense_twin", "check_norm", "check_module_native",
                  "check_round_trip")  # fmt: skip
KNOWN_FAILURES = {
    (name, check): WRONG_FOURIER_ADJOINT
    for name in ODL_FOURIER
    for check in FOURIER_CHECKS
}
KNOWN_FAILURES |= {
    (name, check): "ODL calls the inverse of the discrete Fourier transform its adjoint, off by the"
    " number of entries (and by a factor of two per entry where it is half complex)"
    for name in instances.OPERATORS if name.startswith("discrete Fourier")
    for check in FOURIER_CHECKS
}
KNOWN_FAILURES |= {
    (name, check): "ODL calls the inverse of the wavelet transform its adjoint, which it is only "
    "with zero or periodized padding"
    for name in ("wavelet, symmetric", "wavelet inverse, symmetric")
    for check in FOURIER_CHECKS
}
KNOWN_FAILURES |= {
    ("pointwise inner, weighted space", check):
    "the adjoint ignores the weights of the product space"
    for check in FOURIER_CHECKS
}
KNOWN_FAILURES["pointwise inner, weights", "check_adjoint_of_adjoint"] = (
    "the adjoint of the adjoint takes weights for no weights, by an inverted test"
)
KNOWN_FAILURES |= {
    (name, "check_gradient_derivative"):
    "ODL takes the derivative of the gradient of the L1 norm for zero on complex spaces, too"
    for name in ("translation", "L1Norm complex, cut cells")
}


def cases(table):
    """One parameter per instance and check."""
    parameters = []
    for name in getattr(instances, table):
        for check in conformance.checks_for(build(table, name)):
            reason = KNOWN_FAILURES.get((name, check.__name__))
            marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
            id_ = f"{name}-{check.__name__}"
            parameters.append(pytest.param(table, name, check, id=id_, marks=marks))
    return parameters


@pytest.mark.parametrize(("table", "name", "check"), cases("OPERATORS"))
def test_operator(table, name, check, rng):
    torch.manual_seed(0)
    check(build(table, name), rng)


@pytest.mark.parametrize(("table", "name", "check"), cases("FUNCTIONALS"))
def test_functional(table, name, check, rng):
    torch.manual_seed(0)
    check(build(table, name), rng)


@pytest.mark.parametrize("name", instances.MODULES)
def test_module(name):
    torch.manual_seed(0)
    module, example = instances.MODULES[name]()
    for check in conformance.checks_for(module):
        check(module, example)


def public_classes(*rooms):
    """Every class that a room exports but results, which are tuples, as ``name: class``."""
    return {
        f"{room.__name__}.{name}": getattr(room, name)
        for room in rooms
        for name in room.__all__
        if inspect.isclass(getattr(room, name)) and not issubclass(getattr(room, name), tuple)
    }


def test_every_public_class_has_an_instance():
    classes = public_classes(operators, functionals, networks, reconstruction, regularizers)
    classes |= {name: cls for name, cls in public_classes(networks.equivariant).items()
                if issubclass(cls, torch.nn.Module)}  # fmt: skip
    classes |= {name: cls for name, cls in public_classes(networks.generative).items()
                if not inspect.isabstract(cls)}  # fmt: skip
    assert len(classes) >= 12
    built = [instances.OPERATORS[name]() for name in instances.OPERATORS]
    built += [instances.FUNCTIONALS[name]() for name in instances.FUNCTIONALS]
    for name in instances.MODULES:
        built += instances.MODULES[name]()[0].modules()
    for functional in [f for f in built if isinstance(f, regularizers.RidgeRegularizer)]:
        built += functional.ridge.modules()
    types = {type(obj) for obj in built}
    missing = [name for name, cls in classes.items() if cls not in types]
    assert not missing, f"add an instance of {missing} to tests/instances/"


def test_known_failures_are_of_instances():
    assert all(name in {**instances.OPERATORS, **instances.FUNCTIONALS}
               for name, _ in KNOWN_FAILURES)


class WrongAdjoint(odl.Operator):
    """An operator whose adjoint is off by one part in a thousand."""

    def __init__(self, space, factor=1.0):
        super().__init__(space, space, linear=True)
        self.factor = factor

    def _call(self, x):
        return self.factor * x

    @property
    def adjoint(self):
        return WrongAdjoint(self.domain, 1.001 * self.factor)


def test_a_wrong_adjoint_is_caught(rng):
    op = WrongAdjoint(X)
    failed = []
    for check in conformance.checks_for(op):
        try:
            check(op, rng)
        except AssertionError:
            failed.append(check.__name__)
    assert {"check_adjoint", "check_adjoint_of_adjoint", "check_dense_twin"} <= set(failed)


class WrongGradient(odl.functionals.Functional):
    """``|x|^2`` with the gradient of half of it, and a Lipschitz constant that is too small."""

    def __init__(self, space):
        super().__init__(space, grad_lipschitz=0.5)

    def _call(self, x):
        return x.inner(x)

    @property
    def gradient(self):
        return odl.IdentityOperator(self.domain)

    @property
    def proximal(self):
        return lambda sigma: odl.ScalingOperator(self.domain, 1 / (1 + sigma))


def test_wrong_functionals_are_caught(rng):
    f = WrongGradient(X)
    failed = []
    for check in conformance.checks_for(f):
        try:
            check(f, rng)
        except (AssertionError, RuntimeError):
            failed.append(check.__name__)
    assert {"check_gradient", "check_lipschitz", "check_proximal"} <= set(failed)


def test_checks_for_something_else():
    with pytest.raises(TypeError, match="expected an ODL operator or functional, or a torch"):
        conformance.checks_for(np.ones(3))
