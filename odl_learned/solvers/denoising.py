"""What the denoising solvers share: their door, groups of samples, and when to look at the gap."""

import math

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj, is_numpy_array, to_device

from odl_learned.solvers.sheets import GROUP, on_host
from odl_learned.solvers.solution import Solution
from odl_learned.validation import require_count, require_positive
from odl_learned.weights import constant_weight

#: ``tau sigma |L|^2`` of an iteration that is fast and nearly always stable, and of one that is.
BOLD, SAFE = 1.31, 1.0
#: A gap that grows by this factor, or does not shrink by PROGRESS while the number of iterations
#: triples, shows that the bold iteration is unstable.
GROWTH, PROGRESS = 20.0, 0.7
FIRST_CHECK = 10


def checked(data, alpha, accuracy, maxiter, cell_sides):
    """The door: parameters per sample and cell sides, after all have been checked."""
    if not is_array_api_obj(data) or data.ndim < 2:
        raise TypeError(
            f"data is a {type(data).__name__}, expected an element of a uniform_discr space or an "
            "array of shape (size, *shape), samples first; one image is image[None]."
        )
    xp = array_namespace(data)
    if not xp.isdtype(data.dtype, ("real floating", "complex floating")):
        raise TypeError(f"data is {data.dtype}, expected floats; convert it with astype or .to.")
    if getattr(data, "requires_grad", False):
        raise TypeError("data requires a gradient, which the iterations do not have; pass "
                        "data.detach().")
    size, ndim = data.shape[0], data.ndim - 1
    alpha = np.asarray(to_device(alpha, "cpu") if is_array_api_obj(alpha) else alpha, float)
    if alpha.shape not in ((), (size,)) or not (np.isfinite(alpha) & (alpha > 0)).all():
        raise ValueError(
            f"alpha is {alpha}, expected a positive number or one per sample, of shape ({size},)."
        )
    sides = [1.0] * ndim if cell_sides is None else [float(h) for h in cell_sides]
    if len(sides) != ndim or not all(math.isfinite(h) and h > 0 for h in sides):
        raise ValueError(f"cell_sides is {cell_sides}, expected {ndim} positive lengths.")
    if not bool(xp.all(xp.isfinite(data))):
        raise ValueError("data contains NaN or infinite values; expected finite numbers only. Find "
                         "them with numpy.isfinite and mask or replace them first.")
    require_positive("accuracy", accuracy)
    require_count("maxiter", maxiter, 0)
    return np.broadcast_to(alpha, (size,)), sides


def require_grid(space):
    """Raise TypeError unless the space is a uniform discretization with a constant weight."""
    if not hasattr(space, "cell_sides"):
        raise TypeError(
            f"data is an element of {space!r}; expected a uniform discretization, built with "
            "odl.uniform_discr(min_pt, max_pt, shape), since differences need cell sides."
        )
    constant_weight("the space of data", space)


def of_element(found, space):
    """The solution of a batch of one image as that of an element, in the norm of its space."""
    weight = constant_weight("the space of data", space)
    bound, gap = math.sqrt(weight) * found.error_bound.item(), weight * found.gap.item()
    dual = (space**space.ndim).element(list(found.dual[0]))
    return Solution(space.element(found.x[0]), bound, found.niter.item(), found.reason.item(),
                    gap, dual)  # fmt: skip


def denoise(start, images, alpha, accuracy, maxiter, callback):
    """Solve ``min_x |x - y|^2 / 2 + alpha R(x)`` for a batch, where ``R`` ignores constants.

    Parameters
    ----------
    start : callable
        ``start(y, stability)`` begins the iteration for ``alpha = 1`` and ``y`` of shape ``(size,
        channels, *shape)``, real: an object with ``step()``, ``measure()`` (gaps and values of the
        objective, numpy arrays), ``x()`` and ``p()`` (arrays with the samples first), ``take``.
    images : array of shape ``(size, *shape)``
    alpha : numpy.ndarray of shape ``(size,)``
    accuracy, maxiter, callback
        As of the solvers.

    Returns
    -------
    solution : Solution
        With the dual of the channels joined, of shape ``(size, d, *shape)``. Tensors on the host
        are computed by numpy on their own memory, which dispatches faster.
    """
    xp, size = array_namespace(images), images.shape[0]
    if on_host(images) and not is_numpy_array(images):
        found = denoise(start, np.from_dlpack(images), alpha, accuracy, maxiter, callback)
        return found._replace(x=xp.asarray(found.x), dual=xp.asarray(found.dual))
    group = max(1, GROUP // math.prod(images.shape[1:])) if on_host(images) else max(1, size)
    results = Results(xp, images)
    for begin in range(0, size, group):
        where = np.arange(begin, min(begin + group, size))
        for stability in (BOLD, SAFE):
            where = _run(start, images, alpha, where, stability, accuracy, maxiter, callback,
                         results)  # fmt: skip
            if not len(where):
                break
    return results.solution()


def _run(start, images, alpha, where, stability, accuracy, maxiter, callback, results):
    """Iterate on the samples ``where``; return those whose gap grew."""
    xp = array_namespace(images)
    part = _channels(xp, images[_index(xp, where, images), ...])
    mean = xp.stack([xp.mean(c) for sample in part for c in sample])
    mean = xp.reshape(mean, (*part.shape[:2], *[1] * (images.ndim - 1)))
    scale = xp.asarray(alpha[where], dtype=part.dtype, device=part.device)
    scale = xp.reshape(scale, (-1, *[1] * images.ndim))
    part = (part - mean) / scale
    state = start(part, stability)
    clock = Clock(accuracy, accuracy**2 * _half_squares(xp, part))
    again = []
    for k in range(maxiter + 1):
        due = clock.due(k, k == maxiter)
        if due.any():
            gap, value = state.measure()
            met, grown = clock.look(k, due, gap, value)
            grown &= stability > SAFE
            met, done = met & ~grown, met | grown | (k == maxiter)
            again.extend(where[grown])
            kept = np.flatnonzero(done & ~grown)
            if len(kept):
                index = _index(xp, kept, images)
                factor = scale[index, ...]
                results.put(
                    where[kept], k, np.where(met[kept], "accuracy", "maxiter"),
                    gap[kept] * alpha[where[kept]] ** 2,
                    state.x()[index, ...] * factor + mean[index, ...],
                    state.p()[index, ...] * factor[:, :, None, ...],
                )  # fmt: skip
            if done.all():
                break
            if done.any():
                rest = np.flatnonzero(~done)
                index = _index(xp, rest, images)
                state, where = state.take(index), where[rest]
                scale, mean = scale[index, ...], mean[index, ...]
                clock.take(rest)
        state.step()
        if callback is not None:
            callback()
    return np.array(again, dtype=int)


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

    def look(self, k, due, gap, value):
        """Which samples are done, and which are unstable; the others get a date."""
        goal = np.maximum(self.accuracy / (1 + self.accuracy) * value, self.enough)
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
        self.x = xp.empty_like(images)
        self.dual = xp.empty((size, images.ndim - 1, *images.shape[1:]), dtype=images.dtype,
                             device=images.device)  # fmt: skip
        self.gap, self.niter = np.zeros(size), np.zeros(size, dtype=int)
        self.reason = np.full(size, "maxiter", dtype=object)

    def put(self, where, niter, reason, gap, x, p):
        """Note the results of some samples; ``x`` and ``p`` have channels behind the samples."""
        index = _index(self.xp, where, self.x)
        self.x[index] = joined(self.xp, x, self.x)
        self.dual[index] = joined(self.xp, p, self.x)
        self.gap[where], self.niter[where], self.reason[where] = gap, niter, reason

    def solution(self):
        """The `Solution` of all samples."""
        bound = np.sqrt(2 * self.gap)
        return Solution(self.x, bound, self.niter, self.reason, self.gap, self.dual)


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
