"""Continuation: a sequence of problems that ends with the one that is meant."""

from collections.abc import Callable, Iterable

import torch

from odl_learned.learning.bilevel.problem import BilevelProblem
from odl_learned.learning.bilevel.progress import Learned
from odl_learned.validation import require_method, shown


def continuation(
    problems: Iterable[BilevelProblem],
    params0: torch.Tensor,
    learn: Callable[[BilevelProblem, torch.Tensor], Learned],
) -> Learned:
    r"""Learn one problem after the other, each from the parameters of the one before.

    The concave part of a sampling penalty, ``beta_2 sum s (1 - s)``, decides early which points
    stay, and every choice is a local minimum. Learned first without it and then with it, the choice
    is made when the data have had their say: *graduated nonconvexity*,

    .. code-block:: python

        learned = continuation(
            [sampling_problem(..., beta=(0.1, beta2)) for beta2 in (0.0, 0.1)], torch.ones(size),
            lambda problem, params: lbfgsb(problem, params))

    Parameters
    ----------
    problems : sequence of BilevelProblem
        With the same parameters; the last one is what is meant.
    params0 : tensor ``(P,)``
        Start.
    learn : callable
        ``(problem, params) -> Learned``.

    Returns
    -------
    learned : Learned
        Of the last problem.

    Raises
    ------
    ValueError
        If there is no problem.
    TypeError
        If one of them is no `BilevelProblem`, or ``learn`` is no function.

    References
    ----------
    A. Blake, A. Zisserman, *Visual Reconstruction*, MIT Press 1987, chapter 7.
    """
    if isinstance(problems, BilevelProblem):
        raise TypeError("problems is one BilevelProblem, expected a sequence of them; for a single "
                        "one call learn(problem, params0).")
    if not isinstance(problems, Iterable):
        raise TypeError(f"problems is {problems!r}, expected a sequence of BilevelProblem.")
    problems = list(problems)
    if not problems:
        raise ValueError("problems is empty, expected at least the one that is meant.")
    require_method("learn", learn, "lambda problem, params: lbfgsb(problem, params)",
                   2)
    for problem in problems:
        if not isinstance(problem, BilevelProblem):
            raise TypeError(f"problems has a {type(problem).__name__}, expected a BilevelProblem; "
                            "build all of them before learning.")
        problem.require_params(params0)
    for problem in problems:
        learned = learn(problem, params0)
        if not hasattr(learned, "params"):
            raise TypeError(f"learn(problem, params) is {shown(learned)}, expected a Learned, what "
                            "lbfgsb and the other methods return.")
        params0 = learned.params
    return learned
