"""Images with one point along an axis: what differs along it is nothing, and the rest is a line."""

import numpy as np
import odl
import pytest
import torch

from odl_learned import functionals as F
from odl_learned import operators as ops
from odl_learned import solvers, variational
from odl_learned.bridge import as_module
from odl_learned.conformance.sampling import dense_matrix

LINE = odl.uniform_discr(0, 1, 6)
#: Its extent of one along the other axes leaves all weights as they are on the line.
SHAPES = {(1, 6): 1, (6, 1): 0, (1, 6, 1): 1}


def image(shape, values):
    space = odl.uniform_discr([0] * len(shape), [1] * len(shape), shape)
    return space.element(values.reshape(shape))


@pytest.fixture(params=SHAPES, ids=str)
def pair(request, rng):
    """An image of this shape, the axis along which it is long, and the line with its values."""
    values = rng.standard_normal(6)
    return image(request.param, values), SHAPES[request.param], LINE.element(values)


def on_tensor(op, x):
    return as_module(op)(torch.from_numpy(x.data)).numpy()


def test_gradient_is_that_of_the_line(pair):
    u, along, line = pair
    D = ops.gradient(u.space)
    for axis, part in enumerate(D(u)):
        expected = ops.gradient(LINE)(line)[0].data if axis == along else np.zeros(6)
        np.testing.assert_array_equal(part.data.ravel(), expected)
    np.testing.assert_allclose(on_tensor(D, u), D(u).asarray(), rtol=1e-14, atol=1e-14)
    assert ops.operator_norm(D) == pytest.approx(np.linalg.norm(dense_matrix(D), 2), rel=1e-13)
    assert D(u).inner(D(u)) == pytest.approx(u.inner(D.adjoint(D(u))), rel=1e-13)


def test_symmetrized_gradient_is_that_of_the_line(pair, rng):
    u, along, _ = pair
    E = ops.SymmetrizedGradient(u.space**u.space.ndim)
    v = ops.random_element(E.domain, rng)
    image, on_line = E(v), ops.SymmetrizedGradient(LINE**1)([v[along].data.ravel()])
    np.testing.assert_array_equal(image[along].data.ravel(), on_line[0].data)
    assert all(np.all(part.data == 0) for i, part in enumerate(image) if i != along)
    for op, x in ((E, v), (E.adjoint, image)):
        module = as_module(op)(torch.from_numpy(np.stack([part.data for part in x])))
        np.testing.assert_allclose(module.numpy(), op(x).asarray(), rtol=1e-14, atol=1e-13)


@pytest.mark.parametrize("build", [
    lambda X: F.SmoothedTV(X, 1.0, 0.1, 0.2), F.H1Seminorm, F.TotalVariation,
    lambda X: F.TotalGeneralizedVariation(X, 1.0)],
    ids=["smoothed", "H1", "TV", "TGV"])  # fmt: skip
def test_functionals_are_those_of_the_line(build, pair):
    """Total generalized variation and proximals are iterations with a gap of their own."""
    u, _, line = pair
    f, g = build(u.space), build(LINE)
    rtol = 2e-3 if isinstance(f, F.TotalGeneralizedVariation) else 1e-13
    assert f(u) == pytest.approx(g(line), rel=rtol)
    assert f(u) == pytest.approx(float(as_module(f)(torch.from_numpy(u.data))), rel=rtol)
    if hasattr(f, "accuracy") or isinstance(f, F.H1Seminorm):
        got, expected = f.proximal(0.1)(u).data.ravel(), g.proximal(0.1)(line).data
        assert np.linalg.norm(got - expected) <= 1e-2 * np.linalg.norm(expected)
    else:
        gradient = f.gradient(u).data.ravel()
        np.testing.assert_allclose(gradient, g.gradient(line).data, rtol=1e-12)
        assert f.grad_lipschitz == pytest.approx(g.grad_lipschitz, rel=1e-12)


@pytest.mark.parametrize("problem_of", [variational.h1_problem, variational.tv_problem])
def test_problems_are_those_of_the_line(problem_of, pair):
    check_problem(problem_of, *pair[::2])


def test_problem_of_second_order_is_that_of_the_line(rng):
    values = rng.standard_normal(6)
    check_problem(lambda A, D, alpha: variational.tgv_problem(A, D, alpha, 0.1),
                  image((1, 6), values), LINE.element(values))


def check_problem(problem_of, u, line):
    """With a gap of ``0.05 |u|^2 / 2`` each is ``0.05^(1/2) |u|`` away from the minimizer."""
    solutions = []
    for x in (u, line):
        problem = problem_of(odl.IdentityOperator(x.space), F.l2_fidelity(x), 0.01)
        solutions.append(solvers.primal_dual(problem, problem.L.domain.zero(), 0.05))
    values = [getattr(s.x, "parts", [s.x])[0].data.ravel() for s in solutions]
    assert all(s.reason == "accuracy" for s in solutions)
    assert np.linalg.norm(values[0] - values[1]) <= 2 * 0.05**0.5 * np.linalg.norm(line.data)


def test_a_single_point():
    u = image((1, 1), np.array([2.0]))
    problem = variational.tv_problem(odl.IdentityOperator(u.space), F.l2_fidelity(u), 0.1)
    assert problem.operator_norm == 0 and problem.step_sizes() > (0, 0)
    x, y = problem.L.domain.zero(), problem.L.range.zero()
    (tau, sigma), (f, g, L) = problem.step_sizes(), problem
    odl.solvers.pdhg(x, f, g, L, niter=200, tau=tau, sigma=sigma, y=y)
    assert float(x.data[0, 0]) == pytest.approx(2) and problem.gap(x, y) == pytest.approx(0)


def test_other_paddings():
    X = odl.uniform_discr([0, 0], [1, 2], (1, 3))
    u = X.element([[1.0, 2.0, 4.0]])
    for method, expected in (("forward", -u.data), ("backward", u.data), ("central", 0 * u.data)):
        D = odl.PartialDerivative(X, 0, method=method, pad_mode="constant")
        np.testing.assert_array_equal(D(u).data, expected)
        assert D(u).inner(u) == u.inner(D.adjoint(u))
    for pad_mode in ("periodic", "order0"):
        assert odl.PartialDerivative(X, 0, pad_mode=pad_mode)(u).norm() == 0
    with pytest.raises(ValueError, match="at least two"):
        odl.PartialDerivative(X, 0, pad_mode="order1")(u)
