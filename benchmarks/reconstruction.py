"""Learned reconstruction maps on two miniature problems; the last line printed is one JSON object.

    python benchmarks/reconstruction.py --data FOLDER                       everything, 300 s a map
    python benchmarks/reconstruction.py --part ct --maps learned_gradient --seconds 300 1200
    python benchmarks/reconstruction.py --part demo                         the weights that ship
    python benchmarks/reconstruction.py --size tiny --seconds 0             does it run?

Parts: ``ct`` and ``mri`` (64 x 64 pixels, ``reconstruction_problems``), each with the analytical
method, total variation with alpha tuned on validation images, and the maps of
``reconstruction_maps``, trained for so many CPU seconds on one core (``reconstruction_training``),
once or in stages; ``speed`` races their parts, and a training step with deepinv's where it is
installed; ``demo`` compares the weights of the demonstration with total variation, over three
seeds. ``mri`` reads ``mri/mri_brain_256.npz`` in the folder of ``--data`` and is left out without
it. Means over the test images, which are looked at once for each stage; numbers that were not
measured are null. With ``--keep FOLDER`` trainings that were interrupted continue, and those that
are done are taken from there.
"""

import argparse
import json
import tempfile
from pathlib import Path

import timing  # isort: skip
import reconstruction_demo
import reconstruction_maps
import reconstruction_memory
import reconstruction_problems
import reconstruction_speed
import reconstruction_steps
import reconstruction_training
import torch

from odl_learned import bridge

PARTS = ("ct", "mri", "speed", "demo")
KEYS = (
    "fbp_db", "tv_db", "learned_gradient_db", "primal_dual_db", "unet_db", "best_db", "mri_tv_db",
    "mri_best_db", "demo_ct_gain_db", "demo_mri_gain_db", "step_vs_deepinv_dncnn",
    "step_vs_deepinv_small", "fbp_vs_adjoint", "checkpoint_memory", "checkpoint_time",
    "rbf_speedup", "anderson_vs_plain",
)  # fmt: skip


def learned(name, problem, budgets, folder):
    """A map, trained: itself, and ``(seconds, PSNR on the test images)`` after each stage."""
    parts = reconstruction_maps.Parts(problem)
    build, batch_size, rate = reconstruction_maps.MAPS[name]

    def train(model, name, budgets, rate):
        return reconstruction_training.train_in_stages(model, problem, name, budgets, batch_size,
                                                       rate, folder)

    if name != "deep_equilibrium":
        model = build(parts)
        return model, train(model, name, budgets, rate)
    step = reconstruction_maps.equilibrium_step(parts)
    unrolled = reconstruction_maps.unrolled_equilibrium(parts, step)
    first, _ = train(unrolled, f"{name}_unrolled", [0.4 * budgets[0]], rate)[0]
    model = build(parts, step)
    results = train(model, name, [0.6 * budgets[0], *budgets[1:]], rate / 4)
    return model, [(first + seconds, values) for seconds, values in results]


def compare(problem, maps, budgets, folder):
    """Print a row for each method and stage; return mean PSNR by name, of the last stage.

    Gains over total variation are those of the same images; all errors are those of means.
    """
    numbers, variation = {}, total_variation(problem, folder)

    def row(name, values, note=""):
        numbers[name] = float(values.mean())
        print(f"{problem.name:4s} {name:26s} {_with_error(values)} dB, "
              f"{_with_error(values - variation, '+')} against TV {note}", flush=True)

    inverse = bridge.as_module(problem.inverse_op)
    row(problem.analytical, reconstruction_problems.evaluated(inverse, problem.test))
    row("TV", variation)
    for name in maps:
        model, results = learned(name, problem, budgets, folder)
        count = sum(p.numel() for p in model.parameters())
        for seconds, values in results:
            row(name, values, f"({count} parameters, {seconds:.0f} s)")
    return numbers


def _with_error(values, sign=""):
    return f"{float(values.mean()):{sign}6.2f} +- {float(values.std()) / len(values) ** 0.5:.2f}"


def total_variation(problem, folder):
    """PSNR of TV on the test images, from the folder if it is there."""
    file = folder / f"{problem.name}_tv.pt"
    if not file.exists():
        torch.save(reconstruction_problems.tuned_total_variation(problem), file)
    return torch.load(file, weights_only=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=("tiny", "full"), default="full")
    parser.add_argument("--part", choices=PARTS, action="append", help="default: all of them")
    parser.add_argument("--maps", choices=reconstruction_maps.MAPS, nargs="*",
                        default=list(reconstruction_maps.MAPS))
    parser.add_argument("--seconds", type=float, nargs="+", default=[300],
                        help="CPU time for each map, in all after each stage")
    parser.add_argument("--keep", type=Path, help="folder for states of trainings")
    parser.add_argument("--data", help="folder with mri/mri_brain_256.npz")
    arguments = parser.parse_args()
    print(json.dumps(timing.machine()))
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder) if arguments.keep is None else arguments.keep
        folder.mkdir(parents=True, exist_ok=True)
        print(json.dumps(measured(arguments, arguments.part or PARTS, folder)))


def measured(arguments, parts, folder):
    """All numbers by their names, rounded."""
    numbers = dict.fromkeys(KEYS)
    if "ct" in parts:
        problem = reconstruction_problems.ct(arguments.size)
        found = compare(problem, arguments.maps, arguments.seconds, folder)
        numbers.update(fbp_db=found[problem.analytical], tv_db=found["TV"])
        numbers.update({f"{name}_db": found[name] for name in arguments.maps})
        numbers["best_db"] = max((found[name] for name in arguments.maps), default=None)
    if "mri" in parts and arguments.data is not None:
        problem = reconstruction_problems.mri(arguments.size, arguments.data)
        found = compare(problem, arguments.maps, arguments.seconds, folder)
        numbers["mri_tv_db"] = found["TV"]
        numbers["mri_best_db"] = max((found[name] for name in arguments.maps), default=None)
        numbers.update({f"mri_{name}_db": found[name] for name in arguments.maps})
    if "speed" in parts:
        numbers.update(reconstruction_speed.measure(arguments.size))
        numbers.update(reconstruction_steps.measure(arguments.size))
        numbers.update(reconstruction_memory.measure(arguments.size))
    if "demo" in parts:
        numbers.update(reconstruction_demo.measure(arguments.size, folder))
    return {name: value if value is None else float(f"{value:.4g}")
            for name, value in numbers.items()}


if __name__ == "__main__":
    main()
