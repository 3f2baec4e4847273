"""What checkpointed steps keep in memory and cost, against plain ones.

    python benchmarks/reconstruction_memory.py

Kept is what autograd saves in a forward pass for the backward pass, without parameters and the
matrices of operators; the peak is that of a process, beyond what it has before its first step.
"""

import argparse
import multiprocessing
import re
from pathlib import Path

import odl
import torch
from timing import race

from odl_learned import bridge, networks, operators
from odl_learned.reconstruction import Checkpointed, LearnedProximalGradient, MemoryStep

#: Pixels, views, channels, convolutions, steps, memory, rounds.
SIZES = {"tiny": (16, 6, 4, 2, 2, 2, 1), "full": (128, 60, 64, 4, 8, 4, 3)}
KINDS = {"plain": lambda step: step, "checkpointed": Checkpointed}


def measure(size):
    """Return the ratios by name."""
    *sizes, rounds = SIZES[size]
    runs = {name: problem(*sizes, wrap) for name, wrap in KINDS.items()}
    kept = {name: kept_bytes(*run) for name, run in runs.items()}
    n, views, channels, convolutions, steps, memory = sizes
    seconds = race(
        f"{steps} steps of {convolutions} convolutions of {channels} channels, {n}^2",
        {name: lambda run=run: step_of(*run) for name, run in runs.items()}, rounds)
    for name in KINDS:
        peak = f", peak {peak_bytes(name, sizes) / 1e6:.1f} MB" if size == "full" else ""
        print(f"{name:14s} keeps {kept[name] / 1e6:.2f} MB{peak}", flush=True)
    return {"checkpoint_memory": kept["checkpointed"] / kept["plain"],
            "checkpoint_time": seconds["checkpointed"] / seconds["plain"]}


def problem(n, views, channels, convolutions, steps, memory, wrap):
    """Learned gradient steps for CT, and data."""
    space = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float32")
    op = operators.normalized(operators.parallel_ray_transform(space, views))
    generator = torch.Generator().manual_seed(0)
    model = LearnedProximalGradient(bridge.as_module(op), bridge.as_module(op.adjoint), [
        wrap(MemoryStep(networks.CNN(2 + memory, 1 + memory, channels, convolutions,
                                     generator=generator), memory, 1.0, dimension=2))
        for _ in range(steps)])  # fmt: skip
    return model, torch.rand(1, *op.range.shape, generator=generator)


def step_of(model, data):
    """A forward and a backward pass."""
    model.zero_grad()
    model(data).square().mean().backward()


def kept_bytes(model, data):
    """Bytes of the storages that a forward pass saves."""
    known = {p.untyped_storage().data_ptr() for p in model.parameters()}
    found, alive = {}, []

    def pack(x):
        alive.append(x)  # or the next tensor may have its address
        if x.layout == torch.strided and x.untyped_storage().data_ptr() not in known:
            found[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        model(data).square().mean()
    return sum(found.values())


def peak_bytes(name, sizes):
    """Peak of a fresh process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_peak, args=(theirs, name, sizes))
    process.start()
    peak = ours.recv()
    process.join()
    return peak


def _peak(pipe, name, sizes):
    torch.set_num_threads(1)
    run = problem(*sizes, KINDS[name])
    before = _high_water_mark()
    step_of(*run)
    pipe.send(_high_water_mark() - before)


def _high_water_mark():
    """Bytes, of this process alone: what getrusage says begins with the peak of its parent."""
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="full")
    torch.set_num_threads(1)
    print(measure(parser.parse_args().size))
