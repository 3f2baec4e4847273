"""Training for so many CPU seconds, in stages that continue and survive an interruption.

A stage is one `learning.train`, with a cosine from its learning rate to zero over its own budget;
the next stage begins at the weights of the last, so that a run of 300 s is the first part of one of
1200 s. The time of a step is measured on a copy, before, and gives the number of steps; the seconds
that are reported are those that the process really computed (``time.process_time``), validation
included. States and numbers are in a folder, one pair of files for each stage: a stage that is
there is taken from it, and one that was interrupted continues.
"""

import copy
import json
import math
import time

import reconstruction_problems
import torch

from odl_learned import learning
from odl_learned.networks.layers import ChannelNetwork

#: Parts in which a stage is trained; between them there is a checkpoint, and a validation.
PARTS = 8
#: Steps over which the learning rate rises to its first value.
RISE = 20


class LowPrecision(ChannelNetwork):
    """A channel network whose convolutions are bfloat16 in training, and single in evaluation.

    Channels come last in memory, as the convolutions of the CPU like it.
    """

    def __init__(self, net):
        super().__init__(net.in_channels, net.dimension)
        self.net = net

    def forward(self, x):
        x = x.to(memory_format=torch.channels_last)
        if not self.training:
            return self.net(x)
        with torch.autocast(x.device.type, torch.bfloat16):
            return self.net(x).to(x.dtype)


def train_in_stages(model, problem, name, budgets, batch_size, rate, folder):
    """Train, and return ``(seconds, PSNR on the test images)`` after each stage.

    Parameters
    ----------
    model : torch.nn.Module
        Is left with the last weights, in evaluation mode.
    problem : reconstruction_problems.Problem
    name : str
        Of the files in the folder.
    budgets : sequence of float
        CPU seconds in all after each stage, increasing.
    batch_size : int
    rate : float
        Learning rate of the first stage; half of it later.
    folder : pathlib.Path
        Exists.
    """
    results, spent = [], 0.0
    for k, budget in enumerate(budgets):
        stage = folder / f"{problem.name}_{name}_{budget:g}"
        log = _stage(model, problem, stage, budget - (budgets[k - 1] if k else 0), batch_size,
                     rate / (2 if k else 1))
        spent += log["seconds"]
        print(f"  {name} {budget:g} s: {log['steps']} steps of {1e3 * log['duration']:.0f} ms, "
              f"{log['seconds']:.0f} CPU s; dB on validation: {log['curve']}", flush=True)
        results.append((spent, reconstruction_problems.evaluated(model.eval(), problem.test)))
    return results


def _stage(model, problem, path, seconds, batch_size, rate):
    batch_size = min(batch_size, len(problem.train))
    file = path.with_suffix(".json")
    if file.exists():
        log = json.loads(file.read_text())
    else:
        duration = _duration(model, problem, batch_size, 10 if seconds else 1)
        log = {"steps": max(2, round(seconds / duration)), "duration": duration, "done": 0,
               "seconds": 0.0, "curve": []}  # fmt: skip
    optimizer, schedule = _optimizer(model, rate, log["steps"])
    chunk = math.ceil(log["steps"] / PARTS)
    state = path.with_suffix(".pt")
    while log["done"] < log["steps"]:
        begin = time.process_time()
        try:
            done = min(log["steps"], log["done"] + chunk)
            _train(model, problem, done, batch_size, optimizer, schedule, state)
            quality = reconstruction_problems.evaluated(model.eval(), problem.val).mean()
            log["done"], log["curve"] = done, [*log["curve"], round(float(quality), 2)]
        finally:
            log["seconds"] += time.process_time() - begin
            file.write_text(json.dumps(log))
    _train(model, problem, log["steps"], batch_size, optimizer, schedule, state)  # reads the file
    return log


def _optimizer(model, rate, steps):
    """Adam; the rate rises in 20 steps and then falls as a cosine to nearly zero."""
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, betas=(0.9, 0.99))

    def factor(k):
        return min(1, (k + 1) / RISE) * max(0.01, (1 + math.cos(math.pi * min(1, k / steps))) / 2)

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def _train(model, problem, steps, batch_size, optimizer, schedule, checkpoint):
    learning.train(model.train(), problem.train, steps=steps, optimizer=optimizer,
                   schedule=schedule, batch_size=batch_size, clip_norm=1.0, progress=False,
                   checkpoint=checkpoint, checkpoint_every=1_000_000)  # fmt: skip


def _duration(model, problem, batch_size, count):
    """CPU seconds of a step, on a copy of the model."""
    trial = copy.deepcopy(model)
    for steps in (2, count):  # first steps are slower
        begin = time.process_time()
        _train(trial, problem, steps, batch_size, *_optimizer(trial, 1e-6, steps), None)
    return (time.process_time() - begin) / count
