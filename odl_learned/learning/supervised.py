"""Supervised learning of reconstruction maps, with checkpoints that continue to the same bits."""

from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from odl_learned.bridge.separation import evaluation_mode, require_samples_apart
from odl_learned.learning.batches import Order, draw_batch
from odl_learned.learning.checkpoint import read_checkpoint, write_checkpoint
from odl_learned.learning.interruption import deferred_interruption
from odl_learned.learning.record import Record
from odl_learned.learning.sole_writer import sole_writer
from odl_learned.learning.training_checks import (
    clip_gradient,
    require_finite_parameters,
    require_loss,
    require_settings,
)
from odl_learned.learning.training_state import random_states, restore, training_state


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

    The model is trained in training mode and left in the mode it came in. Before the first step
    the first data are mapped in a batch of two and alone, in evaluation mode, which must agree.
    With `checkpoint`, the
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
        For empty pairs, numbers out of range, data or truth that do not fit, a model that takes
        an axis of the batch for one of the image, a checkpoint that is damaged, of another model
        or training, or ahead of `steps`.
    BlockingIOError
        If another training is the writer of the checkpoint.
    OSError
        If the checkpoint cannot be written; the last one is kept.
    TypeError
        If the model is no module, the optimizer no optimizer or the loss no tensor.
    RuntimeError
        If the model cannot process a batch.
    FloatingPointError
        If loss, gradient or parameters are no longer finite; the last checkpoint is kept.
    """
    require_settings(
        model, pairs, steps, optimizer, batch_size, seed, schedule, clip_norm, validation,
        validate_every, checkpoint_every,
    )  # fmt: skip
    metric = loss if validation_metric is None else validation_metric
    with nullcontext() if checkpoint is None else sole_writer(checkpoint):
        return _train(
            model, pairs, steps, optimizer, loss, batch_size, seed, schedule, clip_norm,
            validation, metric, validate_every, checkpoint, checkpoint_every, progress,
        )  # fmt: skip


def _train(
    model, pairs, steps, optimizer, loss, batch_size, seed, schedule, clip_norm, validation,
    metric, validate_every, checkpoint, checkpoint_every, progress,
):  # fmt: skip
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
        require_finite_parameters(model, record.steps)
        state = training_state(setting, model, optimizer, schedule, record, random)
        write_checkpoint(checkpoint, state)
        return record.steps

    random, buffers = random_states(), _versions(model)
    updating = compared = False
    bar = tqdm(total=steps, initial=record.steps, disable=not progress, unit="step")
    with deferred_interruption() as interruption, _training_mode(model), bar:
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
                if not compared:
                    _require_samples_apart(model, data)
                    compared = True
                value = _loss(model, data, truth, loss, record.steps + 1)
                model.zero_grad()
                value.backward()
                clip_gradient(optimizer, clip_norm, record.steps + 1)
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


def _require_samples_apart(model, data):
    """The data of a pair mean the same in every batch."""
    other = (0.25 * data[0].flip(tuple(range(data.ndim - 1)))).to(data.dtype)
    with evaluation_mode(model):
        require_samples_apart(model, data[0], data[1] if len(data) > 1 else other)


def _loss(model, data, truth, loss, step):
    value = loss(_predict(model, data, truth, f"in step {step}"), truth)
    require_loss(value, step)
    return value


def _validate(model, validation, metric, device):
    with evaluation_mode(model), torch.no_grad():
        values = []
        for i in range(len(validation)):
            data, truth = (batch.to(device) for batch in draw_batch(validation, [i]))
            values.append(float(metric(_predict(model, data, truth, "in validation"), truth)))
    return float(np.mean(values))


@contextmanager
def _training_mode(model):
    with evaluation_mode(model):  # puts the mode of every part back
        model.train()
        yield


def _versions(model):
    return [(id(buffer), buffer._version) for buffer in model.buffers()]
