"""Checks of the arguments of training before it starts."""

from collections.abc import Mapping

import torch

from odl_learned.learning.best import Best
from odl_learned.learning.precision import MixedPrecision
from odl_learned.learning.training.loading import Workers
from odl_learned.learning.training.step_checks import parameters_of
from odl_learned.validation import require_count, require_positive, shown


def require_settings(
    model, pairs, steps, optimizer, loss, batch_size, seed, schedule, clip_norm, validation,
    validation_metric, validate_every, checkpoint, checkpoint_every, folder, workers, precision,
    best,
):  # fmt: skip
    """Raise unless these arguments of `supervised.train` fit together.

    Raises
    ------
    TypeError
        If the model is no module, the optimizer no optimizer, pairs no sequence, or loss and
        metric cannot be called.
    ValueError
        If pairs are empty, numbers out of range, or optimizer and schedule of something else.
    """
    for name, value, kind in (
        ("model", model, torch.nn.Module), ("optimizer", optimizer, torch.optim.Optimizer),
    ):  # fmt: skip
        if not isinstance(value, kind):
            raise TypeError(
                f"{name} is of type {type(value).__name__}, expected a torch {kind.__name__}; "
                "an ODL operator becomes a module by bridge.as_module(op), and an optimizer is "
                "made with model.parameters()."
            )
    for name, function in (("loss", loss), ("validation_metric", validation_metric)):
        wrong = isinstance(function, type) or not callable(function)
        if wrong and not (name == "validation_metric" and function is None):
            raise TypeError(f"{name} is {function!r}, expected a function (x, truth) -> number or "
                            "an Objective of learning.objectives, made with its arguments.")
    for name, value, kind in (("workers", workers, Workers), ("best", best, Best),
                              ("precision", precision, MixedPrecision)):
        if not (value is None or isinstance(value, kind)):
            raise TypeError(f"{name} is {shown(value)}, expected a learning.{kind.__name__} or "
                            "None.")  # fmt: skip
    if isinstance(model, torch.nn.parallel.DistributedDataParallel):
        raise TypeError(
            "the model is a DistributedDataParallel, expected the module in it: train wraps the "
            "model itself where torch.distributed is initialized. Pass model.module, and make the "
            "optimizer with its parameters."
        )
    if best is not None and validation is None:
        raise ValueError("best is given without pairs to validate on; pass validation=pairs.")
    if checkpoint is not None and folder is not None:
        raise ValueError(
            "both a checkpoint and a folder are given; expected one of them: the folder has a "
            "checkpoint of its own."
        )
    if validation is None and validation_metric is not None:
        raise ValueError(
            "validation_metric is given without pairs to validate on; expected both, or neither: "
            "pass validation=pairs."
        )
    counts = dict(
        steps=steps, batch_size=batch_size, validate_every=validate_every,
        checkpoint_every=checkpoint_every,
    )  # fmt: skip
    for name, count in counts.items():
        require_count(name, count)
    require_count("seed", seed, 0)
    if clip_norm is not None:
        require_positive("clip_norm", clip_norm)
    _require_sequence("pairs", pairs)
    if validation is not None:
        _require_sequence("validation", validation)
    if batch_size > len(pairs):
        raise ValueError(
            f"batch_size is {batch_size}, expected at most {len(pairs)}, the number of pairs."
        )
    _require_optimizer(model, optimizer, schedule)


def _require_sequence(name, pairs):
    if isinstance(pairs, torch.utils.data.DataLoader):
        raise TypeError(
            f"{name} is a DataLoader, expected a sequence of pairs: train draws batches of its "
            f"own, so that it can continue to the same bits. Pass {name}=loader.dataset and "
            f"batch_size={pairs.batch_size}."
        )
    reads = hasattr(type(pairs), "__getitem__") and hasattr(type(pairs), "__len__")
    odd = (Mapping, str, set, torch.utils.data.IterableDataset, torch.nn.Module)
    if not reads or isinstance(pairs, odd):
        raise TypeError(
            f"{name} is of type {type(pairs).__name__}, expected a sequence with a length, whose "
            "item i is always the same pair (data, truth). Make a list of it, "
            "list(...), or draw pairs by data.SimulatedPairs(truth, measure, size, seed)."
        )
    if len(pairs) == 0:
        raise ValueError(f"{name} is empty; expected at least one pair (data, truth).")


def _require_optimizer(model, optimizer, schedule):
    known = {id(parameter) for parameter in model.parameters()}
    if not known:
        raise ValueError("the model has no parameters; expected something to learn.")
    if not all(id(parameter) in known for parameter in parameters_of(optimizer)):
        raise ValueError(
            "the optimizer has parameters that are not of the model; make it with "
            "model.parameters(), after the model has been moved to its device."
        )
    if isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
        raise ValueError("schedule needs a metric in each step; expected one that does not.")
    if schedule is not None and not isinstance(schedule, torch.optim.lr_scheduler.LRScheduler):
        raise TypeError(
            f"schedule is {schedule!r}, expected one of torch.optim.lr_scheduler, made with the "
            "optimizer."
        )
    if schedule is not None and schedule.optimizer is not optimizer:
        raise ValueError("schedule was made with another optimizer; make it with this one.")
