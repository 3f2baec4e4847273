"""Steps of proximals are finite and positive, whichever way they come."""

import numpy as np
import odl
import pytest
import torch
from wrapped_networks import SteppedThreshold

from odl_learned.bridge import (
    ImplicitRegularizer,
    as_proximal,
    as_proximal_module,
    as_stepped_proximal,
)

X = odl.uniform_discr([0, 0], [1, 1], (3, 4))
F = odl.functionals
PAIR = F.SeparableSum(F.L1Norm(X), F.L2NormSquared(odl.rn(2)))
x = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 3, 4)))
BAD = [-1.0, 0.0, float("nan"), float("inf"), -float("inf")]
MODULES = {
    "native": as_proximal_module(F.L1Norm(X)),
    "projection": as_proximal_module(F.IndicatorBox(X, -1, 1)),
    "expression": as_proximal_module(2 * F.L1Norm(X).translated(X.one())),
    "opaque": as_proximal_module(ImplicitRegularizer(F.L1Norm(X).proximal)),
    "denoiser": as_proximal_module(ImplicitRegularizer(as_proximal(torch.nn.Identity(), X))),
    "stepped": as_proximal_module(
        ImplicitRegularizer(as_stepped_proximal(SteppedThreshold(1.0), X))),
}  # fmt: skip


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
@pytest.mark.parametrize("bad", BAD)
def test_bad_steps_are_errors(module, bad):
    with pytest.raises(ValueError, match="sigma is .*finite number greater than zero"):
        module(x, bad)
    for steps, count in ((torch.tensor(bad), 1), (torch.tensor([0.1, bad, bad]), 2)):
        with pytest.raises(ValueError, match=rf"sigma has {count} step.*the first is {bad:g};"):
            module(x, steps)


def test_bad_steps_of_summands_are_errors():
    module, point = as_proximal_module(PAIR), (x, torch.ones(3, 2).double())
    module(point, [0.1, torch.tensor([0.1, 0.2, 0.3])])
    for steps in ([0.1, -0.1], [torch.tensor(0.1), torch.tensor([0.1, 0.2, -0.3])],
                  np.array([0.1, np.nan])):  # fmt: skip
        with pytest.raises(ValueError, match="sigma"):
            module(point, steps)


def test_steps_that_vanish_in_single_precision():
    space = odl.rn(3, dtype="float32")
    module = as_proximal_module(F.L1Norm(space))
    for step in (1e-50, 1e50):
        with pytest.raises(ValueError, match="sigma is 1e.50, expected between 1.2e-38 and 3.4e"):
            module(torch.ones(3), step)
        with pytest.raises(ValueError, match="sigma has 1 step"):
            module(torch.ones(3), torch.tensor(step, dtype=torch.float64))


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
def test_without_values_at_hand_the_sample_is_nan(module):
    """As within vmap, within torch.compile and on devices that one would have to wait for."""
    steps = torch.tensor([0.5, -1.0, float("nan")], dtype=torch.float64)
    y = torch.vmap(module)(x, steps)
    assert y.isnan().flatten(1).all(1).tolist() == [False, True, True]
    torch.testing.assert_close(y[0], module(x[0], 0.5))


def test_compiled_modules_have_nan_too():
    module = MODULES["native"]
    compiled = torch.compile(module, backend="eager")
    steps = torch.tensor([0.5, -1.0, 0.2], dtype=torch.float64)
    y = compiled(x, steps)
    assert y[1].isnan().all()
    torch.testing.assert_close(y[[0, 2]], module(x[[0, 2]], steps[[0, 2]]))


def test_derivatives_in_the_step_are_those_without_the_check():
    module = MODULES["native"]
    steps = torch.tensor([0.3, 0.2, 0.1], dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(module(x, steps).sum(), steps)
    sign = torch.where(x.abs() > steps.detach().reshape(3, 1, 1), x.sign(), 0)
    torch.testing.assert_close(found, -sign.sum((1, 2)))
    empty = module(x[:0], steps[:0])
    assert empty.shape == (0, 3, 4)


@pytest.mark.parametrize("bad", [*BAD, "1", None, np.array([0.1, 0.2])])
def test_factories_of_denoisers(bad):
    for factory in (as_proximal(torch.nn.Identity(), X),
                    as_stepped_proximal(SteppedThreshold(1.0), X)):  # fmt: skip
        factory(np.float32(0.5))
        with pytest.raises(ValueError, match="sigma is .*greater than zero"):
            factory(bad)
