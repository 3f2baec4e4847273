"""Bad input to data, metrics, plots and checks."""

import numpy as np
import odl
from mistakes import NAN, ONE, C, X, check_message, pairs, rng, rows

from odl_learned import conformance, data, metrics, plotting

WHOLE = odl.uniform_discr([-1, -1], [1, 1], (4, 4), dtype="int16")

DATA = [
    ("seed for noise", lambda d: data.add_white_noise(X.one(), 1, 0), TypeError,
     "rng is 0, expected a numpy.random.Generator.*default_rng"),
    ("negative noise", lambda d: data.add_white_noise(X.one(), -1, rng()), ValueError,
     "noise_level is -1; expected.*at least zero"),
    ("noise on an array", lambda d: data.add_white_noise(ONE, 1, rng()), TypeError,
     r"ndarray, expected an element.*space\.element\(array\)"),
    ("noise on NaN", lambda d: data.add_white_noise(X.element(NAN), 1, rng()), ValueError,
     "16 NaN"),
    ("noise on whole numbers", lambda d: data.add_white_noise(WHOLE.one(), 0.3, rng()), TypeError,
     "x is of dtype int.*expected floating point.*dtype='float32'"),
    ("noise beyond the dtype", lambda d: data.add_white_noise(X.one(), 1e300, rng()), ValueError,
     r"x \+ 1e\+300 n, of dtype float32, contains 16"),
    ("logarithms of whole numbers", lambda d: data.log_linearize(7 * WHOLE.one(), 100), TypeError,
     "counts is of dtype int.*expected floating point"),
    ("counts beyond the dtype", lambda d: data.transmission_counts(WHOLE.zero(), 1e9, rng()),
     ValueError, r"counts reach 1\d{9}, more than 32767, the largest int16"),
    ("emissions beyond the dtype", lambda d: data.poisson_counts(32767 * WHOLE.one(), rng()),
     ValueError,
     "counts reach 3.*more than 32767, the largest int16"),
    ("body of whole numbers", lambda d: data.random_body(WHOLE, rng()), TypeError,
     "space has dtype int16, whole numbers.*expected floating point"),
    ("NaN for a truth", lambda d: data.SimulatedPairs(lambda r: X.element(NAN), lambda x, r: x, 1,
     0)[0], ValueError, r"truth\(rng\) contains 16 NaN"),
    ("NaN for a measurement", lambda d: data.SimulatedPairs(
        lambda r: X.one(), lambda x, r: X.element(NAN), 1, 0)[0], ValueError,
     r"measure\(truth, rng\) contains 16 NaN"),
    ("blocks of NaN", lambda d: data.downsample(NAN, 2), ValueError, "array contains 16 NaN"),
    ("blocks of objects", lambda d: data.downsample(np.full((4, 4), None), 2), TypeError,
     "array has dtype object, expected numbers"),
    ("blocks of nothing", lambda d: data.downsample(np.ones((0, 4)), 2), ValueError,
     r"shape \(0, 4\), expected"),
    ("no photons", lambda d: data.transmission_counts(X.one(), 0, rng()), ValueError,
     "photons is 0; expected"),
    ("complex sinogram", lambda d: data.transmission_counts(C.one(), 9, rng()), TypeError,
     "sinogram is complex.*expected real"),
    ("negative counts", lambda d: data.log_linearize(-X.one(), 9), ValueError,
     "minimum -1, expected nonnegative.*not their logarithm"),
    ("one axis", lambda d: data.from_rows(np.ones(3)), ValueError,
     r"shape \(3,\), expected at least two axes"),
    ("odd side", lambda d: data.downsample(ONE, 3), ValueError,
     r"shape \(4, 4\), expected.*multiples.*factor 3; crop"),
    ("NaN in Hounsfield units", lambda d: data.hounsfield_to_attenuation(NAN), ValueError,
     "16 NaN"),
    ("empty mask", lambda d: data.cartesian_mask((4, 4), 0, 0.1, rng()), ValueError,
     r"fraction is 0, expected a number in the interval \(0, 1\]"),
    ("center above the whole", lambda d: data.cartesian_mask((8, 8), 0.25, 0.9, rng()), ValueError,
     "0.9 keeps 7 lines, more than the 2.*choose a smaller"),
    ("axis out of range", lambda d: data.cartesian_mask((8, 8), 0.5, 0.1, rng(), axis=2),
     ValueError, "axis is 2, expected an axis"),
    ("phantom without cells", lambda d: data.random_body(odl.rn((4, 4)), rng()), TypeError,
     "expected a two-dimensional.*uniform_discr"),
    ("array for a truth", lambda d: data.SimulatedPairs(lambda r: ONE, lambda x, r: x, 1, 0)[0],
     TypeError, r"truth\(rng\) is of type ndarray, expected an element.*space\.element"),
    ("pair out of range", lambda d: pairs()[4], IndexError, "index is 4, expected -4 <= index < 4"),
    ("no pairs", lambda d: data.FixedPairs([], []), ValueError,
     r"data has shape \(0,\), expected.*stack"),
    ("unequal pairs", lambda d: data.FixedPairs(ONE, ONE[:3]), ValueError,
     "4 items and truth has 3, expected equal"),
    ("psnr of other shapes", lambda d: metrics.psnr(ONE[:3], ONE), ValueError,
     r"x has shape \(3, 4\), expected \(4, 4\).*crop or resample"),
    ("psnr of a constant", lambda d: metrics.psnr(ONE, ONE), ValueError,
     "constant, 1 everywhere.*pass data_range"),
    ("psnr of NaN", lambda d: metrics.psnr(NAN, np.eye(4)), ValueError, "x contains 16 NaN"),
    ("ssim of little", lambda d: metrics.ssim(ONE, np.eye(4)), ValueError,
     r"shape \(4, 4\), expected two axes, .*at least 11"),
    ("figure of nothing", lambda d: plotting.comparison({}, ONE, d / "x.png"), ValueError,
     r"names \[\], expected at least one"),
    ("figure of other shapes", lambda d: plotting.comparison({"x": ONE[:3]}, ONE, d / "x.png"),
     ValueError, r"x has shape \(3, 4\), expected \(4, 4\).*crop"),
    ("window of one", lambda d: plotting.comparison({"x": ONE}, ONE, d / "x.png", window=3),
     ValueError, "window is 3, expected two increasing"),
    ("figure nowhere", lambda d: plotting.comparison(
        {"x": ONE}, np.eye(4), d / "no" / "x.png"), FileNotFoundError, "is no folder.*create it"),
    ("checks of a number", lambda d: conformance.checks_for(3), TypeError,
     "no checks for int; expected an ODL operator or functional, or a torch module"),
]


@rows(DATA)
def test_mistake(mistake, error, pattern, tmp_path):
    check_message(lambda: mistake(tmp_path), error, pattern)
