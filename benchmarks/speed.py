"""How fast the package is beside an earlier commit and beside peers; ends with one JSON line.

    git worktree add ../before bb31d31
    python benchmarks/speed.py --before ../before      all parts
    python benchmarks/speed.py --part peers            without the earlier commit
    python benchmarks/speed.py --size tiny             in seconds: does it run?

Ratios are our CPU time on one thread over that of the other, medians of rounds in which both take
turns: the earlier commit computes in a process of its own, which waits meanwhile. Numbers that are
not measured, because a part or the earlier commit is left out, are null.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import speed_volumes

import timing  # isort: skip

FOLDER = Path(__file__).resolve().parent
ROUNDS = {"tiny": 3, "full": 7}
KEYS = (
    "tv_cpu_vs_before", "tv_wall_vs_before", "tgv_cpu_vs_before", "tgv_wall_vs_before",
    "hessian_vs_before", "newton_vs_before",
    "primal_dual_vs_before", "primal_dual_vs_pdhg", "primal_dual_arrays",
    "pdhg_ct_vs_before", "mlem_vs_numpy", "cg64_vs_scipy", "cg256_vs_scipy", "lsqr64_vs_scipy",
    "lsqr256_vs_scipy", "ct_forward_vs_astra", "ct_transpose_vs_astra", "cone_forward_seconds",
    "cone_adjoint_seconds", "cone_forward_vs_mbirjax", "cone_adjoint_vs_mbirjax",
    "proximal_gradient_overhead_us", "growth_exponent_max",
)  # fmt: skip
PARTS = ("before", "sweeps", "threads", "peers", "memory", "volumes")


class Worker:
    """A process that runs tasks with the package of one folder, one at a time, when asked."""

    def __init__(self, root, size, threads=1):
        environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--size", size, "--serve", str(threads)],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def seconds(self, task):
        """CPU and wall seconds of one run of a task."""
        self.process.stdin.write(task + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process that runs {task!r} ended; see the error above.")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def serve(size, threads):
    """Read names of tasks, run each once, and answer with CPU and wall seconds."""
    import speed_sweeps
    import speed_tasks
    import torch

    tasks = speed_tasks.TASKS | speed_sweeps.TASKS
    torch.set_num_threads(threads)
    answers, prepared = sys.stdout, {}
    sys.stdout = sys.stderr
    for line in sys.stdin:
        name = line.strip()
        if name not in prepared:
            made = tasks[name](size)
            prepared[name] = made if isinstance(made, tuple) else (made, None)
            for run in prepared[name]:
                if run is not None:
                    run()
        run, less = prepared[name]
        cpu, wall = _timed(run)
        if less is not None:
            without = _timed(less)
            cpu, wall = cpu - without[0], wall - without[1]
        answers.write(json.dumps([cpu, wall]) + "\n")
        answers.flush()


def _timed(run):
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return time.process_time() - cpu, time.perf_counter() - wall


def against(ours, theirs, task, other_task, rounds, clock=0):
    """Median of our seconds over the median of the other's, in turns."""
    mine, other = [], []
    for _ in range(rounds):
        mine.append(ours.seconds(task)[clock])
        other.append(theirs.seconds(other_task)[clock])
    ratio = statistics.median(mine) / statistics.median(other)
    print(f"  {task:24s} {ratio:7.3f}   ours {1e3 * min(mine):.1f} to {1e3 * max(mine):.1f} ms, "
          f"other {1e3 * min(other):.1f} to {1e3 * max(other):.1f} ms", flush=True)
    return ratio


def measure_before(size, before):
    """Ratios to an earlier commit, and to ODL's primal-dual method."""
    rounds, here, found = ROUNDS[size], FOLDER.parent, {}
    ours = Worker(here, size)
    found["primal_dual_vs_pdhg"] = against(ours, ours, "primal_dual_element", "pdhg_element",
                                           rounds)
    if before is not None:
        theirs = Worker(before, size)
        for key, task in (("pdhg_ct_vs_before", "pdhg_ct"),
                          ("primal_dual_vs_before", "primal_dual_batch")):
            found[key] = against(ours, theirs, task, task, rounds)
        theirs.close()
    ours.close()
    return found


def measure_sweeps(size, before):
    """Ratios of compiled sweeps to an earlier commit, and how their cost grows."""
    import speed_sweeps

    found = {"growth_exponent_max": speed_sweeps.growth(size)}
    if before is not None:
        ours, theirs = Worker(FOLDER.parent, size), Worker(before, size)
        for key, task in (("tv_cpu_vs_before", "tv"), ("tgv_cpu_vs_before", "large_tgv"),
                          ("hessian_vs_before", "hessian"), ("newton_vs_before", "newton")):
            found[key] = against(ours, theirs, task, task, ROUNDS[size])
        ours.close()
        theirs.close()
    return found


def measure_threads(size, before):
    """Ratios of wall times on two threads to an earlier commit; for a quiet machine."""
    if before is None:
        return {}
    pair, found = [Worker(root, size, 2) for root in (FOLDER.parent, before)], {}
    for key, task in (("tv_wall_vs_before", "tv"), ("tgv_wall_vs_before", "large_tgv")):
        found[key] = against(*pair, task, task, ROUNDS[size], clock=1)
    for worker in pair:
        worker.close()
    return found


def measure_peers(size):
    """Ratios to SciPy, numpy and ASTRA, and the overhead of first-order methods."""
    import speed_peers as peers

    small, large, niter = (64, 256, 20) if size == "full" else (16, 24, 2)
    rounds = peers.ROUNDS[size]
    forward, transpose = peers.projections(size)
    return {
        "cg64_vs_scipy": peers.conjugate_gradients(small, small // 2, 3 * niter, rounds),
        "cg256_vs_scipy": peers.conjugate_gradients(large, large // 4, niter, rounds),
        "lsqr64_vs_scipy": peers.least_squares(small, small // 2, 3 * niter, rounds),
        "lsqr256_vs_scipy": peers.least_squares(large, large // 4, niter, rounds),
        "mlem_vs_numpy": peers.expectation_maximization(size),
        "ct_forward_vs_astra": forward, "ct_transpose_vs_astra": transpose,
        "proximal_gradient_overhead_us": peers.overhead(size),
    }  # fmt: skip


def measure_memory(size):
    """The largest number of images that `primal_dual` holds on a batch at once, arguments apart.

    In a process whose memory goes back to the system as soon as it is free.
    """
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(FOLDER / "speed_memory.py"), "256" if size == "tiny" else "512"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return {"primal_dual_arrays": json.loads(done.stdout.splitlines()[-1])}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=("tiny", "full"), default="full")
    parser.add_argument("--part", choices=PARTS, action="append", help="default: all of them")
    parser.add_argument("--before", type=Path, help="a worktree of an earlier commit")
    parser.add_argument("--mbirjax", help="the Python of an environment that has mbirjax")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.size, arguments.serve)
        return
    parts, numbers = arguments.part or PARTS, dict.fromkeys(KEYS)
    if "before" in parts:
        numbers |= measure_before(arguments.size, arguments.before)
    if "sweeps" in parts:
        numbers |= measure_sweeps(arguments.size, arguments.before)
    if "threads" in parts:
        numbers |= measure_threads(arguments.size, arguments.before)
    if "peers" in parts:
        numbers |= measure_peers(arguments.size)
    if "memory" in parts:
        numbers |= measure_memory(arguments.size)
    if "volumes" in parts:
        numbers |= speed_volumes.measure(arguments.size, arguments.mbirjax)
    print(timing.machine())
    print(json.dumps(numbers))


if __name__ == "__main__":
    main()
