"""Learned reconstruction maps on two miniature problems; the last line printed is one JSON object.

    python benchmarks/reconstruction.py --data FOLDER                       everything, 300 s a map
    python benchmarks/reconstruction.py --part ct --maps learned_gradient --seconds 1200
    python benchmarks/reconstruction.py --part demo                         the weights that ship
    python benchmarks/reconstruction.py --size tiny --seconds 0             does it run?

Parts: ``ct`` and ``mri`` (64 x 64 pixels, ``reconstruction_problems``), each with the analytical
method, total variation with alpha tuned on validation images, and the maps of
``reconstruction_maps``, trained for so many CPU seconds on one core by ``learning.train``;
``speed`` races their parts; ``demo`` compares the weights of the demonstration with total
variation, over three seeds. ``mri`` reads ``mri/mri_brain_256.npz`` in the folder of
``--data`` and is left out without it. Means over the test images, which are looked at once; numbers
that were not measured are null.
"""

import argparse
import copy
import json
import math
import time

import timing  # isort: skip
import reconstruction_demo
import reconstruction_maps
import reconstruction_problems
import reconstruction_speed
import torch

from odl_learned import bridge, learning

PARTS = ("ct", "mri", "speed", "demo")
KEYS = (
    "fbp_db", "tv_db", "learned_gradient_db", "primal_dual_db", "unet_db", "best_db", "mri_tv_db",
    "mri_best_db", "demo_ct_gain_db", "demo_mri_gain_db", "step_vs_deepinv_dncnn",
    "step_vs_deepinv_small", "fbp_vs_adjoint", "checkpoint_memory", "checkpoint_time",
    "rbf_speedup", "anderson_vs_plain",
)  # fmt: skip


def trained(model, problem, seconds, batch_size, rate):
    """Train for so many CPU seconds, at least two steps; print the curve of validation.

    Adam, warm up in 20 steps, then a cosine down to a fiftieth. The time of a step is measured
    before, on a copy, so that the number of steps is known.
    """
    def run(model, steps, validation):
        optimizer = torch.optim.Adam(model.parameters(), lr=rate, betas=(0.9, 0.99))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: min(1, (k + 1) / 20)
            * max(0.02, (1 + math.cos(math.pi * k / steps)) / 2))
        return learning.train(
            model, problem.train, steps=steps, optimizer=optimizer, schedule=schedule,
            batch_size=min(batch_size, len(problem.train)), clip_norm=1.0, progress=False,
            validation=validation,
            validation_metric=reconstruction_problems.mean_psnr if validation else None,
            validate_every=max(1, steps // 12))  # fmt: skip

    model.train()
    trial = copy.deepcopy(model)
    run(trial, 2, None)
    count = 10 if seconds else 1
    begin = time.process_time()
    run(trial, count, None)
    duration = (time.process_time() - begin) / count
    steps = max(2, round(seconds / duration))
    history = run(model, steps, problem.val)
    curve = [(round(float(k) * duration), round(float(v), 2))
             for k, v in zip(history.validation_step, history.validation)]
    print(f"  {steps} steps of {1e3 * duration:.0f} ms; (seconds, dB on validation): {curve}",
          flush=True)
    return model.eval()


def learned(name, problem, seconds):
    """A map, trained."""
    parts = reconstruction_maps.Parts(problem)
    build, batch_size, rate = reconstruction_maps.MAPS[name]
    if name != "deep_equilibrium":
        return trained(build(parts), problem, seconds, batch_size, rate)
    step = reconstruction_maps.equilibrium_step(parts)
    unrolled = reconstruction_maps.unrolled_equilibrium(parts, step)
    trained(unrolled, problem, 0.4 * seconds, batch_size, rate)
    return trained(build(parts, step), problem, 0.6 * seconds, batch_size, rate / 4)


def compare(problem, maps, seconds):
    """Print a row for each method; return mean PSNR by name."""
    numbers = {}

    def row(name, values, note=""):
        numbers[name] = float(values.mean())
        error = float(values.std() / len(values) ** 0.5)
        print(f"{problem.name:4s} {name:24s} {numbers[name]:6.2f} +- {error:.2f} dB {note}",
              flush=True)

    inverse = bridge.as_module(problem.inverse_op)
    row(problem.analytical, reconstruction_problems.evaluated(inverse, problem.test))
    row("TV", reconstruction_problems.tuned_total_variation(problem))
    for name in maps:
        begin = time.process_time()
        model = learned(name, problem, seconds)
        count = sum(p.numel() for p in model.parameters())
        row(name, reconstruction_problems.evaluated(model, problem.test),
            f"({count} parameters, {time.process_time() - begin:.0f} s in all)")
    return numbers


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=("tiny", "full"), default="full")
    parser.add_argument("--part", choices=PARTS, action="append", help="default: all of them")
    parser.add_argument("--maps", choices=reconstruction_maps.MAPS, nargs="*",
                        default=list(reconstruction_maps.MAPS))
    parser.add_argument("--seconds", type=float, default=300, help="CPU time for each map")
    parser.add_argument("--data", help="folder with mri/mri_brain_256.npz")
    arguments = parser.parse_args()
    print(json.dumps(timing.machine()))
    numbers = dict.fromkeys(KEYS)
    parts = arguments.part or PARTS
    if "ct" in parts:
        problem = reconstruction_problems.ct(arguments.size)
        found = compare(problem, arguments.maps, arguments.seconds)
        numbers.update(fbp_db=found[problem.analytical], tv_db=found["TV"])
        numbers.update({f"{name}_db": found[name] for name in arguments.maps})
        numbers["best_db"] = max((found[name] for name in arguments.maps), default=None)
    if "mri" in parts and arguments.data is not None:
        problem = reconstruction_problems.mri(arguments.size, arguments.data)
        found = compare(problem, arguments.maps, arguments.seconds)
        numbers["mri_tv_db"] = found["TV"]
        numbers["mri_best_db"] = max((found[name] for name in arguments.maps), default=None)
        numbers.update({f"mri_{name}_db": found[name] for name in arguments.maps})
    if "speed" in parts:
        numbers.update(reconstruction_speed.measure(arguments.size))
    if "demo" in parts:
        numbers.update(reconstruction_demo.measure(arguments.size))
    print(json.dumps({name: value if value is None else float(f"{value:.4g}")
                      for name, value in numbers.items()}))


if __name__ == "__main__":
    main()
