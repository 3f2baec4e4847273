"""The compiled potential part of energies in closed form against the plain one."""

import pytest
import torch

from odl_learned import compiled
from odl_learned.compiled import pool
from odl_learned.energies import Denoising, FourierSampling, VariationEnergy
from odl_learned.energies.coefficients import Coefficients
from odl_learned.energies.potentials import Charbonnier, CubicAbsolute
from odl_learned.energies.samples import sample_changes
from odl_learned.energies.transforms import ForwardDifferences, Separate

SHAPE, SIZE, NU = (70, 33), 9, 0.2
CASES = [
    (Denoising(), Separate(ForwardDifferences(SHAPE)), Charbonnier(), torch.float64),
    (Denoising(), Separate(ForwardDifferences(SHAPE)), CubicAbsolute(), torch.float32),
    (Denoising(), ForwardDifferences(SHAPE), Charbonnier(), torch.float32),
    (FourierSampling(), ForwardDifferences(SHAPE), CubicAbsolute(), torch.complex128),
]


def results(energy, points, data, v):
    """Everything that the two ways compute, from the second and the third of three points."""
    params, state = torch.tensor([0.3], dtype=torch.float64), None
    exact = energy.linearize(points[0], params, data)
    found = [exact.gradient, exact.hessian(v), exact.precondition(v)]
    for x in (*points, points[-1]):  # the last time without a step
        linear, state = energy.linearize_from(x, params, data, state)
        found += [linear.gradient, linear.hessian(v), linear.precondition(v),
                  state[-1].reshape(len(x), 2, *SHAPE)]  # fmt: skip
    return found


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("fidelity,transform,potential,dtype", CASES)
def test_plain_forms(fidelity, transform, potential, dtype, threads, monkeypatch):
    pytest.importorskip("numba")
    generator = torch.Generator().manual_seed(0)
    x, step, data, v = (torch.randn(SIZE, *SHAPE, dtype=dtype, generator=generator)
                        for _ in range(4))  # fmt: skip
    x[2, :, 5:9] = x[2, :, 4:5]  # flat parts, where the cubic potential has no curvature
    step[3] = 0  # a sample at rest
    points = (x, x + 0.1 * step, x + 0.1 * step + 1e-3 * data)
    weights = 0.5 + torch.rand(SHAPE, generator=generator) if fidelity is CASES[-1][0] else None
    energy = VariationEnergy(fidelity, transform, potential,
                             lambda p: Coefficients(p[0], NU, 0.01, weights))  # fmt: skip
    monkeypatch.setattr(pool, "thread_count", lambda: threads)
    monkeypatch.setattr(pool, "WORTH", 1)
    found = results(energy, points, data, v)
    alone = results(energy, [x[3:4] for x in points], data[3:4], v[3:4])
    monkeypatch.setattr(compiled, "is_available", lambda: False)
    # Of differences of numbers of size one, a dozen roundings, which 1 / nu multiplies at most
    # twice.
    bits = fidelity is CASES[0][0]  # Fourier transforms depend on the batch
    for got, one, want in zip(found, alone, results(energy, points, data, v), strict=True):
        assert got.dtype == want.dtype
        bound = 16 / NU**2 * torch.finfo(dtype).eps * float(want.abs().max())
        torch.testing.assert_close(got, want, rtol=0, atol=bound)
        if bits:
            assert torch.equal(got[3:4], one)


def test_frequencies_are_the_same_system():
    """``U`` is unitary, and the products are those of images, for complex images with weights."""
    generator = torch.Generator().manual_seed(0)
    x, data, v = (torch.randn(2, 6, 7, dtype=torch.complex128, generator=generator)
                  for _ in range(3))  # fmt: skip
    weights = torch.rand(6, 7, generator=generator, dtype=torch.float64)
    energy = VariationEnergy(FourierSampling(), ForwardDifferences((6, 7)), Charbonnier(),
                             lambda p: Coefficients(p[0], NU, 0.01, weights))  # fmt: skip
    linear = energy.linearize(x, torch.tensor([0.3], dtype=torch.float64), data)
    frame = linear.frame
    for got, want in ((frame.adjoint(frame.forward(v)), v),
                      (frame.adjoint(frame.hessian(frame.forward(v))), linear.hessian(v)),
                      (frame.adjoint(frame.precondition(frame.forward(v))), linear.precondition(v)),
                      (frame.forward(v).norm(), v.norm())):  # fmt: skip
        torch.testing.assert_close(got, want, rtol=0, atol=1e-13 * float(want.abs().max()))
    assert energy.linearize(x.real, torch.tensor([0.3], dtype=torch.float64), data).frame is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex128])
def test_changes_of_samples(dtype, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    x, z, y, w = (torch.randn(3, 70, 40, dtype=dtype, generator=generator) for _ in range(4))
    found = sample_changes(x, z, y.mT.contiguous().mT, w)
    monkeypatch.setattr(compiled, "is_available", lambda: False)
    for got, want in zip(found, sample_changes(x, z, y, w), strict=True):
        assert got.dtype == torch.float64
        size = float((found[0] * found[1]).max())
        torch.testing.assert_close(got, want, rtol=0, atol=5600 * 2.3e-16 * size)
