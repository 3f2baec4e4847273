"""Maps warn where their networks commute with a group and their operator does not."""

import warnings

import numpy as np
import odl
import pytest
import torch

from odl_learned import bridge, networks, operators, reconstruction
from odl_learned.networks.equivariant import Cyclic, Dihedral, EquivariantCNN, GroupAverage
from odl_learned.reconstruction.unrolled.commuting import _generators

SPACE = odl.uniform_discr([-1, -1], [1, 1], (12, 12), dtype="float32")
COMPLEX = odl.uniform_discr([-1, -1], [1, 1], (12, 12), dtype="complex64")


def masked(mask):
    return operators.SampledFourier(COMPLEX, mask.astype(float))


def middle(direction=False):
    k = np.abs(np.arange(12) - 6) <= 3
    return np.repeat(k[:, None], 12, axis=1) if direction else k[:, None] & k[None, :]


def proximal_gradient(forward_op, net, channels=1):
    step = reconstruction.MemoryStep(net(2 * channels + 1, channels + 1), 1, 0.1, dimension=2)
    return reconstruction.LearnedProximalGradient(
        bridge.as_module(forward_op), bridge.as_module(forward_op.adjoint), [step])


def primal_dual(forward_op, net):
    steps = [[reconstruction.StateStep(net(1 + n, 1), dimension=2)] for n in (2, 1)]
    return reconstruction.LearnedPrimalDual(
        bridge.as_module(forward_op), bridge.as_module(forward_op.adjoint), *steps,
        dual_memory=1, primal_memory=1, dimension=2)


def equilibrium(forward_op, net):
    step = reconstruction.GradientStep(networks.OnImages(net(1, 1), dimension=2), 0.1)
    return reconstruction.DeepEquilibrium(
        bridge.as_module(forward_op), bridge.as_module(forward_op.adjoint), step, dimension=2)


def of_turns(before, after):
    return EquivariantCNN(Cyclic(4), before, after, 1, 2)


def ordinary(before, after):
    return networks.CNN(before, after, 2, 2, dimension=2)


def averaged(before, after):
    return GroupAverage(ordinary(before, after), Dihedral(4))


@pytest.mark.parametrize("build", [proximal_gradient, primal_dual, equilibrium])
def test_odd_views_are_a_warning_for_equivariant_networks(build):
    odd = operators.parallel_ray_transform(SPACE, 9)
    with pytest.warns(UserWarning, match="but A. A does not"):
        build(odd, of_turns)


@pytest.mark.parametrize(("forward_op", "net"), [
    (operators.parallel_ray_transform(SPACE, 9), ordinary),
    (operators.parallel_ray_transform(SPACE, 8), of_turns),
    (operators.parallel_ray_transform(SPACE, 8), averaged),
], ids=["ordinary", "even views", "average"])
def test_what_commutes_is_none(forward_op, net):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        proximal_gradient(forward_op, net)


def test_masks_are_judged_by_their_symmetry():
    """A square in the middle has all symmetries, lines in one direction no quarter turn."""
    def net(before, after):
        return of_turns(before, after)

    with pytest.warns(UserWarning, match="commute with Cyclic.4."):
        proximal_gradient(masked(middle(direction=True)), net, channels=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        proximal_gradient(masked(middle()), net, channels=2)


def test_generators_are_few_and_keep_the_shape():
    square, oblong = torch.ones(1, 4, 4), torch.ones(1, 4, 6)
    assert _generators(Cyclic(4), square) == [1]
    assert _generators(Dihedral(4), square) == [1, 4]
    assert _generators(Cyclic(8), square) == [2]
    assert _generators(Cyclic(4), oblong) == [2]
