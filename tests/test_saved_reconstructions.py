"""Learned reconstructions as files: the same bits again, in a process that knows nothing else."""

import subprocess
import sys
from inspect import isabstract

import numpy as np
import odl
import pytest
import torch
from instances.generative import GENERATIVE
from instances.modules import shaken
from odl.applications import tomo
from torch import nn

from odl_learned import bridge, learning, networks, operators, reconstruction, regularizers
from odl_learned.learning.files.constructors import CONSTRUCTORS
from odl_learned.learning.files.model_recipes import build_model, describe_model

PLANE = odl.uniform_discr([-1, -1], [1, 1], (12, 12), dtype="float32")
COMPLEX = odl.uniform_discr([0, 0], [1, 2], (6, 5), dtype="complex64")
DOUBLE = odl.uniform_discr([0, 0], [1, 2], (6, 5), dtype="complex128")


def small(dtype="float64", shape=(5, 7)):
    return odl.uniform_discr([0] * len(shape), [1] * len(shape), shape, dtype=dtype)


def net(channels=1, dimension=2):
    return networks.OnImages(shaken(networks.CNN(channels, channels, 3, 2, dimension=dimension)),
                             dimension=dimension).float()


def lowered(A):
    return bridge.as_module(A), bridge.as_module(A.adjoint)


def unrolled(A, channels=1, initial=None):
    step = reconstruction.GradientStep(net(channels, len(A.domain.shape)),
                                       reconstruction.LearnedStepSize(0.1))
    model = reconstruction.LearnedProximalGradient(*lowered(A), [step, step], initial)
    return model.double() if A.domain.dtype in (np.float64, np.complex128) else model


def mask(A, rng):
    return (rng.random(A.shape) < 0.6).astype(int)


OPERATORS = {
    "parallel": lambda rng: operators.parallel_ray_transform(PLANE, 6),
    "normalized": lambda rng: operators.normalized(operators.parallel_ray_transform(PLANE, 6)),
    "fan": lambda rng: operators.fan_beam_ray_transform(PLANE, 6, 3.0, 2.0),
    "symmetrized": lambda rng: 0.5 * operators.SymmetrizedRayTransform(
        operators.parallel_ray_transform(PLANE, 6)),
    "irregular angles": lambda rng: tomo.RayTransform(PLANE, tomo.Parallel2dGeometry(
        odl.nonuniform_partition([0.1, 0.5, 2.0]), odl.uniform_partition(-1, 2, 9),
        det_pos_init=(0.6, 0.8), translation=(0.1, 0.2)), impl="astra_cpu"),
    "fourier": lambda rng: operators.SampledFourier(COMPLEX, mask(COMPLEX, rng)),
    "coils": lambda rng: operators.MultiCoilFourier(
        DOUBLE, mask(DOUBLE, rng), rng.standard_normal((3, 6, 5)) + 1j),
    "mask": lambda rng: operators.mask_operator(small(), mask(small(), rng)),
    "blur": lambda rng: operators.PeriodicConvolution(small(), rng.random((3, 3))),
    "blur with zeros": lambda rng: operators.ZeroConvolution(small(), rng.random((3, 3))),
    "reflected blur in space": lambda rng: operators.ReflectingConvolution(
        small(shape=(4, 5, 3)), rng.random((3, 3, 3))),
    "matrix": lambda rng: odl.MatrixOperator(rng.random((4, 6)), domain=odl.rn(6, weighting=2.0),
                                             range=odl.rn(4, weighting=3.0)),
    "identity": lambda rng: 2 * odl.IdentityOperator(small()),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_come_back_with_their_map(rng, name, tmp_path):
    A = OPERATORS[name](rng)
    model = unrolled(A, 2 if A.domain.field == odl.ComplexNumbers() else 1)
    learning.save_reconstruction(tmp_path / "map.pt", model, A)
    found = learning.load_reconstruction(tmp_path / "map.pt", A)
    assert found.forward_op.domain == A.domain and found.forward_op.range == A.range
    x = operators.random_element(A.domain, rng)
    assert (found.forward_op(x) - A(x)).norm() <= 1e-6 * A(x).norm()
    y = operators.random_element(A.range, rng)
    expected = bridge.as_operator(model, A.range, A.domain)(y)
    assert (found.operator(y) - expected).norm() <= 1e-6 * expected.norm()
    h = operators.random_element(A.domain, rng)
    assert found.operator.derivative(y).adjoint(h) in A.range
    assert len(set(map(id, found.model.steps))) == 1  # the shared step is shared


def variational(A):
    return reconstruction.LearnedProximalGradient(*lowered(A), [reconstruction.VariationalStep(
        2, 3, shaken(networks.RadialBasis(2, 5, 2.0)), 0.5, dimension=2)])


def primal_dual(A):
    steps = [reconstruction.StateStep(shaken(networks.CNN(k + 2 - i, k, 4, 2)), dimension=2)
             for i, k in enumerate((2, 2))]
    return reconstruction.LearnedPrimalDual(
        *lowered(A), [steps[0], reconstruction.StateStep(shaken(networks.CNN(4, 2, 3, 1)),
                                                         dimension=2)],
        [steps[1]] * 2, dual_memory=2, primal_memory=2, dimension=2, initial=bridge.as_module(
            A.adjoint))


def post(network):
    return lambda A: reconstruction.Postprocessing(
        bridge.as_module(A.adjoint), networks.OnImages(network(), dimension=2))


def shrinkage(step):
    return lambda A: reconstruction.LearnedShrinkage(*lowered(A), [step(A)] * 2)


def regularized(A):
    filters = regularizers.ComposedFilters((1, 2, 4), 3, networks.Inside(), dimension=2)
    ridge = shaken(regularizers.Ridge(filters, networks.ConvexSpline(4, 3, 1.0),
                                      networks.ConvexSpline(4, 2, 1.0), strength=0.7))
    return reconstruction.RegularizedLeastSquares(
        *lowered(A), ridge, noise_level=0.3, norm=1.0, dimension=2, alpha=0.1, maxiter=20)


MODELS = {
    "regularized": regularized,
    "variational": variational,
    "primal-dual": primal_dual,
    "memory": lambda A: reconstruction.LearnedProximalGradient(*lowered(A), [
        reconstruction.MemoryStep(shaken(networks.ResidualCNN(4, 3, 3, 2)), 2, 0.3, dimension=2)]),
    "learned primal": lambda A: reconstruction.LearnedPrimalDual(
        *lowered(A), [reconstruction.DataResidual()],
        [reconstruction.StateStep(shaken(networks.CNN(3, 2, 3, 2)), dimension=2)],
        dual_memory=1, primal_memory=2, dimension=2),
    "equilibrium": lambda A: reconstruction.DeepEquilibrium(
        *lowered(A), reconstruction.GradientStep(nn.Identity(), 0.5), dimension=2, accuracy=1e-6),
    "U-Net": post(lambda: networks.Residual(shaken(
        networks.UNet(1, 1, (2, 4), dimension=2, groups=2)))),
    "adaptive variation": lambda A: reconstruction.Postprocessing(
        bridge.as_module(A.adjoint), reconstruction.AdaptiveTV(reconstruction.PositiveMaps(
            shaken(networks.UNet(1, 1, (2, 4), dimension=2, groups=2)), [0.3], dimension=2))),
    "adaptive generalized variation": lambda A: reconstruction.Postprocessing(
        bridge.as_module(A.adjoint), reconstruction.AdaptiveTGV(reconstruction.PositiveMaps(
            shaken(networks.UNet(1, 2, (2, 4), dimension=2, groups=2)), [0.3, 1.0],
            dimension=2))),
    "DnCNN": post(lambda: shaken(networks.DnCNN(1, 4, 3, dimension=2))),
    "coupled": shrinkage(lambda A: reconstruction.CoupledShrinkage(
        bridge.as_module(A.adjoint), torch.rand(A.domain.shape) + 0.1,
        reconstruction.LearnedStepSize(0.5))),
    "free": shrinkage(lambda A: reconstruction.FreeShrinkage(*lowered(A), 0.1)),
    "AUTOMAP": lambda A: reconstruction.AUTOMAP((5, 7), (5, 7), 2),
    "Tikhonov": lambda A: reconstruction.Tikhonov(
        *lowered(A), reconstruction.LearnedStepSize(0.3), dimension=2,
        normal=bridge.as_module(A.adjoint @ A)),
    "least squares": lambda A: reconstruction.Postprocessing(
        reconstruction.LeastSquares(*lowered(A), 2, dimension=2), reconstruction.Landweber(
            *lowered(A), 0.5, 2)),
    "learned Landweber": lambda A: reconstruction.LearnedLandweber(
        *lowered(A), 0.5, 5.0, dimension=2, direction=shaken(
            reconstruction.PositiveFilter((5, 7)))),
    "checkpointed": post(lambda: reconstruction.Checkpointed(
        networks.OnImages(shaken(networks.CNN(1, 1, 4, 2)), dimension=2))),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_maps_come_back_to_the_same_bits(rng, name, tmp_path):
    A = OPERATORS["mask"](rng)
    model = MODELS[name](A).double().eval()
    learning.save_reconstruction(tmp_path / "map.pt", model, A)
    state = torch.random.get_rng_state()
    found = learning.load_reconstruction(tmp_path / "map.pt")
    assert torch.equal(torch.random.get_rng_state(), state)
    y = torch.as_tensor(rng.standard_normal((2, 5, 7)))
    assert torch.equal(found.model(y), model(y))
    assert list(found.model.state_dict()) == list(model.state_dict())


def test_every_public_map_can_be_stored():
    rooms = (networks, networks.equivariant, networks.generative, reconstruction, regularizers)
    for room in rooms:
        for name in room.__all__:
            cls = getattr(room, name)
            if isinstance(cls, type) and issubclass(cls, nn.Module) and not isabstract(cls):
                assert cls in CONSTRUCTORS, (
                    f"{name} has no recipe in learning/files/constructors.py")


@pytest.mark.parametrize("name", GENERATIVE)
def test_generative_models_have_a_recipe(rng, name):
    model, example = GENERATIVE[name]()
    A = OPERATORS["mask"](rng)
    built = build_model(describe_model(model, A), A, model.state_dict())
    z = torch.as_tensor(rng.standard_normal((2, 3)))
    assert torch.equal(built(example[None]), model(example[None]))
    if isinstance(model, networks.generative.VariationalAutoencoder):
        assert torch.equal(built.head(z)[0], model.head(z)[0])


def test_networks_that_are_told_the_noise_level_have_a_recipe(rng):
    net = networks.NoiseLevelOnImages(
        shaken(networks.NoiseLevelUNet(1, (3, 4, 5), 2, dimension=2)), dimension=2)
    A = OPERATORS["mask"](rng)
    built = build_model(describe_model(net, A), A, net.state_dict())
    x = torch.as_tensor(rng.standard_normal((5, 7)))
    assert torch.equal(built(x, 0.2), net(x, 0.2))


def test_wavelet_dictionaries_come_back(rng, tmp_path):
    X = small(shape=(8, 4))
    A = operators.mask_operator(X, mask(X, rng))
    D = operators.OrthogonalWavelet(X, "db2", 2).adjoint
    step = reconstruction.CoupledShrinkage(bridge.as_module(D.adjoint @ A.adjoint), 0.1)
    model = reconstruction.LearnedShrinkage(
        bridge.as_module(A), bridge.as_module(D), [step] * 3).double()
    learning.save_reconstruction(tmp_path / "map.pt", model, A, dictionary=D)
    y = torch.as_tensor(rng.standard_normal((2, 8, 4)))
    assert torch.equal(learning.load_reconstruction(tmp_path / "map.pt").model(y), model(y))
    with pytest.raises(TypeError, match=r"model\.synthesis is an operator that cannot be stored"):
        learning.save_reconstruction(tmp_path / "other.pt", model, A)


def test_another_process_needs_one_call(rng, tmp_path):
    A = OPERATORS["parallel"](rng)
    model = unrolled(A, initial=bridge.as_module(operators.fbp(A)))
    learning.save_reconstruction(tmp_path / "map.pt", model, A)
    y = operators.random_element(A.range, rng)
    np.save(tmp_path / "data.npy", y.asarray())
    code = ("import sys, numpy as np; from odl_learned import learning; "
            "R = learning.load_reconstruction('map.pt').operator; "
            "np.save('image.npy', R(R.domain.element(np.load('data.npy'))).asarray())")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=300)
    expected = bridge.as_operator(model.eval(), A.range, A.domain)(y).asarray()
    assert np.load(tmp_path / "image.npy") == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_another_operator_is_an_error_that_names_it(rng, tmp_path):
    A = OPERATORS["parallel"](rng)
    learning.save_reconstruction(tmp_path / "map.pt", unrolled(A), A)
    finer = odl.uniform_discr([-1, -1], [1, 1], (14, 14), dtype="float32")
    shifted = odl.uniform_discr([-1, -1], [1.1, 1.1], (12, 12), dtype="float32")
    for other, message in [
        (operators.parallel_ray_transform(PLANE, 7),
         r"forward_op\.geometry\.angles\.points has 6 entries there, 7 here"),
        (operators.parallel_ray_transform(finer, 6),
         r"forward_op\.domain\.shape is \[12, 12\] there, \[14, 14\] here"),
        (operators.parallel_ray_transform(shifted, 6), r"forward_op\.domain\.weighting"),
        (2 * A, r"forward_op\.kind is 'RayTransform' there, 'multiple' here"),
    ]:
        with pytest.raises(ValueError, match=f"is for another operator: {message}"):
            learning.load_reconstruction(tmp_path / "map.pt", other)


def test_multiples_name_the_angles_before_the_factor(rng, tmp_path):
    A = OPERATORS["normalized"](rng)
    learning.save_reconstruction(tmp_path / "map.pt", unrolled(A), A)
    other = operators.normalized(operators.parallel_ray_transform(PLANE, 7))
    with pytest.raises(ValueError, match=r"forward_op\.operator\.geometry\.angles\.points has 6"):
        learning.load_reconstruction(tmp_path / "map.pt", other)


def changed(path, **changes):
    state = torch.load(path, weights_only=True)
    torch.save(state | changes, path)


def test_files_that_give_other_values_say_by_which_version(rng, tmp_path):
    path, A = tmp_path / "map.pt", OPERATORS["mask"](rng)
    model = unrolled(A)
    learning.save_reconstruction(path, model, A)
    weights = {name: 1.1 * t for name, t in model.state_dict().items()}
    changed(path, weights=weights, versions={"odl_learned": "0.0.7"})
    with pytest.raises(ValueError, match=r"differ by .*written with odl_learned 0\.0\.7, and this "
                                         r"is odl_learned .*, odl 1\.0\.0, torch"):
        learning.load_reconstruction(path)
    changed(path, language=7)
    with pytest.raises(ValueError, match=r"language 7, expected 1; read it with odl_learned 0\.0"):
        learning.load_reconstruction(path)
    torch.save({"format": 2, "weights": {}}, path)
    with pytest.raises(ValueError, match="not one of a reconstruction: it lacks language"):
        learning.load_reconstruction(path)


def test_files_hold_no_code(rng, tmp_path):
    path, A = tmp_path / "map.pt", OPERATORS["mask"](rng)
    learning.save_reconstruction(path, unrolled(A), A)
    nodes = torch.load(path, weights_only=True)["model"]
    assert nodes[-1]["class"] == "LearnedProximalGradient"
    changed(path, model=[{"class": "system", "arguments": {"command": "true"}}])
    with pytest.raises(ValueError, match="holds a 'system', expected one of AUTOMAP"):
        learning.load_reconstruction(path)
    changed(path, model=[{"class": "CNN", "arguments": {}}])
    with pytest.raises(ValueError, match=r"cannot be built: TypeError: .*written with odl_learned"):
        learning.load_reconstruction(path)
    torch.save({"format": 2, "model": net()}, path)
    with pytest.raises(ValueError, match="more than tensors, numbers and strings"):
        learning.load_reconstruction(path)


class Own(nn.Module):
    def forward(self, x):
        return x


def noisy(A):
    """An operator that is none of the related ones."""
    return bridge.as_module(3 * A.adjoint)


@pytest.mark.parametrize("model, message", [
    (lambda A: reconstruction.Postprocessing(bridge.as_module(A.adjoint), Own()),
     r"model\.net is of the class Own, which is not in odl_learned"),
    (lambda A: reconstruction.Postprocessing(lambda y: y, nn.Identity()),
     r"model\.initial is a function and cannot be stored"),
    (lambda A: reconstruction.Postprocessing(noisy(A), nn.Identity()),
     r"model\.initial is an operator that cannot be stored: it is none of A, adjoint, normal"),
    (lambda A: bridge.as_operator(Own(), A.range, A.domain), "expected a torch module"),
])
def test_what_cannot_be_stored_is_named(rng, model, message, tmp_path):
    A = OPERATORS["mask"](rng)
    with pytest.raises(TypeError, match=message):
        learning.save_reconstruction(tmp_path / "map.pt", model(A), A)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("A, message", [
    (odl.Gradient(small()), "Gradient cannot be stored; expected one of ray transforms"),
    (odl.IdentityOperator(odl.uniform_discr(0, 1, 5, nodes_on_bdry=True)),
     "expected a uniform_discr, rn or cn space on numpy with a constant weight"),
])
def test_operators_without_a_recipe_are_named(A, message, tmp_path):
    model = reconstruction.Postprocessing(bridge.as_module(A.adjoint), nn.Identity())
    with pytest.raises(TypeError, match=message):
        learning.save_reconstruction(tmp_path / "map.pt", model, A)
