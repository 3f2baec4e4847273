"""Total variation as a map to compare with: solutions, directions, and worst perturbations."""

import numpy as np
import odl
import pytest
import torch

from odl_learned import data, operators, solvers, variational
from odl_learned.functionals import BoxConstraint, MagnitudeBound, l2_fidelity
from odl_learned.reconstruction import stability_report, tv_map, worst_perturbation
from odl_learned.reconstruction.trust.tried_maps import Spaces, TriedMap


def step(n=12):
    """Twice the identity, data of a step of 5 and 7 points, and the map of strength one."""
    X = odl.uniform_discr(0, 3, n)
    A = 2 * odl.IdentityOperator(X)
    y = torch.where(torch.arange(n) < 5, 1.0, 3.0).double()[None]
    return A, y, tv_map(A, 1.0, BoxConstraint(X, -9, 9), accuracy=1e-6, maxiter=20000)


def test_a_step_is_lowered_as_in_closed_form():
    A, y, phi = step()
    h = 3 / 12
    # 1/2 sum h |2 u - y|^2 + |jump|; a plateau of m points: 2 h m (2 u - y) = +- 1
    expected = np.where(np.arange(12) < 5, 0.5 + 1 / (4 * h * 5), 1.5 - 1 / (4 * h * 7))
    solution = phi.solve(y)
    assert solution.reason[0] == "accuracy"
    error = A.domain.element(phi(y)[0].numpy() - expected).norm()
    assert 2 * error**2 <= solution.gap[0]  # the problem is 4-strongly convex


def test_the_direction_is_the_mean_over_plateaus():
    A, y, phi = step()
    r = torch.as_tensor(np.random.default_rng(0).standard_normal((1, 12)))
    found = TriedMap("map", phi, Spaces(A)).pull_back(y, lambda _: r)[0]
    mean = torch.where(torch.arange(12) < 5, r[0, :5].mean(), r[0, 5:].mean()) / 2
    # smoothed by 0.1 per cent, solved to one per cent
    assert float((found - mean).norm()) < 0.02 * float(r.norm() / 2)


def test_the_worst_perturbation_is_found_by_ascent_and_not_at_random():
    A, y, phi = step()
    generator = torch.Generator().manual_seed(0)
    found = worst_perturbation(phi, A, y, 0.2, generator=generator, steps=3, starts=1)
    # The mean over plateaus has norm 1/2; solutions are up to sqrt(gap / 2), 1.2e-3, off.
    assert 0.95 * 0.1 <= float(found.change) <= 0.1 + 2.4e-3
    assert float(found.random_change) < 0.4 * 0.2
    again = phi(y + found.perturbation) - phi(y)
    norm = A.domain.element(again[0].numpy()).norm()
    assert float(found.change) == pytest.approx(norm, rel=1e-12)


def test_reports_call_its_rows_ascents_without_a_lipschitz_constant():
    A, y, phi = step()
    report = stability_report({"TV": phi}, A, [A.domain.one()], y, epsilon=0.01, steps=1, starts=1,
                              generator=torch.Generator().manual_seed(0))
    row = report.rows["TV"]
    assert row.lipschitz is None and not row.is_searched and "random search" not in str(report)
    assert torch.equal(row.before, phi(y)) and torch.equal(row.after, phi(y + row.perturbation))


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_images_in_batches_are_those_of_the_solver(rng, dtype):
    X = odl.uniform_discr([0, 0], [1, 1], (6, 5), dtype=dtype)
    bound = BoxConstraint(X, -9, 9) if dtype == "float32" else MagnitudeBound(X, 9)
    A = odl.IdentityOperator(X) if dtype == "float32" else operators.SampledFourier(
        X, rng.random((6, 5)) < 0.7)  # fmt: skip
    x = [data.random_ellipses(X, rng) for _ in range(2)]
    y = torch.stack([torch.as_tensor(A(v).asarray()) for v in x])
    phi = tv_map(A, 0.01, bound, accuracy=1e-2)
    u = phi(y[None])
    assert u.shape == (1, 2, 6, 5)
    for k in range(2):
        problem = variational.tv_problem(A, l2_fidelity(A.range.element(y[k].numpy())), 0.01, bound)
        one = solvers.primal_dual(problem, accuracy=1e-2, maxiter=1000)
        assert np.allclose(u[0, k], one.x.asarray(), atol=1e-3)
    assert torch.equal(phi(y[1]), u[0, 1])  # alone as among others, also from memory
    assert torch.equal(tv_map(A, 0.01, bound, accuracy=1e-2)(y[1]), u[0, 1])


def test_what_was_not_solved_is_said():
    A, y, _ = step()
    hasty = tv_map(A, 1.0, BoxConstraint(A.domain, -9, 9), accuracy=1e-9, maxiter=3)
    with pytest.warns(RuntimeWarning, match="not solved to a relative gap of 1.0e-09 in 1 of 1"):
        hasty(y)


def test_a_second_derivative_is_an_error():
    A, y, phi = step()
    y.requires_grad_()
    (g,) = torch.autograd.grad(phi(y).square().sum(), y, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        g.sum().backward()


@pytest.mark.parametrize("spoil, error, message", [
    ({"alpha": 0.0}, ValueError, "alpha is 0.0"),
    ({"constraint": None}, TypeError, "constraint is None, expected one of functionals"),
    ({"constraint": 3}, TypeError, "constraint is 3"),
    ({"accuracy": -1.0}, ValueError, "accuracy is -1.0"),
    ({"maxiter": 0}, ValueError, "maxiter is 0"),
    ({"forward_op": 3}, TypeError, "forward_op is 3"),
])  # fmt: skip
def test_errors_name_what_was_expected(spoil, error, message):
    A = odl.IdentityOperator(odl.uniform_discr(0, 1, 4))
    arguments = {"forward_op": A, "alpha": 1.0, "constraint": BoxConstraint(A.domain, 0, 1)} | spoil
    with pytest.raises(error, match=message):
        tv_map(**arguments)
