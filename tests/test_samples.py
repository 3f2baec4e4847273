"""Arithmetic of samples: of one element and of batches, and which of them still run."""

import os
import subprocess
import sys
import warnings

import numpy as np
import odl
import pytest
import torch

from odl_learned import compiled
from odl_learned.bridge import BatchSpace, as_batch
from odl_learned.compiled import pool
from odl_learned.solvers import Solution, conjugate_gradient, lsqr
from odl_learned.solvers.arithmetic import row_sums as sums_module
from odl_learned.solvers.arithmetic.active import Active
from odl_learned.solvers.arithmetic.row_sums import row_products
from odl_learned.solvers.arithmetic.samples import samples_of

WORLDS = [np.asarray, torch.from_numpy]


@pytest.mark.parametrize("dtype", ["float32", "complex64", "complex128"])
@pytest.mark.parametrize("world", WORLDS)
def test_arithmetic_of_batches(world, dtype, rng):
    x, y = (rng.standard_normal((4, 3, 5)) + 1j * rng.standard_normal((4, 3, 5)) for _ in "xy")
    x, y = ((v if "complex" in dtype else v.real).astype(dtype) for v in (x, y))
    samples = samples_of(world(x))
    t = rng.standard_normal(4)
    expected = [np.vdot(y[k].astype(complex), x[k]).real for k in range(4)]
    assert np.allclose(samples.inner(world(x), world(y)), expected, rtol=1e-5, atol=1e-5)
    assert np.allclose(samples.norm(world(x)), np.linalg.norm(x.reshape(4, -1), axis=1))
    column = t[:, None, None].astype(x.real.dtype)
    for result, reference in (
        (samples.add(world(x), t, world(y)), x + column * y),
        (samples.extrapolate(world(x), t, world(y)), x + column * (x - y)),
        (samples.add((world(x), world(y)), t, (world(y), world(x)))[1], y + column * x),
    ):
        assert np.asarray(result).dtype == dtype
        assert np.allclose(np.asarray(result), reference, rtol=1e-5, atol=1e-6)
    tiny = samples.norm(1e-30 * world(x.astype("complex64" if "complex" in dtype else "float32")))
    assert np.allclose(tiny, 1e-30 * np.linalg.norm(x.reshape(4, -1), axis=1), rtol=1e-4, atol=0)
    pair = samples_of((world(x), world(y)))
    assert np.allclose(pair.norm((world(x), world(y))) ** 2,
                       samples.norm(world(x)) ** 2 + samples.norm(world(y)) ** 2)  # fmt: skip
    assert pair.eps((world(x), world(y))) == np.finfo(dtype).eps


def test_transposed_and_conjugate_tensors_keep_their_inner_products(rng):
    x = torch.from_numpy(rng.standard_normal((3, 4, 5)) + 1j * rng.standard_normal((3, 4, 5)))
    samples = samples_of(x)
    for v in (x.conj(), x.transpose(1, 2), x.conj().transpose(1, 2), x.clone().requires_grad_()):
        assert np.allclose(samples.norm(v), samples.norm(x), rtol=1e-14)


def in_memory(x):
    """All numbers of an element, of a batch or of a tuple of them, and where they lie."""
    parts = x if isinstance(x, tuple) else getattr(x, "parts", [x])
    arrays = [np.asarray(getattr(part, "data", part)) if not torch.is_tensor(part)
              else part.numpy() for part in parts]
    return np.concatenate([a.ravel() for a in arrays]), [a.ctypes.data for a in arrays]


PLANE = odl.uniform_discr([0, 0], [1, 1], (3, 4), dtype="float32")


KINDS = {
    "element": ((3, 4), PLANE.element), "product": ((2, 3, 4), (PLANE**2).element),
    "array": ((3, 3, 4), np.copy), "tensor": ((3, 3, 4), torch.tensor),
    "tuple": ((3, 3, 4), lambda a: (torch.tensor(a), torch.tensor(2 * a))),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("t", [1.0, -1.0, 0.3, [0.3, -1.0, 7.0]])
def test_in_place_is_the_same_to_the_bit(kind, t, rng):
    shape, make = KINDS[kind]
    x, y = (make(rng.standard_normal(shape).astype("float32")) for _ in "xy")
    samples = samples_of(x)
    t = np.array(t[: samples.size]) if isinstance(t, list) else t
    before = in_memory(x)[1]
    sums, multiples = in_memory(samples.add(x, t, y))[0], in_memory(samples.scale(t, x))[0]
    copy = samples.scale(1.0, x)
    shrunk = samples.shrink(t, copy)
    assert np.array_equal(in_memory(shrunk)[0], multiples)
    increased = samples.increase(x, t, y)
    assert np.array_equal(in_memory(increased)[0], sums)
    assert in_memory(increased)[1] == before == in_memory(x)[1]


def test_points_that_callbacks_keep_do_not_change(rng):
    X = odl.rn(5)
    d, b = X.element(rng.random(5) + 1), X.element(rng.standard_normal(5))
    for solve in (conjugate_gradient, lsqr):
        kept, copies = [], []
        solve(odl.MultiplyOperator(d), b, X.zero(), 1e-12, 4,
              callback=lambda x: (kept.append(x), copies.append(x.data.copy())))  # noqa: B023
        assert len(kept) > 2
        assert all(np.array_equal(x.data, copy) for x, copy in zip(kept, copies, strict=True))


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_inner_products_add_up_in_an_order_that_depends_on_the_length_alone(dtype, rng):
    """Whatever the batch, and where the row lies in memory."""
    eps = np.finfo(dtype).eps
    for length in (1, 2, 7, 8, 9, 63, 100, 129, 511, 512, 513, 1000, 1024, 4097, 20001):
        real = rng.standard_normal((2, 5, length, 2))
        numbers = real[..., 0] + 1j * real[..., 1] if "complex" in dtype else real[..., 0]
        x, y = numbers.astype(dtype)
        together = row_products(x, y)
        parts = [(v.real.astype(np.longdouble), v.imag.astype(np.longdouble)) for v in (x, y)]
        products = [a * b for a, b in zip(*parts)]
        chain = sums_module.BLOCK / 4 + 2 * np.log2(max(2, 2 * length / sums_module.BLOCK))
        allowed = (chain + 1) * eps * sum(np.abs(p).sum(axis=1) for p in products)
        assert np.all(np.abs(together - sum(p.sum(axis=1) for p in products)) <= allowed)
        for k in range(5):
            moved = np.empty((3, length + 1), dtype)[1:2, 1:]  # rows that begin anywhere
            moved[...] = x[k]
            assert row_products(moved, y[k : k + 1])[0] == together[k]
            apart = np.empty((1, length, 2), dtype)[..., 0]
            apart[...] = x[k]
            assert row_products(apart, y[k : k + 1])[0] == together[k]
            assert row_products(x[: k + 1], y[: k + 1])[k] == together[k]


# The file by itself, since the imports of the package take seconds.
OTHER_PROCESSOR = """
import runpy, sys
import numpy as np
row_products = runpy.run_path(sys.argv[1])["row_products"]
rng = np.random.default_rng(0)
for length in (*range(1, 40), 511, 1000, 4097):
    for dtype in ("float32", "float64"):
        print(row_products(*rng.standard_normal((2, 3, length)).astype(dtype)).tobytes().hex())
"""


def test_inner_products_are_the_same_on_an_older_processor():
    """numpy leaves out its kernels for newer ones where it is told so, at its import."""
    command = [sys.executable, "-W", "ignore", "-c", OTHER_PROCESSOR, sums_module.__file__]
    outputs = [subprocess.run(command, env={**os.environ, "NPY_DISABLE_CPU_FEATURES": features},
                              capture_output=True, text=True, check=True).stdout
               for features in ("", "AVX2 FMA3 X86_V3 X86_V4 AVX512_ICL")]
    assert outputs[0] == outputs[1] and outputs[0].count("\n") == 2 * 42


def test_what_is_not_finite_comes_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = row_products(np.array([[1e200, 1], [np.inf, 0], [2, 3]]),
                             np.array([[1e200, 1], [0, 1], [1, 1.0]]))  # fmt: skip
    np.testing.assert_array_equal(found, [np.inf, np.nan, 5])


def test_a_sample_has_the_same_inner_products_in_every_batch(rng):
    x, y = rng.standard_normal((2, 9, 40, 30))
    space = odl.rn((40, 30), weighting=rng.uniform(0.5, 2, (40, 30)))
    for world in WORLDS:
        for arithmetic in (samples_of, lambda x: BatchSpace(space)):
            if world is np.asarray and arithmetic is not samples_of:
                continue
            together = np.asarray(arithmetic(world(x)).inner(world(x), world(y)))
            for index in ([0], [8, 3], [2, 1, 0, 7, 5, 6, 8]):
                part = arithmetic(world(x[index])).inner(world(x[index]), world(y[index]))
                assert np.array_equal(part, together[index])


def test_active_keeps_notes_of_all_samples():
    x = np.arange(8.0).reshape(4, 2)
    samples = samples_of(x)
    active = Active(samples, x)
    rest = active.finish([False, True, False, False], x + 10, 1, "accuracy",
                         error_bound=np.arange(4.0), dual=(x + 20, x + 30))  # fmt: skip
    assert list(rest) == [0, 2, 3] and list(active.index) == [0, 2, 3]
    part = x[rest] + 100
    assert active.name([False, False, True]) == " of sample 3"
    assert np.array_equal(active.whole(part), [[100, 101], [12, 13], [104, 105], [106, 107]])
    active.finish(True, part, [5, 6, 7], np.array(["a", "b", "c"]), error_bound=np.ones(3),
                  dual=(part, part))  # fmt: skip
    solution = active.solution()
    assert list(solution.niter) == [5, 1, 6, 7]
    assert list(solution.reason) == ["a", "accuracy", "b", "c"]
    assert list(solution.error_bound) == [1, 1, 1, 1]
    assert np.array_equal(solution.x, [[100, 101], [12, 13], [104, 105], [106, 107]])
    assert np.array_equal(solution.dual[1], [[100, 101], [32, 33], [104, 105], [106, 107]])
    assert np.array_equal(x, np.arange(8.0).reshape(4, 2))


def test_solutions_show_shapes_and_ranges():
    one = Solution(np.zeros((99, 8)), 1.23456e-5, 30, "accuracy", 3e-7)
    assert repr(one) == ("Solution(x=<ndarray (99, 8) float64>, error_bound=1.23e-05, niter=30, "
                         "reason='accuracy', gap=3e-07)")  # fmt: skip
    x = torch.zeros(3, 99, 8), torch.zeros(3, 2, dtype=torch.complex128)
    reasons = np.array(["maxiter", "accuracy", "maxiter"], dtype=object)
    batch = Solution(x, None, np.array([30, 10, 30]), reasons, np.array([1.0, np.inf, 2.0]), x[0])
    assert repr(batch) == (
        "Solution(x=(<Tensor (3, 99, 8) float32>, <Tensor (3, 2) complex128>), error_bound=None, "
        "niter=10..30, reason=1 x 'accuracy', 2 x 'maxiter', gap=1..inf, "
        "dual=<Tensor (3, 99, 8) float32>)")
    X = odl.uniform_discr([0, 0], [1, 1], (4, 5))
    pair = odl.ProductSpace(X, X**2).one()
    assert repr(Solution(pair, None, 0, "maxiter")) == (
        "Solution(x=(<element (4, 5) float64>, <element (2, 4, 5) float64>), error_bound=None, "
        "niter=0, reason='maxiter')")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_norms_of_numbers_whose_squares_are_none(dtype):
    X = odl.uniform_discr(0, 1, 6, dtype=dtype)
    values = np.arange(1.0, 7.0)
    ends = (-140, 120) if dtype == "float32" else (-1050, 1000)
    for power in (*ends, -90, 90, 0):
        x = X.element(values * 2.0**power)
        exact = np.ldexp(x.data.astype(float), -power)
        expected = np.ldexp(np.linalg.norm(exact), power)
        batch = torch.from_numpy(np.stack([x.data, 0 * x.data, values.astype(dtype)]))
        assert samples_of(x).norm(x) == pytest.approx(expected / 6**0.5, rel=1e-6)
        got = samples_of(batch).norm(batch)
        assert got[0] == pytest.approx(expected, rel=1e-6) and got[1] == 0
        assert got[2] == samples_of(batch[2:]).norm(batch[2:])
        space = as_batch(odl.IdentityOperator(X)).domain
        assert samples_of(batch, space).norm(batch)[0] == pytest.approx(expected / 6**0.5, rel=1e-6)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
@pytest.mark.parametrize("world", WORLDS)
def test_updates_in_one_pass_have_the_bits_of_the_plain_form(world, dtype, threads, rng,
                                                             monkeypatch):  # fmt: skip
    if not compiled.is_available():
        pytest.skip("loops are not compiled")
    monkeypatch.setattr(pool, "thread_count", lambda: threads)
    x, y = (rng.standard_normal((3, 200, 222)) + 1j * rng.standard_normal((3, 200, 222))
            for _ in "xy")  # fmt: skip
    x, y = (world((v if "complex" in dtype else v.real).astype(dtype)) for v in (x, y))
    samples, t = samples_of(x), np.array([0.3, -1.0, 7.0])
    X = odl.rn((400, 222), dtype="float32")
    element = X.element(rng.standard_normal(X.shape))
    pair, other = ((X**2).element([c * element, element * element]) for c in (1.0, -0.3))

    def all_of_them():
        return [in_memory(part)[0] for part in (
            samples.add(x, t, y), samples.extrapolate(x, t, y), samples.add(x, 0.1, y),
            samples.increase(samples.scale(1.0, x), t, y), samples.add(x.mT, t, y.mT),
            samples.blend(samples.scale(1.0, x), t, y), samples.reach(y, t, x, 0.7, y),
            samples.lack(x, t, y, y, x), samples_of(element).increase(1.0 * element, 0.1, element),
            samples_of(element).blend(1.0 * element, 0.1, element),
            samples_of(pair).reach(pair, 0.3, other, np.array([0.7]), pair),
            samples_of(pair).lack(pair, 0.3, other, other, pair))]

    counted = []
    monkeypatch.setattr(compiled, "run_all", lambda *args: counted.append(pool.run_all(*args)))
    found = all_of_them()
    assert len(counted) >= 5
    monkeypatch.setattr(compiled, "is_available", lambda: False)
    for got, want in zip(found, all_of_them(), strict=True):
        assert np.array_equal(got, want)
