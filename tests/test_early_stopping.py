"""Landweber's iteration that stops by itself: against the solver, alone and in batches, learned."""

import numpy as np
import odl
import pytest
import torch
from instances.spaces import element, square
from test_unrolled import PROBLEMS, step_size, tensor
from torch import nn

from odl_learned import learning, operators, solvers
from odl_learned.bridge import as_module, as_operator
from odl_learned.networks import OnImages, ResidualCNN
from odl_learned.reconstruction import LearnedLandweber, LearnedStepSize, PositiveFilter

F64 = torch.float64


def blurred(n=8):
    """A blurred image, its data with noise, and the norm of the noise."""
    X = square(n)
    A = operators.PeriodicConvolution(X, np.full((3, 3), 1 / 9))
    u = element(X, 1)
    noise = 0.1 * element(X, 2)
    return A, A(u) + noise, float(noise.norm())


def stopped(A, delta, step=1.0, **options):
    return LearnedLandweber(as_module(A), as_module(A.adjoint), step, delta,
                            dimension=len(A.domain.shape), **{"maxiter": 300} | options)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_trivial_direction_is_landweber_with_the_discrepancy_principle(problem, rng):
    A, y = problem(rng)
    omega = 0.3 * step_size(A)
    least = y - A(solvers.conjugate_gradient(
        A.adjoint @ A + 1e-9 * odl.IdentityOperator(A.domain), A.adjoint(y), A.domain.zero(),
        1e-8, 500).x)
    delta = (float(least.norm()) + 0.01 * float(y.norm())) / 1.1
    expected = solvers.landweber(A, y, A.domain.zero(), delta, omega=omega)
    model = LearnedLandweber(as_module(A), as_module(A.adjoint), omega, delta,
                             dimension=as_module(A).layout.ndim, maxiter=1000)
    solution = model.solve(tensor(y)[None])
    assert expected.niter > 1 and expected.reason == "discrepancy"
    assert solution.niter.tolist() == [expected.niter] and solution.reason[0] == "discrepancy"
    assert (A.domain.element(solution.x[0].numpy()) - expected.x).norm() <= 1e-10
    assert solution.residual[0] == pytest.approx(float((A(expected.x) - y).norm()), rel=1e-10)
    # Where a loop is compiled, differences without derivatives multiply by one number, not by two.
    rounding = 4 * expected.niter * torch.finfo(solution.x.dtype).eps * solution.x.abs().max()
    assert (model(tensor(y)) - solution.x[0]).abs().max() <= rounding


def test_every_sample_of_a_batch_stops_by_itself():
    A, y, delta = blurred()
    data = torch.stack([tensor(y), 3 * tensor(y), tensor(A(A.domain.zero())), tensor(y)])
    norms = torch.tensor([delta, 3.2 * delta, delta, 1.3 * delta], dtype=F64)
    whole = stopped(A, lambda y: norms[: len(y)]).solve(data)
    expected = solvers.landweber(A.__class__(A.domain, A.kernel), y, A.domain.zero(), delta,
                                 omega=1.0)  # fmt: skip
    assert whole.niter[0] == expected.niter
    assert whole.niter[2] == 0 and len(set(whole.niter.tolist())) == 4
    for i in range(4):
        alone = stopped(A, float(norms[i])).solve(data[i : i + 1])
        assert alone.niter[0] == whole.niter[i] and torch.equal(alone.x[0], whole.x[i])


def test_the_derivative_is_that_of_the_steps_that_were_taken():
    A, y, delta = blurred()
    step = LearnedStepSize(0.9).double()
    model = stopped(A, delta, step)
    data = torch.stack([tensor(y), 2 * tensor(y)]).requires_grad_()
    counts = model.solve(data.detach()).niter
    assert counts[0] != counts[1]
    assert torch.autograd.gradcheck(model, data, check_forward_ad=True, fast_mode=True)
    model.zero_grad()
    model(data).square().sum().backward()
    expected = torch.zeros((), dtype=F64)
    log = step.log_step_size.detach().clone().requires_grad_()
    forward, adjoint = as_module(A), as_module(A.adjoint)
    for sample, count in zip(data.detach(), counts):
        u = torch.zeros_like(sample)
        for _ in range(count):
            u = u - log.exp() * adjoint(forward(u) - sample)
        expected = expected + u.square().sum()
    expected.backward()
    assert step.log_step_size.grad == pytest.approx(float(log.grad), rel=1e-12)
    R = as_operator(model, A.range, A.domain)
    derivative = R.derivative(y)
    h, z = element(A.range, 5), element(A.domain, 6)
    assert derivative(h).inner(z) == pytest.approx(h.inner(derivative.adjoint(z)), rel=1e-10)


def test_a_positive_filter_is_self_adjoint_and_residuals_never_grow():
    A, y, delta = blurred()
    P = PositiveFilter((8, 8)).double()
    with torch.no_grad():
        P.logarithms.copy_(torch.randn(8, 8, generator=torch.Generator().manual_seed(0)))
    dense = P(torch.eye(64, dtype=F64).reshape(64, 8, 8)).reshape(64, 64)
    assert (dense - dense.T).abs().max() <= 1e-14 * dense.abs().max()
    assert torch.linalg.eigvalsh(dense).min() > 0
    as_complex = P(torch.complex(*torch.randn(2, 8, 8, dtype=F64)))
    assert as_complex.is_complex()
    # |A P^(1/2)|^2 = max (p |h|^2), the admissible steps are below two over it.
    spectrum = np.fft.fftn(np.pad(np.full((3, 3), 1 / 9), ((0, 5), (0, 5))))
    size = float((P.multiplier.detach().numpy() * np.abs(spectrum) ** 2).max())
    direction = nn.Sequential(as_module(A.adjoint), P)
    model = stopped(A, 1e-3 * delta, 1.99 / size, direction=direction, maxiter=1)
    u, forward, data = torch.zeros(1, 8, 8, dtype=F64), as_module(A), tensor(y)[None]
    sizes = []
    with torch.no_grad():
        for _ in range(30):
            sizes.append(float((forward(u) - data).norm()))
            u = model._step(u, forward(u) - data)
    assert all(after <= before for before, after in zip(sizes, sizes[1:]))
    model.maxiter = 5000
    assert stopped(A, delta, 1 / size, direction=direction).solve(data).reason[0] == "discrepancy"


def test_learned_filters_need_fewer_steps():
    """The inverse filter is the direction in which one step is enough; training finds a way."""
    A, y, delta = blurred()
    P = PositiveFilter((8, 8)).double()
    model = stopped(A, delta, direction=nn.Sequential(as_module(A.adjoint), P))
    before = model.solve(tensor(y)[None]).niter[0]
    pairs = [(y.asarray(), element(A.domain, 1).asarray())]
    learning.train(model, pairs, steps=10, batch_size=1, progress=False,
                   optimizer=torch.optim.Adam(model.parameters(), lr=0.1))
    after = model.solve(tensor(y)[None])
    assert after.reason[0] == "discrepancy" and after.niter[0] < before


def test_what_does_not_stop_is_reported_and_what_grows_an_error():
    A, y, delta = blurred()
    with pytest.warns(RuntimeWarning, match="not reached in 1 of 1 samples after 3 steps"):
        stopped(A, 1e-6 * delta, maxiter=3)(tensor(y)[None])
    solution = stopped(A, 1e-6 * delta, maxiter=3).solve(tensor(y)[None])
    assert solution.reason[0] == "maxiter" and solution.niter[0] == 3
    with pytest.raises(solvers.DivergenceError, match="sample 0 is not finite"):
        stopped(A, delta, 1e30, maxiter=100).solve(tensor(y)[None])
    net = OnImages(ResidualCNN(1, 1, 4, 2, generator=torch.Generator().manual_seed(0)).double(),
                   dimension=2)
    learned = stopped(A, delta, direction=nn.Sequential(as_module(A.adjoint), net))
    assert learned.solve(tensor(y)[None]).niter[0] > 0


@pytest.mark.parametrize(("changes", "words"), [
    ({"delta": 0.0}, "noise_norm is 0"),
    ({"tau": 0.5}, "tau is 0.5"),
    ({"maxiter": 0}, "maxiter is 0"),
    ({"step": -1.0}, "step_size is -1"),
    ({"direction": lambda r: r[..., 1:]}, "the direction has shape"),
    ({"delta": lambda y: torch.ones(7)}, "noise_norm\\(data\\) is"),
])
def test_numbers_out_of_bounds_are_refused(changes, words):
    A, y, delta = blurred()
    with pytest.raises(ValueError, match=words):
        stopped(A, **{"delta": delta} | changes)(tensor(y)[None])
