"""What ``torch.compile`` cannot trace is called between its graphs, as in eager mode.

Dynamo does not trace autograd functions with a forward-mode rule, sparse matrices, ASTRA or ODL. It
would break the graph at the autograd function and then trace what that calls, frame by frame, into
numpy. Disabled as a whole, such a map costs one break of the graph before and one after it.
"""

import torch


def outside_graphs(function, *args):
    """Return ``function(*args)``; under ``torch.compile``, computed outside its graphs.

    ``torch.compiler.disable`` imports the compiler, which takes a second; it is called only where
    the compiler runs anyway.
    """
    if torch.compiler.is_compiling():
        return torch.compiler.disable(function)(*args)
    return function(*args)


def without_transforms():
    """Whether tensors are numbers and no more: no graph, no transform of functions, no compiler."""
    return not (torch.is_grad_enabled() or torch.compiler.is_compiling()
                or torch._C._are_functorch_transforms_active())  # fmt: skip
