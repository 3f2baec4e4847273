"""What a solver gives back: the answer, its certificate, and why it stopped."""

from typing import Any, NamedTuple


class Solution(NamedTuple):
    r"""Result of a solver.

    Parameters
    ----------
    x : element
        The approximate solution.
    error_bound : float or None
        Bound of the distance of ``x`` to the exact solution in the norm of its space, or None
        where the method has none.
    niter : int
        Number of iterations taken.
    reason : str
        ``"accuracy"``: the error bound is as small as asked for.
        ``"discrepancy"``: the residual came down to the noise.
        ``"maxiter"``: the iterations ran out before that.
    """

    x: Any
    error_bound: float | None
    niter: int
    reason: str


class DivergenceError(ArithmeticError):
    """An iteration grows instead of converging, with the step size or constant to blame."""
