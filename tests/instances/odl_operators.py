"""Instances of the operators of ODL that the bridge knows, by name."""

import numpy as np
import odl
import scipy.sparse
from analytic_balls import flat_detector, ray_transform

from instances.spaces import GRAD, MATRIX, PAIR, RA, RW, XC, R, V, X, element, plane, square
from odl_learned import operators
from odl_learned.bridge import as_module, as_operator


def cone_beam():
    """A cone beam in space, whose projector is not asked."""
    space = odl.uniform_discr([-1, -1, -0.5], [1, 1, 0.5], (5, 5, 4), dtype="float32")
    return ray_transform(space, odl.applications.tomo.ConeBeamGeometry(
        odl.uniform_partition(0, 2 * np.pi, 8), flat_detector(2.5, 1.5, (7, 6)), 4.0, 2.0))


OPERATORS = {
    # expression nodes
    "composition": lambda: GRAD.adjoint @ GRAD,
    "sum": lambda: odl.IdentityOperator(X) + 2.0 * (GRAD.adjoint @ GRAD),
    "left scalar": lambda: -1.5 * GRAD,
    "right scalar": lambda: odl.OperatorRightScalarMult(GRAD, 0.3),
    "left vector": lambda: odl.OperatorLeftVectorMult(odl.IdentityOperator(X), element(X)),
    "right vector": lambda: odl.OperatorRightVectorMult(odl.MatrixOperator(MATRIX), element(R)),
    "broadcast power": lambda: odl.BroadcastOperator(GRAD, 2.0 * GRAD),
    "broadcast pair": lambda: odl.BroadcastOperator(odl.IdentityOperator(X), GRAD),
    "reduction": lambda: odl.ReductionOperator(odl.IdentityOperator(X), GRAD.adjoint),
    "diagonal": lambda: odl.DiagonalOperator(odl.MatrixOperator(MATRIX), odl.IdentityOperator(X)),
    "blocks": lambda: odl.ProductSpaceOperator(
        [[GRAD, -1.0 * odl.IdentityOperator(V)], [0, operators.SymmetrizedGradient(V)]]),
    "projection": lambda: odl.ComponentProjection(PAIR, 1),
    "projection to a power": lambda: odl.ComponentProjection(odl.ProductSpace(R, X, X), [1, 2]),
    "embedding": lambda: odl.ComponentProjection(PAIR, 0).adjoint,
    "embedding in a power": lambda: odl.ComponentProjection(X**3, 2).adjoint,
    # leaves
    "identity": lambda: odl.IdentityOperator(X),
    "scaling": lambda: odl.ScalingOperator(XC, 2.0),
    "zero": lambda: odl.ZeroOperator(X, R),
    "matrix": lambda: odl.MatrixOperator(MATRIX),
    "matrix weighted": lambda: odl.MatrixOperator(MATRIX, domain=RW),
    "matrix along an axis": lambda: odl.MatrixOperator(MATRIX, domain=odl.rn((2, 4, 3)), axis=1),
    "matrix complex": lambda: odl.MatrixOperator(MATRIX + 1j * MATRIX[::-1]),
    "partial derivative": lambda: odl.PartialDerivative(X, 1, method="central"),
    "gradient periodic": lambda: odl.Gradient(X, method="backward", pad_mode="periodic"),
    "gradient order1": lambda: odl.Gradient(X, method="forward", pad_mode="order1"),
    "divergence": lambda: odl.Divergence(V, method="backward", pad_mode="constant"),
    "Laplacian": lambda: odl.Laplacian(X, pad_mode="symmetric"),
    "ODL Fourier, halfcomplex": lambda: odl.trafos.FourierTransform(X),
    "ODL Fourier, one axis": lambda: odl.trafos.FourierTransform(XC, axes=[1], shift=False),
    "ODL Fourier, sign": lambda: odl.trafos.FourierTransform(XC, sign="+"),
    "ODL Fourier inverse": lambda: odl.trafos.FourierTransform(XC).inverse,
    "ODL Fourier inverse, halfcomplex": lambda: odl.trafos.FourierTransform(X).inverse,
    "resizing": lambda: odl.ResizingOperator(X, ran_shp=(8, 9)),
    "resizing, smaller": lambda: odl.ResizingOperator(X, ran_shp=(4, 5)),
    "filtered backprojection": lambda: operators.fbp(
        operators.parallel_ray_transform(square(dtype="float32"), 5)),
    "filtered backprojection, short scan": lambda: operators.fbp(operators.scanned_fan_beam(
        square(dtype="float32"), [0.3 * k for k in range(14)], 4.0, 6.0, 9, 0.6)),
    "filtered backprojection, moved aside": lambda: operators.fbp(operators.scanned_fan_beam(
        square(dtype="float32"), np.arange(9) * 2 * np.pi / 9, 4.0, 6.0, 9, 0.4, 2.5)),
    "filtered backprojection, cone beam": lambda: operators.fbp(cone_beam()),
    "resizing, symmetric": lambda: odl.ResizingOperator(
        X, ran_shp=(8, 9), offset=(1, 2), pad_mode="symmetric"),
    "resizing, periodic": lambda: odl.ResizingOperator(XC, ran_shp=(8, 6), pad_mode="periodic"),
    "resizing, order0": lambda: odl.ResizingOperator(X, ran_shp=(7, 10), pad_mode="order0"),
    "resizing, order1": lambda: odl.ResizingOperator(X, ran_shp=(8, 9), pad_mode="order1"),
    "resizing adjoint, zeros": lambda: odl.ResizingOperator(
        X, ran_shp=(4, 9), offset=(1, 1)).adjoint,
    "resizing adjoint": lambda: odl.ResizingOperator(X, ran_shp=(8, 9), pad_mode="order1").adjoint,
    "wavelet": lambda: odl.trafos.WaveletTransform(plane((12, 13)), "db2", nlevels=2),
    "wavelet, periodized": lambda: odl.trafos.WaveletTransform(
        plane((12, 12)), "db2", nlevels=2, pad_mode="pywt_periodic"),
    "wavelet, one axis": lambda: odl.trafos.WaveletTransform(
        plane((3, 29)), "sym4", nlevels=2, axes=[1]),
    "wavelet, complex": lambda: odl.trafos.WaveletTransform(XC, "haar", nlevels=2),
    "wavelet, float32": lambda: odl.trafos.WaveletTransform(
        plane((8, 9), "float32"), "db2", nlevels=1),
    "wavelet, symmetric": lambda: odl.trafos.WaveletTransform(
        plane((12, 13)), "db2", nlevels=2, pad_mode="symmetric"),
    "wavelet 3D": lambda: odl.trafos.WaveletTransform(
        odl.uniform_discr([0] * 3, [1, 2, 3], (4, 5, 6)), "haar", nlevels=2),
    "wavelet inverse": lambda: odl.trafos.WaveletTransform(
        plane((12, 13)), "db2", nlevels=2).inverse,
    "wavelet inverse, periodized": lambda: odl.trafos.WaveletTransform(
        plane((3, 20)), "coif1", nlevels=2, pad_mode="pywt_periodic", axes=[1]).inverse,
    "wavelet inverse, symmetric": lambda: odl.trafos.WaveletTransform(
        plane((12, 13)), "db2", nlevels=2, pad_mode="symmetric").inverse,
    "sampling": lambda: odl.SamplingOperator(X, [[0, 4, 0, 2], [1, 6, 1, 3]]),
    "sampling, integrated": lambda: odl.SamplingOperator(
        X, [[0, 4, 0, 2], [1, 6, 1, 3]], variant="integrate"),
    "sampling 1D": lambda: odl.SamplingOperator(R, [3, 0, 3]),
    "weighted sum sampling": lambda: odl.WeightedSumSamplingOperator(X, [[0, 4, 0], [1, 6, 1]]),
    "weighted sum sampling, Dirac": lambda: odl.WeightedSumSamplingOperator(
        X, [[0, 4, 0], [1, 6, 1]], variant="dirac"),
    "flattening": lambda: odl.FlatteningOperator(X),
    "flattening complex": lambda: odl.FlatteningOperator(XC),
    "flattening adjoint": lambda: odl.FlatteningOperator(X).adjoint,
    "pointwise inner": lambda: odl.PointwiseInner(V, element(V)),
    "pointwise inner complex": lambda: odl.PointwiseInner(XC**2, element(XC**2)),
    "pointwise inner, weights": lambda: odl.PointwiseInner(V, element(V), weighting=[2.0, 3.0]),
    "pointwise inner adjoint": lambda: odl.PointwiseInner(V, element(V)).adjoint,
    "pointwise inner adjoint complex": lambda: odl.PointwiseInner(XC**2, element(XC**2)).adjoint,
    "pointwise inner, weighted space": lambda: odl.PointwiseInner(
        odl.ProductSpace(X, 2, weighting=[1.0, 2.0]), element(V)),
    "pointwise sum": lambda: odl.PointwiseSum(V),
    "matrix sparse": lambda: odl.MatrixOperator(scipy.sparse.coo_matrix(np.round(MATRIX))),
    "matrix sparse complex": lambda: odl.MatrixOperator(
        scipy.sparse.coo_matrix(np.round(MATRIX) + 1j * np.round(MATRIX[::-1]))),
    "discrete Fourier": lambda: odl.trafos.DiscreteFourierTransform(XC),
    "discrete Fourier, halfcomplex": lambda: odl.trafos.DiscreteFourierTransform(
        plane((5, 6)), halfcomplex=True),
    "discrete Fourier, sign": lambda: odl.trafos.DiscreteFourierTransform(XC, sign="+", axes=[1]),
    "discrete Fourier inverse": lambda: odl.trafos.DiscreteFourierTransform(XC).inverse,
    "discrete Fourier inverse, halfcomplex": lambda: odl.trafos.DiscreteFourierTransform(
        plane((5, 6)), halfcomplex=True).inverse,
    "real part": lambda: odl.RealPart(XC),
    "imaginary part": lambda: odl.ImagPart(XC),
    "complex embedding": lambda: odl.ComplexEmbedding(X, 2.0),
    "complex embedding, any scalar": lambda: odl.ComplexEmbedding(X, 2.0 - 1.5j),
    "complex embedding of complex": lambda: odl.ComplexEmbedding(XC, 2.0 - 1.5j),
    "multiplication": lambda: odl.MultiplyOperator(element(XC)),
    "as_operator linear": lambda: as_operator(as_module(GRAD), X, V),
    # nonlinear
    "constant": lambda: odl.ConstantOperator(element(R), domain=X),
    "power": lambda: odl.PowerOperator(X, 3.0),
    "vector sum": lambda: odl.PowerOperator(X, 2.0) + element(X),
    "pointwise product": lambda: odl.OperatorPointwiseProduct(
        odl.PowerOperator(X, 2.0), odl.IdentityOperator(X)),
    "pointwise norm": lambda: odl.PointwiseNorm(V),
    "pointwise norm, p = 3": lambda: odl.PointwiseNorm(V, exponent=3),
    "complex modulus": lambda: odl.ComplexModulus(XC),
    "complex modulus squared": lambda: odl.ComplexModulusSquared(XC),
    "resizing, another constant": lambda: odl.ResizingOperator(
        X, ran_shp=(8, 9), pad_mode="constant", pad_const=2.0),
    "as_operator": lambda: as_operator(as_module(odl.PowerOperator(RA, 2.0)), RA, RA),
}
