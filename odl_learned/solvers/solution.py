"""What a solver gives back: the answer, its certificate, and why it stopped."""

from typing import Any, NamedTuple


class Solution(NamedTuple):
    r"""Result of a solver.

    For one ODL element all numbers are Python numbers; for a batch they are numpy arrays with one
    entry per sample.

    Parameters
    ----------
    x : element or batch
        The approximate solution.
    error_bound : float, array or None
        Bound of the distance of ``x`` to the exact solution in the norm of its space, or None
        where the method has none.
    niter : int or array
        Number of iterations taken.
    reason : str or array
        ``"accuracy"``: the certificate is as small as asked for.
        ``"discrepancy"``: the residual came down to the noise.
        ``"maxiter"``: the iterations ran out before that.
        ``"rounding"``: rounding errors allow no better answer in this precision.
    gap : float, array or None
        Bound of the distance of the objective at ``x`` to its minimum, or None.
    dual : element, batch or None
        Dual variable of a primal-dual method, or None.
    residual : float, array or None
        What is left of the equation that `fixed_point` solves, or None.
    """

    x: Any
    error_bound: Any
    niter: Any
    reason: Any
    gap: Any = None
    dual: Any = None
    residual: Any = None


class DivergenceError(ArithmeticError):
    """An iteration grows instead of converging, with the step size or constant to blame."""
