"""The plot of `scaling.py`: seconds over pixels, a panel for each computation."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

#: Ours first, dark; the others in the colors of Okabe and Ito, which all eyes can tell apart.
COLORS = {
    "odl_learned": "black", "odl_learned, an image of eight": "0.55",
    "ODL with our matrix": "black", "ODL with ASTRA": "#D55E00", "ODL": "#D55E00",
    "ODL, pdhg": "#D55E00", "SciPy": "#0072B2", "scikit-image": "#009E73",
    "torch, written out": "#CC79A7", "deepinv": "#56B4E9",
}  # fmt: skip


def plot(numbers, titles, path):
    """Write the plot.

    Parameters
    ----------
    numbers : dict of dict of dict
        For each computation and contestant the seconds by the number of pixels of a side.
    titles : dict of str to str
        Of the computations.
    path : str or path-like
    """
    columns = min(3, len(numbers))
    rows = -(-len(numbers) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(4.2 * columns, 3.6 * rows),
                                squeeze=False, layout="constrained")
    for ax in axes.flat[len(numbers):]:
        ax.set_axis_off()
    for ax, (name, contestants) in zip(axes.flat, numbers.items()):
        _draw(ax, contestants)
        ax.set_title(titles[name].replace("^2", "²"), fontsize=9)
    for ax in axes[:, 0]:
        ax.set_ylabel("CPU seconds, one thread")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw(ax, contestants):
    drawn = []
    for name, times in contestants.items():
        sides = [int(n) for n, value in times.items() if value is not None]
        values = [times[str(n)] for n in sides]
        drawn += zip(sides, values)
        ours = COLORS.get(name) == "black"
        ax.loglog(sides, values, marker="o", markersize=3.5, linewidth=2.2 if ours else 1.3,
                  color=COLORS.get(name), label=name)
    sides = np.array(sorted({n for n, _ in drawn}))
    lowest = min(value for n, value in drawn if n == sides[-1])
    ax.loglog(sides, 0.4 * lowest * (sides / sides[-1]) ** 2, ":", color="0.6", linewidth=1,
              label="as the pixels")
    ax.set_xticks(sides, [f"{n}²" for n in sides])
    ax.minorticks_off()
    ax.grid(alpha=0.25)
    ax.legend(fontsize=7, frameon=False)
