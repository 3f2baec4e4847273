"""Valid calls of the bridge, networks and supervised learning."""

import numpy as np
import torch
from instances.functionals import parametric_energy
from instances.spaces import GRAD, XC, X
from torch import nn

from odl_learned import bridge, conformance, functionals, learning, networks
from odl_learned.networks import equivariant
from odl_learned.regularizers import certificates
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


def trained(**changes):
    model = image_net()
    options = {"pairs": [(T[0].numpy(), T[1].numpy())], "steps": 1, "batch_size": 1, "seed": 0,
               "clip_norm": 1.0, "validate_every": 5, "checkpoint_every": 5, "progress": False,
               "workers": None, "precision": None, "best": None, "folder": None}
    return {"model": model, "optimizer": torch.optim.SGD(model.parameters(), 0.1),
            "loss": learning.mean_squared_error, **options, **changes}


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

Z4 = equivariant.Cyclic(4)
FIELDS = equivariant.regular(Z4, 2)
FIELD_VALUES = torch.rand(1, 8, 4, 4, generator=torch.Generator().manual_seed(0))
LAYER = {"source": FIELDS, "target": FIELDS, "size": 3, "stride": 1, "dilation": 1, "padding": 1,
         "bias": True, "generator": torch.Generator()}
SIZES = {"group": Z4, "fields": 1, "depth": 2, "size": 3, "generator": torch.Generator()}
EQUIVARIANT = {
    "Cyclic": (equivariant.Cyclic, lambda: dict(n=4)),
    "Dihedral": (equivariant.Dihedral, lambda: dict(n=2)),
    "act": (Z4.act, lambda: dict(element=1, x=T)),
    "product": (Z4.product, lambda: dict(a=1, b=2)),
    "Fields": (equivariant.Fields, lambda: dict(group=Z4, subgroup=(0, 2), count=2)),
    "regular": (equivariant.regular, lambda: dict(group=Z4, count=2)),
    "trivial": (equivariant.trivial, lambda: dict(group=Z4, count=2)),
    "quotient": (equivariant.quotient, lambda: dict(group=Z4, generators=(2,), count=2)),
    "act on fields": (FIELDS.act, lambda: dict(element=1, x=FIELD_VALUES)),
    "GroupConvolution": (equivariant.GroupConvolution, lambda: dict(
        **LAYER, padding_mode="zeros")),
    "GroupTransposedConvolution": (equivariant.GroupTransposedConvolution, lambda: dict(**LAYER)),
    "a layer": (equivariant.GroupConvolution(FIELDS, FIELDS, 3), lambda: dict(x=FIELD_VALUES)),
    "FieldPReLU": (equivariant.FieldPReLU, lambda: dict(fields=FIELDS, slope=0.25)),
    "NormNonlinearity": (equivariant.NormNonlinearity, lambda: dict(fields=FIELDS)),
    "FieldNormalization": (equivariant.FieldNormalization, lambda: dict(
        fields=FIELDS, joint=2, epsilon=1e-5)),
    "FieldMax": (equivariant.FieldMax, lambda: dict(fields=FIELDS)),
    "a projection": (equivariant.FieldNorm(FIELDS), lambda: dict(x=FIELD_VALUES)),
    "EquivariantCNN": (equivariant.EquivariantCNN, lambda: dict(
        in_channels=1, out_channels=2, **SIZES)),
    "EquivariantDnCNN": (equivariant.EquivariantDnCNN, lambda: dict(channels=1, **SIZES)),
    "EquivariantUNet": (equivariant.EquivariantUNet, lambda: dict(
        group=Z4, in_channels=1, out_channels=1, fields=(1, 1), joint=1, size=3,
        generator=torch.Generator())),
    "OnHalfCircle": (equivariant.OnHalfCircle, lambda: dict(
        net=equivariant.EquivariantCNN(equivariant.Dihedral(1), 1, 1, 1, 2), margin=2)),
    "RandomElement": (equivariant.RandomElement, lambda: dict(
        net=torch.nn.Identity(), group=Z4, generator=torch.Generator())),
    "exported": (equivariant.exported, lambda: dict(
        net=equivariant.EquivariantCNN(Z4, 1, 1, 1, 2))),
}
NETWORKS = {
    "CNN": (networks.CNN, lambda: dict(
        in_channels=2, out_channels=1, width=4, depth=2, dimension=2,
        generator=torch.Generator())),
    "ResidualCNN": (networks.ResidualCNN, lambda: dict(
        in_channels=1, out_channels=1, width=4, depth=2, dimension=2,
        generator=torch.Generator())),
    "OnImages": (networks.OnImages, lambda: dict(net=net(), dimension=2)),
    **{f"equivariant.{name}": call for name, call in EQUIVARIANT.items()},
    "from_channels": (networks.from_channels, lambda: dict(
        channels=T[:, None], like=T, dimension=2)),
    "to_channels": (networks.to_channels, lambda: dict(x=T, dimension=2)),
}

NETWORKS |= {
    "NormalizedConvolution": (networks.NormalizedConvolution, lambda: dict(
        in_channels=2, out_channels=1, size=3, boundary=networks.Zero(), dimension=2,
        generator=torch.Generator())),
    "OrthogonalConvolution": (networks.OrthogonalConvolution, lambda: dict(
        in_channels=2, out_channels=1, size=3, boundary=networks.Zero(), dimension=2,
        generator=torch.Generator())),
    "GroupSort": (networks.GroupSort, lambda: dict(group=2)),
    "Averaged": (networks.Averaged, lambda: dict(net=net())),
    "ConvexSpline": (networks.ConvexSpline, lambda: dict(
        channels=2, pieces=3, radius=1.0, slope=0.5)),
    "a sorting": (networks.GroupSort(5), lambda: dict(x=T)),
}

REGULARIZERS = {
    name: (getattr(certificates, name), lambda more=more: dict(
        more, shape=(1, 5, 7), generator=torch.Generator()))
    for name, more in {
        "certify_lipschitz": {"module": nn.Conv2d(1, 1, 3), "claim": 1.0},
        "certify_convolution": {"layer": nn.Conv2d(1, 1, 3), "claim": 1.0},
        "certify_firmly_nonexpansive": {"module": nn.ReLU()},
        "certify_symmetric_jacobian": {"module": nn.ReLU(), "tolerance": 1e-6},
        "certify_homogeneous": {"module": nn.ReLU(), "tolerance": 1e-6},
        "certify_separate_samples": {"module": nn.ReLU(), "tolerance": 1e-6},
    }.items()
}

LEARNING = {
    "mean_squared_error": (learning.mean_squared_error, lambda: dict(x=T, truth=T + 1)),
    "train": (learning.train, trained),
    "Best": (learning.Best, lambda: dict(choose=min, restored=True)),
    "Workers": (learning.Workers, lambda: dict(count=2, ahead=2, context=None)),
    "MixedPrecision": (learning.MixedPrecision, lambda: dict(
        autocast=torch.autocast("cpu", torch.bfloat16), scaler=None)),
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
    for room, calls in (("bridge", BRIDGE), ("networks", NETWORKS), ("regularizers", REGULARIZERS),
                        ("learning", LEARNING),
                        ("conformance", CONFORMANCE))
    for name, call in calls.items()
}
