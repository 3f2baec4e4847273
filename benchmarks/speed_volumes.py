"""Cone beams in space, on two threads: wall seconds, and beside mbirjax where there is one.

mbirjax brings JAX, and is in an environment of its own; the option ``--mbirjax`` of `speed.py`
names its interpreter, which runs this file. Both project a volume and project back with the same
source, detector and voxels, in turns. Their models differ: mbirjax weighs by the areas of shadows,
and leaves out what is outside of the cylinder in the volume, a fifth of it.
"""

import json
import os
import statistics
import subprocess
import sys
import time

#: Voxels along a side, views, bins along a side, rounds.
SIZES = {"tiny": (16, 8, 24, 2), "full": (128, 90, 192, 5)}
#: Radii of source and detector, half of the width of the detector; the volume is [-1, 1]^3.
SCANNER = 4.0, 2.0, 2.2


def ours(size):
    """Projection and backprojection of a ball, as functions of names."""
    import numpy as np
    import odl

    from odl_learned import operators, threads

    n, views, bins, _ = SIZES[size]
    space = odl.uniform_discr([-1] * 3, [1] * 3, (n,) * 3, dtype="float32")
    A = operators.cone_beam_ray_transform(space, views, *SCANNER[:2], (bins, bins),
                                          (SCANNER[2], SCANNER[2]))
    x = space.element(ball(n))
    y = A(x)

    def run(name):
        with threads.limit_threads(2):
            return np.asarray((A(x) if name == "forward" else A.adjoint(y)).data)

    return run


def mbirjax(size):
    """The same by mbirjax, whose unit of length is the width of a bin."""
    os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    import mbirjax
    import numpy as np

    n, views, bins, _ = SIZES[size]
    width = 2 * SCANNER[2] / bins
    model = mbirjax.ConeBeamModel(
        (views, bins, bins), 2 * np.pi * (np.arange(views) + 0.5) / views,
        source_detector_dist=(SCANNER[0] + SCANNER[1]) / width, source_iso_dist=SCANNER[0] / width)
    model.set_params(recon_shape=(n, n, n), delta_voxel=2 / n / width, verbose=0)
    x = ball(n)
    y = model.forward_project(x)

    def run(name):
        result = model.forward_project(x) if name == "forward" else model.back_project(y)
        return width * np.asarray(result)

    return run


def ball(n):
    """Ones in a ball, an array of float32."""
    import numpy as np

    places = (2 * np.arange(n) + 1) / n - 1
    return (sum(np.meshgrid(*[places**2] * 3)) < 0.6**2).astype(np.float32)


def measure(size, python=None):
    """Seconds of both directions, and ratios to mbirjax: None where there is no interpreter."""
    keys, rounds = ("forward", "adjoint"), SIZES[size][3]
    workers = {"odl_learned": _start(sys.executable, "ours", size)}
    if python is not None:
        workers["mbirjax"] = _start(python, "mbirjax", size)
    found = {"cone_forward_vs_mbirjax": None, "cone_adjoint_vs_mbirjax": None}
    for key in keys:
        samples = {name: [] for name in workers}
        for i in range(rounds + 1):
            for name, worker in workers.items():
                worker.stdin.write(key + "\n")
                worker.stdin.flush()
                answer = json.loads(worker.stdout.readline())
                if i:  # the first one compiles
                    samples[name].append(answer)
        medians = {name: [statistics.median(part) for part in zip(*answers, strict=True)]
                   for name, answers in samples.items()}
        for name, (cpu, wall, total) in medians.items():
            print(f"  {key:8s} {name:12s} {cpu:8.3f} s CPU {wall:8.3f} s wall, sum {total:.6g} "
                  f"(load {os.getloadavg()[0]:.1f})", flush=True)
        found[f"cone_{key}_seconds"] = medians["odl_learned"][1]
        if python is not None:
            if key == "forward":
                _require_close(*(medians[name][2] for name in workers))
            found[f"cone_{key}_vs_mbirjax"] = medians["odl_learned"][0] / medians["mbirjax"][0]
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()
    return found


def _require_close(one, two):
    """The sums of the data of the ball, both within a percent of its line integrals."""
    if abs(one - two) > 0.01 * abs(two):
        raise AssertionError(f"the data add up to {one:.6g} and {two:.6g}, expected the same to a "
                             "percent: the race would compare different scanners.")


def _start(python, name, size):
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen([python, __file__, name, size], env=environment, text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _serve(name, size):
    """Read names of directions, and answer with CPU and wall seconds and the sum of the result."""
    answers, sys.stdout = sys.stdout, sys.stderr
    run = {"ours": ours, "mbirjax": mbirjax}[name](size)
    for line in sys.stdin:
        cpu, wall = time.process_time(), time.perf_counter()
        result = run(line.strip())
        seconds = time.process_time() - cpu, time.perf_counter() - wall
        answers.write(json.dumps([*seconds, float(result.sum(dtype=float))]) + "\n")
        answers.flush()


if __name__ == "__main__":
    _serve(*sys.argv[1:])
