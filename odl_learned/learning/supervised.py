"""Supervised learning of reconstruction maps, with checkpoints that continue to the same bits."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from odl_learned.learning.batches import Order, draw_batch
from odl_learned.learning.checkpoint import read_checkpoint, write_checkpoint
from odl_learned.learning.interruption import deferred_interruption
from odl_learned.learning.record import Record
from odl_learned.learning.training_state import random_states, restore, training_state
from odl_learned.validation import require_positive


def mean_squared_error(x, truth):
    """Return the mean of ``|x - truth|^2`` over all entries, real also for complex images.

    Parameters
    ----------
    x, truth : torch.Tensor
        Real or complex, of the same shape.

    Returns
    -------
    torch.Tensor, shape ()
    """
    difference = x - truth
    if difference.is_complex():
        difference = torch.view_as_real(difference.resolve_conj())
        return 2 * difference.square().mean()  # twice as many entries as images have
    return difference.square().mean()


def train(
    model,
    pairs,
    *,
    steps,
    optimizer,
    loss=mean_squared_error,
    batch_size=1,
    seed=0,
    schedule=None,
    clip_norm=None,
    validation=None,
    validation_metric=None,
    validate_every=1000,
    checkpoint=None,
    checkpoint_every=1000,
    progress=True,
):
    """Minimize the loss of a reconstruction map over pairs of data and truth.

    ``min_theta  mean_i loss(Phi_theta(y_i), x_i)`` by the optimizer, on batches that go through
    one random permutation of the pairs after the other, ``default_rng([seed, epoch])``.

    The model is trained in training mode and left in the mode it came in. With `checkpoint`, the
    state is written every `checkpoint_every` steps, at the end and when training is interrupted;
    if the file exists, training continues from it, bit for bit as if it had not stopped (on the
    same machine, if `pairs[i]` depends on i alone, and the only randomness of the model is torch's
    global one). Learning rates and the like are then those in the file. Ctrl-C (SIGINT) and
    SIGTERM take effect when the current step is complete, as KeyboardInterrupt; a second one at
    once.

    Parameters
    ----------
    model : torch.nn.Module
        Maps data ``(batch, *Y.shape)`` to images ``(batch, *X.shape)``.
    pairs : sequence
        ``pairs[i]`` is ``(data, truth)``, arrays ``(*Y.shape)`` and ``(*X.shape)``, for i from 0 to
        ``len(pairs) - 1``; they are moved to the device of the model in their own dtype.
    steps : int
        Number of updates in all, those before a continuation included.
    optimizer : torch.optim.Optimizer
        Made with parameters of the model; one whose ``step()`` needs no closure.
    loss : callable
        ``(x, truth) -> real tensor of shape ()``.
    batch_size : int
        Pairs in a batch, at most ``len(pairs)``.
    seed : int
        Seed of the permutations.
    schedule : torch.optim.lr_scheduler.LRScheduler, optional
        Made with the optimizer, stepped once per update, without a metric.
    clip_norm : float, optional
        Bound to which the norm of the gradient is scaled down.
    validation : sequence, optional
        Pairs like `pairs`, on which the model is evaluated in evaluation mode every
        `validate_every` steps.
    validation_metric : callable, optional
        ``(x, truth) -> number`` for a batch of one, e.g. ``metrics.psnr``; the default is the loss.
    validate_every, checkpoint_every : int
        Numbers of steps.
    checkpoint : str or path-like, optional
        File of the training state, in an existing folder.
    progress : bool
        Whether to show a progress bar; without it, nothing is printed.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        For empty pairs, numbers out of range, data or truth that do not fit, a checkpoint that is
        damaged, of another model or training, or ahead of `steps`.
    TypeError
        If the model is no module, the optimizer no optimizer or the loss no tensor.
    RuntimeError
        If the model cannot process a batch.
    FloatingPointError
        If loss, gradient or parameters are no longer finite; the last checkpoint is kept.
    """
    _require_settings(
        model, pairs, steps, optimizer, batch_size, seed, schedule, clip_norm, validation,
        validate_every, checkpoint_every,
    )  # fmt: skip
    metric = loss if validation_metric is None else validation_metric
    device = next(model.parameters()).device
    setting = {"seed": int(seed), "batch_size": int(batch_size), "pairs": len(pairs)}
    order = Order(seed, len(pairs))
    record = Record()
    saved = None
    if checkpoint is not None and Path(checkpoint).exists():
        state = read_checkpoint(checkpoint)
        restore(checkpoint, state, setting, steps, model, optimizer, schedule, record)
        saved = record.steps

    def save(random):
        _require_finite_parameters(model, record.steps)
        state = training_state(setting, model, optimizer, schedule, record, random)
        write_checkpoint(checkpoint, state)
        return record.steps

    random, buffers = random_states(), _versions(model)
    updating = False
    bar = tqdm(total=steps, initial=record.steps, disable=not progress, unit="step")
    with deferred_interruption() as interruption, _mode(model, True), bar:
        try:
            while True:
                if validation is not None and record.validation_is_due(validate_every):
                    record.validated(_validate(model, validation, metric, device))
                    random = random_states()
                if checkpoint is not None and saved != record.steps:
                    if record.steps % checkpoint_every == 0 or record.steps == steps:
                        saved = save(random)
                interruption.raise_pending()
                if record.steps == steps:
                    break
                indices = order.batch(record.steps * batch_size, batch_size)
                data, truth = (batch.to(device) for batch in draw_batch(pairs, indices))
                interruption.raise_pending()
                value = _loss(model, data, truth, loss, record.steps + 1)
                model.zero_grad()
                value.backward()
                _require_finite_gradient(optimizer, clip_norm, record.steps + 1)
                updating = True
                optimizer.step()
                if schedule is not None:
                    schedule.step()
                record.updated(value.item())
                updating = False
                random, buffers = random_states(), _versions(model)
                record.show(bar)
        except FloatingPointError:
            raise
        except BaseException:
            # Model and optimizer are as after the last complete step, unless an update was cut
            # short or the step at hand has written to a buffer (batch normalization).
            intact = not updating and _versions(model) == buffers
            if checkpoint is not None and saved != record.steps and intact:
                save(random)
            raise
    return record.history()


def _predict(model, data, truth, when):
    try:
        x = model(data)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError, ValueError) as error:
        raise RuntimeError(
            f"the model failed {when} on data of shape {tuple(data.shape)} and dtype {data.dtype}, "
            f"the batch axis first: {error}"
        ) from error
    if x.shape != truth.shape:
        raise ValueError(
            f"the model maps data of shape {tuple(data.shape)} to {tuple(x.shape)}, expected "
            f"{tuple(truth.shape)}, the shape of the truth; make pairs and model with the same "
            "spaces."
        )
    return x


def _loss(model, data, truth, loss, step):
    value = loss(_predict(model, data, truth, f"in step {step}"), truth)
    if not isinstance(value, torch.Tensor):
        raise TypeError(
            f"the loss is of type {type(value).__name__}, expected a real tensor of shape (); "
            "compute it with torch, without .item()."
        )
    if value.ndim or value.is_complex():
        raise ValueError(
            f"the loss is of shape {tuple(value.shape)} and dtype {value.dtype}, expected a real "
            "tensor of shape (); take the mean, for complex images of the squared modulus."
        )
    if not torch.isfinite(value):
        raise FloatingPointError(_diverged(f"the loss is {value.item()}", step))
    if not value.requires_grad:
        raise ValueError(
            "the loss does not depend on the parameters, expected one that torch can "
            "differentiate; leave out detach, numpy and no_grad in model and loss."
        )
    return value


def _validate(model, validation, metric, device):
    with _mode(model, False), torch.no_grad():
        values = []
        for i in range(len(validation)):
            data, truth = (batch.to(device) for batch in draw_batch(validation, [i]))
            values.append(float(metric(_predict(model, data, truth, "in validation"), truth)))
    return float(np.mean(values))


@contextmanager
def _mode(model, training):
    earlier = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, was_training in earlier:
            module.training = was_training


def _versions(model):
    return [(id(buffer), buffer._version) for buffer in model.buffers()]


def _require_settings(
    model, pairs, steps, optimizer, batch_size, seed, schedule, clip_norm, validation,
    validate_every, checkpoint_every,
):  # fmt: skip
    for name, value, kind in (
        ("model", model, torch.nn.Module), ("optimizer", optimizer, torch.optim.Optimizer),
    ):  # fmt: skip
        if not isinstance(value, kind):
            raise TypeError(
                f"{name} is of type {type(value).__name__}, expected a torch {kind.__name__}; "
                "an ODL operator becomes a module by bridge.as_module(op), and an optimizer is "
                "made with model.parameters()."
            )
    counts = dict(
        steps=steps, batch_size=batch_size, validate_every=validate_every,
        checkpoint_every=checkpoint_every,
    )  # fmt: skip
    for name, count in counts.items():
        if not isinstance(count, (int, np.integer)) or count < 1:
            raise ValueError(f"{name} is {count!r}; expected a whole number, at least 1.")
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed is {seed!r}; expected a whole number, at least 0.")
    if clip_norm is not None:
        require_positive("clip_norm", clip_norm)
    for name, sequence in (("pairs", pairs), ("validation", validation)):
        if sequence is not None and len(sequence) == 0:
            raise ValueError(f"{name} is empty; expected at least one pair (data, truth).")
    if batch_size > len(pairs):
        raise ValueError(
            f"batch_size is {batch_size}, expected at most {len(pairs)}, the number of pairs."
        )
    known = {id(parameter) for parameter in model.parameters()}
    if not known:
        raise ValueError("the model has no parameters; expected something to learn.")
    if not all(id(parameter) in known for parameter in _parameters(optimizer)):
        raise ValueError(
            "the optimizer has parameters that are not of the model; make it with "
            "model.parameters(), after the model has been moved to its device."
        )
    if isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
        raise ValueError("schedule needs a metric in each step; expected one that does not.")
    if schedule is not None and schedule.optimizer is not optimizer:
        raise ValueError("schedule was made with another optimizer; make it with this one.")


def _require_finite_gradient(optimizer, clip_norm, step):
    bound = float("inf") if clip_norm is None else clip_norm
    norm = torch.nn.utils.clip_grad_norm_(_parameters(optimizer), bound)
    if not torch.isfinite(norm):
        raise FloatingPointError(_diverged(f"the norm of the gradient is {norm.item()}", step))


def _require_finite_parameters(model, step):
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise FloatingPointError(_diverged(f"the parameter {name} is not finite", step))


def _diverged(what, step):
    return (
        f"{what} in step {step}, expected finite numbers; lower the learning rate or set clip_norm "
        "and start anew. The last checkpoint, if any, is of an earlier step."
    )


def _parameters(optimizer):
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
