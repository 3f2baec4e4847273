"""Valid calls of the bridge and of the conformance suite."""

import numpy as np
import torch
from instances.functionals import parametric_energy
from instances.spaces import GRAD, XC, X
from torch import nn

from odl_learned import bridge, conformance, functionals, networks
from wrong_inputs.calls_ground import positional
from wrong_inputs.calls_solvers import BOX, FIDELITY, PROBLEM

T = torch.rand(2, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def net():
    return networks.CNN(4, 3, 4, 2, dimension=2).double()


def image_net():
    return networks.OnImages(networks.CNN(1, 1, 4, 2, dimension=2).double(), dimension=2)


def value():
    class Sum(nn.Module):
        def forward(self, x):
            return (x**2).sum((-2, -1))

    return Sum()


BRIDGE = {
    "ImplicitRegularizer": (bridge.ImplicitRegularizer, lambda: dict(
        proximal=bridge.as_proximal(image_net(), X))),
    "as_batch": (bridge.as_batch, lambda: dict(obj=PROBLEM)),
    "as_energy": (bridge.as_energy, lambda: dict(
        functional=parametric_energy(X))),
    "as_functional": (bridge.as_functional, lambda: dict(module=value(), domain=X)),
    "as_gradient_module": (bridge.as_gradient_module, lambda: dict(f=FIDELITY)),
    "as_module": (bridge.as_module, lambda: dict(op=GRAD)),
    "as_operator": (bridge.as_operator, lambda: dict(module=image_net(), domain=X, range=X)),
    "as_proximal": (bridge.as_proximal, lambda: dict(denoiser=image_net(), domain=X)),
    "as_proximal_module": (bridge.as_proximal_module, lambda: dict(f=BOX)),
    "as_stepped_proximal": (bridge.as_stepped_proximal, lambda: dict(
        denoiser=bridge.as_proximal_module(BOX), domain=X)),
    "as_transpose_module": (bridge.as_transpose_module, lambda: dict(op=GRAD)),
    "fix_block": (bridge.fix_block, lambda: dict(
        functional=functionals.l2_fidelity((X**2).one()), index=1, element=X.one())),
    "a module": (bridge.as_module(GRAD), lambda: dict(x=T)),
    "a complex module": (bridge.as_module(functionals.l2_fidelity(XC.one())),
                         lambda: dict(x=T + 0j)),
    "a proximal module": (bridge.as_proximal_module(BOX), lambda: dict(x=T, sigma=0.5)),
    "a gradient module": (bridge.as_gradient_module(FIDELITY), lambda: dict(x=T)),
}

CONFORMANCE = {
    "checks_for": (positional(conformance.checks_for), lambda: dict(obj=GRAD)),
    "sample": (positional(conformance.sample), lambda: dict(
        obj=GRAD, rng=np.random.default_rng(0))),
    "equivariance_error": (conformance.equivariance_error, lambda: dict(
        phi=nn.Identity(), group=networks.equivariant.Cyclic(4), samples=torch.ones(1, 4, 4),
        elements=[1])),
    "Translations": (conformance.Translations, lambda: dict(shifts=[(1, 0)])),
}

EAST = {
    f"{room}.{name}": call
    for room, calls in (("bridge", BRIDGE), ("conformance", CONFORMANCE))
    for name, call in calls.items()
}
