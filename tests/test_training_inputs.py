"""What people pass to training: loaders, generators, elements, optimizers with closures."""

import numpy as np
import odl
import pytest
import torch
from mistakes import check_message, rows
from torch import nn
from training_runs import Pairs, probe

from odl_learned.learning import mean_squared_error, train
from odl_learned.learning.files.checkpoint import read_checkpoint
from odl_learned.learning.training.batches import draw_batch

X = odl.uniform_discr([0, 0], [1, 1], (3, 4), dtype="float32")
ARRAYS = [tuple(np.random.default_rng(i).random((2, 3, 4)).astype("float32")) for i in range(5)]


def trained(pairs, steps=4, model=None, optimizer=None, **options):
    if model is None:
        torch.manual_seed(0)
        model = nn.Linear(4, 4)
    if optimizer is None:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    history = train(model, pairs, steps=steps, optimizer=optimizer, progress=False, **options)
    return model, optimizer, history


KINDS = {
    "elements": lambda a: X.element(a),
    "elements of torch": lambda a: odl.rn((3, 4), "float32", impl="pytorch").element(a),
    "tensors": lambda a: torch.from_numpy(a),
    "tensors with a graph": lambda a: torch.from_numpy(a).requires_grad_() * 1,
    "lists": lambda a: X.element(a).asarray().astype("float32"),
    "flipped": lambda a: X.element(a[::-1].copy()[::-1]),
    "big-endian": lambda a: a.astype(">f4"),
    "read-only": lambda a: np.broadcast_to(a, a.shape),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_pairs_of_any_kind_are_pairs_of_their_arrays(kind):
    pairs = [tuple(map(kind, pair)) for pair in ARRAYS]
    expected = trained(ARRAYS, batch_size=2, validation=ARRAYS[:1], validate_every=2)
    found = trained(pairs, batch_size=2, validation=pairs[:1], validate_every=2)
    for name in ("loss", "validation"):
        np.testing.assert_array_equal(getattr(found[2], name), getattr(expected[2], name))


def test_elements_of_a_power_space_are_one_array():
    pair = X.element(ARRAYS[0][0]), X.element(ARRAYS[0][1])
    data, truth = draw_batch([((X**2).element(pair), pair[0])], [0])
    np.testing.assert_array_equal(data[0], np.stack(ARRAYS[0]))
    assert data.shape == (1, 2, 3, 4) and truth.shape == (1, 3, 4)


class Dataset(torch.utils.data.Dataset):
    def __len__(self):
        return len(ARRAYS)

    def __getitem__(self, i):
        return tuple(map(torch.from_numpy, ARRAYS[i]))


class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        return iter(ARRAYS)


def test_the_dataset_of_a_loader_is_trained_on():
    found, expected = trained(Dataset(), batch_size=2), trained(ARRAYS, batch_size=2)
    np.testing.assert_array_equal(found[2].loss, expected[2].loss)


def lbfgs(model):
    return torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=4, history_size=3)


def test_lbfgs_makes_the_steps_of_a_plain_loop():
    pairs = Pairs()
    torch.manual_seed(0)
    model, twin = nn.Linear(4, 4), nn.Linear(4, 4)
    twin.load_state_dict(model.state_dict())
    _, _, history = trained(pairs, model=model, optimizer=lbfgs(model), batch_size=10)
    optimizer, losses = lbfgs(twin), []
    for k in range(4):
        indices = pairs.seen[10 * k : 10 * k + 10]
        data, truth = torch.from_numpy(pairs.data[indices]), torch.from_numpy(pairs.truth[indices])

        def closure():
            optimizer.zero_grad()
            value = (twin(data) - truth).square().mean()
            value.backward()
            return value

        losses.append(optimizer.step(closure).item())
    np.testing.assert_array_equal(history.loss, losses)
    assert all(map(torch.equal, model.parameters(), twin.parameters()))
    assert history.loss[-1] < 0.1 * history.loss[0]


def test_lbfgs_continues_to_the_same_bits(tmp_path):
    def run(steps, path, seed):
        torch.manual_seed(seed)
        model = nn.Linear(4, 4)
        optimizer = lbfgs(model)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.9)
        pairs = Pairs() if path is None else probe(Pairs())
        history = train(model, pairs, steps=steps, optimizer=optimizer, schedule=schedule,
                        batch_size=10, clip_norm=1.0, checkpoint=path, progress=False)  # fmt: skip
        return model, optimizer, schedule, history

    run(3, tmp_path / "run.pt", 0)
    continued, whole = run(6, tmp_path / "run.pt", 1), run(6, None, 0)
    np.testing.assert_array_equal(continued[3].loss, whole[3].loss)
    assert all(map(torch.equal, continued[0].parameters(), whole[0].parameters()))


def test_an_interrupted_line_search_is_not_saved(tmp_path):
    class Stops(nn.Linear):
        calls = 0

        def forward(self, x):
            self.calls += self.training
            if self.calls == 7:  # in the second step, after an update
                raise KeyboardInterrupt
            return super().forward(x)

    torch.manual_seed(0)
    model = Stops(4, 4)
    with pytest.raises(KeyboardInterrupt):
        trained(probe(Pairs()), model=model, optimizer=lbfgs(model), batch_size=10,
                checkpoint=tmp_path / "run.pt")  # fmt: skip
    assert len(read_checkpoint(tmp_path / "run.pt")["record"]["loss"]) == 0


def with_nan(model):
    with torch.no_grad():
        model.weight[0, 0] = float("nan")
    return model


def attempt(pairs, **options):
    return lambda: trained(pairs, **options)


Y = [(y, x) for y, x in ARRAYS]
MIXED = odl.ProductSpace(odl.rn(3), odl.rn(4)).one()
INPUTS = [
    ("loader", attempt(torch.utils.data.DataLoader(Dataset(), batch_size=2)), TypeError,
     r"pairs is a DataLoader, expected a sequence.*pairs=loader.dataset and batch_size=2"),
    ("loader to validate", attempt(Y, validation=torch.utils.data.DataLoader(Dataset())), TypeError,
     "validation is a DataLoader, expected.*validation=loader.dataset"),
    ("generator", attempt(pair for pair in ARRAYS), TypeError,
     r"pairs is of type generator, expected a sequence.*list\(...\).*SimulatedPairs"),
    ("iterator", attempt(zip(*ARRAYS)), TypeError, "pairs is of type zip, expected a sequence"),
    ("stream", attempt(Stream()), TypeError, "pairs is of type Stream, expected a sequence"),
    ("dictionary", attempt(dict(enumerate(ARRAYS))), TypeError, "pairs is of type dict, expected"),
    ("function", attempt(lambda i: ARRAYS[i]), TypeError, "pairs is of type function, expected"),
    ("none", attempt(None), TypeError, "pairs is of type NoneType, expected a sequence"),
    ("two arrays", attempt(tuple(np.stack(part) for part in zip(*ARRAYS))), ValueError,
     r"in step 1 is not a pair but data alone.*data.FixedPairs\(data, truth\)"),
    ("triples", attempt([(*pair, 1) for pair in ARRAYS]), ValueError, r"not a pair but of type tu"),
    ("element of a product", attempt([(MIXED, ARRAYS[0][1])]), TypeError,
     r"data of pairs\[0\] is an element of .*expected one of a space of arrays.*one of its parts"),
    ("ragged list", attempt([([[1.0], [1.0, 2.0]], ARRAYS[0][1])]), ValueError,
     r"data of pairs\[0\] is no array .*inhomogeneous.*expected numbers"),
    ("words", attempt([("data", "truth")]), TypeError,
     r"data of pairs\[0\] has dtype <U4, expected numbers"),
    ("masked", attempt([(np.ma.masked_less(ARRAYS[0][0], 0.5), ARRAYS[0][1])]), ValueError,
     r"data of pairs\[0\] is a masked array"),
    ("infinite tensor", attempt([(ARRAYS[0][0], torch.full((3, 4), torch.inf))]), ValueError,
     r"truth of pairs\[0\] contains 12 NaN or infinite values among 12"),
    ("empty", attempt([(ARRAYS[0][0][:0], ARRAYS[0][1][:0])]), ValueError,
     r"data of pairs\[0\] has shape \(0, 4\), expected at least one entry"),
    ("two dtypes", attempt([ARRAYS[0], tuple(a.astype(float) for a in ARRAYS[1])], batch_size=2),
     ValueError, r"data of pairs\[\d\] has dtype torch.float\d\d, expected .*same batch"),
    ("extended precision", attempt([tuple(a.astype(np.longdouble) for a in ARRAYS[0])]), TypeError,
     "array has dtype (longdouble|float128), expected"),
    ("word for a loss", attempt(Y, loss="l2"), TypeError, "loss is 'l2', expected a function"),
    ("word for a metric", attempt(Y, validation=Y, validation_metric="psnr"), TypeError,
     "validation_metric is 'psnr', expected a function"),
    ("metric without pairs", attempt(Y, validation_metric=mean_squared_error), ValueError,
     "validation_metric is given without pairs.*validation=pairs"),
    ("metric of entries", attempt(Y, validation=Y, validate_every=1,
                                  validation_metric=lambda x, t: x - t), TypeError,
     "validation_metric returned a Tensor, expected a number.*mean"),
    ("metric of entries, later", attempt(Y, validation=Y, validation_metric=lambda x, t: x - t),
     TypeError, "validation_metric returned a Tensor, expected a number"),
    ("validation of arrays, later", attempt(Y, validation=np.ones(2)), ValueError,
     "drawn in validation is not a pair but data alone"),
    ("array for an image", lambda: mean_squared_error(np.ones(2), torch.ones(2)), TypeError,
     "x is of type ndarray, expected a tensor.*metrics"),
    ("number for a path", lambda: read_checkpoint(3), TypeError, "checkpoint is 3, expected the p"),
    ("word for a schedule", attempt(Y, schedule="cosine"), TypeError,
     "schedule is 'cosine', expected one of torch.optim.lr_scheduler"),
    ("NaN for a bound", attempt(Y, clip_norm=float("nan")), ValueError, "clip_norm is nan; expec"),
    ("several outputs", attempt(Y, model=nn.LSTM(4, 4, batch_first=True)), TypeError,
     r"the model returned a tuple, expected one tensor of the shape of the truth, \(1, 3, 4\)"),
    ("number for a checkpoint", attempt(Y, checkpoint=3), TypeError, "checkpoint is 3, expected"),
    ("NaN in a parameter", attempt(Y, model=with_nan(nn.Linear(4, 4))), FloatingPointError,
     "loss is nan in step 1"),
    ("shapes of an error", lambda: mean_squared_error(torch.ones(4, 1), torch.ones(4)), ValueError,
     r"x has shape \(4, 1\) and the truth \(4,\), expected equal shapes; reshape"),
]  # fmt: skip


@rows(INPUTS)
def test_mistake(mistake, error, pattern):
    check_message(mistake, error, pattern)
