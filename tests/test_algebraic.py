"""SIRT and SART against dense formulas, their theorems, and each other."""

import numpy as np
import odl
import pytest
import torch
from instances.spaces import X as SMALL

from odl_learned import operators
from odl_learned.bridge import as_batch
from odl_learned.solvers import DivergenceError, RowColumnWeights, landweber, sart

SIRT = RowColumnWeights()
NEVER = 1e-300


def nonnegative(rng, m=6, n=6, weighted=False):
    """A sparse nonnegative matrix with a row and a column of zeros, as an operator."""
    matrix = rng.random((m, n)) * (rng.random((m, n)) < 0.7) + 0.1 * np.eye(m, n)
    matrix[1], matrix[:, 2] = 0, 0
    weights = {"weighting": 0.3 + rng.random(n)} if weighted else {}
    domain = odl.rn(n, **weights)
    weights = {"weighting": 2.5} if weighted else {}
    return odl.MatrixOperator(matrix, domain, odl.rn(m, **weights)), matrix


def dense_weights(A, matrix):
    """``R``, ``C`` and ``A*`` as arrays, by the definition of the adjoint."""
    w_x, w_y = (np.broadcast_to(getattr(space.weighting, "array", None)
                                if hasattr(space.weighting, "array") else space.weighting.const,
                                space.shape) for space in (A.domain, A.range))
    adjoint = (matrix * w_y[:, None]).T / w_x[:, None]
    with np.errstate(divide="ignore"):
        rows, columns = (1 / sums for sums in (matrix.sum(1), adjoint @ np.ones(len(matrix))))
    return np.where(rows < np.inf, rows, 0), np.where(columns < np.inf, columns, 0), adjoint


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("omega", [None, 0.5, 1.9])
def test_iterates_are_those_of_the_dense_formula(weighted, omega, rng):
    A, matrix = nonnegative(rng, weighted=weighted)
    rows, columns, adjoint = dense_weights(A, matrix)
    assert rows[1] == 0 and columns[2] == 0
    y, x0 = rng.standard_normal(6), rng.standard_normal(6)
    x = x0
    for _ in range(5):
        x = x + (omega or 1) * columns * (adjoint @ (rows * (y - matrix @ x)))
    start = A.domain.element(x0)
    found = landweber(A, A.range.element(y), start, NEVER, omega=omega, maxiter=5,
                      preconditioner=SIRT)
    assert found.niter == 5 and found.reason == "maxiter" and found.error_bound is None
    assert np.abs(found.x.data - x).max() < 1e-13 * np.abs(x).max()
    assert found.x.data[2] == x0[2] and np.array_equal(start.data, x0)


def test_the_weighted_residual_never_grows_and_the_weighted_norm_is_at_most_one(rng):
    for _ in range(20):
        A, matrix = nonnegative(rng, 7, 6, weighted=True)
        rows, columns, adjoint = dense_weights(A, matrix)
        eigenvalues = np.linalg.eigvals(columns[:, None] * adjoint @ (rows[:, None] * matrix))
        assert eigenvalues.real.max() < 1 + 1e-12
        y, sizes = rng.standard_normal(7), []
        landweber(A, A.range.element(y), A.domain.zero(), NEVER, omega=1.99, maxiter=50,
                  callback=lambda x, y=y, m=matrix, r=rows, s=sizes: s.append(
                      np.sum(r * (y - m @ x.data) ** 2)), preconditioner=SIRT)
        assert np.all(np.diff(sizes) <= 1e-12 * sizes[0])


def test_the_limit_is_the_weighted_least_squares_solution_nearest_to_the_start(rng):
    A, matrix = nonnegative(rng, 4, 6, weighted=True)
    matrix[3] = matrix[0]  # inconsistent data, and a kernel
    A = odl.MatrixOperator(matrix, A.domain, A.range)
    rows, columns, adjoint = dense_weights(A, matrix)
    y, x0 = rng.standard_normal(4), rng.standard_normal(6)
    w_x = A.domain.weighting.array
    scale = np.sqrt(columns / w_x)  # v = C^(1/2) W^(-1/2) t has <C^-1 v, v> = |t|^2
    t = np.linalg.pinv(np.sqrt(rows)[:, None] * matrix * scale, rcond=1e-10) @ (
        np.sqrt(rows) * (y - matrix @ x0))
    found = landweber(A, A.range.element(y), A.domain.element(x0), NEVER, omega=1.9, maxiter=500,
                      preconditioner=SIRT)
    assert np.abs(found.x.data - (x0 + scale * t)).max() < 1e-8


def test_discrepancy_stops_in_the_norm_of_the_data(rng):
    space = odl.uniform_discr([-1, -1], [1, 1], (16, 16), dtype="float32")
    A = operators.parallel_ray_transform(space, 12)
    exact = A(odl.phantom.shepp_logan(space, modified=True))
    noise = 0.05 * operators.random_element(A.range, rng)
    iterates = []
    found = landweber(A, exact + noise, space.zero(), noise.norm(), callback=iterates.append,
                      preconditioner=SIRT)
    residuals = [(A(x) - exact - noise).norm() for x in iterates]
    assert found.reason == "discrepancy" and found.niter == len(iterates) > 1
    assert residuals[-1] <= 1.1 * noise.norm() * (1 + 1e-6) and residuals[-2] > 1.1 * noise.norm()


def test_one_subset_is_sirt_and_subsets_are_steps_one_after_the_other(rng):
    A, matrix = nonnegative(rng)
    y, x0 = A.range.element(rng.standard_normal(6)), A.domain.element(rng.standard_normal(6))
    one = sart([A], [y], x0, NEVER, omega=1.3, maxiter=7)
    sirt = landweber(A, y, x0, NEVER, omega=1.3, maxiter=7, preconditioner=SIRT)
    assert np.array_equal(one.x.data, sirt.x.data) and one.niter == 7

    parts = [odl.MatrixOperator(matrix[k::2], A.domain) for k in range(2)]
    data = [part.range.element(y.data[k::2]) for k, part in enumerate(parts)]
    x = x0
    for _ in range(4):
        for part, values in zip(parts, data, strict=True):
            x = landweber(part, values, x, NEVER, maxiter=1, preconditioner=SIRT).x
    assert np.abs(sart(parts, data, x0, NEVER, maxiter=4).x.data - x.data).max() < 1e-13


def test_subsets_of_views_get_further_and_stop(rng):
    space = odl.uniform_discr([-1, -1], [1, 1], (24, 24), dtype="float32")
    A = operators.parallel_ray_transform(space, 24)
    truth = odl.phantom.shepp_logan(space, modified=True)
    parts = operators.view_subsets(A, 6)
    data = [part(truth) for part in parts]
    sirt = landweber(A, A(truth), space.zero(), NEVER, maxiter=10, preconditioner=SIRT).x
    fast = sart(parts, data, space.zero(), NEVER, maxiter=3).x
    assert (fast - truth).norm() < (sirt - truth).norm()

    noise = [0.05 * operators.random_element(part.range, rng) for part in parts]
    level = np.sqrt(sum(e.norm() ** 2 for e in noise))
    data = [y + e for y, e in zip(data, noise, strict=True)]
    iterates = []
    found = sart(parts, data, space.zero(), level, callback=iterates.append)
    sizes = [np.sqrt(sum((part(x) - y).norm() ** 2 for part, y in zip(parts, data, strict=True)))
             for x in iterates]
    assert found.reason == "discrepancy" and sizes[-1] <= 1.1 * level * (1 + 1e-6) < sizes[-2]


class Scaled:
    """Multiplications by images, one for each sample: entrywise, with one sum over all pixels."""

    def __init__(self, factors):
        self.factors = factors

    def __call__(self, x):
        return self.factors * x

    @property
    def adjoint(self):
        return self

    def take(self, index):
        return Scaled(self.factors[index, ...])


@pytest.mark.parametrize("world", [np.asarray, torch.from_numpy])
def test_a_sample_has_the_same_bits_alone_and_in_a_batch(world, rng):
    factors = rng.random((2, 6, 5, 4)) + 0.1
    factors[:, 1] *= 1e-6  # small among others, but not alone
    factors[0, :, 0] = 0
    y, x0 = rng.standard_normal((2, 6, 5, 4)), rng.standard_normal((6, 5, 4))
    y[0, :, 0] = 0
    level = np.geomspace(0.5, 0.01, 6)

    def both(i):
        ops = [Scaled(world(f[i])) for f in factors]
        data = [world(v[i]) for v in y]
        return (landweber(ops[0], data[0], world(x0[i]), level[i], omega=0.7, maxiter=30,
                          preconditioner=SIRT),
                sart(ops, data, world(x0[i]), level[i] + 6, omega=0.7, maxiter=30))

    together = both(np.arange(6))
    assert len(set(together[0].niter)) > 1
    for k in range(6):
        for all_of_them, alone in zip(together, both(np.array([k])), strict=True):
            assert np.array_equal(np.asarray(all_of_them.x[k]), np.asarray(alone.x[0]))
            assert all_of_them.niter[k] == alone.niter[0]
            assert all_of_them.reason[k] == alone.reason[0]


def test_batches_are_their_elements(rng):
    space = odl.uniform_discr([-1, -1], [1, 1], (12, 12), dtype="float32")
    A = operators.parallel_ray_transform(space, 8)
    parts = operators.view_subsets(A, 2)
    x = rng.random((3, 12, 12)).astype("float32")
    zero = torch.zeros(3, 12, 12, dtype=torch.float32)
    data = [torch.stack([torch.from_numpy(P(space.element(v)).data.copy()) for v in x])
            for P in (A, *parts)]
    level = 0.05 * np.arange(1, 4)
    sirt = landweber(as_batch(A), data[0], zero, level, preconditioner=SIRT)
    subsets = sart([as_batch(P) for P in parts], data[1:], zero, level)
    assert set(sirt.reason) == set(subsets.reason) == {"discrepancy"}
    # at most a hundred iterations, each rounded by some 1e-7
    assert sirt.niter.max() <= 100 and subsets.niter.max() <= 100
    for k in range(3):
        y = [P.range.element(v[k].numpy()) for P, v in zip((A, *parts), data, strict=True)]
        one = landweber(A, y[0], space.zero(), level[k], preconditioner=SIRT)
        two = sart(parts, y[1:], space.zero(), level[k])
        for many, alone in ((sirt, one), (subsets, two)):
            assert many.niter[k] == alone.niter
            assert np.abs(many.x[k].numpy() - alone.x.data).max() < 1e-5


def test_a_step_too_large_diverges_and_says_so(rng):
    A, _ = nonnegative(rng)
    y = A(A.domain.element(rng.random(6)))
    with pytest.raises(DivergenceError, match=r"omega = 3 must be less than 2 .*at most 1 if"):
        landweber(A, y, A.domain.zero(), NEVER, omega=3.0, preconditioner=SIRT)


def test_entries_whose_sums_hide_their_signs_diverge_and_say_so():
    B = odl.MatrixOperator(np.array([[1.0, -0.9], [-0.9, 1.0]]))
    with pytest.raises(DivergenceError, match="nonnegative entries, so check that"):
        landweber(B, B.range.element([1, -1]), B.domain.zero(), NEVER, preconditioner=SIRT)
    with pytest.raises(DivergenceError, match="nonnegative entries"), np.errstate(all="ignore"):
        sart([B], [B.range.element([1, -1])], B.domain.zero(), NEVER, maxiter=1000)


EYE = odl.IdentityOperator(SMALL)
GRADIENT = operators.gradient(SMALL)
NEGATIVE = -1 * EYE
COMPLEX = odl.IdentityOperator(odl.cn(3))


def step(A, **changes):
    return landweber(A, A.range.one(), A.domain.zero(), 1e-3, preconditioner=SIRT, **changes)


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: step(NEGATIVE), ValueError, "A 1 has the minimum -1, expected nonnegative"),
    (lambda: step(odl.ZeroOperator(SMALL)), ValueError, "A 1 is zero, expected a positive sum"),
    (lambda: step(COMPLEX), TypeError, "data is .*expected a real array"),
    (lambda: step(GRADIENT), TypeError, "data is .*expected a real array"),
    (lambda: landweber(EYE, SMALL.one(), SMALL.zero(), 1, preconditioner=RowColumnWeights),
     TypeError, r"preconditioner is .*expected solvers.RowColumnWeights\(\)"),
    (lambda: sart(EYE, [SMALL.one()], SMALL.zero(), 1), TypeError, "forward_ops is .*a list"),
    (lambda: sart([EYE], [], SMALL.zero(), 1), ValueError, "1 operators and 0 data"),
    (lambda: sart([EYE], [SMALL.one()], SMALL.zero(), 1, omega=2.0), ValueError,
     "omega is 2; expected less than 2"),
    (lambda: sart([EYE], [SMALL.one()], SMALL.zero(), 1, tau=0.5), ValueError, "tau is 0.5"),
    (lambda: sart([EYE], [SMALL.one()], SMALL.zero(), 0), ValueError, "noise_norm is 0"),
    (lambda: sart([EYE], [GRADIENT.range.one()], SMALL.zero(), 1), TypeError, "data is not an el"),
    (lambda: sart([NEGATIVE], [SMALL.one()], SMALL.zero(), 1), ValueError, "A 1 has the minimum"),
])  # fmt: skip
def test_wrong_inputs_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
