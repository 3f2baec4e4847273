"""Modules of finite differences, resizing and wavelets against ODL, with every padding."""

import itertools

import numpy as np
import odl
import pytest
import pywt
import torch
from bridge_comparison import compare
from instances.spaces import XC, X, element, plane
from odl.core.discr.diff_ops import _SUPPORTED_PAD_MODES

from odl_learned.bridge import as_module
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.conformance.sampling import flat
from odl_learned.conformance.tensors import as_tensor, entries
from odl_learned.operators import random_element


@pytest.mark.parametrize("pad_mode", _SUPPORTED_PAD_MODES)
def test_finite_differences_with_every_method_and_padding(pad_mode):
    X = plane((8, 9))  # order 2 reaches three entries from either side
    V, rng = X**2, np.random.default_rng(0)
    x, v = random_element(X, rng), random_element(V, rng)
    for method in ("forward", "backward", "central"):
        ops = [odl.Gradient(X, method=method, pad_mode=pad_mode),
               odl.Divergence(V, method=method, pad_mode=pad_mode),
               odl.PartialDerivative(X, 1, method=method, pad_mode=pad_mode)]
        if method == "forward" and pad_mode in LAPLACIAN_PADDINGS:
            ops.append(odl.Laplacian(X, pad_mode=pad_mode))
        for op in ops:
            compare(op, v if op.domain == V else x, 1e-11)
            y = random_element(op.range, rng)
            layout = layout_of(op.range)
            _, transpose = torch.func.vjp(as_module(op), as_tensor(op, op.domain.zero()))
            got = layout_of(op.domain).unweigh(transpose(layout.weigh(layout.to_tensor(y)))[0])
            expected = flat(op.adjoint(y))
            scale = np.abs(expected).max()
            np.testing.assert_allclose(entries(got), expected, rtol=0, atol=1e-12 * scale)


LAPLACIAN_PADDINGS = [mode for mode in _SUPPORTED_PAD_MODES if "order1" not in mode
                      and "order2" not in mode]


def test_finite_differences_with_a_constant_outside():
    x = element(X)
    for method in ("forward", "backward", "central"):
        compare(odl.Gradient(X, method=method, pad_mode="constant", pad_const=2.0), x, 1e-11)


@pytest.mark.parametrize("pad_mode", ["constant", "symmetric", "periodic", "order0", "order1"])
def test_resizing_with_every_padding(pad_mode):
    for shape, offset in (((8, 9), (1, 2)), ((8, 6), (3, 1)), ((3, 7), (2, 0)), ((5, 8), (0, 1))):
        for space in (X, XC):
            op = odl.ResizingOperator(space, ran_shp=shape, offset=offset, pad_mode=pad_mode)
            compare(op, element(space))
            compare(op.adjoint, element(op.range))


WAVELET_PADDINGS = ["constant", "pywt_periodic", "periodic", "symmetric", "order0", "order1",
                    "reflect", "antireflect", "antisymmetric"]


@pytest.mark.parametrize("pad_mode", WAVELET_PADDINGS)
def test_wavelets_with_every_padding(pad_mode):
    for wavelet in ("haar", "db3", "bior2.2"):
        for shape, axes in (((20, 27), None), ((27, 20), [1]), ((20, 20), [1, 0])):
            op = odl.trafos.WaveletTransform(
                plane(shape), wavelet, nlevels=2, pad_mode=pad_mode, axes=axes)
            compare(op, element(op.domain))
            compare(op.inverse, element(op.range))


def test_an_orthogonal_wavelet_transform_is_an_isometry():
    for wavelet, pad_mode, n in itertools.product(("db2", "sym4"), ("constant", "pywt_periodic"),
                                                  (32,)):
        space = odl.uniform_discr(0, 1, n)
        levels = pywt.dwt_max_level(n, pywt.Wavelet(wavelet).dec_len)
        op = odl.trafos.WaveletTransform(space, wavelet, nlevels=levels, pad_mode=pad_mode)
        matrix = torch.func.jacrev(as_module(op))(torch.zeros(n, dtype=torch.float64))
        np.testing.assert_allclose(matrix.mT @ matrix, np.eye(n), atol=1e-10)


def test_wavelets_without_levels():
    op = odl.trafos.WaveletTransform(X, "haar", nlevels=0)
    compare(op, element(X))
    compare(op.inverse, element(op.range))
