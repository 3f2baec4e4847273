"""Fan beams, emission tomography, and expectation maximization, against closed forms and ODL."""

import numpy as np
import odl
import pytest
import torch
from odl.applications import tomo

from odl_learned import data, functionals, solvers
from odl_learned import operators as ops
from odl_learned.bridge import as_batch

X = odl.uniform_discr([-1, -1], [1, 1], (24, 24), dtype="float32")
RAY = ops.parallel_ray_transform(X, 12)
X0 = X.one()


def disk(space, radius):
    """The indicator of a disk about the origin, with the share of each pixel that is inside."""
    n = space.shape[0]
    fine = odl.uniform_discr(space.min_pt, space.max_pt, (8 * n, 8 * n))
    x, y = fine.meshgrid
    inside = (x**2 + y**2 <= radius**2).astype(float)
    return space.element(inside.reshape(n, 8, n, 8).mean((1, 3)))


@pytest.fixture(scope="module")
def scan():
    """Truth, operator, background and noisy counts."""
    rng = np.random.default_rng(0)
    truth = disk(X, 0.7) + 2 * disk(X, 0.3)
    attenuation = ops.attenuation_factors(RAY, 0.5 * disk(X, 0.8))
    forward_op = ops.emission_operator(RAY, attenuation, 40.0)
    background = 5 * forward_op.range.one()
    counts = data.poisson_counts(forward_op(truth) + background, rng)
    return truth, forward_op, background, counts


def test_fan_beam_integrates_along_its_lines():
    space = odl.uniform_discr([-1, -1], [1, 1], (128, 128), dtype="float32")
    radius, src, det = 0.6, 3.0, 1.5
    A = ops.fan_beam_ray_transform(space, 8, src, det)
    s = A.range.meshgrid[1].ravel()
    distance = src * np.sin(np.arctan(s / (src + det)))
    chord = 2 * np.sqrt(np.maximum(radius**2 - distance**2, 0))
    values = A(disk(space, radius)).data
    # a line at distance d <= R of the center meets the gray rim, one pixel wide, twice: the chord
    # is off by at most that of a disk larger by a pixel side, sqrt((R + h)^2 - d^2).
    h = space.cell_sides[0]
    larger = 2 * np.sqrt(np.maximum((radius + h) ** 2 - distance**2, 0))
    smaller = 2 * np.sqrt(np.maximum((radius - h) ** 2 - distance**2, 0))
    assert np.all(values <= larger + 1e-5) and np.all(values >= smaller - 1e-5)
    assert np.abs(values - chord).mean() < 0.2 * h


def test_fan_beam_covers_the_domain_with_bins_as_wide_as_pixels():
    A = ops.fan_beam_ray_transform(X, 4, 3.0, 1.5)
    corner = np.arcsin(np.sqrt(2) / 3)
    assert A.range.domain.max_pt[1] == pytest.approx(4.5 * np.tan(corner))
    assert A.range.cell_sides[1] <= 1.5 * X.cell_sides[0]
    assert A.range.shape == (4, 41)  # 2 * 4.5 tan(asin(sqrt(2) / 3)) = 4.81 = 38.5 * 0.125
    assert A.range.domain.extent[0] == pytest.approx(2 * np.pi)
    assert ops.fan_beam_ray_transform(X, 4, 3.0, 0, 7, 1.0).range.shape == (4, 7)


def test_fan_beam_of_a_multiple_of_four_views_commutes_with_quarter_turns(rng):
    x, g = ops.random_element(X, rng), ops.QuarterTurn(X, 1)
    for number, bound in ((8, 1e-4), (6, None)):
        A = ops.fan_beam_ray_transform(X, number, 3.0, 1.5)
        normal = A.adjoint(A(x))
        error = (A.adjoint(A(g(x))) - g(normal)).norm() / normal.norm()
        assert error < bound if bound else error > 1e-2
    ops.require_even_angles(ops.fan_beam_ray_transform(X, 8, 3.0, 1.5))


SPACE = odl.uniform_discr([-1] * 3, [1] * 3, (16, 16, 12), dtype="float32")


@pytest.mark.gpu
@pytest.mark.skipif(not tomo.ASTRA_CUDA_AVAILABLE, reason="cone beams need a CUDA device")
def test_cone_beam_in_the_middle_is_the_fan_beam():
    x, y, _ = SPACE.meshgrid
    profile = np.exp(-6 * ((x - 0.2) ** 2 + y**2))
    A = ops.cone_beam_ray_transform(SPACE, 4, 3.0, 1.5, (31, 5), (2.6, 0.1))
    middle = A(SPACE.element(profile + np.zeros(SPACE.shape))).data[:, :, 2]
    plane = odl.uniform_discr([-1, -1], [1, 1], (16, 16), dtype="float32")
    B = ops.fan_beam_ray_transform(plane, 4, 3.0, 1.5, 31, 2.6)
    flat = B(plane.element(profile[:, :, 0])).data
    assert np.abs(middle - flat).max() < 0.05 * flat.max()


def test_attenuation_is_the_exponential_of_line_integrals():
    mu = 0.5 * disk(X, 0.8)
    factors = ops.attenuation_factors(RAY, mu)
    assert np.array_equal(factors.data, np.exp(-RAY(mu).data))
    assert np.exp(-0.5 * 1.7) < factors.data.min() < np.exp(-0.5 * 1.5)


def test_emission_is_the_product_of_its_parts(rng):
    x, a = ops.random_element(X, rng), rng.random(RAY.range.shape)
    expected = 3 * a.astype(np.float32) * RAY(x).data
    assert np.abs(ops.emission_operator(RAY, a, 3.0)(x).data - expected).max() < 1e-5


def test_poisson_counts_have_mean_and_variance_of_the_expectation(rng):
    space = odl.rn(40000)
    counts = data.poisson_counts(7.5 * space.one(), rng).data
    assert np.array_equal(counts, np.round(counts))
    # standard errors: sqrt(7.5 / n) = 0.014, and about 7.5 sqrt((2 + 1 / 7.5) / n) = 0.055
    assert abs(counts.mean() - 7.5) < 4 * 0.014 and abs(counts.var() - 7.5) < 4 * 0.055
    assert data.poisson_counts(space.zero(), rng).norm() == 0
    for wrong in (-1, 1e19):
        with pytest.raises(ValueError, match="expected counts from 0 to 1e18; pass the mean"):
            data.poisson_counts(wrong * space.one(), rng)


def test_mlem_never_increases_the_divergence(scan):
    truth, forward_op, background, counts = scan
    fidelity = functionals.KullbackLeiblerFidelity(counts, background) @ forward_op
    values, lows = [fidelity(X0)], []
    solution = solvers.mlem(
        forward_op, counts, X0, background, 30,
        callback=lambda x: (values.append(fidelity(x)), lows.append(x.data.min())))
    assert solution.niter == 30 and solution.reason == "maxiter" and len(values) == 31
    assert np.all(np.diff(values) < 0) and min(lows) >= 0
    assert (solution.x - truth).norm() < 0.5 * (X0 - truth).norm()
    assert X0 == X.one()


def test_mlem_without_background_is_the_one_of_odl(scan):
    truth, forward_op, _, _ = scan
    counts = data.poisson_counts(forward_op(truth), np.random.default_rng(1))
    inside = RAY(X0).data > 0  # ODL replaces the zero sensitivities by a small number
    assert inside.sum() > 200
    x = X0.copy()
    odl.solvers.mlem(forward_op, x, counts, niter=5)
    ours = solvers.mlem(forward_op, counts, X0, maxiter=5).x
    assert (ours - x).norm() < 1e-5 * x.norm()


def test_exact_data_are_a_fixed_point(scan):
    truth, forward_op, background, _ = scan
    start = truth + 0.1
    exact = forward_op(start) + background
    assert (solvers.mlem(forward_op, exact, start, background, 3).x - start).norm() < 1e-5


def test_subsets_of_views_are_rows_of_the_data(scan):
    truth = scan[0]
    for k, part in enumerate(ops.view_subsets(RAY, 3)):
        assert np.abs(part(truth).data - RAY(truth).data[k::3]).max() < 1e-6


def test_subsets_get_further(scan):
    truth, forward_op, background, counts = scan
    weights = forward_op.left.multiplicand.data
    parts = [ops.emission_operator(part, weights[k::3])
             for k, part in enumerate(ops.view_subsets(RAY, 3))]  # fmt: skip
    subsets = [part.range.element(counts.data[k::3]) for k, part in enumerate(parts)]
    backgrounds = [5 * part.range.one() for part in parts]
    fidelity = functionals.KullbackLeiblerFidelity(counts, background) @ forward_op
    fast = solvers.osem(parts, subsets, X0, backgrounds, 2).x
    assert fidelity(fast) < fidelity(solvers.mlem(forward_op, counts, X0, background, 4).x)
    one = solvers.osem([forward_op], [counts], X0, [background], 4).x
    assert (one - solvers.mlem(forward_op, counts, X0, background, 4).x).norm() == 0


def test_discrepancy_principle_for_counts(scan):
    truth, forward_op, background, counts = scan
    fidelity = functionals.KullbackLeiblerFidelity(counts, background) @ forward_op

    def deviance(x):
        weight = forward_op.range.weighting.const
        return 2 * fidelity(x) / weight / counts.data.size

    assert 0.7 < deviance(truth) < 1.3  # about one for the truth
    iterates = [X0]
    solution = solvers.mlem(
        forward_op, counts, X0, background, 100, tau=1.1, callback=iterates.append)
    assert solution.reason == "discrepancy" and solution.niter == len(iterates) - 1
    assert deviance(iterates[-1]) <= 1.1 + 1e-6 < deviance(iterates[-2])
    assert solvers.mlem(forward_op, counts, X0, background, 1, 1e-3).reason == "maxiter"


def test_batches_are_their_samples(scan, rng):
    """Three scans of different doses, one operator for all or one each, with and without tau."""
    truth, forward_op, background, _ = scan
    factors = forward_op.left.multiplicand.data
    operators = [ops.emission_operator(RAY, factors, dose) for dose in (1.0, 2.0, 0.5)]
    counts = [data.poisson_counts(A(truth) + background, rng) for A in operators]

    def batch(elements):
        return torch.stack([torch.from_numpy(x.data.copy()) for x in elements])

    x0, r = batch([X0] * 3), batch([background] * 3)
    for ops_, twin in (([forward_op] * 3, as_batch(forward_op)), (operators, as_batch(operators))):
        for tau in (None, 1.05):
            seen = []
            found = solvers.mlem(twin, batch(counts), x0, r, 40, tau, callback=seen.append)
            one_by_one = [solvers.mlem(A, y, X0, background, 40, tau)
                          for A, y in zip(ops_, counts, strict=True)]
            assert found.niter.tolist() == [s.niter for s in one_by_one]
            assert found.reason.tolist() == [s.reason for s in one_by_one]
            assert len(seen) == found.niter.max() and seen[0].shape == x0.shape
            for k, expected in enumerate(one_by_one):
                # forty iterations, each rounded by some 1e-7
                assert np.abs(found.x[k].numpy() - expected.x.data).max() < 1e-4
    assert torch.equal(x0, torch.ones_like(x0))
    parts = ops.view_subsets(RAY, 2)
    subsets = [RAY(truth).data[k::2] for k in range(2)]
    one = solvers.osem(parts, [A.range.element(y) for A, y in zip(parts, subsets, strict=True)], X0)
    two = solvers.osem([as_batch(A) for A in parts],
                       [torch.from_numpy(np.stack([y, 3 * y])) for y in subsets], x0[:2])
    assert np.abs(two.x[0].numpy() - one.x.data).max() < 1e-4
    assert np.abs(two.x[1].numpy() / 3 - one.x.data).max() < 1e-4
    with pytest.raises(ValueError, match="data has 2 samples, expected 3 as x0"):
        solvers.mlem(as_batch(RAY), batch(counts)[:2], x0)


def test_pixels_without_rays_stay(scan):
    narrow = ops.parallel_ray_transform(X, 4, 3, 0.1)
    x = solvers.mlem(narrow, narrow(X0), 2 * X0, maxiter=3).x
    unseen = narrow.adjoint(narrow.range.one()).data == 0
    assert unseen.any() and np.all(x.data[unseen] == 2)


@pytest.mark.parametrize(("changes", "error", "message"), [
    ({"x0": -X0}, ValueError, "x0 has the minimum -1, expected nonnegative"),
    ({"x0": np.ones(X.shape)}, TypeError, "x0 is of type ndarray and not an element"),
    ({"data": -RAY.range.one()}, ValueError, "data has the minimum -1.*passed as background"),
    ({"data": X0}, TypeError, "data is of type.*not an element"),
    ({"background": X0}, TypeError, "background is of type.*not an element"),
    ({"data": RAY.range.element(np.full(RAY.range.shape, np.nan))}, ValueError, "data contains"),
    ({"maxiter": -1}, ValueError, "maxiter is -1; expected a whole number"),
    ({"tau": 0}, ValueError, "tau is 0; expected a finite number greater"),
    ({"x0": X.zero()}, ValueError, "data has counts in .* is zero, expected none; pass the backg"),
])  # fmt: skip
def test_mistakes(changes, error, message):
    arguments = {"forward_op": RAY, "data": RAY.range.one(), "x0": X0} | changes
    with pytest.raises(error, match=message):
        solvers.mlem(**arguments)
    with pytest.raises(ValueError, match="1 operators, 2 data and 1 backgrounds; expected as many"):
        solvers.osem([RAY], [RAY.range.one()] * 2, X0)
