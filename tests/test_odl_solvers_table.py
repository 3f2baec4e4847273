"""Our operators and functionals in ODL's own solvers: every one in every solver it is fit for.

Problems have a known minimizer, so that solvers must find it. With a linear operator ``A`` of norm
one, ``min |x - b|^2 / 2 + |A x - y|^2 / 2`` has the minimizer ``x`` that one likes, for
``b = x + A*(A x - y)``. With a functional ``f`` that has a proximal, ``min |x - b|^2 / 2 + f(x)``
has the minimizer ``prox_f(b)``. What has a gradient only must reach a small one.
"""

import functools
import inspect

import instances
import numpy as np
import odl
import pytest
from instances.spaces import F

from odl_learned import functionals, operators
from odl_learned.conformance.sampling import (
    has_gradient,
    has_proximal,
    is_complex,
    sample,
)

S = odl.solvers
build = functools.cache(lambda table, name: getattr(instances, table)[name]())

FUNCTIONS = ("gradient", "ray transform", "back projection", "mask", "fan beam", "emission",
             "normalized")  # fmt: skip


def is_ours(obj):
    """Whether the class of an object is defined in this package."""
    return type(obj).__module__.startswith("odl_learned.")


def first_of_each_kind(objects):
    """Names of the first object of each class, real and complex, by name or function."""
    kinds = {}
    for name, obj in objects.items():
        named = next((start for start in FUNCTIONS if name.startswith(start)), type(obj))
        kinds.setdefault((named if not is_ours(obj) else type(obj), is_complex(obj.domain)), name)
    return list(kinds.values())


LINEAR = first_of_each_kind({
    name: op for name in instances.OPERATORS if (op := build("OPERATORS", name)).is_linear
    and (is_ours(op) or name.startswith(FUNCTIONS))})  # fmt: skip
OURS = {name: build("FUNCTIONALS", name) for name in instances.FUNCTIONALS
        if is_ours(build("FUNCTIONALS", name)) or name.startswith(("weighted_l1", "l2_fidelity"))}
PROXIMAL = first_of_each_kind({name: f for name, f in OURS.items() if has_proximal(f)})
# - b l(y) falls cubically in mean and counts together: there is nothing to minimize with both free.
WITHOUT_MINIMUM = (functionals.PoissonLikelihood,)
GRADIENT = first_of_each_kind({name: f for name, f in OURS.items()
                               if has_gradient(f) and not isinstance(f, WITHOUT_MINIMUM)})
ITERATIVE = (functionals.TotalVariation, functionals.TotalGeneralizedVariation)

# ODL's BFGS computes complex inner products where its formulas need real ones.
NOT_ON_COMPLEX_SPACES = {"bfgs"}


def pairs(names, table, solvers):
    """Every name with every solver that it is fit for."""
    return [pytest.param(name, solver, id=f"{name}-{solver.__name__}")
            for name in names for solver in solvers
            if not (solver.__name__ in NOT_ON_COMPLEX_SPACES and is_complex(table(name).domain))]


class Converged(Exception):
    """The way to stop a solver of ODL."""


# Smooth and proximal problems: half the squared distance to ``b`` plus g(A x).


def distance(b):
    """``|x - b|^2 / 2``."""
    return functionals.l2_fidelity(b)


def pdhg(x, b, g, A, h, niter=50):
    S.pdhg(x, distance(b), g, A, niter=niter, tau=0.9, sigma=0.9)


def forward_backward(x, b, g, A, h, niter=50):
    S.forward_backward_pd(x, F.ZeroFunctional(A.domain), [g], [A], distance(b), tau=0.5,
                          sigma=[0.9], niter=niter)  # fmt: skip


def douglas_rachford(x, b, g, A, h, niter=50):
    S.douglas_rachford_pd(x, distance(b), [g], [A], niter=niter, tau=1.0, sigma=[0.9])


def admm(x, b, g, A, h, niter=50):
    S.admm_linearized(x, distance(b), g, A, tau=0.9, sigma=1.0, niter=niter)


def proximal_gradient(x, b, g, A, h):
    S.proximal_gradient(x, distance(b), h, gamma=0.9, niter=30)


def accelerated_proximal_gradient(x, b, g, A, h):
    S.accelerated_proximal_gradient(x, distance(b), h, gamma=0.9, niter=50)


def bfgs(x, b, g, A, h):
    S.bfgs_method(distance(b) + h, x, line_search=S.ConstantLineSearch(0.5), maxiter=25)


def conjugate_gradient_nonlinear(x, b, g, A, h):
    S.conjugate_gradient_nonlinear(distance(b) + h, x, line_search=S.ConstantLineSearch(0.5),
                                   maxiter=25, nreset=25)  # fmt: skip


def steepest_descent(x, b, g, A, h):
    S.steepest_descent(distance(b) + h, x, line_search=0.5, maxiter=30)


def newton(x, b, g, A, h):
    S.newtons_method(distance(b) + h, x, line_search=1.0, maxiter=2, cg_iter=20)


def conjugate_gradient(x, b, g, A, h):
    y = -g.gradient(A.range.zero())
    S.conjugate_gradient(odl.IdentityOperator(A.domain) + A.adjoint @ A, x, b + A.adjoint(y), 25)


def conjugate_gradient_normal(x, b, g, A, h):
    stacked = odl.BroadcastOperator(odl.IdentityOperator(A.domain), A)
    data = stacked.range.element([b, -g.gradient(A.range.zero())])

    def stop(x):  # since it goes on, and away, where it has converged
        if stacked.adjoint(stacked(x) - data).norm() <= 1e-6 * stacked.adjoint(data).norm():
            raise Converged

    with pytest.raises(Converged):
        S.conjugate_gradient_normal(stacked, x, data, niter=25, callback=stop)


def landweber(x, b, g, A, h):
    stacked = odl.BroadcastOperator(odl.IdentityOperator(A.domain), A)
    S.landweber(stacked, x, stacked.range.element([b, -g.gradient(A.range.zero())]), niter=30,
                omega=0.6)  # fmt: skip


PROXIMAL_SOLVERS = [pdhg, forward_backward, douglas_rachford, admm]
SMOOTH_SOLVERS = [proximal_gradient, accelerated_proximal_gradient, bfgs, steepest_descent,
                  conjugate_gradient_nonlinear]  # fmt: skip
LINEAR_SOLVERS = [newton, conjugate_gradient, conjugate_gradient_normal, landweber]


@functools.cache
def quadratic(name):
    """A problem with a known minimizer: ``x, b, g, A, g(A x)``."""
    rng = np.random.default_rng(0)
    A = operators.normalized(build("OPERATORS", name))
    x, y = (operators.random_element(space, rng) for space in (A.domain, A.range))
    g = functionals.l2_fidelity(y)
    return x, x + A.adjoint(A(x) - y), g, A, g @ A


@pytest.mark.parametrize(("name", "solver"), pairs(
    LINEAR, lambda name: build("OPERATORS", name),
    PROXIMAL_SOLVERS + SMOOTH_SOLVERS + LINEAR_SOLVERS))
def test_operators(name, solver):
    expected, b, g, A, h = quadratic(name)
    x = A.domain.zero()
    solver(x, b, g, A, h)
    assert (x - expected).norm() <= 2e-4 * expected.norm()


@functools.cache
def denoising(name):
    f = OURS[name]
    b = sample(f, np.random.default_rng(1))
    return b, f, odl.IdentityOperator(f.domain)


@pytest.mark.parametrize("solver", PROXIMAL_SOLVERS)
@pytest.mark.parametrize("name", PROXIMAL)
def test_functionals_with_a_proximal(name, solver):
    b, f, identity = denoising(name)
    expected, x = f.proximal(1.0)(b), 1.0 * b
    slow = isinstance(f, ITERATIVE)
    solver(x, b, f, identity, None, niter=12 if slow else 50)
    assert (x - expected).norm() <= (1e-2 if slow else 1e-3) * b.norm()


@pytest.mark.parametrize("solver", [S.proximal_gradient, S.accelerated_proximal_gradient])
@pytest.mark.parametrize("name", PROXIMAL)
def test_functionals_in_proximal_gradient_methods(name, solver):
    b, f, _ = denoising(name)
    expected, x = f.proximal(1.0)(b), 1.0 * b
    solver(x, f, distance(b), gamma=0.7, niter=12 if isinstance(f, ITERATIVE) else 40)
    assert (x - expected).norm() <= (1e-2 if isinstance(f, ITERATIVE) else 1e-4) * b.norm()


@pytest.mark.parametrize(("name", "solver"), pairs(GRADIENT, OURS.get, SMOOTH_SOLVERS))
def test_functionals_with_a_gradient(name, solver):
    b, f, identity = denoising(name)
    L = f.grad_lipschitz
    f = min(1.0, 1 / L) * f if np.isfinite(L) and L > 0 else 0.05 * f
    x = 1.0 * b
    solver(x, b, f, identity, f)
    slope = (distance(b) + f).gradient(x).norm()
    assert slope <= 1e-3 * (f.gradient(b)).norm() + 1e-6 * b.norm()


def test_bfgs_still_fails_on_complex_spaces():
    """If this fails, ODL can do it: take bfgs out of NOT_ON_COMPLEX_SPACES and docs/odl_1_0.md."""
    expected, b, g, A, h = quadratic("mask complex")
    x = A.domain.zero()
    bfgs(x, b, g, A, h)
    assert not (x - expected).norm() <= expected.norm()


def test_everything_of_ours_is_in_the_table():
    nonlinear = {operators.PointwiseExponential, operators.FunctionalMultiple,
                 operators.BlockProduct, operators.BlockInsertion, operators.RootSumOfSquares}
    seen = {type(build("OPERATORS", name)) for name in LINEAR} | {type(f) for f in OURS.values()}
    for room, base in ((operators, odl.Operator), (functionals, F.Functional)):
        classes = {cls for name in room.__all__ if inspect.isclass(cls := getattr(room, name))
                   and issubclass(cls, base)}
        assert len(classes) > 10
        assert classes - seen - nonlinear == set()
    solved = {type(OURS[name]) for name in PROXIMAL + GRADIENT}
    assert {type(f) for f in OURS.values()} - solved == set(WITHOUT_MINIMUM)
