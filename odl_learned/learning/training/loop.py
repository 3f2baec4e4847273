"""The loop of training: batches, steps, validations and checkpoints, in one process or several."""

import functools
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from odl_learned.bridge.layouts.random_states import kept_random_states
from odl_learned.bridge.learned.separation import evaluation_mode
from odl_learned.learning.batch import Batch, generator_of
from odl_learned.learning.files.identity import Training
from odl_learned.learning.group import Group
from odl_learned.learning.precision import Updates
from odl_learned.learning.training.agreement import require_equal_buffers
from odl_learned.learning.training.interruption import deferred_interruption
from odl_learned.learning.training.loading import Loading, Workers
from odl_learned.learning.training.predictions import require_batches_alike, validate
from odl_learned.learning.training.state import Learner, random_states
from odl_learned.learning.training.step_checks import require_loss


class Plan(NamedTuple):
    """What a training does when.

    Parameters
    ----------
    steps, validate_every, checkpoint_every, seed, batch_size : int
    workers : Workers or None
    progress : bool
    """

    steps: int
    validate_every: int
    checkpoint_every: int
    seed: int
    batch_size: int
    workers: Workers | None
    progress: bool


class _Value(torch.nn.Module):
    """A function of a batch and the parameters that it is differentiated in, for DDP.

    There are no buffers, which DDP would send around, and one parameter that is never used: DDP is
    told to look for such ones, as one process leaves their gradients None, and would advise against
    it if there were none.
    """

    def __init__(self, function, model):
        super().__init__()
        self.function, self.known = function, torch.nn.ParameterList(model.parameters())
        self.unused = torch.nn.Parameter(torch.zeros((), device=self.known[0].device))

    def forward(self, batch):
        return self.function(batch)


def run(
    training: Training, learner: Learner, updates: Updates, plan: Plan, keeper, group: Group
) -> None:
    """Train until the record of the learner has all steps.

    Parameters
    ----------
    training, learner, updates, plan
    keeper : object
        ``keeper.save(random_states)`` is called in the first process; None saves nothing.
    group : Group
        Everything that may fail in one process alone happens together, between communications.
    """
    model, objective, record = learner.model, learner.objective, learner.record
    if training.validation is not None and record.steps < plan.steps:
        with kept_random_states([training.device]):  # what would fail hours later fails now
            group.together(lambda: validate(
                model, training.validation, training.metric, training.device, [0]))
    random, buffers = random_states(), _versions(model)
    updating = compared = stepped = False
    is_first, learns = group.rank == 0, bool(objective.state_dict())
    value_of = _value(model, objective, group)
    loading = Loading(training.pairs, plan.seed, plan.batch_size, group)
    drawn = loading.batches(record.steps, plan.steps, plan.workers)
    bar = tqdm(total=plan.steps, initial=record.steps, unit="step",
               disable=not (plan.progress and is_first))  # fmt: skip
    with closing(drawn), deferred_interruption() as interruption, _training_mode(model), bar:

        def save():
            if keeper is not None and is_first:
                keeper.save(random)

        def due():
            return record.steps % plan.checkpoint_every == 0 or record.steps == plan.steps

        def begin():
            if due():
                save()
            interruption.raise_pending()
            if record.steps == plan.steps:
                return None
            batch = next(drawn)
            interruption.raise_pending()
            return [None if x is None else x.to(training.device) for x in batch]

        try:
            while True:
                if training.validation is not None and record.validation_is_due(
                        plan.validate_every):
                    mean = _validated(model, training, group)
                    learner.best.validated(model, record.steps, mean)
                    record.validated(mean)
                    random = random_states()
                batch = group.together(begin)
                if batch is None:
                    break
                step = record.steps + 1
                if not is_first:  # what the model draws differs among processes, and continues
                    torch.manual_seed(generator_of(plan.seed, step, group.rank).initial_seed())

                def batch_for(*numbers):
                    return Batch(*batch, generator_of(plan.seed, step, *numbers),
                                 f"in step {step}", group, plan.batch_size)

                def evaluate():
                    def value():
                        nonlocal compared
                        with updates.evaluating():
                            result = value_of(batch_for())
                        require_loss(result, step)
                        if not compared:
                            require_batches_alike(model, batch[0])
                            compared = True
                        return result

                    own, mean = group.mean(value, plan.batch_size)
                    model.zero_grad()
                    updates.differentiate(group.factor(plan.batch_size) * own, step)
                    return own.detach().new_tensor(mean)

                updating = learns or updates.needs_closure  # which evaluates between updates, too
                objective.prepare(model, batch_for(1))
                if updates.needs_closure:
                    value, changed = updates.optimizer.step(evaluate), True
                else:
                    value = evaluate()
                    updating = True
                    changed = updates.update(step)
                if learner.schedule is not None and changed:
                    learner.schedule.step()
                record.updated(float(value))
                updating = False
                random, buffers = random_states(), _versions(model)
                record.show(bar)
                if not stepped or due():
                    require_equal_buffers(group, model)
                    stepped = True
        except FloatingPointError:
            raise
        except BaseException:
            # Model and optimizer are as after the last complete step, unless an update was cut
            # short or the step at hand has written to a buffer (batch normalization).
            if not updating and _versions(model) == buffers:
                save()
            raise


def _value(model, objective, group):
    """The objective of a batch; gradients are then means over the processes."""
    value = functools.partial(objective, model)
    if group.size == 1:
        return value
    return torch.nn.parallel.DistributedDataParallel(
        _Value(value, model), init_sync=False, find_unused_parameters=True)


def _validated(model, training, group):
    """The mean over all pairs of the validation, of which each process has a share."""
    indices = range(len(training.validation))
    own = group.together(lambda: validate(
        model, training.validation, training.metric, training.device, group.part(indices)))
    values = dict(item for part, found in enumerate(group.gather(own))
                  for item in zip(indices[part :: group.size], found))
    return float(np.mean([values[i] for i in indices]))


@contextmanager
def _training_mode(model: torch.nn.Module) -> Iterator[None]:
    with evaluation_mode(model):  # puts the mode of every part back
        model.train()
        yield


def _versions(model):
    return [(id(buffer), buffer._version) for buffer in model.buffers()]
