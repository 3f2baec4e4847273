"""The weights that `weights` reads are those of ODL's inner products."""

import numpy as np
import odl
import pytest

from odl_learned import weights

SHAPE = 3, 4
ARRAY = np.arange(1.0, 13).reshape(SHAPE)
BOUNDARIES = {
    "cells": False,
    "nodes": True,
    "first axis": [True, False],
    "single sides": [(True, False), (False, True)],
    "three sides": [True, (False, True)],
}
WEIGHTINGS = {"volume": None, "number": 2.5, "one": 1.0, "array": ARRAY,
              "integers": ARRAY.astype(int)}


def discr(boundary, weighting, dtype="float64"):
    return odl.uniform_discr([0, 0], [1, 2], SHAPE, dtype=dtype, weighting=weighting,
                             nodes_on_bdry=boundary)


SPACES = {
    f"{boundary}, {weighting}": lambda b=boundary, w=weighting: discr(BOUNDARIES[b], WEIGHTINGS[w])
    for boundary in BOUNDARIES
    for weighting in WEIGHTINGS
}
SPACES |= {
    "complex": lambda: discr(True, None, "complex128"),
    "complex, array": lambda: discr(True, ARRAY, "complex128"),
    "single precision": lambda: discr(True, ARRAY, "float32"),
    "one point": lambda: odl.uniform_discr([0, 0], [1, 2], (1, 4), nodes_on_bdry=[False, True]),
    "two points": lambda: odl.uniform_discr(0, 1, 2, nodes_on_bdry=True),
    "no axis": lambda: odl.uniform_discr([], [], ()),
    "unit cells": lambda: odl.uniform_discr(0, 3, 4, nodes_on_bdry=True),
    "not uniform": lambda: odl.DiscretizedSpace(
        odl.nonuniform_partition([0, 1, 4, 5.0], nodes_on_bdry=True), odl.rn(4, weighting=0.5)),
    "rn": lambda: odl.rn(SHAPE),
    "cn, number": lambda: odl.cn(SHAPE, weighting=2.5),
    "rn, array": lambda: odl.rn(SHAPE, weighting=ARRAY),
    "rn, list": lambda: odl.rn(4, weighting=[1, 2, 3, 4]),
    "rn, row": lambda: odl.rn(SHAPE, weighting=[1.0, 2.0, 3.0, 4.0]),
}


def units(space):
    """The unit vectors of a tensor space, with their indices."""
    for index in np.ndindex(space.shape):
        values = np.zeros(space.shape, space.dtype_identifier)
        values[index] = 1
        yield index, space.element(values)


@pytest.mark.parametrize("name", SPACES)
def test_entry_weights_are_squared_norms_of_unit_vectors(name):
    # ODL multiplies by the constant or the array and by one fraction per axis: four roundings of
    # its precision, and two more for the square root and the square.
    space = SPACES[name]()
    found = np.broadcast_to(weights.entry_weights(space), space.shape)
    rounding = 6 * np.finfo(space.dtype_identifier).eps
    for index, unit in units(space):
        for value in (unit.inner(unit), unit.norm() ** 2, unit.dist(space.zero()) ** 2):
            assert abs(value - found[index]) <= rounding * found[index]
    assert found.dtype == np.float64


@pytest.mark.parametrize("name", SPACES)
def test_the_inner_product_is_the_weighted_sum(name, rng):
    space = SPACES[name]()
    x, z = (rng.integers(-4, 5, space.shape) for _ in range(2))
    if space.is_complex:
        x, z = x + 1j * z, z - 2j * x
    found = np.sum(weights.entry_weights(space) * x * z.conj())
    expected = space.element(x).inner(space.element(z))
    sizes = np.sum(weights.entry_weights(space) * np.abs(x * z))
    eps = np.finfo("float32" if "single" in name else "float64").eps
    assert abs(found - expected) <= (space.size + 6) * eps * sizes


def test_outer_cells_count_half():
    found = weights.entry_weights(odl.uniform_discr(0, 1, 5, nodes_on_bdry=True))
    np.testing.assert_allclose(found, [1 / 8, 1 / 4, 1 / 4, 1 / 4, 1 / 8], rtol=1e-15)
    left = weights.entry_weights(odl.uniform_discr(0, 1, 4, nodes_on_bdry=[(True, False)]))
    np.testing.assert_allclose(left, np.array([1, 2, 2, 2]) / 7, rtol=1e-15)


def test_one_weight_is_a_number():
    for space, weight in ((odl.uniform_discr(0, 1, 4), 0.25), (odl.rn(3), 1.0),
                          (odl.cn(3, weighting=2.5), 2.5)):
        assert weights.entry_weights(space) == weight
        assert type(weights.entry_weights(space)) is float
        assert weights.constant_weight("space", space) == weight
        assert weights.has_constant_weight(space)


@pytest.mark.parametrize("name", SPACES)
def test_a_constant_weight_is_given_only_where_all_entries_have_it(name):
    space = SPACES[name]()
    found = weights.entry_weights(space)
    if weights.has_constant_weight(space):
        assert weights.constant_weight("space", space) == found
    else:
        assert found.shape == space.shape
        with pytest.raises(TypeError, match="^space (is|has).* a constant weight, the same for"):
            weights.constant_weight("space", space)


def test_refusals_name_the_space_and_the_way_out():
    with pytest.raises(TypeError, match=r"image is uniform_discr\(.*half.*nodes_on_bdry=False"):
        weights.constant_weight("image", discr(True, None))
    with pytest.raises(TypeError, match="image has the weighting ArrayWeighting.*<number>"):
        weights.constant_weight("image", odl.rn(3, weighting=[1.0, 2.0, 3.0]))
    for space in (odl.rn(3) ** 2, odl.RealNumbers(), None):
        assert not weights.has_constant_weight(space)
        with pytest.raises(TypeError, match="image is .*a constant weight"):
            weights.constant_weight("image", space)
    with pytest.raises(TypeError, match=r"product space.*component_weights"):
        weights.entry_weights(odl.rn(3) ** 2)


def test_inner_products_that_are_no_weighted_sums_are_refused():
    custom = odl.rn(3, inner=lambda x, z: float(np.sum(x * z)))
    for function in (weights.entry_weights, lambda s: weights.integral(s, np.ones(3))):
        with pytest.raises(TypeError, match="CustomInner.*not a weighted sum.*weighting=<number"):
            function(custom)
        with pytest.raises(TypeError, match="exponent 1.0, expected 2.*exponent=2"):
            function(odl.rn(3, exponent=1.0))
        with pytest.raises(ValueError, match=r"weight of 0\.0, expected positive"):
            function(odl.rn(3, weighting=[0.0, 1.0, 2.0]))
    assert not weights.has_constant_weight(custom)
    assert not weights.has_constant_weight(odl.rn(3, exponent=1.0))
    with pytest.raises(TypeError, match="exponent 1.0"):
        weights.constant_weight("space", odl.rn(3, exponent=1.0))


@pytest.mark.parametrize("weighting", [2.0, [1.0, 2.0, 4.0]])
def test_component_weights(weighting):
    space = odl.ProductSpace(odl.rn(2), odl.rn(3), odl.rn(1), weighting=weighting)
    found = weights.component_weights(space)
    for i, weight in enumerate(found):
        unit = space.zero()
        unit[i].assign(space[i].one())
        assert unit.inner(unit) == weight * space[i].size


def test_integral():
    values = np.arange(12.0).reshape(SHAPE)
    for name in ("nodes, volume", "cells, volume", "three sides, array", "rn, row"):
        space = SPACES[name]()
        expected = space.element(values).inner(space.one())
        assert weights.integral(space, values) == pytest.approx(expected, rel=1e-14)


def test_extreme_weights_are_those_of_the_entries():
    half = odl.uniform_discr([0, 0], [1, 2], (3, 4), nodes_on_bdry=True)
    w = weights.entry_weights(half)
    assert weights.extreme_weights(half) == (w.min(), w.max()) and w.max() == 4 * w.min()
    product = odl.ProductSpace(half, odl.rn(2, weighting=3.0), weighting=[2.0, 5.0])
    assert weights.extreme_weights(product) == (2 * w.min(), 15.0)
