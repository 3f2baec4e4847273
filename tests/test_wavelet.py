"""Orthogonal wavelets: PyWavelets' coefficients, unitary, thresholding in closed form."""

import math

import numpy as np
import odl
import pytest
import pywt
import torch

from odl_learned import functionals, operators
from odl_learned.bridge import as_module, as_proximal_module
from odl_learned.bridge.rules.orthogonal_wavelet import CoefficientClipping, CoefficientShrinkage

# PyWavelets warns of boundary effects, which are not there when the image is periodized.
pytestmark = pytest.mark.filterwarnings("ignore:Level value of 2 is too high")

X = odl.uniform_discr([0, 0], [1, 2], (8, 12))
XC = odl.uniform_discr([0, 0], [1, 2], (8, 12), dtype="complex128")
SPACES = {
    "1D": odl.rn(24, weighting=0.3),
    "2D": X,
    "2D complex": XC,
    "3D": odl.uniform_discr([0] * 3, [1, 2, 3], (4, 8, 12)),
}


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("wavelet", ["haar", "db4", "sym5", "coif2"])
def test_coefficients_are_those_of_pywavelets(name, wavelet, rng):
    space = SPACES[name]
    u = operators.random_element(space, rng)
    W = operators.OrthogonalWavelet(space, wavelet, 2)
    bands = pywt.wavedecn(u.data, wavelet, "periodization", level=2)
    expected, slices = pywt.coeffs_to_array(bands)
    np.testing.assert_allclose(W(u).data, expected, atol=1e-13)
    assert W.coarse == slices[0]


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("wavelet", ["haar", "db8", "sym4", "coif5"])
def test_the_adjoint_is_the_inverse(space, wavelet, rng):
    W = operators.OrthogonalWavelet(space, pywt.Wavelet(wavelet), 2)
    u, c = (operators.random_element(s, rng) for s in (W.domain, W.range))
    # Two levels along at most three axes, where a row of W W* - 1 has few entries, plus rounding.
    size, tolerance = u.norm(), 20 * W.defect + 1e-13
    assert (W.adjoint(W(u)) - u).norm() <= tolerance * size
    assert (W.inverse(W(u)) - u).norm() <= tolerance * size
    assert abs(W(u).norm() - size) <= tolerance * size
    assert abs(W(u).inner(c) - u.inner(W.adjoint(c))) <= 1e-13 * size * c.norm()
    assert W.inverse.inverse is W
    assert W.range.weighting == odl.tensor_space(W.range.shape, weighting=W.domain.weighting.const,
                                                 dtype=W.range.dtype_identifier).weighting


def test_constants_are_coarse():
    W = operators.OrthogonalWavelet(X, "db3", 2)
    c = W(X.one()).data
    np.testing.assert_allclose(c[W.coarse], 4, rtol=1e-10)
    c[W.coarse] = 0
    assert np.abs(c).max() < 1e-10


def test_inputs_stay_as_they_are(rng):
    W = operators.OrthogonalWavelet(X, "db2", 1)
    u = operators.random_element(X, rng)
    before = u.copy()
    W.adjoint(W(u))
    functionals.WaveletL1(X, "db2", 1).proximal(0.3)(u)
    assert (u - before).norm() == 0


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ((X, "db4", 3), ValueError, r"shape \(8, 12\), expected multiples of 8"),
    ((X, "bior2.2", 1), ValueError, "not orthogonal.*haar"),
    ((X, "dmey", 1), ValueError, "misses orthogonality by .*db4"),
    ((X, "db99", 1), ValueError, "'db99', expected the name of a discrete wavelet"),
    ((X, 4, 1), TypeError, "wavelet is 4, expected a name"),
    ((X, "haar", 0), ValueError, "nlevels is 0"),
    ((X**2, "haar", 1), TypeError, "with a constant weight"),
    ((odl.rn(4, weighting=[1, 2, 3, 4]), "haar", 1), TypeError, "expected a constant weight"),
])
def test_errors(arguments, error, message):
    with pytest.raises(error, match=message):
        operators.OrthogonalWavelet(*arguments)
    with pytest.raises(error, match=message):
        functionals.WaveletL1(*arguments)


def test_value_is_the_weighted_sum_of_coefficients(rng):
    u = operators.random_element(XC, rng)
    array, slices = pywt.coeffs_to_array(pywt.wavedecn(u.data, "db2", "periodization", level=2))
    weight = XC.cell_volume
    everything = functionals.WaveletL1(XC, "db2", 2)(u)
    assert everything == pytest.approx(weight * np.abs(array).sum(), rel=1e-13)
    array[slices[0]] = 0
    details = functionals.WaveletDetailL1(XC, "db2", 2)(u)
    assert details == pytest.approx(weight * np.abs(array).sum(), rel=1e-13)


def test_halving_the_cells_halves_the_value(rng):
    u = operators.random_element(X, rng)
    fine = odl.uniform_discr([0, 0], [1, 2], (16, 24))
    same = fine.element(np.kron(u.data, np.ones((2, 2))))
    expected = functionals.WaveletL1(X, "haar", 2)(u) / 2
    assert functionals.WaveletL1(fine, "haar", 3)(same) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("space", [X, XC], ids=["real", "complex"])
def test_proximal_thresholds_coefficients(space, rng):
    x = operators.random_element(space, rng)
    bands = pywt.wavedecn(x.data, "db2", "periodization", level=2)
    soft = [pywt.threshold(bands[0], 0.4)]
    soft += [{key: pywt.threshold(band, 0.4) for key, band in level.items()} for level in bands[1:]]
    expected = pywt.waverecn(soft, "db2", "periodization")
    prox = functionals.WaveletL1(space, "db2", 2).proximal(0.4)
    np.testing.assert_allclose(prox(x).data, expected, atol=1e-12)
    soft[0] = bands[0]
    expected = pywt.waverecn(soft, "db2", "periodization")
    prox = functionals.WaveletDetailL1(space, "db2", 2).proximal(0.4)
    np.testing.assert_allclose(prox(x).data, expected, atol=1e-12)


@pytest.mark.parametrize("kind", [functionals.WaveletL1, functionals.WaveletDetailL1])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_conjugate_is_finite_on_its_projections_only(kind, dtype, rng):
    space = odl.uniform_discr([0, 0], [1, 2], (16, 32), dtype=dtype)
    f = kind(space, "db4", 3)
    dual = f.convex_conj
    p = dual.proximal(0.7)(operators.random_element(space, rng) * 5)
    assert dual(p) == 0
    assert dual(1.01 * p) == math.inf
    assert dual.convex_conj is f
    assert dual.slack < (1e-9 if dtype == "float64" else 1e-4)


def test_detail_conjugate_forbids_coarse_parts():
    assert functionals.WaveletL1(X, "haar", 1).convex_conj(0.4 * X.one()) == 0
    assert functionals.WaveletDetailL1(X, "haar", 1).convex_conj(1e-6 * X.one()) == math.inf


def test_fista_solves_inpainting(rng):
    """``0 in A* (A u - y) + alpha W* sign(W u)``, read off in the coefficients."""
    mask = rng.random(X.shape) < 0.6
    A = operators.mask_operator(X, mask)
    y = A(operators.random_element(X, rng))
    alpha = 0.3
    R = functionals.WaveletL1(X, "db2", 2)
    u = X.zero()
    fidelity = functionals.l2_fidelity(y) @ A
    odl.solvers.accelerated_proximal_gradient(u, alpha * R, fidelity, gamma=0.99, niter=600)
    slope = -R.transform(fidelity.gradient(u)).data / alpha
    c = R.transform(u).data
    active = np.abs(c) > 1e-6
    assert 5 < active.sum() < active.size
    assert np.abs(slope).max() <= 1 + 1e-6
    np.testing.assert_allclose(slope[active], np.sign(c[active]), atol=1e-5)


def test_proximals_are_native_and_differentiable(rng):
    f = functionals.WaveletDetailL1(X, "db2", 2)
    prox, dual = as_proximal_module(f), as_proximal_module(f.convex_conj)
    assert isinstance(prox.native, CoefficientShrinkage)
    assert type(dual.native) is CoefficientClipping
    x = torch.tensor(operators.random_element(X, rng).data, requires_grad=True)
    sigma = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(prox, (x, sigma))
    np.testing.assert_allclose((x - 0.3 * dual(x / 0.3, 1 / 0.3)).detach(),
                               prox(x, 0.3).detach(), atol=1e-12)


def test_module_of_a_large_batch(rng):
    W = operators.OrthogonalWavelet(X, "sym4", 2)
    x = torch.from_numpy(rng.standard_normal((2, 3, *X.shape)))
    result = as_module(W.adjoint)(as_module(W)(x))
    np.testing.assert_allclose(result, x, atol=1e-10)
