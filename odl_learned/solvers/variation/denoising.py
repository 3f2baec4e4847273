"""What the denoising solvers share: groups of samples, and when to look at the gap."""

import math

import numpy as np
from array_api_compat import array_namespace, is_numpy_array, to_device

from odl_learned.solvers.solution import Solution
from odl_learned.solvers.variation.denoising_units import in_units
from odl_learned.solvers.variation.sheets import GROUP, on_host

#: ``tau sigma |L|^2`` of an iteration that is fast and nearly always stable, and of one that is.
BOLD, SAFE = 1.31, 1.0
#: A gap that grows by this factor, or does not shrink by PROGRESS while the number of iterations
#: triples, shows that the bold iteration is unstable.
GROWTH, PROGRESS = 20.0, 0.7
FIRST_CHECK = 10


def denoise(start, images, alpha, kernel, reach, accuracy, maxiter, callback):
    """Solve ``min_x |x - y|^2 / 2 + alpha R(x)`` for a batch.

    Parameters
    ----------
    start : callable
        ``start(y, stability, where)`` begins the iteration for ``alpha = 1`` and ``y`` of shape
        ``(size, channels, *shape)``, real, the samples ``where`` of all: an object with
        ``advance(count)``, ``measure()``, ``x()`` and ``p()`` (arrays with the samples first),
        ``take``, and ``v()``, vector fields that are minimized over, too, or None. It measures gaps
        and values of the objective, and the gap of the image zero, numpy arrays.
    images : array of shape ``(size, *shape)``
    alpha : numpy.ndarray of shape ``(size,)``
    kernel : callable
        ``(xp, y) -> k``, what ``R`` ignores and is nearest to ``y``, see `denoising_units`.
    reach : float
        Bound of ``|D* p|`` in every pixel for all ``|p| <= 1``.
    accuracy, maxiter, callback
        As of the solvers.

    Returns
    -------
    solution : Solution
        With dual and field of the channels joined, of shape ``(size, d, *shape)``. Tensors on the
        host are computed by numpy on their own memory, which dispatches faster.
    """
    xp, size = array_namespace(images), images.shape[0]
    if on_host(images) and not is_numpy_array(images):
        found = denoise(start, np.from_dlpack(images), alpha, kernel, reach, accuracy, maxiter,
                        callback)  # fmt: skip
        field = None if found.field is None else xp.asarray(found.field)
        return found._replace(x=xp.asarray(found.x), dual=xp.asarray(found.dual), field=field)
    group = max(1, GROUP // math.prod(images.shape[1:])) if on_host(images) else max(1, size)
    results = Results(xp, images)
    for begin in range(0, size, group):
        where = np.arange(begin, min(begin + group, size))
        for stability in (BOLD, SAFE):
            where = _run(start, images, alpha, kernel, reach, where, stability, accuracy, maxiter,
                         callback, results)  # fmt: skip
            if not len(where):
                break
    return results.solution()


def _run(start, images, alpha, kernel, reach, where, stability, accuracy, maxiter, callback,
         results):  # fmt: skip
    """Iterate on the samples ``where``; return those whose gap grew."""
    xp = array_namespace(images)
    parts = _channels(xp, images[_index(xp, where, images), ...])
    units, data = in_units(xp, parts, alpha[where], kernel)
    halves = _half_squares(xp, data)
    if units.is_data.any():
        own, rest = np.flatnonzero(units.is_data), np.flatnonzero(~units.is_data)
        enough = accuracy * np.sqrt(halves[own]) * units.factor[own]
        _put_data(xp, parts[_index(xp, own, images), ...], alpha[where[own]] * reach, where[own],
                  enough, results)  # fmt: skip
        data, halves = data[_index(xp, rest, images), ...], halves[rest]
        units, where = units.take(rest), where[rest]
        if not len(rest):
            return where
    state = start(data, stability, where)
    clock = Clock(accuracy, accuracy**2 * halves)
    again, k = [], 0
    while True:
        due = clock.due(k, k == maxiter)
        if due.any():
            gap, value, zero_gap = state.measure()
            met, grown = clock.look(k, due, gap, value)
            # The image zero in these units is k, for which any larger alpha has the same gap.
            met, grown = met & ~units.is_kernel, grown & (stability > SAFE)
            flat = due & (zero_gap <= clock.goal(halves))
            met, grown = (met & ~grown) | flat, grown & ~flat
            flat |= units.is_kernel
            done = met | grown | (k == maxiter)
            again.extend(where[grown])
            kept = np.flatnonzero(done & ~grown)
            if len(kept):
                index, ended = _index(xp, kept, images), units.take(kept)
                x, p, v = state.x(), state.p(), state.v()
                if len(kept) < len(where):
                    x, p = x[index, ...], p[index, ...]
                    v = None if v is None else v[index, ...]
                zero = _index(xp, np.flatnonzero(flat[kept]), images)
                x[zero, ...] = 0
                if v is not None:
                    v[zero, ...] = 0
                    results.put_field(where[kept], ended.field(v, state.weights))
                results.put(
                    where[kept], k, np.where(met[kept], "accuracy", "maxiter"),
                    np.sqrt(np.where(flat, zero_gap, gap)[kept]) * ended.factor,
                    ended.image(x), ended.dual(p))  # fmt: skip
            if done.all():
                break
            if done.any():
                rest = np.flatnonzero(~done)
                state, where = state.take(_index(xp, rest, images)), where[rest]
                units, halves = units.take(rest), halves[rest]
                clock.take(rest)
        ahead = 1 if callback is not None else clock.until(k, maxiter)
        state.advance(ahead)
        k += ahead
        if callback is not None:
            callback()
    return np.array(again, dtype=int)


def _put_data(xp, parts, reach, where, enough, results):
    """Note the data as their own results, see `denoising_units`."""
    root_gap = reach * math.sqrt(math.prod(parts.shape[2:]) / 2)
    dual = xp.zeros((*parts.shape[:2], parts.ndim - 2, *parts.shape[2:]), dtype=parts.dtype,
                    device=parts.device)  # fmt: skip
    reason = np.where(root_gap <= enough, "accuracy", "rounding")
    results.put(where, 0, reason, root_gap, parts, dual)


def split(images):
    """Arrays of shape ``(1, channels, *shape)``, one for every sample, of numpy on the host."""
    if on_host(images) and not is_numpy_array(images):
        images = np.from_dlpack(images)
    parts = _channels(array_namespace(images), images)
    return [parts[n : n + 1, ...] for n in range(images.shape[0])]


class Clock:
    """When to look at the gap of which sample: where it is expected to have become small enough.

    Small enough is ``accuracy`` relative to the minimum, or ``enough``, a number per sample. From
    two looks, the gap is extrapolated as a power of the number of iterations.
    """

    def __init__(self, accuracy, enough):
        self.accuracy, self.enough, size = accuracy, enough, len(enough)
        self.next = np.full(size, FIRST_CHECK)
        self.seen = np.zeros(size)
        self.gap, self.least = np.full(size, np.nan), np.full(size, np.inf)
        self.mark, self.mark_gap = np.full(size, 2 * FIRST_CHECK), np.full(size, np.inf)

    def due(self, k, last):
        """Which samples to look at."""
        return (self.next <= k) | last

    def until(self, k, last):
        """How many iterations to do before the next look."""
        return max(1, min(int(self.next.min()), last) - k)

    def goal(self, value):
        """The gaps that are small enough."""
        return np.maximum(self.accuracy / (1 + self.accuracy) * value, self.enough)

    def look(self, k, due, gap, value):
        """Which samples are done, and which are unstable; the others get a date."""
        goal = self.goal(value)
        met = due & (gap <= goal)
        better = due & (gap <= PROGRESS * self.mark_gap)
        self.mark[better], self.mark_gap[better] = k, gap[better]
        grown = due & (~(gap <= GROWTH * self.least) | (k >= 3 * self.mark))
        with np.errstate(all="ignore"):
            power = np.log(self.gap / gap) / np.log(k / self.seen)
            power = np.clip(np.where(np.isfinite(power), power, 2.5), 1.5, 4.0)
            factor = np.clip(1.01 * (gap / goal) ** (1 / power), 1.0, 1.6)
        ahead = np.ceil(k * np.where(np.isfinite(factor), factor, 1.0))
        self.next[due] = np.maximum(ahead, k + 2)[due]
        self.least[due] = np.fmin(self.least, gap)[due]
        self.gap[due], self.seen[due] = gap[due], k
        return met, grown

    def take(self, rest):
        """Keep some of the samples."""
        for name in ("next", "seen", "gap", "least", "enough", "mark", "mark_gap"):
            setattr(self, name, getattr(self, name)[rest])


class Results:
    """What has become of the samples so far."""

    def __init__(self, xp, images):
        self.xp, size = xp, images.shape[0]
        self.x, self.field = xp.empty_like(images), None
        self.dual = xp.empty((size, images.ndim - 1, *images.shape[1:]), dtype=images.dtype,
                             device=images.device)  # fmt: skip
        self.root_gap, self.niter = np.zeros(size), np.zeros(size, dtype=int)
        self.reason = np.full(size, "maxiter", dtype=object)

    def put(self, where, niter, reason, root_gap, x, p):
        """Note the results of some samples; ``x`` and ``p`` have channels behind the samples.

        Roots of gaps are numbers where gaps are not: between the smallest and its root.
        """
        index = _index(self.xp, where, self.x)
        self.x[index] = joined(self.xp, x, self.x)
        self.dual[index] = joined(self.xp, p, self.x)
        self.root_gap[where], self.niter[where], self.reason[where] = root_gap, niter, reason

    def put_field(self, where, v):
        """Note vector fields; those that are never noted are zero."""
        if self.field is None:
            self.field = self.xp.zeros_like(self.dual)
        self.field[_index(self.xp, where, self.x)] = joined(self.xp, v, self.x)

    def solution(self):
        """The `Solution` of all samples."""
        bound, least = math.sqrt(2) * self.root_gap, np.nextafter(0, 1)
        gap = np.maximum(self.root_gap**2, np.where(self.root_gap > 0, least, 0))
        return Solution(self.x, bound, self.niter, self.reason, gap, self.dual,
                        field=self.field)  # fmt: skip


def _half_squares(xp, parts):
    sums = xp.stack([xp.sum(sample * sample, dtype=xp.float64) for sample in parts])
    return np.asarray(to_device(sums, "cpu")) / 2


def _index(xp, where, like):
    return xp.asarray(where, device=like.device)


def _channels(xp, images):
    """``(size, *shape)`` as ``(size, channels, *shape)``: real and imaginary parts."""
    if xp.isdtype(images.dtype, "complex floating"):
        return xp.stack([xp.real(images), xp.imag(images)], axis=1)
    return images[:, None, ...]


def joined(xp, parts, like):
    """Inverse of `_channels`."""
    if xp.isdtype(like.dtype, "complex floating"):
        return xp.astype(parts[:, 0, ...], like.dtype) + 1j * parts[:, 1, ...]
    return parts[:, 0, ...]
