r"""Theorems of Celledoni et al. (2021), section 2, on functionals, proximals and networks.

If a functional is invariant, ``R(g u) = R(u)``, and the group acts by isometries, its proximal and
its gradient are equivariant: ``|g u - g x|^2 / 2 + R(g u) = |u - x|^2 / 2 + R(u)``.
"""

import numpy as np
import odl
import pytest
import torch
from symmetries import ALL, IMAGES, TURNS, N, OnImages, generator

from odl_learned import functionals, networks, operators
from odl_learned.conformance import Translations, equivariance_error
from odl_learned.networks import equivariant as e

#: Proximals that are iterations are wrong by their duality gap: |p - p*|^2 / (2 sigma) <= gap.
ACCURACY, STEP = 1e-10, 0.05


@pytest.fixture
def noise():
    """White noise, which sees what images would hide."""
    rng = np.random.default_rng(0)
    return [operators.random_element(IMAGES, rng) for _ in range(2)]


def tv(exponent):
    return functionals.TotalVariation(IMAGES, exponent, accuracy=ACCURACY, maxiter=100_000)


def allowed(f, images):
    """Twice the error of a proximal, relative to its norm, and rounding."""
    proximal = f.proximal(STEP)
    gap = getattr(proximal, "gap", lambda x: 0.0)
    return 1e-12 + max(2 * np.sqrt(2 * STEP * gap(x)) / proximal(x).norm() for x in images)


INVARIANT = {
    "anisotropic total variation": lambda: tv(1),
    "H1 seminorm": lambda: functionals.H1Seminorm(IMAGES),
    "Haar wavelets": lambda: functionals.WaveletL1(IMAGES, "haar", 2),
    "L1 norm": lambda: odl.functionals.L1Norm(IMAGES),
}


@pytest.mark.parametrize("name", INVARIANT)
def test_invariant_functionals_have_equivariant_proximals(name, noise):
    f = INVARIANT[name]()
    assert float(equivariance_error(f, ALL, noise)) <= 1e-12
    assert float(equivariance_error(f.proximal(STEP), ALL, noise)) <= allowed(f, noise)


@pytest.mark.parametrize("f", [
    tv(2), functionals.TotalGeneralizedVariation(IMAGES, 0.25, accuracy=1e-5, maxiter=100_000)],
    ids=["TV", "TGV"])  # fmt: skip
def test_isotropic_variation_by_forward_differences_prefers_a_corner(f, noise):
    """The root of two forward differences is kept by one mirror of the square only, x <-> y.

    On the other turns and flips the proximals of white noise change by 20 %.
    """
    proximals = equivariance_error(f.proximal(STEP), ALL, noise).errors.max(1)
    assert proximals[KEPT] <= allowed(f, noise)
    assert (np.delete(proximals, KEPT) > 0.1).all()


#: The place of the mirror x <-> y among the errors.
KEPT = [g - 1 for g in range(1, 8) if np.array_equal(ALL.matrices[g], [[0, 1], [1, 0]])]


def test_so_does_the_value_of_total_variation(noise):
    """By 2 %."""
    values = equivariance_error(tv(2), ALL, noise).errors.max(1)
    assert values[KEPT] <= 1e-12 and (np.delete(values, KEPT) > 1e-3).all()


def test_the_mean_over_the_group_is_invariant(noise):
    """And so is its proximal equivariant, here of the smoothed form by its gradient."""
    smoothed = functionals.SmoothedTV(IMAGES, 1.0, 0.1, 0.0)
    turns = [operators.QuarterTurn(IMAGES, k) for k in range(4)]
    mean = sum((smoothed @ turn for turn in turns[1:]), smoothed) * 0.25
    assert float(equivariance_error(smoothed, TURNS, noise)) > 1e-3
    assert float(equivariance_error(mean, TURNS, noise)) <= 1e-12
    assert float(equivariance_error(mean.gradient, TURNS, noise)) <= 1e-12


def test_wavelets_are_oriented_and_placed(noise):
    """Longer filters have a direction, and all orthogonal wavelets have a grid."""
    db2 = functionals.WaveletL1(IMAGES, "db2", 2)
    assert float(equivariance_error(db2, ALL, noise)) > 1e-2
    assert float(equivariance_error(db2.proximal(STEP), ALL, noise)) > 1e-2
    shifts = Translations([(1, 0), (0, 1)])
    haar = functionals.WaveletL1(IMAGES, "haar", 2)
    assert float(equivariance_error(haar.proximal(STEP), shifts, noise)) > 1e-2


def smooth():
    x, y = IMAGES.meshgrid
    return IMAGES.element(np.exp(-12 * ((x - 0.1) ** 2 + 1.5 * (y + 0.15) ** 2)))


def test_anisotropic_total_variation_does_not_turn_by_45_degrees():
    anisotropic = equivariance_error(tv(1).proximal(STEP), e.Cyclic(8), [smooth()], elements=[1])
    h1 = equivariance_error(functionals.H1Seminorm(IMAGES).proximal(STEP), e.Cyclic(8), [smooth()],
                            elements=[1])
    assert float(anisotropic) > 0.1
    assert float(h1) < 0.03  # five-point differences know the axes, a little


def test_sums_and_compositions_of_equivariant_maps_are_equivariant(noise):
    first = operators.PeriodicConvolution(IMAGES, np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0.0]]))
    second = functionals.H1Seminorm(IMAGES).proximal(0.1)
    third = odl.functionals.Huber(IMAGES, 0.1).gradient
    for phi in (first + second, second @ first, third @ second @ first + first):
        assert float(equivariance_error(phi, ALL, noise)) <= 1e-12


class Inpainting(torch.nn.Module):
    """``x -> argmin_u |m (u - x)|^2 / 2 + a |grad u|^2 / 2``, by its linear system."""

    def __init__(self, mask, alpha=0.01):
        super().__init__()
        difference = operators.gradient(IMAGES)
        laplacian = dense(difference.adjoint @ difference)
        self.mask = torch.from_numpy(mask)
        self.system = torch.from_numpy(np.diag(mask.ravel()) + alpha * laplacian)

    def forward(self, x):
        right = (self.mask * x).flatten(1)
        return torch.linalg.solve(self.system, right.mT).mT.reshape(x.shape)


def dense(op):
    columns = [op(op.domain.element(row.reshape(op.domain.shape))).asarray().ravel()
               for row in np.eye(op.domain.size)]
    return np.array(columns).T


def test_inpainting_is_as_equivariant_as_its_mask():
    """An invariant regularizer does not help where ``A* A`` commutes with nothing.

    With the mask turned along, the solution is turned: it is the mask that breaks the symmetry.
    """
    x = torch.randn(1, N, N, dtype=torch.float64, generator=generator())
    half = np.zeros((N, N))
    half[: N // 2] = 1
    assert float(equivariance_error(Inpainting(half), TURNS, x)) > 0.3
    turned = Inpainting(np.rot90(half).copy())(TURNS.act(1, x))
    expected = TURNS.act(1, Inpainting(half)(x))
    assert float((turned - expected).norm() / expected.norm()) <= 1e-10
    frame = np.ones((N, N))
    frame[4:-4, 4:-4] = 0
    assert float(equivariance_error(Inpainting(frame), ALL, x)) <= 1e-10


class Skewed(torch.nn.Module):
    """A network without any symmetry."""

    def __init__(self):
        super().__init__()
        draw = generator()
        self.net = OnImages(*[torch.nn.Conv2d(1, 1, 3, padding=1, dtype=torch.float64),
                              torch.nn.Tanh()])
        with torch.no_grad():
            for p in self.net.parameters():
                p.normal_(generator=draw)

    def forward(self, x):
        return self.net(x)


@pytest.mark.parametrize("group", [TURNS, ALL], ids=str)
def test_reynolds_averages_commute(group):
    x = torch.randn(2, N, N, dtype=torch.float64, generator=generator())
    net = Skewed()
    assert float(equivariance_error(net, group, x)) > 0.1
    assert float(equivariance_error(e.GroupAverage(net, group), group, x)) <= 1e-12


def test_averages_leave_equivariant_networks_alone():
    net = e.EquivariantCNN(ALL, 1, 1, 1, 2, generator=generator()).double()
    x = torch.randn(2, 1, N, N, dtype=torch.float64, generator=generator())
    torch.testing.assert_close(e.GroupAverage(net, ALL)(x), net(x), rtol=0, atol=1e-13)


def test_the_mean_over_random_elements_is_the_average():
    """Every draw is a term of the average, and all eight come as often as chance would have it."""
    net, x = Skewed(), torch.randn(1, N, N, dtype=torch.float64, generator=generator())
    random = e.RandomElement(net, ALL, generator())
    terms = torch.stack([ALL.act(ALL.inverse(g), net(ALL.act(g, x))) for g in range(8)])
    draws, counts = 400, torch.zeros(8)
    for _ in range(draws):
        same = (random(x) == terms).flatten(1).all(1)
        assert same.sum() == 1
        counts += same
    torch.testing.assert_close(terms.mean(0), e.GroupAverage(net, ALL)(x), rtol=0, atol=1e-14)
    # a count has the variance 400 (1/8) (7/8) = 43.75; five deviations, by 8 counts: 5e-6
    assert (counts - draws / 8).abs().max() <= 5 * 43.75**0.5
    again = e.RandomElement(net, ALL, generator())
    assert torch.equal(again(x), e.RandomElement(net, ALL, generator())(x))
    assert float(equivariance_error(random, ALL, x)) > 0.1


def test_averages_of_volumes():
    net = networks.CNN(1, 1, 2, 2, dimension=3, generator=generator()).double()
    with torch.no_grad():
        for p in net.parameters():
            p.normal_(generator=generator())
    group = e.CubeRotations()
    x = torch.randn(1, 1, 4, 4, 4, dtype=torch.float64, generator=generator())
    assert float(equivariance_error(e.GroupAverage(net, group), group, x)) <= 1e-12


@pytest.mark.parametrize(("net", "group", "error", "message"), [
    (3, ALL, TypeError, "net is int"),
    (Skewed(), 4, TypeError, "group is 4"),
    (Skewed(), e.Cyclic(8), ValueError, "Cyclic.8."),
])  # fmt: skip
def test_averages_of_nothing_are_refused(net, group, error, message):
    with pytest.raises(error, match=message):
        e.GroupAverage(net, group)
