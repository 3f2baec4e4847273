"""Small trainings, which may be interrupted, and when two of them are the same."""

import numpy as np
import torch
from torch import nn

from odl_learned.learning import train


class Pairs:
    """Truth x, data ``M x``; raises an exception in place of the pair number `at`, once."""

    def __init__(self, size=10, at=None, exception=KeyboardInterrupt):
        rng = np.random.default_rng(0)
        matrix = rng.standard_normal((4, 4)).astype("float32")
        self.truth = rng.standard_normal((size, 4)).astype("float32")
        self.data = self.truth @ matrix
        self.seen, self.at, self.exception = [], at, exception
        self.probes = 0  # draws at the start, for the identity of the training: neither seen nor at

    def __len__(self):
        return len(self.truth)

    def __getitem__(self, i):
        if self.probes > 0:
            self.probes -= 1
            return self.data[i], self.truth[i]
        if len(self.seen) == self.at:
            self.at = None
            torch.rand(3)  # what is drawn for a step that does not come to pass must not count
            raise self.exception
        self.seen.append(i)
        return self.data[i], self.truth[i]


def probe(pairs):
    """Expect the draws of the first, the middle and the last pair, as a checkpoint asks for."""
    if isinstance(pairs, Pairs):
        pairs.probes = len({0, len(pairs) // 2, len(pairs) - 1})
    return pairs


def build_model(seed=0, normalization=nn.BatchNorm1d):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(4, 8), normalization(8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 4)
    )


def setting(kind, model):
    if kind == "adam":
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
    if kind == "momentum":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
        return optimizer, torch.optim.lr_scheduler.MultiStepLR(optimizer, [5, 12], gamma=0.5)
    if kind == "cycle":
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=20)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=0.02)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))


def run(
    path, pairs, steps=20, kind="adam", seed_of_model=0, normalization=nn.BatchNorm1d, **changes
):
    model = build_model(seed_of_model, normalization)
    optimizer, schedule = setting(kind, model)
    options = dict(
        steps=steps, optimizer=optimizer, schedule=schedule, batch_size=3, clip_norm=1.0,
        validation=Pairs(3), validate_every=4, checkpoint=path, checkpoint_every=5, progress=False,
    )  # fmt: skip
    options |= changes
    if path is not None:
        for sequence in (pairs, options["validation"]):
            probe(sequence)
    if isinstance(options["validation"], Pairs):
        options["validation"].probes += 1  # to find mistakes early
    history = train(model, pairs, **options)
    return model, optimizer, schedule, history


def assert_same_bits(one, two):
    """The same models, optimizers, schedules, histories and next random numbers.

    The same operations on tensors of the same shapes have run, on as many threads (`rounding`).
    """
    for name, value in one[0].state_dict().items():
        assert torch.equal(value, two[0].state_dict()[name]), name
    for number, values in one[1].state_dict()["state"].items():
        for name, value in values.items():
            other = two[1].state_dict()["state"][number][name]
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(other)), name
    assert one[2].get_last_lr() == two[2].get_last_lr()
    for name in ("step", "loss", "validation_step", "validation"):
        np.testing.assert_array_equal(getattr(one[3], name), getattr(two[3], name))


def straight(kind="adam", steps=20):
    return run(None, Pairs(), steps=steps, kind=kind)
