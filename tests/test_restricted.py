"""Operators of split data: rows and views, exact adjoints, and losses with known minimizers."""

import numpy as np
import odl
import pytest
import torch
from instances.spaces import XC, X, many_weights, mask
from torch import nn

from odl_learned import conformance, data, operators, reconstruction
from odl_learned.bridge import as_module
from odl_learned.learning import mean_squared_error
from odl_learned.learning import objectives as O
from odl_learned.learning.batch import Batch, generator_of

F64 = torch.float64
PLANE = odl.uniform_discr([-1, -1], [1, 1], (10, 10), dtype="float32")


def coils(weights=1.0, size=2):
    return operators.MultiCoilFourier(XC, weights * np.ones(XC.shape),
                                      data.simulated_sensitivities(XC, size))


OPERATORS = {
    "one coil": lambda: operators.SampledFourier(XC, mask(XC.shape, 3)),
    "coils": coils,
    "scaled": lambda: 0.5 * coils(),
    "convolution": lambda: operators.PeriodicConvolution(X, np.ones((3, 3))),
    "many weights": lambda: odl.MatrixOperator(
        np.random.default_rng(0).standard_normal((5, 5)), domain=many_weights(), axis=0,
        range=many_weights()),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_rows_that_are_kept_are_those_of_the_operator(name, rng):
    A, kept = OPERATORS[name](), mask(X.shape, 5)
    part = operators.kept_rows(A, kept)
    x, y = (operators.random_element(space, rng) for space in (A.domain, A.range))
    expected = np.where(kept, A(x).asarray(), 0)
    np.testing.assert_allclose(part(x).asarray(), expected, atol=1e-13)
    masked = A.range.element(np.where(kept, y.asarray(), 0))
    assert (part.adjoint(y) - A.adjoint(masked)).norm() <= 1e-13 * part.adjoint(y).norm()
    conformance.operators.check_adjoint(part, rng)
    both = part(x) + operators.kept_rows(A, ~kept)(x)
    assert (both - A(x)).norm() <= 1e-13 * A(x).norm()
    fast = type(getattr(part, "operator", part))
    assert name not in ("one coil", "coils", "scaled") or fast in (
        operators.SampledFourier, operators.MultiCoilFourier)  # fmt: skip


def test_views_that_are_kept_are_those_of_the_ray_transform(rng):
    A = operators.parallel_ray_transform(PLANE, 9)
    kept = np.arange(9) % 3 != 1
    part = operators.kept_views(A, kept)
    x = operators.random_element(PLANE, rng)
    np.testing.assert_array_equal(part(x).asarray(), A(x).asarray()[kept])
    conformance.operators.check_adjoint(part, rng)
    rows = operators.kept_rows(A, kept[:, None])
    np.testing.assert_array_equal(rows(x).asarray()[kept], part(x).asarray())
    # Filtered backprojection of a part has the scale of the whole.
    disc = PLANE.element(data.random_ellipses(PLANE, np.random.default_rng(1)))
    whole, some = operators.fbp(A)(A(disc)), operators.fbp(part)(part(disc))
    assert 0.7 < float(some.inner(whole)) / float(whole.inner(whole)) < 1.3


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: operators.kept_rows(coils(), np.ones(XC.shape)), TypeError, "kept has dtype float64"),
    (lambda: operators.kept_rows(coils(), np.ones((3, 3), bool)), ValueError, "broadcasts to"),
    (lambda: operators.kept_rows(odl.PowerOperator(X, 2), np.ones(X.shape, bool)), TypeError,
     "expected a linear operator"),
    (lambda: operators.kept_rows(operators.gradient(X), np.ones(X.shape, bool)), TypeError,
     "expected a space of arrays"),
    (lambda: operators.kept_views(operators.parallel_ray_transform(PLANE, 4),
                                  np.arange(4) == 1), ValueError, "at least two"),
    (lambda: operators.kept_views(coils(), np.ones(4, bool)), TypeError, "ray_transform is"),
])
def test_masks_that_do_not_fit_are_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


def unrolled(A, rows, step=0.7):
    return reconstruction.Landweber(
        reconstruction.WeighedRows(as_module(A), rows), as_module(A.adjoint), step, 3)


@pytest.mark.parametrize("size", [1, 2])
def test_a_map_of_split_data_uses_the_operator_of_its_part(rng, size):
    A = coils(size=size) if size > 1 else operators.SampledFourier(XC, mask(XC.shape, 3))
    rows, kept = reconstruction.KeptRows(), mask(XC.shape, 5)
    model = unrolled(A, rows)
    y = torch.tensor(operators.random_element(A.range, rng).asarray())[None]
    part = operators.kept_rows(A, kept)
    expected = reconstruction.Landweber(as_module(part), as_module(part.adjoint), 0.7, 3)(
        torch.from_numpy(kept) * y)
    found = rows.restricted(model, y, torch.from_numpy(kept))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(model(y), reconstruction.Landweber(
        as_module(A), as_module(A.adjoint), 0.7, 3)(y), rtol=0, atol=1e-12)
    # The objective evaluates the map on what is kept, by the operator of what is kept.
    split = O.PointSplit(torch.ones(XC.shape, dtype=torch.bool), 0.4)
    objective = O.SelfSupervisedSplit(as_module(A), split, mean_squared_error, rows.restricted)
    value = objective(model, Batch(y, None, generator_of(0, 1), "now"))
    kept = split(y, generator_of(0, 1)).numpy()
    theta, held = operators.kept_rows(A, kept), operators.kept_rows(A, ~kept)
    x = reconstruction.Landweber(as_module(theta), as_module(theta.adjoint), 0.7, 3)(
        torch.from_numpy(kept) * y)
    expected = (as_module(held)(x) - torch.from_numpy(~kept) * y).abs().square().mean()
    assert float(value) == pytest.approx(float(expected), rel=1e-12)


def test_all_rows_are_back_after_a_failure():
    rows = reconstruction.KeptRows()
    with pytest.raises(ZeroDivisionError):
        rows.restricted(lambda y: 1 / 0, torch.ones(2), torch.tensor([True, False]))
    assert rows() == 1.0


class Gain(nn.Module):
    """One number times a reconstruction."""

    def __init__(self, reconstruct):
        super().__init__()
        self.gain, self.reconstruct = nn.Parameter(torch.zeros((), dtype=F64)), reconstruct

    def forward(self, y):
        return self.gain * self.reconstruct(y)


def twins(count=200, noise=0.5):
    """Data that measure every unknown twice, with independent noise, and the best gain.

    Of y1 = x + n1 the gain t that predicts y2 = x + n2 best, in either direction, minimizes
    ``sum |t y1 - y2|^2 + |t y2 - y1|^2``, so that ``t = 2 <y1, y2> / (|y1|^2 + |y2|^2)``. It tends
    to Wiener's ``E x^2 / (E x^2 + E n^2)``, that of supervised learning from one measurement.
    """
    source = np.random.default_rng(0)
    x = source.standard_normal((count, 1))
    y = x + noise * source.standard_normal((count, 2))
    best = 2 * (y[:, 0] @ y[:, 1]) / (y**2).sum()
    return y, best, 1 / (1 + noise**2)


def test_split_losses_have_the_gain_of_wiener_as_their_minimizer():
    y, best, wiener = twins()
    A = odl.MatrixOperator(np.ones((2, 1)))
    calls = []

    def either(data, generator):
        """One split and the other in turn, so that two values are twice the expectation."""
        calls.append(len(calls) % 2 == 0)
        return torch.tensor([calls[-1], not calls[-1]])

    model = Gain(lambda z: z.sum(-1, keepdim=True))
    batch = Batch(torch.from_numpy(y), None, generator_of(0, 1), "now")
    split = O.SelfSupervisedSplit(as_module(A), either, loss=mean_squared_error)
    inverse = O.Noise2Inverse(lambda z: z.sum(-1, keepdim=True) / 2, either)
    for objective, scale in ((split, 1.0), (inverse, 0.5)):  # parts of Noise2Inverse are doubled
        slopes = []
        for gain in (0.0, 1.0):
            with torch.no_grad():
                model.gain.fill_(gain)
            value = objective(model, batch) + objective(model, batch)
            slopes.append(float(torch.autograd.grad(value, model.gain)[0]))
        minimizer = slopes[0] / (slopes[0] - slopes[1])  # of a parabola
        assert minimizer == pytest.approx(scale * best, rel=1e-12)
    assert best == pytest.approx(wiener, abs=0.1)
