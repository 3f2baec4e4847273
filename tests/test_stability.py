"""How far reconstruction maps are to be trusted, against singular values and closed forms."""

import numpy as np
import odl
import pytest
import torch
from torch import nn

from odl_learned import bridge, reconstruction
from odl_learned.reconstruction import local_lipschitz, stability_report, worst_perturbation


def source():
    return torch.Generator().manual_seed(0)


def orthonormal(rng, n, k, dtype):
    x = rng.standard_normal((n, k))
    if dtype.startswith("complex"):
        x = x + 1j * rng.standard_normal((n, k))
    return np.linalg.qr(x)[0]


def linear_map(rng, dtype):
    """A map Y -> X of norm 3 in weighted spaces, singular values 3, 1, 1/2, and its worst input."""
    X = odl.tensor_space(4, dtype=dtype, weighting=np.array([1.0, 2.0, 0.5, 3.0]))
    Y = odl.tensor_space(5, dtype=dtype, weighting=np.array([0.3, 1.0, 4.0, 2.0, 0.1]))
    left, right = orthonormal(rng, 4, 3, dtype), orthonormal(rng, 5, 3, dtype)
    core = left @ np.diag([3.0, 1.0, 0.5]) @ right.conj().T
    matrix = core * np.sqrt(Y.weighting.array) / np.sqrt(X.weighting.array)[:, None]
    worst = right[:, 0] / np.sqrt(Y.weighting.array)  # |worst|_Y = 1
    return odl.MatrixOperator(matrix, domain=Y, range=X), worst


class Multiply(nn.Module):
    """A matrix as a network: one that has never heard of weights."""

    def __init__(self, matrix):
        super().__init__()
        self.matrix = nn.Parameter(torch.as_tensor(matrix))

    def forward(self, y):
        return y @ self.matrix.T


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("kind", ["operator", "module", "module as operator"])
def test_linear_maps_have_their_largest_singular_value(rng, dtype, kind):
    phi, worst = linear_map(rng, dtype)
    module = Multiply(phi.matrix)
    map = {"operator": phi, "module": module,
           "module as operator": bridge.as_operator(module, phi.domain, phi.range)}[kind]
    y = [phi.domain.element(rng.standard_normal(5)) for _ in range(2)]
    found = worst_perturbation(map, phi.adjoint, y, 0.2, generator=source(), steps=40)
    # the power iteration converges as (1/3)^(2 k); what is left is rounding
    assert found.change == pytest.approx([0.6, 0.6], rel=1e-10)
    for e in found.perturbation:
        e = phi.domain.element(e.numpy())
        assert e.norm() == pytest.approx(0.2, rel=1e-12)
        overlap = abs(e.inner(phi.domain.element(worst)))
        assert overlap == pytest.approx(0.2, rel=1e-9)  # up to a sign it is this vector
    slope = local_lipschitz(map, phi.adjoint, y, generator=source(), steps=40)
    assert slope == pytest.approx([3.0, 3.0], rel=1e-12)
    assert all(p.grad is None for p in module.parameters())


def test_bounds_are_lower_ones_and_grow_with_the_search(rng):
    phi, _ = linear_map(rng, "float64")
    y = torch.zeros(1, 5)
    bounds = [float(worst_perturbation(phi, phi.adjoint, y, 1.0, generator=source(), steps=k,
                                       starts=1).change) for k in range(6)]
    assert bounds == sorted(bounds) and bounds[0] < bounds[-1] <= 3 * (1 + 1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_change_is_found_again_by_applying_the_perturbation(dtype):
    space = odl.rn(6, dtype="float32" if dtype == torch.float32 else "float64")
    A, model = odl.IdentityOperator(space), Cliff(50.0).to(dtype)
    model.direction = model.direction.to(dtype)
    y = torch.linspace(0, 1, 12, dtype=dtype).reshape(2, 6)
    found = worst_perturbation(model, A, y, 0.1, generator=source(), steps=5)
    assert (found.perturbation.double().norm(dim=1) <= 0.1).all()
    assert torch.equal(found.before, model(y))
    assert torch.equal(found.after, model(y + found.perturbation))
    change = (found.after.double() - found.before.double()).norm(dim=1)
    assert found.change.tolist() == pytest.approx(change.tolist(), rel=1e-12)


class Cliff(nn.Module):
    """The identity, with a jump of the given slope at a distance of 0.1 from zero."""

    def __init__(self, slope):
        super().__init__()
        self.slope = slope
        self.direction = torch.tensor([0.6, 0.0, 0.8, 0.0, 0.0, 0.0], dtype=torch.float64)

    def forward(self, y):
        beyond = torch.relu(y @ self.direction - 0.1)
        return y + self.slope * beyond[..., None] * self.direction


def test_a_planted_instability_is_found():
    A = odl.IdentityOperator(odl.rn(6))
    y = torch.zeros(3, 6, dtype=torch.float64)
    stable, planted = (worst_perturbation(Cliff(s), A, y, 0.5, generator=source())
                       for s in (0.0, 50.0))
    assert stable.change == pytest.approx(3 * [0.5], rel=1e-12)
    # along the direction: 0.5 + 50 (0.5 - 0.1)
    assert planted.change == pytest.approx(3 * [20.5], rel=1e-6)
    assert (planted.random_change < 0.8 * planted.change).all()
    # the derivative at y does not see it: a local bound is no proof
    slopes = [local_lipschitz(Cliff(s), A, y, generator=source()) for s in (0.0, 50.0)]
    assert slopes[0] == pytest.approx(3 * [1.0]) and slopes[1] == pytest.approx(3 * [1.0])


def test_functions_are_searched_without_derivatives(rng):
    phi, worst = linear_map(rng, "float64")
    y, calls = torch.zeros(2, 5), []

    def function(element):
        calls.append(element)
        return phi(element)

    weak = worst_perturbation(function, phi.adjoint, y, 1.0, generator=source(), steps=60)
    assert len(calls) == 2 * (60 + 6 + 2)
    assert (weak.change > weak.random_change).all() and (weak.change <= 3 * (1 + 1e-14)).all()
    assert (weak.change > 2.7).all()  # five unknowns are few
    hint = torch.as_tensor(np.stack([worst, -worst]))
    told = worst_perturbation(function, phi.adjoint, y, 1.0, generator=source(), steps=0,
                              candidates=[hint])
    assert told.change == pytest.approx([3.0, 3.0], rel=1e-12)
    with pytest.raises(TypeError, match=r"no derivative.*worst_perturbation"):
        local_lipschitz(function, phi.adjoint, y, generator=source())


def test_values_that_are_not_finite_are_infinitely_unstable():
    A = odl.IdentityOperator(odl.rn(3))

    class Logarithm(nn.Module):
        def forward(self, y):
            return torch.log(y)

    y = torch.tensor([[0.1, 1.0, 1.0], [9.0, 9.0, 9.0]], dtype=torch.float64)
    found = worst_perturbation(Logarithm(), A, y, 1.0, generator=source(), starts=8)
    assert found.change[0] == torch.inf and torch.isfinite(found.change[1])


def test_the_report_has_closed_forms(rng):
    X = odl.uniform_discr([0, 0], [1, 2], (8, 8))
    A = 2 * odl.IdentityOperator(X)
    truths = [X.element(rng.standard_normal(X.shape)) for _ in range(3)]
    data = [A(x) + 0.1 * X.element(rng.standard_normal(X.shape)) for x in truths]
    disc = reconstruction.small_disc(X, [0.5, 1.0], 0.3, 0.7)

    class Without(nn.Module):
        """The inverse, without what looks like the disc."""

        def forward(self, y):
            m = torch.as_tensor(disc.asarray())
            overlap = (y * m).sum((-2, -1), keepdim=True) / (m * m).sum()
            return (y - overlap * m) / 2

    maps = {"solver": lambda y: y / 2, "half": 0.25 * odl.IdentityOperator(X), "blind": Without(),
            "none": odl.ZeroOperator(X)}
    report = stability_report(maps, A, truths, data, epsilon=0.3, generator=source(),
                              structures={"disc": disc}, steps=10)
    rows, many = report.rows, pytest.approx
    assert list(rows) == list(maps)
    noise = [(y - A(x)).norm() for x, y in zip(truths, data)]
    for i, (x, y) in enumerate(zip(truths, data)):
        assert float(rows["half"].relative_error[i]) == many((y / 4 - x).norm() / x.norm())
        assert float(rows["half"].discrepancy[i]) == many((y / 2).norm() / noise[i])
    assert rows["solver"].discrepancy == many(3 * [0.0], abs=1e-12)
    assert rows["none"].discrepancy == many([y.norm() / n for y, n in zip(data, noise)])
    for name, slope, back in (("solver", 0.5, 1.0), ("half", 0.25, 0.5), ("blind", 0.5, 0.0),
                              ("none", 0.0, 0.0)):  # fmt: skip
        assert rows[name].worst_change == many(3 * [0.3 * slope], rel=1e-9), name
        assert rows[name].recovered["disc"] == many(3 * [back], abs=1e-12), name
    assert rows["solver"].lipschitz is None and rows["solver"].is_searched
    assert rows["blind"].lipschitz == many(3 * [0.5], rel=1e-9)
    lines = str(report).splitlines()
    assert lines[0].split()[:2] == ["map", "error"] and lines[0].endswith("disc")
    assert "0.5*" in lines[1] and lines[1].endswith("100 %") and lines[3].endswith("0 %")
    assert lines[5].startswith("3 samples, eps = 0.3, ") and "% of |y|" in lines[5]
    assert "3 starts of 10 steps found, a lower bound" in str(report)
    assert "random search" in lines[-1] and "do not compare" in lines[-1]


def test_complex_data_of_several_coils(rng):
    X = odl.uniform_discr([0, 0], [1, 1], (4, 4), dtype="complex128")
    A = odl.BroadcastOperator(2 * odl.IdentityOperator(X), 1j * odl.IdentityOperator(X))
    x = X.element(rng.standard_normal(X.shape) + 1j)
    mark = reconstruction.small_disc(X, [0.4, 0.4], 0.2, 1.0)
    model = reconstruction.LearnedProximalGradient(
        bridge.as_module(A), bridge.as_module(A.adjoint),
        [reconstruction.GradientStep(nn.Identity(), 0.2)])
    report = stability_report({"step": model, "operator": 0.2 * A.adjoint}, A, [x], [A(x)],
                              epsilon=1.0, generator=source(), structures={"disc": mark}, steps=5)
    for row in report.rows.values():  # 0.2 A*, A* A = 5
        assert float(row.worst_change) == pytest.approx(0.2 * 5**0.5, rel=1e-9)
        assert float(row.lipschitz) == pytest.approx(0.2 * 5**0.5, rel=1e-9)
        assert float(row.recovered["disc"]) == pytest.approx(1.0, rel=1e-12)
        assert row.discrepancy == torch.inf  # there is no noise to compare with


def test_equilibria_and_signals(rng):
    X = odl.uniform_discr(0, 1, 6)
    A = odl.MatrixOperator(np.diag([0.5, 1, 1, 1, 1, 1]), domain=X, range=X)
    model = reconstruction.DeepEquilibrium(
        bridge.as_module(A), bridge.as_module(A.adjoint),
        reconstruction.GradientStep(nn.Identity(), 1.0), dimension=1, accuracy=1e-9,
        backward_accuracy=1e-9)
    y = torch.as_tensor(rng.standard_normal((2, 6)))
    # the limit is A^-1 y of norm 2, known to 1e-9 |y|; power iterations leave (1/2)^(2 k)
    assert worst_perturbation(model, A, y, 0.1, generator=source(), steps=14, starts=1).change == (
        pytest.approx([0.2, 0.2], rel=1e-6))
    assert local_lipschitz(model, A, y, generator=source(), steps=14) == (
        pytest.approx([2.0, 2.0], rel=1e-6))


def test_letter_stands_upright():
    X = odl.uniform_discr([-1, -1], [1, 1], (10, 10))
    letter = reconstruction.small_letter(X, [0.1, 0.1], 1.0, -2.0).asarray()
    picture = np.where(letter.T[::-1] == -2.0, "#", ".")
    assert set(np.unique(letter)) == {-2.0, 0.0}
    rows = ["".join(row).strip(".") for row in picture if "#" in row]
    assert rows == ["###", "#", "##", "#", "#"]


def test_disc_is_a_ball_in_space():
    X = odl.uniform_discr([-1] * 3, [1] * 3, (20,) * 3)
    ball = reconstruction.small_disc(X, [0, 0.1, -0.2], 0.5, 2.0).asarray()
    points = np.stack(np.meshgrid(*X.grid.coord_vectors, indexing="ij"), -1)
    inside = np.linalg.norm(points - [0, 0.1, -0.2], axis=-1) <= 0.5
    assert np.array_equal(ball, 2.0 * inside)


A = odl.IdentityOperator(odl.uniform_discr([0, 0], [1, 1], (4, 4)))
SINGLE = odl.IdentityOperator(A.domain.astype("float32"))
Y = A.range
DATA = torch.zeros(1, 4, 4, dtype=torch.float64)


def worst(map=A, op=A, data=DATA, epsilon=1.0, generator=None, **options):
    return worst_perturbation(map, op, data, epsilon, generator=generator or source(), **options)


def report(maps, truths=DATA, data=DATA, structures=None):
    return stability_report(maps, A, truths, data, epsilon=1.0, generator=source(),
                            structures=structures)


@pytest.mark.parametrize("call, error, message", [
    (lambda: worst(op=nn.Identity()), TypeError, "forward_op is .*expected an operator"),
    (lambda: worst(map=3), TypeError, "map is 3, expected a torch module, an ODL operator"),
    (lambda: worst(map=odl.IdentityOperator(odl.rn(3))), TypeError, "expected from the range of"),
    (lambda: worst(data=Y.one()), TypeError, r"pass \[element\]"),
    (lambda: worst(data=DATA[0]), ValueError, r"\(4, 4\), expected one batch axis"),
    (lambda: worst(data=DATA[:0]), ValueError, "at least one sample"),
    (lambda: worst(data=DATA + torch.nan), ValueError, "data is not finite"),
    (lambda: worst(data=DATA + 1j), TypeError, "data is complex, expected real"),
    (lambda: worst(epsilon=0.0), ValueError, "epsilon is 0.0"),
    (lambda: worst(starts=0), ValueError, "starts is 0"),
    (lambda: worst(generator=np.random.default_rng(0)), TypeError, "expected a torch.Generator"),
    (lambda: worst(candidates=[DATA.expand(2, 4, 4)]), ValueError, r"candidate has shape \(2, 4"),
    (lambda: worst(map=nn.Flatten()), ValueError, r"returned \(1, 16\).*expected images"),
    (lambda: worst(map=lambda y: 1.0), TypeError, "map returned 1.0, expected an element"),
    (lambda: report({}), ValueError, "maps is {}, expected at least one"),
    (lambda: report({"a": A}, data=DATA.expand(2, 4, 4)), ValueError, "1 truths and 2 data"),
    (lambda: report({"a": A}, structures={"dot": 1.0}), TypeError, r"structures\['dot'\] is 1.0"),
    (lambda: report({"a": "b"}), TypeError, r"maps\['a'\] is 'b'"),
    (lambda: report({"a": nn.Conv1d(4, 4, 1)}), TypeError,
     r"maps\['a'\] has the parameter weight of torch.float32, expected torch.float64, .*"
     r"use model.double\(\)"),
    (lambda: worst(map=nn.Conv1d(4, 4, 1).double(), op=SINGLE, data=DATA.float()), TypeError,
     r"map has the parameter weight of torch.float64, expected torch.float32, .*model.float\(\)"),
    (lambda: local_lipschitz(nn.Conv1d(4, 4, 1), A, DATA, generator=source()), TypeError,
     r"map has the parameter weight"),
    (lambda: reconstruction.small_disc(Y, [0.5], 0.1, 1.0), ValueError, "expected 2 finite"),
    (lambda: reconstruction.small_disc(Y, [5, 5], 0.1, 1.0), ValueError, "no grid point"),
    (lambda: reconstruction.small_disc(odl.rn(3), [0], 1.0, 1.0), TypeError, "uniform_discr"),
    (lambda: reconstruction.small_disc(Y, [0, 0], 1.0, 0.0), ValueError, "contrast is 0.0"),
    (lambda: reconstruction.small_letter(Y, [0.5, 0.5], 1.0, 1.0), ValueError,
     "expected at least 1.25: five strokes"),
])  # fmt: skip
def test_errors_name_what_was_expected(call, error, message):
    with pytest.raises(error, match=message):
        call()
