r"""The discrepancy principle of Morozov, certified by duality gaps.

Let ``x_hat`` minimize ``P(x) = 1/2 |A x - y|^2 + alpha R(x)``, where ``R`` is convex and may hold
constraints. Since ``A* (y - A x_hat)`` is a subgradient of ``alpha R`` there, for any ``x``

    P(x) - P(x_hat) >= 1/2 |A x - y|^2 - 1/2 |A x_hat - y|^2 - <A x_hat - y, A x - A x_hat>
                     = 1/2 |A x - A x_hat|^2 ,

so that a gap ``G >= P(x) - P(x_hat)`` bounds the norm of the exact residual,

    | |A x_hat - y| - |A x - y| | <= |A (x - x_hat)| <= sqrt(2 G) .

``A x_hat`` is unique even where ``x_hat`` is not, and ``|A x_hat - y|`` does not decrease with
``alpha``: the sum of the two inequalities ``P_a(x_a) <= P_a(x_b)`` and ``P_b(x_b) <= P_b(x_a)`` is
``(a - b) (R(x_a) - R(x_b)) <= 0``, and with the first one the residuals are ordered the other way.
"""

import math
import warnings
from collections.abc import Callable

import numpy as np

from odl_learned.solvers import Discrepancy
from odl_learned.solvers.arithmetic.samples import restricted, samples_of
from odl_learned.solvers.checks import per_sample
from odl_learned.validation import is_finite_number, require_method, require_positive, shown
from odl_learned.variational.parameter_choice.search import Search, Trial
from odl_learned.variational.parameter_choice.solving import (
    Choice,
    by_primal_dual,
    checked,
    put,
    reported,
    taken,
)


def by_discrepancy(problem_of_alpha: Callable, discrepancy: Discrepancy, start: float,
                   rtol: float = 0.01, solve: Callable = by_primal_dual, width: float = 0.05,
                   factor: float = 1e6, convexity: float = 1.0) -> Choice:  # fmt: skip
    r"""Find the parameter for which the residual is as large as the noise.

    .. math:: |A x_\alpha - y| = \tau |\text{noise}|, \qquad
              x_\alpha \in \text{argmin}_x \tfrac12 |A x - y|^2 + \alpha R(x) .

    Every solve is only as accurate as it takes: with a duality gap ``G`` the residual of the exact
    minimizer is within ``sqrt(2 G)`` of the computed one, and a parameter is too small or too
    large when this interval says so; otherwise the solver goes on from where it was. The search is
    one of roots, in the logarithms of both.

    Parameters
    ----------
    problem_of_alpha : callable
        ``alpha -> problem``, what ``solve`` solves, such as ``lambda alpha: tv_problem(A,
        l2_fidelity(y), alpha, constraint)``. For a batch ``alpha`` is an array of shape (B,), and
        the problem knows ``take(index)``, as `bridge.as_batch` of a list does.
    discrepancy : solvers.Discrepancy
        ``Discrepancy(A, y, noise_norm, tau)`` with the same operator and data; for white noise,
        `white_noise_norm` is the norm. For a batch of tensors, ``bridge.as_batch(A)``.
    start : float or array (B,)
        Parameter to try first, positive; see `first_alpha`.
    rtol : float, optional
        Relative error of the discrepancy that is good enough, between 0 and 1.
    solve : callable, optional
        ``(problem, accuracy, start) -> Solution`` with the fields ``x``, ``gap``, ``niter`` and
        ``reason``, which is ``"accuracy"`` unless ``gap`` cannot be made smaller. ``accuracy`` is a
        relative gap, ``start`` an earlier solution or None. Default: `by_primal_dual`.
    width : float, optional
        The bracket is good enough where its ends differ by at most this fraction.
    factor : float, optional
        How far from ``start`` to look, larger than one.
    convexity : float, optional
        Constant ``m`` of a data term ``m/2 |A x - y|^2``.

    Returns
    -------
    choice : Choice

    Raises
    ------
    ValueError
        If the data are no larger than the noise, the noise is never reached within ``factor`` of
        the start, or an argument is out of bounds.
    DivergenceError
        If the certificates of two parameters contradict each other.
    TypeError
        If an argument is of another kind.

    Warns
    -----
    RuntimeWarning
        If the search ends undecided, where ``reason`` is not ``"accuracy"``: the parameter is the
        last one tried, and only ``bracket`` is proven.

    References
    ----------
    Morozov, V. A. On the solution of functional equations by the method of regularization. Soviet
    Math. Dokl. 7 (1966). Anzengruber, S. W. and Ramlau, R. Morozov's discrepancy principle for
    Tikhonov-type functionals with nonlinear operators. Inverse Problems 26 (2010).
    """
    require_method("problem_of_alpha", problem_of_alpha, "lambda alpha: tv_problem(A, "
                   "l2_fidelity(y), alpha, constraint)", 1)  # fmt: skip
    require_method("solve", solve, "by_primal_dual", 3)
    if not isinstance(discrepancy, Discrepancy):
        raise TypeError(
            f"discrepancy is {shown(discrepancy)}; expected a solvers.Discrepancy(A, y, noise_norm,"
            " tau=1), with noise_norm = white_noise_norm(A.range, noise_level)."
        )
    for name, value in (("rtol", rtol), ("width", width)):
        if not (is_finite_number(value) and 0 < value < 1):
            raise ValueError(f"{name} is {value!r}; expected a number between 0 and 1.")
    if not (is_finite_number(factor) and factor > 1):
        raise ValueError(f"factor is {factor!r}; expected a finite number greater than one.")
    require_positive("convexity", convexity)
    images = samples_of(discrepancy.data, getattr(discrepancy.forward_op, "range", None))
    starts = per_sample("start", start, images)
    _require_signal(images.norm(discrepancy.data), discrepancy.limit)
    searches = [Search(float(alpha), rtol, width, factor) for alpha in starts]
    run = _Run(problem_of_alpha, discrepancy, solve, float(convexity), images, searches)
    while run.running:
        run.step()
    _warn_if_undecided(searches, discrepancy.tau)
    return run.choice()


class _Run:
    """The searches of all samples, which share their solves."""

    def __init__(self, problem_of_alpha, discrepancy, solve, convexity, images, searches):
        self.problem_of_alpha, self.discrepancy, self.solve = problem_of_alpha, discrepancy, solve
        self.convexity, self.images, self.searches = convexity, images, searches
        self.running = list(range(len(searches)))
        self.limit = np.broadcast_to(discrepancy.limit, (len(searches),))
        # The value of the objective near the root in units of the data term that is wanted there.
        self.size = np.ones(len(searches))
        self.accuracy = np.array([search.error**2 for search in searches])
        self.solution = None

    def step(self):
        """Solve for all samples that still run, and let every search draw its conclusion."""
        index = np.array(self.running)
        number = self.images.number
        alphas = np.array([search.alpha for search in self.searches])
        problem = self.problem_of_alpha(number(alphas))
        is_part = len(index) < len(self.searches)
        if is_part:
            problem = restricted(problem, index)
        start = taken(self.solution, index) if is_part else self.solution
        found = checked(self.solve(problem, number(self.accuracy[index]), start))
        self.solution = put(self.solution, index, found, len(self.searches))
        gap, niter, reasons = reported(found)
        value, error = self._measured(index, found.x, gap)
        for k, i in enumerate(index):
            search, tau = self.searches[i], self.discrepancy.tau
            v, e = float(value[k]), float(error[k])
            trial = Trial(float(alphas[i]), tau * max(v - e, 0.0), tau * (v + e), float(gap[k]),
                          int(niter[k]))  # fmt: skip
            search.observe(v, e, trial, None if reasons[k] == "accuracy" else str(reasons[k]))
            _require_reach(search, len(self.searches), i, self.discrepancy)
            self._aim(i, alphas[i], gap[k])
        self.running = [i for i in self.running if self.searches[i].reason is None]

    def _measured(self, index, x, gap):
        """``|A x - y|`` and its distance to that of the exact minimizer, over the limit."""
        part = self.discrepancy.take(index)
        images = self.images.subset(index)
        image = part.forward_op(x)
        residual = images.norm(image - part.data)
        rounding = 10 * images.eps(part.data) * (images.norm(image) + images.norm(part.data))
        error = np.sqrt(2 * np.maximum(gap, 0) / self.convexity) + rounding
        if np.isnan(residual + error).any():
            raise ValueError("solve returns an x or a gap that is NaN; expected finite numbers.")
        return residual / self.limit[index], error / self.limit[index]

    def _aim(self, i, alpha, gap):
        """Turn the error that a search asks for into the relative gap for its next solve."""
        search, unit = self.searches[i], self.convexity * self.limit[i] ** 2 / 2
        if search.alpha == alpha:
            less = search.error**2 * unit / gap if gap > 0 else 0.5
            self.accuracy[i] *= min(max(less, 1e-3), 0.5)
        else:
            self.size[i] = max(gap / unit / self.accuracy[i], 1.0) if gap < math.inf else 1.0
            self.accuracy[i] = search.error**2 / self.size[i]

    def choice(self):
        """The answers of all searches."""
        def gathered(name, dtype=float):
            values = np.array([getattr(s, name) for s in self.searches], dtype=dtype)
            return self.images.number(values)

        paths = [search.path for search in self.searches]
        is_one = np.ndim(self.images.number(np.zeros(1))) == 0
        return Choice(gathered("alpha"), (gathered("low"), gathered("high")), self.solution,
                      paths[0] if is_one else paths, gathered("reason", object))


def _require_signal(norms, limit):
    below = norms <= limit
    if below.any():
        k = int(np.argmax(below))
        limit = np.broadcast_to(limit, norms.shape)[k]
        raise ValueError(
            f"the norm of the data{_of(k, len(norms))} is {norms[k]:.6g}, not larger than tau times"
            f" noise_norm, {limit:.6g}; expected data with more than noise in them. Zero explains "
            "them as well as any image; check noise_norm, in the norm of the range of forward_op."
        )


def _require_reach(search, count, i, discrepancy):
    if not search.is_exhausted:
        return
    last, tau, where = search.path[-1], discrepancy.tau, _of(i, count)
    found = f"it is between {last.lower:.4g} and {last.upper:.4g} at alpha = {last.alpha:.3g}"
    if search.high < math.inf:
        raise ValueError(
            f"no alpha{where} down to {last.alpha:.3g} has a discrepancy |A x - y| / noise_norm of "
            f"{tau:g}: {found}. The data are inconsistent with the operator and the constraint by "
            "more than the noise; check noise_norm, add the error of the model to it, or take a "
            "larger tau."
        )
    raise ValueError(
        f"no alpha{where} up to {last.alpha:.3g} has a discrepancy |A x - y| / noise_norm of "
        f"{tau:g}: {found}. What the regularizer does not see, such as a constant image, explains "
        "the data up to the noise; check noise_norm, which is that of the noise in the norm of the "
        "range of forward_op."
    )


def _warn_if_undecided(searches, tau):
    """Warn of the searches that ended since their solver stopped."""
    undecided = [k for k, search in enumerate(searches) if search.reason != "accuracy"]
    if undecided:
        k = undecided[0]
        search, more = searches[k], len(undecided) - 1
        last, others = search.path[-1], f", and {more} more samples," if more else ""
        warnings.warn(
            f"the search{_of(k, len(searches))}{others} ended undecided, with the reason "
            f"{search.reason!r}, at alpha = {search.alpha:.3g}, where |A x - y| / noise_norm is "
            f"between {last.lower:.4g} and {last.upper:.4g}; expected an interval beside "
            f"{tau:g}, or within rtol of it. Proven is only that the parameter is between "
            f"{search.low:.3g} and {search.high:.3g}. Allow the solver more iterations (solve), or "
            "take a larger rtol.",
            RuntimeWarning,
            stacklevel=3,
        )


def _of(k, count):
    return "" if count == 1 else f" of sample {k}"
