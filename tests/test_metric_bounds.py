"""Bounds in the metric of the Hessian against dense matrices, in the worst directions."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from dense_hessians import energies, jacobians, norm, reals, root_of
from hypergradient_problems import noisy, pictures

from odl_learned.energies import Denoising, FourierSampling, VariationEnergy
from odl_learned.energies.coefficients import Coefficients, squared_weights
from odl_learned.energies.coefficients.functions import evaluated
from odl_learned.energies.intervals import interval
from odl_learned.energies.potentials import Charbonnier
from odl_learned.energies.samples import sample_norms
from odl_learned.energies.transforms import BackwardDifferences, ForwardDifferences
from odl_learned.learning.bilevel import BilevelProblem, SquaredError
from odl_learned.learning.bilevel.hypergradients import metric_bounds
from odl_learned.learning.bilevel.hypergradients.certificates import Reconstruction
from odl_learned.learning.bilevel.hypergradients.metric_bounds import (
    EnergyBall,
    FidelityMetric,
    metric_gradient_bound,
)
from odl_learned.learning.bilevel.lower import LowerLevel
from odl_learned.learning.bilevel.sampling import (
    points,
    sampling_and_alpha_problem,
    smoothed_variation,
)


def measured(rng):
    """Fourier transforms of real images with weights that are not symmetric, and of coils."""
    shape = (3, 4)
    truth = pictures(shape, 2, rng)
    energy = VariationEnergy(FourierSampling(), ForwardDifferences(shape), Charbonnier(),
                             squared_weights(shape, 0.3, 0.05))  # fmt: skip
    params = torch.as_tensor(np.append(rng.uniform(0, 1, 12), 0.1))
    data = noisy(torch.fft.fftn(truth, dim=(1, 2), norm="ortho"), rng)
    yield "real", BilevelProblem(energy, data, SquaredError(truth), truth), params

    truth = pictures(shape, 2, rng, torch.complex128)
    maps = noisy(torch.zeros(3, *shape, dtype=torch.complex128), rng, 1.0)
    maps = maps / maps.abs().square().sum(0).sqrt()
    for name, factors in (("coils", 1.0), ("odd coils", torch.linspace(0.8, 1, 4))):
        data = noisy(torch.fft.fftn(factors * maps * truth[:, None], dim=(2, 3)), rng)
        problem = sampling_and_alpha_problem(
            truth, data, points(shape), smoothed_variation(shape, 0.3), xi=0.05,
            sensitivities=factors * maps)  # fmt: skip
        yield name, problem, torch.as_tensor(np.append(rng.uniform(0, 1, 12), -2.0))


def units_like(x):
    """All unit vectors of real unknowns of one sample."""
    size = len(reals(x))
    return torch.cat([like(unit, x) for unit in torch.eye(size, dtype=torch.float64)])


def like(v, x):
    """The inverse of `reals` for one sample."""
    if x.is_complex():
        return torch.view_as_complex(v.reshape(*x.shape, 2).contiguous())
    return v.reshape(x.shape)


def dense_metrics(energy, params, x, e):
    """``M_0`` and ``M`` of one sample as matrices on real vectors, with ``k`` from points."""
    c = evaluated(energy.coefficients, params)
    units = units_like(x)
    weights = 1.0 if c.weights is None else c.weights
    images = energy.fidelity.adjoint(weights * energy.fidelity.forward(units), units)
    quadratic = images + c.xi * units
    lengths = torch.linalg.vector_norm(energy.transform.forward(x), dim=1, keepdim=True)
    far = lengths + energy.transform.group_norm * e
    scalar = energy.transform.forward(x).shape[1] == 1 and not x.is_complex()
    smallest = interval(energy.potential, float(c.nu), (2 * lengths - far).clamp_min(0), far,
                        scalar).convexity  # fmt: skip
    bent = energy.transform.adjoint(smallest * energy.transform.forward(units))
    return (torch.stack([reals(v) for v in m]) for m in (quadratic, quadratic + c.alpha * bent))


def check_energy_ball(radius, rng):
    """Compare all bounds with the worst directions; return the largest of value over bound."""
    closest = {"convexity": 0.0, "dual": 0.0, "jacobian": 0.0, "pencil": 0.0, "mixed": 0.0}

    def compare(name, value, bound):
        assert float(value) <= float(bound) * (1 + 1e-7) + 1e-12, name
        closest[name] = max(closest[name], float(value) / float(bound))

    for name, problem, params in itertools.chain(energies(rng), measured(rng)):
        energy, data = problem.energy, problem.data[:1]
        x = LowerLevel(problem).solve(params, 1e-3).x[:1]
        q, e = noisy(torch.zeros_like(x), rng, 1.0), torch.tensor([radius], dtype=torch.float64)
        metric = FidelityMetric(energy, params)
        ball = EnergyBall(energy, metric, x, params, data, e, q)
        quadratic, dense = dense_metrics(energy, params, x, radius)
        inverse, weak = root_of(dense), root_of(quadratic)
        (H0, J0), *_ = jacobians(energy, x, params, data)
        # Where A is not unitary, the worst vectors are those of A^* A weighted by 1 / (w + xi).
        whole = (energy.fidelity.forward(u) / metric.root**2 for u in units_like(x).split(1))
        seen = torch.stack([reals(energy.fidelity.adjoint(v, x)) for v in whole])
        worst = torch.linalg.eigh(weak @ torch.linalg.inv(seen) @ weak)[1][:, -1]
        for v in (reals(q), torch.linalg.solve(weak, worst)):
            compare("dual", (weak @ v).norm(), metric.dual_norms(like(v, x)))

        def shifted(d):
            return next(jacobians(energy, x + like(d, x), params, data))

        # The derivatives along all directions, then those in which they are largest.
        small, size = 1e-6, len(H0)
        pairs = [shifted(small * unit) for unit in torch.eye(size, dtype=torch.float64)]
        bent, moved = (torch.stack(columns, 1) / small for columns in zip(*(
            ((H - H0) @ reals(q), (J - J0) @ reals(q)) for H, J in pairs), strict=True))
        directions = [inverse @ torch.linalg.svd(matrix @ inverse)[2][0]
                      for matrix in (inverse @ bent, moved)]  # fmt: skip
        directions.append(torch.as_tensor(rng.standard_normal(size)))
        alpha = ball.alpha
        for direction in directions:
            d = radius * direction / direction.norm()
            length = float((torch.linalg.solve(inverse, d)).norm())
            for sign in (1, -1):
                H, J = shifted(sign * d)
                smallest = float(torch.linalg.eigvalsh(inverse @ H @ inverse)[0])
                compare("convexity", 1.0, smallest)
                compare("pencil", (inverse @ (H - H0) @ reals(q)).norm() / length,
                        alpha * ball.pencil)  # fmt: skip
                compare("jacobian", norm(J @ weak), ball.jacobian())
                compare("mixed", ((J - J0) @ reals(q)).norm(), ball.mixed(torch.tensor([length])))
    return closest


@pytest.mark.parametrize("radius", [1e-3, 0.3])
def test_bounds_on_the_ball_hold_in_the_worst_directions(radius):
    closest = check_energy_ball(radius, np.random.default_rng(0))
    if radius == 1e-3:
        assert min(closest.values()) > 0.4, closest


@pytest.mark.parametrize("owner, name, found", [
    (metric_bounds, "pencil_bound", "pencil"), (FidelityMetric, "dual_norms", "dual"),
    (EnergyBall, "jacobian", "jacobian"), (EnergyBall, "mixed", "mixed"),
])  # fmt: skip
def test_a_third_of_a_bound_is_found(owner, name, found, monkeypatch):
    right = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *args: right(*args) / 3)
    with pytest.raises(AssertionError, match=found):
        check_energy_ball(1e-3, np.random.default_rng(0))


# d_theta d_x E at a pixel for the three coefficients.
SLOPES = {
    "alpha": lambda x, c: x / (x**2 + c.nu**2) ** 0.5,
    "nu": lambda x, c: -c.alpha * c.nu * x / (x**2 + c.nu**2) ** 1.5,
    "xi": lambda x, c: x,
}


def pixels(name, c, scale, far, rng, count=400):
    """Images of one pixel with reconstructions and adjoints: bounds and errors of hypergradients.

    The parameter is a coefficient of ``E = (x - y)^2 / 2 + alpha phi_nu(x) + xi x^2 / 2``. There
    is one direction only, and that is the worst.
    """

    def draw(low, high):
        signs = rng.choice([-1, 1], (count, 1))
        return torch.as_tensor(signs * 10 ** rng.uniform(low, high, (count, 1)))

    def hessian(x):
        return 1 + c.xi + c.alpha * c.nu**2 / (x**2 + c.nu**2) ** 1.5

    exact, q = c.nu * draw(-3, 1), draw(-1, 1)
    x = exact + c.nu * draw(far - 2, far)
    data = (1 + c.xi) * exact + c.alpha * SLOPES["alpha"](exact, c)
    # The loss has the gradient H q + r, with residuals of all sizes.
    truth = x - (hessian(x) * q + q * draw(-7, 0)) / (2 * scale)
    energy = VariationEnergy(Denoising(), BackwardDifferences(1), Charbonnier(),
                             lambda p: c._replace(**{name: p[0]}))  # fmt: skip
    params = torch.tensor([getattr(c, name)], dtype=torch.float64)
    lower = LowerLevel(BilevelProblem(energy, data, SquaredError(truth, scale), data))
    distance = sample_norms(energy.gradient(x, params, data)) / (1 + c.xi)
    at = Reconstruction(lower, params, x, distance.numpy(), dataclasses.asdict(lower.work))
    bounds, wider = (metric_gradient_bound(energy, at, q, at.operator(q) - at.slope,
                                           torch.full((count,), rounding))
                     for rounding in (0.0, 1.0))  # fmt: skip
    slope = SLOPES[name](exact, c)
    adjoint = 2 * scale * (exact - truth) / hessian(exact)
    assert (wider - bounds >= (slope / hessian(exact)).abs()[:, 0] * (1 - 1e-9)).all()
    return bounds, (slope * adjoint - SLOPES[name](x, c) * q).abs()[:, 0]


@pytest.mark.parametrize("name", SLOPES)
@pytest.mark.parametrize("alpha", [1e-3, 1e-1, 10.0])
def test_bounds_of_single_pixels_hold_and_are_attained(name, alpha, rng):
    for scale in (1e-3, 1.0, 100.0):
        for far in (-2, 0, 1):
            bounds, errors = pixels(name, Coefficients(alpha, 0.3, 0.1), scale, far, rng)
            assert (errors <= bounds * (1 + 1e-9)).all(), (scale, far)
            assert alpha > 0.2 or float((bounds / errors).min()) < 1.1
