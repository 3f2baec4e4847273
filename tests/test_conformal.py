"""Bands hold the truth as often as the law of split conformal calibration says, and no less."""

import math
import pickle
from fractions import Fraction

import numpy as np
import odl
import pytest
import scipy.stats
import torch
from torch import nn

from odl_learned import networks, reconstruction
from odl_learned.reconstruction.trust.risks import smallest_factor

X = odl.uniform_discr([0, 0], [1, 1], (3, 4), dtype="float32")
ID = odl.IdentityOperator(X)


def pairs(count, generator, spread=0.0, each=1):
    """Truths and noisy data of ``count`` patients; patients differ in their noise."""
    x = torch.rand(count * each, 3, 4, generator=generator)
    level = 0.1 * torch.exp(spread * torch.randn(count, 1, 1, generator=generator))
    noise = torch.randn(x.shape, generator=generator)
    return x, x + level.repeat_interleave(each, 0) * noise


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# Whether a sample of R counts follows a law: the largest difference of distribution functions is
# below sqrt(log(2 / p) / 2 R) with probability 1 - p (Dvoretzky, Kiefer, Wolfowitz; Massart).
def distance(counts, law):
    m = np.arange(law.support()[1] + 1)
    return np.abs((counts[:, None] <= m).mean(0) - law.cdf(m)).max()


R, N, M = 250, 11, 8
LARGEST = math.sqrt(math.log(2 / 1e-6) / (2 * R))
LAW = scipy.stats.betabinom(M, 11, 1)  # k = ceil(0.9 * 12) = 11 of n + 1 = 12


def covered(calibrate):
    """How many of M new images were covered by bands from N, for R times."""
    draw, counts = generator(), []
    for _ in range(R):
        x, y = pairs(N + M, draw)
        bands = calibrate(x[:N], y[:N])
        counts.append(int((bands.covered(x[N:], y[N:]) >= 0.75).sum()))
    return np.array(counts)


def of_images(x, y, map=ID):
    return reconstruction.conformal_bands(
        map, ID, x, y, range(len(x)), risk=reconstruction.missed_images(0.75))


def test_coverage_follows_the_beta_binomial_law():
    assert distance(covered(of_images), LAW) < LARGEST


def test_without_the_next_image_bands_are_too_narrow():
    def without(x, y):
        bands = of_images(x, y)
        score = (y - x).abs().flatten(1).kthvalue(9, dim=1).values  # 9 of 12 pixels
        bands.factor = float(score.kthvalue(math.ceil(0.9 * N)).values)
        return bands

    assert distance(covered(without), LAW) > 1.5 * LARGEST


def test_calibrated_on_training_images_bands_are_too_narrow():
    x, y = pairs(30, generator(1))

    class Memory(nn.Module):
        """The training image whose data are nearest."""

        def forward(self, data):
            nearest = torch.cdist(data.flatten(1), y[:15].flatten(1)).argmin(1)
            return x[nearest]

    new_x, new_y = pairs(40, generator(2))
    trained = of_images(x[:15], y[:15], Memory())
    held_out = of_images(x[15:], y[15:], Memory())
    assert (held_out.covered(new_x, new_y) >= 0.75).double().mean() > 0.75
    assert (trained.covered(new_x, new_y) >= 0.75).double().mean() < 0.05


def test_patients_are_exchangeable_and_their_slices_are_not():
    risk = reconstruction.missed_images(0.75)

    def mean_coverage(labels):
        draw, means = generator(3), []
        for _ in range(400):
            x, y = pairs(4 + 10, draw, spread=2.0, each=10)
            bands = reconstruction.conformal_bands(
                ID, ID, x[:40], y[:40], labels, coverage=0.72, risk=risk)
            means.append((bands.covered(x[40:], y[40:]) >= 0.75).double().mean())
        means = torch.stack(means)
        return float(means.mean()), float(means.std() / math.sqrt(len(means)))

    by_patient, error = mean_coverage([i // 10 for i in range(40)])
    assert by_patient > 0.72 - 3 * error
    by_slice, error = mean_coverage(range(40))
    assert by_slice < 0.72 - 3 * error


def test_the_factor_is_the_smallest_that_covers_enough():
    scores = torch.randint(20, (7, 2, 3), generator=generator()).double()
    groups = list("aabcdef")
    # Brute force over all factors with the definition, in fractions.
    for coverage in (0.5, 0.7, 0.8):
        def loss(label, q):
            own = [s for s, g in zip(scores, groups) if g == label]
            return sum(Fraction(int((s > q).sum()), s.numel()) for s in own) / len(own)

        alpha = 1 - Fraction(str(coverage))
        enough = [q for q in range(20) if sum(loss(g, q) for g in "abcdef") + 1 <= 7 * alpha]
        assert smallest_factor(scores, groups, coverage) == min(enough)


def test_nine_groups_are_enough_for_nine_tenths_and_eight_are_not():
    x, y = pairs(9, generator())
    bands = reconstruction.conformal_bands(ID, ID, x, y, range(9))
    assert bands.factor == float((y - x).double().abs().max())
    with pytest.raises(ValueError, match="8 groups for a coverage of 0.9, expected at least 9"):
        reconstruction.conformal_bands(ID, ID, x[:8], y[:8], range(8))
    with pytest.raises(ValueError, match="1 groups for a coverage of 0.9"):
        reconstruction.conformal_bands(ID, ID, x, y, ["one patient"] * 9)


def test_a_right_width_makes_narrower_bands():
    draw = generator()
    x = torch.where(torch.arange(4) < 2, 0.0, 1.0).expand(60, 3, 4)
    level = torch.where(torch.arange(4) == 1, 0.4, 0.02)
    y = x + level * torch.randn(x.shape, generator=draw)

    def sample(data):
        return data + level * torch.randn(data.shape, generator=draw)

    net = networks.OnImages(nn.Identity(), dimension=2)
    sizes = {}
    for name, width in {
        "constant": None, "edges": reconstruction.edge_width(X, 0.3),
        "image": reconstruction.network_width(net, 0.3),
        "samples": reconstruction.sample_deviation(sample, 8, 1e-3),
    }.items():  # fmt: skip
        bands = reconstruction.conformal_bands(ID, ID, x[:40], y[:40], range(40), width=width)
        lower, upper = bands.of(y[40:])
        assert (lower < y[40:]).all() and (upper > y[40:]).all()
        sizes[name] = float((upper - lower).mean())
    assert sizes["edges"] < 0.8 * sizes["constant"] and sizes["samples"] < 0.6 * sizes["constant"]
    assert sizes["image"] > 0.9 * sizes["constant"]  # which knows nothing of edges
    with pytest.raises(ValueError, match="width returned 0, expected positive numbers"):
        reconstruction.conformal_bands(ID, ID, x, y, range(60), width=lambda data, u: 0 * u)


def test_quantiles_may_be_drawn_in():
    x, y = pairs(30, generator())
    wide = reconstruction.conformal_bands((ID - X.one(), ID + X.one()), ID, x, y, range(30))
    one = reconstruction.conformal_bands(ID, ID, x, y, range(30))
    assert wide.factor < 0
    for a, b in zip(wide.of(y), one.of(y)):
        torch.testing.assert_close(a, b, rtol=0, atol=2e-6)


def test_the_operator_and_its_tensors():
    x, y = pairs(12, generator())
    bands = pickle.loads(pickle.dumps(
        reconstruction.conformal_bands(nn.Identity(), ID, x, y, range(12))))
    band = bands.of(y[:2])
    lower, upper = bands(X.element(y[1].numpy()))
    assert lower in X and upper in X
    np.testing.assert_array_equal(lower.asarray(), band.lower[1])
    np.testing.assert_array_equal(upper.asarray(), band.upper[1])
    assert bands.covered(x, y).mean() >= 0.9 * 13 / 12
    assert "groups=12" in repr(bands)


def test_complex_images_have_bands_of_magnitudes():
    XC = odl.uniform_discr([0, 0], [1, 1], (3, 4), dtype="complex64")
    IC = odl.IdentityOperator(XC)
    x, y = (z * torch.exp(1j * torch.rand(z.shape)) for z in pairs(20, generator()))
    bands = reconstruction.conformal_bands(
        IC, IC, x, y, range(20), width=reconstruction.edge_width(XC, 0.1))
    assert bands.range == XC.real_space**2
    assert bands.covered(x, y).mean() >= 0.9


def test_images_that_are_not_finite():
    class Broken(nn.Module):
        def forward(self, data):
            return torch.where(data[:, :1, :1] > 0.9, torch.nan, data)

    x, y = pairs(40, generator())
    with pytest.raises(ValueError, match="the factor of the band is infinite"):
        reconstruction.conformal_bands(Broken(), ID, x, y - y[:, :1, :1] + 1, range(40))
    few = torch.where(y[:, :1, :1] > 0.9, y - 0.5, y)
    few[0, 0, 0] = 2.0
    bands = reconstruction.conformal_bands(Broken(), ID, x, few, range(40), coverage=0.5)
    assert torch.isinf(bands.of(few[:1]).lower).all()
    assert bands.covered(x[:1], few[:1]) == 1


def test_edges_are_rounded_outward_also_where_they_cancel():
    # Maps are large, truths tiny: an edge near a truth is a difference of nearly equal numbers.
    x = 1e-9 * torch.rand(20, 30, generator=generator(), dtype=torch.float64)
    y = 1e3 * torch.rand(20, 30, generator=generator(1), dtype=torch.float64)
    space = odl.IdentityOperator(odl.rn(30))
    for width in (None, lambda data, images: images.abs() + 0.1):
        bands = reconstruction.conformal_bands(
            space, space, x, y, range(20), coverage=0.95, width=width,
            risk=reconstruction.missed_images(1.0))
        assert (bands.covered(x, y) == 1).all()  # 0.95 (n + 1) / n of the images are all of them


def test_a_risk_that_returns_something_else():
    x, y = pairs(20, generator())
    for risk in (lambda scores: scores.mean(), lambda scores: scores.flatten(1).amax(1)):
        with pytest.raises(ValueError, match=r"risk returned .*expected \(20, K\)"):
            reconstruction.conformal_bands(ID, ID, x, y, range(20), risk=risk)
