"""What the constructors of networks and reconstruction maps take, read off their objects."""

from collections.abc import Callable

import torch
from torch import nn

from odl_learned import networks, reconstruction, regularizers
from odl_learned.networks import equivariant, generative
from odl_learned.networks.layers import CONVOLUTIONS


def _convolutions(module):
    return [layer for layer in module.modules() if isinstance(layer, tuple(CONVOLUTIONS.values()))]


def _cnn(net):
    layers = _convolutions(net)
    return {"in_channels": net.in_channels, "out_channels": layers[-1].out_channels,
            "width": layers[0].out_channels, "depth": len(layers), "dimension": net.dimension}


def _unet(net):
    return {"in_channels": net.in_channels, "out_channels": net.last.out_channels,
            "widths": [block[0].out_channels for block in net.down], "dimension": net.dimension,
            "groups": net.down[0][1].num_groups}


def _dncnn(net):
    layers = _convolutions(net)
    return {"channels": net.in_channels, "width": layers[0].out_channels, "depth": len(layers),
            "dimension": net.dimension}


def _noise_level_unet(net):
    stages = [stage[0] for stage in net.down] + [net.middle]
    widths = [_convolutions(stage)[0].out_channels for stage in stages]
    return {"channels": net.in_channels, "widths": widths, "blocks": len(net.middle),
            "dimension": net.dimension}


def _equivariant_cnn(net):
    layers = _group_convolutions(net)
    return {"group": net.group, "in_channels": net.in_channels,
            "out_channels": layers[-1].target.count, "fields": layers[0].target.count,
            "depth": len(layers), "size": layers[0].size}


def _equivariant_dncnn(net):
    layers = _group_convolutions(net)
    return {"group": net.group, "channels": net.in_channels, "fields": layers[0].target.count,
            "depth": len(layers), "size": layers[0].size}


def _equivariant_unet(net):
    return {"group": net.group, "in_channels": net.in_channels,
            "out_channels": net.last.target.count,
            "fields": [block[0].target.count for block in net.down],
            "joint": net.down[0][1].joint, "size": net.down[0][0].size}


def _group_convolutions(net):
    return [layer for layer in net.modules() if isinstance(layer, equivariant.GroupConvolution)]


def _variational_step(step):
    filters, parts, size = step.raw_filters.shape[:3]
    return {"filters": filters, "size": size, "parts": parts, "dimension": step.dimension,
            "activations": step.activations, "step_size": step.step_size}


def _convolution(layer):
    return {"in_channels": layer.in_channels, "out_channels": layer.out_channels,
            "size": layer.size, "boundary": layer.boundary, "dimension": layer.dimension}


def _ones(parameter):
    return torch.ones(parameter.shape)


def _coder(net):
    return {"channels": net.channels, "shape": list(net.shape), "widths": list(net.widths),
            "latent": net.latent}


def _named(*names: str) -> Callable:
    return lambda module: {name: getattr(module, name) for name in names}


def _with_operator(*names: str) -> Callable:
    return lambda module: {"forward": module.forward_op, "adjoint": module.adjoint_op,
                           "normal": module.normal_op, **_named(*names)(module)}  # fmt: skip


def _input_convex(net):
    return {"width": len(net.biases[0]), "depth": len(net.biases),
            **_named("size", "boundary", "dimension", "sharpness")(net)}  # fmt: skip


def _ridge(ridge):
    return {"filters": ridge.filters, "potential": ridge.potential,
            **({} if ridge.subtracted is None else {"subtracted": ridge.subtracted}),
            "strength": 0.5}  # fmt: skip


_GROUP_CONVOLUTION = ("source", "target", "size", "stride", "dilation", "padding")
_EQUILIBRIUM = ("step", "dimension", "initial", "accuracy", "backward_accuracy", "maxiter",
                "memory", "contraction")
_REGULARIZED = ("regularizer", "noise_level", "norm", "coercivity", "dimension", "alpha",
                "accuracy", "maxiter", "initial")
_PRIMAL_DUAL = ("dual_steps", "primal_steps", "dual_memory", "primal_memory", "dimension",
                "initial")

_TIKHONOV = ("alpha", "dimension", "accuracy", "maxiter")
_LANDWEBER = ("step_size", "noise_norm", "dimension", "direction", "tau", "maxiter", "initial")

#: What the constructor of a class takes, read off its modules. Values are those of the weights.
CONSTRUCTORS = {
    nn.Identity: lambda module: {},
    networks.CNN: _cnn,
    networks.ResidualCNN: lambda net: _cnn(net.residual),
    networks.UNet: _unet,
    networks.Residual: _named("net"),
    networks.DnCNN: _dncnn,
    networks.NoiseLevelUNet: _noise_level_unet,
    networks.NoiseLevelOnImages: _named("net", "dimension"),
    networks.PreconditionedDenoiser: _named("net", "mean", "spread"),
    networks.OnImages: _named("net", "dimension"),
    networks.RadialBasis: lambda net: {
        "channels": net.weights.shape[0], "centers": net.weights.shape[1], "radius": net.radius},
    networks.Circular: lambda module: {},
    networks.Inside: lambda module: {},
    networks.Reflecting: lambda module: {},
    networks.Zero: lambda module: {},
    networks.NormalizedConvolution: _convolution,
    networks.OrthogonalConvolution: _convolution,
    networks.GroupSort: _named("group"),
    networks.Averaged: _named("net"),
    networks.ConvexSpline: lambda net: {
        "channels": net.logits.shape[0], "pieces": net.logits.shape[1], "radius": net.radius},
    equivariant.Cyclic: _named("n"),
    equivariant.Dihedral: _named("n"),
    equivariant.CubeRotations: lambda group: {},
    equivariant.Fields: lambda fields: {
        "group": fields.group, "subgroup": list(fields.subgroup), "count": fields.count},
    equivariant.GroupConvolution: lambda layer: {
        **_named(*_GROUP_CONVOLUTION, "padding_mode")(layer), "bias": layer.bias is not None},
    equivariant.GroupTransposedConvolution: lambda layer: {
        **_named(*_GROUP_CONVOLUTION)(layer), "bias": layer.bias is not None},
    equivariant.FieldPReLU: _named("fields"),
    equivariant.NormNonlinearity: _named("fields"),
    equivariant.FieldNormalization: _named("fields", "joint", "epsilon"),
    equivariant.FieldSum: _named("fields"),
    equivariant.FieldMax: _named("fields"),
    equivariant.FieldNorm: _named("fields"),
    equivariant.EquivariantCNN: _equivariant_cnn,
    equivariant.EquivariantDnCNN: _equivariant_dncnn,
    equivariant.EquivariantUNet: _equivariant_unet,
    equivariant.GroupAverage: _named("net", "group"),
    equivariant.RandomElement: _named("net", "group"),
    equivariant.OnHalfCircle: _named("net", "margin"),
    generative.FullyConnectedEncoder: _coder,
    generative.ConvolutionalEncoder: lambda net: {**_coder(net), "groups": net.groups},
    generative.FullyConnectedDecoder: _coder,
    generative.ConvolutionalDecoder: lambda net: {**_coder(net), "groups": net.groups},
    generative.RefinedDecoder: lambda net: {
        **_named("decoder", "channels")(net), "widths": list(net.widths)},
    generative.ConstantHead: lambda head: {"channels": head.channels, "shape": list(head.shape)},
    generative.WindowHead: lambda head: {
        **_named("decoder", "radius", "channels", "least_deviation")(head),
        "deviation": 2 * head.least_deviation},
    generative.Autoencoder: _named("encoder", "decoder"),
    generative.VariationalAutoencoder: _named("encoder", "decoder", "head"),
    generative.Critic: _named("encoder"),
    reconstruction.Checkpointed: _named("step"),
    reconstruction.AUTOMAP: lambda net: {
        "data_shape": list(net.data_shape), "image_shape": list(net.image_shape),
        "width": _convolutions(net)[0].out_channels, "data_parts": net.data_parts,
        "image_parts": net.image_parts, "largest": sum(p.numel() for p in net.dense.parameters())},
    reconstruction.Postprocessing: _named("initial", "net"),
    reconstruction.PositiveMaps: _named("net", "start", "dimension", "factor"),
    reconstruction.AdaptiveTV: _named("parameters_of", "accuracy", "maxiter", "smoothing"),
    reconstruction.AdaptiveTGV: _named("parameters_of", "accuracy", "maxiter", "smoothing"),
    reconstruction.LearnedProximalGradient: _with_operator("steps", "initial"),
    reconstruction.LearnedStepSize: lambda module: {"initial": 1.0},
    reconstruction.GradientStep: _named("proximal", "step_size"),
    reconstruction.MemoryStep: _named("net", "memory_channels", "step_size", "dimension"),
    reconstruction.VariationalStep: _variational_step,
    reconstruction.LearnedPrimalDual: _with_operator(*_PRIMAL_DUAL),
    reconstruction.StateStep: _named("net", "dimension", "components"),
    reconstruction.DataResidual: lambda module: {},
    reconstruction.Tikhonov: _with_operator(*_TIKHONOV),
    reconstruction.LeastSquares: _with_operator("iterations", "dimension"),
    reconstruction.Landweber: _with_operator("step_size", "iterations", "initial"),
    reconstruction.LearnedLandweber: lambda module: {
        "forward": module.forward_op, "adjoint": module.adjoint_op, **_named(*_LANDWEBER)(module)},
    reconstruction.LearnedSampling: lambda module: {
        "members": module.members, "fixed": module.fixed, **_named("kept", "slope")(module)},
    reconstruction.KeptRows: lambda module: {},
    reconstruction.WeighedRows: lambda module: {
        "forward": module.forward_op, "weights": module.weights},
    reconstruction.WeighedRowsAdjoint: lambda module: {
        "adjoint": module.adjoint_op, "weights": module.weights},
    reconstruction.SampledReconstruction: _named("sampling", "model"),
    reconstruction.PositiveFilter: lambda module: {"shape": list(module.logarithms.shape)},
    reconstruction.RegularizedLeastSquares: lambda module: {
        "forward": module.forward_op, "adjoint": module.adjoint_op,
        **_named(*_REGULARIZED)(module)},
    regularizers.ComposedFilters: lambda filters: {
        "channels": list(filters.channels),
        **_named("size", "boundary", "dimension")(filters)},
    regularizers.Huber: lambda module: {},
    regularizers.LogCosh: lambda module: {},
    regularizers.GradientStepDenoiser: _named("net", "dimension"),
    regularizers.InputConvex: _input_convex,
    regularizers.Ridge: _ridge,
    regularizers.Sum: _named("terms"),
    regularizers.TotalDeepVariation: lambda net: {
        "blocks": len(net.blocks), **_named("width", "scales", "boundary", "dimension")(net)},
    reconstruction.FlowStep: _named("regularizer", "noise_level", "step_size"),
    reconstruction.WarmStart: _named("initial", "capacity"),
    reconstruction.DeepEquilibrium: _with_operator(*_EQUILIBRIUM),
    reconstruction.LearnedShrinkage: lambda module: {
        "forward": module.forward_op, **_named("synthesis", "steps")(module)},
    reconstruction.CoupledShrinkage: lambda step: {
        "threshold": _ones(step.log_threshold), **_named("back", "step_size")(step)},
    reconstruction.FreeShrinkage: lambda step: {
        "threshold": _ones(step.log_threshold), **_named("encode", "mix")(step)},
}  # fmt: skip
