"""Two ways to the same numbers: where bits are the same, and where rounding is all that differs.

Bits are compared where the arithmetic fixes them:

* copies and indexing, and integers in floating point;
* entrywise IEEE operations (sums, products, quotients and roots are rounded correctly, wherever an
  entry stands), and sums that numpy adds row by row (`solvers.arithmetic.samples.row_products`);
* the same program run again on arrays of the same shapes, with as many threads: a training or a
  learning that is continued, a module that was pickled.

They are not fixed where a library sees batches of other sizes, or chooses a kernel for the
processor: Fourier transforms, convolutions, products of matrices, torch's sums, functions such as
logarithms and powers. There `assert_rounded` compares. Numbers of iterations are compared exactly
all the same: rounding changes them only where a bound falls onto the accuracy that was asked for,
up to 1e-13 of it.
"""

import numpy as np

EPS = float(np.finfo(np.float64).eps)


def assert_rounded(got, expected, tolerance):
    """The largest difference is at most the tolerance times the largest magnitude."""
    got, expected = flat(got), flat(expected)
    assert got.shape == expected.shape and got.dtype == expected.dtype
    error = np.abs(got - expected).max(initial=0)
    allowed = tolerance * np.abs(expected).max(initial=0)
    assert error <= allowed, f"differ by {error:.2e}, allowed {allowed:.2e}"


def flat(x):
    """All entries of an array, a tensor, or a tuple or list of them."""
    if isinstance(x, (tuple, list)):
        return np.concatenate([flat(part) for part in x])
    if hasattr(x, "detach"):
        x = x.detach().resolve_conj().cpu().numpy()
    return np.asarray(x).ravel()
