"""How problems are solved for parameter after parameter, for elements and for batches."""

from typing import Any, NamedTuple

import numpy as np

from odl_learned.solvers import primal_dual
from odl_learned.solvers.arithmetic.samples import samples_of
from odl_learned.solvers.solution import Solution
from odl_learned.solvers.types import CertifiedProblem, Numbers
from odl_learned.validation import shown


class Choice(NamedTuple):
    """A regularization parameter and how it was found.

    For a batch all numbers are arrays with one entry per sample.

    Attributes
    ----------
    alpha : float or array
    bracket : pair of floats or arrays
        Parameters between which the one that was asked for is: proven by `by_discrepancy`, zero and
        infinity where it proved nothing; neighbors of larger risk by the other rules.
    solution : Solution
        For ``alpha``, with its gap.
    path : list of Trial or Fit, or for a batch a list of such lists
        All that was tried.
    reason : str or array
        ``"accuracy"``: the parameter is as accurate as asked for. ``"maxiter"``, ``"rounding"``:
        the solver stopped for this reason before its gap could decide.

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> from odl_learned import data, functionals, solvers, variational
    >>> from odl_learned.variational import parameter_choice
    >>> X, rng = odl.uniform_discr([0, 0], [8, 8], (8, 8)), np.random.default_rng(0)
    >>> y = data.add_white_noise(odl.phantom.shepp_logan(X, modified=True), 0.2, rng)
    >>> identity = odl.IdentityOperator(X)
    >>> discrepancy = solvers.Discrepancy(identity, y, 0.2 * 8, 1.0)
    >>> choice = parameter_choice.by_discrepancy(
    ...     lambda alpha: variational.tv_problem(identity, functionals.l2_fidelity(y), alpha),
    ...     discrepancy, start=0.1, rtol=0.1)
    >>> isinstance(choice, parameter_choice.Choice)
    True
    >>> isinstance(choice.path[0], parameter_choice.Trial)
    True
    >>> print(choice.bracket[0] <= choice.alpha <= choice.bracket[1], choice.reason)
    True accuracy
    """

    alpha: Any
    bracket: tuple
    solution: Solution
    path: list
    reason: Any


def by_primal_dual(
    problem: CertifiedProblem, accuracy: Numbers, start: Solution | None
) -> Solution:
    """Solve a problem, or its twin of a batch, from an earlier solution.

    Parameters
    ----------
    problem : variational.Problem, or ``bridge.as_batch`` of some
    accuracy : float or array
        Relative gap to reach.
    start : Solution or None
        With ``x`` and ``dual``.

    Returns
    -------
    solution : Solution

    Raises
    ------
    TypeError
        If the start is no solution, and errors as of `solvers.primal_dual`.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import functionals, variational
    >>> from odl_learned.variational import parameter_choice
    >>> X = odl.uniform_discr([0, 0], [8, 8], (8, 8))
    >>> y, identity = odl.phantom.shepp_logan(X, modified=True), odl.IdentityOperator(X)
    >>> first, second = (variational.tv_problem(identity, functionals.l2_fidelity(y), alpha)
    ...                  for alpha in (0.1, 0.11))
    >>> solution = parameter_choice.by_primal_dual(first, 1e-4, None)
    >>> warm = parameter_choice.by_primal_dual(second, 1e-4, solution)
    >>> cold = parameter_choice.by_primal_dual(second, 1e-4, None)
    >>> print(warm.niter < cold.niter)
    True
    """
    if not (start is None or (hasattr(start, "x") and hasattr(start, "dual"))):
        raise TypeError(f"start is {shown(start)}; expected a solvers.Solution of an earlier "
                        "problem, or None.")
    x0, dual0 = (None, None) if start is None else (start.x, start.dual)
    return primal_dual(problem, x0, accuracy, dual0=dual0)


def checked(found):
    """Return what a user's function returned, or raise TypeError unless it is a solution."""
    if not (hasattr(found, "x") and hasattr(found, "gap")):
        raise TypeError(f"solve returns {shown(found)}; expected a solvers.Solution(x, "
                        "error_bound, niter, reason, gap).")
    return found


def taken(solution, index):
    """The starting points of some samples of a batch."""
    if solution is None:
        return None
    x, dual = (None if v is None else samples_of(v).take(v, index)
               for v in (solution.x, solution.dual))
    return solution._replace(x=x, dual=dual)


def put(solution, index, found, size):
    """A solution of a batch with that of some samples replaced; the new one if it has all."""
    if len(index) == size:
        return found
    parts = {}
    for name, old in solution._asdict().items():
        new = getattr(found, name)
        if old is None or new is None:
            parts[name] = None
        elif name in ("x", "dual", "field"):
            samples = samples_of(old)
            parts[name] = samples.put(samples.scale(1.0, old), index, new)
        else:
            parts[name] = np.array(old)
            parts[name][index] = new
    return solution._replace(**parts)


def reported(solution):
    """Gaps, iterations and reasons as arrays with one entry per sample."""
    gap, niter, reason = (np.atleast_1d(v) for v in (
        solution.gap, solution.niter, solution.reason))
    return np.asarray(gap, dtype=float), niter, reason
