"""Answers that are measured again: what recurrences estimate, the true residual confirms."""

import numpy as np

from odl_learned.solvers.arithmetic.active import Active


def confirmed(samples, x0, maxiter, run, measure):
    r"""Run a recurrence until its true residual is as small as asked for.

    Short recurrences update residuals instead of computing them, and drift by rounding errors.
    Where the true one is too large, the recurrence starts again from its last point; where that no
    longer makes it smaller by a tenth, rounding errors are what is left.

    Parameters
    ----------
    samples : Element or Batch
    x0 : element or batch
    maxiter : int
        Largest number of iterations in total.
    run : callable
        ``(index, x, limit, tell) -> (x, niter, reason)`` from ``x`` for the samples ``index``, at
        most ``limit`` iterations each; ``tell(x)`` after each.
    measure : callable
        ``(index, x) -> (size, target, error_bound)``, arrays or None for the bound.

    Returns
    -------
    solution : Solution
    """
    active = Active(samples, x0)
    x, used = x0, np.zeros(samples.size, dtype=int)
    last = np.full(samples.size, np.inf)
    while active.index.size:
        index = active.index
        x, niter, reason = run(index, x, maxiter - used, active.whole)
        used = used + niter
        size, target, bound = measure(index, x)
        missed = (reason == "accuracy") & ~(size <= target)
        stuck = missed & ~(size < 0.9 * last)
        reason = np.where(missed, "rounding", reason)
        done = ~missed | stuck | (used >= maxiter)
        reason = np.where(missed & ~stuck, "maxiter", reason)
        rest = active.finish(done, x, used, reason, error_bound=bound)
        x, used, last = samples.take(x, rest), used[rest], size[rest]
    return active.solution()
