"""The measuring tool finds broken symmetries and passes exact ones."""

import math

import numpy as np
import odl
import pytest
import torch
from symmetries import ALL, BROKEN, EXACT, IMAGES, SINGLE, TURNS, N, fan, normal

from odl_learned import functionals, operators
from odl_learned.conformance import Translations, equivariance_error, sample
from odl_learned.networks import equivariant as e

#: White noise of norm 1: what is exact differs by some hundred roundings in double precision.
SOUND = 1e-12


def samples_of(phi):
    if isinstance(phi, torch.nn.Module):
        generator = torch.Generator().manual_seed(1)
        return torch.randn(2, N, N, dtype=torch.float64, generator=generator)
    rng = np.random.default_rng(1)
    return [sample(phi, rng) for _ in range(2)]


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_symmetry_is_found(name):
    phi, group = BROKEN[name]()
    assert float(equivariance_error(phi, group, samples_of(phi))) > 1e-3


@pytest.mark.parametrize("name", EXACT)
def test_an_exact_map_passes(name):
    phi, group = EXACT[name]()
    samples = samples_of(phi)
    assert float(equivariance_error(phi, group, samples)) <= SOUND
    with torch.no_grad():  # a map without values would commute with everything
        value = phi(samples) if isinstance(phi, torch.nn.Module) else phi(samples[0])
    assert (value.norm() if hasattr(value, "norm") else abs(value)) > 0


@pytest.mark.parametrize("phi", [
    fan(16), normal(operators.parallel_ray_transform(SINGLE, 16))], ids=["fan", "parallel"])
def test_full_scans_of_views_in_fours_commute_as_far_as_their_matrices_are_single(phi):
    """A quarter turn of the image shifts the views by a quarter of them; entries are float32."""
    error = float(equivariance_error(phi, ALL, samples_of(phi)))
    assert 1e-8 < error < 1e-4


def test_the_error_is_that_of_the_definition():
    """``x -> c x`` with c varying along axis 0, by hand, and which element and sample are worst."""
    c = np.linspace(1, 2, N)[:, None] * np.ones((1, N))
    phi = odl.MultiplyOperator(IMAGES.element(c))
    x = samples_of(phi)
    found = equivariance_error(phi, TURNS, x, elements=[1, 2])
    for row, k in enumerate((1, 2)):
        for column, image in enumerate(x):
            u = image.asarray()
            difference = c * np.rot90(u, k) - np.rot90(c * u, k)
            expected = np.linalg.norm(difference) / np.linalg.norm(c * u)
            assert found.errors[row, column] == pytest.approx(expected, rel=1e-12)
    element, column = found.worst
    assert found.errors[found.elements.index(element), column] == found.largest == float(found)


def test_turns_of_arrays_are_those_of_operators():
    x = IMAGES.element(np.random.default_rng(0).standard_normal((N, N)))
    turned = TURNS.act(1, torch.from_numpy(x.asarray()))
    assert np.array_equal(operators.QuarterTurn(IMAGES, 1)(x).asarray(), turned.numpy())


def smooth():
    """A lopsided bump inside of the disk."""
    x, y = IMAGES.meshgrid
    return IMAGES.element(np.exp(-12 * ((x - 0.1) ** 2 + 1.5 * (y + 0.15) ** 2)))


def test_turns_between_pixels_are_tried_on_smooth_images():
    """A radial filter commutes with 45 degrees, a filter along one axis with no turn."""
    eight, k = e.Cyclic(8), np.arange(-4, 5)
    radial = np.exp(-0.5 * (k[:, None] ** 2 + k[None, :] ** 2))
    along = np.exp(-0.5 * k[:, None] ** 2)
    errors = [equivariance_error(operators.PeriodicConvolution(IMAGES, kernel), eight, smooth())
              for kernel in (radial / radial.sum(), along / along.sum())]
    assert float(errors[0]) < 2e-3
    assert errors[1].errors[0] > 0.05
    mirrored = equivariance_error(operators.PeriodicConvolution(IMAGES, radial), e.Dihedral(8),
                                  smooth())
    assert float(mirrored) < 2e-3
    assert len(mirrored.elements) == 15


def test_values_may_be_acted_on_otherwise():
    """The transpose of an image turns the other way round."""
    class Transposed(torch.nn.Module):
        def forward(self, x):
            return x.mT

    x = samples_of(Transposed())
    assert float(equivariance_error(Transposed(), TURNS, x)) > 0.1
    other = equivariance_error(Transposed(), TURNS, x, act_on_values=lambda k, y: TURNS.act(
        TURNS.inverse(k), y))
    assert float(other) == 0


def test_values_that_are_not_finite_are_no_symmetry():
    infinite = functionals.BoxConstraint(IMAGES, 0, 1)
    assert math.isinf(float(equivariance_error(infinite, TURNS, [2 * IMAGES.one()])))


def test_single_precision_is_turned_as_it_is():
    phi = operators.PeriodicConvolution(SINGLE, np.ones((3, 3)))
    assert float(equivariance_error(phi, ALL, samples_of(phi))) < 1e-6


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"phi": 3}, TypeError, "phi is 3"),
    ({"group": 4}, TypeError, "group is 4"),
    ({"samples": []}, ValueError, "0 samples"),
    ({"elements": []}, ValueError, "0 elements"),
    ({"elements": [9]}, ValueError, "element is 9"),
    ({"samples": [np.ones((N, N))]}, TypeError, "samples"),
])  # fmt: skip
def test_bad_input_is_refused(change, error, message):
    arguments = {"phi": odl.IdentityOperator(IMAGES), "group": TURNS, "samples": [IMAGES.one()]}
    arguments |= change
    elements = arguments.pop("elements", None)
    with pytest.raises(error, match=message):
        equivariance_error(*arguments.values(), elements=elements)


def test_oblong_images_are_not_turned_but_mirrored():
    space = odl.uniform_discr([0, 0], [2, 1], (8, 4))
    identity = odl.IdentityOperator(space)
    with pytest.raises(ValueError, match=r"shape \(8, 4\)"):
        equivariance_error(identity, TURNS, [space.one()])
    half_turn_and_mirrors = [2, 4, 6]
    assert float(equivariance_error(identity, ALL, [space.one()],
                                    elements=half_turn_and_mirrors)) == 0


@pytest.mark.parametrize("shifts", [[], [()], [(1, 2), (1,)], [(0.5, 1)], 3])
def test_translations_are_whole(shifts):
    with pytest.raises(ValueError, match="shifts are"):
        Translations(shifts)
