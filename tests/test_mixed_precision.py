"""Networks in half precision; operators, images, weights and losses are left as they are."""

import numpy as np
import odl
import pytest
import torch
from tiny_maps import CT, FORWARD, MAPS, MRI, X, problem
from training_runs import Pairs, assert_same_bits, run

from odl_learned import bridge, functionals, operators, reconstruction
from odl_learned.learning import MixedPrecision, mean_squared_error, train

BFLOAT = torch.autocast("cpu", torch.bfloat16)
OPERATORS = {
    "ray transform": CT,
    "backprojection": CT.adjoint,
    "filtered backprojection": operators.fbp(CT),
    "Fourier": MRI,
    "matrix": odl.MatrixOperator(np.random.default_rng(0).random((5, 8)).astype("float32")),
    "wavelet": operators.OrthogonalWavelet(X, "db2", 2),
    "filters": operators.FilterBank(
        X, np.random.default_rng(0).standard_normal((3, 3, 3)).astype("float32")),
    "total variation": functionals.SmoothedTV(X, 1.0, 0.1, 0.0),
}  # fmt: skip


@pytest.mark.parametrize("op", OPERATORS.values(), ids=OPERATORS)
def test_operators_have_the_bits_of_full_precision(op):
    """A matrix in bfloat16 would lose 0.008 of its values, and a sparse one would fail."""
    module, dtype = bridge.as_module(op), getattr(torch, str(np.dtype(op.domain.dtype)))
    x = torch.randn(2, *op.domain.shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
    expected = module(x)
    with BFLOAT:
        found = module(x)
    assert found.dtype == expected.dtype and torch.equal(found, expected)


def test_proximals_have_the_bits_of_full_precision():
    proximal = bridge.as_proximal_module(functionals.WaveletL1(X, "db2", 2))
    x = torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = proximal(x, 0.1)
    with BFLOAT:
        assert torch.equal(proximal(x, 0.1), expected)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.filterwarnings("ignore:the .*equilibrium was not reached")
def test_every_map_trains_with_networks_in_bfloat16(name):
    """Losses stay within the rounding of bfloat16, weights and images in single precision."""
    histories = []
    for precision in (None, MixedPrecision(BFLOAT)):
        model, pairs = problem(name)
        optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
        histories.append(train(model, pairs, steps=4, batch_size=6, optimizer=optimizer,
                               precision=precision, progress=False).loss)  # fmt: skip
        assert {p.dtype for p in model.parameters()} == {torch.float32}
        with BFLOAT:
            assert model(torch.from_numpy(pairs[0][0])[None]).dtype in (
                torch.float32, torch.complex64)
    full, mixed = histories
    np.testing.assert_allclose(mixed, full, rtol=6 * 2**-8)
    assert mixed[-1] < mixed[0]
    if name not in ("VariationalStep", "LearnedShrinkage"):  # these have no products but operators
        assert not np.array_equal(full, mixed)


def test_a_network_of_ones_own_must_return_images_in_the_precision_of_the_operator():
    step = reconstruction.GradientStep(torch.nn.Conv2d(2, 2, 3, padding=1), 0.5)
    model = reconstruction.LearnedProximalGradient(
        torch.nn.Sequential(FORWARD), torch.nn.Sequential(bridge.as_module(CT.adjoint)),
        [step, step])
    with BFLOAT, pytest.raises(TypeError, match="input is torch.bfloat16 .*expected torch.float32"):
        model(torch.ones(2, *CT.range.shape))


def scaled(scale=2.0**10):
    scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=5)
    return MixedPrecision(torch.autocast("cpu", torch.float16), scaler)


def test_float16_with_a_scaler_continues_to_the_same_bits(tmp_path):
    path, scales = tmp_path / "run.pt", []
    whole = run(None, Pairs(), precision=scaled())
    for pairs in (Pairs(at=8 * 3 + 1), Pairs()):
        precision = scaled()
        try:
            found = run(path, pairs, precision=precision)
        except KeyboardInterrupt:
            pass
        scales.append(precision.scaler.get_scale())
    assert_same_bits(found, whole)
    assert scales == [2.0**11, 2.0**14]  # it grows every five steps


def test_steps_with_infinite_gradients_are_left_out():
    """At a scale of 2^40, until it is small enough; the schedule waits, too."""
    model, _, schedule, history = run(None, Pairs(), steps=1, precision=scaled(2.0**40),
                                      clip_norm=None)  # fmt: skip
    fresh = run(None, Pairs(), steps=1, kind="adam", loss=lambda x, t: 0 * mean_squared_error(x, t))
    assert torch.equal(model[0].weight, fresh[0][0].weight)
    assert schedule.last_epoch == 0 and len(history.loss) == 1
    with pytest.raises(FloatingPointError, match="not finite in step .* at a scale of"):
        run(None, Pairs(), steps=60, precision=scaled(),
            loss=lambda x, t: 1e30 * mean_squared_error(x, t))  # fmt: skip


def test_errors():
    with pytest.raises(TypeError, match="autocast is 'bfloat16', expected a torch.autocast"):
        MixedPrecision("bfloat16")
    with pytest.raises(ValueError, match="small gradients become zero; pass scaler="):
        MixedPrecision(torch.autocast("cpu", torch.float16))
    with pytest.raises(TypeError, match="scaler is 1024"):
        MixedPrecision(BFLOAT, 1024)
    with pytest.raises(TypeError, match="expected a learning.MixedPrecision"):
        run(None, Pairs(), precision=BFLOAT)
    model = torch.nn.Linear(4, 4).bfloat16()
    with pytest.raises(ValueError, match="parameter is torch.bfloat16, expected the weights in fl"):
        train(model, Pairs(), steps=1, optimizer=torch.optim.SGD(model.parameters(), 0.1),
              precision=MixedPrecision(BFLOAT), progress=False)  # fmt: skip
    model = torch.nn.Linear(4, 4)
    with pytest.raises(ValueError, match="LBFGS evaluates the loss several times"):
        train(model, Pairs(), steps=1, optimizer=torch.optim.LBFGS(model.parameters()),
              precision=scaled(), progress=False)  # fmt: skip
