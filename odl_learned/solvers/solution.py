"""What a solver gives back: the answer, its certificate, and why it stopped."""

import collections
from typing import Any, Generic, NamedTuple

import numpy as np

from odl_learned.solvers.types import Image


class Solution(NamedTuple, Generic[Image]):
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
    field : element, batch or None
        The vector field ``v`` that `tgv_denoising` minimizes over, or None.
    """

    x: Image
    error_bound: Any
    niter: Any
    reason: Any
    gap: Any = None
    dual: Any = None
    residual: Any = None
    field: Any = None

    def __repr__(self):
        """Shapes and types of arrays; of the numbers of samples the least and the largest."""
        numbers = {name: _range(getattr(self, name)) for name in ("error_bound", "niter")}
        parts = {"x": _shape(self.x), **numbers, "reason": _reasons(self.reason)}
        for name, shown in (("gap", _range), ("dual", _shape), ("residual", _range),
                            ("field", _shape)):
            value = getattr(self, name)
            if value is not None:
                parts[name] = shown(value)
        return f"Solution({', '.join(f'{name}={text}' for name, text in parts.items())})"


class DivergenceError(ArithmeticError):
    """An iteration grows instead of converging, with the step size or constant to blame.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import functionals, solvers
    >>> X = odl.rn(2)
    >>> f = 50 * functionals.l2_fidelity(X.one())
    >>> try:  # the constant is 50, not 1
    ...     solvers.gradient_descent(f, X.zero(), 1e-6, 10000, lipschitz=1.0, strong_convexity=1.0)
    ... except solvers.DivergenceError as error:
    ...     print(str(error).split(":")[0])
    ...
    gradient_descent may diverge
    """


def _shape(x):
    """Kind, shape and type of entries of an element or of arrays."""
    if isinstance(x, tuple):
        return f"({', '.join(map(_shape, x))})"
    if hasattr(x, "space") and hasattr(x, "parts") and not getattr(x.space, "is_power_space", True):
        return f"({', '.join(map(_shape, x.parts))})"
    dtype = str(getattr(x, "dtype", "")).removeprefix("torch.")
    kind = "element" if hasattr(x, "space") else type(x).__name__
    words = [kind, str(tuple(x.shape)) if hasattr(x, "shape") else "", dtype]
    return f"<{' '.join(filter(None, words))}>"


def _range(values):
    """A number, or the least and the largest one of several samples."""
    if values is None:
        return "None"
    array = np.asarray(values)
    if array.size == 0:
        return "[]"
    kind = "d" if array.dtype.kind in "iu" else ".3g"
    least, largest = format(array.min(), kind), format(array.max(), kind)
    return least if array.ndim == 0 or least == largest else f"{least}..{largest}"


def _reasons(reason):
    """A reason, or how many samples have which."""
    if isinstance(reason, str):
        return repr(reason)
    counts = collections.Counter(np.asarray(reason).ravel().tolist())
    return ", ".join(f"{count} x {name!r}" for name, count in sorted(counts.items())) or "[]"
