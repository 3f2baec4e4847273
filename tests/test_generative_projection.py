"""Descent in latent vectors with images eliminated: against closed forms, and against turns."""

import numpy as np
import odl
import pytest
import torch
from instances.generative import variational
from test_generative_priors import (
    DEVIATIONS,
    SHAPE,
    LinearDecoder,
    N,
    U,
    X,
    Z,
    matrix_of,
    measured,
    prior_with,
)

from odl_learned import operators
from odl_learned.bridge import as_module
from odl_learned.networks.generative import FullyConnectedDecoder
from odl_learned.regularizers import generative as g
from odl_learned.regularizers.generative.image_steps import least_squares
from odl_learned.regularizers.generative.precision import Precision

EXACT = dict(image_accuracy=1e-12)


def test_for_a_linear_decoder_it_finds_the_minimum_in_closed_form():
    """``y | z ~ N(A W z, S)`` with ``S = s^2 + A A^T / p``: linear regression with a prior."""
    m = measured(noise_level=1.0)
    prior = g.GenerativePrior(LinearDecoder(), g.WhiteDeviations(0.5), 2.0)
    A, W = matrix_of(m), prior.decoder.matrix.detach()
    S = torch.eye(N, dtype=torch.float64) + A @ A.T / 4
    B = A @ W
    H = B.T @ torch.linalg.solve(S, B) + 2 * torch.eye(3, dtype=torch.float64)
    exact = torch.linalg.solve(H, B.T @ torch.linalg.solve(S, m.data.flatten(1).T)).T
    answer = g.variable_projection(prior, m, Z, accuracy=1e-6, **EXACT)
    least = float(torch.linalg.eigvalsh(H)[0])  # |z - exact| <= |gradient| / least
    assert float((answer.latent - exact).norm(dim=1).max()) < 2e-6 / least
    assert list(answer.reason) == ["accuracy"] * 3
    u = prior.deviations.minimizer(m, prior.images(answer.latent, U), Z, U, 1e-12)
    torch.testing.assert_close(answer.x, u, rtol=0, atol=1e-9)


PRIORS = {**{name: lambda name=name: prior_with(name) for name in DEVIATIONS},
          "sparse": lambda: g.GenerativePrior(prior_with("white").decoder,
                                              g.SparseDeviations(20.0))}  # fmt: skip


@pytest.mark.parametrize("name", PRIORS)
def test_its_stationarity_is_the_slope_of_the_minimum_over_images(name):
    """Against central differences, whose error is of order h^2 = 1e-8, relative."""
    prior, m, h = PRIORS[name](), measured("Fourier"), 1e-4

    def value(z):
        return g.variable_projection(prior, m, z, maxiter=0, **EXACT).value

    steps = h * torch.eye(3, dtype=torch.float64)
    slope = torch.stack([(value(Z + e) - value(Z - e)) / (2 * h) for e in steps], 1)
    found = g.variable_projection(prior, m, Z, maxiter=0, **EXACT).stationarity
    torch.testing.assert_close(found, slope.norm(dim=1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", PRIORS)
def test_values_never_increase_with_steps_and_are_those_of_the_objective(name):
    prior, m = PRIORS[name](), measured("Fourier", 1.0)
    answers = [g.variable_projection(prior, m, Z, maxiter=k, accuracy=0.1, **EXACT)
               for k in (0, 1, 2, 4, 60)]  # fmt: skip
    values = torch.stack([answer.value for answer in answers])
    assert bool((torch.diff(values, dim=0) <= 0).all()) and bool((values[-1] < values[0]).all())
    last = answers[-1]
    F = (m.value(last.x) + prior.value(last.x, last.latent)
         + prior.determinant(g.Marginal(), last.latent, U, m.information))  # fmt: skip
    torch.testing.assert_close(F, last.value)
    assert list(last.reason) == ["accuracy"] * 3


def test_samples_stay_apart():
    prior, m = prior_with("window"), measured("Fourier", 1.0)
    together = g.variable_projection(prior, m, Z, accuracy=0.1, **EXACT)
    for i in range(3):
        alone = g.variable_projection(prior, m.take([i]), Z[i : i + 1], accuracy=0.1, **EXACT)
        torch.testing.assert_close(alone.x[0], together.x[i], rtol=0, atol=1e-7)


def test_sparse_deviations_that_cost_much_leave_what_is_in_the_range_and_do_not_hold_z_back():
    """In turn, z cannot move: ``|u - G(z)|_1`` has a kink where u is ``G(z)``."""
    m = measured("Fourier")
    prior = g.GenerativePrior(prior_with("white").decoder, g.SparseDeviations(1e4))
    fitted = g.range_restricted(prior.decoder, m, Z, accuracy=1e-6)
    answer = g.variable_projection(prior, m, Z, accuracy=1e-6, **EXACT)
    torch.testing.assert_close(answer.x, fitted.x, rtol=0, atol=1e-6)
    held = g.alternating(prior, m, Z, accuracy=1e-6, **EXACT)
    assert bool((held.value > answer.value + 1).all())
    assert float((held.latent - Z).norm()) < 0.1 * float((answer.latent - Z).norm())


def test_complex_images_are_two_channels():
    C = X.complex_space
    A = operators.SampledFourier(C, np.ones(SHAPE, dtype=bool))
    u = torch.complex(U, U.flip(1))
    m = g.Measurements(A, as_module(A)(u), 1e-4)
    answer = g.variable_projection(g.prior_of(variational(1, 2)), m, Z)
    assert float((answer.x - u).abs().max()) < 1e-3  # data are complete and precise


def test_nothing_is_solved_where_the_latent_vector_alone_costs_too_much():
    """``phi(z) >= mu/2 |z|^2``, so that larger vectors cannot be better than the start."""
    prior, m, asked = prior_with("white"), measured(), []
    minimizer = prior.deviations.minimizer

    def watched(measurements, center, z, start, accuracy):
        asked.append(float(z.norm(dim=1).max()))
        return minimizer(measurements, center, z, start, accuracy)

    prior.deviations.minimizer = watched
    first = float(g.variable_projection(prior, m, Z, maxiter=0).value.max())
    g.variable_projection(prior, m, Z, accuracy=1e-3)
    assert len(asked) > 4 and max(asked) <= (2 * first / prior.latent_weight) ** 0.5


def test_pixels_of_which_nothing_is_known_stay_where_they_are():
    space = odl.uniform_discr([0, 0], [1, 1], SHAPE, dtype="float32")
    A = operators.mask_operator(space, np.arange(N).reshape(SHAPE) % 2 == 0)
    m = g.Measurements(A, as_module(A)(U.float()), 0.1)
    nothing = Precision(torch.full((3, 1, *SHAPE), -60.0), torch.zeros(3, 0, *SHAPE), 0)
    assert float(nothing.diagonal().max()) == 0  # e^-120 in single precision
    u = least_squares(m, nothing, 7 + 0 * U.float(), 7 + 0 * U.float(), 1e-6)
    known = torch.arange(N).reshape(SHAPE) % 2 == 0
    torch.testing.assert_close(u[:, known], U.float()[:, known])
    assert bool((u[:, ~known] == 7).all())


def test_mistakes_are_named():
    decoder = FullyConnectedDecoder(3, (4,), 1, SHAPE)
    with pytest.raises(TypeError, match="prior is .*, expected one of GenerativePrior"):
        g.variable_projection(decoder, measured(), Z)
    with pytest.raises(ValueError, match="expected a real tensor of shape"):
        g.variable_projection(prior_with("white"), measured(), Z[:2])
    with pytest.raises(ValueError, match="start is .*complex128.*, expected a real tensor"):
        g.variable_projection(prior_with("white"), measured(), Z + 0j)
