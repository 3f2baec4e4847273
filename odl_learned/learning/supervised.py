"""Training of reconstruction maps, with checkpoints that continue to the same bits."""

import contextlib
import os
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import nn

from odl_learned.learning.best import Best, BestSoFar
from odl_learned.learning.files.identity import Training
from odl_learned.learning.files.run_folder import RunFolder, place_of, settings_of
from odl_learned.learning.files.sole_writer import sole_writer
from odl_learned.learning.group import Group
from odl_learned.learning.losses import mean_squared_error
from odl_learned.learning.objective import Loss, Objective, as_objective
from odl_learned.learning.precision import MixedPrecision, Updates
from odl_learned.learning.training.agreement import require_agreement
from odl_learned.learning.training.batches import Pairs
from odl_learned.learning.training.checks import require_settings
from odl_learned.learning.training.keeper import Keeper
from odl_learned.learning.training.loading import Workers
from odl_learned.learning.training.loop import Plan, run
from odl_learned.learning.training.record import History, Record
from odl_learned.learning.training.state import Learner


def train(
    model: nn.Module,
    pairs: Pairs,
    *,
    steps: int,
    optimizer: torch.optim.Optimizer,
    loss: Loss | Objective = mean_squared_error,
    batch_size: int = 1,
    seed: int = 0,
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
    clip_norm: float | None = None,
    validation: Pairs | None = None,
    validation_metric: Callable[..., float | torch.Tensor] | None = None,
    validate_every: int = 1000,
    best: Best | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 1000,
    folder: str | os.PathLike[str] | None = None,
    workers: Workers | None = None,
    precision: MixedPrecision | None = None,
    progress: bool = True,
) -> History:
    """Minimize the loss of a reconstruction map over pairs of data and truth, or over data alone.

    ``min_theta  mean_i loss(Phi_theta(y_i), x_i)`` by the optimizer, on batches that go through
    one random permutation of the pairs after the other, ``default_rng([seed, epoch])``. An
    `Objective` in place of the loss sees the map itself: losses of data, losses without truth.

    The model is trained in training mode and left in the mode it came in. Before the first step
    the first data are mapped in a batch of two and alone, in evaluation mode, which must agree.

    With `checkpoint`, the state is written every `checkpoint_every` steps, at the end and when
    training is interrupted; if the file exists, training continues from it, bit for bit as if it
    had not stopped (on the same machine with as many threads; if `pairs[i]` depends on i and the
    global generators of torch, numpy and Python alone, which are seeded for every pair anew; and if
    the only randomness of the model is torch's global one). Learning rates and the like are then
    those in the file. It is an error if data, loss, metric, clipping, seed or architecture are
    others than those of the file, as far as values tell: of three pairs, of loss and metric, and of
    the output of the model
    (`identity`). This costs three pairs at the start and two evaluations for each checkpoint.

    With `folder`, the training is a folder with this state (``state.pt``), what it was made with
    (``settings.json``), when it was started with which versions (``starts.jsonl``), the learning
    curve (``curve.csv``, and ``curve.png`` at the end or when it is interrupted) and the best
    weights (``best.pt``). It goes on if it is there; it is an error if any setting is another one,
    learning rates included.

    **Several processes.** Where ``torch.distributed`` is initialized, as within
    ``learning.processes()`` under torchrun, each process calls `train` with the same arguments and
    has a share of every batch; torch's DistributedDataParallel averages the gradients. Loss and
    weights are those of one process up to rounding, from the weights of the first process, which
    alone writes and shows progress. An error or an interruption in one of them ends all. A
    training continues with any number of processes. The random numbers of the objectives here do
    not depend on that number, nor do pairs; what a model draws itself, such as dropout, does.

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
        Pairs in a batch, at most ``len(pairs)``; with several processes, in all shares together.
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
    best : Best, optional
        Keeps the weights of the best validation, as ``history.best``: ``Best(min)`` for losses,
        ``Best(max)`` for measures of quality; ``Best(min, restored=True)`` also ends with them.
    validate_every, checkpoint_every : int
        Numbers of steps.
    checkpoint : str or path-like, optional
        File of the training state, in an existing folder.
    folder : str or path-like, optional
        Folder of the training, in an existing one; in place of `checkpoint`.
    workers : Workers, optional
        Processes that draw the batches ahead of time, the same as without.
    precision : MixedPrecision, optional
        Networks in half precision; by default everything is in that of the weights.
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
        another model or training, or ahead of `steps`; in several processes also for other data or
        another model in one of them, batch normalization, or a loss that is no mean over samples.
    BlockingIOError
        If another training is the writer of the checkpoint.
    OSError
        If the checkpoint cannot be written; the last one is kept.
    TypeError
        If the model is no module, the optimizer no optimizer, pairs no sequence, or the loss no
        tensor.
    RuntimeError
        If the model cannot process a batch, if another process has failed, or if processes of
        torchrun have not joined.
    FloatingPointError
        If loss, gradient or parameters are no longer finite; the last checkpoint is kept.
    """
    require_settings(
        model, pairs, steps, optimizer, loss, batch_size, seed, schedule, clip_norm, validation,
        validation_metric, validate_every, checkpoint, checkpoint_every, folder, workers, precision,
        best,
    )  # fmt: skip
    group = Group.current()
    updates = Updates(optimizer, clip_norm, precision)
    setting: dict[str, Any] = {
        "seed": int(seed), "batch_size": int(batch_size), "pairs": len(pairs),
        "clip_norm": None if clip_norm is None else float(clip_norm),
        "precision": repr(precision)}  # fmt: skip
    objective = as_objective(loss)
    metric = objective if validation_metric is None else as_objective(
        cast(Loss, validation_metric))  # values are only shown, and may be numbers
    device = next(model.parameters()).device
    training = Training(pairs, validation, objective, metric, device)
    learner = Learner(model, optimizer, schedule, objective, updates.scaler, BestSoFar(best),
                      Record())  # fmt: skip
    require_agreement(group, setting, training, learner)
    plan = Plan(steps, validate_every, checkpoint_every, setting["seed"], setting["batch_size"],
                workers, progress)  # fmt: skip
    with contextlib.ExitStack() as stack:

        def kept():
            if group.rank or (checkpoint is None and folder is None):
                return None
            place = checkpoint if folder is None else place_of(folder)
            stack.enter_context(sole_writer(place))
            if folder is None:
                return Keeper(place, setting, training, learner, steps)
            found = RunFolder(place.parent, settings_of(learner, setting, training, best), learner,
                              setting, training, steps, group.size)  # fmt: skip
            stack.callback(found.draw)
            return found

        keeper = group.together(kept)
        if group.size > 1:
            learner.load_states(group.first(learner.states()))
        run(training, learner, updates, plan, keeper, group)
    learner.best.restore(model)
    return learner.record.history(learner.best.kept)
