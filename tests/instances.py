"""Small instances of every public class, by name: what the conformance suite runs on.

Shapes are not square unless they must be; spaces are real and complex, weighted and not.
"""

import numpy as np
import odl
import scipy.sparse
import torch

from odl_learned import functionals, networks, operators, reconstruction
from odl_learned.bridge import as_functional, as_module, as_operator

F = odl.functionals


def plane(shape=(5, 7), dtype="float64"):
    """A weighted space of images with cells that are not square."""
    return odl.uniform_discr([0, 0], [1, 2], shape, dtype=dtype)


def square(n=6, dtype="float64"):
    """A weighted space of square images centered at the origin."""
    return odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype=dtype)


def element(space, seed=1):
    """A random element."""
    return operators.random_element(space, np.random.default_rng(seed))


def mask(shape, seed=1):
    """A random mask with both values."""
    return np.random.default_rng(seed).random(shape) < 0.5


def line_mask(shape, seed=1):
    """A random mask of whole lines along axis 0."""
    return np.broadcast_to(mask((1, shape[1]), seed), shape)


def fan_beam():
    """A fan beam with angles that are not uniform and a detector that is off center."""
    return odl.applications.tomo.FanBeamGeometry(
        odl.nonuniform_partition([0.1, 0.3, 0.9, 1.4, 4.8]), odl.uniform_partition(-1.5, 2.5, 9),
        src_radius=5, det_radius=4)


def emission():
    """An attenuated and scaled ray transform."""
    ray = operators.parallel_ray_transform(square(dtype="float32"), 4)
    mu = ray.domain.element(np.random.default_rng(4).random(ray.domain.shape))
    return operators.emission_operator(ray, operators.attenuation_factors(ray, mu), 30.0)


def coils(space, range=None):
    """A multi-coil transform with three coils that are not normalized, and real weights."""
    rng = np.random.default_rng(2)
    maps = rng.standard_normal((2, 3, *space.shape))
    return operators.MultiCoilFourier(
        space, rng.random(space.shape), maps[0] + 1j * maps[1], range)


def fourier_normal(space, weights):
    """``A* A`` of a sampled Fourier transform to a space of another weight."""
    target = odl.cn(space.shape, dtype=space.dtype_identifier, weighting=3.0)
    op = operators.SampledFourier(space, weights, target)
    return op.adjoint @ op


X, XC, V = plane(), plane(dtype="complex128"), plane() ** 2
GRAD = operators.gradient(X)
R, RW, RA = odl.rn(4), odl.rn(4, weighting=2.5), odl.rn(4, weighting=[1.0, 2.0, 3.0, 4.0])
MATRIX = np.random.default_rng(0).standard_normal((3, 4))
PAIR = odl.ProductSpace(R, X)
KERNEL = np.random.default_rng(3).standard_normal((3, 5))
MATRICES = odl.ProductSpace(X**2, 3)



def blocks(space, size=2, weighting=None):
    """Images and parameters, with their projections."""
    factors = space, functionals.parameter_space(space, size)
    domain = (odl.ProductSpace(*factors) if weighting is None
              else odl.ProductSpace(*factors, weighting=weighting))
    return domain, odl.ComponentProjection(domain, 0), odl.ComponentProjection(domain, 1)


def parametric_energy(space):
    """``|u - y|^2 / 2 + exp(theta_0) TV_nu(u) + |theta_1 u|^2``."""
    domain, u, theta = blocks(space)
    alpha = functionals.Exponential(functionals.Coordinate(domain[1], 0)) @ theta
    scaled = operators.FunctionalMultiple(functionals.Coordinate(domain[1], 1) @ theta, u)
    return (functionals.l2_fidelity(element(space)) @ u
            + F.FunctionalProduct(alpha, functionals.SmoothedTV(space, 1, 0.1, 0.01) @ u)
            + F.L2NormSquared(space) @ scaled)


def filters(count, shape):
    """Random filters."""
    return np.random.default_rng(3).standard_normal((count, *shape))


def counts(space):
    """Counts, some of them zero."""
    return space.element(np.random.default_rng(4).poisson(1.5, space.shape))


OPERATORS = {
    # operators room
    "BlockProduct": lambda: operators.BlockProduct(odl.ProductSpace(R, RW)),
    "BlockProduct weighted": lambda: operators.BlockProduct(
        odl.ProductSpace(RA, RA, weighting=[0.5, 2.0]), range=odl.rn(4, weighting=3.0)),
    "BlockProduct complex": lambda: operators.BlockProduct(odl.ProductSpace(XC, XC)),
    "BlockInsertion": lambda: operators.BlockInsertion(blocks(X)[0], 1, odl.rn(2).one()),
    "BlockInsertion weighted": lambda: operators.BlockInsertion(
        blocks(X, weighting=[3.0, 2.0])[0], 0, element(X)),
    "BlockInsertion between": lambda: operators.BlockInsertion(
        odl.ProductSpace(X, R, RW, weighting=[3.0, 2.0, 0.5]), 1, element(R)),
    "BlockInsertion complex": lambda: operators.BlockInsertion(
        blocks(XC)[0], 1, odl.cn(2).one()),
    "BlockInsertion derivative": lambda: operators.BlockInsertion(
        blocks(X, weighting=[3.0, 2.0])[0], 1, odl.rn(2).one()).derivative(X.zero()),
    "BlockInsertion derivative's adjoint": lambda: operators.BlockInsertion(
        odl.ProductSpace(X, R, RW, weighting=[3.0, 2.0, 0.5]), 1, element(R)
    ).derivative(odl.ProductSpace(X, RW, weighting=[3.0, 0.5]).zero()).adjoint,
    "PointwiseExponential": lambda: operators.PointwiseExponential(X),
    "PointwiseExponential complex": lambda: operators.PointwiseExponential(XC),
    "FunctionalMultiple": lambda: operators.FunctionalMultiple(F.L2NormSquared(X), GRAD),
    "FunctionalMultiple complex": lambda: operators.FunctionalMultiple(
        F.L2NormSquared(XC), operators.gradient(XC)),
    "SampledFourier": lambda: operators.SampledFourier(XC, mask((5, 7))),
    "SampledFourier real weights, even": lambda: operators.SampledFourier(
        plane((4, 6), "complex128"), np.random.default_rng(0).random((4, 6))),
    "SampledFourier complex64": lambda: operators.SampledFourier(
        plane((4, 6), "complex64"), mask((4, 6))),
    "SampledFourier to another weight": lambda: operators.SampledFourier(
        plane((4, 5), "complex128"), mask((4, 5)), range=odl.cn((4, 5), weighting=3.0)),
    "SampledFourierAdjoint": lambda: operators.SampledFourier(XC, mask((5, 7))).adjoint,
    "MultiCoilFourier": lambda: coils(XC),
    "MultiCoilFourier even": lambda: coils(plane((4, 6), "complex128")),
    "MultiCoilFourier complex64": lambda: coils(plane((4, 6), "complex64")),
    "MultiCoilFourier to another weight": lambda: coils(
        plane((4, 5), "complex128"),
        odl.ProductSpace(odl.cn((4, 5), weighting=3.0), 3, weighting=0.5)),
    "MultiCoilFourier, few lines": lambda: operators.MultiCoilFourier(
        XC, np.arange(5)[:, None] % 4 == np.zeros(7), coils(XC).sensitivities),
    "MultiCoilFourierAdjoint": lambda: coils(XC).adjoint,
    "MultiCoilFourierAdjoint, few lines": lambda: operators.MultiCoilFourier(
        XC, np.arange(7) % 4 == np.zeros((5, 1)), coils(XC).sensitivities).adjoint,
    "MultiCoilFourierAdjoint even": lambda: coils(plane((4, 6), "complex128")).adjoint,
    "MultiCoilFourierAdjoint to another weight": lambda: coils(
        plane((4, 5), "complex128"),
        odl.ProductSpace(odl.cn((4, 5), weighting=3.0), 3, weighting=0.5)).adjoint,
    "MultiCoilFourier normal": lambda: coils(
        XC, odl.ProductSpace(odl.cn((5, 7), weighting=3.0), 3)).normal,
    "MultiCoilFourier normal, even": lambda: coils(plane((4, 6), "complex128")).normal,
    "SampledFourier normal": lambda: fourier_normal(plane((4, 5), "complex128"), mask((4, 5))),
    "SampledFourier normal, lines": lambda: fourier_normal(XC, line_mask((5, 7))),
    "ray transform": lambda: operators.parallel_ray_transform(square(dtype="float32"), 5),
    "back projection": lambda: operators.parallel_ray_transform(square(dtype="float32"), 5).adjoint,
    "ray transform, complex": lambda: odl.applications.tomo.RayTransform(
        square(dtype="complex64"), fan_beam(), impl="astra_cpu"),
    "ray transform, fan beam": lambda: odl.applications.tomo.RayTransform(
        square(dtype="float32"), fan_beam(), impl="astra_cpu"),
    "back projection, fan beam": lambda: odl.applications.tomo.RayTransform(
        square(dtype="float32"), fan_beam(), impl="astra_cpu").adjoint,
    "mask": lambda: operators.mask_operator(X, mask((5, 7))),
    "mask complex": lambda: operators.mask_operator(XC, mask((5, 7))),
    "gradient": lambda: GRAD,
    "gradient float32": lambda: operators.gradient(plane(dtype="float32")),
    "gradient complex": lambda: operators.gradient(XC),
    "gradient 3D": lambda: operators.gradient(odl.uniform_discr([0] * 3, [1, 2, 3], (3, 4, 5))),
    "gradient 1D": lambda: operators.gradient(odl.uniform_discr(0, 1, 5)),
    "gradient adjoint": lambda: GRAD.adjoint,
    "SymmetrizedGradient": lambda: operators.SymmetrizedGradient(V),
    "SymmetrizedGradient 3D": lambda: operators.SymmetrizedGradient(
        odl.uniform_discr([0] * 3, [1, 2, 3], (3, 4, 5)) ** 3),
    "SymmetrizedGradient complex": lambda: operators.SymmetrizedGradient(XC**2),
    "SymmetrizedGradientAdjoint": lambda: operators.SymmetrizedGradient(V).adjoint,
    "QuarterTurn": lambda: operators.QuarterTurn(square(), 1),
    "fan beam": lambda: operators.fan_beam_ray_transform(square(dtype="float32"), 5, 4.0, 2.0),
    "emission": lambda: emission(),
    "emission adjoint": lambda: emission().adjoint,
    "QuarterTurn complex": lambda: operators.QuarterTurn(square(5, "complex128"), 3),
    "Reflection": lambda: operators.Reflection(X, 1),
    "Reflection complex": lambda: operators.Reflection(XC, 0),
    "Translation": lambda: operators.Translation(X, [0.13, -0.3]),
    "Translation complex": lambda: operators.Translation(plane((4, 6), "complex128"), [0.13, -0.3]),
    "Translation float32": lambda: operators.Translation(plane((4, 6), "float32"), [0.13, -0.3]),
    "Translation by pixels": lambda: operators.Translation(X, [0.4, -2 / 7]),
    "Translation 3D": lambda: operators.Translation(
        odl.uniform_discr([0] * 3, [1, 2, 3], (3, 4, 2)), [0.1, 0.2, -1]),
    "Shear": lambda: operators.Shear(plane((6, 5)), 0, 0.3),
    "Shear complex": lambda: operators.Shear(plane((6, 5), "complex128"), 1, -0.3),
    "Rotation": lambda: operators.Rotation(square(), 2.0),
    "Rotation complex": lambda: operators.Rotation(square(5, "complex128"), -0.6),
    "Rotation by a quarter": lambda: operators.Rotation(square(), np.pi / 2),
    "RotoTranslation": lambda: operators.RotoTranslation(square(), 0.5, [0.1, 0.7]),
    "RotoTranslation complex": lambda: operators.RotoTranslation(
        square(5, "complex128"), 0.5, [0.1, 0.7]),
    "PeriodicConvolution": lambda: operators.PeriodicConvolution(X, KERNEL),
    "PeriodicConvolution, wide": lambda: operators.PeriodicConvolution(plane((4, 2)), KERNEL),
    "PeriodicConvolution float32": lambda: operators.PeriodicConvolution(
        plane((4, 6), "float32"), KERNEL),
    "PeriodicConvolution complex": lambda: operators.PeriodicConvolution(
        XC, KERNEL + 1j * KERNEL[::-1]),
    "PeriodicConvolution 1D": lambda: operators.PeriodicConvolution(
        odl.uniform_discr(0, 1, 6), KERNEL[0]),
    "ZeroConvolution": lambda: operators.ZeroConvolution(X, KERNEL),
    "ZeroConvolution complex": lambda: operators.ZeroConvolution(XC, KERNEL + 1j * KERNEL[::-1]),
    "ReflectingConvolution": lambda: operators.ReflectingConvolution(X, KERNEL),
    "ReflectingConvolution complex": lambda: operators.ReflectingConvolution(
        XC, KERNEL + 1j * KERNEL[::-1]),
    "ReflectingConvolution 3D": lambda: operators.ReflectingConvolution(
        odl.uniform_discr([0] * 3, [1, 2, 3], (3, 4, 2)), KERNEL[..., None]),
    "ReflectedExtension": lambda: operators.ReflectedExtension(X, (2, 1)),
    "ReflectedExtensionAdjoint": lambda: operators.ReflectedExtension(X, (2, 1)).adjoint,
    "OrthogonalWavelet": lambda: operators.OrthogonalWavelet(plane((4, 12)), "db2", 2),
    "OrthogonalWavelet complex": lambda: operators.OrthogonalWavelet(
        plane((4, 6), "complex128"), "sym4", 1),
    "OrthogonalWavelet float32": lambda: operators.OrthogonalWavelet(
        plane((8, 4), "float32"), "haar", 2),
    "OrthogonalWavelet 1D": lambda: operators.OrthogonalWavelet(
        odl.rn(24, weighting=2.5), "coif1", 3),
    "OrthogonalWavelet 3D": lambda: operators.OrthogonalWavelet(
        odl.uniform_discr([0] * 3, [1, 2, 3], (4, 2, 6)), "db3", 1),
    "OrthogonalWaveletAdjoint": lambda: operators.OrthogonalWavelet(
        plane((4, 12)), "db2", 2).adjoint,
    "FilterBank": lambda: operators.FilterBank(X, filters(2, (3, 4))),
    "FilterBank complex": lambda: operators.FilterBank(XC, filters(2, (2, 3))),
    "FilterBank float32": lambda: operators.FilterBank(
        plane(dtype="float32"), filters(1, (3, 3))),
    "FilterBank 1D": lambda: operators.FilterBank(RW, filters(3, (4,))),
    "FilterBank 3D": lambda: operators.FilterBank(
        odl.uniform_discr([0] * 3, [1, 2, 3], (3, 4, 2)), filters(2, (1, 4, 2))),
    "FilterBankAdjoint": lambda: operators.FilterBank(X, filters(3, (5, 2))).adjoint,
    "normalized": lambda: operators.normalized(operators.gradient(X)),
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

FUNCTIONALS = {
    # functionals room
    "Coordinate": lambda: functionals.Coordinate(RA, 2),
    "Coordinate complex": lambda: functionals.Coordinate(XC, (2, -1)),
    "Exponential": lambda: functionals.Exponential(functionals.Coordinate(RA, 2)),
    "Exponential complex": lambda: functionals.Exponential(F.L2Norm(XC)),
    "energy with parameters": lambda: parametric_energy(X),
    "energy with parameters, complex": lambda: parametric_energy(XC),
    "energy with fixed parameters": lambda: functionals.fix_block(
        parametric_energy(X), 1, odl.rn(2).element([-0.5, 0.3])),
    "SmoothedGroupL1": lambda: functionals.SmoothedGroupL1(V, 0.1),
    "SmoothedGroupL1 complex": lambda: functionals.SmoothedGroupL1(XC**2, 0.1),
    "SmoothedTV": lambda: functionals.SmoothedTV(X, 0.7, 0.1, 0.01),
    "SmoothedTV complex": lambda: functionals.SmoothedTV(XC, 0.7, 0.1, 0.01),
    "SmoothedTV 3D": lambda: functionals.SmoothedTV(
        odl.uniform_discr([0] * 3, [1, 2, 3], (3, 4, 2)), 0.7, 0.1, 0.01),
    "SmoothedGroupL1 of the gradient": lambda: 0.7 * functionals.SmoothedGroupL1(V, 0.1) @ GRAD,
    "TotalVariation": lambda: functionals.TotalVariation(X, accuracy=1e-12),
    "TotalVariation complex": lambda: functionals.TotalVariation(XC, accuracy=1e-12),
    "TotalVariation anisotropic, float32": lambda: functionals.TotalVariation(
        plane(dtype="float32"), 1, accuracy=1e-7),
    "TotalGeneralizedVariation": lambda: functionals.TotalGeneralizedVariation(
        plane((3, 2)), 0.1, accuracy=1e-12, maxiter=3000),
    "l2_fidelity": lambda: functionals.l2_fidelity(element(X)),
    "l2_fidelity complex": lambda: functionals.l2_fidelity(element(XC)),
    "BoxConstraint": lambda: functionals.BoxConstraint(X, -0.5, 1.0),
    "BoxSupport": lambda: functionals.BoxConstraint(X, -0.5, 1.0).convex_conj,
    "MagnitudeBound": lambda: functionals.MagnitudeBound(XC, 0.8),
    "MagnitudeSupport": lambda: functionals.MagnitudeBound(X, 0.8).convex_conj,
    "WaveletL1": lambda: functionals.WaveletL1(plane((4, 12)), "db2", 2),
    "WaveletL1 complex": lambda: functionals.WaveletL1(plane((4, 6), "complex128"), "haar", 1),
    "WaveletL1 float32": lambda: functionals.WaveletL1(plane((4, 8), "float32"), "db2", 2),
    "WaveletDetailL1": lambda: functionals.WaveletDetailL1(plane((4, 12)), "db2", 2),
    "WaveletDetailL1 complex": lambda: functionals.WaveletDetailL1(
        plane((4, 6), "complex128"), "db2", 1),
    "WaveletBound": lambda: functionals.WaveletL1(plane((4, 12)), "db2", 2).convex_conj,
    "WaveletBound of details": lambda: functionals.WaveletDetailL1(
        plane((4, 12)), "db2", 2).convex_conj,
    "KullbackLeiblerFidelity": lambda: functionals.KullbackLeiblerFidelity(counts(X)),
    "KullbackLeiblerFidelity, background": lambda: functionals.KullbackLeiblerFidelity(
        counts(X), 0.3 * X.one()),
    "KullbackLeiblerFidelity float32": lambda: functionals.KullbackLeiblerFidelity(
        counts(plane(dtype="float32")), 0.5 * plane(dtype="float32").one()),
    "KullbackLeiblerConjugate": lambda: functionals.KullbackLeiblerFidelity(
        counts(X)).convex_conj,
    "KullbackLeiblerConjugate, background": lambda: functionals.KullbackLeiblerFidelity(
        counts(RW), 0.3 * RW.one()).convex_conj,
    "FieldsOfExperts": lambda: functionals.FieldsOfExperts(X, filters(2, (3, 2)), [0.5, 2.0], 0.1),
    "FieldsOfExperts complex": lambda: functionals.FieldsOfExperts(
        XC, filters(2, (2, 3)), [0.5, 0.0], 0.1),
    "FieldsOfExperts float32": lambda: functionals.FieldsOfExperts(
        plane(dtype="float32"), filters(3, (3, 3)), [0.5, 1.0, 2.0], 0.5),
    "H1Seminorm": lambda: functionals.H1Seminorm(X),
    "H1Seminorm complex": lambda: functionals.H1Seminorm(XC),
    "H1Seminorm float32, 3D": lambda: functionals.H1Seminorm(
        odl.uniform_discr([0] * 3, [1, 2, 3], (3, 4, 2), dtype="float32")),
    "H1SeminormConjugate": lambda: functionals.H1Seminorm(X).convex_conj,
    "H1SeminormConjugate complex": lambda: functionals.H1Seminorm(XC).convex_conj,
    "weighted_l1": lambda: functionals.weighted_l1(V, [0.5, 2.0]),
    "weighted_l1 complex, one weight zero": lambda: functionals.weighted_l1(
        XC**3, [0.5, 0.0, 1.0]),
    "weighted_l1 conjugate": lambda: functionals.weighted_l1(V, [0.5, 2.0]).convex_conj,
    "nonsmooth field of experts": lambda: functionals.weighted_l1(X**2, [0.5, 2.0])
    @ operators.FilterBank(X, filters(2, (3, 2))),
    # expression nodes
    "sum": lambda: F.L2NormSquared(X) + F.L1Norm(X),
    "left scalar": lambda: 0.3 * F.L2NormSquared(X),
    "right scalar": lambda: F.L1Norm(X) * 2.0,
    "composition": lambda: F.Huber(V, 0.1) @ GRAD,
    "translation": lambda: F.L1Norm(XC).translated(element(XC)),
    "separable sum": lambda: F.SeparableSum(3.0 * F.L1Norm(R), 0.5 * F.L2NormSquared(X)),
    "separable sum, power": lambda: F.SeparableSum(F.L1Norm(X), 2.0 * F.L1Norm(X)),
    "quadratic perturbation": lambda: F.FunctionalQuadraticPerturb(
        F.L1Norm(X), 0.4, element(X), 1.5),
    "Bregman distance": lambda: F.L2NormSquared(X).bregman(
        element(X), F.L2NormSquared(X).gradient(element(X))),
    "energy": lambda: (functionals.l2_fidelity(element(V)) @ GRAD
                       + functionals.SmoothedTV(X, 0.7, 0.1, 0.01)),
    # leaves
    "L2NormSquared": lambda: F.L2NormSquared(X),
    "L2NormSquared complex": lambda: F.L2NormSquared(XC),
    "L2NormSquared array weights": lambda: F.L2NormSquared(RA),
    "L2NormSquared float32": lambda: F.L2NormSquared(plane(dtype="float32")),
    "L2Norm": lambda: F.L2Norm(X),
    "L1Norm": lambda: F.L1Norm(X),
    "L1Norm array weights": lambda: F.L1Norm(RA),
    "GroupL1Norm": lambda: F.GroupL1Norm(V),
    "GroupL1Norm complex": lambda: F.GroupL1Norm(XC**2),
    "GroupL1Norm anisotropic": lambda: F.GroupL1Norm(V, exponent=1),
    "Huber": lambda: F.Huber(X, 0.3),
    "KullbackLeibler": lambda: F.KullbackLeibler(X, prior=X.one()),
    "IndicatorBox": lambda: F.IndicatorBox(X, -0.5, 1.0),
    "ZeroFunctional": lambda: F.ZeroFunctional(X),
    "QuadraticForm": lambda: F.QuadraticForm(operator=GRAD.adjoint @ GRAD, vector=element(X)),
    "L2Norm complex": lambda: F.L2Norm(XC),
    "LpNorm, p = 1.5": lambda: F.LpNorm(X, 1.5),
    "LpNorm, p = inf": lambda: F.LpNorm(X, np.inf),
    "Huber, vectors": lambda: F.Huber(V, 0.3),
    "KullbackLeibler conjugate": lambda: F.KullbackLeibler(X, prior=X.one()).convex_conj,
    "cross entropy": lambda: F.KullbackLeiblerCrossEntropy(X, prior=2 * X.one()),
    "cross entropy conjugate": lambda: F.KullbackLeiblerCrossEntropy(X).convex_conj,
    "IndicatorNonnegativity": lambda: F.IndicatorNonnegativity(X),
    "IndicatorZero": lambda: F.IndicatorZero(X, 1.5),
    "IndicatorSimplex": lambda: F.IndicatorSimplex(R, 2.0),
    "IndicatorSumConstraint": lambda: F.IndicatorSumConstraint(X, 2.0),
    "IndicatorLpUnitBall, p = 1": lambda: F.IndicatorLpUnitBall(X, 1),
    "IndicatorLpUnitBall, p = 2": lambda: F.IndicatorLpUnitBall(X, 2),
    "IndicatorLpUnitBall, p = inf": lambda: F.IndicatorLpUnitBall(X, np.inf),
    "IndicatorGroupL1UnitBall": lambda: F.IndicatorGroupL1UnitBall(V),
    "NuclearNorm": lambda: F.NuclearNorm(MATRICES),
    "NuclearNorm, p = 1": lambda: F.NuclearNorm(MATRICES, singular_vector_exp=1),
    "IndicatorNuclearNormUnitBall": lambda: F.IndicatorNuclearNormUnitBall(
        MATRICES, np.inf, 2),
    "right vector": lambda: F.L2NormSquared(X) * element(X),
    "scalar sum": lambda: F.L2NormSquared(X) + 2.5,
    "product": lambda: F.FunctionalProduct(F.L2NormSquared(X), F.Huber(X, 0.3)),
    "quotient": lambda: F.FunctionalQuotient(F.L2NormSquared(X), F.L2NormSquared(X) + 1.0),
    "as_functional": lambda: as_functional(as_module(F.L2NormSquared(RA)), RA),
}


def unrolled(step):
    """A learned proximal gradient for a mask, from one step module."""
    forward_op = operators.mask_operator(X, mask((5, 7)))
    return reconstruction.LearnedProximalGradient(
        as_module(forward_op), as_module(forward_op.adjoint), [step, step])


def net(in_channels, out_channels):
    """A small network in double precision."""
    torch.manual_seed(0)
    return networks.ResidualCNN(in_channels, out_channels, width=4, depth=3).double()


IMAGE = torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

MODULES = {
    "CNN": lambda: (networks.CNN(2, 2, width=4, depth=2).double(), IMAGE.expand(2, 5, 7)),
    "ResidualCNN": lambda: (net(2, 2), IMAGE.expand(2, 5, 7)),
    "OnImages": lambda: (networks.OnImages(net(1, 1)), IMAGE),
    "OnImages complex": lambda: (networks.OnImages(net(2, 2)), torch.complex(IMAGE, IMAGE)),
    "GradientStep": lambda: (
        unrolled(reconstruction.GradientStep(networks.OnImages(net(1, 1)), 0.5)), IMAGE),
    "LearnedStepSize": lambda: (
        unrolled(reconstruction.GradientStep(
            torch.nn.Identity(), reconstruction.LearnedStepSize(0.5))).double(), IMAGE),
    "MemoryStep": lambda: (
        unrolled(reconstruction.MemoryStep(net(3, 2), memory_channels=1, step_size=0.5)), IMAGE),
}
