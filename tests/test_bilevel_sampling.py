"""Sampling patterns, their bilevel problems, and the way back to ODL."""

import math

import numpy as np
import odl
import pytest
import torch

from odl_learned import data, operators
from odl_learned.bridge import as_module
from odl_learned.functionals import l2_fidelity
from odl_learned.learning.bilevel.first_order import lbfgsb
from odl_learned.learning.bilevel.hypergradients import Implicit
from odl_learned.learning.bilevel.lower import LowerLevel, Newton
from odl_learned.learning.bilevel.sampling.coils import CoilSampling
from odl_learned.learning.bilevel.sampling.learned_pattern import LearnedPattern, learned_pattern
from odl_learned.learning.bilevel.sampling.patterns import (
    Pattern,
    lines,
    points,
    spokes,
)
from odl_learned.learning.bilevel.sampling.problems import (
    alpha_problem,
    sampling_and_alpha_problem,
    sampling_penalty,
    sampling_problem,
    uncentered,
)
from odl_learned.learning.bilevel.sampling.regularizers import (
    no_regularizer,
    smoothed_variation,
    squared_gradient,
    wavelet_sparsity,
)
from odl_learned.variational import tv_problem

SHAPE = (8, 6)


def space_of(shape):
    return odl.uniform_discr([0] * len(shape), shape, shape, dtype="complex128")


def pairs(shape, count=2, noise_level=0.02, seed=0):
    """Complex bodies and their noisy, centered transforms."""
    rng, space = np.random.default_rng(seed), space_of(shape)
    whole = operators.SampledFourier(space, np.ones(shape))
    truth = [data.random_body(space, rng) * data.smooth_phase(space, rng) for _ in range(count)]
    noisy = [data.add_white_noise(whole(x), noise_level, rng) for x in truth]
    return tuple(torch.as_tensor(np.stack([v.data for v in many])) for many in (truth, noisy))


def numbers(size, seed=0):
    return torch.as_tensor(np.random.default_rng(seed).uniform(0.1, 0.9, size))


PATTERNS = {
    "points": points(SHAPE), "lines": lines(SHAPE), "columns": lines(SHAPE, 1),
    "spokes": spokes(SHAPE, 5), "odd": points((5, 3)),
}  # fmt: skip


def matrix(pattern):
    columns = [pattern.weights(unit).flatten() for unit in torch.eye(pattern.size).double()]
    return torch.stack(columns, 1)


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_are_linear_with_rows_that_sum_to_one_or_zero(name):
    pattern = PATTERNS[name]
    dense, t = matrix(pattern), numbers(pattern.size)
    torch.testing.assert_close(pattern.weights(t).flatten(), dense @ t)
    sums = dense.sum(1)
    assert bool(((sums - 1).abs().minimum(sums.abs()) < 1e-12).all())
    torch.testing.assert_close(pattern.counts, dense.sum(0))
    values = numbers(math.prod(pattern.shape), 1).reshape(pattern.shape)
    means = (dense.T @ torch.fft.ifftshift(values).flatten()) / dense.sum(0)
    torch.testing.assert_close(pattern.means(values), means)


def test_members_are_where_the_masks_of_the_data_room_are():
    chosen = torch.zeros(8, dtype=torch.bool)
    chosen[[3, 4, 6]] = True
    mask = lines(SHAPE).mask(chosen)
    assert mask.shape == SHAPE and np.array_equal(np.flatnonzero(mask.all(1)), [3, 4, 6])
    assert mask.sum() == 18
    for shape, count in (((16, 12), 7), ((9, 9), 4), ((32, 32), 11)):
        union = spokes(shape, count).mask(torch.ones(count, dtype=torch.bool))
        np.testing.assert_array_equal(union, data.radial_mask(shape, count))
    index = torch.zeros(48, dtype=torch.bool)
    index[4 * 6 + 3] = True
    assert points(SHAPE).mask(index)[4, 3] and points(SHAPE).weights(index.double())[0, 0] == 1


def test_members_are_chosen_by_score_while_they_fit():
    pattern = lines(SHAPE)
    scores = torch.tensor([1.0, 8, 2, 7, 3, 6, 4, 5])
    assert torch.nonzero(pattern.chosen(scores, 0.5)).flatten().tolist() == [1, 3, 5, 7]
    assert int(pattern.chosen(scores, 0.45).sum()) == 3
    crossing = spokes((16, 16), 6)
    chosen = crossing.chosen(torch.arange(6.0), 0.15)
    assert 0 < int(chosen.sum()) < 6 and crossing.mask(chosen).mean() <= 0.15
    for i in torch.nonzero(~chosen).flatten():  # no other one fits
        more = chosen.clone()
        more[i] = True
        assert crossing.mask(more).sum() > round(0.15 * 256)


@pytest.mark.parametrize("frequencies, members, words", [
    ([0, 1], [0, 2], "holds no frequency"), ([0, 48], [0, 1], "not 2 numbers"),
    ([3, 3], [0, 0], "listed twice"), ([1, 2, 3], [0, 1], "not 2 numbers"),
])  # fmt: skip
def test_patterns_that_are_none_are_refused(frequencies, members, words):
    with pytest.raises(ValueError, match=words):
        Pattern(SHAPE, frequencies, members)


@pytest.mark.parametrize("shape", [(8, 6), (5, 7), (6, 5, 4)])
def test_centered_data_become_those_of_the_plain_transform(shape):
    rng, space = np.random.default_rng(0), space_of(shape)
    x = rng.standard_normal((2, *shape)) + 1j * rng.standard_normal((2, *shape))
    whole = operators.SampledFourier(space, np.ones(shape))
    y = torch.as_tensor(np.stack([whole(space.element(each)).data for each in x]))
    expected = np.fft.fftn(x, axes=range(1, x.ndim), norm="ortho")
    np.testing.assert_allclose(uncentered(y, len(shape)).numpy(), expected, atol=1e-13)


def wavelet(shape, dtype="complex128"):
    space = odl.uniform_discr([0] * len(shape), shape, shape, dtype=dtype)
    return wavelet_sparsity(operators.OrthogonalWavelet(space, "db2", 1), nu=0.05)


REGULARIZERS = {
    "none": no_regularizer, "h1": squared_gradient, "wavelet": wavelet,
    "tv": lambda shape: smoothed_variation(shape, nu=0.05),
}  # fmt: skip


@pytest.mark.parametrize("regularizer", REGULARIZERS)
@pytest.mark.parametrize("name", ["points", "lines", "spokes"])
def test_hypergradients_match_differences(regularizer, name):
    pattern, (truth, y) = PATTERNS[name], pairs(SHAPE)
    made = REGULARIZERS[regularizer](SHAPE)
    if made.is_zero:
        problem = sampling_problem(truth, y, pattern, made, 1.0, (0.1, 0.2), 0.1)
        params = numbers(pattern.size)
    else:
        problem = sampling_and_alpha_problem(truth, y, pattern, made, (0.1, 0.2), 0.1)
        params = torch.cat([numbers(pattern.size), torch.tensor([-3.0]).double()])
    require_hypergradient(problem, params)


def require_hypergradient(problem, params):
    lower = LowerLevel(problem, Newton())
    found = Implicit()(lower, params, 1e-10, 1e-10)
    direction = torch.as_tensor(np.random.default_rng(5).standard_normal(len(params)))

    def value(t):
        return Implicit()(LowerLevel(problem, Newton()), params + t * direction, 1e-10, 1e-8).value

    h = 1e-3  # the error of Richardson's formula is of order h^4
    slopes = [(value(s) - value(-s)) / (2 * s) for s in (h, h / 2)]
    expected = (4 * slopes[1] - slopes[0]) / 3
    assert float(found.gradient @ direction) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_real_images_stay_real_and_several_coils_have_hypergradients():
    space, (truth, y) = space_of(SHAPE), pairs(SHAPE)
    real = truth.abs()
    problem = sampling_problem(real, y, PATTERNS["points"], squared_gradient(SHAPE), 0.1)
    require_hypergradient(problem, numbers(48))
    x = LowerLevel(problem, Newton()).solve(numbers(48), 1e-8).x
    assert not x.is_complex()
    maps = torch.as_tensor(data.simulated_sensitivities(space, 3))
    many = as_module(operators.MultiCoilFourier(space, np.ones(SHAPE), maps.numpy()))(truth)
    for regularizer in ("h1", "tv"):
        problem = sampling_problem(truth, many.detach(), PATTERNS["spokes"],
                                   REGULARIZERS[regularizer](SHAPE), 0.05,
                                   sensitivities=maps)  # fmt: skip
        require_hypergradient(problem, numbers(5))


def test_coils_have_an_exact_adjoint_and_the_best_circulant_preconditioner():
    maps = torch.as_tensor(data.simulated_sensitivities(space_of(SHAPE), 3))
    fidelity, rng = CoilSampling(0.9 * maps), np.random.default_rng(0)

    def draw(*shape):
        return torch.as_tensor(rng.standard_normal(shape) + 1j * rng.standard_normal(shape))

    x, r = draw(2, *SHAPE), draw(2, 3 * SHAPE[0], SHAPE[1])
    left, right = torch.vdot(fidelity.forward(x).flatten(), r.flatten()), torch.vdot(
        x.flatten(), fidelity.adjoint(r, x).flatten())  # fmt: skip
    torch.testing.assert_close(left, right)
    assert fidelity.least == pytest.approx(0.81)
    # The diagonal of F A^* w A F^*, entry by entry.
    weights, size = numbers(48).reshape(SHAPE), 48
    stacked = torch.cat([weights] * 3)
    units = torch.eye(size).to(torch.complex128).reshape(size, *SHAPE)
    waves = torch.fft.ifftn(units, dim=(1, 2), norm="ortho")
    normal = fidelity.adjoint(stacked * fidelity.forward(waves), waves)
    diagonal = (waves.conj() * normal).sum((1, 2)).real.reshape(SHAPE)
    transform = no_regularizer(SHAPE).transform
    divided = fidelity.preconditioner(stacked, transform, torch.zeros(1, 1, *SHAPE).double(), 0.5)
    v = draw(1, *SHAPE)
    expected = torch.fft.ifftn(torch.fft.fftn(v, dim=(1, 2)) / (diagonal + 0.5), dim=(1, 2))
    torch.testing.assert_close(divided(v), expected)
    with pytest.raises(ValueError, match="at most 1"):
        CoilSampling(1.1 * maps)
    with pytest.raises(NotImplementedError, match="Newton"):
        fidelity.proximal(x, 1.0, r, None)


def test_the_energy_of_coils_is_as_convex_as_it_says():
    maps = 0.7 * torch.as_tensor(data.simulated_sensitivities(space_of(SHAPE), 2))
    truth, y = pairs(SHAPE)
    problem = sampling_problem(truth, torch.stack([y, y], 1), PATTERNS["points"],
                               squared_gradient(SHAPE), 0.1, xi=0.02, sensitivities=maps)
    params = 0 * numbers(48) + 0.8
    hessian = problem.energy.linearize(truth, params, problem.data).hessian
    units = torch.eye(48).to(torch.complex128).reshape(48, *SHAPE)
    dense = torch.stack([hessian(u[None].expand(2, -1, -1))[0].flatten() for u in units], 1)
    spectrum = torch.linalg.eigvalsh(dense)
    assert problem.energy.strong_convexity(params) <= float(spectrum[0]) + 1e-12
    assert problem.energy.strong_convexity(params) == pytest.approx(0.64 * 0.49 + 0.02)
    assert problem.energy.lipschitz(params) >= float(spectrum[-1])


def test_penalties_are_sums_over_frequencies():
    t = numbers(8)
    s = lines(SHAPE).weights(t)
    expected = (0.1 * s + 0.3 * s * (1 - s)).sum() / 48
    torch.testing.assert_close(sampling_penalty(lines(SHAPE), (0.1, 0.3))(t), expected)
    crossing, t = PATTERNS["spokes"], numbers(5)
    torch.testing.assert_close(sampling_penalty(crossing, (0.1, 0.0))(t),
                               0.1 * crossing.weights(t).sum() / 48)  # fmt: skip
    with pytest.raises(ValueError, match="nonnegative"):
        sampling_penalty(crossing, (0.1, -1.0))


def test_a_learned_pattern_reconstructs_in_odl_as_in_learning():
    """(A* A + alpha D* D + xi) x = A* s y by conjugate gradients of ODL."""
    (truth, y), space, alpha, xi = pairs(SHAPE), space_of(SHAPE), 0.05, 1e-2
    pattern = PATTERNS["columns"]
    t = numbers(6)
    problem = sampling_problem(truth, y, pattern, squared_gradient(SHAPE), alpha, xi=xi)
    expected = LowerLevel(problem, Newton()).solve(t, 1e-11).x
    learned = learned_pattern(pattern, t)
    assert learned.alpha is None
    A, D = learned.forward_op(space), operators.gradient(space)
    normal = A.adjoint @ A + alpha * (D.adjoint @ D) + xi * odl.IdentityOperator(space)
    for i in range(2):
        x, weighted = space.zero(), A.range.element(learned.weights * y[i].numpy())
        odl.solvers.conjugate_gradient(normal, x, A.adjoint(weighted), niter=100)
        np.testing.assert_allclose(x.data, expected[i].numpy(), atol=1e-9)
        torch.testing.assert_close(as_module(A)(expected), torch.as_tensor(learned.weights)
                                   * torch.fft.fftshift(torch.fft.fftn(torch.fft.ifftshift(
                                       expected, dim=(1, 2)), dim=(1, 2), norm="ortho"),
                                       dim=(1, 2)))  # fmt: skip
    maps = data.simulated_sensitivities(space, 3)
    assert learned.multi_coil_op(space, maps).weights.shape == SHAPE


def test_learned_lines_are_masks_for_total_variation_by_pdhg():
    shape = (16, 16)
    truth, y = pairs(shape, count=3)
    pattern = lines(shape, 1)
    problem = sampling_and_alpha_problem(truth, y, pattern, smoothed_variation(shape),
                                         (0.01, 0.005))  # fmt: skip
    start = torch.cat([torch.ones(16), torch.tensor([-5.0])]).double()
    found = lbfgsb(problem, start, Implicit(), Newton(), maxiter=25, ftol=1e-3)
    learned = learned_pattern(pattern, found.params)
    assert 0 < learned.sampling_rate() < 0.8 and 0 < learned.alpha < 1
    assert found.value < found.history["value"][0]
    space, mask = space_of(shape), learned.mask_of_fraction(0.5)
    assert mask.mean() <= 0.5 and mask[8, 8]
    A = operators.SampledFourier(space, mask)
    seen = A.range.element(mask * y[0].numpy())
    problem = tv_problem(A, l2_fidelity(seen), learned.alpha)
    f, g, L = problem.f, problem.g, problem.L
    x, norm = A.adjoint(seen), operators.operator_norm(L)
    zero_filled = np.linalg.norm(x.data - truth[0].numpy())
    odl.solvers.pdhg(x, f, g, L, 200, tau=0.9 / norm, sigma=0.9 / norm)
    assert np.linalg.norm(x.data - truth[0].numpy()) < zero_filled


def test_alpha_is_tuned_for_a_mask():
    truth, y = pairs((16, 16), noise_level=0.05)
    mask = data.cartesian_mask((16, 16), 0.5, 0.2, np.random.default_rng(0))
    problem = alpha_problem(truth, y, mask, smoothed_variation((16, 16)))
    found = lbfgsb(problem, torch.tensor([-6.0]).double(), Implicit(), Newton(), gtol=1e-9,
                   ftol=1e-10)
    value = {}
    for step in (-0.1, 0.0, 0.1):
        lower = LowerLevel(problem, Newton())
        value[step] = Implicit()(lower, found.params + step, 1e-8, 1e-8).value
    assert value[0.0] < min(value[-0.1], value[0.1])


def test_doors():
    truth, y = pairs(SHAPE)
    pattern, regularizer = PATTERNS["points"], squared_gradient(SHAPE)
    with pytest.raises(ValueError, match="data has shape"):
        sampling_problem(truth, y[:1], pattern, regularizer, 0.1)
    with pytest.raises(ValueError, match="data has shape"):
        sampling_problem(truth, y.real, pattern, regularizer, 0.1)
    with pytest.raises(ValueError, match="pattern has shape"):
        sampling_problem(truth, y, PATTERNS["odd"], regularizer, 0.1)
    with pytest.raises(ValueError, match="regularizer is zero"):
        sampling_and_alpha_problem(truth, y, pattern, no_regularizer(SHAPE))
    with pytest.raises(ValueError, match="alpha"):
        sampling_problem(truth, y, pattern, regularizer, 0.0)
    with pytest.raises(ValueError, match="weights has shape"):
        alpha_problem(truth, y, np.ones((3, 3)), regularizer)
    with pytest.raises(ValueError, match="params has 3 entries"):
        learned_pattern(pattern, torch.ones(3))
    with pytest.raises(ValueError, match="fraction"):
        LearnedPattern(pattern, torch.ones(48), None).mask_of_fraction(1.5)
