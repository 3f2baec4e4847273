"""The one call from an energy in ODL and pairs to learned parameters, and what it returns."""

import numpy as np
import odl
import pytest
import torch
from expression_energies import plane

from odl_learned import data, functionals, operators
from odl_learned.energies import energy_of
from odl_learned.functionals import Coordinate, Exponential, arguments, parameter_space
from odl_learned.learning.bilevel import BilevelProblem, Run, SquaredError, learn
from odl_learned.learning.bilevel.first_order import lbfgsb, maid

F = odl.functionals


def denoising(rng, dtype="float64", pairs=3):
    """Smoothed total variation with learned alpha and nu, images and noisy images."""
    space = plane((8, 9), (0.5, 0.5), dtype=dtype)
    u, (alpha, nu), y = arguments(space, 2, space)
    energy = 0.5 * F.L2NormSquared(space) @ (u - y) + functionals.smoothed_length(
        operators.gradient(space) @ u, alpha, nu)  # fmt: skip
    images = [data.random_ellipses(space, rng) for _ in range(pairs)]
    return energy, images, [data.add_white_noise(image, 0.1, rng) for image in images]


def test_arguments_are_images_exponentials_and_data(rng):
    space, target = plane((3, 4)), odl.rn(5)
    u, (alpha, nu), y = arguments(space, 2, target)
    domain = odl.ProductSpace(space, parameter_space(space, 2), target)
    point = operators.random_element(domain, rng)
    assert u.domain == domain and u(point) == point[0] and y(point) == point[2]
    theta = odl.ComponentProjection(domain, 1)
    for i, found in enumerate((alpha, nu)):
        assert found(point) == (Exponential(Coordinate(domain[1], i)) @ theta)(point)
        assert found(point) == pytest.approx(np.exp(point[1][i]), rel=1e-14)
    with pytest.raises(ValueError, match="data is over"):
        arguments(space, 2, odl.cn(5))


def test_learning_is_that_of_the_problem_by_hand(rng):
    energy, images, noisy = denoising(rng)
    found = learn(energy, images, noisy, (-3.0, -3.0))
    truth, measured = (torch.as_tensor(np.stack([z.data for z in zs])) for zs in (images, noisy))
    start = torch.full_like(truth, float(truth.mean()))
    problem = BilevelProblem(energy_of(energy), measured, SquaredError(truth, 1 / truth.numel()),
                             start)  # fmt: skip
    by_hand = lbfgsb(problem, torch.tensor([-3.0, -3.0]).double(), ftol=1e-3, maxiter=50)
    np.testing.assert_array_equal(found.params, by_hand.params.numpy())
    assert found.learned.value == by_hand.value and found.learned.value_bound < 1e-3 * by_hand.value
    # arrays are as good as elements, and so is another method
    arrays = learn(energy, truth.numpy(), measured.numpy(), (-3.0, -3.0))
    np.testing.assert_array_equal(arrays.params, found.params)
    other = learn(energy, images, noisy, (-3.0, -3.0), maxiter=3,
                  method=lambda problem, start, maxiter: maid(problem, start, maxiter=maxiter))
    assert len(other.learned.history["seconds"]) == 4


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_what_was_learned_is_a_functional_of_odl_with_certified_minimizers(dtype, rng):
    energy, images, noisy = denoising(rng, dtype, 2)
    found = learn(energy, images, noisy, (-3.0, -3.0), maxiter=3)
    alpha, nu = np.exp(found.params)
    space, y = images[0].space, noisy[0]
    f, x = found.at(y), images[1]
    expected = 0.5 * (x - y).norm() ** 2 + functionals.SmoothedTV(space, alpha, nu, 0.0)(x)
    assert f(x) == pytest.approx(expected, rel=1e-5 if dtype == "float32" else 1e-12)
    # strongly convex with modulus one: |x - minimizer| <= |gradient|
    rough, fine = (found.reconstruct(y, accuracy) for accuracy in (1e-2, 1e-6))
    assert rough.x in space and rough.reason == "accuracy"
    distance = (rough.x - fine.x).norm()
    assert 0 < distance <= rough.error_bound + fine.error_bound
    assert fine.error_bound <= 3e-6 * max(image.norm() for image in images)
    assert f.gradient(fine.x).norm() <= 1e-4


def test_training_errors_of_other_parameters_have_bounds(rng):
    energy, images, noisy = denoising(rng, pairs=2)
    found = learn(energy, images, noisy, (-3.0, -3.0), maxiter=10)
    value, bound = found.training_error(found.params)
    assert abs(value - found.learned.value) <= bound + found.learned.value_bound
    squares = [((found.reconstruct(y, 1e-7).x - x).data ** 2).mean()
               for x, y in zip(images, noisy, strict=True)]  # fmt: skip
    assert abs(value - np.mean(squares)) <= bound + 1e-9
    assert found.training_error(found.params + 2.0)[0] > value + bound


def test_bounds_of_parameters_are_kept_and_wrong_arguments_named(rng):
    energy, images, noisy = denoising(rng, pairs=2)
    found = learn(energy, images, noisy, (-3.0, -3.0), upper=(-2.9, np.inf), maxiter=5)
    assert found.params[0] <= -2.9
    with pytest.raises(TypeError, match="expected a product of images, parameters and data"):
        learn(F.L2NormSquared(plane()), images, noisy, (-3.0,))
    with pytest.raises(ValueError, match="start is .* expected 2 numbers"):
        learn(energy, images, noisy, (-3.0, -3.0, 1.0))
    with pytest.raises(ValueError, match="data has 1 samples, expected 2"):
        learn(energy, images, noisy[:1], (-3.0, -3.0))


def test_details_of_levels_add_up_to_the_transform(rng):
    space = plane((8, 16))
    W = operators.OrthogonalWavelet(space, "db1", 3)
    u = operators.random_element(space, rng)
    parts = [W.details(level)(u) for level in range(3)]
    coarse = W.range.zero()
    coarse.data[W.coarse] = W(u).data[W.coarse]
    np.testing.assert_array_equal(sum(parts, coarse).data, W(u).data)
    assert [int((part.data != 0).sum()) for part in parts] == [96, 24, 6]
    with pytest.raises(ValueError, match="level"):
        W.details(3)


def test_a_start_has_a_number_for_every_parameter_and_is_shown_in_one_line(rng):
    energy, images, noisy = denoising(rng, pairs=1)
    for start in ([-3.0], -3.0, [-3.0] * 3, [[-3.0, -3.0]]):
        with pytest.raises(ValueError, match="start is .*expected 2 numbers"):
            learn(energy, images, noisy, start)
    found = learn(energy, images, noisy, (-3.0, -3.0), lower=-4, maxiter=1)
    with pytest.raises(ValueError, match="params is .*expected 2 numbers"):
        found.training_error([-3.0])
    assert repr(found).startswith("LearnedEnergy(params=[") and len(repr(found)) < 120


@pytest.mark.parametrize("shape", [(1, 9), (9, 1)])
def test_an_image_with_one_point_along_an_axis_learns_what_a_signal_does(shape, rng):
    arrays = rng.standard_normal((2, 9))

    def learned(space):
        u, (alpha, nu), y = arguments(space, 2, space)
        energy = 0.5 * F.L2NormSquared(space) @ (u - y) + functionals.smoothed_length(
            operators.gradient(space) @ u, alpha, nu)  # fmt: skip
        truth, data = (space.element(array.reshape(space.shape)) for array in arrays)
        return learn(energy, [truth], [data], (-2.0, -2.0), maxiter=2).params

    image = odl.uniform_discr([0, 0], shape, shape)
    np.testing.assert_allclose(learned(image), learned(odl.uniform_discr(0, 9, 9)), rtol=1e-6)


def test_pairs_of_zeros_are_learned_from_and_reconstructed(rng):
    energy, images, _ = denoising(rng)
    space = images[0].space
    scans = [data.add_white_noise(space.zero(), 0.1, rng) for _ in range(2)]
    learned = learn(energy, [space.zero()] * 2, scans, (-3.0, -2.0))
    error, bound = learned.training_error(learned.params)
    assert 0 < error < 0.1**2 and bound < 0.1 * error
    found = learned.reconstruct(scans[0])
    # the accuracy is a part of the norm of ones, which is 1 / 2 times that of their entries
    assert found.x.norm() < 0.5 * scans[0].norm()
    assert found.error_bound <= 1.01e-3 * space.one().norm()


def test_learning_does_not_depend_on_the_unit_of_the_images(rng):
    """A thousandth of the values: the same parameters but for their units, nu and alpha alike."""
    energy, images, scans = denoising(rng)
    start = np.array([-3.0, -2.0])
    known = learn(energy, images, scans, start)
    unit = np.log(1e-3)
    small = learn(energy, [1e-3 * x for x in images], [1e-3 * y for y in scans], start + unit)
    assert len(small.learned.history["value"]) > 2
    # both end where steps gain less than a thousandth
    assert small.learned.value * 1e6 == pytest.approx(known.learned.value, rel=2e-3)


def test_a_run_is_kept_by_the_ordinary_method_alone(rng, tmp_path):
    energy, images, scans = denoising(rng)
    checkpoint, rows = tmp_path / "learned.pt", []
    run = Run(checkpoint, rows.append)
    first = learn(energy, images, scans, (-3.0, -2.0), maxiter=1, run=run)
    assert checkpoint.exists() and len(rows) == 2 and first.learned.reason == "maxiter"
    learn(energy, images, scans, (-3.0, -2.0), run=run)
    whole = learn(energy, images, scans, (-3.0, -2.0))
    assert rows[-1]["value"] == whole.learned.history["value"][-1]
    with pytest.raises(ValueError, match="pass the run to the method"):
        learn(energy, images, scans, (-3.0, -2.0), method=maid, run=run)
