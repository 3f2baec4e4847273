"""Forward-backward steps of a batch: constants, momentum and certificates."""

import dataclasses
import math

import numpy as np

from odl_learned.solvers.arithmetic.active import Active
from odl_learned.solvers.arithmetic.samples import numbers_of, restricted, samples_of
from odl_learned.solvers.checks import (
    knows,
    per_sample,
    require_constants,
    require_gradient,
    require_start,
)
from odl_learned.solvers.solution import DivergenceError
from odl_learned.validation import real_numbers, require_count, require_positive

GAP_EVERY = 10


@dataclasses.dataclass(frozen=True)
class Backtracking:
    r"""Search for the step: double ``L`` until the quadratic model lies above ``f``.

    .. math:: f(x_+) \le f(y) + \langle \nabla f(y), x_+ - y \rangle + \tfrac L2 |x_+ - y|^2 .

    Parameters
    ----------
    start : float, optional
        First ``L``. Default: how much the gradient changes along its first step, a lower bound.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import functionals, solvers
    >>> X = odl.uniform_discr([0, 0], [8, 8], (8, 8))
    >>> f, box = functionals.l2_fidelity(4 * X.one()), functionals.BoxConstraint(X, 0, 1)
    >>> solution = solvers.fista(f, box, X.zero(), 1e-6, 100, solvers.Backtracking(0.1), 1.0)
    >>> print(f"{solution.x.data.max():.4f}", solution.reason)
    1.0000 accuracy
    """

    start: float | None = None

    def __post_init__(self):
        if self.start is not None:
            require_positive("start", self.start)


# With x_+ = prox(y - t grad f(y)), the vector (y - x_+) / t - grad f(y) is a subgradient of g at
# x_+, so that
#     r = (y - x_+) / t - grad f(y) + grad f(x_+)
# is one of f + g, and |x_+ - x_hat| <= |r| / mu with mu = mu_f + mu_g, whatever the step. For
# t <= 1 / L the map I - t grad f is Lipschitz with the constant 1 - t mu_f, so that also
#     |r| = |(I - t grad f)(y) - (I - t grad f)(x_+)| / t <= (1 / t - mu_f) |y - x_+| ,
# which needs no further gradient. It tells when to compute |r|.
class ForwardBackward:
    """One call of a solver of this kind: the state of the running samples, and the steps."""

    def __init__(self, name, f, g, x0, accuracy, maxiter, lipschitz, convexity, gap, discrepancy,
                 callback):  # fmt: skip
        for functional, what in ((f, "gradient"), (g, "proximal")):
            if not knows(functional, what):
                raise TypeError(
                    f"{functional!r} has no {what}; {name} expects f with a gradient and g with a "
                    "proximal. Swap them, or split the problem for a primal-dual method."
                )
        if not (discrepancy is None or hasattr(discrepancy, "reached")):
            raise TypeError(
                f"discrepancy is {discrepancy!r}, expected None or a "
                "Discrepancy(forward_op, data, noise_norm)."
            )
        if not (gap is None or callable(gap)):
            raise TypeError(
                f"gap is {gap!r}, expected a function of x that returns duality gaps; without one, "
                "leave it out and pass strong_convexity=..."
            )
        require_count("maxiter", maxiter, 1)
        self.name, self.f, self.g, self.maxiter, self.callback = name, f, g, maxiter, callback
        self.gap, self.discrepancy = gap, discrepancy
        self.samples = samples_of(x0, getattr(f, "domain", None))
        for functional, name in ((f, "f"), (g, "g")):
            space = getattr(functional, "domain", None)
            require_start("x0", x0, self.samples, space, f"{name}.domain")
        self.active = Active(self.samples, x0)
        self.mu_f = self._convexity("strong_convexity", f, convexity[0])
        self.mu_g = self._convexity("g_strong_convexity", g, convexity[1])
        self.accuracy = None if accuracy is None else per_sample("accuracy", accuracy, self.samples)
        if accuracy is not None and gap is None and np.any(self.mu_f + self.mu_g == 0):
            raise ValueError(
                f"accuracy is {accuracy!r}, but strong convexity of f and g is not known, so that "
                "no distance can be certified; pass strong_convexity=..., g_strong_convexity=..., "
                "or gap=..., or accuracy=None and stop by maxiter or discrepancy=..."
            )
        self.x = self.samples.scale(1.0, x0)
        self.y, self.slope = self.x, f.gradient(self.x)
        self._set_lipschitz(lipschitz)
        self.t = np.ones(self.samples.size)

    def solve(self, restart):
        """Iterate until every sample has stopped; without `restart` there is no momentum."""
        if self.discrepancy is not None:
            reached = self.discrepancy.reached(self.x)
            if reached.any():
                self._finish(reached, 0, "discrepancy", None, None)
        niter = 0
        while self.active.index.size:
            niter += 1
            x_next = self._step()
            moved = self.samples.norm(self._minus(self.y, x_next))
            if not np.isfinite(moved).all():
                self._diverge(~np.isfinite(moved), f"are not finite at iteration {niter}. Pass a "
                              "larger lipschitz, or check f.gradient(x0)")  # fmt: skip
            y, slope = self.y, self.slope
            if restart is None:
                self.y = x_next
            else:
                momentum = self._momentum(restart, x_next)
                self.y = self.samples.extrapolate(x_next, momentum, self.x)
            self.x, self.slope = x_next, self.f.gradient(self.y)
            if not self.searching and (niter <= 10 or niter % 10 == 0):
                step, change = self._minus(self.y, y), self._minus(self.slope, slope)
                require_constants(self.name, self.active, self.samples, self.y, step, change,
                                  self.L, self.mu_f)  # fmt: skip
            if niter == 1:
                short = self.samples.scale(-1e-2 / self.L, slope)
                require_gradient(self.name, self.active, self.samples, self.f, y, slope, short,
                                 self.L)  # fmt: skip
            if self.callback is not None:
                self.callback(self.active.whole(x_next))
            self._stop(niter, moved, y, slope)
        return self.active.solution()

    def _minus(self, x, y):
        return self.samples.difference(x, y)

    def _step(self):
        tau = float(1 / self.L[0]) if self.shared else self.samples.number(1 / self.L)
        x_next = self.g.proximal(tau)(self.samples.add(self.y, -tau, self.slope))
        return self._search(x_next) if self.searching else x_next

    def _search(self, x_next):
        value = numbers_of(self.f(self.y))
        slack = 10 * self.samples.eps(self.x) * np.abs(value)
        for _ in range(40):
            step = self._minus(x_next, self.y)
            model = self.samples.inner(self.slope, step) + self.L / 2 * self.samples.norm(step) ** 2
            failed = np.flatnonzero(~(numbers_of(self.f(x_next)) <= value + model + slack))
            if not failed.size:
                return x_next
            self.L[failed] *= 2
            part, g = self.samples.subset(failed), restricted(self.g, failed)
            y, slope = (self.samples.take(v, failed) for v in (self.y, self.slope))
            tau = part.number(1 / self.L[failed])
            x_next = self.samples.put(x_next, failed, g.proximal(tau)(part.add(y, -tau, slope)))
        self._diverge(np.isin(np.arange(self.samples.size), failed),
                      "of f rise for every step, however short. Check that f is finite at x0 and "
                      "that f.gradient is its gradient in the inner product of the space")

    def _momentum(self, restart, x_next):
        tau, mu = 1 / self.L, self.mu_f + self.mu_g
        t = np.where(restart(self.samples, self.y, x_next, self.x), 1.0, self.t)
        first = 1 - tau * mu / (1 + tau * self.mu_g) * t**2
        self.t = (first + np.sqrt(first**2 + 4 * t**2)) / 2
        rest = 1 - tau * self.mu_f
        beta = (t - 1) / self.t * (1 + tau * self.mu_g - self.t * tau * mu)
        return np.where(rest > 1e-12, beta / np.where(rest > 1e-12, rest, 1), 0.0)

    def _stop(self, niter, moved, y, slope):
        last = niter == self.maxiter
        if not last and self.accuracy is self.gap is self.discrepancy is None:
            return
        mu = self.mu_f + self.mu_g
        none = np.zeros(self.samples.size, dtype=bool)
        done = reached = none
        if self.discrepancy is not None:
            reached = self.discrepancy.reached(self.x)
        gap = None
        if self.gap is not None and (last or reached.any() or niter % GAP_EVERY == 0):
            gap = np.broadcast_to(numbers_of(self.gap(self.x)), none.shape)
            done = none if self.accuracy is None else gap <= self.accuracy
        near = done | reached | last
        if self.gap is None and self.accuracy is not None:
            near = near | ((self.L - self.mu_f) * moved <= self.accuracy * mu)
        bound = None
        if near.any() and np.any(mu > 0):
            bound = self._error_bound(np.flatnonzero(near), y, slope)
            if gap is not None:
                by_gap = np.sqrt(2 * np.maximum(gap, 0) / np.where(mu > 0, mu, 1))
                bound = np.where(mu > 0, np.minimum(bound, by_gap), math.inf)
            if self.gap is None and self.accuracy is not None:
                done = bound <= self.accuracy
        ended = done | reached | last
        if ended.any():
            reason = np.where(done, "accuracy", np.where(reached, "discrepancy", "maxiter"))
            self._finish(ended, niter, reason, bound, gap)

    def _error_bound(self, index, y, slope):
        samples, take = self.samples.subset(index), self.samples.take
        x, y, slope = take(self.x, index), take(y, index), take(slope, index)
        change = samples.add(restricted(self.f, index).gradient(x), -1.0, slope)
        subgradient = samples.add(change, self.L[index], samples.add(y, -1.0, x))
        mu = (self.mu_f + self.mu_g)[index]
        bound = np.full(self.samples.size, math.inf)
        bound[index] = np.where(mu > 0, samples.norm(subgradient) / np.where(mu > 0, mu, 1), np.inf)
        return bound

    def _finish(self, done, niter, reason, bound, gap):
        rest = self.active.finish(done, self.x, niter, reason, bound, gap)
        if not rest.size:
            return
        for name in ("f", "g", "gap", "discrepancy"):
            setattr(self, name, restricted(getattr(self, name), rest))
        for name in ("x", "y", "slope"):
            setattr(self, name, self.samples.take(getattr(self, name), rest))
        for name in ("L", "t", "mu_f", "mu_g"):
            setattr(self, name, getattr(self, name)[rest])
        self.accuracy = None if self.accuracy is None else self.accuracy[rest]
        self.samples = self.samples.subset(rest)

    def _set_lipschitz(self, lipschitz):
        known = getattr(self.f, "grad_lipschitz", math.nan)
        if lipschitz is None:
            usable = np.all(np.isfinite(known)) and np.all(np.asarray(known) > 0)
            lipschitz = known if usable else Backtracking()
        self.searching = isinstance(lipschitz, Backtracking)
        self.shared = not self.searching and np.ndim(lipschitz) == 0
        if self.searching:
            self.L = self._first_guess(lipschitz.start)
            return
        self.L = per_sample("lipschitz", lipschitz, self.samples)
        if np.any(self.mu_f > self.L):
            raise ValueError(
                f"strong_convexity is {self.mu_f.max():.6g}, expected at most lipschitz, "
                f"{self.L.min():.6g}: gradients cannot change by more than lipschitz and less than "
                "strong_convexity times a distance."
            )

    def _first_guess(self, start):
        if start is not None:
            return per_sample("start", start, self.samples)
        size = self.samples.norm(self.slope)
        change = self.samples.norm(self.f.gradient(self.x - self.slope) - self.slope)
        rate = change / np.where(size > 0, size, 1)
        return np.where(np.isfinite(rate) & (rate > 0), rate, 1.0)

    def _diverge(self, wrong, why):
        raise DivergenceError(f"{self.name} may diverge: values{self.active.name(wrong)} {why}.")

    def _convexity(self, name, functional, given):
        declared = getattr(functional, "strong_convexity", None)
        if given is None:
            values = np.asarray(0.0 if declared is None else declared, dtype=np.float64)
            values = np.where(np.isfinite(values), values, 0.0)
        else:
            values = real_numbers(name, given)
        if not (np.all(np.isfinite(values)) and np.all(values >= 0)):
            raise ValueError(f"{name} is {values}; expected finite numbers of at least zero.")
        if values.shape not in ((), (self.samples.size,)):
            raise ValueError(
                f"{name} has shape {values.shape}, expected one number or ({self.samples.size},), "
                "one per sample."
            )
        return np.broadcast_to(values, (self.samples.size,)).copy()
