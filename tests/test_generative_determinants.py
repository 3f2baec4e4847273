"""The marginal determinant by stochastic Lanczos quadrature, against dense matrices."""

import numpy as np
import odl
import pytest
import torch
from instances.generative import variational
from test_generative_priors import OPERATORS, SHAPE, N, U, X, Z, matrix_of, measured

from odl_learned import operators
from odl_learned.bridge import as_module
from odl_learned.regularizers import generative as g
from odl_learned.regularizers.generative.determinants.quadrature import LogDeterminant
from odl_learned.regularizers.generative.precision import Precision


def coefficients(radius, channels=1, seed=0, shape=(6, 6)):
    generator = torch.Generator().manual_seed(seed)
    K = len(operators.triangular.Neighborhood(radius, channels))
    return [(scale * torch.randn(2, count, *shape, dtype=torch.float64, generator=generator)
             ).requires_grad_() for scale, count in ((0.5, channels), (0.4, K))]  # fmt: skip


def lines(shape=(6, 6)):
    """``A^T A / s^2`` of half of the lines of real images, with channels, and its matrix."""
    C = odl.cn(shape)
    mask = np.isin(np.arange(shape[1]), [0, 1, 3])[None] & np.ones((shape[0], 1), bool)
    op = operators.SampledFourier(C, mask) @ odl.ComplexEmbedding(odl.rn(shape))
    module = as_module(op.adjoint @ op)
    return lambda u: module(u.reshape(-1, *shape)).reshape(u.shape) / 0.04


def dense(parts, radius, normal):
    """``log(I + B)`` of both samples, differentiable, with ``I + B = L^-1 (P + N) L^-T``."""
    precision = Precision(*parts, radius)
    inverse = torch.linalg.inv(precision.dense())
    unit = torch.eye(precision.size, dtype=torch.float64)
    matrix = normal(unit.reshape(-1, *precision.image)).flatten(1)
    return torch.eye(precision.size, dtype=torch.float64) + inverse.mT @ matrix @ inverse


def log_of(matrix):
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.log()[:, None, :]) @ vectors.mT


def signs(count, size, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return 2.0 * torch.randint(0, 2, (count, size), generator=generator).double() - 1


@pytest.mark.parametrize(("radius", "channels"), [(1, 1), (2, 1), (1, 2)])
def test_all_unit_vectors_give_the_determinant_and_its_gradient(radius, channels):
    """The mean over n unit vectors of length ``n^1/2`` is the trace."""
    parts, normal = coefficients(radius, channels), lines()
    exact = torch.logdet(dense(parts, radius, normal))
    n = parts[0][0].numel()
    probes = n**0.5 * torch.eye(n, dtype=torch.float64)
    found = LogDeterminant.apply(*parts, radius, normal, probes, n)
    torch.testing.assert_close(found, exact, rtol=1e-10, atol=0)
    weights = torch.tensor([1.0, -0.5], dtype=torch.float64)
    expected = torch.autograd.grad(exact, parts, weights)
    for ours, theirs in zip(torch.autograd.grad(found, parts, weights), expected):
        assert (ours - theirs).abs().max() < 1e-8 * theirs.abs().max()


def test_the_gradient_is_that_of_the_estimate_with_any_probes_and_few_steps():
    """Central differences with h = 1e-5 are wrong by ``h^2`` and ``eps / h``, relative 1e-9.

    The value is exact to 1e-12 after 24 steps of 36, the gradient to its root.
    """
    normal, probes = lines(), signs(3, 36)
    generator = torch.Generator().manual_seed(4)
    for steps, tolerance in ((36, 1e-7), (24, 1e-5)):
        parts = coefficients(1)
        value = LogDeterminant.apply(*parts, 1, normal, probes, steps)
        slopes = torch.autograd.grad(value.sum(), parts)
        change = [torch.randn(part.shape, dtype=torch.float64, generator=generator)
                  for part in parts]  # fmt: skip
        with torch.no_grad():
            there, back = (LogDeterminant.apply(
                *(part + sign * 1e-5 * d for part, d in zip(parts, change)), 1, normal, probes,
                steps).sum() for sign in (1, -1))  # fmt: skip
        slope = sum(float((s * d).sum()) for s, d in zip(slopes, change))
        assert abs(float(there - back) / 2e-5 - slope) < tolerance * abs(slope)


def test_the_estimate_is_unbiased():
    r"""Over 1000 signs, within 5 standard errors; ``Var v^T F v = 2 sum_{i != j} F_ij^2``."""
    parts, normal, probes = coefficients(1), lines(), signs(1000, 36)
    with torch.no_grad():
        F = log_of(dense(parts, 1, normal))
        found = LogDeterminant.apply(*parts, 1, normal, probes, 36)
    trace, square = F.diagonal(dim1=1, dim2=2).sum(1), F.square().sum((1, 2))
    error = (2 * (square - F.diagonal(dim1=1, dim2=2).square().sum(1)) / 1000).sqrt()
    assert ((found - trace).abs() < 5 * error).all()
    assert (error > 1e-3 * trace).all()


def test_quadratures_fall_to_the_exact_value_with_the_number_of_steps():
    parts, normal, probes = coefficients(1), lines(), signs(5, 36)
    with torch.no_grad():
        F = log_of(dense(parts, 1, normal))
        exact = torch.einsum("mi,nij,mj->n", probes, F, probes) / 5
        values = torch.stack([LogDeterminant.apply(*parts, 1, normal, probes, steps)
                              for steps in (2, 4, 8, 16, 30)])
    assert (values.diff(dim=0) < 1e-10).all() and (values > exact - 1e-10).all()
    assert (values[0] - exact > 0.05).all() and (values[-1] - exact < 1e-8).all()


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_term_is_near_the_exact_one_and_nearer_than_the_diagonal(operator):
    """With 200 probes; for inpainting and a diagonal precision both are exact."""
    m = measured(operator)
    for radius in (0, 1):
        prior = g.prior_of(variational(radius, deviation=0.8))
        sampled = g.SampledMarginal(m, 200, N)
        with torch.no_grad():
            factor = prior.deviations.precision(Z, U).dense()
            P, A = factor.mT @ factor, matrix_of(m)
            exact = 0.5 * (torch.logdet(P + A.T @ A / 0.04) - torch.logdet(P))
            error, diagonal = ((prior.determinant(d, Z, U, m.information) - exact).abs()
                               for d in (sampled, g.Marginal()))
        assert (error < 0.02 * exact).all()
        if operator == "inpainting" and radius == 0:
            assert max(error.max(), diagonal.max()) < 1e-9
        else:
            assert error.mean() < diagonal.mean()


def test_the_solver_never_increases_with_it_and_ends_where_the_gradient_is_small():
    prior, m, values = g.prior_of(variational(1, deviation=0.8)), measured("Fourier", 1.0), []
    determinant = g.SampledMarginal(m, 4, N)
    answer = g.alternating(prior, m, Z, determinant=determinant, accuracy=0.1, maxiter=50,
                           image_accuracy=1e-10, callback=values.append)  # fmt: skip
    steps = torch.diff(torch.stack(values), dim=0)
    assert bool((steps <= 0).all()) and bool((steps < 0).any())
    assert list(answer.reason) == ["accuracy"] * 3 and bool((answer.stationarity <= 0.1).all())
    projected = g.variable_projection(prior, m, answer.latent, determinant=determinant,
                                      accuracy=0.05, image_accuracy=1e-10)  # fmt: skip
    assert bool((projected.value <= answer.value + 1e-9).all())


def test_complex_images_have_channels():
    A = operators.SampledFourier(X.complex_space, np.ones(SHAPE, dtype=bool))
    m = g.Measurements(A, as_module(A)(torch.complex(U, U.flip(1))), 0.5)
    prior = g.GenerativePrior(variational(0, 2).decoder, g.WhiteDeviations(2.0))
    found = prior.determinant(g.SampledMarginal(m, 3), Z, m.images(), m.information)
    exact = 0.5 * 2 * N * np.log(1 + 4 / 0.25)  # all eigenvalues are 16
    torch.testing.assert_close(found, torch.full((3,), exact, dtype=torch.float64))


def test_mistakes_are_named():
    m, prior = measured(), g.prior_of(variational(1))
    other = g.SampledMarginal(measured(noise_level=0.3))
    with pytest.raises(ValueError, match="was made for another operator or noise level"):
        g.alternating(prior, m, Z, determinant=other)
    with pytest.raises(TypeError, match="expected Measurements"):
        g.SampledMarginal(prior)
    with pytest.raises(ValueError, match="probes is 0"):
        g.SampledMarginal(m, 0)
    with pytest.raises(ValueError, match="information is None.*Joint"):
        prior.objective(U, Z, g.Marginal(), None)
    z = Z.clone().requires_grad_()
    value = prior.determinant(g.SampledMarginal(m, 2, 5), z, U, m.information)
    with pytest.raises(RuntimeError, match="has no second derivative"):
        torch.autograd.grad(value.sum(), z, create_graph=True)
