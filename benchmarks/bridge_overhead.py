"""What one node of a lowered expression costs besides its arithmetic, in microseconds."""

import odl
import torch
from timing import race, require_close

from odl_learned.bridge import as_module

SIZES = {"tiny": (4, 3), "full": (32, 25)}  # depth of the expression, rounds


def measure(size):
    """Return the time per node of a chain of multiplications, less that of the multiplications."""
    depth, rounds = SIZES[size]
    space = odl.rn(4, dtype="float32")
    factors = [1 + 0.01 * torch.arange(4.0) + 0.001 * i for i in range(depth)]
    leaves = [odl.MultiplyOperator(space.element(f.numpy())) for f in factors]
    op = leaves[0]
    for leaf in leaves[1:]:
        op = odl.OperatorComp(leaf, op)
    nodes = 2 * depth - 1
    module, x = as_module(op), torch.ones(1, 4)

    def bare():
        y = x
        for factor in factors:
            y = factor * y
        return y

    require_close("the module", module(x), bare(), 1e-5)
    seconds = race(f"a chain of {depth} multiplications, {nodes} nodes",
                   {"torch": bare, "odl_learned": lambda: module(x)}, rounds)
    return {"node_overhead_us": 1e6 * (seconds["odl_learned"] - seconds["torch"]) / nodes}
