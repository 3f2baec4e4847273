"""How costs grow with the pixels, ours and those of peers: CPU seconds from 64^2 to 2048^2.

    python benchmarks/scaling.py --out results     all computations, with a plot
    python benchmarks/scaling.py --size tiny       in seconds: does it run?

Every computation checks at its smallest size that all contestants compute the same. The last line
printed is one JSON object: for each computation and contestant the seconds at each size, and null
where it was left out. scikit-image and deepinv are optional.
"""

import argparse
import json
import math
from pathlib import Path

import timing  # isort: skip

import scaling_cases
from scaling_plot import plot

SIDES = {"tiny": (16, 32), "full": (64, 128, 256, 512, 1024, 2048)}
ROUNDS = {"tiny": 3, "full": 5}


def measured(case, sides, rounds):
    """Seconds of all contestants of a case at all sides, by name."""
    seconds = {}
    for n in sides:
        contestants = case(n, n == sides[0])
        if not contestants:
            continue
        found = timing.race(f"{scaling_cases.title(case)}, {n}^2",
                            {name: run for name, (run, _) in contestants.items()}, rounds)
        for name, (_, share) in contestants.items():
            seconds.setdefault(name, {})[str(n)] = share * found[name]
    return {name: {str(n): times.get(str(n)) for n in sides} for name, times in seconds.items()}


def exponent(times):
    """``log(t_2 / t_1) / log(N_2 / N_1)`` between a sixteenth of the pixels and the largest."""
    sides = [int(n) for n, value in times.items() if value is not None][-3:]
    first, last = (times[str(n)] for n in (sides[0], sides[-1]))
    return math.log(last / first) / math.log((sides[-1] / sides[0]) ** 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIDES, default="full")
    parser.add_argument("--only", choices=scaling_cases.CASES, action="append",
                        help="default: all of them")
    parser.add_argument("--out", type=Path, help="a folder for the plot")
    arguments = parser.parse_args()
    sides, numbers = SIDES[arguments.size], {}
    for name in arguments.only or scaling_cases.CASES:
        numbers[name] = measured(scaling_cases.CASES[name], sides, ROUNDS[arguments.size])
        for contestant, times in numbers[name].items():
            print(f"  {name}, {contestant}: N^{exponent(times):.2f} at the largest sizes")
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        titles = {name: scaling_cases.title(case) for name, case in scaling_cases.CASES.items()}
        plot(numbers, titles, arguments.out / "scaling.png")
    print(json.dumps(timing.machine()))
    print(json.dumps(numbers))


if __name__ == "__main__":
    main()
