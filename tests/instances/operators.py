"""Instances of the operators of the package, by name."""

import numpy as np
import odl

from instances.spaces import (
    GRAD,
    RA,
    RW,
    XC,
    F,
    R,
    V,
    X,
    blocks,
    box,
    element,
    filters,
    mask,
    plane,
    square,
)
from odl_learned import operators, reconstruction
from odl_learned.operators.tomography.cone.implementation import JosephImpl

KERNEL = np.random.default_rng(3).standard_normal((3, 5))


def line_mask(shape, seed=1):
    """A random mask of whole lines along axis 0."""
    return np.broadcast_to(mask((1, shape[1]), seed), shape)


def fan_beam():
    """A fan beam with angles that are not uniform and a detector that is off center."""
    return odl.applications.tomo.FanBeamGeometry(
        odl.nonuniform_partition([0.1, 0.3, 0.9, 1.4, 4.8]), odl.uniform_partition(-1.5, 2.5, 9),
        src_radius=5, det_radius=4)


def cone_beam(dtype):
    """A helix with voxels that are no cubes, and a detector that is off center."""
    geometry = odl.applications.tomo.ConeBeamGeometry(
        odl.uniform_partition(0, 8, 4), odl.uniform_partition([-2, -1], [3, 2], (4, 3)),
        src_radius=4, det_radius=2, pitch=0.5)
    return odl.applications.tomo.RayTransform(
        odl.uniform_discr([-1] * 3, [1, 1.5, 1], (3, 4, 2), dtype=dtype), geometry, impl=JosephImpl)


def symmetrized():
    """The mean of a ray transform over quarter turns."""
    return operators.SymmetrizedRayTransform(
        operators.parallel_ray_transform(square(dtype="float32"), 4))


def volume(dtype="float32"):
    """Volumes of square slices that are flat, off the origin along the axis."""
    return odl.uniform_discr([-1, -1, -0.5], [1, 1, 0.7], (4, 4, 3), dtype=dtype)


def bands():
    """Bands around noisy images."""
    rng = np.random.default_rng(6)
    truths = [element(X, seed) for seed in range(4)]
    noisy = [x + X.element(0.1 * rng.standard_normal(X.shape)) for x in truths]
    identity = odl.IdentityOperator(X)
    return reconstruction.conformal_bands(
        identity, identity, truths, noisy, range(4), coverage=0.7,
        width=reconstruction.edge_width(X, 0.1))


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


def whitening(space, radius=1, border=False):
    """A random sparse triangular operator, with a masked border on request."""
    rng = np.random.default_rng(6)
    power = isinstance(space, odl.ProductSpace)
    shape, channels = (space[0].shape, len(space)) if power else (space.shape, 1)
    hood = operators.triangular.Neighborhood(radius, channels)
    inside = np.zeros(shape, bool)
    inside[1:, 1:-1] = True
    return operators.Whitening(
        space, 0.5 * rng.standard_normal(space.shape), 0.4 * rng.standard_normal(
            (len(hood), *shape)), radius, inside if border else None)


OPERATORS = {
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
    "RootSumOfSquares": lambda: operators.RootSumOfSquares(XC**3),
    "RootSumOfSquares smoothed": lambda: operators.RootSumOfSquares(XC**3, 0.5),
    "RootSumOfSquares real": lambda: operators.RootSumOfSquares(X**2, 0.1),
    "RootSumOfSquares weighted": lambda: operators.RootSumOfSquares(
        odl.ProductSpace(XC, 3, weighting=[0.5, 2.0, 1.0])),
    "RootSumOfSquares one image": lambda: operators.RootSumOfSquares(XC**1, 0.2),
    "root sum of squares of data": lambda: operators.root_sum_of_squares(coils(XC), 0.3),
    "root sum of squares of weighted data": lambda: operators.root_sum_of_squares(coils(
        plane((4, 5), "complex128"),
        odl.ProductSpace(odl.cn((4, 5), weighting=3.0), 3, weighting=0.5))),
    "SampledFourier": lambda: operators.SampledFourier(XC, mask((5, 7))),
    "SampledFourier real weights, even": lambda: operators.SampledFourier(
        plane((4, 6), "complex128"), np.random.default_rng(0).random((4, 6))),
    "SampledFourier complex64": lambda: operators.SampledFourier(
        plane((4, 6), "complex64"), mask((4, 6))),
    "SampledFourier to another weight": lambda: operators.SampledFourier(
        plane((4, 5), "complex128"), mask((4, 5)), range=odl.cn((4, 5), weighting=3.0)),
    "real parts": lambda: operators.real_parts(XC),
    "real parts of several": lambda: operators.real_parts(odl.ProductSpace(XC, XC**2)),
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
    "ray transform, slices": lambda: operators.parallel_ray_transform(volume(), 5),
    "back projection, slices": lambda: operators.parallel_ray_transform(volume(), 5).adjoint,
    "SymmetrizedRayTransform, slices": lambda: operators.SymmetrizedRayTransform(
        operators.parallel_ray_transform(volume(), 4)),
    "SinogramTurn, slices": lambda: operators.SinogramTurn(
        operators.parallel_ray_transform(volume(), 4), 1),
    "QuarterTurn 3D": lambda: operators.QuarterTurn(volume("float64"), 1),
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
    "cone beam": lambda: cone_beam("float64"),
    "cone beam, complex": lambda: cone_beam("complex64"),
    "cone beam adjoint": lambda: cone_beam("float32").adjoint,
    "SymmetrizedRayTransform": lambda: symmetrized(),
    "SymmetrizedRayTransform, fan beam": lambda: operators.SymmetrizedRayTransform(
        operators.fan_beam_ray_transform(square(dtype="float32"), 8, 4.0, 2.0)),
    "SymmetrizedRayTransformAdjoint": lambda: symmetrized().adjoint,
    "SinogramTurn": lambda: operators.SinogramTurn(symmetrized().forward_op, 1),
    "SinogramTurn, fan beam": lambda: operators.SinogramTurn(
        operators.fan_beam_ray_transform(square(dtype="float32"), 8, 4.0, 2.0), 3),
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
    "conformal bands": lambda: bands(),
    "Whitening": lambda: whitening(X),
    "Whitening complex": lambda: whitening(XC, 2),
    "Whitening with a border, float32": lambda: whitening(plane(dtype="float32"), 1, True),
    "Whitening of channels": lambda: whitening(X**2),
    "Whitening of complex channels with weights, a border": lambda: whitening(
        odl.ProductSpace(XC, XC, weighting=[0.5, 2.0]), 1, True),
    "WhiteningAdjoint": lambda: whitening(XC, 1, True).adjoint,
    "Unwhitening": lambda: whitening(XC, 1, True).inverse,
    "UnwhiteningAdjoint": lambda: whitening(XC).inverse.adjoint,
    "PrecisionOperator": lambda: operators.PrecisionOperator(
        whitening(XC, 1, True)),
    "CovarianceOperator": lambda: operators.PrecisionOperator(whitening(XC, 1, True)).inverse,
    "normalized": lambda: operators.normalized(operators.gradient(X)),
    # volumes
    "SampledFourier 3D": lambda: operators.SampledFourier(
        box(dtype="complex128"), mask((3, 4, 2))),
    "SampledFourierAdjoint 3D": lambda: operators.SampledFourier(
        box(dtype="complex128"), mask((3, 1, 2)) * np.ones((3, 4, 2))).adjoint,
    "SampledFourier normal, 3D": lambda: fourier_normal(
        box(dtype="complex128"), mask((3, 4, 1)) * np.ones((3, 4, 2))),
    "MultiCoilFourier 3D": lambda: coils(box(dtype="complex128")),
    "MultiCoilFourierAdjoint 3D, lines": lambda: operators.MultiCoilFourier(
        box(dtype="complex128"), mask((3, 1, 2)) * np.ones((3, 4, 2)),
        coils(box(dtype="complex128")).sensitivities).adjoint,
    "MultiCoilFourier normal, 3D": lambda: coils(box(dtype="complex128")).normal,
    "RootSumOfSquares 3D": lambda: operators.RootSumOfSquares(box(dtype="complex128") ** 2, 0.1),
    "Reflection 3D": lambda: operators.Reflection(box(), 2),
    "PeriodicConvolution 3D": lambda: operators.PeriodicConvolution(
        box(), KERNEL[:, :3, None] * [1, 0.5, -1]),
    "ZeroConvolution 3D": lambda: operators.ZeroConvolution(
        box(), KERNEL[:, :3, None] * [1, 0.5, 2]),
    "ReflectedExtension 3D": lambda: operators.ReflectedExtension(box(), (1, 2, 0)),
    "mask 3D": lambda: operators.mask_operator(box(), mask((3, 4, 2))),
}
