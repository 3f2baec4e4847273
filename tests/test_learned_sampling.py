"""Sampling patterns that are learned together with a network."""

import numpy as np
import odl
import pytest
import torch

from odl_learned import data, learning, operators, reconstruction
from odl_learned.bridge import as_module
from odl_learned.reconstruction import (
    LearnedSampling,
    SampledReconstruction,
    WeighedRows,
    sampling_lines,
    sampling_points,
)

F64 = torch.float64
X = odl.uniform_discr([0, 0], [1, 1], (8, 6), dtype="complex128")


def sampling(kept=3, **options):
    options = {"generator": torch.Generator().manual_seed(0)} | options
    return LearnedSampling(sampling_lines((8, 6)), kept, **options).double()


def unrolled(A, pattern, steps=1):
    """Zero filling, or gradient steps, with a step size that is learned along."""
    step = reconstruction.LearnedStepSize(0.9)
    return SampledReconstruction(pattern, reconstruction.Landweber(
        WeighedRows(as_module(A), pattern), as_module(A.adjoint), step, steps)).double()


def full(coils=None):
    if coils is None:
        return operators.SampledFourier(X, np.ones(X.shape))
    return operators.MultiCoilFourier(X, np.ones(X.shape), data.simulated_sensitivities(X, coils))


@pytest.mark.parametrize("members", [sampling_lines((8, 6)), sampling_lines((8, 6), 1),
                                     sampling_points((8, 6))])
def test_the_rate_is_exact_and_the_weights_are_the_mask(members):
    size = members.max() + 1
    fixed = np.arange(size) == size // 2
    pattern = LearnedSampling(members, 3, fixed=fixed).double()
    for seed in range(5):
        with torch.no_grad():
            pattern.scores.copy_(torch.randn(size, generator=torch.Generator().manual_seed(seed)))
            pattern.scores[size // 2] = -100.0
        weights, mask = pattern().detach().numpy(), pattern.mask()
        assert mask.dtype == bool and mask.shape == (8, 6)
        np.testing.assert_array_equal(weights, mask)
        assert np.count_nonzero(np.bincount(members[mask])) == 3
        assert mask[members == size // 2].all()
        assert mask.sum() == 3 * members.size / size
        best = np.argsort(np.where(fixed, np.inf, pattern.scores.detach().numpy()))[-3:]
        np.testing.assert_array_equal(np.sort(best), np.unique(members[mask]))


def test_equal_scores_have_an_exact_rate_too():
    pattern = sampling()
    with torch.no_grad():
        pattern.scores.zero_()
    assert pattern.mask().sum() == 3 * 6


def test_the_derivative_is_that_of_a_sigmoid_at_the_threshold():
    pattern = sampling(slope=2.0)
    scores = torch.tensor([0.1, 0.9, -0.3, 0.5, 0.2, -1.0, 0.4, 0.0], dtype=F64)
    with torch.no_grad():
        pattern.scores.copy_(scores)
    factors = torch.rand(8, 6, dtype=F64, generator=torch.Generator().manual_seed(0))
    (pattern() * factors).sum().backward()
    threshold = (0.4 + 0.2) / 2
    s = 1 / (1 + np.exp(-2 * (scores.numpy() - threshold)))
    expected = 2 * s * (1 - s) * factors.sum(1).numpy()
    np.testing.assert_allclose(pattern.scores.grad, expected, rtol=1e-12)


@pytest.mark.parametrize("coils", [None, 3])
def test_the_map_is_that_of_the_operator_with_the_mask(coils, rng):
    A, pattern = full(coils), sampling()
    model = unrolled(A, pattern, 4)
    y = torch.tensor(operators.random_element(A.range, rng).asarray())[None]
    if coils is None:
        B = operators.SampledFourier(X, pattern.mask())
    else:
        B = operators.MultiCoilFourier(X, pattern.mask(), A.sensitivities)
    step = float(model.model.step_size().detach())
    expected = reconstruction.Landweber(as_module(B), as_module(B.adjoint), step, 4)(
        torch.from_numpy(pattern.mask()) * y)
    torch.testing.assert_close(model(y), expected, rtol=0, atol=1e-12)


def test_training_finds_the_lines_that_carry_the_signal(rng):
    """Zero filling with all but three lines unmeasured: its best lines are those of most power."""
    A = full()
    power = np.array([0.1, 0.2, 2.0, 0.1, 0.3, 1.5, 0.2, 1.0])
    spectra = rng.standard_normal((20, 8, 6)) + 1j * rng.standard_normal((20, 8, 6))
    spectra *= power[:, None]
    truth = [A.adjoint(A.range.element(s)).asarray() for s in spectra]
    pattern = sampling()
    assert set(np.flatnonzero(pattern.mask()[:, 0])) != {2, 5, 7}
    model = unrolled(A, pattern, 2)
    optimizer = torch.optim.SGD([{"params": model.sampling.parameters(), "lr": 1.0},
                                 {"params": model.model.step_size.parameters(), "lr": 0.01}])
    learning.train(model, data.FixedPairs(spectra, truth), steps=30, batch_size=20,
                   optimizer=optimizer, progress=False)
    assert set(np.flatnonzero(pattern.mask()[:, 0])) == {2, 5, 7}
    A = operators.SampledFourier(X, pattern.mask())
    np.testing.assert_allclose(A.weights, pattern().detach())


def test_a_pattern_is_stored_with_its_map(tmp_path):
    A = full()
    model = unrolled(A, sampling(), 2).eval()
    learning.save_reconstruction(tmp_path / "map.pt", model, A)
    found = learning.load_reconstruction(tmp_path / "map.pt").model
    y = torch.randn(2, 8, 6, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    assert torch.equal(found(y), model(y))
    np.testing.assert_array_equal(found.sampling.mask(), model.sampling.mask())
    assert found.sampling is found.model.forward_op.weights


@pytest.mark.parametrize(("call", "words"), [
    (lambda: LearnedSampling(sampling_lines((8, 6)), 8), "kept is 8, expected fewer than 8"),
    (lambda: LearnedSampling(np.array([[0, 2]]), 1), "without gaps"),
    (lambda: LearnedSampling(sampling_lines((8, 6)), 2, slope=0), "slope is 0"),
    (lambda: LearnedSampling(sampling_lines((8, 6)), 2, fixed=np.ones(8, bool)), "fewer than 2"),
    (lambda: sampling_lines((8, 6), 2), "axis is 2"),
    (lambda: sampling_points((8, 0)), "positive whole"),
])
def test_patterns_that_are_none_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
