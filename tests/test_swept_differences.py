"""Compiled differences of energies against the plain forms of the same methods."""

import pytest
import torch

from odl_learned import compiled
from odl_learned.compiled import pool
from odl_learned.energies.transforms import ForwardDifferences, Separate

pytest.importorskip("numba")
SHAPE, SIZE = (40, 45), 20


def tensors(dtype):
    generator = torch.Generator().manual_seed(0)

    def some(*shape, dtype=dtype):
        return torch.randn(*shape, dtype=dtype, generator=generator)

    real = torch.zeros(1, dtype=dtype).real.dtype
    x, v = some(SIZE, *SHAPE), some(*SHAPE[::-1], SIZE).movedim(2, 0).mT  # one as torch may have it
    numbers = [some(SIZE, *SHAPE, dtype=real).abs() for _ in range(2)]
    return x, v, *numbers, some(SIZE, 2, *SHAPE, dtype=real).abs()


def results(transform, x, v, a, b, curvatures):
    p = transform.forward(x)
    if isinstance(transform, Separate):
        a, b, curvatures = (part[:, None].expand(-1, 2, *SHAPE) for part in (a, b, a))
        curvatures = curvatures[:, None]
    z = 0.3 * p.conj() * a[:, None]
    return [p, transform.adjoint(p), transform.scaled_adjoint(a, p),
            transform.hessian(p, None, a, b, 1.5)(v), transform.hessian(p, z, a, b, 0.0)(v),
            transform.followed(v, p, z, a, b, 0.7), transform.followed(v, p, z, a, b, torch.inf),
            transform.product_norm(curvatures)]  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex128])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("transform", [ForwardDifferences(SHAPE),
                                       Separate(ForwardDifferences(SHAPE))])  # fmt: skip
def test_plain_forms(dtype, threads, transform, monkeypatch):
    given = tensors(dtype)
    monkeypatch.setattr(pool, "thread_count", lambda: threads)
    found = results(transform, *given)
    alone = results(transform, *(part[7:8] for part in given))
    monkeypatch.setattr(compiled, "is_available", lambda: False)
    for got, one, want in zip(found, alone, results(transform, *given), strict=True):
        assert torch.equal(got[7:8], one) and got.dtype == want.dtype
        # as many roundings as sums of eight have, of numbers up to the largest
        tolerance = 16 * torch.finfo(dtype).eps * float(want.abs().max())
        torch.testing.assert_close(got, want, rtol=0, atol=tolerance)


@pytest.mark.parametrize("shape", [(9,), (2, 5), (1, 6), (6, 1), (2, 3, 4)])
def test_shapes_are_told_apart(shape):
    transform = ForwardDifferences(shape)
    x = torch.randn(3, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    p = transform.forward(x)
    for axis in range(1, x.ndim):
        last = x.narrow(axis, x.shape[axis] - 1, 1)
        assert torch.equal(p[:, axis - 1], torch.diff(x, dim=axis, append=last))
    q = torch.randn(p.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    assert torch.allclose((p * q).sum(), (x * transform.adjoint(q)).sum(), rtol=1e-12)
    assert transform.forward(x[:0]).shape == (0, len(shape), *shape)
