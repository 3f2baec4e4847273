"""Trainings by several gloo processes, each a real process with a rendezvous in a file."""

import os
import time

import numpy as np
import odl
import torch
import torch.distributed
import torch.multiprocessing

from odl_learned import bridge, networks, operators, reconstruction
from odl_learned.learning import Objective, mean_squared_error, train
from odl_learned.learning.objectives import SURE

TIMEOUT = 60


def ct_model():
    """Two unrolled steps for a ray transform, whose matrix is a sparse buffer."""
    X = odl.uniform_discr([-1, -1], [1, 1], (8, 8), dtype="float32")
    A = operators.normalized(operators.parallel_ray_transform(X, num_angles=6))
    seed = torch.Generator().manual_seed(0)
    steps = [reconstruction.MemoryStep(networks.CNN(4, 3, 4, 2, generator=seed), 2, 1.0,
                                       dimension=2) for _ in range(2)]  # fmt: skip
    forward, adjoint = bridge.as_module(A), bridge.as_module(A.adjoint)
    model = reconstruction.LearnedProximalGradient(forward, adjoint, steps)
    rng = np.random.default_rng(0)
    truths = rng.random((9, 8, 8)).astype("float32")
    with torch.no_grad():
        data = forward(torch.from_numpy(truths)).numpy()
    return model, list(zip(data, truths)), forward


def learn(loss=None, steps=5, batch_size=5, change=None, **options):
    """Train that model; the weights, the losses and the values of the validation."""
    model, pairs, forward = ct_model()
    loss = SURE(forward, 0.1) if loss == "sure" else loss or mean_squared_error
    if change is not None:
        model, pairs = change(model, pairs)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    history = train(model, pairs, steps=steps, batch_size=batch_size, optimizer=optimizer,
                    loss=loss, progress=False, clip_norm=1.0, validation=pairs[:3],
                    validate_every=2, **options)  # fmt: skip
    weights = torch.cat([p.detach().flatten() for p in model.parameters()])
    return weights.numpy(), history.loss, history.validation


def _work(rank, size, folder, function, arguments):
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=size)
    try:
        found = function(**arguments)
    except BaseException as error:
        found = f"{type(error).__name__}: {error}"
    finally:
        torch.distributed.destroy_process_group()
    torch.save(found, os.path.join(folder, f"{rank}.found"))


def by_processes(size, folder, function, **arguments):
    """What a function returns, or how it fails in words, in each of so many processes."""
    folder = os.path.join(folder, f"group{time.monotonic_ns()}")
    os.mkdir(folder)
    context = torch.multiprocessing.start_processes(
        _work, (size, folder, function, arguments), size, join=False, start_method="fork")
    deadline = time.monotonic() + TIMEOUT
    while not context.join(timeout=1):
        if time.monotonic() > deadline:
            for process in context.processes:
                process.kill()
            raise TimeoutError("the processes have not ended")
    return [torch.load(os.path.join(folder, f"{rank}.found"), weights_only=False)
            for rank in range(size)]


class Sum(Objective):
    """No mean over the samples."""

    def __call__(self, model, batch):
        return (batch.images(model) - batch.truth).square().sum()
