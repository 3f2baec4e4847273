"""LISTA is ISTA for the right weights, coupled and free; AUTOMAP's doors and sizes."""

import numpy as np
import odl
import pytest
import torch
from torch import nn

from odl_learned import operators
from odl_learned.bridge import as_module, as_operator
from odl_learned.functionals import l2_fidelity
from odl_learned.reconstruction import (
    AUTOMAP,
    CoupledShrinkage,
    FreeShrinkage,
    LearnedShrinkage,
    LearnedStepSize,
)
from odl_learned.reconstruction.unrolled.sparse_coding import soft_threshold

F64 = torch.float64


def wavelet_problem(dtype="float64"):
    """A mask, or sampled Fourier data, of an image that is sparse in wavelets."""
    X = odl.uniform_discr([0, 0], [1, 2], (8, 12), dtype=dtype)
    rng = np.random.default_rng(0)
    mask = rng.random((8, 12)) < 0.6
    A = (operators.SampledFourier(X, mask) if dtype == "complex128"
         else operators.mask_operator(X, mask))
    D = operators.OrthogonalWavelet(X, "haar", 1).adjoint
    return A, D, operators.random_element(A.range, rng)


def tensor(element):
    return torch.tensor(element.asarray())


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_coupled_shrinkage_is_ista(dtype):
    A, D, y = wavelet_problem(dtype)
    tau, alpha = 0.8, 0.1
    back = as_module(D.adjoint @ A.adjoint)
    threshold = torch.tensor(tau * alpha, dtype=F64)
    steps = [CoupledShrinkage(back, threshold, tau) for _ in range(6)]
    model = LearnedShrinkage(as_module(A), as_module(D), steps).double()
    z = D.domain.zero()
    odl.solvers.proximal_gradient(z, alpha * odl.functionals.L1Norm(D.domain),
                                  l2_fidelity(y) @ A @ D, gamma=tau, niter=6)
    found = model.coefficients(tensor(y)).detach().numpy()
    assert np.abs(z.asarray()).max() > 0.1 and (z.asarray() == 0).any()
    np.testing.assert_allclose(found, z.asarray(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(model(tensor(y)).detach(), D(z).asarray(), rtol=0, atol=1e-12)


def test_free_shrinkage_is_ista_with_matrices():
    rng = np.random.default_rng(1)
    matrix = rng.standard_normal((5, 9))
    A, D = odl.MatrixOperator(matrix), odl.IdentityOperator(odl.rn(9))
    tau, alpha = 0.9 / np.linalg.norm(matrix, 2) ** 2, 0.3
    encode, mix = nn.Linear(5, 9, bias=False), nn.Linear(9, 9, bias=False)
    with torch.no_grad():
        encode.weight = nn.Parameter(torch.as_tensor(tau * matrix.T))
        mix.weight = nn.Parameter(torch.as_tensor(np.eye(9) - tau * matrix.T @ matrix))
    free = FreeShrinkage(encode, mix, tau * alpha)
    called = []
    model = LearnedShrinkage(lambda u: called.append(u), as_module(D), [free] * 7).double()
    coupled = LearnedShrinkage(as_module(A), as_module(D), [
        CoupledShrinkage(as_module(A.adjoint), tau * alpha, tau)] * 7).double()
    y = torch.as_tensor(rng.standard_normal((3, 5)))
    torch.testing.assert_close(model.coefficients(y), coupled.coefficients(y), rtol=0, atol=1e-6)
    assert called == []  # the free one does without the operator


def test_a_learned_threshold_for_each_subband_and_back_to_odl():
    A, D, y = wavelet_problem()
    threshold = torch.full(D.domain.shape, 0.05)
    threshold[0] = 1e-4
    steps = [CoupledShrinkage(as_module(D.adjoint @ A.adjoint), threshold, LearnedStepSize(0.7))
             for _ in range(3)]
    model = LearnedShrinkage(as_module(A), as_module(D), steps).double()
    R = as_operator(model, A.range, A.domain)
    np.testing.assert_allclose(R(y).asarray(), model(tensor(y)).detach(), atol=1e-12)
    h, g = (operators.random_element(s, np.random.default_rng(3)) for s in (A.range, A.domain))
    derivative = R.derivative(y)
    assert derivative(h).inner(g) == pytest.approx(h.inner(derivative.adjoint(g)), rel=1e-9)
    model(tensor(y)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())


def test_soft_thresholds():
    theta = torch.tensor(0.5, dtype=F64)
    z = torch.tensor([-2.0, -0.5, -0.1, 0.0, 0.3, 1.0], dtype=F64)
    expected = torch.tensor([-1.5, 0, 0, 0, 0, 0.5], dtype=F64)
    torch.testing.assert_close(soft_threshold(z, theta), expected)
    phase = torch.polar(torch.ones((), dtype=F64), torch.tensor(1.1, dtype=F64))
    torch.testing.assert_close(soft_threshold(z * phase, theta), expected * phase)
    zero = torch.zeros(2, dtype=torch.complex128, requires_grad=True)
    soft_threshold(zero, theta).abs().sum().backward()
    assert torch.isfinite(torch.view_as_real(zero.grad)).all()


@pytest.mark.parametrize("data_parts, image_parts", [(1, 1), (2, 2), (2, 1)])
@pytest.mark.parametrize("image_shape", [(5,), (4, 6), (2, 3, 4)])
def test_automap_maps_any_data_to_any_image(data_parts, image_parts, image_shape):
    net = AUTOMAP((3, 5), image_shape, 4, data_parts=data_parts, image_parts=image_parts,
                  generator=torch.Generator().manual_seed(0))
    dtype = torch.complex64 if data_parts == 2 else torch.float32
    y = torch.randn(2, 3, 3, 5, dtype=dtype, generator=torch.Generator().manual_seed(1))
    u = net(y)
    assert u.shape == (2, 3, *image_shape) and u.is_complex() == (image_parts == 2)
    torch.testing.assert_close(net(y[1, 2]), u[1, 2], rtol=1e-4, atol=1e-6)
    assert net(y[:0]).shape == (0, 3, *image_shape)
    dense = sum(p.numel() for name, p in net.named_parameters()
                if name.startswith("dense") and p.ndim == 2)  # fmt: skip
    pixels = image_parts * int(np.prod(image_shape))
    assert dense == pixels * (pixels + data_parts * 15)


def test_automap_learns_an_inverse_from_pairs():
    """A small unitary transform, which no convolution inverts, is learned to a tenth."""
    generator = torch.Generator().manual_seed(0)
    matrix = torch.linalg.qr(torch.randn(12, 12, generator=generator))[0]
    net = AUTOMAP((12,), (12,), 8, generator=generator)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(400):
        x = 0.3 * torch.randn(64, 12, generator=generator)
        optimizer.zero_grad()
        (net(x @ matrix.T) - x).square().mean().backward()
        optimizer.step()
    x = 0.3 * torch.randn(200, 12, generator=generator)
    with torch.no_grad():
        assert (net(x @ matrix.T) - x).square().mean() < 0.1 * x.square().mean()


def test_errors():
    A, D, _ = wavelet_problem()
    forward, synthesis, back = as_module(A), as_module(D), as_module(D.adjoint @ A.adjoint)
    for mistake, error, message in (
        (lambda: LearnedShrinkage(A, synthesis, [nn.Identity()]), TypeError, "forward is an oper"),
        (lambda: LearnedShrinkage(forward, D, [nn.Identity()]), TypeError, "synthesis is an oper"),
        (lambda: LearnedShrinkage(forward, synthesis, []), ValueError, "steps is empty"),
        (lambda: CoupledShrinkage(back, 0.0), ValueError, "threshold is .*expected positive"),
        (lambda: CoupledShrinkage(back, torch.tensor([0.1, -1])), ValueError, "threshold is"),
        (lambda: CoupledShrinkage(D, 0.1), TypeError, "back is an operator on spaces"),
        (lambda: FreeShrinkage(D, D, 0.1), TypeError, "encode is an operator on spaces"),
        (lambda: AUTOMAP((512, 512), (512, 512), 64), ValueError,
         r"137,438,953,472 dense weights, 512 GiB.*largest = 268,435,456"),
        (lambda: AUTOMAP((3,), (4, 0), 2), ValueError, r"image_shape is \(4, 0\), expected"),
        (lambda: AUTOMAP((3,), (4,), 2, image_parts=3), ValueError, "image_parts is 3; expected"),
        (lambda: AUTOMAP((3,), (4,), 2)(torch.ones(2, 4)), ValueError, r"expected \(\*batch, 3\)"),
        (lambda: AUTOMAP((3,), (4,), 2)(torch.ones(2, 3) + 0j), TypeError, "data_parts=2"),
    ):
        with pytest.raises(error, match=message):
            mistake()
