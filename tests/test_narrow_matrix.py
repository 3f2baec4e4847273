"""Matrices with column numbers of 16 bits, and that an image has the same bits in every batch."""

import numpy as np
import pytest
import scipy.sparse
import torch
from ray_transforms import lowered, transform

from odl_learned.compiled import pool
from odl_learned.operators.tomography.projectors.narrow import NarrowMatrix

pytest.importorskip("numba")


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("columns", [7, 2**16, 2**16 + 1, 150_000])
def test_products_have_the_bits_of_scipy(columns, threads, rng, monkeypatch):
    monkeypatch.setattr(pool, "thread_count", lambda: threads)
    monkeypatch.setattr(pool, "WORTH", 1)
    dense = scipy.sparse.random(60, columns, 2000 / (60 * max(columns, 50)), "csr", np.float32, rng)
    dense.data -= 0.5
    matrix = scipy.sparse.vstack([dense[:5], 0 * dense[:1], dense[6:]]).tocsr()
    matrix.eliminate_zeros()
    assert matrix.nnz > 200 and not np.diff(matrix.indptr)[5]
    narrow = NarrowMatrix(matrix)
    for width in (1, 4, 8):
        x = rng.standard_normal((columns, width)).astype(np.float32)
        expected = np.stack([matrix @ np.ascontiguousarray(x[:, i]) for i in range(width)], axis=1)
        assert np.array_equal(narrow.product(x), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_an_image_has_the_same_bits_in_every_batch(dtype):
    A = transform(dtype=str(dtype).removeprefix("torch."))
    pair = lowered(A).native.pair
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(11, *A.domain.shape, dtype=dtype, generator=generator)
    y = torch.randn(2, 5, *A.range.shape, dtype=dtype, generator=generator)
    images, data = pair.project(x), pair.backproject(y)
    for k in range(11):
        for size in (1, 3, 6, 9):
            part = slice(max(0, k - size + 1), k + 1)
            assert torch.equal(pair.project(x[part]), images[part])
    assert torch.equal(pair.backproject(y[1, 4]), data[1, 4])
    host = pair._host
    assert np.array_equal(host.project(x[3].numpy()), images[3].numpy())
    assert np.array_equal(host.backproject(y[1, 2].numpy()), data[1, 2].numpy())
    assert pair.project(x[:0]).shape == (0, *A.range.shape)
