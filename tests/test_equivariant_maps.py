"""Equivariant networks: exact on the grid, in the places of ordinary ones, stored and exported."""

import numpy as np
import odl
import pytest
import torch
from equivariant_checks import commutation_error, limit, noise, relative
from instances.shaking import shaken

from odl_learned import bridge, networks, operators
from odl_learned.learning.files.model_recipes import build_model, describe_model
from odl_learned.networks import equivariant as eq

Z4, D4, CUBE = eq.Cyclic(4), eq.Dihedral(4), eq.CubeRotations()

NETWORKS = {
    "CNN": lambda group, size: eq.EquivariantCNN(group, 2, 3, 2, 4, size=size),
    "DnCNN": lambda group, size: eq.EquivariantDnCNN(group, 2, 2, 3, size=size),
    "UNet": lambda group, size: eq.EquivariantUNet(group, 2, 1, (2, 4), joint=2, size=size),
    "residual": lambda group, size: networks.Residual(eq.EquivariantCNN(group, 3, 2, 1, 3)),
}


def awake(net):
    """The network with its own random weights, and others where it begins at zero."""
    source = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in net.parameters():
            if not p.any():
                p.copy_(0.3 * torch.randn(p.shape, generator=source))
    return net.double()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("group", [Z4, D4, eq.Cyclic(2), eq.Dihedral(1)], ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_networks_commute(name, group, dtype):
    for size, n in ((3, 10), (5, 12)) if name == "UNet" else ((3, 9), (3, 8), (5, 8)):
        net = awake(NETWORKS[name](group, size)).to(dtype)
        x = noise(2, net.in_channels, n, n, dtype=dtype)
        with torch.no_grad():
            images = eq.trivial(group, net(x).shape[1])
        error = commutation_error(net, eq.trivial(group, net.in_channels), images, x)
        assert error < limit(dtype)
    wide = noise(1, net.in_channels, 8, 12, dtype=dtype)
    assert relative(net(group.act(1, wide)), group.act(1, net(wide))) < limit(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_networks_commute_with_the_rotations_of_the_cube(dtype):
    images = eq.trivial(CUBE, 1)
    for net in (eq.EquivariantCNN(CUBE, 1, 1, 1, 3), eq.EquivariantUNet(CUBE, 1, 1, (1, 1))):
        net = shaken(net).to(dtype)
        x = noise(1, 1, 4, 4, 4, dtype=dtype)
        assert commutation_error(net, images, images, x, range(1, 24, 5)) < limit(dtype)


@pytest.mark.parametrize("group", [eq.Cyclic(8), eq.Cyclic(16), eq.Dihedral(8)], ids=repr)
def test_finer_groups_commute_with_quarter_turns(group):
    quarters = [g for g in range(group.order) if group.preserves_grid(g)]
    assert len(quarters) >= 4
    images = eq.trivial(group, 1)
    for dtype in (torch.float32, torch.float64):
        for net in (eq.EquivariantCNN(group, 1, 1, 1, 3, size=5),
                    eq.EquivariantDnCNN(group, 1, 1, 2, size=7)):  # fmt: skip
            net = shaken(net).to(dtype)
            x = noise(1, 1, 9, 9, dtype=dtype)
            assert commutation_error(net, images, images, x, quarters) < limit(dtype)


def test_networks_start_where_the_ordinary_ones_do():
    x = noise(1, 2, 8, 8, dtype=torch.float32)
    assert not eq.EquivariantCNN(D4, 2, 3, 2, 3)(x).any()
    assert not eq.EquivariantUNet(Z4, 2, 1, (2, 2))(x).any()
    source = [torch.Generator().manual_seed(1) for _ in range(2)]
    one, other = (eq.EquivariantDnCNN(Z4, 2, 2, 3, generator=g) for g in source)
    assert torch.equal(one(x), other(x)) and not torch.equal(one(x), x)


def test_the_group_of_one_element_is_an_ordinary_network():
    net = shaken(eq.EquivariantCNN(eq.Cyclic(1), 2, 1, 4, 3))
    ordinary = networks.CNN(2, 1, 4, 3, dimension=2).double()
    with torch.no_grad():
        for layer, twin in zip(net.layers, ordinary.layers):
            if hasattr(layer, "composed"):
                twin.weight.copy_(layer.weight.permute(1, 2, 0).unflatten(2, (3, 3)))
                twin.bias.copy_(layer.bias)
            else:
                twin.weight.copy_(layer.weight)
    x = noise(2, 2, 5, 6)
    assert torch.equal(net(x), ordinary(x))


def test_lengths_that_have_no_symmetric_half_are_refused():
    net = eq.EquivariantUNet(Z4, 1, 1, (1, 1, 1))
    assert net(torch.zeros(1, 1, 6, 10)).shape == (1, 1, 6, 10)
    with pytest.raises(ValueError, match="axis 1 .* length 7, which needs 1 more"):
        net(torch.zeros(1, 1, 8, 7))
    with pytest.raises(ValueError, match="length 2, too short .* at least"):
        eq.EquivariantUNet(Z4, 1, 1, (1,) * 4)(torch.zeros(1, 1, 8, 2))
    one_scale = eq.EquivariantUNet(Z4, 1, 1, (1,))
    assert one_scale(torch.zeros(1, 1, 7, 7)).shape == (1, 1, 7, 7)


def test_wrong_arguments_of_networks():
    with pytest.raises(TypeError, match="group is 4"):
        eq.EquivariantCNN(4, 1, 1, 1, 2)
    with pytest.raises(ValueError, match="size is 4, expected an odd"):
        eq.EquivariantCNN(Z4, 1, 1, 1, 2, size=4)
    with pytest.raises(ValueError, match=r"at least 5 for Cyclic\(8\)"):
        eq.EquivariantDnCNN(eq.Cyclic(8), 1, 1, 2)
    with pytest.raises(ValueError, match=r"fields\[1\] is 0"):
        eq.EquivariantUNet(Z4, 1, 1, (2, 0))
    with pytest.raises(ValueError, match="joint is 3"):
        eq.EquivariantUNet(Z4, 1, 1, (2, 4), joint=3)
    with pytest.raises(ValueError, match=r"expected \(N, 2, H, W\)"):
        eq.EquivariantCNN(Z4, 2, 1, 1, 2)(torch.zeros(1, 1, 4, 4))
    with pytest.raises(ValueError, match="dimension is 3"):
        networks.OnImages(eq.EquivariantCNN(Z4, 1, 1, 1, 2), dimension=3)
    with pytest.raises(TypeError, match="mirror of the detector"):
        eq.OnHalfCircle(eq.EquivariantCNN(Z4, 1, 1, 1, 2), 2)
    with pytest.raises(ValueError, match="at least 3 views"):
        eq.OnHalfCircle(eq.EquivariantCNN(eq.Dihedral(1), 1, 1, 1, 2), 3)(torch.zeros(1, 1, 2, 5))


def test_complex_images_keep_their_phase():
    """A turn moves complex pixels and does not touch them; so does what comes out."""
    net = networks.OnImages(shaken(eq.EquivariantCNN(D4, 2, 2, 2, 3)), dimension=2)
    x = torch.complex(noise(2, 3, 7, 7), noise(2, 3, 7, 7, seed=1))
    assert net(x).shape == x.shape and net(x).dtype == x.dtype
    for g in range(8):
        assert relative(net(D4.act(g, x)), D4.act(g, net(x))) < 1e-12


def turned_sinogram(y, quarters):
    """The data of the image turned by quarters of a circle, by the continuation of the views."""
    views = y.shape[-2]
    circle = torch.cat([y, y.flip(-1)], dim=-2)
    return torch.roll(circle, quarters * views // 2, -2)[..., :views, :]


def test_networks_on_half_a_circle_follow_the_turns_of_the_image():
    inner = eq.EquivariantCNN(eq.Dihedral(1), 2, 1, 3, 3)
    net = eq.OnHalfCircle(shaken(inner), 3)
    for views, bins in ((8, 7), (10, 6)):
        y = noise(2, 2, views, bins)
        for quarters in range(1, 4):
            got, expected = net(turned_sinogram(y, quarters)), turned_sinogram(net(y), quarters)
            assert relative(got, expected) < 1e-13
        wrong = inner(turned_sinogram(y, 1))  # zeros before the first view
        assert relative(wrong, turned_sinogram(inner(y), 1)) > 0.01
    # one view less of margin, and the border is seen
    short = eq.OnHalfCircle(inner, 2)
    assert relative(short(y), net(y)) > 1e-3
    assert relative(eq.OnHalfCircle(inner, 5)(y), net(y)) < 1e-14


@pytest.mark.parametrize("net", [
    lambda: eq.EquivariantCNN(D4, 2, 1, 1, 3, size=5), lambda: eq.EquivariantDnCNN(Z4, 2, 1, 1),
    lambda: eq.EquivariantUNet(CUBE, 2, 1, (2, 2), joint=2),
    lambda: eq.OnHalfCircle(eq.EquivariantCNN(eq.Dihedral(1), 2, 1, 2, 2), 2),
    lambda: torch.nn.Identity(), lambda: eq.FieldMax(eq.quotient(D4, (4,), 2)),
    lambda: eq.GroupConvolution(eq.regular(Z4, 1), eq.trivial(Z4, 1), 3, bias=False, stride=2,
                                padding_mode="circular"),
    lambda: eq.GroupTransposedConvolution(eq.regular(Z4, 1), eq.trivial(Z4, 1), 3, padding=1)],
    ids=range(8))  # fmt: skip
def test_networks_and_layers_have_recipes(net):
    model = shaken(net())
    A = operators.mask_operator(odl.uniform_discr([0, 0], [1, 1], (5, 7)),
                                odl.rn((5, 7)).one().asarray() > 0)
    nodes = describe_model(model, A)
    built = build_model(nodes, A, model.state_dict())
    assert describe_model(built, A) == nodes
    for name, value in model.state_dict().items():
        assert torch.equal(built.state_dict()[name], value)


def test_exported_networks_are_ordinary_and_the_same():
    for net in (eq.EquivariantCNN(D4, 2, 1, 2, 3), eq.EquivariantUNet(Z4, 2, 1, (2, 4), joint=2),
                eq.EquivariantDnCNN(eq.Cyclic(8), 2, 1, 2, size=5)):
        net = shaken(net)
        shared = torch.nn.Sequential(net, torch.nn.Conv2d(net(noise(1, 2, 8, 8)).shape[1], 2, 1),
                                     net).double()  # fmt: skip
        ordinary = eq.exported(shared)
        assert ordinary[0] is ordinary[2] and ordinary[0] is not net
        kinds = {type(layer).__module__ for layer in ordinary.modules()
                 if not list(layer.children())}  # fmt: skip
        assert all(kind.startswith("torch.nn") for kind in kinds)
        x = noise(1, 2, 8, 8)
        with torch.no_grad():
            assert torch.equal(ordinary(x), shared(x))
    with pytest.raises(TypeError, match="net is of type int"):
        eq.exported(3)


def bumps(space, rng):
    """A smooth image that vanishes near the border: six Gaussians of a width of 2.6 pixels."""
    x, y = space.meshgrid
    value = np.zeros(space.shape)
    for _ in range(6):
        radius, angle = 0.45 * np.sqrt(rng.random()), 2 * np.pi * rng.random()
        center = radius * np.cos(angle), radius * np.sin(angle)
        squares = (x - center[0]) ** 2 + (y - center[1]) ** 2
        value += rng.standard_normal() * np.exp(-squares / (2 * 0.08**2))
    return space.element(value)


def on_image_without_biases(net, space):
    """The network as an operator, with random weights; zero outside of a disk."""
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, eq.GroupConvolution):
                layer.he_uniform(torch.Generator().manual_seed(1))
    x, y = space.meshgrid
    disk = odl.MultiplyOperator(space.element((x**2 + y**2 < 0.75**2).astype(float)))
    model = networks.OnImages(net.double(), dimension=2)
    return disk, bridge.as_operator(model, space, space)


def test_finer_turns_of_smooth_images(rng):
    """The mark of the room is 1e-2; filters of quarter turns alone are far from it."""
    X = odl.uniform_discr([-1, -1], [1, 1], (64, 64))
    u = bumps(X, rng)
    for group, size, angles, fits in (
            (eq.Cyclic(8), 5, [np.pi / 4], True), (eq.Cyclic(16), 5, [np.pi / 8, np.pi / 4], True),
            (eq.Dihedral(8), 5, [np.pi / 4], True), (Z4, 5, [np.pi / 4], False)):  # fmt: skip
        net = eq.EquivariantCNN(group, 1, 1, 2, 3, size=size,
                                generator=torch.Generator().manual_seed(0))  # fmt: skip
        disk, N = on_image_without_biases(net, X)
        for angle in angles:
            turn = operators.Rotation(X, angle)
            expected = disk(turn(N(u)))
            error = (disk(N(turn(u))) - expected).norm() / expected.norm()
            assert (error <= 1e-2) if fits else (error > 0.1), (group, angle)
