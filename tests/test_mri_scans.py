"""Files of k-space in the layout of fastMRI, and sensitivities from calibration lines."""

import numpy as np
import odl
import pytest

from odl_learned import data, metrics, operators
from odl_learned.data.mri import layouts

h5py = pytest.importorskip("h5py")
fastmri_files = pytest.importorskip("fastmri_files", exc_type=ImportError)


def lines(columns=60, center=20):
    mask = np.zeros(columns, bool)
    mask[columns // 2 - center // 2 : columns // 2 + center // 2] = True
    mask[::3] = True
    return mask


@pytest.fixture(scope="module")
def simulated():
    return fastmri_files.simulate(noise_level=0.01)


def test_a_file_of_fastmri(simulated, tmp_path):
    """Operator, data, noise level and picture, with padding, mask and oversampled readout."""
    image, maps, kspace = simulated
    rss = fastmri_files.write(tmp_path / "a.h5", kspace, lines(), width=48, slices=2)
    scan = data.read_mri_scan(tmp_path / "a.h5", index=1)
    A, X = scan.forward_op, scan.forward_op.domain
    assert X.shape == (64, 60) and scan.size == (64, 48)
    padded = lines() & (np.arange(60) >= 4) & (np.arange(60) < 56)
    assert np.array_equal(A.weights, np.broadcast_to(padded, (64, 60)))
    # The deviation of a median of N exponential variables is 1 / sqrt(N) of it, of its root half.
    assert scan.noise_level * scan.scale == pytest.approx(0.01, rel=5 / 2 / np.sqrt(6 * 32 * 25))
    assert np.allclose(scan.reference, data.from_rows(rss) / scan.scale, atol=1e-6)
    truth = data.from_rows(np.abs(image)[32:96, 6:54]) / scan.scale
    u = X.element(image[32:96] / scan.scale)
    assert np.allclose(scan.picture(u), truth, atol=1e-6)
    # Up to maps, the truth explains the data: outside of the object they are not seen.
    exact = operators.MultiCoilFourier(X, A.weights, maps[:, 32:96])
    noise = (exact(u) - scan.data).norm() / np.sqrt(2 * 6 * A.weights.sum())
    assert noise == pytest.approx(scan.noise_level, rel=0.05)
    seen = X.element((A.sensitivities.conj() * maps[:, 32:96]).sum(0) * u.data)  # of other phase
    assert (A(seen) - scan.data).norm() < 1.5 * (exact(u) - scan.data).norm()
    assert metrics.psnr(scan.picture(A.adjoint(scan.data)), truth) > 25


def test_cutting_off_readouts_is_exact(rng):
    """As if the rows outside had never been there, where nothing is in them."""
    u = np.zeros((3, 48, 10), complex)
    u[:, 12:36] = rng.standard_normal((3, 24, 10)) + 1j * rng.standard_normal((3, 24, 10))
    kept, outside = layouts.crop_readout(fastmri_files.centered_fft(u), 24)
    assert np.allclose(kept, fastmri_files.centered_fft(u[:, 12:36]), atol=1e-12)
    assert np.abs(outside).max() < 1e-12 and outside.shape == (3, 12, 10)


@pytest.mark.parametrize("dtype", [
    "c8", ">c8", ">c16", [("real", "f4"), ("imag", "f4")], [("re", ">f4"), ("im", ">f4")],
])  # fmt: skip
def test_complex_numbers_of_all_kinds(dtype, simulated, tmp_path):
    kspace = simulated[2][:, :16, :12].astype("c8")
    fastmri_files.write(tmp_path / "a.h5", kspace, np.ones(12), 12, 0, dtype=dtype)
    read = data.read_kspace(tmp_path / "a.h5")
    assert read.dtype.isnative and read.dtype in ("c8", "c16")
    assert np.array_equal(read[0], kspace)


@pytest.mark.parametrize("shape", [(6,), (1, 6), (1, 1, 6, 1), (1, 1, 1, 6, 1)])
def test_masks_of_columns(shape):
    mask = np.array([1, 0, 1, 1, 0, 0])
    found = layouts.sampling_mask(mask.reshape(shape), (4, 6))
    assert found.dtype == bool and np.array_equal(found, np.broadcast_to(mask, (4, 6)))


def test_masks_of_rows_and_of_frequencies():
    mask = np.array([True, False, True, True])
    for each in (mask, mask[:, None]):
        assert np.array_equal(layouts.sampling_mask(each, (4, 6)), np.tile(mask[:, None], 6))
    plane = np.arange(24).reshape(4, 6) % 5 < 2
    assert np.array_equal(layouts.sampling_mask(plane.astype(float), (4, 6)), plane)
    for wrong, error, pattern in ((np.ones(5), ValueError, r"shape \(5,\), expected \(6,\)"),
                                  (np.full(6, 0.5), ValueError, "expected 0 and 1"),
                                  (np.ones(6, complex), TypeError, "complex")):
        with pytest.raises(error, match=pattern):
            layouts.sampling_mask(wrong, (4, 6))


def test_one_coil_and_no_header(simulated, tmp_path):
    """No mask, no picture, no oversampling known: everything that is there is an image."""
    image, _, _ = simulated
    noise = np.random.default_rng(1).standard_normal((2, *image.shape)) * 0.02
    kspace = fastmri_files.centered_fft(image) + noise[0] + 1j * noise[1]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kspace"] = kspace[None].astype("c8")
    scan = data.read_mri_scan(tmp_path / "a.h5", index=0, mask=lines())
    assert isinstance(scan.forward_op, operators.SampledFourier) and scan.reference is None
    assert scan.size == (128, 60) and np.array_equal(scan.forward_op.weights[5], lines())
    level = scan.noise_level * scan.scale
    assert 0.02 * 0.95 < level < 0.02 * 1.25  # the highest frequencies have some signal left


@pytest.mark.parametrize("unit", [1, 1e-24, 1e23])
def test_low_frequencies_alone_have_a_noise_level_in_any_unit(unit, tmp_path, rng):
    kspace = np.zeros((3, 32, 28), complex)
    noise = rng.standard_normal((2, 3, 12, 12))
    kspace[:, 10:22, 8:20] = 1000 + noise[0] + 1j * noise[1]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kspace"] = (unit * kspace).astype("c8")
    scan = data.read_mri_scan(tmp_path / "a.h5")
    assert 1 <= scan.noise_level * scan.scale / unit < 2000  # too large rather than too small
    assert scan.picture(scan.forward_op.adjoint(scan.data)).max() == pytest.approx(1, rel=0.2)
    with pytest.raises(ValueError, match=r"sensitivities have the shape \(2, 32, 28\), expected"):
        data.read_mri_scan(tmp_path / "a.h5", sensitivities=np.ones((2, 32, 28), complex))


def test_files_that_do_not_fit(simulated, tmp_path):
    path, kspace = tmp_path / "a.h5", simulated[2].astype("c8")

    def write(**more):
        fastmri_files.write(path, kspace, np.ones(60), 48, slices=2)
        with h5py.File(path, "a") as file:
            for name, value in more.items():
                del file[name]
                if value is not None:
                    file[name] = value

    for change, index, pattern in (
        ({}, None, "2 slices and index is None, expected one of them, from 0 to 1"),
        ({}, 2, "expected between 0 and 1"),
        ({"mask": np.zeros(60)}, 0, "zero wherever the mask is not"),
        ({"mask": np.ones(7)}, 0, r"mask has shape \(7,\)"),
        ({"mask": np.arange(60) % 2}, 0, r"calibration block has \(0, 0\) rows"),
        ({"reconstruction_rss": None, "ismrmrd_header": "<a"}, 0, "header in .* is not XML"),
        ({"reconstruction_rss": None, "ismrmrd_header": "<!DOCTYPE a [<!ENTITY b 'c'>]><a/>"}, 0,
         "plain XML; none is read"),
        ({"reconstruction_rss": None,
          "ismrmrd_header": fastmri_files.HEADER.replace("{rows}", "-1")}, 0, "positive whole"),
    ):
        write(**change)
        with pytest.raises(ValueError, match=pattern):
            data.read_mri_scan(path, index=index)
    write(reconstruction_rss=None)
    assert data.read_mri_scan(path, index=0).size == (64, 48)  # as the header says
    write(ismrmrd_header=np.ones(3))
    with pytest.raises(TypeError, match="expected one text"):
        data.read_mri_scan(path, index=0)


def test_texts_elsewhere_are_not_read(tmp_path):
    (tmp_path / "secret.h5").touch()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kspace"] = np.ones((2, 16, 16), "c8")
        file["ismrmrd_header"] = h5py.ExternalLink("secret.h5", "x")
    with pytest.raises(ValueError, match="no other file is opened"):
        data.read_mri_scan(tmp_path / "a.h5")


def test_sensitivities_are_found(rng):
    """Normalized maps times any phase, from 24 x 24 of 64 x 48 frequencies and some noise."""
    space = odl.uniform_discr([0, 0], [64, 48], (64, 48), dtype="complex64")
    truth, maps = data.random_body(space, rng).data, data.simulated_sensitivities(space, 5)
    exact = fastmri_files.centered_fft(maps * truth)
    sampled = np.zeros(space.shape, bool)
    sampled[20:44, 12:36] = True
    noise = rng.standard_normal((2, *exact.shape)) * 1e-3
    found = data.estimate_sensitivities((exact + noise[0] + 1j * noise[1]) * sampled)
    seen = np.abs(found).sum(0) > 0
    assert seen[np.abs(truth) > 0.1].all() and not seen.all()
    assert np.allclose((np.abs(found) ** 2).sum(0)[seen], 1, atol=1e-5)
    agreement = np.abs((maps.conj() * found).sum(0))
    assert agreement[np.abs(truth) > 0.1].min() > 0.995
    jumps = np.abs(np.diff(found, axis=1))[:, seen[1:] & seen[:-1]]
    assert jumps.max() < 0.5  # the phase has no branch cuts
    everywhere = data.estimate_sensitivities(exact * sampled, crop=0)
    assert np.allclose((np.abs(everywhere) ** 2).sum(0), 1, atol=1e-5)


@pytest.mark.parametrize("unit", [1e-26, 1e24])
def test_sensitivities_have_no_unit(unit, rng):
    """Squares of these numbers underflow or overflow in single precision."""
    space = odl.uniform_discr([0, 0], [24, 20], (24, 20), dtype="complex64")
    maps = data.simulated_sensitivities(space, 3)
    kspace = fastmri_files.centered_fft(maps * (1 + rng.random(space.shape)))
    found, scaled = (data.estimate_sensitivities((u * kspace).astype(np.complex64))
                     for u in (1, unit))
    assert np.abs(found).max() > 0.5 and np.allclose(found, scaled, atol=1e-3)


def test_matrices_between_coils_are_projections(rng):
    """Against the definition: the image of every kernel, pixel by pixel."""
    from odl_learned.data.mri.espirit import _signal_vectors

    kspace = (rng.standard_normal((2, 3, 12, 10)) * [[[[1]]], [[[1j]]]]).sum(0)
    found = data.estimate_sensitivities(kspace, (8, 8), kernel_width=3, threshold=0.5, crop=0)
    vectors = _signal_vectors(kspace[:, 2:10, 1:9], 3, 0.5)
    images = np.zeros((len(vectors), 3, 12, 10), complex)
    for j in range(3):
        for k in range(3):
            wave = np.exp(2j * np.pi * (j * (np.arange(12) - 6)[:, None] / 12
                                        + k * (np.arange(10) - 5) / 10))  # fmt: skip
            images += vectors[:, :, j, k, None, None] * wave
    matrices = np.einsum("qcxy,qdxy->xycd", images, images.conj()) / 9
    values, maps = np.linalg.eigh(matrices)
    assert values.max() <= 1 + 1e-12
    assert np.allclose(np.abs(np.einsum("xyc,cxy->xy", maps[..., -1].conj(), found)), 1)


def test_calibration_that_is_not_there(simulated):
    kspace = simulated[2] * lines()
    with pytest.raises(ValueError, match="40 frequencies of this block are zero.*has .32, 20"):
        data.estimate_sensitivities(kspace, (20, 22))
    with pytest.raises(ValueError, match="expected more than kernel_width"):
        data.estimate_sensitivities(kspace, kernel_width=19)
    with pytest.raises(ValueError, match="crop is 1"):
        data.estimate_sensitivities(kspace, crop=1)
    with pytest.raises(ValueError, match="coils, rows, columns"):
        data.estimate_sensitivities(kspace[0])
    assert data.mri.espirit.calibration_shape(np.zeros((8, 8), bool)) == (0, 0)
