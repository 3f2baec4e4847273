r"""Fixed points of maps that need not be gradient steps, by Anderson's acceleration."""

import math
from collections.abc import Callable

import numpy as np

from odl_learned.solvers.arithmetic.active import Active
from odl_learned.solvers.arithmetic.samples import restricted, samples_of
from odl_learned.solvers.checks import per_sample, require_alike, require_start
from odl_learned.solvers.solution import DivergenceError, Solution
from odl_learned.solvers.types import Image, Numbers
from odl_learned.validation import is_finite_number, require_count, require_method


def fixed_point(
    step: Callable[[Image], Image],
    x0: Image,
    accuracy: Numbers,
    maxiter: int,
    memory: int = 5,
    contraction: float | None = None,
    callback: Callable[[Image], object] | None = None,
) -> Solution[Image]:
    r"""Find a fixed point ``x = T(x)`` up to a relative residual.

    .. math:: x_{k+1} = T(x_k) - \sum_{i} \gamma_i \, (T(x_{i+1}) - T(x_i)), \qquad
              \gamma = \operatorname{argmin} \Big| r_k - \sum_i \gamma_i (r_{i+1} - r_i) \Big|,
              \qquad r_i = T(x_i) - x_i,

    with the last ``memory`` differences, until ``|r_k| <= accuracy |T(x_k)|``; the answer is
    ``T(x_k)``. On a linear map it is GMRES in essence. Where ``T`` is a contraction by a factor
    ``q < 1``, ``|T(x_k) - x_hat| <= q / (1 - q) |r_k|`` (Banach), whatever way ``x_k`` came about.

    Parameters
    ----------
    step : callable
        T, from points to points of the same kind; for batches with ``step.take(index)``, the same
        for some of the samples, unless it treats all alike.
    x0 : element, or batch: array or tensor of shape ``(B, ...)``
        Starting point, not changed.
    accuracy : float, or array (B,)
        Relative residual to reach, positive.
    maxiter : int
        Largest number of evaluations of T after the first.
    memory : int, optional
        Number of differences; 0 is the plain iteration.
    contraction : float, optional
        A proven factor q, at least 0 and below 1. A pair of successive points that T moves apart
        by more refutes it.
    callback : callable, optional
        Called with ``T(x_k)``, of the samples that still run, after each evaluation.

    Returns
    -------
    solution : Solution
        With ``residual``, ``|T(x_k) - x_k|`` at the point before the answer, and ``error_bound`` by
        the contraction, None without.

    Raises
    ------
    DivergenceError
        If values are not finite, or T is no such contraction.
    TypeError, ValueError
        If T yields points of another kind, or a number is out of bounds.

    References
    ----------
    Walker, H. F. and Ni, P. Anderson acceleration for fixed-point iterations. SIAM J. Numer. Anal.
    49 (2011), section 2. In networks: Bai, Koltun, Kolter (2020).

    Examples
    --------
    >>> import odl
    >>> from odl_learned import solvers
    >>> X = odl.rn(1)
    >>> solution = solvers.fixed_point(lambda x: 0.5 * x + 1, X.zero(), accuracy=1e-8, maxiter=100,
    ...                                contraction=0.5)
    >>> print(f"{solution.x[0]:.6f}", abs(solution.x[0] - 2) <= solution.error_bound)
    2.000000 True
    """
    require_method("step", step, "u -> P(u - tau g(u))", 1)
    if contraction is not None and not (is_finite_number(contraction) and 0 <= contraction < 1):
        raise ValueError(f"contraction is {contraction!r}; expected a factor of at least 0 and "
                         "below 1. Leave it out if none is proven.")
    require_count("maxiter", maxiter, 0)
    require_count("memory", memory, 0)
    samples = samples_of(x0, getattr(step, "domain", None))
    accuracy = per_sample("accuracy", accuracy, samples)
    require_start("x0", x0, samples, getattr(step, "domain", None), "step.domain")

    active = Active(samples, x0)
    x, history = samples.scale(1.0, x0), _History(memory)
    image = step(x)
    if image is None:
        raise TypeError("step(x0) is None, expected another point; return it.")
    require_alike("step(x0)", image, x)
    for niter in range(maxiter + 1):
        rest = samples.add(image, -1.0, x)
        size, scale = samples.norm(rest), samples.norm(image)
        bad = ~np.isfinite(size)
        if bad.any():
            raise DivergenceError(
                f"fixed_point diverges: values{active.name(bad)} are not finite at iteration "
                f"{niter}. The map is expansive; take a smaller step, or a network with a smaller "
                "Lipschitz constant."
            )
        done = size <= accuracy * scale
        if niter == maxiter or done.any():
            bound = None if contraction is None else contraction / (1 - contraction) * size
            left = active.finish(done | (niter == maxiter), image, niter,
                                 np.where(done, "accuracy", "maxiter"), error_bound=bound,
                                 residual=size)  # fmt: skip
            if not left.size:
                break
            x, image, rest = (samples.take(v, left) for v in (x, image, rest))
            accuracy = accuracy[left]
            history.take(samples, left)
            step, samples = restricted(step, left), samples.subset(left)
        x_next = history.next_point(samples, image, rest)
        image_next = step(x_next)
        if contraction is not None:
            _require_contraction(samples, active, contraction, x, image, x_next, image_next)
        x, image = x_next, image_next
        if callback is not None:
            callback(image)
    return active.solution()


class _History:
    """The last differences of residuals and images, and Anderson's mixture of them."""

    def __init__(self, memory):
        self.memory, self.rests, self.images, self.last = memory, [], [], None

    def next_point(self, samples, image, rest):
        """``T(x) - sum_i gamma_i dT_i`` with the least squares solution gamma of every sample."""
        if self.last is not None:
            for kept, new, old in ((self.images, image, self.last[0]),
                                   (self.rests, rest, self.last[1])):  # fmt: skip
                kept.append(samples.add(new, -1.0, old))
                del kept[: len(kept) - self.memory]
        self.last = image, rest
        count = len(self.rests) if self.memory else 0
        point = samples.scale(1.0, image)
        if not count:
            return point
        gram = np.empty((samples.size, count, count))
        for i in range(count):
            for j in range(i + 1):
                gram[:, i, j] = gram[:, j, i] = samples.inner(self.rests[i], self.rests[j])
        target = np.stack([samples.inner(v, rest) for v in self.rests], axis=1)
        # Differences shrink as the iteration goes on: scaled to norm one, none drowns in another.
        # Inner products are rounded by a few units of the product of the norms.
        lengths = np.sqrt(np.maximum(np.einsum("bii->bi", gram), np.finfo(float).tiny))
        gram = gram / (lengths[:, :, None] * lengths[:, None])
        gram = gram + 10 * math.sqrt(count) * samples.eps(image) * np.eye(count)
        gamma = np.linalg.solve(gram, (target / lengths)[..., None])[..., 0] / lengths
        for i in range(count):
            point = samples.add(point, -gamma[:, i], self.images[i])
        return point

    def take(self, samples, index):
        """Go on with some of the samples."""
        self.rests = [samples.take(v, index) for v in self.rests]
        self.images = [samples.take(v, index) for v in self.images]
        if self.last is not None:
            self.last = tuple(samples.take(v, index) for v in self.last)


def _require_contraction(samples, active, contraction, x, image, x_next, image_next):
    apart = samples.norm(samples.add(x_next, -1.0, x))
    moved = samples.norm(samples.add(image_next, -1.0, image))
    # The images are rounded by a few units of their size.
    rounding = 1e2 * samples.eps(image) * (samples.norm(image) + samples.norm(image_next))
    bad = moved > contraction * apart + rounding
    if bad.any():
        k = np.argmax(bad)
        raise DivergenceError(
            f"contraction is {contraction}, but two points{active.name(bad)} were moved to "
            f"{moved[k] / apart[k]:.4g} times their distance: the factor is not true, and no error "
            "bound follows from it. Pass one that is proven, or leave it out."
        )
