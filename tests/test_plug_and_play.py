"""Plug and play against minimizers that are known, and what it says where nothing is proven."""

import functools

import numpy as np
import odl
import pytest
import torch
from torch import nn

from odl_learned import bridge, functionals, networks, operators, solvers, variational
from odl_learned.reconstruction import plug_and_play as pnp

X = odl.uniform_discr([0, 0], [6, 7], (6, 7))
RNG = np.random.default_rng(0)
GAINS = X.element(0.5 + RNG.random(X.shape))
DATA = X.element(RNG.standard_normal(X.shape))
F = functionals.LeastSquares(odl.MultiplyOperator(GAINS), DATA, accuracy=1e-8)
ALPHA = 0.2
METHODS = {"proximal_gradient": pnp.proximal_gradient, "half_quadratic": pnp.half_quadratic,
           "douglas_rachford": pnp.douglas_rachford, "admm": pnp.admm}  # fmt: skip


class Fixed(nn.Module):
    """A proximal at one step as a denoiser."""

    def __init__(self, f, sigma):
        super().__init__()
        self.proximal, self.sigma = bridge.as_proximal_module(f), sigma

    def forward(self, x):
        return self.proximal(x, self.sigma)


class Multiple(nn.Module):
    """``x -> t x + 1``, where the mean of the image is below one, else ``x / 2``."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        bright = x.mean((-2, -1), keepdim=True) > 1
        return torch.where(bright, x / 2, self.factor * x - 1)


def implicit(module, space=X):
    return bridge.ImplicitRegularizer(bridge.as_proximal(module, space))


def averaged(seed=0, slope=0.9):
    """A firmly nonexpansive denoiser by construction."""
    layers = [networks.NormalizedConvolution(a, b, 3, networks.Reflecting(), dimension=2,
                                             generator=torch.Generator().manual_seed(seed + a))
              for a, b in ((1, 4), (4, 1))]  # fmt: skip
    net = nn.Sequential(layers[0], nn.LeakyReLU(slope), layers[1])
    return networks.OnImages(networks.Averaged(net), dimension=2).double()


def certified(module=None, space=X):
    generator = torch.Generator().manual_seed(0)
    return pnp.CertifiedDenoiser(averaged() if module is None else module, space, generator)


@functools.cache
def total_variation(tau=None):
    """The minimizer of `variational`, how far away it may be; of the Moreau envelope with a step.

    That of ``1/2 |a x - y|^2`` is the same with a and y divided by ``sqrt(1 + tau a^2)``. The box
    is not active, but the dual problem has an equation without one.
    """
    a, y = GAINS.asarray(), DATA.asarray()
    if tau is not None:
        a, y = (v / np.sqrt(1 + tau * GAINS.asarray() ** 2) for v in (a, y))
    problem = variational.tv_problem(
        odl.MultiplyOperator(X.element(a)), functionals.l2_fidelity(X.element(y)), ALPHA,
        constraint=functionals.BoxConstraint(X, -4, 4))
    exact = solvers.primal_dual(problem, accuracy=1e-5, maxiter=3000)
    assert exact.reason == "accuracy" and abs(exact.x.asarray()).max() < 4
    return exact.x, np.sqrt(2 * exact.gap) / a.min()  # the objective is (min a)^2 strongly convex


@pytest.mark.parametrize("name", METHODS)
def test_with_total_variation_it_is_the_solution_of_variational(name):
    tau = 0.7 if name != "proximal_gradient" else 0.4
    exact, bound = total_variation(tau if name == "half_quadratic" else None)
    g = ALPHA * functionals.TotalVariation(X, accuracy=1e-9)
    answer = METHODS[name](F, g, X.zero(), 1e-5, 300, tau=tau)
    assert answer.reason == "accuracy" and isinstance(answer.guarantee, pnp.Convergence)
    # A fixed-point residual of 1e-5 is one of the distance times the condition number, below 20;
    # the proximal is off by the root of twice its accuracy, 5e-5, which counts as often.
    assert (answer.x - exact).norm() <= bound + 1.2e-3 * exact.norm() and bound < 0.03


def test_a_gaussian_denoiser_gives_the_solution_of_its_linear_equation():
    sigma, taus = 0.02, np.array([0.3, 1.0, 4.0])
    module = Fixed(functionals.H1Seminorm(X), sigma)
    f, g = bridge.as_batch(F), bridge.as_batch(implicit(module))
    D = operators.gradient(X)
    unit = np.eye(X.size).reshape(-1, *X.shape)
    N = np.stack([(D.adjoint @ D)(X.element(e)).asarray().ravel() for e in unit], axis=1)
    a, y = GAINS.asarray().ravel(), DATA.asarray().ravel()
    x0 = torch.zeros(3, *X.shape, dtype=torch.float64)
    for method in (pnp.proximal_gradient, pnp.douglas_rachford, pnp.admm):
        steps = taus / 5 if method is pnp.proximal_gradient else taus
        answer = method(f, g, x0, 1e-9, 1000, tau=steps)
        assert set(answer.reason) == {"accuracy"}
        assert isinstance(answer.guarantee, pnp.NoGuarantee)
        for x, tau in zip(answer.x, steps):
            # D = prox_{tau g} with tau g = sigma / 2 |grad|^2.
            exact = np.linalg.solve(np.diag(a**2) + sigma / tau * N, a * y)
            np.testing.assert_allclose(x.numpy().ravel(), exact, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", METHODS)
def test_an_expansive_denoiser_diverges_and_its_picture_is_withheld(name):
    mask = RNG.random(X.shape) < 0.5
    A = odl.MultiplyOperator(X.element(mask.astype(float)))
    f = functionals.LeastSquares(A, A(DATA))
    g = implicit(Multiple(3.0))
    tau = {} if name == "proximal_gradient" else {"tau": 1.0}
    answer = METHODS[name](f, g, X.zero(), 1e-6, 200, **tau)
    assert answer.reason == "diverged" and answer.niter < 200
    assert not np.isfinite(answer.x.asarray()).any()
    assert str(answer.guarantee).startswith("no guarantee: nothing proves")


def test_samples_diverge_and_stop_by_themselves():
    f, g = bridge.as_batch(F), bridge.as_batch(implicit(Multiple(9.0)))
    x0 = torch.stack([torch.full(X.shape, v, dtype=torch.float64) for v in (0.0, 8.0)])
    both = pnp.admm(f, g, x0, 1e-9, 60, tau=0.1)
    assert both.reason[0] == "diverged" and both.x[0].isnan().all()
    alone = pnp.admm(F, implicit(Multiple(9.0)), X.element(x0[1].numpy()), 1e-9, 60, tau=0.1)
    assert alone.reason == both.reason[1] and alone.niter == both.niter[1]
    np.testing.assert_allclose(both.x[1], alone.x.asarray(), rtol=1e-9)


def test_a_slow_escape_is_no_result_either():
    """Steps grow by a tenth each: too slow to leave the scale of the problem in 60 iterations."""
    zero = functionals.LeastSquares(1e-6 * odl.IdentityOperator(X), X.zero())
    answer = pnp.proximal_gradient(zero, implicit(Multiple(1.06)), X.one(), 1e-9, 60, tau=1.0)
    assert answer.reason == "diverged"


@pytest.mark.parametrize("name", METHODS)
def test_a_certified_denoiser_converges_with_steps_that_never_grow(name):
    g, images = certified(), []
    tau = {"tau": 0.4}
    answer = METHODS[name](F, g, X.one(), 1e-4, 300, callback=lambda u: images.append(u.copy()),
                           **tau)
    assert answer.reason == "accuracy" and isinstance(answer.guarantee, pnp.Convergence)
    assert "Lipschitz constant of at most" in str(answer.guarantee)
    if name in ("proximal_gradient", "half_quadratic"):
        steps = [(b - a).norm() for a, b in zip(images, images[1:])]
        assert all(b <= a * (1 + 1e-9) + 1e-12 for a, b in zip(steps, steps[1:]))


def test_what_is_not_certified_is_refused_and_a_false_certificate_is_found():
    with pytest.raises(ValueError, match="constant of 2 D - 1 is at least"):
        certified(averaged(slope=8.0))
    with pytest.raises(ValueError, match="not certified"):
        certified(networks.OnImages(networks.CNN(1, 1, 4, 2, dimension=2), dimension=2).double())
    module = averaged()
    g = certified(module)
    with torch.no_grad():
        module.net.net[0].weight.mul_(0.0)
    assert g.proximal(1.0)(X.one()).norm() > 0.1  # a copy
    inner = g.implicit.proximal.operator.module.net.net
    inner[1] = nn.LeakyReLU(80.0)
    A = odl.MultiplyOperator(X.element((RNG.random(X.shape) < 0.3).astype(float)))
    f = functionals.LeastSquares(A, A(DATA))
    with pytest.raises(solvers.DivergenceError, match="nonexpansive maps never grow"):
        pnp.admm(f, g, DATA, 1e-9, 500, tau=1.0)


def test_guarantees_depend_on_the_step_and_on_the_data_term():
    g = 0.1 * odl.functionals.L1Norm(X)
    L = F.grad_lipschitz

    def said(f, tau):
        return pnp.proximal_gradient(f, g, X.zero(), None, 2, tau=tau).guarantee

    assert isinstance(said(F, 1.9 / L), pnp.Convergence)
    assert isinstance(said(F, 2.1 / L), pnp.NoGuarantee) and "2 / L" in str(said(F, 2.1 / L))
    concave = odl.functionals.FunctionalQuadraticPerturb(
        functionals.l2_fidelity(DATA), quadratic_coeff=-0.1)
    assert not pnp.is_convex(concave) and pnp.is_convex(F) and pnp.is_convex(2.0 * F + F)
    assert not pnp.is_convex(-1.0 * F) and not pnp.is_convex(odl.functionals.LpNorm(X, 0))


def test_stopping_at_an_energy_and_at_the_discrepancy():
    f, g = bridge.as_batch(F), bridge.as_batch(0.01 * functionals.TotalVariation(X))
    x0 = torch.stack([torch.zeros(X.shape, dtype=torch.float64),
                      torch.from_numpy(DATA.asarray() / GAINS.asarray())])
    energies = []
    delta = 0.05 * F(X.zero())
    answer = pnp.proximal_gradient(f, g, x0, None, 300, tau=0.1, until=pnp.Below(f, delta),
                                   callback=lambda u: energies.append(f.precise(u)))
    assert list(answer.reason) == ["below", "below"] and answer.niter[1] == 1 < answer.niter[0]
    assert np.all(f.precise(answer.x) < delta)
    before = [e[0] for e in energies[: answer.niter[0] - 1]]
    assert min(before) >= delta
    noise = np.sqrt(2 * delta)
    rule = solvers.Discrepancy(odl.MultiplyOperator(GAINS), DATA, noise, tau=1.0)
    again = pnp.proximal_gradient(F, 0.01 * functionals.TotalVariation(X), X.zero(), None, 300,
                                  tau=0.1, until=rule)
    assert again.reason == "discrepancy" and again.niter == answer.niter[0]


def test_errors():
    g = 0.1 * odl.functionals.L1Norm(X)
    with pytest.raises(TypeError, match="f is .* without proximal"):
        pnp.admm(functionals.SmoothedTV(X, 1, 0.1, 0.1), g, X.zero(), 1e-3, 5, tau=1.0)
    with pytest.raises(TypeError, match="until"):
        pnp.admm(F, g, X.zero(), 1e-3, 5, tau=1.0, until=0.1)
    with pytest.raises(ValueError, match="tau"):
        pnp.admm(F, g, X.zero(), 1e-3, 5, tau=-1.0)
    with pytest.raises(ValueError, match="delta"):
        pnp.Below(F, np.nan)
    with pytest.raises(TypeError, match="real images"):
        certified(space=odl.uniform_discr([0, 0], [1, 2], (6, 7), dtype="complex128"))
