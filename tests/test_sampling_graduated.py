"""Patterns learned from beginning to end: what the data are, and which problems are solved."""

import numpy as np
import odl
import pytest
import torch

from odl_learned import data, operators
from odl_learned.learning.bilevel import sampling
from odl_learned.learning.bilevel.first_order import lbfgsb
from odl_learned.learning.bilevel.hypergradients import Implicit
from odl_learned.learning.bilevel.lower import Newton

SHAPE = (8, 6)


def images(count=3):
    space = odl.uniform_discr([0, 0], SHAPE, SHAPE)
    rng = np.random.default_rng(1)
    return np.stack([data.random_body(space, rng).data for _ in range(count)])


def learn(problem, params):
    return lbfgsb(problem, params, Implicit(), Newton(), maxiter=12, ftol=1e-5)


def test_scans_are_transforms_of_images_with_smooth_phases(rng):
    truth, measured = sampling.simulated_scans(images(), 0.0, rng)
    assert truth.shape == measured.shape == (3, *SHAPE)
    assert truth.dtype == measured.dtype == torch.complex128
    np.testing.assert_allclose(truth.abs().numpy(), images(), atol=1e-14)
    space = odl.uniform_discr([0, 0], SHAPE, SHAPE, dtype="complex128")
    whole = operators.SampledFourier(space, np.ones(SHAPE))
    for x, y in zip(truth, measured, strict=True):
        np.testing.assert_allclose(whole(space.element(x.numpy())).data, y.numpy(), atol=1e-13)
    phases = [x.angle().numpy()[np.abs(image) > 0] for x, image in zip(truth, images())]
    assert all(np.ptp(phase) > 0.01 for phase in phases) and len({p[0] for p in phases}) == 3


def test_the_noise_has_its_level(rng):
    truth, measured = sampling.simulated_scans(np.zeros((40, 16, 16)), 0.03, rng)
    assert not truth.any()
    parts = torch.view_as_real(measured)
    assert parts.std().item() == pytest.approx(0.03, rel=0.02)
    assert parts[..., 0].std().item() == pytest.approx(parts[..., 1].std().item(), rel=0.05)


def test_the_concave_part_comes_last(rng):
    scans = sampling.simulated_scans(images(), 0.02, rng)
    pattern, regularizer = sampling.points(SHAPE), sampling.smoothed_variation(SHAPE)
    seen = []

    def watched(problem, params):
        half = torch.full((pattern.size,), 0.5, dtype=torch.float64)
        seen.append((params, float(problem.penalty(half))))
        return learn(problem, params)

    found = sampling.graduated_sampling(*scans, pattern, regularizer, 0.01, 0.02, watched)
    assert len(seen) == 2
    assert torch.equal(seen[0][0], torch.full((pattern.size,), 0.5, dtype=torch.float64))
    assert [value for _, value in seen] == pytest.approx([0.02 / 2, 0.02 / 2 + 0.01 / 4])
    first = learn(sampling.sampling_problem(*scans, pattern, regularizer, 0.01, (0.02, 0.0)),
                  seen[0][0])  # fmt: skip
    assert torch.equal(first.params, seen[1][0])
    second = learn(sampling.sampling_problem(*scans, pattern, regularizer, 0.01, (0.02, 0.01)),
                   first.params)  # fmt: skip
    assert torch.equal(second.params, found.params) and found.pattern is pattern
    assert 0 < found.sampling_rate() < 1


@pytest.mark.parametrize("beta", [-0.1, float("nan"), float("inf")])
def test_a_price_is_not_negative(beta, rng):
    scans = sampling.simulated_scans(images(1), 0.02, rng)
    with pytest.raises(ValueError, match="beta"):
        sampling.graduated_sampling(*scans, sampling.points(SHAPE),
                                    sampling.smoothed_variation(SHAPE), 0.01, beta, learn)


def test_without_a_price_nothing_is_saved(rng):
    scans = sampling.simulated_scans(images(1), 0.0, rng)
    found = sampling.graduated_sampling(*scans, sampling.points(SHAPE),
                                        sampling.smoothed_variation(SHAPE), 1e-3, 0, learn)
    assert found.sampling_rate() == 1
