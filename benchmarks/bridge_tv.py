"""Smoothed total variation of a batch of images, value and gradient: ODL, its wrapper, and ours."""

import numpy as np
import odl
import torch
from odl.contrib.torch import OperatorModule
from timing import race, require_close

from odl_learned import functionals
from odl_learned.bridge import as_module

SIZES = {"tiny": (16, 2, 3), "full": (256, 16, 9)}  # pixels, batch, rounds
SLOW_ROUNDS = {"tiny": 3, "full": 7}
ALPHA, NU, XI = 0.7, 0.5, 0.1


class SmoothedLength(odl.functionals.Functional):
    """``p -> <sqrt(|p|^2 + nu^2), 1>`` in ODL's own functions, for every impl."""

    def __init__(self, vfspace, nu):
        super().__init__(vfspace, linear=False, grad_lipschitz=1 / nu)
        self.nu = nu

    def length(self, p):
        return odl.sqrt(sum((part * part for part in p[1:]), p[0] * p[0]) + self.nu**2)

    def _call(self, p):
        return self.length(p).inner(self.domain[0].one())

    @property
    def gradient(self):
        return Direction(self)


class Direction(odl.Operator):
    """``p -> p / sqrt(|p|^2 + nu^2)``."""

    def __init__(self, functional):
        super().__init__(functional.domain, functional.domain, linear=False)
        self.functional = functional

    def _call(self, p):
        length = self.functional.length(p)
        return self.range.element([part / length for part in p])


def in_plain_odl(space):
    """The functional in ODL's own functions."""
    gradient = odl.Gradient(space, method="forward", pad_mode="symmetric")
    smoothed = ALPHA * SmoothedLength(gradient.range, NU) @ gradient
    return smoothed + (XI / 2) * odl.functionals.L2NormSquared(space)


def images(size, impl):
    """A space of images and a batch of them."""
    n, batch, _ = SIZES[size]
    space = odl.uniform_discr([0, 0], [1, 1], (n, n), dtype="float32", impl=impl)
    values = np.random.default_rng(0).standard_normal((batch, n, n)).astype(np.float32)
    return space, torch.from_numpy(values)


def by_autograd(module, x):
    """Values and Euclidean gradients of a batch."""
    x = x.detach().requires_grad_(True)
    values = module(x)
    (gradients,) = torch.autograd.grad(values.sum(), x)
    return values.detach(), gradients


def by_odl(functional, elements, weight):
    """The same from ODL, one image at a time."""
    gradient = functional.gradient
    values = torch.tensor([functional(x) for x in elements])
    gradients = [torch.as_tensor(gradient(x).data) for x in elements]
    return values, weight * torch.stack(gradients)


def require_same(contestants):
    """Raise AssertionError unless all values and gradients agree with those of the first."""
    values, gradients = next(iter(contestants.values()))()
    for name, function in contestants.items():
        got = function()
        require_close(f"the value of {name}", got[0], values, 1e-5)
        require_close(f"the gradient of {name}", got[1], gradients, 1e-5)


def measure(size):
    """Return our ratios to ODL's loop on numpy, for our functional in ODL and for ODL's own."""
    n, batch, rounds = SIZES[size]
    space, x = images(size, "numpy")
    weight = float(space.weighting.const)
    elements = [space.element(image.numpy()) for image in x]
    functional, plain = functionals.SmoothedTV(space, ALPHA, NU, XI), in_plain_odl(space)
    module, compiled = as_module(functional), torch.compile(as_module(functional))
    contestants = {
        "ODL on numpy, our functional": lambda: by_odl(functional, elements, weight),
        "ODL on numpy, ODL's functions": lambda: by_odl(plain, elements, weight),
        "odl_learned": lambda: by_autograd(module, x),
        "odl_learned, compiled": lambda: by_autograd(compiled, x),
    }
    require_same(contestants)
    seconds = race(f"smoothed TV {n}^2, batch {batch}: value and gradient", contestants, rounds)
    numpy_loop = seconds["ODL on numpy, our functional"]
    own_functions = seconds["ODL on numpy, ODL's functions"]
    mine, mine_compiled = seconds["odl_learned"], seconds["odl_learned, compiled"]
    return {"smoothed_tv_vs_odl_numpy": mine / numpy_loop,
            "smoothed_tv_compiled_vs_odl_numpy": mine_compiled / numpy_loop,
            "smoothed_tv_vs_odl_functions": mine / own_functions,
            "smoothed_tv_compiled_vs_odl_functions": mine_compiled / own_functions}


def measure_operator_module(size):
    """Return our ratio to ODL's OperatorModule on the pytorch impl."""
    n, batch, _ = SIZES[size]
    space, x = images(size, "pytorch")
    wrapper = OperatorModule(in_plain_odl(space))
    numpy_space, _ = images(size, "numpy")
    module = as_module(functionals.SmoothedTV(numpy_space, ALPHA, NU, XI))
    contestants = {"ODL OperatorModule on pytorch": lambda: by_autograd(wrapper, x),
                   "odl_learned": lambda: by_autograd(module, x)}
    require_same(contestants)
    seconds = race(f"smoothed TV {n}^2, batch {batch}, ODL without repairs: value and gradient",
                   contestants, SLOW_ROUNDS[size])
    ratio = seconds["odl_learned"] / seconds["ODL OperatorModule on pytorch"]
    return {"smoothed_tv_vs_operator_module": ratio}
