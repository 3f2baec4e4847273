"""Valid calls of networks, equivariant ones among them, and of learned regularizers."""

import torch
from instances.modules import ridge
from instances.spaces import X
from torch import nn

from odl_learned import networks, regularizers
from odl_learned.networks import equivariant
from odl_learned.regularizers import certificates
from wrong_inputs.calls_ground import positional
from wrong_inputs.calls_torch import T, net

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
    "FieldNorm": (equivariant.FieldNorm, lambda: dict(fields=FIELDS)),
    "FieldSum": (equivariant.FieldSum, lambda: dict(fields=FIELDS)),
    "Group": (equivariant.Group, lambda: dict(matrices=Z4.matrices)),
    "GroupAverage": (equivariant.GroupAverage, lambda: dict(net=networks.OnImages(
        networks.CNN(1, 1, 4, 2, dimension=2), dimension=2), group=Z4)),
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


def levels():
    return networks.NoiseLevelUNet(1, (3, 4), 1, dimension=2)


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
    "DnCNN": (networks.DnCNN, lambda: dict(
        channels=1, width=4, depth=3, dimension=2, generator=torch.Generator())),
    "NoiseLevelOnImages": (networks.NoiseLevelOnImages, lambda: dict(net=levels(), dimension=2)),
    "PreconditionedDenoiser": (networks.PreconditionedDenoiser, lambda: dict(
        net=networks.CNN(2, 1, 4, 2, dimension=2), mean=0.5, spread=1.0)),
    "a preconditioned denoiser": (
        networks.PreconditionedDenoiser(networks.CNN(2, 1, 4, 2, dimension=2).double(), 0.5, 1.0),
        lambda: dict(x=T[:, None], noise_level=0.1)),
    "NoiseLevelUNet": (networks.NoiseLevelUNet, lambda: dict(
        channels=1, widths=(3, 4), blocks=1, dimension=2, generator=torch.Generator())),
    "RadialBasis": (networks.RadialBasis, lambda: dict(
        channels=2, centers=5, radius=2.0, slope=0.5)),
    "Residual": (networks.Residual, lambda: dict(net=networks.CNN(1, 1, 4, 2, dimension=2))),
    "UNet": (networks.UNet, lambda: dict(
        in_channels=1, out_channels=1, widths=(4, 4), dimension=2, groups=2,
        generator=torch.Generator())),
    "a network": (net(), lambda: dict(x=torch.ones(2, 4, 5, 7).double())),
    "a denoiser": (networks.NoiseLevelOnImages(levels().double(), dimension=2), lambda: dict(
        x=T, noise_level=0.1)),
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

CERTIFIED = {
    "certify_convexity": {"module": ridge(regularizers.LogCosh()), "modulus": 0.0},
    "certify_convolution": {"layer": nn.Conv2d(1, 1, 3), "claim": 1.0},
    "certify_firmly_nonexpansive": {"module": nn.ReLU()},
    "certify_homogeneous": {"module": nn.ReLU(), "tolerance": 1e-6},
    "certify_lipschitz": {"module": nn.Conv2d(1, 1, 3), "claim": 1.0},
    "certify_product": {"layers": [nn.Conv2d(1, 1, 3)], "claim": 1.0},
    "certify_separate_samples": {"module": nn.ReLU(), "tolerance": 1e-6},
    "certify_symmetric_jacobian": {"module": nn.ReLU(), "tolerance": 1e-6},
}

CERTIFICATES = {
    name: (getattr(certificates, name), lambda more=more: dict(
        more, shape=(5, 7) if "modulus" in more else (1, 5, 7), generator=torch.Generator()))
    for name, more in CERTIFIED.items()
} | {
    "convexity_bound": (certificates.convexity_bound, lambda: dict(module=nn.Linear(2, 1))),
    "is_gradient": (certificates.is_gradient, lambda: dict(module=nn.ReLU())),
    "is_homogeneous": (positional(certificates.is_homogeneous), lambda: dict(module=nn.ReLU())),
    "layer_kind": (positional(certificates.layer_kind), lambda: dict(layer=nn.ReLU())),
    "lipschitz_bound": (positional(certificates.lipschitz_bound), lambda: dict(
        module=nn.Conv2d(1, 1, 3), shape=(1, 5, 7))),
}

FILTERS = regularizers.ComposedFilters((1, 4), 3, networks.Reflecting(), dimension=2)
RIDGE = ridge(regularizers.LogCosh(), regularizers.LogCosh())
PARAMS = regularizers.denoising_energy(RIDGE, 0.1)[1]

REGULARIZERS = {
    "ComposedFilters": (regularizers.ComposedFilters, lambda: dict(
        channels=(1, 4), size=3, boundary=networks.Reflecting(), dimension=2)),
    "Ridge": (regularizers.Ridge, lambda: dict(
        filters=FILTERS, potential=regularizers.LogCosh(), subtracted=regularizers.LogCosh(),
        sharpness=0.5, strength=0.6)),
    "RidgeRegularizer": (regularizers.RidgeRegularizer, lambda: dict(
        ridge=RIDGE, space=X, noise_level=0.1)),
    "denoising_energy": (regularizers.denoising_energy, lambda: dict(
        ridge=RIDGE, noise_level=0.1)),
    "with_params": (regularizers.with_params, lambda: dict(ridge=RIDGE, params=PARAMS)),
}

NETWORKS = {f"networks.{name}": call for name, call in NETWORKS.items()} | {
    f"regularizers.{name}": call for name, call in (REGULARIZERS | CERTIFICATES).items()}
