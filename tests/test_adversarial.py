"""Regularizers that tell images from others: adversarial, direct, and by gaps of energies."""

import numpy as np
import pytest
import torch
from torch import nn

from odl_learned import learning, networks, reconstruction, regularizers
from odl_learned.learning.batch import Batch
from odl_learned.learning.objectives import Adversarial, Direct, EnergyGap

GENERATOR = torch.Generator().manual_seed(0)
U = torch.randn(6, 4, 5, generator=GENERATOR, dtype=torch.float64)
V = U + 0.5 + torch.randn(U.shape, generator=GENERATOR, dtype=torch.float64)


class Linear(nn.Module):
    """``x -> <w, x>``."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.full((4, 5), 0.1, dtype=torch.float64))

    def forward(self, x):
        return (self.w * x).sum((-2, -1))


def batch(v=V, u=U):
    return Batch(v, u, torch.Generator().manual_seed(3), "in step 1")


def ridge():
    filters = regularizers.ComposedFilters((1, 5), 3, networks.Reflecting(), dimension=2)
    return regularizers.Ridge(filters, regularizers.LogCosh(), sharpness=1.0).double()


def test_training_finds_the_best_linear_regularizer():
    r"""``<w, d> / s + mu (|w| / s - 1)_+^2`` is least at ``w = -s (1 + |d| / (2 mu)) d / |d|``."""
    slope, penalty, model = 2.0, 3.0, Linear()
    d = U.mean(0) - V.mean(0)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=40, line_search_fn="strong_wolfe",
                                  tolerance_grad=1e-12, tolerance_change=1e-14)
    learning.train(model, list(zip(V, U)), steps=3, optimizer=optimizer, batch_size=len(U),
                   loss=Adversarial(penalty, slope), progress=False)
    best = -slope * (1 + d.norm() / (2 * penalty)) * d / d.norm()
    torch.testing.assert_close(model.w.detach(), best, rtol=0, atol=1e-6)


def test_derivatives_of_the_penalty_are_difference_quotients():
    model, objective = ridge(), Adversarial(5.0, 0.2)
    with torch.no_grad():  # cosines have their norm at several frequencies, where it has a kink
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=GENERATOR)
    objective(model, batch()).backward()
    for parameter in model.parameters():
        direction = torch.randn(parameter.shape, generator=GENERATOR, dtype=torch.float64)
        values = []
        with torch.no_grad():
            for step in (1e-6, -2e-6):
                parameter += step * direction
                values.append(float(objective(model, batch())))
            parameter += 1e-6 * direction
        quotient = (values[0] - values[1]) / 2e-6
        assert float((parameter.grad * direction).sum()) == pytest.approx(quotient, rel=1e-5,
                                                                          abs=1e-8)


def test_ridges_learn_to_tell_images_from_noisy_ones_and_to_denoise():
    g = torch.Generator().manual_seed(1)
    jumps = torch.randn(16, 12, 12, generator=g, dtype=torch.float64)
    clean = torch.cumsum(jumps * (jumps > 1.5), 1)
    noisy = clean + 0.5 * torch.randn(clean.shape, generator=g, dtype=torch.float64)
    model = ridge()
    with torch.no_grad():
        slope = float(model.at().gradient(noisy).flatten(1).norm(dim=1).mean())

    def told():
        with torch.no_grad():
            return float((model(noisy) - model(clean)).mean()) / slope

    before = told()
    learning.train(model, list(zip(noisy, clean)), steps=25, batch_size=16, progress=False,
                   loss=Adversarial(10.0, slope), optimizer=torch.optim.Adam(
                       model.parameters(), 3e-2))  # fmt: skip
    assert told() > 1.05 * before
    denoiser = reconstruction.RegularizedLeastSquares(
        nn.Identity(), nn.Identity(), model, noise_level=0.5, norm=1.0, coercivity=1.0,
        dimension=2, accuracy=1e-3)
    learning.search_scale(denoiser, noisy[:4], clean[:4])
    with torch.no_grad():
        left = (denoiser(noisy[4:]) - clean[4:]).square().mean() / 0.25
    assert left < 0.7


def test_training_resumes_to_the_same_bits(tmp_path):
    def learned(steps, checkpoint=None):
        model = ridge()
        history = learning.train(
            model, list(zip(V, U)), steps=steps, batch_size=2, progress=False,
            loss=Adversarial(1.0, 0.3), checkpoint=checkpoint,
            optimizer=torch.optim.Adam(model.parameters(), 1e-2))
        return model, history

    straight, expected = learned(6)
    learned(2, tmp_path / "run.pt")
    resumed, history = learned(6, tmp_path / "run.pt")
    np.testing.assert_array_equal(history.loss, expected.loss)
    assert all(map(torch.equal, straight.parameters(), resumed.parameters()))


def test_errors():
    with pytest.raises(ValueError, match="slope"):
        Adversarial(slope=0.0)
    with pytest.raises(ValueError, match="expected images both"):
        Adversarial()(Linear(), batch(V[:, :2]))
    with pytest.raises(ValueError, match="one real number for each sample"):
        Adversarial()(nn.Identity(), batch())
    with pytest.raises(ValueError, match="not a pair but data alone"):
        Adversarial()(Linear(), batch(V, None))


def test_the_direct_objective_is_bounded_and_free_of_scale():
    R = ridge()
    value = Direct()(R, batch())
    q = float((R(U).mean() / R(V).mean()).detach())
    assert float(value) == pytest.approx((q - 1) / (q + 1)) and -1 < float(value) < 0
    with torch.no_grad():
        R.logit += 3.0
    assert float(Direct()(R, batch())) == pytest.approx(float(value), rel=1e-12)
    assert float(Direct()(Linear(), batch())) >= -1
    zero = Linear()
    with torch.no_grad():
        zero.w.zero_()
    assert float(Direct()(zero, batch())) == 0


def denoiser(R, initial=None, **options):
    return reconstruction.RegularizedLeastSquares(
        torch.nn.Identity(), torch.nn.Identity(), R, noise_level=0.5, norm=1.0, coercivity=1.0,
        dimension=2, initial=initial, **{"accuracy": 1e-9, "maxiter": 3000} | options)


def test_the_gap_is_least_for_truths_that_are_minimizers_and_has_the_right_derivative():
    R = ridge()
    model = denoiser(R)
    gap = EnergyGap()
    exact = model.solve(V).x
    assert abs(float(gap(model, batch(V, exact)))) < 1e-12 < 1e-3 < float(gap(model, batch(V, U)))
    gap(model, batch(V, U)).backward()
    for parameter in (R.log_scale, R.logit):
        direction = torch.randn(parameter.shape, generator=GENERATOR, dtype=torch.float64)
        values = []
        with torch.no_grad():
            for step in (1e-5, -2e-5):
                parameter += step * direction
                values.append(float(gap(model, batch(V, U))))
            parameter += 1e-5 * direction
        quotient = (values[0] - values[1]) / 2e-5
        assert float((parameter.grad * direction).sum()) == pytest.approx(quotient, rel=1e-5)


def test_training_by_gaps_denoises():
    g = torch.Generator().manual_seed(1)
    jumps = torch.randn(16, 12, 12, generator=g, dtype=torch.float64)
    clean = torch.cumsum(jumps * (jumps > 1.5), 1)
    noisy = clean + 0.5 * torch.randn(clean.shape, generator=g, dtype=torch.float64)
    model = denoiser(ridge(), reconstruction.WarmStart(torch.nn.Identity()), maxiter=10)

    def error():
        with torch.no_grad():
            return float((denoiser(model.regularizer).solve(noisy).x - clean).square().mean())

    before = error()
    learning.train(model, list(zip(noisy, clean)), steps=30, batch_size=16, progress=False,
                   loss=EnergyGap(), optimizer=torch.optim.Adam(model.parameters(), 3e-2))
    assert error() < 0.8 * before


def test_gaps_need_minimizers():
    with pytest.raises(TypeError, match="whose energy is compared"):
        EnergyGap()(ridge(), batch())
    with pytest.raises(ValueError, match="one\\s+real number|real number"):
        Direct()(nn.Identity(), batch())
