"""Comparisons: methods over a grid of cells, such as sampling rates and noise levels, resumably.

A cell is a mapping from names to numbers and words, of `grid` or your own; ``simulate(cell)`` makes
a `Simulated` problem of it, and a method is any function ``(forward_op, data, noise_level) ->
images``. `compare` runs every method in every cell, through any executor of
``concurrent.futures``, keeps each result as a file and goes on where it was interrupted. The
answer is a `Table` with means, spreads and paired differences, as CSV or JSON.
"""

from odl_learned.comparison.cells import Simulated, grid
from odl_learned.comparison.running import CellError, compare
from odl_learned.comparison.table import Difference, Table

__all__ = ["CellError", "Difference", "Simulated", "Table", "compare", "grid"]
