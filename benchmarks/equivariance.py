"""Equivariant networks: how exact, and what they cost; the last line printed is one JSON object.

    python benchmarks/equivariance.py                     everything
    python benchmarks/equivariance.py --part cost         one of the parts, see PARTS
    python benchmarks/equivariance.py --size tiny         does it run?

``layers``: largest relative error of every layer and network under all elements of the group, in
single precision, for quarter turns, with reflections, and for the rotations of the cube; Z_8 and
Z_16 at 45 and 22.5 degrees on smooth images, turned by `operators.Rotation`, in the disk of 3/4.
``reconstruction``: learned proximal gradient and learned primal-dual through the ray transform on
white noise, before and after some training, with ASTRA's matrix and with the symmetrized one.
``cost``: CPU seconds of one thread of group convolutions over those of an ordinary convolution of
equal width, forward and backward, and in evaluation with cached filters and exported.
``denoisers``: errors of a network with random weights, of it in deepinv's `EquivariantDenoiser`
with its default transform, of averages over the group and of an equivariant network.
``ways``: cost, equivariance error and quality of learned maps for CT whose symmetry is by design,
by averaging, by a random element of the group, by augmentation in data and in image space.
``small_data``: the experiment of examples/figures/celledoni2021/small_data.py with 10 and 50
training images, 10 CPU minutes; ``--keep FOLDER`` keeps what is finished. Numbers that were not
measured are null.
"""

import argparse
import json
import math
import random
import statistics
import sys
import time
from pathlib import Path

import timing  # isort: skip  # noqa: F401  (one thread)
import equivariance_learning as learned
import equivariance_maps as maps
import numpy as np
import torch
from torch import nn

from odl_learned.networks import equivariant as eq

FIGURES = Path(__file__).resolve().parents[1] / "examples" / "figures" / "celledoni2021"
KEYS = ("layer_error", "lpg_error", "lpg_error_symmetrized", "z8_error_45", "z16_error_22",
        "p4_cost", "p4m_cost", "cached_cost", "rotation_gap_equivariant", "rotation_gap_ordinary",
        "rotated_gain_db", "small_data_gain_db", "deepinv_error")  # fmt: skip
SIZES = {
    "tiny": {
        "layers": {"n": 16},
        "reconstruction": {"n": 16, "steps": 1},
        "cost": {"rounds": 1, "races": ((8, 16, 1),)},
        "denoisers": {"n": 16},
        "ways": {"n": 16, "images": 2, "steps": 2, "tests": 2},
        "small_data": {"n": 16, "counts": (3, 4), "seeds": 2, "stages": 2, "every": 2, "tests": 2},
    },
    "full": {
        "layers": {"n": 64},
        "reconstruction": {"n": 64, "steps": 20},
        "cost": {"rounds": 60, "races": ((32, 64, 4), (96, 64, 2), (32, 128, 1))},
        "denoisers": {"n": 64},
        "ways": {"n": 32, "images": 10, "steps": 400, "tests": 20},
        "small_data": {"n": 32, "counts": (10, 50), "seeds": 4, "stages": 12, "every": 75,
                       "tests": 40},
    },
}  # fmt: skip


def layers(n):
    """Errors of layers and networks, on the grid and between its elements."""
    errors = {}
    for group in (eq.Cyclic(2), eq.Cyclic(4), eq.Dihedral(4), eq.CubeRotations()):
        for name, error in maps.layer_errors(group):
            errors[f"{group} {name}"] = error
    for name, error in errors.items():
        print(f"  {name:60s} {error:.1e}")
    numbers = {"layer_error": max(errors.values())}
    for key, group, angle in (("z8_error_45", eq.Cyclic(8), math.pi / 4),
                              ("z16_error_22", eq.Cyclic(16), math.pi / 8)):
        found = [maps.smooth_error(group, angle, max(n, 32), seed) for seed in range(3)]
        numbers[key] = max(found)
        print(f"  {group} turned by {math.degrees(angle):.1f} degrees: " +
              ", ".join(f"{error:.1e}" for error in found))  # fmt: skip
    print(f"  Cyclic(4) turned by 45.0 degrees: "
          f"{maps.smooth_error(eq.Cyclic(4), math.pi / 4, max(n, 32), 0):.1e}")
    return numbers


def reconstruction(n, steps):
    """Errors of learned maps through the ray transform, the largest of before and after."""
    found = {}
    for symmetrized in (False, True):
        for name in ("learned proximal gradient", "learned primal-dual"):
            before, after, rounding, double = maps.unrolled_errors(name, n, symmetrized, steps)
            print(f"  {name}, {n} x {n}, {'symmetrized' if symmetrized else 'as built'}: "
                  f"{before:.1e} before, {after:.1e} after {steps} steps (rounding of its values "
                  f"{rounding:.1e}), in double precision {double:.1e}")  # fmt: skip
            found[name, symmetrized] = max(before, after)
    largest = [max(e for (_, s), e in found.items() if s == kind) for kind in (False, True)]
    return {"lpg_error": largest[0], "lpg_error_symmetrized": largest[1]}


def cost(rounds, races):
    """CPU seconds over those of an ordinary convolution, the largest over the races."""
    numbers = {"p4_cost": 0.0, "p4m_cost": 0.0, "cached_cost": 0.0}
    for width, side, batch in races:
        x = torch.randn(batch, width, side, side, requires_grad=True)
        layers = {"ordinary": nn.Conv2d(width, width, 3, padding=1),
                  "ordinary, another": nn.Conv2d(width, width, 3, padding=1)}  # fmt: skip
        for name, group in (("p4", eq.Cyclic(4)), ("p4m", eq.Dihedral(4))):
            fields = eq.regular(group, width // group.order)
            layers[name] = eq.GroupConvolution(fields, fields, 3)
        title = f"width {width}, {side} x {side}, batch {batch}"
        found = ratios(f"{title}, forward and backward", trained, layers, x, rounds)
        for name in ("p4", "p4m"):
            numbers[f"{name}_cost"] = max(numbers[f"{name}_cost"], found[name])
        layers |= {f"{name}, exported": layers[name].ordinary() for name in ("p4", "p4m")}
        for layer in layers.values():
            layer.eval()
        found = ratios(f"{title}, evaluation", evaluated, layers, x, 3 * rounds)
        largest = max(value for name, value in found.items() if name.startswith("p4"))
        numbers["cached_cost"] = max(numbers["cached_cost"], largest)
    return numbers


def ratios(title, function, layers, x, rounds):
    """Medians over the rounds of CPU seconds over those of the first layer in the same round.

    Who comes first in a round finds another cache and another load, so that the order is random.
    """
    order, samples = list(layers), {name: [] for name in layers}
    for name in 2 * order:
        function(layers[name], x)
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            begin = time.process_time()
            function(layers[name], x)
            samples[name].append(time.process_time() - begin)
    reference = samples["ordinary"]
    found = {name: statistics.median(a / b for a, b in zip(values, reference))
             for name, values in samples.items()}  # fmt: skip
    print(f"\n{title}: ordinary {1e3 * statistics.median(reference):.2f} ms")
    for name, value in found.items():
        print(f"  {name:20s} {value:7.3f}", flush=True)
    return found


def trained(layer, x):
    layer.zero_grad()
    layer(x).square().mean().backward()


def evaluated(layer, x):
    with torch.no_grad():
        layer(x)


def denoisers(n):
    """Errors of averages over turns and flips, deepinv's and ours."""
    found = {}
    for name, errors in maps.denoiser_errors(n):
        found[name] = errors.largest
        print(f"  {name:60s} {errors.largest:.1e} at most, {errors.errors.mean():.1e} on average")
    return {"deepinv_error": found.get(maps.DEEPINV)}


def ways(**size):
    """Symmetry by design, by averaging, by chance and by learning; rows only."""
    for name, (seconds, error, upright, turned) in learned.ways(**size):
        print(f"  {name:25s} {1e3 * seconds:6.1f} ms a step, error {error:.1e}, {upright:.2f} dB "
              f"upright, {turned:.2f} turned", flush=True)  # fmt: skip
    return {}


def small_data(keep=None, **size):
    """Differences in dB between maps of few training images, at matched training error."""
    sys.path.insert(0, str(FIGURES))
    import matched_training
    import small_data as figure

    results = figure.experiment(**size, rng=np.random.default_rng(0), kept=keep)
    for row, count in enumerate(results["counts"]):
        for name in figure.NETWORKS:
            training, _, upright, turned = results[name][row].mean(0)
            print(f"  {name}, {count} images: {training:.2f} dB in training, "
                  f"{upright:.2f} upright, {turned:.2f} turned")
    for key, values in matched_training.differences(results).items():
        print(f"  {key} by seed: " + ", ".join(f"{value:.2f}" for value in values))
    return matched_training.summary(results)


#: Each maps the numbers of a size to values of KEYS.
PARTS = {"layers": layers, "reconstruction": reconstruction, "cost": cost, "denoisers": denoisers,
         "ways": ways, "small_data": small_data}  # fmt: skip


def main(parts, size, keep):
    sizes = SIZES[size]
    sizes["small_data"]["keep"] = keep
    numbers = dict.fromkeys(KEYS)
    for part in parts:
        print(f"\n{part}", flush=True)
        torch.manual_seed(0)
        numbers |= PARTS[part](**sizes[part])
    print(json.dumps(numbers))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    main(arguments.part, arguments.size, arguments.keep)
