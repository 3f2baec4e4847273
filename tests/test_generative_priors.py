"""Generative regularizers: every part against dense matrices and densities, and the solver."""

import pickle

import numpy as np
import odl
import pytest
import torch
from instances.generative import dense_pair, variational

from odl_learned import operators
from odl_learned.bridge import as_module
from odl_learned.networks import generative
from odl_learned.regularizers import generative as g
from odl_learned.regularizers.generative.descent import latent_descent
from odl_learned.regularizers.generative.precision import Precision

SHAPE, N = (4, 6), 24
X = odl.uniform_discr([0, 0], [2, 1], SHAPE, dtype="float64")
SOURCE = torch.Generator().manual_seed(0)
Z = torch.randn(3, 3, dtype=torch.float64, generator=SOURCE)
U = torch.randn(3, *SHAPE, dtype=torch.float64, generator=SOURCE)
MARGINAL = g.Marginal()
NETWORK = variational(1)
MASK = np.arange(N).reshape(SHAPE) % 3 > 0


def inpainting():
    return operators.mask_operator(X, MASK)


def fourier():
    lines = np.repeat(np.array([[1, 1, 0, 1, 0, 1]], dtype=bool), 4, axis=0)
    return operators.SampledFourier(X.complex_space, lines) @ odl.ComplexEmbedding(X)


OPERATORS = {"inpainting": inpainting, "Fourier": fourier}


def measured(name="inpainting", noise_level=0.2):
    A = OPERATORS[name]()
    y = as_module(A)(U)
    noise = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(1))
    return g.Measurements(A, y + noise_level * noise, noise_level)


def matrix_of(measurements):
    """A in real coordinates."""
    columns = measurements.forward(torch.eye(N, dtype=torch.float64).reshape(N, *SHAPE))
    columns = torch.view_as_real(columns) if columns.is_complex() else columns
    return columns.flatten(1).T


def coordinates(y):
    return (torch.view_as_real(y) if y.is_complex() else y).flatten(1)


def dense_precisions(prior):
    factors = prior.deviations.precision(Z, U).dense()
    return factors.mT @ factors


@pytest.mark.parametrize("name", OPERATORS)
def test_measurements_are_those_of_the_entries_whatever_the_weights(name):
    m = measured(name)
    A, y = matrix_of(m), coordinates(m.data)
    rest = U.flatten(1) @ A.T - y
    torch.testing.assert_close(m.value(U), rest.square().sum(1) / (2 * 0.04))
    torch.testing.assert_close(m.gradient(U).flatten(1), rest @ A / 0.04)
    torch.testing.assert_close(m.normal(U).flatten(1), U.flatten(1) @ (A.T @ A) / 0.04)
    torch.testing.assert_close(m.pulled_back().flatten(1), y @ A / 0.04)
    part = m.take([2, 2, 0])
    assert torch.equal(part.value(U[[2, 2, 0]]), m.value(U)[[2, 2, 0]])


def largest(measurements):
    return float(torch.linalg.matrix_norm(matrix_of(measurements), 2)) ** 2 / 0.04


@pytest.mark.parametrize("name", OPERATORS)
def test_the_largest_eigenvalue_is_that_of_the_rules(name):
    """Those of masks and transforms are known; `largest` adds 100 eps for rounding."""
    m = measured(name)
    assert -1e-14 <= m.largest / largest(m) - 1 < 1e-13


@pytest.mark.parametrize("nodes_on_bdry", [False, True])
def test_the_largest_eigenvalue_is_bounded_whatever_the_weights(nodes_on_bdry):
    """Where edges count half and corners a quarter, norms are not Euclidean: a factor of 16.

    No rule knows the sum; its norm is within a hundredth.
    """
    space = odl.uniform_discr([0, 0], [2, 1], SHAPE, nodes_on_bdry=nodes_on_bdry)
    gradient = operators.gradient(space)
    A = gradient.adjoint @ gradient + odl.MultiplyOperator(space.element(U[0].numpy()))
    m = g.Measurements(A, torch.zeros(1, *SHAPE).double(), 0.2)
    assert 1 <= m.largest / largest(m) < 1.01**2 * (16 if nodes_on_bdry else 1) + 1e-9


def test_samples_are_taken_by_number():
    m = measured()
    assert len(m.take([])) == 0 and len(m.take(torch.tensor([], dtype=torch.bool))) == 0
    assert torch.equal(m.take([-1]).data, m.data[2:])
    assert torch.equal(m.take(torch.tensor([True, False, True])).data, m.data[[0, 2]])
    for index, kind, message in (([3], IndexError, "numbers of samples from 0 to 2"),
                                 (torch.ones(2, dtype=bool), IndexError, "or 3 of bool"),
                                 ([0.0], TypeError, "expected a list of whole numbers"),
                                 ("all", TypeError, "expected a list of whole numbers")):
        with pytest.raises(kind, match=message):
            m.take(index)


def test_the_information_of_a_mask_is_exact_and_of_lines_right_on_average():
    m = measured()
    torch.testing.assert_close(m.information[0], torch.as_tensor(MASK) / 0.04, check_dtype=False)
    m = measured("Fourier")
    exact = (matrix_of(m).square().sum(0) / 0.04).reshape(SHAPE)
    # A mean of 32 products whose variance is that of the other entries of the row, at most h^2.
    error = (m.information[0] - exact).abs()
    assert float((error / exact).max()) < 5 / 32**0.5 and float((error / exact).mean()) > 0


DEVIATIONS = {
    "white": lambda: g.WhiteDeviations(0.3),
    "constant": lambda: g.LearnedDeviations(variational(None, deviation=0.8).head, 2.0),
    "diagonal": lambda: g.LearnedDeviations(variational(0, deviation=0.8).head),
    "window": lambda: g.LearnedDeviations(variational(1, deviation=0.8).head, 0.5),
}


def prior_with(name):
    return g.GenerativePrior(dense_pair(1)[1].double(), DEVIATIONS[name](), 0.7)


@pytest.mark.parametrize("name", DEVIATIONS)
@pytest.mark.parametrize("operator", OPERATORS)
def test_images_minimize_for_their_latent_vector(name, operator):
    """Against a dense solve; conjugate gradients stop at 1e-11 of the right-hand side."""
    prior, m = prior_with(name), measured(operator)
    A, y, P = matrix_of(m), coordinates(m.data), dense_precisions(prior)
    center = prior.images(Z, U)
    u = prior.deviations.minimizer(m, center, Z, U, 1e-11)
    H = A.T @ A / 0.04 + P
    b = y @ A / 0.04 + (P @ center.flatten(1)[:, :, None])[:, :, 0]
    condition = float(torch.linalg.cond(H).max())
    exact = torch.linalg.solve(H, b[:, :, None])[:, :, 0]
    assert float((u.flatten(1) - exact).norm() / exact.norm()) < 1e-11 * condition
    weight = {"white": 1, "constant": 2, "diagonal": 1, "window": 0.5}[name]
    if name == "white":
        torch.testing.assert_close(P[0], torch.eye(N, dtype=torch.float64) / 0.09)
    else:
        factors = Precision(*prior.deviations.head(Z), prior.deviations.head.radius).dense()
        torch.testing.assert_close(P, weight * factors.mT @ factors)


def test_sparse_images_satisfy_their_optimality_condition():
    """``0 in A^T (A u - y) / s^2 + kappa d|u - c|_1``, entry by entry."""
    m, center, weight = measured("Fourier"), U + 0.3 * torch.randn(U.shape, generator=SOURCE), 4.0
    u = g.SparseDeviations(weight).minimizer(m, center, Z, center, 1e-13)
    slope, w = m.gradient(u), u - center
    moved = w != 0
    assert 0 < int(moved.sum()) < 3 * N
    torch.testing.assert_close(slope[moved], -weight * w[moved].sign(), rtol=0, atol=1e-6)
    assert float(slope[~moved].abs().max()) <= weight


def test_the_marginal_objective_is_minus_the_logarithm_of_the_density_of_data_and_latent_vector():
    r"""``y | z ~ N(A G, A P^-1 A^T + s^2)``: exact for diagonal P and inpainting."""
    prior = g.prior_of(variational(0))
    m = measured()
    A, P = matrix_of(m), dense_precisions(prior)
    center = prior.images(Z, U).detach()
    u = prior.deviations.minimizer(m, center, Z, U, 1e-12)
    ours = m.value(u) + prior.value(u, Z) + prior.determinant(g.Marginal(), Z, U, m.information)
    covariance = A @ torch.linalg.inv(P) @ A.T + 0.04 * torch.eye(N, dtype=torch.float64)
    density = torch.distributions.MultivariateNormal(center.flatten(1) @ A.T, covariance)
    normal = torch.distributions.Normal(torch.zeros(3, dtype=torch.float64), 1.0)
    exact = -density.log_prob(m.data.flatten(1)) - normal.log_prob(Z).sum(1)
    constant = N * np.log(2 * np.pi * 0.04) / 2 + 1.5 * np.log(2 * np.pi)
    torch.testing.assert_close(ours, exact - constant)


def test_the_joint_term_is_half_of_the_log_determinant():
    prior = g.prior_of(variational(1))
    P = dense_precisions(prior)
    term = prior.determinant(g.Joint(3.0), Z, U, None)
    torch.testing.assert_close(term, -1.5 * torch.logdet(P))
    without = g.GenerativePrior(prior.decoder, g.SparseDeviations(1.0))
    assert torch.equal(without.determinant(g.Joint(), Z, U, None), torch.zeros(3).double())


@pytest.mark.parametrize("name", DEVIATIONS)
@pytest.mark.parametrize("determinant", [g.Joint(), MARGINAL])
def test_the_solver_never_increases_and_ends_where_the_gradient_is_small(name, determinant):
    prior, m, values = prior_with(name), measured("Fourier", 1.0), []
    answer = g.alternating(prior, m, Z, determinant=determinant, accuracy=0.1, maxiter=50,
                           image_accuracy=1e-10, callback=values.append)  # fmt: skip
    steps = torch.diff(torch.stack(values), dim=0)
    assert len(values) > 2 and bool((steps <= 0).all()) and bool((steps < 0).any())
    assert torch.equal(values[-1], answer.value)
    u, z = answer.x.clone().requires_grad_(), answer.latent.clone().requires_grad_()
    F = m.value(u) + prior.value(u, z) + prior.determinant(determinant, z, u, m.information)
    torch.testing.assert_close(F, answer.value)
    by_u, by_z = torch.autograd.grad(F.sum(), (u, z))
    assert float(by_u.abs().max()) < 1e-6 * float(m.pulled_back().abs().max())
    if determinant is MARGINAL:  # the joint one runs away to high precisions
        assert list(answer.reason) == ["accuracy"] * 3
        torch.testing.assert_close(by_z.norm(dim=1), answer.stationarity, rtol=1e-4, atol=1e-9)
        assert bool((answer.stationarity <= 0.1).all())


class LinearDecoder(generative.Decoder):
    """``G(z) = W z``."""

    def __init__(self):
        super().__init__(3, 1, SHAPE)
        source = torch.Generator().manual_seed(7)
        self.matrix = torch.nn.Parameter(
            torch.randn(N, 3, dtype=torch.float64, generator=source))

    def decoded(self, z):
        return (z @ self.matrix.T).reshape(-1, 1, *SHAPE)


def test_for_a_linear_decoder_it_finds_the_global_minimum():
    """Then F is a quadratic in (u, z), and linear algebra knows its minimizer."""
    m = measured(noise_level=1.0)
    prior = g.GenerativePrior(LinearDecoder(), g.WhiteDeviations(0.5), 2.0)
    A, W = matrix_of(m), prior.decoder.matrix.detach()
    P, eye = 4 * torch.eye(N, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
    H = torch.cat([torch.cat([A.T @ A + P, -P @ W], 1),
                   torch.cat([-W.T @ P, W.T @ P @ W + 2 * eye], 1)])  # fmt: skip
    b = torch.cat([m.data.flatten(1) @ A, torch.zeros(3, 3, dtype=torch.float64)], 1)
    exact = torch.linalg.solve(H, b.T).T
    answer = g.alternating(prior, m, Z, accuracy=1e-3, maxiter=200, image_accuracy=1e-12)
    least = float(torch.linalg.eigvalsh(H)[0])  # |(u, z) - exact| <= |gradient| / least
    found = torch.cat([answer.x.flatten(1), answer.latent], 1)
    assert float((found - exact).norm(dim=1).max()) < 1e-3 / least
    assert list(answer.reason) == ["accuracy"] * 3


def test_a_sample_has_the_same_answer_alone_and_among_others():
    prior, m = prior_with("window"), measured("Fourier", 1.0)
    options = dict(accuracy=0.1, maxiter=50, image_accuracy=1e-9)
    together = g.alternating(prior, m, Z, **options)
    for i in range(3):
        alone = g.alternating(prior, m.take([i]), Z[i : i + 1], **options)
        torch.testing.assert_close(alone.x[0], together.x[i], rtol=0, atol=1e-7)
        assert alone.niter[0] == together.niter[i]
    assert len(set(together.niter)) > 1


@pytest.mark.parametrize("name", ["window", "sparse"])
@pytest.mark.parametrize("solve", [g.alternating, g.variable_projection])
def test_nothing_is_made_on_another_device_than_that_of_the_data(solve, name):
    """Where new tensors are by default on a device without numbers, mixing them is an error."""
    prior = prior_with("window")
    if name == "sparse":
        prior = g.GenerativePrior(prior.decoder, g.SparseDeviations(1.0))
    fresh = measured("Fourier", 1.0)
    expected = solve(prior, measured("Fourier", 1.0), Z, maxiter=3)
    with torch.device("meta"):
        start = g.range_restricted(prior.decoder, fresh, Z, maxiter=2).latent
        found = solve(prior, fresh, Z, maxiter=3)
        g.encoder_start(NETWORK, fresh)
    assert start.device.type == "cpu" and torch.equal(found.x, expected.x)


def test_complex_images_are_reconstructed_as_two_channels():
    C = X.complex_space
    A = operators.SampledFourier(C, np.ones(SHAPE, dtype=bool))
    u = torch.complex(U, U.flip(1))
    m = g.Measurements(A, as_module(A)(u), 1e-4)
    answer = g.alternating(g.prior_of(variational(1, 2)), m, Z)
    assert float((answer.x - u).abs().max()) < 1e-3  # data are complete and precise


@pytest.mark.parametrize("name", DEVIATIONS)
@pytest.mark.parametrize("operator", OPERATORS)
def test_the_posterior_of_images_is_the_dense_one(name, operator):
    prior, m = prior_with(name), measured(operator)
    A, P = matrix_of(m), dense_precisions(prior)
    posterior = g.image_posterior(prior, m, Z, N, 1e-12)
    exact = torch.linalg.inv(P + A.T @ A / 0.04).detach()
    u = prior.deviations.minimizer(m, prior.images(Z, U), Z, U, 1e-12)
    torch.testing.assert_close(posterior.mean, u, rtol=0, atol=1e-10)
    torch.testing.assert_close(posterior.variances().flatten(1), exact.diagonal(dim1=1, dim2=2))
    unit = torch.zeros(3, *SHAPE, dtype=torch.float64)
    unit[:, 2, 3] = 1
    torch.testing.assert_close(posterior.times(unit).flatten(1), exact[:, 2 * 6 + 3])


def test_the_posterior_of_complex_images_is_that_of_their_channels():
    """With complete data of deviation 0.1 and a prior of much larger ones, it is white."""
    A = operators.SampledFourier(X.complex_space, np.ones(SHAPE, dtype=bool))
    m = g.Measurements(A, as_module(A)(torch.complex(U, U.flip(1))), 0.1)
    prior = g.GenerativePrior(dense_pair(2)[1].double(), g.WhiteDeviations(1e4))
    posterior = g.image_posterior(prior, m, Z, 2 * N)
    assert posterior.mean.shape == (3, 2, *SHAPE)
    torch.testing.assert_close(posterior.variances(), torch.full((3, 2, *SHAPE), 0.01).double())
    with pytest.raises(TypeError, match="expected Gaussian ones"):
        g.image_posterior(g.GenerativePrior(prior.decoder, g.SparseDeviations(1.0)), m, Z, 3)


def test_no_rounds_give_the_image_for_the_start():
    prior, m = prior_with("window"), measured()
    answer = g.alternating(prior, m, Z, maxiter=0, image_accuracy=1e-10)
    u = prior.deviations.minimizer(m, prior.images(Z, U), Z, U, 1e-10)
    torch.testing.assert_close(answer.x, u, rtol=0, atol=1e-8)
    assert torch.equal(answer.latent, Z) and bool(answer.stationarity.isinf().all())


def test_more_starts_are_never_worse_and_the_first_ones_the_same():
    decoder, m = dense_pair(1)[1].double(), measured()
    few, many = (g.prior_samples(3, 3, k, torch.Generator().manual_seed(4)) for k in (2, 6))
    assert torch.equal(many[:2], few)

    def best(starts):
        return g.best_of(lambda z: g.range_restricted(decoder, m, z, maxiter=3), starts,
                         lambda answer: m.value(answer.x))  # fmt: skip

    values = [m.value(best(many[:k]).x) for k in range(1, 7)]
    assert all(bool((b <= a).all()) for a, b in zip(values, values[1:]))
    assert bool((values[-1] < values[0]).any())
    answer = best(many)
    torch.testing.assert_close(
        answer.value, m.value(answer.x) + 0.5 * answer.latent.square().sum(1))


def test_an_adapted_decoder_fits_better_than_the_fixed_one():
    decoder, m = dense_pair(1)[1].double(), measured()
    before = [p.detach().clone() for p in decoder.parameters()]
    fixed = g.range_restricted(decoder, m, Z)
    adapted = g.inverse_gan(decoder, m, fixed.latent, learning_rate=1e-2, steps=30)
    assert bool((m.value(adapted.x) < 0.7 * m.value(fixed.x)).all())
    assert all(map(torch.equal, before, decoder.parameters()))
    start = g.inverse_gan(decoder, m, fixed.latent, steps=0)
    torch.testing.assert_close(start.x, fixed.x)
    torch.testing.assert_close(start.value, fixed.value)


def test_the_encoder_starts_from_a_reconstruction():
    network, m = variational(0), measured("Fourier", 1e-3)
    A = matrix_of(m)
    shift = 1e-6 * float(m.information.mean())
    u = torch.linalg.solve(A.T @ A / 1e-6 + shift * torch.eye(N, dtype=torch.float64),
                           (coordinates(m.data) @ A / 1e-6).T).T.reshape(U.shape)  # fmt: skip
    expected = network.encode(u)[0].detach()
    z = g.encoder_start(network, m, alpha=1e-6)
    assert float((z - expected).norm()) < 0.05 * float(expected.norm())


@pytest.mark.parametrize(("space", "radius", "channels"), [(X, 1, 1), (X.complex_space, 0, 2)])
def test_the_reduced_functional_is_an_infimum_with_the_gradient_of_the_envelope(
        space, radius, channels):  # fmt: skip
    """Against random latent vectors, and a central difference: an error of order h^2 = 1e-8."""
    network = variational(radius, channels, deviation=0.8)
    prior = g.prior_of(network)
    R = g.reduced_functional(prior, space, lambda u: network.encode(u)[0], accuracy=1e-8)
    rng = np.random.default_rng(0)
    x, h = (odl.phantom.white_noise(space, seed=int(rng.integers(99))) for _ in range(2))
    u = torch.as_tensor(np.asarray(x.asarray()))[None].expand(200, *SHAPE)
    z = torch.randn(200, 3, dtype=torch.float64, generator=SOURCE)
    with torch.no_grad():
        others = prior.value(u, z) + prior.determinant(g.Joint(), z, u, None)
    assert R(x) < float(others.min())
    step = 1e-4
    quotient = (R(x + step * h) - R(x - step * h)) / (2 * step)
    slope = R.gradient(x).inner(h).real
    assert abs(quotient - slope) < 1e-5 * abs(slope)


def rosenbrock(z, index):
    return (1 - z[:, 0]) ** 2 + 100 * (z[:, 1] - z[:, 0] ** 2) ** 2 + index


def test_descent_reaches_the_minimum_of_a_curved_valley_without_increase():
    start = torch.tensor([[-1.2, 1.0], [1.0, 1.0], [0.0, 3.0]], dtype=torch.float64)
    values = []

    def watched(z, index):
        values.append(rosenbrock(z, index).detach())
        return rosenbrock(z, index)

    found = latent_descent(watched, start, accuracy=1e-9, maxiter=200)
    torch.testing.assert_close(found.z, torch.ones(3, 2).double(), rtol=0, atol=1e-9)
    assert list(found.reason) == ["accuracy"] * 3
    assert found.niter[1] == 0 and 0 < found.niter[0] < 60
    torch.testing.assert_close(found.value, torch.arange(3).double())
    few = latent_descent(rosenbrock, start, accuracy=1e-9, maxiter=3)
    assert bool((few.value <= rosenbrock(start, torch.arange(3))).all())
    assert list(few.reason) == ["maxiter", "accuracy", "maxiter"]


def test_descent_goes_on_with_what_it_knows_of_the_curvature():
    """With the inverse of the Hessian, a quadratic takes one step; it is what descent ends with.

    Without it the first step is along the gradient. The curvatures are a thousand apart.
    """
    curvature = torch.tensor([1.0, 30.0, 1000.0], dtype=torch.float64)

    def quadratic(z, index):
        return 0.5 * (curvature * (z - 1).square()).sum(1)

    cold = latent_descent(quadratic, Z, accuracy=1e-9, maxiter=100)
    exact = torch.diag(1 / curvature).expand(3, 3, 3)
    assert cold.niter.min() > 3
    warm = latent_descent(quadratic, Z, accuracy=1e-9, maxiter=100, inverse=exact)
    assert list(warm.niter) == [1, 1, 1]
    again = latent_descent(quadratic, Z, accuracy=1e-9, maxiter=100, inverse=cold.inverse)
    assert (2 * again.niter < cold.niter).all()
    torch.testing.assert_close(again.z, torch.ones(3, 3).double(), rtol=0, atol=1e-9)


def test_descent_that_cannot_decrease_says_so():
    class Wrong(torch.autograd.Function):
        """A value with the gradient of another function."""

        @staticmethod
        def forward(ctx, z):
            return z.square().sum(1)

        @staticmethod
        def backward(ctx, slope):
            return -torch.ones(2, 3, dtype=torch.float64)

    found = latent_descent(lambda z, index: Wrong.apply(z), Z[:2].abs(), accuracy=1e-9, maxiter=5)
    assert list(found.reason) == ["rounding"] * 2 and torch.equal(found.z, Z[:2].abs())
    with pytest.raises(FloatingPointError, match="not finite at the start"):
        latent_descent(lambda z, index: z.sum(1) / 0, Z, accuracy=1e-9, maxiter=5)


MISTAKES = {
    "data of another shape": (lambda: g.Measurements(inpainting(), torch.zeros(2, 4, 5), 0.1),
                              ValueError, "data"),
    "data without a batch": (lambda: g.Measurements(inpainting(), U[0], 0.1),
                             ValueError, r"data\[None\]"),
    "a start of another shape": (lambda: g.alternating(prior_with("white"), measured(), Z[:2]),
                                 ValueError, r"\(2, 3\)\), expected a real tensor of shape"),
    "a network for a prior": (lambda: g.alternating(variational(0), measured(), Z),
                              TypeError, "expected one of GenerativePrior"),
    "a determinant that needs data": (
        lambda: g.joint_functional(prior_with("diagonal"), X, g.Marginal()),
        TypeError, "Marginal needs measurements"),
    "complex images and real latent vectors": (
        lambda: g.joint_functional(prior_with("diagonal"), X.complex_space),
        TypeError, "take reduced_functional"),
    "images of another shape": (
        lambda: g.joint_functional(prior_with("diagonal"), odl.rn((6, 4))),
        ValueError, r"the shape \(6, 4\), expected \(4, 6\)"),
    "no starts": (lambda: g.best_of(lambda z: z, Z, lambda a: a),
                  ValueError, r"expected a tensor \(K, N, latent\)"),
    "a decoder for a network": (lambda: g.prior_of(LinearDecoder()),
                                TypeError, "take GenerativePrior with WhiteDeviations"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named(name):
    call, kind, message = MISTAKES[name]
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.parametrize("name", OPERATORS)
def test_measurements_are_pickled_and_finite(name):
    measurements = measured(name)
    copy = pickle.loads(pickle.dumps(measurements))
    assert torch.equal(copy.normal(U), measurements.normal(U))
    for data in (measurements.data * torch.nan, measurements.data[:0]):
        with pytest.raises(ValueError, match="contain no samples, or NaN"):
            g.Measurements(measurements.forward_op, data, 0.2)


def test_sparse_deviations_vanish_where_nothing_is_measured():
    prior = g.GenerativePrior(variational(None).decoder, g.SparseDeviations(1.0))
    nothing = g.Measurements(0 * odl.IdentityOperator(X), torch.zeros_like(U), 0.2)
    answer = g.alternating(prior, nothing, Z)
    torch.testing.assert_close(answer.x, prior.images(answer.latent, U).detach())
    torch.testing.assert_close(answer.value, answer.latent.square().sum(1) / 2)
