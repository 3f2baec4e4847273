"""Checks of torch modules by themselves, on an example of one sample."""

import copy
import io

import torch

from odl_learned.conformance.failure import require, require_small
from odl_learned.conformance.sampling import positive


def check_batch(module, example):
    """A batch of two gives what its samples give one by one, and keeps the dtype."""
    with torch.no_grad():
        both = module(torch.stack([example, 0.5 * example]))
        single = module(torch.stack([0.5 * example]))
    scale = positive(both.abs().max())
    single_precision = example.dtype in (torch.float32, torch.complex64)
    error = float((both[1] - single[0]).abs().max()) / scale
    require_small(error, 1e-5 if single_precision else 1e-12, "module([x, z])[1] = module([z])[0]")
    require(both.dtype == example.dtype, f"result is {both.dtype}, input is {example.dtype}")


def check_module_repeatable(module, example):
    """The module gives the same again; what is random takes a generator, or evaluation mode."""
    with torch.no_grad():
        first, second = (module(torch.stack([example])) for _ in range(2))
    require(torch.equal(first, second),
            "module(x) differs between two calls; call module.eval() first, or take randomness as "
            "an argument")


def check_module_keeps_input(module, example):
    """The module leaves its input as it is."""
    batch = torch.stack([example])
    with torch.no_grad():
        module(batch)
    require(torch.equal(batch[0], example),
            "module(x) changed x; compute on a copy, x.clone(), or with inplace=False")


def check_state_dict(module, example):
    """Saving, spoiling and loading the state gives the same module back."""
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    other = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
        other.load_state_dict(torch.load(file, weights_only=True))
        batch = torch.stack([example])
        require(torch.equal(other(batch), module(batch)), "loading the state changed the module")


MODULE = (check_batch, check_module_repeatable, check_module_keeps_input, check_state_dict)
