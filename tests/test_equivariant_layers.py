"""Layers of fields: against their definition as sums over group and pixels, and as they commute."""

import copy
import itertools

import pytest
import torch
from equivariant_checks import commutation_error, limit, noise, relative
from instances.shaking import shaken

from odl_learned.networks import equivariant as eq

Z4, D4, CUBE = eq.Cyclic(4), eq.Dihedral(4), eq.CubeRotations()
PLANE = [eq.Cyclic(1), eq.Cyclic(2), Z4, eq.Dihedral(1), D4]


def kinds(group, count):
    return {"trivial": eq.trivial(group, count), "regular": eq.regular(group, count),
            "quotient": eq.quotient(group, (group.order - 1,), count)}  # fmt: skip


def by_definition(layer, x):
    """``(K f)(x, g) = b + sum_h sum_t psi(g^-1 t, g^-1 h) f(s x + d t, h)``, entry by entry.

    Only the filter of the identity, psi, is taken from the layer.
    """
    group, taps = layer.source.group, range(layer.size)
    kernel = layer.composed()[0].detach()
    kernel = kernel.unflatten(0, (-1, group.order)).unflatten(2, (-1, group.order))
    psi = kernel[:, 0]  # (out, in, h, *taps)
    p, middle = layer.padding, (layer.size - 1) / 2
    padded = torch.nn.functional.pad(x, [p] * 4).unflatten(1, (-1, group.order))
    reach = layer.dilation * (layer.size - 1)
    lengths = [(n + 2 * p - reach - 1) // layer.stride + 1 for n in x.shape[2:]]
    value = torch.zeros(len(x), layer.target.count, group.order, *lengths, dtype=x.dtype)
    for g, h, i, j in itertools.product(*[range(group.order)] * 2, taps, taps):
        t = torch.tensor([i - middle, j - middle], dtype=torch.float64)
        back = (group.matrices[group.inverse(g)] @ t + middle).round().long().tolist()
        h_back = group.product(group.inverse(g), h)
        weights = psi[:, :, h_back, back[0], back[1]]
        rows, columns = (slice(layer.dilation * k, layer.dilation * k + layer.stride * n,
                               layer.stride) for k, n in zip((i, j), lengths))  # fmt: skip
        pixels = padded[:, :, h, rows, columns][:, :, : lengths[0], : lengths[1]]
        value[:, :, g] += torch.einsum("oc,ncab->noab", weights, pixels)
    return (value + layer.bias.detach().view(-1, 1, 1, 1)).flatten(1, 2)


@pytest.mark.parametrize("group", [eq.Cyclic(2), Z4, eq.Dihedral(1), D4], ids=repr)
@pytest.mark.parametrize("options, shape", [
    ({"size": 3}, (4, 5)), ({"size": 5}, (3, 4)), ({"size": 2, "padding": 1}, (4, 4)),
    ({"size": 3, "stride": 2}, (5, 3)), ({"size": 2, "stride": 2}, (4, 4)),
    ({"size": 3, "dilation": 2}, (5, 5))], ids=str)
def test_group_convolution_is_the_sum_over_the_group(group, options, shape):
    fields, more = eq.regular(group, 2), eq.regular(group, 1)
    layer = shaken(eq.GroupConvolution(fields, more, **options))
    x = noise(2, fields.channels, *shape)
    assert relative(layer(x).detach(), by_definition(layer, x)) < 1e-14


@pytest.mark.parametrize("group", PLANE, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("into", ["trivial", "regular", "quotient"])
@pytest.mark.parametrize("out", ["trivial", "regular", "quotient"])
def test_group_convolutions_commute(group, dtype, into, out):
    source, target = kinds(group, 2)[into], kinds(group, 3)[out]
    for n, options in ((6, {"size": 3}), (7, {"size": 5, "padding_mode": "circular"}),
                       (7, {"size": 3, "stride": 2, "padding_mode": "replicate"}),
                       (8, {"size": 4, "stride": 2, "padding_mode": "reflect"}),
                       (6, {"size": 3, "dilation": 2}), (6, {"size": 1})):  # fmt: skip
        layer = shaken(eq.GroupConvolution(source, target, **options)).to(dtype)
        x = noise(2, source.channels, n, n, dtype=dtype)
        assert commutation_error(layer, source, target, x) < limit(dtype), options
    for options in ({"size": 2, "stride": 2}, {"size": 3, "stride": 2, "padding": 1},
                    {"size": 3, "dilation": 2}):  # fmt: skip
        layer = shaken(eq.GroupTransposedConvolution(source, target, **options)).to(dtype)
        x = noise(2, source.channels, 5, 5, dtype=dtype)
        assert commutation_error(layer, source, target, x) < limit(dtype), options


def test_filters_are_all_that_commute():
    """The number of weights is the dimension of the filters that a projection onto them keeps."""
    for group in (Z4, D4):
        for source, target in itertools.product(kinds(group, 1).values(), repeat=2):
            layer = eq.GroupConvolution(source, target, 3, bias=False)
            shape = (target.channels, source.channels, 3, 3)
            every = torch.eye(torch.Size(shape).numel(), dtype=torch.float64).view(-1, *shape)
            turned = sum(
                group.act(g, every)[:, target.permutations[group.inverse(g)]][
                    :, :, source.permutations[group.inverse(g)]] for g in range(group.order))
            rank = int(torch.linalg.matrix_rank(turned.flatten(1) / group.order))
            assert layer.weight.numel() == rank


def test_a_flip_of_the_wrong_sign_is_seen():
    """Filters of ``Cyclic(4)`` do not commute with the flips, so that the measure can fail."""
    # of the filters of 3 x 3 pixels between images, those that turns keep, flips keep, too
    layer = shaken(eq.GroupConvolution(eq.trivial(Z4, 1), eq.trivial(Z4, 1), 5))
    x = noise(1, 1, 6, 6)
    images = eq.trivial(D4, 1)
    assert commutation_error(layer, images, images, x, range(4)) < 1e-12
    assert commutation_error(layer, images, images, x, range(4, 8)) > 0.01


@pytest.mark.parametrize("into, out", [("trivial", "regular"), ("regular", "regular"),
                                       ("regular", "trivial")])  # fmt: skip
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_layers_of_the_cube_commute(into, out, dtype):
    source, target = kinds(CUBE, 1)[into], kinds(CUBE, 2)[out]
    x = noise(1, source.channels, 4, 4, 4, dtype=dtype)
    for mode in ("zeros", "reflect", "circular"):
        layer = shaken(eq.GroupConvolution(source, target, 3, padding_mode=mode)).to(dtype)
        assert commutation_error(layer, source, target, x, range(0, 24, 7)) < limit(dtype)
    down = shaken(eq.GroupConvolution(source, target, 2, stride=2)).to(dtype)
    assert commutation_error(down, source, target, x, range(1, 24, 3)) < limit(dtype)
    up = shaken(eq.GroupTransposedConvolution(source, target, 2, stride=2)).to(dtype)
    assert commutation_error(up, source, target, x[..., :3, :3, :3], (5, 13)) < limit(dtype)


@pytest.mark.parametrize("group", [*PLANE, CUBE, eq.Cyclic(8)], ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_nonlinearities_normalization_and_projections_commute(group, dtype):
    turns = [g for g in range(group.order) if group.preserves_grid(g)][:9]
    shape = [5] * group.dimension
    for fields in kinds(group, 4).values():
        x = noise(2, fields.channels, *shape, dtype=dtype)
        for layer in (eq.FieldPReLU(fields), eq.NormNonlinearity(fields), torch.nn.ReLU(),
                      eq.FieldNormalization(fields), eq.FieldNormalization(fields, 2)):  # fmt: skip
            layer = shaken(layer).to(dtype)
            assert commutation_error(layer, fields, fields, x, turns) < limit(dtype), layer
        for layer in (eq.FieldSum(fields), eq.FieldMax(fields), eq.FieldNorm(fields)):
            assert layer.target == eq.trivial(group, 4)
            assert commutation_error(layer, fields, layer.target, x, turns) < limit(dtype), layer


def test_values_of_nonlinearities_and_projections():
    fields = eq.regular(Z4, 2)
    x = noise(3, 8, 2, 2)
    parts = x.view(3, 2, 4, 2, 2)
    prelu = shaken(eq.FieldPReLU(fields))
    slopes = prelu.weight.detach().view(1, 2, 1, 1, 1)
    expected = torch.where(parts > 0, parts, slopes * parts).view(3, 8, 2, 2)
    assert torch.equal(prelu(x).detach(), expected)
    soft = eq.NormNonlinearity(fields).double()
    assert relative(soft(x).detach(), x) < 1e-11
    with torch.no_grad():
        soft.threshold.copy_(torch.tensor([0.7, -0.5]))
    norm = parts.square().sum(2, keepdim=True).sqrt()
    kept = (norm - torch.tensor([0.7, -0.5]).view(1, 2, 1, 1, 1)).clamp(min=0)
    assert relative(soft(x).detach(), (parts / norm * kept).view(3, 8, 2, 2)) < 1e-11
    normal = eq.FieldNormalization(fields, epsilon=1e-12).double()(x).detach().view(3, 2, -1)
    assert normal.mean(-1).abs().max() < 1e-14
    assert (normal.var(-1, correction=0) - 1).abs().max() < 1e-10
    assert relative(eq.FieldSum(fields)(x), parts[:, :, 0] + parts[:, :, 1:].sum(2)) < 1e-15
    assert torch.equal(eq.FieldMax(fields)(x), parts.max(2).values)
    assert relative(eq.FieldNorm(fields)(x) ** 2, (parts**2).sum(2)) < 1e-15


def test_transposed_convolution_is_the_transpose():
    source, target = eq.regular(D4, 1), eq.regular(D4, 2)
    layer = shaken(eq.GroupTransposedConvolution(source, target, 3, stride=2, padding=1,
                                                 bias=False))  # fmt: skip
    x, y = noise(1, 8, 3, 4), noise(1, 16, 5, 7, seed=1)
    kernel = layer.composed()[0]
    back = torch.nn.functional.conv2d(y, kernel, stride=2, padding=1)
    assert abs(float((layer(x) * y).sum().detach() - (back * x).sum().detach())) < 1e-12


def test_strides_that_are_not_symmetric_are_refused():
    fields = eq.trivial(Z4, 1)
    with pytest.raises(ValueError, match="axis 0 .* length 6, .* stride 2"):
        eq.GroupConvolution(fields, fields, 3, stride=2)(torch.zeros(1, 1, 6, 7))
    with pytest.raises(ValueError, match="axis 1 .* length 7"):
        eq.GroupConvolution(fields, fields, 2, stride=2)(torch.zeros(1, 1, 6, 7))
    with pytest.raises(ValueError, match="length 2"):
        eq.GroupConvolution(fields, fields, 5, padding=0)(torch.zeros(1, 1, 2, 7))
    # what the error prevents: the ordinary convolution with these filters does not commute
    layer = shaken(eq.GroupConvolution(fields, fields, 3, stride=2)).ordinary()
    assert commutation_error(layer, fields, fields, noise(1, 1, 6, 6), [1, 2]) > 0.1


def test_wrong_arguments_of_layers():
    fields = eq.regular(Z4, 2)
    with pytest.raises(ValueError, match=r"Cyclic\(4\).*Dihedral\(4\)"):
        eq.GroupConvolution(fields, eq.regular(D4, 1), 3)
    with pytest.raises(TypeError, match="source is 3"):
        eq.GroupConvolution(3, fields, 3)
    with pytest.raises(ValueError, match="size is 0"):
        eq.GroupConvolution(fields, fields, 0)
    with pytest.raises(ValueError, match="'zero', expected one of zeros"):
        eq.GroupConvolution(fields, fields, 3, padding_mode="zero")
    with pytest.raises(ValueError, match=r"\(1, 7, 4, 4\), expected \(N, 8"):
        eq.GroupConvolution(fields, fields, 3)(torch.zeros(1, 7, 4, 4))
    with pytest.raises(ValueError, match=r"expected \(N, 8"):
        eq.FieldMax(fields)(torch.zeros(1, 7, 4, 4))
    with pytest.raises(ValueError, match="joint is 3"):
        eq.FieldNormalization(fields, 3)
    with pytest.raises(TypeError, match="float64"):
        eq.GroupConvolution(fields, fields, 3)(torch.zeros(1, 8, 4, 4).double())


def test_composed_filters_are_kept_in_evaluation_only(monkeypatch):
    fields = eq.regular(Z4, 1)
    layer, x = shaken(eq.GroupConvolution(fields, fields, 3)).eval(), noise(1, 4, 5, 5)
    counted = []
    expand = type(layer.basis).expand
    monkeypatch.setattr(type(layer.basis), "expand",
                        lambda *arguments: counted.append(0) or expand(*arguments))
    with torch.no_grad():
        first = layer(x)
        assert torch.equal(layer(x), first) and len(counted) == 1
    assert torch.equal(layer(x).detach(), first) and len(counted) == 2  # gradients are recorded
    with torch.no_grad():
        layer(x)
        assert len(counted) == 2
        copied = copy.deepcopy(layer).eval()
        for change in (lambda: layer.weight.mul_(2), lambda: layer.bias.add_(1),
                       lambda: layer.load_state_dict(copied.state_dict()),
                       lambda: layer.load_state_dict(copied.state_dict(), assign=True),
                       lambda: layer.train(), lambda: layer.float().double(),
                       lambda: setattr(layer.bias, "data", 2 * layer.bias.data),
                       lambda: setattr(layer.weight, "data", 2 * layer.weight.data)):
            layer(x)
            change()
            fresh = eq.GroupConvolution(fields, fields, 3).double()
            fresh.load_state_dict(layer.state_dict())
            assert torch.equal(layer(x), fresh(x))
            layer.eval()
        assert torch.equal(copied(x), first)
    optimizer = torch.optim.SGD(layer.parameters(), 0.1)
    layer.train()(x).square().sum().backward()
    optimizer.step()
    with torch.no_grad():
        assert torch.equal(layer.eval()(x), layer.train()(x))
        other = {name: torch.zeros_like(p) for name, p in layer.named_parameters()}
        assert not torch.func.functional_call(layer.eval(), other, (x,)).any()
        assert layer(x).any()


def test_kept_filters_serve_inference_and_gradients_in_the_image(monkeypatch):
    fields = eq.regular(Z4, 1)
    layer = shaken(eq.GroupConvolution(fields, fields, 3)).eval()
    x = noise(1, 4, 5, 5).requires_grad_()
    expected = torch.autograd.grad(layer(x).square().sum(), x)[0]
    with torch.inference_mode():
        layer(x)
    layer.requires_grad_(False)
    monkeypatch.setattr(type(layer), "composed", None)  # what is kept serves
    assert torch.equal(torch.autograd.grad(layer(x).square().sum(), x)[0], expected)


def test_compiled_layers_follow_their_weights():
    fields = eq.regular(Z4, 1)
    layer = shaken(eq.GroupConvolution(fields, fields, 3)).eval()
    compiled, x = torch.compile(layer, backend="eager", fullgraph=True), noise(1, 4, 5, 5)
    for _ in range(2):
        with torch.no_grad():
            assert torch.equal(compiled(x), layer(x))
            layer.weight.mul_(2)


@pytest.mark.parametrize("group", [Z4, D4, eq.Cyclic(8), CUBE], ids=repr)
def test_layers_are_ordinary_convolutions(group):
    fields, shape = eq.regular(group, 2), [5] * group.dimension
    size = 3 if group.is_exact else 5
    layers = [
        eq.GroupConvolution(fields, fields, size, padding_mode="circular"),
        eq.GroupConvolution(fields, eq.trivial(group, 1), size, dilation=2, bias=False),
        eq.GroupTransposedConvolution(fields, fields, size, stride=2, padding=1),
        eq.FieldPReLU(fields), eq.FieldNormalization(fields, 2)]  # fmt: skip
    x = noise(1, fields.channels, *shape)
    for layer in map(shaken, layers):
        ordinary = layer.ordinary()
        assert type(ordinary).__module__.startswith("torch.nn")
        assert torch.equal(ordinary(x), layer(x))
        assert not set(map(id, ordinary.parameters())) & set(map(id, layer.parameters()))


def test_random_weights_have_the_variance_of_xavier_and_he():
    for group, size in ((D4, 3), (eq.Cyclic(8), 5)):
        source, target = eq.regular(group, 20), eq.regular(group, 12)
        layer = eq.GroupConvolution(
            source, target, size, generator=torch.Generator().manual_seed(0))
        variance = 2 / (size**2 * (source.channels + target.channels))
        assert abs(float(layer.composed()[0].detach().var()) / variance - 1) < 0.05
        layer.he_uniform(torch.Generator().manual_seed(0))
        variance = 2 / (size**2 * source.channels)
        assert abs(float(layer.composed()[0].detach().var()) / variance - 1) < 0.05


def test_gradients_of_the_weights():
    layer = shaken(eq.GroupConvolution(eq.regular(Z4, 1), eq.quotient(Z4, (2,), 1), 3))
    x = noise(1, 4, 3, 3).requires_grad_()

    def value(x, weight, bias):
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (x,))

    arguments = (x, layer.weight, layer.bias)
    assert torch.autograd.gradcheck(value, arguments, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(value, arguments)
