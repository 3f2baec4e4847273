"""Unrolled reconstruction: trivial networks give back the classical methods."""

import numpy as np
import odl
import pytest
import torch

from odl_learned.bridge import as_module
from odl_learned.networks import CNN, OnImages, ResidualCNN
from odl_learned.operators.transforms.fourier import SampledFourier
from odl_learned.reconstruction import (
    GradientStep,
    LearnedProximalGradient,
    LearnedStepSize,
    MemoryStep,
)


def matrix_problem(rng):
    A = odl.MatrixOperator(rng.standard_normal((7, 5)))
    return A, A.range.element(rng.standard_normal(7))


def weighted_problem(rng):
    X = odl.uniform_discr([0, 0], [1, 2], (5, 4))
    A = odl.PartialDerivative(X, axis=1, method="forward", pad_mode="symmetric")
    A = A + 2 * odl.IdentityOperator(X)
    return A, X.element(rng.standard_normal(X.shape))


def power_space_problem(rng):
    X = odl.uniform_discr([0, 0], [1, 2], (5, 4))
    A = 0.5 * odl.Gradient(X, method="forward", pad_mode="symmetric")
    return A, A.range.element(rng.standard_normal((2, 5, 4)))


def fourier_problem(rng):
    X = odl.uniform_discr([0, 0], [1, 2], (6, 5), dtype="complex128")
    A = SampledFourier(X, rng.random(X.shape) < 0.6)
    y = rng.standard_normal(X.shape) + 1j * rng.standard_normal(X.shape)
    return A, A.range.element(y)


def complex_problem(rng):
    X = odl.cn((4, 5))
    matrix = rng.standard_normal((3, 4)) + 1j * rng.standard_normal((3, 4))
    A = odl.MatrixOperator(matrix, domain=X, axis=0)
    y = rng.standard_normal((3, 5)) + 1j * rng.standard_normal((3, 5))
    return A, A.range.element(y)


PROBLEMS = [matrix_problem, weighted_problem, power_space_problem, complex_problem, fourier_problem]


def tensor(element):
    return torch.tensor(np.asarray(element.asarray()))


def step_size(A):
    return 0.9 / float(odl.power_method_opnorm(A, maxiter=100)) ** 2


def through_odl(op):
    """A torch callable that applies an ODL operator, without the bridge."""
    return lambda u: tensor(op(op.domain.element(u.detach().numpy())))


class Collect:
    """Callback that keeps the iterates of an ODL solver."""

    def __init__(self, x):
        self.iterates = [x.asarray().copy()]

    def __call__(self, x):
        self.iterates.append(x.asarray().copy())


def unrolled(A, steps, initial=None):
    return LearnedProximalGradient(as_module(A), as_module(A.adjoint), steps, initial)


def assert_same(iterates, expected):
    assert len(iterates) == len(expected)
    for u, reference in zip(iterates, expected):
        np.testing.assert_allclose(u.numpy(), reference, rtol=0, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("problem", PROBLEMS)
def test_identity_proximals_give_landweber(problem, rng):
    A, y = problem(rng)
    tau = step_size(A)
    model = unrolled(A, [GradientStep(torch.nn.Identity(), tau) for _ in range(8)])
    x = A.domain.zero()
    callback = Collect(x)
    odl.solvers.landweber(A, x, y, niter=8, omega=tau, callback=callback)
    assert_same(list(model.iterates(tensor(y))), callback.iterates)
    assert np.abs(callback.iterates[-1]).max() > 0.01
    assert torch.equal(model(tensor(y)), list(model.iterates(tensor(y)))[-1])


@pytest.mark.parametrize("problem", PROBLEMS)
def test_odl_proximals_give_proximal_gradient(problem, rng):
    A, y = problem(rng)
    tau = step_size(A)
    regularizer = 0.1 * odl.functionals.L1Norm(A.domain)
    fidelity = 0.5 * odl.functionals.L2NormSquared(A.range).translated(y) @ A
    proximal = through_odl(regularizer.proximal(tau))
    start = A.domain.element(rng.standard_normal(A.domain.shape))
    step = GradientStep(proximal, tau)
    model = unrolled(A, [step] * 8, initial=lambda data: tensor(start))
    x = start.copy()
    callback = Collect(x)
    odl.solvers.proximal_gradient(
        x, regularizer, fidelity, gamma=tau, niter=8, callback=callback
    )
    assert_same(list(model.iterates(tensor(y))), callback.iterates)
    assert np.abs(callback.iterates[-1] - callback.iterates[0]).max() > 0.01


@pytest.mark.parametrize("problem", PROBLEMS)
def test_zero_start_takes_the_gradient_at_zero(problem, rng):
    A, y = problem(rng)
    steps = [GradientStep(torch.nn.Identity(), 0.1) for _ in range(2)]
    explicit = unrolled(A, steps, lambda data: torch.zeros_like(as_module(A.adjoint)(data)))
    torch.testing.assert_close(unrolled(A, steps)(tensor(y)), explicit(tensor(y)))


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
@pytest.mark.parametrize("problem", [weighted_problem, complex_problem])
def test_batch_is_a_loop(problem, batch, rng):
    A, y = problem(rng)
    is_complex = np.iscomplexobj(y.asarray())
    count = 2 if is_complex else 1
    torch.manual_seed(0)
    net = CNN(2 * count + 3, count + 3, 4, 2).double()
    torch.nn.init.normal_(net.layers[-1].weight, std=0.2)
    on_images = OnImages(ResidualCNN(count, count, 4, 2), dimension=2)
    steps = [MemoryStep(net, 3, 0.1, dimension=2), GradientStep(on_images, 0.1)]
    model = unrolled(A, steps * 2).double()
    data = torch.randn(*batch, *A.range.shape, dtype=tensor(y).dtype)
    result = model(data)
    assert result.shape == (*batch, *A.domain.shape)
    assert result.dtype == data.dtype
    for index in np.ndindex(*batch):
        torch.testing.assert_close(result[index], model(data[index]))


@pytest.mark.parametrize("shape", [(6,), (3, 4, 2)])
def test_batch_is_a_loop_for_signals_and_volumes(shape, rng):
    X = odl.uniform_discr([0] * len(shape), [1] * len(shape), shape)
    A, dimension = 2 * odl.IdentityOperator(X), len(shape)
    generator = torch.Generator().manual_seed(0)
    nets = [CNN(2 + 1, 1 + 1, 3, 2, dimension=dimension),
            ResidualCNN(1, 1, 3, 2, dimension=dimension)]
    for net in nets:
        for p in net.parameters():
            torch.nn.init.normal_(p, std=0.5, generator=generator)
    steps = [MemoryStep(nets[0], 1, 0.1, dimension=dimension),
             GradientStep(OnImages(nets[1], dimension=dimension), 0.1)]
    model = unrolled(A, steps * 2).double()
    data = torch.randn(3, *shape, dtype=torch.float64, generator=generator)
    result = model(data)
    assert result.shape == (3, *shape)
    for sample, alone in zip(result, map(model, data)):
        torch.testing.assert_close(sample, alone)


def test_memory_step_is_its_formula(rng):
    net = CNN(4, 3, 4, 2).double()  # c = 1, two memory channels
    torch.nn.init.normal_(net.layers[-1].weight, generator=torch.Generator().manual_seed(0))
    step = MemoryStep(net, 2, 0.25, dimension=2)
    u, gradient = (torch.from_numpy(rng.standard_normal((5, 4))) for _ in range(2))
    memory = torch.from_numpy(rng.standard_normal((1, 2, 5, 4)))
    for given, channels in ((memory, memory), (None, torch.zeros_like(memory))):
        output = net(torch.cat([u[None, None], 0.25 * gradient[None, None], channels], dim=1))
        new, remembered = step(u, gradient, given)
        torch.testing.assert_close(new, u + output[0, 0])
        torch.testing.assert_close(remembered, output[:, 1:])


def test_memory_reaches_the_result_and_learns(rng):
    A, y = weighted_problem(rng)
    torch.manual_seed(0)
    steps = [MemoryStep(CNN(4, 3, 4, 2), 2, 0.1, dimension=2) for _ in range(2)]
    model = unrolled(A, steps).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    truth = torch.from_numpy(rng.standard_normal(A.domain.shape))
    assert torch.equal(model(tensor(y)), torch.zeros(A.domain.shape, dtype=torch.float64))
    for _ in range(2):
        optimizer.zero_grad()
        (model(tensor(y)) - truth).square().sum().backward()
        optimizer.step()
    weight = model.steps[0].net.layers[-1].weight  # began at zero; rows 1 and 2 make the memory
    assert weight[1:].abs().amax(dim=(1, 2, 3)).min() > 0


def test_shared_and_separate_weights(rng):
    A, _ = weighted_problem(rng)

    def count(model):
        return sum(p.numel() for p in model.parameters())

    def step():
        return GradientStep(OnImages(ResidualCNN(1, 1, 3, 2), dimension=2), LearnedStepSize(0.1))

    one = step()
    own = sum(p.numel() for p in one.parameters())
    assert count(unrolled(A, [one] * 3)) == own
    assert count(unrolled(A, [step() for _ in range(3)])) == 3 * own


def test_learned_step_size_stays_positive_and_is_learned(rng):
    A, y = matrix_problem(rng)
    tau = LearnedStepSize(0.02)
    model = unrolled(A, [GradientStep(torch.nn.Identity(), tau)] * 3)
    fixed = unrolled(A, [GradientStep(torch.nn.Identity(), 0.02)] * 3)
    torch.testing.assert_close(model(tensor(y)), fixed(tensor(y)), rtol=1e-6, atol=1e-6)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    before = model(tensor(y)).square().sum()
    before.backward()
    optimizer.step()
    after = model(tensor(y)).square().sum()
    assert 0 < tau().item() < 0.02
    assert after < before
    assert not list(fixed.parameters())


def test_gradients_of_the_whole_map(rng):
    A, y = weighted_problem(rng)
    torch.manual_seed(0)
    step = GradientStep(OnImages(ResidualCNN(1, 1, 2, 2), dimension=2), 0.1)
    model = unrolled(A, [step] * 2).double()
    torch.nn.init.normal_(model.steps[0].proximal.net.residual.layers[-1].weight, std=0.2)
    data = tensor(y).requires_grad_()
    assert torch.autograd.gradcheck(model, data)


def test_state_dict_round_trip(rng, tmp_path):
    A, y = weighted_problem(rng)

    def build():
        step = MemoryStep(CNN(4, 3, 4, 2), 2, LearnedStepSize(0.1), dimension=2)
        return unrolled(A, [step] * 2).double()

    model, twin = build(), build()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3)
    torch.save(model.state_dict(), tmp_path / "model.pt")
    assert not torch.equal(model(tensor(y)), twin(tensor(y)))
    twin.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    assert torch.equal(model(tensor(y)), twin(tensor(y)))


def test_errors(rng):
    A, y = weighted_problem(rng)
    identity = torch.nn.Identity()
    with pytest.raises(ValueError, match="steps is empty"):
        unrolled(A, [])
    for bad in (0.0, -1.0, float("nan"), "0.1"):
        with pytest.raises(ValueError, match="step_size is"):
            GradientStep(identity, bad)
    with pytest.raises(ValueError, match="initial step size is -0.1"):
        LearnedStepSize(-0.1)
    with pytest.raises(ValueError, match="memory_channels is -1"):
        MemoryStep(identity, -1, 0.1, dimension=2)
    start = torch.zeros(5, 4, dtype=torch.float64)
    starts_alone = unrolled(A, [GradientStep(identity, 0.1)], lambda data: start)
    with pytest.raises(ValueError, match=r"data has shape \(2, 5, 4\), expected \(5, 4\)"):
        starts_alone(torch.zeros(2, 5, 4, dtype=torch.float64))
    square = as_module(odl.PowerOperator(A.domain, 2.0))
    for maps in ((square, as_module(A.adjoint)), (as_module(A), square)):
        with pytest.raises(ValueError, match="is the module of a nonlinear operator.*derivative"):
            LearnedProximalGradient(*maps, [GradientStep(identity, 0.1)])
    data = torch.zeros(2, 5, 4, dtype=torch.float64)
    column = LearnedProximalGradient(identity, lambda y: y[..., :1], [GradientStep(identity, 0.1)],
                                     identity)  # fmt: skip
    with pytest.raises(ValueError, match=r"gradient in step 0 has shape \(2, 5, 1\), expected"):
        column(data)
    summing = GradientStep(lambda u: u.sum(-1, keepdim=True), 0.1)
    with pytest.raises(ValueError, match=r"result of step 1 has shape \(2, 5, 1\), expected"):
        LearnedProximalGradient(identity, identity, [GradientStep(identity, 0.1), summing])(data)
    nets = [CNN(2 + m, 1 + m, 3, 1).double() for m in (1, 2)]
    steps = [MemoryStep(net, m, 0.1, dimension=2) for net, m in zip(nets, (1, 2))]
    with pytest.raises(ValueError, match="step before has 1 channels, expected 2; give all steps"):
        LearnedProximalGradient(identity, identity, steps)(data)
    wrong = unrolled(A, [MemoryStep(CNN(4, 2, 3, 1), 2, 0.1, dimension=2)]).double()
    with pytest.raises(ValueError, match=r"shape \(1, 2, 5, 4\), expected \(1, 3, 5, 4\)"):
        wrong(tensor(y))
