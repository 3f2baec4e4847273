"""Valid calls of comparisons."""

import comparison_problems as problems

from odl_learned import comparison

VALUES = {"gain": (0.5,), "noise": (0.1, 0.2)}

COMPARISON = {
    "comparison.grid": (comparison.grid, lambda: dict(values=VALUES)),
    "comparison.compare": (comparison.compare, lambda: dict(
        simulate=problems.simulate, methods={"divided": problems.divided},
        cells=comparison.grid(VALUES), score=problems.minus_error, folder=None, executor=None,
        progress=False)),
}
