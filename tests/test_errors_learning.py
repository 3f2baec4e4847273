"""Bad input to training, networks and unrolled reconstructions."""

import torch
from mistakes import NAN, ONE, TV, A, Map, T, check_message, pairs, rows
from torch import nn

from odl_learned import learning, networks, reconstruction
from odl_learned.bridge import as_module


def train(model=None, items=None, **changes):
    model = Map() if model is None else model
    options = {"steps": 1, "progress": False} | changes
    if "optimizer" not in options:
        options["optimizer"] = torch.optim.SGD(nn.ParameterList([torch.ones(1)]), 0.1)
        if isinstance(model, nn.Module):
            options["optimizer"] = torch.optim.SGD(model.parameters(), 0.1)
    learning.train(model, pairs() if items is None else items, **options)


def unrolled(**changes):
    steps = [reconstruction.GradientStep(nn.Identity(), 0.1)]
    options = {"forward": as_module(A), "adjoint": as_module(A), "steps": steps} | changes
    return reconstruction.LearnedProximalGradient(**options)


LEARNING = [
    ("operator for a model", lambda d: train(A), TypeError,
     r"model is of type MultiplyOperator, expected a torch Module.*as_module\(op\)"),
    ("word for an optimizer", lambda d: train(optimizer="Adam"), TypeError,
     r"optimizer is of type str, expected a torch Optimizer.*model\.parameters\(\)"),
    ("optimizer of another model", lambda d: train(optimizer=torch.optim.SGD(
        Map().parameters(), 0.1)), ValueError, r"not of the model; make it with model\.parameters"),
    ("no steps", lambda d: train(steps=0), ValueError, "steps is 0; expected a whole number"),
    ("nothing to train on", lambda d: train(items=[]), ValueError, "pairs is empty; expected"),
    ("NaN in pairs", lambda d: train(items=[(NAN, ONE)]), ValueError,
     r"data of pairs\[0\] contains 16 NaN"),
    ("output of a network", lambda d: train(Map(lambda x: x.flatten(1))), ValueError,
     r"\(1, 4, 4\) to \(1, 16\), expected \(1, 4, 4\).*same spaces"),
    ("dtype of a network", lambda d: train(nn.Linear(4, 4).double()), RuntimeError,
     r"failed in step 1 on data of shape \(1, 4, 4\) and dtype torch.float32"),
    ("float for a loss", lambda d: train(loss=lambda x, truth: 1.0), TypeError,
     r"the loss is of type float, expected a real tensor.*without \.item"),
    ("detached loss", lambda d: train(loss=lambda x, truth: x.detach().mean()), ValueError,
     "does not depend on the parameters, expected.*leave out detach"),
    ("infinite loss", lambda d: train(loss=lambda x, truth: x.mean() / 0), FloatingPointError,
     "loss is inf in step 1, expected finite.*lower the learning rate"),
    ("clip at zero", lambda d: train(clip_norm=0), ValueError, "clip_norm is 0; expected"),
    ("checkpoint nowhere", lambda d: train(checkpoint=d / "no" / "x.pt"), FileNotFoundError,
     "folder that does not exist; create it"),
    ("width zero", lambda d: networks.CNN(1, 1, 0, 2), ValueError, "width is 0; expected"),
    ("no channel axis", lambda d: networks.CNN(1, 1, 2, 2)(T), ValueError,
     r"shape \(4, 4\), expected \(N, 1, H, W\).*OnImages"),
    ("double in a network", lambda d: networks.CNN(1, 1, 2, 2)(T[None, None].double()), TypeError,
     r"float64, expected torch.float32.*\.to\(dtype\)"),
    ("network elsewhere", lambda d: networks.CNN(1, 1, 2, 2)(T[None, None].to("meta")), ValueError,
     r"x is on meta, expected cpu.*\.to\(device\)"),
    ("operator for a network", lambda d: networks.OnImages(A, dimension=2), TypeError,
     "net is of type MultiplyOperator, expected a torch.nn.Module.*networks.CNN"),
    ("dimension left out", lambda d: networks.OnImages(networks.CNN(1, 1, 2, 2)), TypeError,
     "missing 1 required keyword-only argument: 'dimension'"),
    ("dimension of a step left out", lambda d: reconstruction.MemoryStep(
        networks.CNN(2, 1, 2, 2), 0, 0.1), TypeError, "missing 1 required .* 'dimension'"),
    ("half a dimension", lambda d: networks.OnImages(nn.Identity(), dimension=1.5), ValueError,
     r"dimension is 1.5, expected a whole number.*len\(space.shape\)"),
    ("array for images", lambda d: networks.to_channels(ONE, 2), TypeError,
     "x is of type ndarray, expected a tensor.*from_numpy"),
    ("element for data", lambda d: unrolled()(TV.domain.one()), TypeError,
     "data is of type DiscretizedSpaceElement, expected a tensor.*as_operator"),
    ("no dimension", lambda d: networks.to_channels(T, 0), ValueError, "dimension is 0, expected"),
    ("dimension of a network", lambda d: networks.OnImages(networks.CNN(1, 1, 2, 2), dimension=1),
     ValueError, r"2 axes and dimension is 1, expected equal.*CNN\(..., dimension=1\)"),
    ("dimension of a step", lambda d: reconstruction.MemoryStep(
        networks.ResidualCNN(2, 1, 2, 2, dimension=1), 0, 0.1, dimension=3), ValueError,
     r"1 axes and dimension is 3, expected equal.*ResidualCNN\(..., dimension=3\)"),
    ("function for a network", lambda d: reconstruction.MemoryStep(
        lambda x: x, 0, 0.1, dimension=2), TypeError, "net is of type function, expected a torch"),
    ("channels of a network", lambda d: networks.OnImages(
        networks.CNN(1, 2, 2, 2), dimension=2)(T), ValueError,
     r"shape \(1, 2, 4, 4\), expected \(1, 1, 4, 4\).*give the network 1"),
    ("complex into a real network", lambda d: networks.OnImages(
        networks.CNN(1, 1, 2, 2), dimension=2)(T + 0j), ValueError,
     r"shape \(1, 2, 4, 4\), expected \(N, 1, H, W\)"),
    ("no steps to unroll", lambda d: unrolled(steps=[]), ValueError, "steps is empty; expected"),
    ("operator to unroll", lambda d: unrolled(forward=A), TypeError,
     r"forward is an operator on spaces, MultiplyOperator; expected.*as_module\(op\)"),
    ("operator for a proximal", lambda d: reconstruction.GradientStep(TV.gradient, 0.1), TypeError,
     r"proximal is an operator on spaces.*expected a map of tensors.*as_module\(op\)"),
    ("data of another shape", lambda d: unrolled()(torch.ones(2, 3, 3)), ValueError,
     r"shape \(2, 3, 3\), expected \(\*batch, 4, 4\)"),
    ("step size zero", lambda d: reconstruction.GradientStep(nn.Identity(), 0), ValueError,
     "step_size is 0; expected"),
    ("learned step size negative", lambda d: reconstruction.LearnedStepSize(-1.0), ValueError,
     "step size is -1.0; expected"),
    ("memory of a network", lambda d: unrolled(steps=[reconstruction.MemoryStep(
        networks.CNN(4, 2, 2, 2), 2, 0.1, dimension=2)])(T[None]), ValueError,
     r"shape \(1, 2, 4, 4\), expected \(1, 3, 4, 4\).*output channels"),
]


@rows(LEARNING)
def test_mistake(mistake, error, pattern, tmp_path):
    check_message(lambda: mistake(tmp_path), error, pattern)


def test_empty_batches_of_networks_are_valid():
    empty = torch.ones(0, 4, 4)
    assert networks.OnImages(networks.CNN(1, 1, 2, 2), dimension=2)(empty).shape == (0, 4, 4)
    memory = reconstruction.MemoryStep(networks.CNN(4, 3, 2, 2), 2, 0.1, dimension=2)
    assert unrolled(steps=[memory])(empty).shape == (0, 4, 4)
