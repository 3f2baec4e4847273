"""Training of reconstruction maps, with checkpoints that continue to the same bits."""

from contextlib import contextmanager, nullcontext

from tqdm import tqdm

from odl_learned.bridge.random_states import kept_random_states
from odl_learned.bridge.separation import evaluation_mode
from odl_learned.learning.batches import Order, draw_batch
from odl_learned.learning.identity import Training
from odl_learned.learning.interruption import deferred_interruption
from odl_learned.learning.keeper import Keeper
from odl_learned.learning.losses import mean_squared_error
from odl_learned.learning.objective import Batch, as_objective, generator_of
from odl_learned.learning.predictions import loss_of, require_batches_alike, validate
from odl_learned.learning.record import Record
from odl_learned.learning.sole_writer import sole_writer
from odl_learned.learning.training_checks import (
    clip_gradient,
    needs_closure,
    require_settings,
)
from odl_learned.learning.training_state import Learner, random_states


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
    """Minimize the loss of a reconstruction map over pairs of data and truth, or over data alone.

    ``min_theta  mean_i loss(Phi_theta(y_i), x_i)`` by the optimizer, on batches that go through
    one random permutation of the pairs after the other, ``default_rng([seed, epoch])``. An
    `Objective` in place of the loss sees the map itself: losses of data, losses without truth.

    The model is trained in training mode and left in the mode it came in. Before the first step
    the first data are mapped in a batch of two and alone, in evaluation mode, which must agree.

    With `checkpoint`, the state is written every `checkpoint_every` steps, at the end and when
    training is interrupted; if the file exists, training continues from it, bit for bit as if it
    had not stopped (on the same machine with as many threads, if `pairs[i]` depends on i alone, and
    the only randomness of the model is torch's global one). Learning rates and the like are then
    those in the file. It is an error if data, loss, metric, clipping, seed or architecture are
    others than those of the file, as far as values tell: of three pairs, of loss and metric, and of
    the output of the model
    (`identity`). This costs three pairs at the start and two evaluations for each checkpoint.

    Ctrl-C (SIGINT) and SIGTERM take effect when the current step is complete, as
    KeyboardInterrupt; a second one at once.

    Parameters
    ----------
    model : torch.nn.Module
        Maps data ``(batch, *Y.shape)`` to images ``(batch, *X.shape)``.
    pairs : sequence
        ``pairs[i]`` is ``(data, truth)``, arrays, tensors or ODL elements of shapes ``Y.shape`` and
        ``X.shape``, for i from 0 to ``len(pairs) - 1``: a list, ``data.SimulatedPairs``, the
        dataset of a DataLoader. They are moved to the device of the model in their own dtype. For
        an objective without truth, ``pairs[i]`` may be the data alone.
    steps : int
        Number of updates in all, those before a continuation included.
    optimizer : torch.optim.Optimizer
        Made with parameters of the model. One that needs a closure, as LBFGS does, evaluates the
        same batch several times in a step.
    loss : callable or Objective
        ``(x, truth) -> real tensor of shape ()``, or one of `learning.objectives`. The random
        numbers of an objective depend on `seed` and the number of the step alone.
    batch_size : int
        Pairs in a batch, at most ``len(pairs)``.
    seed : int
        Seed of the permutations and of the objective.
    schedule : torch.optim.lr_scheduler.LRScheduler, optional
        Made with the optimizer, stepped once per update, without a metric.
    clip_norm : float, optional
        Bound to which the norm of the gradient is scaled down.
    validation : sequence, optional
        Pairs like `pairs`, on which the model is evaluated in evaluation mode every
        `validate_every` steps; on the first one also at the start, to find mistakes early.
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
        an axis of the batch for one of the image, a checkpoint that is damaged, not whole, of
        another model or training, or ahead of `steps`.
    BlockingIOError
        If another training is the writer of the checkpoint.
    OSError
        If the checkpoint cannot be written; the last one is kept.
    TypeError
        If the model is no module, the optimizer no optimizer, pairs no sequence, or the loss no
        tensor.
    RuntimeError
        If the model cannot process a batch.
    FloatingPointError
        If loss, gradient or parameters are no longer finite; the last checkpoint is kept.
    """
    require_settings(
        model, pairs, steps, optimizer, loss, batch_size, seed, schedule, clip_norm, validation,
        validation_metric, validate_every, checkpoint_every,
    )  # fmt: skip
    setting = {"seed": int(seed), "batch_size": int(batch_size), "pairs": len(pairs),
               "clip_norm": None if clip_norm is None else float(clip_norm)}  # fmt: skip
    objective = as_objective(loss)
    metric = objective if validation_metric is None else as_objective(validation_metric)
    device = next(model.parameters()).device
    training = Training(pairs, validation, objective, metric, device)
    learner = Learner(model, optimizer, schedule, Record())
    with nullcontext() if checkpoint is None else sole_writer(checkpoint):
        keeper = None
        if checkpoint is not None:
            keeper = Keeper(checkpoint, setting, training, learner, steps)
        return _train(
            training, learner, setting, steps, validate_every, keeper, checkpoint_every, progress
        )


def _train(training, learner, setting, steps, validate_every, keeper, checkpoint_every, progress):
    model, optimizer, schedule, record = learner
    batch_size = setting["batch_size"]
    order = Order(setting["seed"], setting["pairs"])
    if training.validation is not None and record.steps < steps:
        with kept_random_states([training.device]):  # what would fail hours later fails now
            validate(model, training.validation, training.metric, training.device, [0])
    random, buffers = random_states(), _versions(model)
    updating = compared = False
    bar = tqdm(total=steps, initial=record.steps, disable=not progress, unit="step")
    with deferred_interruption() as interruption, _training_mode(model), bar:
        try:
            while True:
                if training.validation is not None and record.validation_is_due(validate_every):
                    record.validated(
                        validate(model, training.validation, training.metric, training.device))
                    random = random_states()
                if keeper is not None:
                    if record.steps % checkpoint_every == 0 or record.steps == steps:
                        keeper.save(random)
                interruption.raise_pending()
                if record.steps == steps:
                    break
                indices = order.batch(record.steps * batch_size, batch_size)
                data, truth = draw_batch(training.pairs, indices, device=training.device)
                interruption.raise_pending()

                def evaluate():
                    nonlocal compared
                    step = record.steps + 1
                    batch = Batch(data, truth, generator_of(setting["seed"], step),
                                  f"in step {step}")
                    value = loss_of(model, batch, training.objective, step)
                    if not compared:
                        require_batches_alike(model, data)
                        compared = True
                    model.zero_grad()
                    value.backward()
                    clip_gradient(optimizer, setting["clip_norm"], step)
                    return value

                if needs_closure(optimizer):  # which evaluates between updates, too
                    updating = True
                    value = optimizer.step(evaluate)
                else:
                    value = evaluate()
                    updating = True
                    optimizer.step()
                if schedule is not None:
                    schedule.step()
                record.updated(float(value.detach()))
                updating = False
                random, buffers = random_states(), _versions(model)
                record.show(bar)
        except FloatingPointError:
            raise
        except BaseException:
            # Model and optimizer are as after the last complete step, unless an update was cut
            # short or the step at hand has written to a buffer (batch normalization).
            if keeper is not None and not updating and _versions(model) == buffers:
                keeper.save(random)
            raise
    return record.history()


@contextmanager
def _training_mode(model):
    with evaluation_mode(model):  # puts the mode of every part back
        model.train()
        yield


def _versions(model):
    return [(id(buffer), buffer._version) for buffer in model.buffers()]
