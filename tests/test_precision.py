"""Gaussian models with a sparse factor of the precision, against dense matrices and torch."""

import math

import numpy as np
import odl
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from odl_learned import operators
from odl_learned.bridge.triangular import solves
from odl_learned.regularizers.generative.precision import NoiseFloor, Precision

CASES = {"3 x 3": (1, None), "5 x 5": (2, None), "diagonal": (0, None), "two channels": (1, 2),
         "three channels, one pixel": (0, 3)}  # fmt: skip


def border(shape):
    inside = torch.zeros(shape, dtype=torch.bool)
    inside[1:, 1:-1] = True
    return inside


def coefficients(radius, channels, count=2, shape=(4, 5), seed=0):
    generator = torch.Generator().manual_seed(seed)
    size = len(operators.triangular.Neighborhood(radius, channels or 1))
    image = shape if channels is None else (channels, *shape)
    return (0.5 * torch.randn(count, *image, generator=generator, dtype=torch.float64),
            0.4 * torch.randn(count, size, *shape, generator=generator, dtype=torch.float64))


def a_precision(radius=1, channels=None, count=2, shape=(4, 5), mask=None):
    return Precision(*coefficients(radius, channels, count, shape), radius, mask)


def images(precision, lead=(3,), dtype=torch.float64, seed=5):
    return torch.randn(*lead, len(precision), *precision.image, dtype=dtype,
                       generator=torch.Generator().manual_seed(seed))


def brute_force(radius, channels, mask):
    """``L^T`` of every sample, entry by entry from the definition."""
    log, b = coefficients(radius, channels)
    log = log if channels else log[:, None]
    count, depth, height, width = log.shape
    flat = np.arange(depth * height * width).reshape(depth, height, width)
    result = np.zeros((count, flat.size, flat.size))
    for n, (i, j), c in ((n, (i, j), c) for n in range(count) for i in range(height)
                         for j in range(width) for c in range(depth)):
        scale, row, k = math.exp(log[n, c, i, j]), flat[c, i, j], 0
        result[n, row, row] = scale
        for first in range(depth):
            reached = [(0, 0, other) for other in range(first + 1, depth)]
            reached += [(a, s, other) for a in range(radius + 1) for s in range(-radius, radius + 1)
                        if a > 0 or s > 0 for other in range(depth)]
            for a, s, other in reached:
                y, x = i + a, j + s
                inside = y < height and 0 <= x < width and (mask is None or bool(
                    mask[i, j] and mask[y, x]))
                if first == c and inside:
                    result[n, row, flat[other, y, x]] = scale * float(b[n, k, i, j])
                k += 1
    return torch.from_numpy(result)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_algebra_is_that_of_the_dense_matrix(case, masked):
    radius, channels = CASES[case]
    mask = border((4, 5)) if masked else None
    precision = a_precision(radius, channels, mask=mask)
    factor = brute_force(radius, channels, mask)
    P = factor.mT @ factor

    def close(x, y):
        return (x - y).abs().max() <= 1e-12 * y.abs().max()

    assert close(precision.dense(), factor)
    for u in (images(precision), images(precision, dtype=torch.complex128)):
        column = u.flatten(2)[..., None]
        for method, matrix in (
                (precision.whiten, factor), (precision.whiten_transposed, factor.mT),
                (precision.unwhiten, torch.linalg.inv(factor)), (precision.times, P),
                (precision.unwhiten_transposed, torch.linalg.inv(factor).mT),
                (precision.covariance_times, torch.linalg.inv(P))):
            dense = (matrix.to(u.dtype) @ column)[..., 0].reshape(u.shape)
            assert close(method(u), dense)
    assert close(precision.diagonal().flatten(1), P.diagonal(dim1=1, dim2=2))
    assert close(precision.log_determinant(), torch.linalg.slogdet(P).logabsdet)


def test_one_precision_serves_all_images():
    one, u = a_precision(count=1), images(a_precision(count=1), lead=(3, 2))
    alone = torch.stack([one.whiten(part) for part in u.flatten(0, 1)])
    assert torch.equal(one.whiten(u).flatten(0, 1), alone)
    assert torch.equal(one.whiten(u[:, :, 0]), one.whiten(u)[:, :, 0])
    both = a_precision()
    assert torch.equal(both.take([1]).whiten(u[0, 0, :1]), both.whiten(u[0, 0, [0, 0]])[1:])


@pytest.mark.parametrize("channels", [None, 2])
def test_log_density_is_that_of_torch(channels):
    precision = a_precision(1, channels, mask=border((4, 5)))
    u, mean = images(precision), images(precision, seed=6)
    factor = precision.dense()
    gaussian = torch.distributions.MultivariateNormal(
        mean.flatten(2), precision_matrix=factor.mT @ factor)
    expected = gaussian.log_prob(u.flatten(2))
    assert (precision.log_density(u, mean) - expected).abs().max() <= 1e-9 * expected.abs().max()
    both = precision.log_density(torch.complex(u, mean))
    assert torch.allclose(both, precision.log_density(u) + precision.log_density(mean))


@pytest.mark.parametrize("channels", [None, 2])
@pytest.mark.parametrize("method", ["whiten", "whiten_transposed", "unwhiten",
                                    "unwhiten_transposed", "log_density"])  # fmt: skip
def test_derivatives_of_both_orders(method, channels):
    log, b = (part[:, ..., :3, :3].clone() for part in coefficients(1, channels))
    u = images(Precision(log, b, 1), lead=(2,))
    mask = border((3, 3)) if channels else None
    inputs = [t.requires_grad_() for t in (u, log, b)]

    def function(u, log, b):
        return getattr(Precision(log, b, 1, mask), method)(u)

    assert gradcheck(function, inputs, check_forward_ad=True, fast_mode=True)
    assert gradgradcheck(function, inputs, fast_mode=True)


def test_complex_images_have_derivatives_too():
    log, b = coefficients(1, None)
    u = images(Precision(log, b, 1), lead=(), dtype=torch.complex128)
    inputs = [t.requires_grad_() for t in (u, log, b)]
    for method in ("whiten", "unwhiten_transposed", "log_density"):
        assert gradcheck(lambda u, log, b: getattr(Precision(log, b, 1), method)(u), inputs,
                         check_forward_ad=True, fast_mode=True)  # fmt: skip


def test_maps_over_samples_as_a_loop():
    log, b = coefficients(1, 2)
    u = images(Precision(log, b, 1))

    def slope(u, log, b):
        def density(b):
            return Precision(log[None], b[None], 1).log_density(u)[0]

        return torch.func.grad(density)(b), torch.func.jacfwd(density)(b)

    back, forward = torch.func.vmap(slope)(u[0], log, b)
    loop = torch.autograd.functional.jacobian(
        lambda b: Precision(log, b, 1).log_density(u[0]).sum(), b)
    assert torch.allclose(back, loop) and torch.allclose(forward, loop)
    samples = torch.func.vmap(lambda u, s: Precision(s[None], b[:1], 1).unwhiten(u))(u[0], log)
    assert torch.allclose(samples[1], Precision(log[1:], b[:1], 1).unwhiten(u[0, 1:]))


@pytest.mark.parametrize("case", CASES)
def test_samples_have_the_covariance(case):
    radius, channels = CASES[case]
    precision = a_precision(radius, channels, shape=(3, 4), mask=border((3, 4)))
    count, generator = 20000, torch.Generator().manual_seed(0)
    mean = images(precision, lead=())
    samples = (precision.sample(generator, (count,), mean) - mean).flatten(2)
    white = torch.einsum("nij,cnj->cni", precision.dense(), samples)
    found = torch.einsum("cni,cnj->nij", white, white) / count
    # The entries have the variances 1 / count, and 2 / count on the diagonal.
    deviation = (1 + torch.eye(precision.size, dtype=found.dtype)).sqrt() / math.sqrt(count)
    assert ((found - torch.eye(precision.size)).abs() <= 5 * deviation).all()
    assert (white.mean(0).abs() <= 5 / math.sqrt(count)).all()


def test_samples_are_differentiable():
    log, b = (part[..., :3, :3].clone().requires_grad_() for part in coefficients(1, None))

    def draw(log, b):
        return Precision(log, b, 1).sample(torch.Generator().manual_seed(0), (2,))

    assert gradcheck(draw, (log, b), fast_mode=True)
    assert gradgradcheck(draw, (log, b), fast_mode=True)


def test_solves_without_the_library_of_torch_are_the_same(monkeypatch):
    precision = a_precision(2, None)
    u = images(precision)
    expected = precision.unwhiten(u), precision.unwhiten_transposed(u)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    monkeypatch.setattr(torch, "triangular_solve", None)
    assert solves.torch.triangular_solve is None
    assert torch.allclose(precision.unwhiten(u), expected[0])
    assert torch.allclose(precision.unwhiten_transposed(u), expected[1])


@pytest.mark.parametrize("channels", [None, 2])
def test_the_operator_is_the_same(channels):
    precision = a_precision(1, channels, mask=border((4, 5)))
    space = odl.rn((4, 5)) if channels is None else odl.rn((4, 5)) ** channels
    u = images(precision, lead=())
    op = precision.whitening(space, 1)
    image = op(space.element(u[1].numpy() if channels is None else list(u[1].numpy())))
    parts = [image.data] if channels is None else [part.data for part in image]
    expected = precision.whiten(u)[1].reshape(-1, 4, 5)
    assert np.allclose(np.stack(parts), expected, rtol=1e-13)
    twice = operators.PrecisionOperator(op).log_determinant
    assert math.isclose(twice, float(precision.log_determinant()[1]), rel_tol=1e-12)


def test_what_points_outside_is_zero():
    op = a_precision(2, None, mask=border((4, 5))).whitening(odl.rn((4, 5)))
    inside = border((4, 5)).numpy().ravel()
    off = op.matrix.toarray() - np.diag(op.matrix.diagonal())
    assert not off[~inside].any() and not off[:, ~inside].any() and off.any()
    assert np.array_equal(np.triu(op.matrix.toarray()), op.matrix.toarray())


def test_the_noise_floor_adds_to_the_deviation():
    raw = torch.linspace(-3, 30, 7, dtype=torch.float64, requires_grad=True)
    bounded = NoiseFloor(0.01)(raw)
    assert torch.allclose((-bounded).exp(), 0.01 + (-raw).exp())
    assert (bounded.diff() > 0).all() and gradcheck(NoiseFloor(0.01), raw)


def test_wrong_coefficients_say_what_fits():
    log, b = coefficients(1, None)
    with pytest.raises(ValueError, match=r"neighbors have shape \(2, 4, .*12 later neighbors"):
        Precision(log, b, 2)
    with pytest.raises(TypeError, match="float32.*expected.*float64"):
        Precision(log, b.float(), 1)
    with pytest.raises(ValueError, match="one for each precision"):
        Precision(log, b, 1).whiten(torch.zeros(3, 4, 5, dtype=torch.float64))
    with pytest.raises(ValueError, match="with the image"):
        Precision(log, b, 1).whiten(torch.zeros(2, 5, 4, dtype=torch.float64))
    with pytest.raises(ValueError, match="array of bool"):
        Precision(log, b, 1, torch.ones(4, 4, dtype=torch.bool))
