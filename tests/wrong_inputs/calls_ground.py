"""Valid calls of the rooms without torch: data, operators, functionals, metrics, plotting."""

from pathlib import Path

import numpy as np
import odl
import pytest
from instances.functionals import counts
from instances.spaces import GRAD, RA, XC, R, V, X, blocks, element, filters, mask, plane, square

from odl_learned import data, functionals, learning, metrics, operators, plotting

h5py = pytest.importorskip("h5py")
PIL = pytest.importorskip("PIL.Image")
dicom_files = pytest.importorskip("dicom_files", exc_type=ImportError)  # which needs pydicom
fastmri_files = pytest.importorskip("fastmri_files", exc_type=ImportError)  # which needs h5py

RAY = operators.parallel_ray_transform(square(dtype="float32"), 4)
MRI = operators.SampledFourier(XC, mask((5, 7)))
KERNEL = np.random.default_rng(3).standard_normal((3, 5))
WAVELET = operators.OrthogonalWavelet(plane((4, 12)), "db2", 1)
MAPS = np.random.default_rng(2).standard_normal((3, 5, 7)) + 0j
HISTORY = learning.History(np.arange(3), np.ones(3), np.arange(2), np.ones(2))
VOLUMES = odl.uniform_discr([-1] * 3, [1] * 3, (5, 4, 3))
SINOGRAM = RAY(RAY.domain.one())
KL = functionals.KullbackLeiblerFidelity(counts(X))


def rng():
    return np.random.default_rng(0)


def positional(function):
    """A function with generic dispatch, which takes its first argument without a name."""
    return lambda **arguments: function(*arguments.values())


def image(shape=(6, 8)):
    return np.random.default_rng(1).random(shape)


def volume(array):
    """The bytes of a NIfTI-1 file of single precision, with voxels of 1 mm."""
    header = np.zeros((), [("size", "<i4"), ("a", "V36"), ("dim", "<i2", 8), ("b", "V14"),
                           ("kind", "<i2"), ("bits", "<i2"), ("c", "V2"), ("pixels", "<f4", 8),
                           ("offset", "<f4"), ("d", "V232"), ("magic", "S4"), ("e", "V4")])
    for name, value in (("size", 348), ("kind", 16), ("bits", 32), ("pixels", 1), ("offset", 352),
                        ("magic", b"n+1"), ("dim", [3, *array.shape, 1, 1, 1, 1])):  # fmt: skip
        header[name] = value
    return header.tobytes() + array.astype("<f4").tobytes("F")


def files(folder):
    """Valid calls that read files, which are written into a folder first."""
    folder = Path(folder)
    np.savez(folder / "stack.npz", images=image((3, 6, 8)), split=np.array(["train"] * 3),
             subject=np.array(["a", "a", "b"]), p999=np.ones(3))
    dicom_files.write(folder / "two.dcm", image((2, 6, 8)), NumberOfFrames=2)
    with h5py.File(folder / "scan.h5", "w") as scan:
        scan["kspace"] = image((3, 6, 8)) + 0j
    fastmri_files.write(folder / "fastmri.h5", image((2, 20, 12)) + 0j, np.ones(12), 12, 0, 2)
    PIL.fromarray(image((6, 8, 3)).astype("u1")).save(folder / "colors.png")
    (folder / "volume.nii").write_bytes(volume(image((4, 6, 8))))
    (folder / "series").mkdir()
    for k in range(2):
        dicom_files.write(folder / f"series/{k}.dcm", image(), (1, 0, 0), (0, 1, 0),
                          place=(0, 0, k), PatientID="a")
    limits = data.Limits()
    return {
        "data.read_image": (data.read_image, lambda: dict(
            path=folder / "stack.npz", key="images", index=1)),
        "data.read_npz_stack": (data.read_npz_stack, lambda: dict(
            path=folder / "stack.npz", key="images")),
        "data.find_patients": (data.find_patients, lambda: dict(
            folder=folder / "series", limits=limits)),
        "data.read_dicom": (data.read_dicom, lambda: dict(
            path=folder / "two.dcm", index=0, limits=limits)),
        "data.read_dicom_folder": (data.read_dicom_folder, lambda: dict(
            path=folder / "series", limits=limits)),
        "data.read_kspace": (data.read_kspace, lambda: dict(
            path=folder / "scan.h5", key="kspace", index=0, limits=limits)),
        "data.read_mri_scan": (data.read_mri_scan, lambda: dict(
            path=folder / "fastmri.h5", index=0, mask=np.ones(12), sensitivities=None,
            limits=limits)),
        "data.read_nifti": (data.read_nifti, lambda: dict(
            path=folder / "volume.nii", limits=limits)),
        "data.read_luminance": (data.read_luminance, lambda: dict(
            path=folder / "colors.png", limits=limits)),
        "data.read_measurement": (
            lambda path, origin, name, limits: data.read_measurement(
                path, origin, name, limits=limits),
            lambda: dict(path=folder / "stack.npz", origin="a file of the tests", name="p999",
                         limits=limits)),
        "data.read_slices": (data.read_slices, lambda: dict(
            path=folder / "stack.npz", split="train", count=2)),
        "plotting.comparison": (plotting.comparison, lambda: dict(
            images={"a": image()}, truth=image(), path=folder / "picture.png", title="t",
            unit="HU", body=image() > -9)),
        "plotting.volume_comparison": (plotting.volume_comparison, lambda: dict(
            images={"a": image((3, 4, 5))}, truth=image((3, 4, 5)), path=folder / "volume.png",
            title="t", unit="HU", point=(1, 2, 3), sides=(1.0, 1.0, 2.0))),
        "plotting.l_curve": (plotting.l_curve, lambda: dict(
            alphas=np.array([0.1, 0.2, 0.4]), residuals=np.array([1.0, 2.0, 3.0]),
            penalties=np.array([3.0, 2.0, 1.0]), path=folder / "l.png", chosen={"rule": 0.3},
            title="curve")),
        "plotting.learning_curves": (plotting.learning_curves, lambda: dict(
            histories={"a": HISTORY}, path=folder / "picture.png", title="t")),
        "plotting.perturbations": (plotting.perturbations, lambda: dict(
            before={"a": image()}, after={"a": image()}, path=folder / "picture.png",
            added={"a": image()}, reference={"a": image()}, reference_name="TV", truth=image(),
            window=(0.0, 1.0), captions={"a": "b"}, table={"a": {"PSNR": 1.0}}, title="t")),
    }


DATA = {
    "CoarsePairs": (data.CoarsePairs, lambda: dict(
        pairs=data.FixedPairs([image()], [image()]), factor=2, dimension=2)),
    "split_patients": (data.split_patients, lambda: dict(
        patients={"a": [1], "b": [2]}, shares={"train": 0.5, "test": 0.5}, seed=0)),
    "AugmentedPairs": (data.AugmentedPairs, lambda: dict(
        pairs=data.FixedPairs([image()], [image()]), moves=[(np.flipud, np.flipud)])),
    "FixedPairs": (data.FixedPairs, lambda: dict(data=[image(), image()],
                                                 truth=[image(), image()])),
    "SimulatedPairs": (data.SimulatedPairs, lambda: dict(
        truth=lambda rng: X.one(), measure=lambda x, rng: x, size=3, seed=0)),
    "Limits": (data.Limits, lambda: dict(max_bytes=1e6, max_ratio=200.0, small_bytes=1e5)),
    "dival_ellipses": (data.dival_ellipses, lambda: dict(space=square(8), rng=rng())),
    "add_white_noise": (data.add_white_noise, lambda: dict(
        x=element(X), noise_level=0.1, rng=rng())),
    "cartesian_mask": (data.cartesian_mask, lambda: dict(
        shape=(6, 8), fraction=0.5, center_fraction=0.2, rng=rng(), axis=0)),
    "downsample": (data.downsample, lambda: dict(
        array=image(), factor=2, dimension=2)),
    "from_rows": (data.from_rows, lambda: dict(image=image())),
    "to_rows": (data.to_rows, lambda: dict(array=image())),
    "hounsfield_to_attenuation": (data.hounsfield_to_attenuation, lambda: dict(hu=image())),
    "log_linearize": (data.log_linearize, lambda: dict(
        counts=1 + element(X) * element(X), photons=100.0)),
    "noise_level_for": (data.noise_level_for, lambda: dict(x=element(X), relative=0.1)),
    "poisson_counts": (data.poisson_counts, lambda: dict(
        expected=element(X) * element(X), rng=rng())),
    "radial_mask": (data.radial_mask, lambda: dict(shape=(6, 8), num_spokes=3)),
    "random_body": (data.random_body, lambda: dict(space=square(8), rng=rng())),
    "random_ellipsoids": (data.random_ellipsoids, lambda: dict(space=VOLUMES, rng=rng())),
    "random_trunk": (data.random_trunk, lambda: dict(space=VOLUMES, rng=rng())),
    "stack_element": (data.stack_element, lambda: dict(
        stack=data.Stack(image((2, 3, 4)), (1.0, 1.0), 2.0, "CT"), dtype="float32")),
    "random_ellipses": (data.random_ellipses, lambda: dict(space=square(8), rng=rng())),
    "estimate_sensitivities": (data.estimate_sensitivities, lambda: dict(
        kspace=image((2, 10, 12)) + 0j, calibration=(8, 8), kernel_width=3, threshold=0.05,
        crop=0.8)),
    "simulated_sensitivities": (data.simulated_sensitivities, lambda: dict(space=XC, coils=3)),
    "smooth_phase": (data.smooth_phase, lambda: dict(space=X, rng=rng())),
    "transmission_counts": (data.transmission_counts, lambda: dict(
        sinogram=element(X) * element(X), photons=100.0, rng=rng())),
    "variable_density_mask": (data.variable_density_mask, lambda: dict(
        shape=(6, 8), fraction=0.5, decay=2.0, rng=rng(), center_fraction=0.1)),
}

WHITENING = operators.Whitening(X, np.zeros((5, 7)), np.zeros((4, 5, 7)), 1)

OPERATORS = {
    "CovarianceOperator": (operators.CovarianceOperator, lambda: dict(
        precision=operators.PrecisionOperator(WHITENING))),
    "Neighborhood": (operators.triangular.Neighborhood, lambda: dict(radius=1, channels=2)),
    "PrecisionOperator": (operators.PrecisionOperator, lambda: dict(whitening=WHITENING)),
    "Unwhitening": (operators.Unwhitening, lambda: dict(whitening=WHITENING)),
    "UnwhiteningAdjoint": (operators.UnwhiteningAdjoint, lambda: dict(whitening=WHITENING)),
    "Whitening": (operators.Whitening, lambda: dict(
        space=X, log_diagonal=np.zeros((5, 7)), neighbors=np.zeros((4, 5, 7)), radius=1,
        mask=np.ones((5, 7), bool))),
    "WhiteningAdjoint": (operators.WhiteningAdjoint, lambda: dict(whitening=WHITENING)),
    "BlockInsertion": (operators.BlockInsertion, lambda: dict(
        product=blocks(X)[0], index=1, element=odl.rn(2).one())),
    "BlockProduct": (operators.BlockProduct, lambda: dict(domain=odl.ProductSpace(R, R))),
    "FilterBank": (operators.FilterBank, lambda: dict(space=X, filters=filters(2, (3, 3)))),
    "FilterBankAdjoint": (operators.FilterBankAdjoint, lambda: dict(
        bank=operators.FilterBank(X, filters(2, (3, 3))))),
    "FunctionalMultiple": (operators.FunctionalMultiple, lambda: dict(
        functional=odl.functionals.L2NormSquared(X), operator=GRAD)),
    "MultiCoilFourier": (operators.MultiCoilFourier, lambda: dict(
        domain=XC, weights=image((5, 7)), sensitivities=MAPS)),
    "MultiCoilFourierAdjoint": (operators.MultiCoilFourierAdjoint, lambda: dict(
        forward_op=operators.MultiCoilFourier(XC, image((5, 7)), MAPS))),
    "OrthogonalWavelet": (operators.OrthogonalWavelet, lambda: dict(
        space=plane((4, 12)), wavelet="db2", nlevels=1)),
    "OrthogonalWaveletAdjoint": (operators.OrthogonalWaveletAdjoint, lambda: dict(
        transform=WAVELET)),
    "PeriodicConvolution": (operators.PeriodicConvolution, lambda: dict(space=X, kernel=KERNEL)),
    "ZeroConvolution": (operators.ZeroConvolution, lambda: dict(space=X, kernel=KERNEL)),
    "ReflectingConvolution": (operators.ReflectingConvolution, lambda: dict(
        space=X, kernel=KERNEL)),
    "PointwiseExponential": (operators.PointwiseExponential, lambda: dict(space=X)),
    "QuarterTurn": (operators.QuarterTurn, lambda: dict(space=square(), k=1)),
    "ReflectedExtension": (operators.ReflectedExtension, lambda: dict(space=X, margin=(2, 1))),
    "ReflectedExtensionAdjoint": (operators.ReflectedExtensionAdjoint, lambda: dict(
        extension=operators.ReflectedExtension(X, (2, 1)))),
    "SinogramTurn": (operators.SinogramTurn, lambda: dict(
        forward_op=operators.parallel_ray_transform(square(dtype="float32"), 4), k=1)),
    "SymmetrizedRayTransform": (operators.SymmetrizedRayTransform, lambda: dict(
        forward_op=operators.parallel_ray_transform(square(dtype="float32"), 4))),
    "SymmetrizedRayTransformAdjoint": (operators.SymmetrizedRayTransformAdjoint, lambda: dict(
        symmetrized=operators.SymmetrizedRayTransform(RAY))),
    "cone_beam_ray_transform": (operators.cone_beam_ray_transform, lambda: dict(
        space=odl.uniform_discr([-1] * 3, [1] * 3, (4, 4, 4), dtype="float32"), num_angles=3,
        src_radius=4.0, det_radius=2.0, det_shape=(5, 5), det_half_widths=(3.0, 3.0),
        det_center=(0.1, 0.2), pitch=0.5, turns=2.0)),
    "scanned_cone_beam": (operators.scanned_cone_beam, lambda: dict(
        space=odl.uniform_discr([-1] * 3, [1] * 3, (4, 4, 4), dtype="float32"),
        angles=[0.0, 0.5, 1.5], source_to_axis=4.0, source_to_detector=6.0, det_shape=(5, 5),
        bin_sides=(0.5, 0.5), axis_bins=(2.5, 1.0), pitch=0.5, start_height=-0.1)),
    "kept_rows": (operators.kept_rows, lambda: dict(op=MRI, kept=mask((5, 7)) > 0)),
    "kept_views": (operators.kept_views, lambda: dict(
        ray_transform=RAY, kept=np.arange(4) % 2 == 0)),
    "real_parts": (operators.real_parts, lambda: dict(space=XC)),
    "Reflection": (operators.Reflection, lambda: dict(space=X, axis=1)),
    "Rotation": (operators.Rotation, lambda: dict(space=square(), angle=0.3)),
    "RotoTranslation": (operators.RotoTranslation, lambda: dict(
        space=square(), angle=0.3, shift=[0.1, 0.2])),
    "SampledFourier": (operators.SampledFourier, lambda: dict(
        domain=XC, weights=image((5, 7)))),
    "SampledFourierAdjoint": (operators.SampledFourierAdjoint, lambda: dict(forward_op=MRI)),
    "Shear": (operators.Shear, lambda: dict(space=X, axis=0, slope=0.3)),
    "SymmetrizedGradient": (operators.SymmetrizedGradient, lambda: dict(domain=V)),
    "SymmetrizedGradientAdjoint": (operators.SymmetrizedGradientAdjoint, lambda: dict(
        forward_op=operators.SymmetrizedGradient(V))),
    "Translation": (operators.Translation, lambda: dict(space=X, shift=[0.1, 0.2])),
    "attenuation_factors": (operators.attenuation_factors, lambda: dict(
        ray_transform=RAY, mu=RAY.domain.one())),
    "emission_operator": (operators.emission_operator, lambda: dict(
        ray_transform=RAY, attenuation=RAY.range.one(), scale=2.0)),
    "exact_norm": (positional(operators.exact_norm), lambda: dict(op=GRAD)),
    "fan_beam_ray_transform": (operators.fan_beam_ray_transform, lambda: dict(
        space=square(dtype="float32"), num_angles=4, src_radius=4.0, det_radius=2.0, num_bins=9,
        det_half_width=3.0)),
    "fbp": (operators.fbp, lambda: dict(forward_op=RAY, filter_type="Hann",
                                        frequency_scaling=0.8)),
    "gaussian_kernel": (operators.gaussian_kernel, lambda: dict(
        space=X, standard_deviation=0.3)),
    "gradient": (operators.gradient, lambda: dict(space=X)),
    "mask_operator": (operators.mask_operator, lambda: dict(space=X, mask=mask((5, 7)))),
    "normalized": (operators.normalized, lambda: dict(op=GRAD)),
    "operator_norm": (operators.operator_norm, lambda: dict(
        op=GRAD.adjoint @ GRAD, rng=rng(), maxiter=50)),
    "parallel_ray_transform": (operators.parallel_ray_transform, lambda: dict(
        space=square(dtype="float32"), num_angles=4, num_bins=9, det_half_width=1.5)),
    "random_element": (operators.random_element, lambda: dict(space=X, rng=rng())),
    "require_even_angles": (operators.require_even_angles, lambda: dict(forward_op=RAY)),
    "RootSumOfSquares": (operators.RootSumOfSquares, lambda: dict(domain=XC**3, smoothing=0.1)),
    "root_sum_of_squares": (operators.root_sum_of_squares, lambda: dict(
        forward_op=operators.MultiCoilFourier(XC, image((5, 7)), MAPS), smoothing=0.1)),
    "scanned_fan_beam": (operators.scanned_fan_beam, lambda: dict(
        space=square(dtype="float32"), angles=[0.1, 0.5, 1.2], source_to_axis=4.0,
        source_to_detector=6.0, num_bins=9, bin_width=0.5, axis_bin=4.25)),
    "scanned_parallel_beam": (operators.scanned_parallel_beam, lambda: dict(
        space=square(dtype="float32"), angles=[0.1, 0.5, 1.2], num_bins=9, bin_width=0.3,
        axis_bin=4.25)),
    "view_subsets": (operators.view_subsets, lambda: dict(ray_transform=RAY, number=2)),
}

FUNCTIONALS = {
    "BoxConstraint": (functionals.BoxConstraint, lambda: dict(space=X, lower=-0.5, upper=1.0)),
    "BoxSupport": (functionals.BoxSupport, lambda: dict(space=X, lower=-0.5, upper=1.0)),
    "Coordinate": (functionals.Coordinate, lambda: dict(space=RA, index=2)),
    "Exponential": (functionals.Exponential, lambda: dict(
        functional=functionals.Coordinate(RA, 2))),
    "FieldsOfExperts": (functionals.FieldsOfExperts, lambda: dict(
        space=X, filters=filters(2, (3, 3)), alphas=[0.5, 2.0], nu=0.1)),
    "H1Seminorm": (functionals.H1Seminorm, lambda: dict(space=X)),
    "H1SeminormConjugate": (functionals.H1SeminormConjugate, lambda: dict(
        seminorm=functionals.H1Seminorm(X))),
    "KullbackLeiblerConjugate": (functionals.KullbackLeiblerConjugate, lambda: dict(fidelity=KL)),
    "KullbackLeiblerFidelity": (functionals.KullbackLeiblerFidelity, lambda: dict(
        data=counts(X), background=X.one())),
    "MagnitudeBound": (functionals.MagnitudeBound, lambda: dict(space=X, bound=0.8)),
    "MagnitudeSupport": (functionals.MagnitudeSupport, lambda: dict(space=X, bound=0.8)),
    "OnRealParts": (functionals.OnRealParts, lambda: dict(
        functional=odl.functionals.L2NormSquared(XC))),
    "SmoothedGroupL1": (functionals.SmoothedGroupL1, lambda: dict(vfspace=V, nu=0.1)),
    "SmoothedTV": (functionals.SmoothedTV, lambda: dict(space=X, alpha=1.0, nu=0.1, xi=0.1)),
    "TotalGeneralizedVariation": (functionals.TotalGeneralizedVariation, lambda: dict(
        space=X, beta=0.5, accuracy=1e-3, maxiter=100)),
    "TotalVariation": (functionals.TotalVariation, lambda: dict(
        space=X, exponent=2, accuracy=1e-3, maxiter=100)),
    "WaveletBound": (functionals.WaveletBound, lambda: dict(
        functional=functionals.WaveletL1(plane((4, 12)), "db2", 1))),
    "WaveletDetailL1": (functionals.WaveletDetailL1, lambda: dict(
        space=plane((4, 12)), wavelet="db2", nlevels=1)),
    "WaveletL1": (functionals.WaveletL1, lambda: dict(
        space=plane((4, 12)), wavelet="db2", nlevels=1)),
    "arguments": (functionals.arguments, lambda: dict(space=X, size=2, data=GRAD.range)),
    "fix_block": (functionals.fix_block, lambda: dict(
        functional=odl.functionals.L2NormSquared(blocks(X)[0]), index=1,
        element=odl.rn(2).one())),
    "gaussian_energy": (functionals.gaussian_energy, lambda: dict(
        whitening=WHITENING, mean=element(X), accuracy=1e-6, maxiter=100)),
    "LeastSquares": (functionals.LeastSquares, lambda: dict(
        forward_op=GRAD, data=GRAD.range.one(), accuracy=1e-6, maxiter=100)),
    "l2_fidelity": (functionals.l2_fidelity, lambda: dict(data=element(X))),
    "PoissonLikelihood": (functionals.PoissonLikelihood, lambda: dict(
        background=X.one(), most=5.0)),
    "smoothed_length": (functionals.smoothed_length, lambda: dict(
        op=operators.gradient(X), alpha=0.3, nu=0.1)),
    "parameter_space": (functionals.parameter_space, lambda: dict(space=X, size=2)),
    "precise_inner": (functionals.precise_inner, lambda: dict(x=element(X), y=element(X, 2))),
    "precise_value": (positional(functionals.precise_value), lambda: dict(
        functional=odl.functionals.L2NormSquared(X), x=element(X))),
    "weighted_l1": (functionals.weighted_l1, lambda: dict(space=V, alphas=[0.5, 2.0])),
}

METRICS = {
    "psnr": (metrics.psnr, lambda: dict(x=image(), truth=image() + 0.1, data_range=1.0)),
    "ssim": (metrics.ssim, lambda: dict(
        x=image((12, 12)), truth=image((12, 12)) + 0.1, data_range=1.0)),
    "relative_error": (metrics.relative_error, lambda: dict(x=image(), truth=image() + 0.1)),
}


GROUND = {
    f"{room}.{name}": call
    for room, calls in (("data", DATA), ("operators", OPERATORS), ("functionals", FUNCTIONALS),
                        ("metrics", METRICS))
    for name, call in calls.items()
}
