"""The curve of residuals and penalties along which a parameter is chosen."""

import math
from collections.abc import Mapping, Sequence
from os import PathLike

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, StrMethodFormatter

from odl_learned.plotting.panels import checked_path, require_kind
from odl_learned.validation import is_finite_number, real_numbers, require_finite, require_shape


def l_curve(
    alphas: Sequence[float] | np.ndarray,
    residuals: Sequence[float] | np.ndarray,
    penalties: Sequence[float] | np.ndarray,
    path: str | PathLike,
    chosen: Mapping[str, float] | None = None,
    title: str = "",
) -> Figure:
    r"""Draw the residuals and penalties of regularization parameters and save the figure.

    A point :math:`(|A x_\alpha - y|, R(x_\alpha))` for every parameter, on logarithmic axes; where
    the curve has a corner, less of one costs much of the other. Parameters that were chosen are
    marked on the line between their neighbors.

    Parameters
    ----------
    alphas, residuals, penalties : sequences of positive numbers, of one length, two at least
        Parameters, norms of residuals, and values of the regularizer without its parameter.
    path : str or Path
        File to write, for example .png (150 dots per inch) or .pdf.
    chosen : dict, str -> float, optional
        Parameters by the name of the rule, between the least and the largest of ``alphas``.
    title : str
        Above the figure.

    Returns
    -------
    figure : matplotlib.figure.Figure

    Raises
    ------
    TypeError
        If something is no sequence of numbers, no dict, no path or no string.
    ValueError
        If lengths differ, numbers are not positive and finite, or a chosen one is out of range.
    FileNotFoundError
        If the folder of ``path`` does not exist.

    References
    ----------
    Hansen, P. C. Analysis of discrete ill-posed problems by means of the L-curve. SIAM Review 34
    (1992).
    """
    require_kind("title", title, str, "a string")
    require_kind("chosen", {} if chosen is None else chosen, dict, "a dict of names and parameters")
    alphas = _positive("alphas", alphas)
    residuals, penalties = (_positive(name, values, alphas.shape) for name, values in (
        ("residuals", residuals), ("penalties", penalties)))
    for name, alpha in (chosen or {}).items():
        if not (is_finite_number(alpha) and alphas.min() <= alpha <= alphas.max()):
            raise ValueError(f"chosen has {name!r} at {alpha!r}, expected a number from "
                             f"{alphas.min():g} to {alphas.max():g}, the range of alphas.")
    path = checked_path(path)
    order = np.argsort(alphas)
    figure = _draw(alphas[order], residuals[order], penalties[order], chosen or {}, title)
    figure.savefig(path, dpi=150)
    return figure


def _positive(name, values, shape=None):
    array = real_numbers(name, values)
    if array.ndim != 1 or len(array) < 2:
        raise ValueError(f"{name} has shape {array.shape}, expected one axis with two numbers at "
                         "least.")
    if shape is not None:
        require_shape(name, array, shape, "One for each of alphas.")
    require_finite(name, array)
    if array.min() <= 0:
        raise ValueError(f"{name} has the value {array.min():g}, expected positive ones only, for "
                         "logarithmic axes; leave this parameter out.")
    return array


def _draw(alphas, residuals, penalties, chosen, title):
    figure = Figure(figsize=(5.2, 4.2), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    ax.loglog(residuals, penalties, "o-", color="0.4", markersize=3, linewidth=1)
    for k in {0, len(alphas) // 2, len(alphas) - 1}:
        ax.annotate(f"$\\alpha$ {alphas[k]:.2g}", (residuals[k], penalties[k]), (-5, -3), size=8,
                    color="0.4", textcoords="offset points", ha="right", va="top")  # fmt: skip
    for k, (name, alpha) in enumerate(chosen.items()):
        at = [np.exp(np.interp(np.log(alpha), np.log(alphas), np.log(values)))
              for values in (residuals, penalties)]
        ax.plot(*at, marker="osDv^<>"[k % 7], color=f"C{k}", linestyle="none", fillstyle="none",
                markersize=7 + 2 * (k % 4), label=f"{name}, {alpha:.2g}")  # fmt: skip
    ax.set(xlabel="residual $|A x - y|$", ylabel="penalty $R(x)$", title=title)
    ax.margins(0.12)
    for axis, values in ((ax.xaxis, residuals), (ax.yaxis, penalties)):
        axis.set_major_locator(FixedLocator(_ticks(values)))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_formatter(NullFormatter())
    ax.grid(alpha=0.3, which="both")
    if chosen:
        ax.legend(frameon=False)
    return figure


def _ticks(values):
    """One, two and five times powers of ten, or powers alone where that would be many."""
    low, high = (math.log10(v) for v in (values.min() / 1.5, values.max() * 1.5))
    factors = (1,) if high - low > 3 else (1, 2, 5)
    return [f * 10.0**k for k in range(math.floor(low), math.ceil(high) + 1) for f in factors]
