"""Compiled loops: the bits of the plain forms, however many threads, and without numba, too."""

import os
import sys
import threading

import numpy as np
import pytest
import torch

from odl_learned import compiled
from odl_learned.bridge.proximals.norms import PointwiseBall
from odl_learned.compiled import compiler, pool, run_all, shares, useful_threads
from odl_learned.solvers import rof, tgv_denoising
from odl_learned.solvers.variation import rof_sweeps, sheets
from odl_learned.solvers.variation.rof_iteration import PrimalDual
from odl_learned.solvers.variation.rof_sweeps import Sweeps
from odl_learned.solvers.variation.strips import Strips
from odl_learned.solvers.variation.tgv_iteration import FixedImage
from odl_learned.solvers.variation.tgv_iteration import PrimalDual as PrimalDualTGV

numba = pytest.importorskip("numba")


@pytest.fixture(params=[1, 3])
def threads(request, monkeypatch):
    """As many threads of loops, without those of torch."""
    monkeypatch.setattr(pool, "thread_count", lambda: request.param)
    return request.param


def assert_same(one, other):
    """The same bits."""
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize(("shape", "exponent", "weighted", "pieces"), [
    ((5, 1, 9, 7), 2, False, 1), ((3, 2, 1, 8), 2, True, 1), ((2, 2, 6, 5), 1, False, 1),
    ((4, 1, 110, 90), 2, True, 3), ((1, 1, 250, 140), 2, False, 3),
    ((5, 1, 4, 3, 5), 2, False, 1), ((3, 2, 1, 4, 3), 2, True, 1), ((2, 1, 3, 1, 4), 1, True, 1),
    ((2, 2, 5, 3, 4), 1, False, 1), ((4, 1, 30, 20, 14), 2, True, 3),
    ((1, 1, 60, 24, 25), 2, False, 3), ((1, 2, 60, 24, 25), 2, False, 3),
])  # fmt: skip
def test_total_variation(shape, exponent, weighted, pieces, threads, monkeypatch):
    monkeypatch.setattr(sheets, "BLOCK", 2**14)
    monkeypatch.setattr(rof_sweeps, "CACHE", 2**18)
    rng = np.random.default_rng(0)
    y = rng.standard_normal(shape).astype(np.float32)
    radius = rng.uniform(0.1, 1, (shape[0], *shape[2:])).astype(np.float32) if weighted else None
    weights = [1.0, 0.7, 0.4][: y.ndim - 2]
    plain, sweeps = (form(y, weights, exponent, 1.31, radius) for form in (PrimalDual, Sweeps))
    assert len(sweeps._strips.pieces) == (pieces if threads > 1 else 1)
    for count in (1, 4, 20):
        plain.advance(count)
        sweeps.advance(count)
        assert_same([plain.x(), plain.p()], [sweeps.x(), sweeps.p()])
        assert_same(plain.measure(), sweeps.measure())
    some = np.arange(shape[0])[::-2]
    plain, sweeps = plain.take(some), sweeps.take(some)
    plain.advance(3)
    sweeps.advance(3)
    assert_same([plain.x(), plain.p()], [sweeps.x(), sweeps.p()])


@pytest.mark.parametrize(("shape", "weighted", "form"), [
    ((5, 1, 9, 7), False, PrimalDualTGV), ((2, 2, 6, 5), True, PrimalDualTGV),
    ((1, 1, 1, 8), False, PrimalDualTGV), ((2, 1, 8, 2), True, FixedImage),
    ((1, 1, 250, 140), False, PrimalDualTGV), ((1, 1, 250, 140), False, FixedImage),
])  # fmt: skip
def test_total_generalized_variation(shape, weighted, form, threads, monkeypatch):
    monkeypatch.setattr(sheets, "BLOCK", 2**14)
    rng = np.random.default_rng(0)
    y = rng.standard_normal(shape).astype(np.float32)
    radii = [rng.uniform(0.1, 1, (shape[0], *shape[2:])).astype(np.float32)
             for _ in range(2 * weighted)]  # fmt: skip
    plain, sweeps = (form(y, [1.0, 0.7], 1.5, 1.31, *radii) for _ in range(2))
    for count in (1, 4, 20):
        for _ in range(count):
            plain.step()
        sweeps.advance(count)
        measured = sweeps.measure()
        with monkeypatch.context() as m:
            m.setattr(compiled, "is_available", lambda: False)
            assert_same(plain.measure(), measured)
        for name in ("x", "p", "v", "slope"):
            assert np.array_equal(getattr(plain, name)(), getattr(sweeps, name)())


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64])
def test_volumes_are_those_of_the_plain_form(dtype, monkeypatch):
    y = np.random.default_rng(1).standard_normal((3, 6, 5, 4)).astype(dtype)
    call = y, np.geomspace(0.05, 0.8, 3), 1e-4, 10000, 2, (1, 2, 0.5)
    found = rof(*call)
    monkeypatch.setattr(compiled, "is_available", lambda: False)
    assert_same(found[:6], rof(*call)[:6])


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_solutions_are_those_of_the_plain_form(dtype, monkeypatch):
    y = np.random.default_rng(1).standard_normal((4, 12, 9)).astype(dtype)
    alpha = np.geomspace(0.05, 0.8, 4)
    found, calls = rof(y, alpha, 1e-4, cell_sides=(1, 2)), []
    generalized = tgv_denoising(y, alpha, 1.5, 1e-2, cell_sides=(1, 2))
    counted = rof(y, alpha, 1e-4, cell_sides=(1, 2), callback=lambda: calls.append(0))
    monkeypatch.setattr(compiled, "is_available", lambda: False)
    expected = rof(y, alpha, 1e-4, cell_sides=(1, 2))
    assert_same(found[:6], expected[:6])
    assert_same(generalized[:6], tgv_denoising(y, alpha, 1.5, 1e-2, cell_sides=(1, 2))[:6])
    assert_same(counted[:6], expected[:6])
    assert len(calls) == expected.niter.max()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_projections_have_the_bits_of_numpy_and_are_close_to_torch(dtype):
    v = np.random.default_rng(0).standard_normal((3, 2, 40, 50)).astype(dtype)
    ball, given = PointwiseBall(0.7, 1e-6, -3), torch.from_numpy(v)
    with torch.no_grad():
        assert ball._is_plain(given)
        found = ball(given, 1.0).numpy()
    radius, largest = dtype(0.7), dtype(0.7 * (1 + 1e-6))
    size = np.sqrt(v[:, 0] * v[:, 0] + v[:, 1] * v[:, 1])[:, None]
    assert np.array_equal(found, radius / np.where(size > largest, size, radius) * v)
    plain = ball(given.requires_grad_(), 1.0).detach().numpy()
    # a root that is off by a unit, and the roundings of quotient and product, of both
    np.testing.assert_allclose(found, plain, rtol=4 * np.finfo(dtype).eps, atol=0)


def test_other_images_have_the_plain_form():
    assert sheets.can_sweep(np.zeros((1, 1, 4, 5)))
    for other in (np.zeros((1, 1, 4)), np.zeros((1, 1, 4, 5, 6)), np.zeros((0, 1, 4, 5)),
                  np.zeros((1, 1, 4, 5), np.float16), torch.zeros(1, 1, 4, 5)):  # fmt: skip
        assert not sheets.can_sweep(other)
    assert sheets.can_sweep(np.zeros((1, 1, 4, 5, 6)), (2, 3))
    assert not sheets.can_sweep(np.zeros((1, 1, 4, 5, 6, 2)), (2, 3))


def test_strips_share_rows():
    strips = Strips(2, (103, 400), 10, 16, 5)
    image = np.arange(2 * 103 * 400.0).reshape(2, 103, 400)
    parts = strips.cut(image)
    assert len(parts) == 6 and {len(part[0]) for part in parts} == {40 + 16, 30 + 32, 33 + 16}
    assert np.array_equal(strips.join(parts), image)
    for part, piece in zip(parts, strips.pieces, strict=True):
        part[:, : piece.top - piece.begin] = part[:, piece.bottom - piece.begin :] = -1
    strips.renew(parts)
    assert_same(parts, strips.cut(image))
    assert len(Strips(1, (40, 4000), 8, 16, 4).pieces) == 2  # halos fit into strips
    assert [p.samples for p in Strips(5, (100, 100), 8, 16, 2).pieces] == [slice(0, 2), slice(2, 5)]


def test_nothing_is_contracted_or_reordered():
    # (1 + e)^2 - (1 + 2 e) = e^2 if it is rounded once, and zero if the product is rounded, too
    @compiler.compiled
    def added(a, b):
        for i in range(len(a)):
            a[i] = a[i] * a[i] + b[i]

    a = np.full(64, 1 + 2.0**-30)
    added(a, np.full(64, -(1 + 2.0**-29)))
    assert (a == 0).all()

    @compiler.compiled
    def total(a):
        result = 0.0
        for number in a:
            result += number
        return result

    numbers = np.random.default_rng(0).standard_normal(1000)
    assert total(numbers) == np.cumsum(numbers)[-1]


def test_shares_are_dealt(threads):
    assert shares(5, 2**20) == ([(0, 5)] if threads == 1 else [(0, 1), (1, 3), (3, 5)])
    assert shares(2, 2**20) == ([(0, 2)] if threads == 1 else [(0, 1), (1, 2)])
    assert shares(5, 100) == [(0, 5)] and useful_threads(100) == 1


def test_threads_raise_and_are_entered_at_once(threads):
    seen, lock = [], threading.Lock()

    def note(number):
        with lock:
            seen.append(number)
        if number == 7:
            raise ValueError("seven")

    run_all(note, [])
    others = [threading.Thread(target=run_all, args=(note, [(100 * i + j,) for j in range(5)]))
              for i in range(1, 4)]  # fmt: skip
    for other in others:
        other.start()
    with pytest.raises(ValueError, match="seven"):
        run_all(note, [(number,) for number in range(20)])
    for other in others:
        other.join()
    assert {100 * i + j for i in range(1, 4) for j in range(5)} <= set(seen)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own(threads):
    run_all(lambda: None, [()] * 4)
    child = os.fork()
    if child == 0:  # what fails here must not run the rest of the tests once more
        seen = []
        try:
            run_all(seen.append, [(i,) for i in range(4)])
        finally:
            os._exit(0 if sorted(seen) == [0, 1, 2, 3] else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_folders_that_may_not_be_written_and_missing_compilers(monkeypatch):
    build = numba.njit

    def without_folder(cache=False, **options):  # what numba does where it finds none
        if cache:
            raise RuntimeError("cannot cache function")
        return build(**options)

    with monkeypatch.context() as m:
        m.setattr(numba, "njit", without_folder)
        assert compiler.compiled(lambda x: x + 1)(2) == 3
    assert compiler.is_available.__wrapped__()
    with monkeypatch.context() as m:
        m.setattr(numba.config, "DISABLE_JIT", True)
        assert not compiler.is_available.__wrapped__()
    monkeypatch.setitem(sys.modules, "numba", None)
    assert not compiler.is_available.__wrapped__()
