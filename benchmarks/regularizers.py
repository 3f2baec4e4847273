"""Learned regularizers on real images; the last line printed is one JSON object.

    python benchmarks/regularizers.py --data FOLDER                     everything
    python benchmarks/regularizers.py --data FOLDER --part ridges       some of it
    python benchmarks/regularizers.py --data FOLDER --size tiny         does it run?

Parts: ``certificates`` counts planted violators that are refuted and sound networks that are
certified; ``ridges`` trains a convex and a weakly convex ridge on noisy photographs, by bilevel
learning for so many CPU seconds on one core, and compares them with total variation, alpha tuned on
training images; ``race`` trains all kinds of learned regularizers for as long;
``transfer`` takes the weakly convex one, or that of the package where none is trained, as it is, to
tomography and inpainting, with alpha and contrast tuned on validation images, as that of total
variation is; ``maps`` trains networks that choose the parameters of total variation, and of its
generalization, for every pixel; ``bands`` counts how many pixels of other patients conformal bands
hold; ``samplers`` holds samples of posteriors against Gaussian priors in closed form, and
``posteriors`` draws them for slices of tomography. Means over test images in dB; numbers that were
not measured are null. The folder has ``natural/kodak24_gray.npz``, ``ct/ct_slices_256.npz`` and
``mri/mri_brain_256.npz``.
"""

import argparse
import json
import sys
from pathlib import Path

import timing  # isort: skip
import regularizers_bands as bands
import regularizers_maps as maps
import regularizers_problems as problems
import regularizers_race as race
import regularizers_ridges as ridges
import regularizers_samplers as samplers
import torch

from odl_learned import learning

#: What a part measures; later parts add theirs.
PARTS = {
    "certificates": ("violators_caught", "violators_planted", "sound_passed", "sound_planted"),
    "ridges": ("tv_db", "crr_db", "wcrr_db", "crr_start_db", "wcrr_start_db", "crr_seconds",
               "wcrr_seconds"),
    "transfer": ("tv_ct_db", "wcrr_ct_db", "tv_inpainting_db", "wcrr_inpainting_db"),
    "maps": maps.NAMES,
    "bands": bands.NAMES,
    "samplers": ("gaussian_mean_error", "gaussian_trace_error", "diffpir_mean_error",
                 "diffpir_trace_error"),
    "posteriors": ("explicit_flow_db", "exact_flow_db", "diffpir_db", "diffpir_coverage",
                   "diffpir_spread", "langevin_db", "langevin_coverage", "langevin_spread",
                   "tv_slices_db"),
    "race": tuple(f"race_{name}_{what}" for name in race.CONTESTANTS
                  for what in ("db", "seconds", "parameters")),
}  # fmt: skip


def certificates(arguments, shared):
    """Verdicts on the networks of ``tests/planted_networks.py``."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
    import planted_networks as planted

    counts = []
    for table, expected in ((planted.VIOLATORS, "Refuted"), (planted.SOUND, "Certified")):
        verdicts = [type(build()).__name__ for build in table.values()]
        counts += [sum(verdict == expected for verdict in verdicts), len(verdicts)]
    return dict(zip(PARTS["certificates"], counts))


def denoise(arguments, shared):
    """Both ridges against total variation, before and after training."""
    problem = problems.denoising(arguments.data, arguments.size)
    images = problems.kodak(arguments.data)[:18]
    numbers = {"tv_db": problems.tuned(problem, problems.total_variation, problem.alphas)}
    print(f"TV {numbers['tv_db']:.2f} dB")
    y, truth = problem.test
    for name, build in (("crr", ridges.crr), ("wcrr", ridges.wcrr)):
        ridge = build(*ridges.FILTERS[arguments.filters])
        seconds, started = ridges.trained(ridge, images, arguments.seconds)
        before = build(*ridges.FILTERS[arguments.filters])
        before.load_state_dict(started)
        for key, one in (("_start_db", before), ("_db", ridge)):
            solution = ridges.denoiser(one, 400).solve(y)
            numbers[name + key] = problems.mean_psnr(solution.x, truth)
        numbers[f"{name}_seconds"], shared[name] = seconds, ridge
        L, mu = ridges.denoiser(ridge, 400).constants()
        print(f"{name} {numbers[name + '_start_db']:.2f} dB at the start, "
              f"{numbers[name + '_db']:.2f} dB after {seconds:.0f} CPU s; L = {L:.3g}, "
              f"mu = {mu:.3g}, {solution}", flush=True)
        if arguments.keep is not None:
            learning.save_regularizer(arguments.keep / f"{name}.pt", ridge)
    return numbers


def compete(arguments, shared):
    """Learned regularizers at equal CPU time; those that are asked for also in other problems."""
    y, truth = problems.denoising(arguments.data, arguments.size).test
    images = problems.kodak(arguments.data)[:18]
    numbers = {}
    for name in arguments.contestants:
        trained = race.CONTESTANTS[name](images, arguments.seconds)
        numbers[f"race_{name}_db"] = problems.mean_psnr(trained.denoise(y), truth)
        numbers[f"race_{name}_seconds"] = trained.seconds
        count = sum(p.numel() for p in trained.regularizer.parameters())
        numbers[f"race_{name}_parameters"] = count
        print(f"{name} {numbers[f'race_{name}_db']:.2f} dB after {trained.seconds:.0f} CPU s, "
              f"{count} parameters, {race.verdict(trained.regularizer)}", flush=True)
        if arguments.keep is not None:
            learning.save_regularizer(arguments.keep / f"race_{name}.pt",
                                      trained.step or trained.regularizer)
        if name in arguments.carry:
            for short, make in TRANSFERS.items():
                numbers[f"race_{name}_{short}_db"] = race.carried_over(
                    trained, make(arguments.data, arguments.size), short)
                print(name, short, round(numbers[f"race_{name}_{short}_db"], 2), flush=True)
    return numbers


TRANSFERS = {"ct": problems.tomography, "inpainting": problems.inpainting}


def transfer(arguments, shared):
    """The weakly convex ridge of denoising in other problems."""
    ridge = shared.get("wcrr")
    if ridge is None:
        path = learning.WEAKLY_CONVEX_RIDGE if arguments.keep is None else (
            arguments.keep / "wcrr.pt")
        ridge = learning.load_regularizer(path)
    numbers = {}
    for short, make in TRANSFERS.items():
        problem = make(arguments.data, arguments.size)
        numbers[f"tv_{short}_db"] = problems.tuned(
            problem, problems.total_variation, problem.alphas)
        numbers[f"wcrr_{short}_db"] = ridges.tuned(ridge, problem, ridges.GRIDS[short])
        print(short, {key: round(value, 2) for key, value in numbers.items()}, flush=True)
    return numbers


MEASURES = {"certificates": certificates, "ridges": denoise, "transfer": transfer, "race": compete,
            "maps": lambda arguments, shared: maps.measured(arguments.data, arguments.size),
            "bands": lambda arguments, shared: bands.measured(arguments.data, arguments.size),
            "samplers": lambda arguments, shared: samplers.gaussian(arguments.size),
            "posteriors": lambda arguments, shared: samplers.posteriors(
                arguments.data, arguments.size),
            }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--size", choices=tuple(problems.SIZES), default="full")
    parser.add_argument("--part", choices=PARTS, action="append", help="default: all of them")
    parser.add_argument("--seconds", type=float, help="CPU time of the training of each ridge")
    parser.add_argument("--filters", choices=tuple(ridges.FILTERS), default="small")
    parser.add_argument("--contestants", choices=tuple(race.CONTESTANTS), nargs="+",
                        default=list(race.CONTESTANTS), help="of the race")
    parser.add_argument("--carry", choices=tuple(race.CONTESTANTS), nargs="*", default=[],
                        help="contestants that are also tried in other problems")
    parser.add_argument("--keep", type=Path, help="folder for trained weights, also "
                        "those to transfer; default: those of the package")
    arguments = parser.parse_args()
    if arguments.seconds is None:
        arguments.seconds = ridges.SECONDS[arguments.size]
    print(json.dumps(timing.machine()))
    torch.set_num_threads(1)
    numbers, shared = dict.fromkeys(key for keys in PARTS.values() for key in keys), {}
    for part in arguments.part or PARTS:
        numbers.update(MEASURES[part](arguments, shared))
    print(json.dumps({name: float(f"{value:.4g}") if isinstance(value, float) else value
                      for name, value in numbers.items()}))


if __name__ == "__main__":
    main()
