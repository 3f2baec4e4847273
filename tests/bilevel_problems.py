"""Small bilevel problems, and what every certified history must satisfy."""

import numpy as np
import torch

from odl_learned.energies import Denoising, FourierSampling, VariationEnergy
from odl_learned.energies.coefficients import Coefficients
from odl_learned.energies.potentials import Charbonnier, CubicAbsolute
from odl_learned.energies.transforms import BackwardDifferences, ForwardDifferences
from odl_learned.learning.bilevel import BilevelProblem, SquaredError
from odl_learned.learning.bilevel.lower import LowerLevel, Newton


def denoising(pairs=4, size=32, seed=0):
    """Piecewise constant signals, ``log10 alpha`` and ``log10 nu`` of smoothed total variation."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((pairs, size))
    for row in truth:
        left, right = np.sort(rng.integers(2, size - 2, 2))
        row[left : right + 1] = 1
    data = torch.as_tensor(truth + 0.1 * rng.standard_normal(truth.shape))
    energy = VariationEnergy(Denoising(), BackwardDifferences(size), Charbonnier(),
                             lambda p: Coefficients(10 ** p[0], 10 ** p[1], 1e-3))  # fmt: skip
    return BilevelProblem(
        energy, data, SquaredError(torch.as_tensor(truth)), data.clone(),
        lambda p: 1e-6 * (10 ** (p[0] - p[1])) ** 2, lower=-4.0, upper=2.0)  # fmt: skip


START = torch.tensor([0.0, -0.5], dtype=torch.float64)


def sampling(size=8):
    """The sampling pattern of a bump and ``alpha``, starting from full sampling."""
    rng = np.random.default_rng(1)
    grid = np.linspace(-1, 1, size)
    truth = (np.abs(grid)[:, None] < 0.5) & (np.abs(grid)[None] < 0.5)
    truth = torch.as_tensor(truth[None] + 0j)
    noise = torch.as_tensor(rng.standard_normal((2, 1, size, size)))
    data = torch.fft.fftn(truth, dim=(1, 2), norm="ortho") + 0.03 * (noise[0] + 1j * noise[1])
    entries = size**2
    energy = VariationEnergy(
        FourierSampling(), ForwardDifferences((size, size)), CubicAbsolute(),
        lambda p: Coefficients(p[-1], 1e-2, 1e-2, p[:-1].reshape(size, size) ** 2))  # fmt: skip
    lower, upper = torch.zeros(entries + 1).double(), torch.ones(entries + 1).double()
    lower[-1] = 1e-6

    def penalty(p):
        s = p[:-1]
        return 0.1 * (s.sum() + (s * (1 - s)).sum()) / entries

    start = torch.ones(entries + 1, dtype=torch.float64)
    start[-1] = 0.03
    return BilevelProblem(energy, data, SquaredError(truth, 0.5 / entries),
                          torch.zeros_like(data), penalty, lower, upper), start  # fmt: skip


def exact(problem, params, accuracy=1e-10):
    """The upper-level value of a lower level that is solved anew."""
    params = torch.as_tensor(params)
    solution = LowerLevel(problem, Newton()).solve(params, accuracy)
    value = float(problem.loss.value(solution.x).sum())
    return value + problem.penalty_value_and_gradient(params)[0]


def require_certified(problem, learned):
    """Values are within their bounds of exact ones, and exact ones decrease."""
    values = [exact(problem, params) for params in learned.history["params"]]
    error = np.abs(np.array(values) - learned.history["value"])
    assert np.all(error <= learned.history["value_bound"] + 1e-9)
    assert np.all(np.diff(values) < 1e-12)
    assert np.all(-np.diff(values) >= learned.history["decrease"][1:] - 1e-8)
    assert abs(exact(problem, learned.params) - learned.value) <= learned.value_bound + 1e-9


class Stop(Exception):
    """Raised by `stop_after`."""


def stop_after(count):
    """A callback that raises `Stop` when it is called for the ``count``-th time."""
    seen = []

    def callback(row):
        seen.append(row)
        if len(seen) == count:
            raise Stop

    return callback


def require_same_bits(one, other):
    """Parameters, values and histories are equal, but for the seconds.

    The same operations on tensors of the same shapes have run, on as many threads (`rounding`).
    """
    assert torch.equal(one.params, other.params)
    assert (one.value, one.value_bound, one.reason) == (
        other.value, other.value_bound, other.reason)  # fmt: skip
    for name in set(one.history) - {"seconds"}:
        np.testing.assert_array_equal(one.history[name], other.history[name])
