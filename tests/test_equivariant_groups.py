"""Groups, and fields on which they act: the laws of composition, tested on images themselves."""

import itertools

import numpy as np
import odl
import pytest
import torch
from equivariant_checks import noise

from odl_learned import operators
from odl_learned.networks import equivariant as eq

EXACT = [eq.Cyclic(1), eq.Cyclic(2), eq.Cyclic(4), eq.Dihedral(1), eq.Dihedral(2), eq.Dihedral(4),
         eq.CubeRotations()]  # fmt: skip
ALL = [*EXACT, eq.Cyclic(3), eq.Cyclic(8), eq.Dihedral(8), eq.Cyclic(16)]


def fields_of(group):
    """Fields of each kind; the last are on the cosets of a subgroup that is not normal, if any."""
    return [eq.trivial(group, 2), eq.regular(group, 2),
            eq.quotient(group, (group.order - 1,), 2)]  # fmt: skip


@pytest.mark.parametrize("group", ALL, ids=repr)
def test_group_laws(group):
    products = group.products
    assert torch.equal(products[0], torch.arange(group.order))
    assert torch.equal(products[:, 0], torch.arange(group.order))
    for a in range(group.order):
        assert sorted(products[a].tolist()) == list(range(group.order))
        assert group.product(a, group.inverse(a)) == group.product(group.inverse(a), a) == 0
        # (a b) c = a (b c)
        assert torch.equal(products[products[a]], products[a][products])
    composed = torch.einsum("aij,bjk->abik", group.matrices, group.matrices)
    assert (group.matrices[products] - composed).abs().max() < 1e-15 * 8


@pytest.mark.parametrize("group", EXACT, ids=repr)
def test_composition_of_turns_and_flips(group):
    """A wrong sign in ``m r = r^{-1} m`` would show here, and in no test of turns alone."""
    lengths = (4, 5, 6)[: group.dimension]
    x = noise(3, 2, *lengths)
    for a, b in itertools.product(range(group.order), repeat=2):
        assert torch.equal(group.act(a, group.act(b, x)), group.act(group.product(a, b), x))
    for fields in fields_of(group):
        f = noise(1, fields.channels, *[3] * group.dimension)
        for a, b in itertools.product(range(group.order), range(min(group.order, 8))):
            assert torch.equal(fields.act(a, fields.act(b, f)),
                               fields.act(group.product(a, b), f))  # fmt: skip
        assert torch.equal(fields.act(0, f), f)


def test_actions_are_those_of_odl_operators(rng):
    X = odl.uniform_discr([-1, -1], [1, 1], (5, 5))
    u = operators.random_element(X, rng)
    group, x = eq.Dihedral(4), torch.as_tensor(u.data)
    mirror = operators.Reflection(X, 1)
    for k, f in itertools.product(range(4), range(2)):
        expected = operators.QuarterTurn(X, k)(mirror(u) if f else u)
        assert np.array_equal(group.act(k + 4 * f, x).numpy(), expected.data)
    assert torch.equal(eq.Cyclic(8).act(2, x), eq.Cyclic(4).act(1, x))
    assert torch.equal(group.act(1, x), torch.rot90(x, 1, (-2, -1)))
    # a point on the positive x axis turns to the positive y axis
    point = torch.zeros(5, 5)
    point[4, 2] = 1
    assert group.act(1, point)[2, 4] == 1


def test_cube_rotations_move_points():
    group = eq.CubeRotations()
    points = torch.cartesian_prod(*[torch.arange(-1, 2)] * 3)
    x = noise(3, 3, 3)
    for g in range(24):
        assert torch.linalg.det(group.matrices[g]) == 1
        turned = group.act(g, x)
        for point in points:  # (g u)(g x) = u(x)
            image = (group.matrices[g].long() @ point + 1).tolist()
            assert turned[tuple(image)] == x[tuple((point + 1).tolist())]


def test_subgroups_and_cosets():
    d4 = eq.Dihedral(4)
    assert d4.subgroup() == (0,)
    assert d4.subgroup(1) == (0, 1, 2, 3)
    assert d4.subgroup(2, 4) == (0, 2, 4, 6)
    assert d4.subgroup(1, 4) == tuple(range(8))
    mirrors = eq.quotient(d4, (4,), 3)  # a turn moves the mirror: no normal subgroup
    assert (mirrors.size, mirrors.channels) == (4, 12)
    assert mirrors.permutations[1].tolist() == [1, 2, 3, 0]
    assert mirrors.permutations[4].tolist() == [0, 3, 2, 1]
    assert eq.trivial(d4, 2).size == 1 and eq.regular(d4, 2).size == 8
    assert eq.regular(d4, 2) == eq.quotient(d4, (), 2) != eq.regular(d4, 3)
    assert eq.Cyclic(4) == eq.Cyclic(4) != eq.Dihedral(4)
    assert len({eq.Cyclic(4), eq.Cyclic(4), eq.Cyclic(2)}) == 2


def test_groups_say_what_they_cannot_do():
    z8 = eq.Cyclic(8)
    assert [z8.preserves_grid(k) for k in range(4)] == [True, False, True, False]
    assert eq.Cyclic(4).is_exact and not z8.is_exact and not eq.Cyclic(3).is_exact
    with pytest.raises(ValueError, match="element 1 .* quarter turn or a flip"):
        z8.act(1, noise(4, 4))
    with pytest.raises(ValueError, match=r"0, \.\.\., 7"):
        z8.act(8, noise(4, 4))
    with pytest.raises(ValueError, match="n is 0"):
        eq.Cyclic(0)
    with pytest.raises(TypeError, match="whole number"):
        z8.act(1.5, noise(4, 4))
    with pytest.raises(ValueError, match="at least 3 axes"):
        eq.CubeRotations().act(1, noise(4, 4))
    with pytest.raises(ValueError, match=r"subgroup is \(0, 1\)"):
        eq.Fields(z8, (0, 1), 2)
    with pytest.raises(ValueError, match=r"expected \(N, 16, \.\.\.\)"):
        eq.regular(z8, 2).permute(1, noise(1, 3, 4, 4))
    with pytest.raises(TypeError, match="group is 4"):
        eq.regular(4, 2)
