"""Volumes all the way: problems, rules for parameters, proximals and learned maps in space."""

import numpy as np
import odl
import pytest
import torch

from odl_learned import bridge, functionals, networks, operators, reconstruction, solvers
from odl_learned import variational as V
from odl_learned.bridge import as_module
from odl_learned.conformance.actions import act
from odl_learned.variational import parameter_choice

ALPHA, RATIO = 0.1, 1.5


@pytest.fixture
def volumes():
    """Cells that are not cubes, of a volume that is not one."""
    return odl.uniform_discr([0] * 3, [1, 2, 3], (3, 4, 4))


@pytest.fixture
def data(volumes, rng):
    return operators.random_element(volumes, rng)


def test_problems_of_variation_have_the_certified_minimizers(volumes, data):
    identity, fidelity = odl.IdentityOperator(volumes), functionals.l2_fidelity(data)
    exact = solvers.rof(data, ALPHA, 1e-10)
    problem = V.tv_problem(identity, fidelity, ALPHA)
    found = solvers.primal_dual(problem, accuracy=1e-4, maxiter=5000)
    assert found.reason == "accuracy" and found.gap <= 1e-4 * problem.value(found.x)
    assert (found.x - exact.x).norm() <= found.error_bound + exact.error_bound
    exact = solvers.tgv_denoising(data, ALPHA, RATIO, 1e-7)
    problem = V.tgv_problem(identity, fidelity, ALPHA, RATIO)
    found = solvers.primal_dual(problem, accuracy=1e-3, maxiter=5000)
    assert found.reason == "accuracy"
    # strong convexity in the image: |u - u*|^2 / 2 is at most the gap
    assert (found.x[0] - exact.x).norm() <= np.sqrt(2 * found.gap) + exact.error_bound


def test_a_batch_of_volumes_has_the_minimizers_of_each(volumes, data):
    blur = operators.ReflectingConvolution(volumes, [[[0.1, 0.8, 0.1]]])
    problems = [V.tv_problem(blur, functionals.l2_fidelity(share * data), ALPHA,
                             functionals.BoxConstraint(volumes, -1, 1)) for share in (0.5, 2.0)]
    both = solvers.primal_dual(bridge.as_batch(problems), accuracy=1e-3, maxiter=3000)
    for x, problem in zip(both.x, problems, strict=True):
        one = solvers.primal_dual(problem, accuracy=1e-3, maxiter=3000)
        values = problem.value(volumes.element(x.numpy())), problem.value(one.x)
        assert values[0] == pytest.approx(values[1], rel=1e-3)


def test_the_discrepancy_of_a_volume(volumes, rng):
    truth = volumes.element(lambda x: 1.0 * (x[2] > 1.2))
    noise = 0.3 * operators.random_element(volumes, rng)
    y, level = truth + noise, float(noise.norm())
    identity = odl.IdentityOperator(volumes)
    choice = parameter_choice.by_discrepancy(
        lambda alpha: V.tv_problem(identity, functionals.l2_fidelity(y), alpha),
        solvers.Discrepancy(identity, y, level), 0.1)
    # the residual at 1.1 times the level, up to 5 percent
    assert (choice.solution.x - y).norm() == pytest.approx(1.1 * level, rel=0.06)
    assert (choice.solution.x - truth).norm() < 0.8 * level


def test_the_proximal_of_total_variation_as_a_module(volumes, data):
    tv = functionals.TotalVariation(volumes, accuracy=1e-10)
    y = torch.from_numpy(np.stack([data.data, -2 * data.data]))
    found = bridge.as_proximal_module(tv)(y, ALPHA)
    for x, z in zip(found, y, strict=True):
        exact = solvers.rof(volumes.element(z.numpy()), ALPHA, 1e-10)
        assert np.abs(x.numpy() - exact.x.data).max() <= 2 * exact.error_bound / (
            volumes.cell_volume**0.5)


@pytest.mark.parametrize("net", [
    networks.UNet(1, 1, (2, 3), dimension=3, groups=1), networks.DnCNN(1, 2, 3, dimension=3)])
def test_a_learned_map_of_volumes_is_an_operator(net, rng):
    space = odl.uniform_discr([-1, -1, 0], [1, 1, 1], (8, 8, 4), dtype="float32")
    A = operators.normalized(operators.parallel_ray_transform(space, 4))
    start = operators.fbp(A)
    learned = reconstruction.LearnedProximalGradient(
        as_module(A), as_module(A.adjoint), [reconstruction.GradientStep(
            networks.OnImages(net, dimension=3), 0.5)] * 2, initial=as_module(start))  # fmt: skip
    op = bridge.as_operator(learned, A.range, space)
    y, h = (operators.random_element(A.range, rng) for _ in range(2))
    g = operators.random_element(space, rng)
    derivative = op.derivative(y)
    left, right = derivative(h).inner(g), h.inner(derivative.adjoint(g))
    assert abs(left - right) <= 1e-5 * derivative(h).norm() * g.norm()
    batch = torch.from_numpy(np.stack([y.data, h.data]))
    torch.testing.assert_close(learned(batch)[0], learned(batch[:1])[0], rtol=1e-4, atol=1e-5)


def test_the_map_of_total_variation_and_its_learned_parameters(volumes, data):
    y = torch.from_numpy(data.data.copy())
    smooth = reconstruction.AdaptiveTV(
        reconstruction.PositiveMaps(
            networks.CNN(1, 1, 2, 2, dimension=3).double(), [ALPHA], dimension=3),
        accuracy=1e-4, maxiter=2000, smoothing=1e-3,
        derivative=reconstruction.ImplicitDerivative(1e-6, 500))
    single = smooth(y[None])
    assert single.shape == (1, *y.shape)
    torch.testing.assert_close(smooth(torch.stack([y, 2 * y]))[0], single[0])


def test_emission_of_a_volume_is_that_of_its_slices(rng):
    counts, found = [], []
    for shape in ((8, 8, 3), (8, 8)):
        box = [-1] * len(shape), [1] * len(shape)
        space = odl.uniform_discr(*box, shape, dtype="float32")
        A = operators.parallel_ray_transform(space, 6)
        mu = space.element(np.full(shape, 0.1))
        forward = operators.emission_operator(A, operators.attenuation_factors(A, mu), 50.0)
        subsets = [operators.emission_operator(part, operators.attenuation_factors(part, mu), 50.0)
                   for part in operators.view_subsets(A, 2)]  # fmt: skip
        if not counts:
            u = space.element(rng.random(shape))
            counts.append(rng.poisson(forward(u).data).astype("float32"))
            samples = [counts[0]]
        else:
            samples = np.moveaxis(counts[0], -1, 0)
        found.append([(solvers.mlem(forward, forward.range.element(y), space.one(), maxiter=4).x,
                       solvers.osem(subsets, [part.range.element(y[k::2])
                                              for k, part in enumerate(subsets)], space.one(),
                                    maxiter=2).x) for y in samples])  # fmt: skip
    ((whole, ordered),), slices = found
    for k, (image, of_subsets) in enumerate(slices):
        # four steps, each of a few sums of single precision
        assert np.abs(whole.data[..., k] - image.data).max() <= 1e-5 * image.data.max()
        assert np.abs(ordered.data[..., k] - of_subsets.data).max() <= 1e-5 * image.data.max()


def test_turns_of_volumes_that_leave_the_grid_are_refused():
    turns = [[[np.cos(t), -np.sin(t), 0], [np.sin(t), np.cos(t), 0], [0, 0, 1]]
             for t in np.arange(8) * np.pi / 4]  # fmt: skip
    group = networks.equivariant.Group(torch.tensor(turns, dtype=torch.float64))
    x = torch.randn(2, 4, 4, 4, dtype=torch.float64)
    assert torch.equal(act(group, 2, x), torch.rot90(x, 1, (1, 2)))
    with pytest.raises(NotImplementedError, match="element 1 .*grid of voxels"):
        act(group, 1, x)
