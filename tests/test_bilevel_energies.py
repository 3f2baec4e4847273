"""Energies in closed form against the same formula through autograd, and their constants."""

import math

import numpy as np
import odl
import pytest
import scipy.ndimage
import scipy.sparse.linalg
import torch

from odl_learned import operators
from odl_learned.bridge import as_module
from odl_learned.learning.bilevel import (
    AutogradEnergy,
    BackwardDifferences,
    BilevelProblem,
    Charbonnier,
    Coefficients,
    CubicAbsolute,
    Denoising,
    Direct,
    ForwardDifferences,
    FourierSampling,
    HalfSquare,
    Implicit,
    LowerLevel,
    OrthogonalTransform,
    RidgeEnergy,
    Separate,
    SquaredError,
    VariationEnergy,
    check_energy,
    decimal,
    decimal_alpha,
    decimal_times_alpha,
    natural,
    odds_weights,
    squared_weights,
)
from odl_learned.learning.bilevel.transforms import Tridiagonal

F64, C128 = torch.float64, torch.complex128


def wavelet(shape, space):
    transform = operators.OrthogonalWavelet(space(shape), "db2", 1)
    return OrthogonalTransform(as_module(transform), as_module(transform.adjoint), shape)


def lines(params):
    """One weight for every row of a 4 x 4 grid, and log alpha: a linear map of parameters."""
    return Coefficients(params[-1].exp(), 0.1, 0.05, params[:4, None].expand(4, 4))


ENERGIES = {
    "signal, one parameter": (
        Denoising(), BackwardDifferences(9), Charbonnier(), decimal_alpha(0.1, 0.2), (9,), F64, 1),
    "signal, three parameters": (
        Denoising(), BackwardDifferences(9), Charbonnier(), decimal, (9,), F64, 3),
    "signal, xi times alpha": (
        Denoising(), BackwardDifferences(9), Charbonnier(), decimal_times_alpha, (9,), F64, 3),
    "images, directions apart": (
        Denoising(), Separate(ForwardDifferences((4, 5))), Charbonnier(),
        lambda p: natural(p)._replace(alpha=0.5 * p[0].exp()), (4, 5), F64, 2),
    "images": (
        Denoising(), ForwardDifferences((4, 5)), CubicAbsolute(), natural, (4, 5), F64, 2),
    "complex images": (
        Denoising(), ForwardDifferences((4, 5)), Charbonnier(), decimal, (4, 5), C128, 3),
    "inpainting": (
        Denoising(), ForwardDifferences((4, 4)), Charbonnier(), lines, (4, 4), F64, 5),
    "sampling, cubic": (
        FourierSampling(), ForwardDifferences((4, 4)), CubicAbsolute(),
        squared_weights((4, 4), 0.4, 0.01), (4, 4), C128, 17),
    "sampling, no regularizer": (
        FourierSampling(), ForwardDifferences((4, 4)), HalfSquare(),
        lambda p: Coefficients(0.0, 1.0, 0.01, p.reshape(4, 4) ** 2), (4, 4), C128, 16),
    "sampling, H1": (
        FourierSampling(), ForwardDifferences((4, 4)), HalfSquare(),
        squared_weights((4, 4), 1.0, 0.01), (4, 4), C128, 17),
    "sampling, wavelets": (
        FourierSampling(), wavelet((4, 4), odl.cn), CubicAbsolute(),
        squared_weights((4, 4), 0.4, 0.01), (4, 4), C128, 17),
    "sampling, lines": (
        FourierSampling(), ForwardDifferences((4, 4)), Charbonnier(), lines, (4, 4), C128, 5),
    "sampling, real images": (
        FourierSampling(), ForwardDifferences((4, 4)), Charbonnier(), lines, (4, 4), F64, 5),
    "sampling of signals": (
        FourierSampling(), BackwardDifferences(8), Charbonnier(), odds_weights(0.3, 0.1, 0.02),
        (8,), C128, 8),
    "wavelets": (
        Denoising(), wavelet((4, 4), odl.rn), Charbonnier(), decimal, (4, 4), F64, 3),
}  # fmt: skip


def build(name, seed=0, scale=1.0, size=3):
    """An energy, and random ``x, params, data`` for it."""
    fidelity, transform, potential, coefficients, shape, dtype, count = ENERGIES[name]
    generator = torch.Generator().manual_seed(seed)
    x = scale * torch.randn((size, *shape), dtype=dtype, generator=generator)
    data = torch.randn((size, *shape), dtype=dtype, generator=generator)
    if isinstance(fidelity, FourierSampling):
        data = fidelity.forward(data)
    params = 0.2 + 0.5 * torch.rand(count, dtype=F64, generator=generator)
    if count <= 3:
        params = params - 1
    return VariationEnergy(fidelity, transform, potential, coefficients), x, params, data


def formula(name):
    """The formula, written for autograd with products and sums only."""
    fidelity, transform, potential, coefficients, shape, dtype, _ = ENERGIES[name]

    def phi(t2, nu):
        if isinstance(potential, HalfSquare):
            return t2 / 2
        if isinstance(potential, Charbonnier):
            return (t2 + nu**2).sqrt()
        t = torch.where(t2 > 0, torch.where(t2 > 0, t2, 1.0).sqrt(), 0.0)
        return torch.where(t <= nu, -(t**3) / (3 * nu**2) + t2 / nu, t - nu / 3)

    def square(z):
        return z.real**2 + z.imag**2 if z.is_complex() else z**2

    def differences(x):
        inner = transform.transform if isinstance(transform, Separate) else transform
        if isinstance(inner, BackwardDifferences):
            return [torch.diff(x, dim=1, prepend=torch.zeros_like(x[:, :1]))]
        if isinstance(inner, OrthogonalTransform):
            return [inner._analysis(x)]
        return [torch.diff(x, dim=i, append=x.narrow(i, n - 1, 1))
                for i, n in enumerate(x.shape) if i]

    def energy(x, params, data):
        c = coefficients(params)
        if isinstance(fidelity, FourierSampling):
            residual = torch.fft.fftn(x, dim=list(range(1, x.ndim))) / math.sqrt(x[0].numel())
        else:
            residual = x
        residual = square(residual - data)
        residual = residual if c.weights is None else c.weights * residual
        squares = [square(p) for p in differences(x)]
        groups = squares if isinstance(transform, Separate) else [sum(squares)]
        value = 0.5 * residual.flatten(1).sum(1) + 0.5 * c.xi * square(x).flatten(1).sum(1)
        return value + c.alpha * sum(phi(g, c.nu).flatten(1).sum(1) for g in groups)

    return AutogradEnergy(energy, lambda p: 1.0, lambda p: 1.0)


def close(actual, expected, tolerance=1e-12):
    scale = float(expected.abs().max())
    assert torch.isfinite(actual).all() and actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * scale)


def real(x):
    return (torch.view_as_real(x.contiguous()) if x.is_complex() else x).flatten(1)


def norm(x):
    return real(x).norm(dim=1)


@pytest.mark.parametrize("name", ENERGIES)
def test_closed_form_agrees_with_autograd(name):
    energy, x, params, data = build(name)
    reference = formula(name)
    close(energy.value(x, params, data), reference.value(x, params, data))
    expected = reference.linearize(x, params, data)
    close(energy.gradient(x, params, data), expected.gradient)
    actual = energy.linearize(x, params, data)
    close(actual.gradient, expected.gradient)
    v = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(5))
    close(actual.hessian(v), expected.hessian(v))
    close(actual.mixed_adjoint(v), expected.mixed_adjoint(v))
    assert actual.mixed_adjoint(v).abs().min() > 0


@pytest.mark.parametrize("name", ENERGIES)
def test_preconditioners_are_symmetric_positive_and_exact_where_they_can_be(name):
    energy, x, params, data = build(name)
    lin = energy.linearize(x, params, data)
    dimension = real(x).shape[1]
    basis = torch.eye(dimension, dtype=F64)
    shape = (dimension, *x.shape[1:])
    if x.is_complex():
        basis = torch.view_as_complex(basis.reshape(*shape, 2))
    basis = basis.reshape(shape)
    one = energy.linearize(x[:1].expand(shape), params, data[:1].expand(shape))
    hessian, inverse = real(one.hessian(basis)), real(one.precondition(basis))
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-12)
    np.testing.assert_allclose(inverse, inverse.T, atol=1e-12)
    assert torch.linalg.eigvalsh(inverse).min() > 0
    if name.startswith("signal") or name in ("wavelets", "sampling, no regularizer"):
        np.testing.assert_allclose(inverse @ hessian, np.eye(dimension), atol=1e-11)
    first = lin.precondition(x)[:1]
    assert torch.equal(first, energy.linearize(x[:1], params, data[:1]).precondition(x[:1]))


@pytest.mark.parametrize("name", ["images, directions apart", "sampling, cubic"])
def test_preconditioners_save_iterations(name):
    """Conjugate gradients at a piecewise constant image need at most 60 % of the iterations."""
    fidelity, _, potential, _, _, dtype, _ = ENERGIES[name]
    shape, params = (16, 16), torch.tensor([0.1, 0.01], dtype=F64)
    mask = (torch.rand(shape, generator=torch.Generator().manual_seed(1)) < 0.4).to(F64)
    weights = mask if isinstance(fidelity, FourierSampling) else None
    energy = VariationEnergy(fidelity, ForwardDifferences(shape), potential,
                             lambda p: Coefficients(p[0], p[1], 0.01, weights))  # fmt: skip
    x = torch.zeros(1, *shape, dtype=dtype)
    x[:, 3:9, 2:7] = 1
    x = (x + 0.005 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))).expand(
        256, *shape)
    basis = torch.eye(256, dtype=F64).reshape(256, *shape).to(dtype)
    lin = energy.linearize(x, params, x)
    hessian, inverse = (product(basis).real.flatten(1).numpy()
                        for product in (lin.hessian, lin.precondition))  # fmt: skip
    right, count = np.random.default_rng(0).standard_normal(256), []
    for preconditioner in (None, inverse):
        steps = []
        _, info = scipy.sparse.linalg.cg(hessian, right, rtol=1e-6, M=preconditioner,
                                         callback=steps.append)
        assert info == 0
        count.append(len(steps))
    assert count[1] <= 0.6 * count[0], count


@pytest.mark.parametrize("name", ENERGIES)
def test_constants_are_bounds(name):
    for seed in range(12):
        energy, x, params, data = build(name, seed, scale=10.0 ** (seed % 4 - 2), size=4)
        mu, lipschitz = energy.strong_convexity(params), energy.lipschitz(params)
        v = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(seed))
        if seed % 2:  # the highest frequency attains the norm of differences
            index = sum(torch.meshgrid(*[torch.arange(n) for n in x.shape[1:]], indexing="ij"))
            v = ((-1.0) ** index).to(x.dtype).expand(x.shape)
        lin = energy.linearize(x, params, data)
        product = lin.hessian(v)
        inner = (real(v) * real(product)).sum(1)
        assert (inner >= 0.999999 * mu * norm(v) ** 2).all()
        assert (norm(product) <= 1.000001 * lipschitz * norm(v)).all()
        third, mixed, jacobian = energy.curvature_constants(params)
        other = x + 10.0 ** (seed % 3 - 2) * torch.randn_like(x)
        there = energy.linearize(other, params, data)
        change, distance = norm(there.hessian(v) - product), norm(other - x)
        assert (change <= 1e-10 + 1.000001 * third * distance * norm(v)).all()
        for i in (0, 1):
            one = energy.linearize(x[i:i + 1], params, data[i:i + 1])
            two = energy.linearize(other[i:i + 1], params, data[i:i + 1])
            q = v[i:i + 1]
            size = float(norm(q))
            slope = one.mixed_adjoint(q)
            assert float(slope.norm()) <= 1.000001 * jacobian * size
            change = float((two.mixed_adjoint(q) - slope).norm())
            assert change <= 1e-10 + 1.000001 * mixed * size * float(distance[i])


def test_the_constants_of_one_parameter_are_attained():
    """Bounds may be large, but not by more than what a random search finds."""
    energy, _, params, data = build("signal, one parameter", size=1)
    flat = torch.zeros_like(data)
    lin = energy.linearize(flat, params, data)
    v = torch.sin(math.pi * 17 / 19 * torch.arange(1, 10, dtype=F64))[None]
    assert float(norm(lin.hessian(v)) / norm(v)) > 0.999 * energy.lipschitz(params)


def test_float32_agrees_with_float64_within_the_rounding_bound():
    for name in ENERGIES:
        if "wavelet" in name:
            continue
        for seed in range(5):
            energy, x, params, data = build(name, seed, scale=10.0 ** (seed % 4 - 2))
            single = torch.complex64 if x.is_complex() else torch.float32
            x, data = x.to(single), data.to(
                torch.complex64 if data.is_complex() else torch.float32)
            double = torch.complex128 if data.is_complex() else F64
            exact = energy.gradient(x.to(C128 if x.is_complex() else F64), params,
                                    data.to(double))
            slope = energy.gradient(x, params, data)
            assert slope.dtype == single
            error = norm(slope.to(exact.dtype) - exact)
            bound = energy.rounding(x, params, data)
            assert (error <= bound).all(), name
            assert (bound < 3e-3 * (1 + norm(exact))).all(), name


def test_autograd_energy_bounds_rounding():
    energy, x, params, data = build("signal, three parameters")
    reference = AutogradEnergy(formula("signal, three parameters")._function,
                               energy.lipschitz, energy.strong_convexity)
    error = norm(reference.gradient(x.float(), params, data.float()).double()
                 - reference.gradient(x.float().double(), params, data.float().double()))
    assert (error <= reference.rounding(x.float(), params, data.float())).all()


def test_autograd_energies_with_constants_have_bounds_of_hypergradients(rng):
    closed, truth, params, data = build("images, directions apart")
    function = formula("images, directions apart")._function
    energy = AutogradEnergy(function, closed.lipschitz, closed.strong_convexity,
                            curvature_constants=closed.curvature_constants)
    check_energy(energy, truth, params, data, rng)
    problem = BilevelProblem(energy, data, SquaredError(truth), data)
    exact = Direct()(LowerLevel(problem), params, 1e-12, 1e-12)
    for accuracy in (1e-2, 1e-4):
        found = Implicit()(LowerLevel(problem), params, accuracy, accuracy)
        error = float((found.gradient - exact.gradient).norm())
        assert error <= found.gradient_bound + exact.gradient_bound
        assert found.gradient_bound < 1e3 * accuracy * float(exact.gradient.norm())


@pytest.mark.parametrize(("place", "name"), [(0, "LA"), (1, "LB"), (2, "B")])
def test_wrong_constants_of_autograd_energies_are_found(place, name, rng):
    closed, x, params, data = build("images, directions apart")

    def wrong(params):
        constants = list(closed.curvature_constants(params))
        constants[place] *= 1e-3
        return constants

    energy = AutogradEnergy(formula("images, directions apart")._function, closed.lipschitz,
                            closed.strong_convexity, curvature_constants=wrong)
    with pytest.raises(AssertionError, match=f"{name} of curvature_constants"):
        check_energy(energy, x, params, data, rng)


def test_constants_of_autograd_energies_are_three_numbers():
    energy = AutogradEnergy(abs, abs, abs, curvature_constants=lambda params: (1.0, -2.0, 3.0))
    with pytest.raises(ValueError, match=r"is \(1.0, -2.0, 3.0\), expected \(LA, LB, B\)"):
        energy.curvature_constants(None)
    with pytest.raises(TypeError, match="curvature_constants is 1.0, expected a function"):
        AutogradEnergy(abs, abs, abs, curvature_constants=1.0)
    assert AutogradEnergy(abs, abs, abs).curvature_constants(None) == (math.inf,) * 3


@pytest.mark.parametrize("transform", [
    BackwardDifferences(7), ForwardDifferences((5,)), ForwardDifferences((4, 5)),
    ForwardDifferences((3, 4, 2)), Separate(ForwardDifferences((4, 5))),
    wavelet((4, 4), odl.rn),
])  # fmt: skip
def test_transforms_have_exact_adjoints_and_sharp_norms(transform):
    size = math.prod(transform.shape)
    basis = torch.eye(size, dtype=F64).reshape(size, *transform.shape)
    coefficients = transform.forward(basis)
    matrix = coefficients.flatten(1).T
    p = torch.eye(matrix.shape[0], dtype=F64).reshape(-1, *coefficients.shape[1:])
    np.testing.assert_allclose(transform.adjoint(p).flatten(1), matrix, atol=1e-14)
    np.testing.assert_allclose(torch.linalg.matrix_norm(matrix, 2), transform.norm, rtol=1e-12)
    places = coefficients.shape[2:]
    assert transform.groups == math.prod(places)
    blocks = coefficients.reshape(size, coefficients.shape[1], -1).permute(2, 1, 0)
    assert torch.linalg.matrix_norm(blocks, 2).max() <= transform.group_norm + 1e-12


def test_forward_differences_are_those_of_odl():
    space = odl.uniform_discr([0, 0], [4, 5], (4, 5))
    x = torch.randn(2, 4, 5, dtype=F64, generator=torch.Generator().manual_seed(0))
    expected = as_module(operators.gradient(space))(x)
    np.testing.assert_allclose(ForwardDifferences((4, 5)).forward(x), expected, atol=1e-14)


@pytest.mark.parametrize("shape", [(8,), (4, 6)])
def test_cosines_diagonalize_constant_curvature(shape):
    transform = ForwardDifferences(shape)
    v = torch.randn(2, *shape, dtype=C128, generator=torch.Generator().manual_seed(0))
    curvatures = torch.tensor([0.3, 2.0], dtype=F64).reshape(2, *[1] * (len(shape) + 1))
    curvatures = curvatures.expand(2, len(shape), *shape).clone()
    u = transform.shifted_inverse(0.7, curvatures)(v)
    back = 0.7 * u + transform.adjoint(curvatures * transform.forward(u))
    np.testing.assert_allclose(back, v, atol=1e-12)


def test_tridiagonal_systems_are_solved_one_by_one():
    generator = torch.Generator().manual_seed(0)
    diagonal = 3 + torch.rand(3, 6, dtype=F64, generator=generator)
    side = -torch.ones(3, 6, dtype=F64)
    side[:, -1] = 0
    v = torch.randn(3, 6, dtype=F64, generator=generator)
    u = Tridiagonal(diagonal, side)(v)
    for i in range(3):
        upper = torch.diag(side[i, :-1], 1)
        matrix = torch.diag(diagonal[i]) + upper + upper.T
        np.testing.assert_allclose(matrix @ u[i], v[i], atol=1e-13)
    alone = Tridiagonal(diagonal[1:2], side[1:2])(v[1:2])
    assert torch.equal(alone[0], u[1])
    with pytest.raises(ArithmeticError, match="not positive definite"):
        Tridiagonal(-diagonal, side)


@pytest.mark.parametrize("potential", [Charbonnier(), CubicAbsolute(), HalfSquare()])
def test_constants_of_potentials(potential):
    """On a fine grid of lengths, in one dimension, by differences of the formulas."""
    for nu in (0.3, 2.0):
        t = torch.linspace(1e-4, 8 * nu, 40001, dtype=F64)
        h = t[1] - t[0]
        n = torch.tensor(nu, dtype=F64)
        phi = potential.value(t**2, n)
        w, k = potential.weight_and_curvature(t**2, n)
        first, second = w * t, w + k * t**2
        np.testing.assert_allclose((phi[2:] - phi[:-2]) / (2 * h), first[1:-1], atol=1e-6)
        np.testing.assert_allclose((first[2:] - first[:-2]) / (2 * h), second[1:-1], atol=1e-3)
        step = 1e-5
        slope = (potential.weight(t**2, n + step) - potential.weight(t**2, n - step)) / (2 * step)
        np.testing.assert_allclose(potential.weight_slope(t**2, n), slope, atol=1e-3 / nu)
        bounds = potential.constants(nu)
        for values, bound in (
            (first, bounds.slope), (second, bounds.curvature),
            ((second[1:] - second[:-1]) / h, bounds.third),
            (t * potential.weight_slope(t**2, n), bounds.slope_in_nu),
            ((t * potential.weight_slope(t**2, n)).diff() / h, bounds.curvature_in_nu),
        ):  # fmt: skip
            largest = float(values.abs().max())
            assert largest <= bound * (1 + 1e-9)
            if bound and math.isfinite(bound):
                assert largest >= 0.98 * bound
        flat = torch.zeros(3, dtype=F64)
        assert all(torch.isfinite(z).all() for z in potential.weight_and_curvature(flat, n))


@pytest.mark.parametrize("potential", [Charbonnier(), CubicAbsolute(), HalfSquare()])
@pytest.mark.parametrize("dtype", [F64, torch.float32])
def test_proximals_of_potentials_solve_their_equation(potential, dtype):
    for nu in (1e-6, 0.3, 2.0):
        for step in (1e-3, 1.0, 50.0):
            lengths = torch.cat([torch.logspace(-8, 3, 60), torch.tensor([0.0])]).to(dtype)
            t = potential.proximal(lengths, step, nu)
            assert t.dtype == dtype and (t >= 0).all()
            again = t + step * potential.weight(t * t, nu) * t
            np.testing.assert_allclose(again, lengths, rtol=100 * torch.finfo(dtype).eps,
                                       atol=1e-30)  # fmt: skip


def ridge(dtype=F64):
    """An energy of three filters with two scales each, and random parameters."""
    energy = RidgeEnergy((6, 7), (3, 3, 2), (0.05, 0.5), 0.1)
    generator = torch.Generator().manual_seed(0)
    filters = torch.randn(3, 3, 2, dtype=F64, generator=generator)
    filters -= filters.mean((1, 2), keepdim=True)
    filters /= filters.square().sum((1, 2), keepdim=True).sqrt()
    weights = 0.1 + torch.rand(3, 2, dtype=F64, generator=generator)
    x, data = torch.randn(2, 2, 6, 7, dtype=dtype, generator=generator)
    return energy, x, energy.params(filters, weights), data, filters, weights


def test_ridge_energies_are_their_formula():
    energy, x, params, data, filters, weights = ridge()
    value = 0.5 * (x - data).square().sum((1, 2)) + 0.05 * x.square().sum((1, 2))
    for k in range(3):
        response = torch.from_numpy(np.stack([
            scipy.ndimage.correlate(image, filters[k].numpy(), mode="reflect")
            for image in x.numpy()]))  # fmt: skip
        for weight, nu in zip(weights[k], (0.05, 0.5), strict=True):
            value = value + weight * ((response**2 + nu**2).sqrt() - nu).sum((1, 2))
    close(energy.value(x, params, data), value)
    raw = energy.params(5 * filters + 0.7, weights)
    for got, expected in zip(energy.split(raw), (filters, weights), strict=True):
        close(got, expected)


def test_ridge_energies_have_constants_that_bound_their_spectrum():
    energy, x, params, data, *_ = ridge()
    basis = torch.eye(42, dtype=F64).reshape(42, 6, 7)
    flat = energy.linearize(torch.zeros_like(basis), params, torch.zeros_like(basis))
    spectrum = torch.linalg.eigvalsh(flat.hessian(basis).flatten(1))
    # Filters without symmetry are up to four times below the bound.
    assert 0.25 * energy.lipschitz(params) < spectrum[-1] <= energy.lipschitz(params)
    rough = energy.linearize(x[:1].expand(42, 6, 7), params, data[:1].expand(42, 6, 7))
    spectrum = torch.linalg.eigvalsh(rough.hessian(basis).flatten(1))
    assert energy.strong_convexity(params) == 1.1 and spectrum[0] >= 1.1 - 1e-12
    assert spectrum[-1] < energy.lipschitz(params)
    with pytest.raises(ValueError, match="filters.*expected"):
        energy.params(torch.zeros(3, 3, 3), torch.ones(3, 2))
    with pytest.raises(ValueError, match="weights.*positive"):
        energy.params(torch.zeros(3, 3, 2), torch.zeros(3, 2))
    with pytest.raises(ValueError, match="filters has a constant filter"):
        energy.params(torch.ones(3, 3, 2), torch.ones(3, 2))
