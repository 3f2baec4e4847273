"""Learned primal-dual and postprocessing: trivial networks give back the classical methods."""

import numpy as np
import odl
import pytest
import torch
from rounding import assert_rounded
from test_unrolled import PROBLEMS, assert_same, tensor
from torch import nn

from odl_learned import operators
from odl_learned.bridge import as_module, as_operator
from odl_learned.functionals import l2_fidelity
from odl_learned.networks import CNN, OnImages, Residual, UNet
from odl_learned.reconstruction import (
    DataResidual,
    LearnedPrimalDual,
    Postprocessing,
    StateStep,
)

F64, T = torch.float64, torch.ones(1, 4, 4)


def linear(matrix, dimension):
    """A pointwise linear network of channels, ``v -> M v``."""
    kind = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[dimension]
    matrix = torch.as_tensor(np.asarray(matrix, dtype=float))
    net = kind(*matrix.shape[::-1], 1, bias=False).double()
    with torch.no_grad():
        net.weight.copy_(matrix.view(*matrix.shape, *(1 for _ in range(dimension))))
    return net


def times(matrix, reals, components=1):
    """The matrix between memories, for all components, of real and of imaginary parts."""
    return np.kron(np.eye(reals), np.kron(matrix, np.eye(components)))


def chambolle_pock(tau, sigma, dimension, data_dimension, reals, components):
    """Steps for ``1/2 |A f - y|^2`` as pointwise linear networks.

    ``(h + sigma (A fbar - y)) / (1 + sigma)`` is the dual step, ``f - tau A* h`` and the point that
    is extrapolated from it, ``2 (f - tau A* h) - f``, are the primal one.
    """
    dual = [[1 / (1 + sigma) - 1, sigma / (1 + sigma), -sigma / (1 + sigma)]]
    dual = times(dual, reals, components or 1)
    primal = times([[0, 0, -tau], [1, -1, -2 * tau]], reals)
    return (StateStep(linear(dual, data_dimension), dimension=data_dimension,
                      components=int(components > 0)),
            StateStep(linear(primal, dimension), dimension=dimension))  # fmt: skip


@pytest.mark.parametrize("problem", PROBLEMS)
def test_linear_steps_give_the_method_of_chambolle_and_pock(problem, rng):
    A, y = problem(rng)
    is_power = isinstance(A.range, odl.ProductSpace)
    dimension = len(A.domain.shape)
    data_dimension = len(A.range[0].shape) if is_power else len(A.range.shape)
    norm = 1.1 * float(odl.power_method_opnorm(A, maxiter=100))
    tau, sigma = 1 / norm, 1 / norm
    reals = 2 if np.iscomplexobj(tensor(y).numpy()) else 1
    dual, primal = chambolle_pock(tau, sigma, dimension, data_dimension, reals,
                                  len(A.range) if is_power else 0)  # fmt: skip
    model = LearnedPrimalDual(
        as_module(A), as_module(A.adjoint), [dual] * 8, [primal] * 8, dual_memory=1,
        primal_memory=2, dimension=dimension)
    x, iterates = A.domain.zero(), [A.domain.zero().asarray()]
    odl.solvers.pdhg(x, odl.functionals.ZeroFunctional(A.domain), l2_fidelity(y), A, niter=8,
                     tau=tau, sigma=sigma, callback=lambda u: iterates.append(u.asarray().copy()))
    with torch.no_grad():
        assert_same(list(model.iterates(tensor(y))), iterates)
    assert np.abs(iterates[-1]).max() > 1e-3


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_learned_primal_method_with_a_linear_step_is_landweber(problem, rng):
    A, y = problem(rng)
    dimension = len(A.domain.shape)
    tau = 0.9 / float(odl.power_method_opnorm(A, maxiter=100)) ** 2
    reals = 2 if np.iscomplexobj(tensor(y).numpy()) else 1
    step = StateStep(linear(times([[0, -tau]], reals), dimension), dimension=dimension)
    model = LearnedPrimalDual(
        as_module(A), as_module(A.adjoint), [DataResidual()] * 5, [step] * 5, dual_memory=1,
        primal_memory=1, dimension=dimension)
    x, iterates = A.domain.zero(), [A.domain.zero().asarray()]
    odl.solvers.landweber(A, x, y, niter=5, omega=tau,
                          callback=lambda u: iterates.append(u.asarray().copy()))
    with torch.no_grad():
        assert_same(list(model.iterates(tensor(y))), iterates)


def multicoil():
    X = odl.uniform_discr([0, 0], [1, 2], (6, 5), dtype="complex128")
    rng = np.random.default_rng(0)
    maps = rng.standard_normal((2, 3, 6, 5))
    return operators.MultiCoilFourier(X, rng.random((6, 5)) < 0.6, maps[0] + 1j * maps[1])


def shaken(module):
    source = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=source))
    return module.double()


def learned(A, coils=0, dimension=2, initial=None):
    reals = 2 if np.issubdtype(A.domain.dtype, np.complexfloating) else 1
    data = reals * max(coils, 1)
    duals = [StateStep(CNN(data * 4, data * 2, 4, 2, dimension=dimension), dimension=dimension,
                       components=int(coils > 0)) for _ in range(2)]  # fmt: skip
    primals = [StateStep(CNN(reals * 4, reals * 3, 4, 2, dimension=dimension), dimension=dimension)
               for _ in range(2)]  # fmt: skip
    return shaken(LearnedPrimalDual(as_module(A), as_module(A.adjoint), duals, primals,
                                    dual_memory=2, primal_memory=3, dimension=dimension,
                                    initial=initial))  # fmt: skip


def test_several_coils_any_batch_axes_and_back_to_odl():
    A = multicoil()
    model = learned(A, coils=3)
    y = torch.randn(2, 3, 3, 6, 5, dtype=torch.complex128,
                    generator=torch.Generator().manual_seed(0))
    u = model(y)
    assert u.shape == (2, 3, 6, 5)
    torch.testing.assert_close(model(y[1, 2]), u[1, 2])
    assert model(y[:0]).shape == (0, 3, 6, 5)
    R = as_operator(model, A.range, A.domain)
    element = A.range.element(y[0, 1].numpy())
    np.testing.assert_allclose(R(element).asarray(), u[0, 1].detach(), rtol=1e-10, atol=1e-12)
    derivative, h = R.derivative(element), A.domain.element(u[1, 1].detach().numpy())
    direction = A.range.element(y[1, 0].numpy())
    left = np.real(derivative(direction).inner(h))
    right = np.real(direction.inner(derivative.adjoint(h)))
    assert left == pytest.approx(right, rel=1e-9)


@pytest.mark.parametrize("shape", [(7,), (3, 4, 5)])
def test_signals_and_volumes(shape):
    X = odl.uniform_discr([0] * len(shape), [1] * len(shape), shape)
    A = operators.mask_operator(X, np.random.default_rng(0).random(shape) < 0.6)
    model = learned(A, dimension=len(shape))
    y = torch.randn(2, *shape, dtype=F64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(y)[1], model(y[1]))
    assert torch.autograd.gradcheck(model, y.requires_grad_(), fast_mode=True)


def test_networks_that_begin_at_zero_keep_the_first_reconstruction():
    X = odl.uniform_discr([-1, -1], [1, 1], (8, 8), dtype="float32")
    A = operators.normalized(operators.parallel_ray_transform(X, 6))
    inverse = as_module(operators.fbp(A))
    net = OnImages(Residual(UNet(1, 1, (4, 8), dimension=2)), dimension=2)
    y = torch.randn(2, *A.range.shape, generator=torch.Generator().manual_seed(0))
    post = Postprocessing(inverse, net)
    assert torch.equal(post(y), inverse(y))
    steps = [[StateStep(CNN(n, m, 4, 2), dimension=2)] for n, m in ((3, 1), (2, 1))]
    model = LearnedPrimalDual(as_module(A), inverse, *steps, dual_memory=1, primal_memory=1,
                              dimension=2, initial=inverse)  # fmt: skip
    assert torch.equal(model(y), inverse(y))
    R = as_operator(post, A.range, X)
    assert_rounded(R(A.range.element(y[0])).asarray(), inverse(y[:1])[0], 1e-6)


def test_a_step_with_another_number_of_axes_is_found():
    X = odl.uniform_discr(0, 1, 6)
    A = as_module(odl.IdentityOperator(X))
    steps = [StateStep(shaken(CNN(n, m, 4, 2)), dimension=2) for n, m in ((3, 1), (2, 1))]
    with pytest.raises(ValueError, match="axes|batch|dimension"):
        LearnedPrimalDual(A, A, steps[:1], steps[1:], dual_memory=1, primal_memory=1, dimension=1)


def test_errors():
    X = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    op = odl.IdentityOperator(X)
    A, steps = as_module(op), [nn.Identity()]

    def model(forward=A, dual=steps, primal=steps, **changes):
        options = {"dual_memory": 1, "primal_memory": 1, "dimension": 2} | changes
        return LearnedPrimalDual(forward, lambda y: y, dual, primal, **options)

    for mistake, error, message in (
        (lambda: model(op), TypeError, r"forward is an operator on spaces.*as_module\(op\)"),
        (lambda: model(dual=[]), ValueError, "dual_steps is empty"),
        (lambda: model(primal=steps * 2), ValueError, "1 dual steps, expected 2 as primal"),
        (lambda: model(primal=[3]), TypeError, "primal_steps is .*expected a list of torch"),
        (lambda: model(dual_memory=0), ValueError, "dual_memory is 0; expected"),
        (lambda: model(dimension=0), ValueError, "dimension is 0, expected"),
        (lambda: model(initial=3), TypeError, "initial is 3; expected a torch module"),
        (lambda: model()(torch.ones(2, 3, 3)), ValueError, r"shape \(2, 3, 3\), expected"),
        (lambda: Postprocessing(op, nn.Identity()), TypeError, "initial is an operator on spaces"),
        (lambda: Postprocessing(A, 3), TypeError, "net is 3; expected a torch module"),
        (lambda: Postprocessing(lambda y: y, nn.Flatten())(torch.ones(2, 4, 4)), ValueError,
         r"maps \(2, 4, 4\) to \(2, 16\), expected the same shape.*OnImages"),
        (lambda: StateStep(CNN(3, 2, 4, 2), dimension=2)(T[None], T),
         ValueError, r"expected \(N, 3, H, W\)"),
        (lambda: StateStep(CNN(3, 1, 4, 2), dimension=1), ValueError, "images with 2 axes"),
    ):
        with pytest.raises(error, match=message):
            mistake()


