"""Bilevel learning on the published problems; the last line printed is one JSON object.

    python benchmarks/bilevel.py --data FOLDER                     everything, two hours
    python benchmarks/bilevel.py --data FOLDER --part square       some of the parts

FOLDER has the reference problems in ``bilevel/``, and images in ``ct/``, ``mri/`` and ``natural/``.
Values are exact: the lower level is solved anew, to 1e-9 or better, wherever learning ended.
Seconds are CPU seconds of one thread.
"""

import argparse
import json
from pathlib import Path

import timing  # before torch
import torch

PARTS = ("dfo1", "work_ratio_1", "work_ratio_3", "work_ratio_sampling", "reg6", "sampling1d",
         "hypergradient", "certificates", "square", "tv25", "patterns",
         "greedy_lines", "greedy_points", "ridge", "operators", "operator_cases")  # fmt: skip


def measure(part, folder):
    """Return the numbers of one part as a dict."""
    import bilevel_certificates
    import bilevel_dfo
    import bilevel_experts
    import bilevel_first_order
    import bilevel_greedy
    import bilevel_hypergradient
    import bilevel_operator_cases
    import bilevel_operators
    import bilevel_sampling

    signals, problems = folder / "bilevel" / "dfo_1d.npz", folder / "bilevel"
    functions = {
        "dfo1": lambda: (bilevel_dfo.one_parameter_from_five_starts(signals)
                         | bilevel_dfo.fixed_two_hundred(signals)),
        "work_ratio_1": lambda: bilevel_dfo.work_ratio_1(signals),
        "work_ratio_3": lambda: bilevel_dfo.work_ratio_3(signals),
        "work_ratio_sampling": lambda: bilevel_dfo.work_ratio_sampling(signals),
        "reg6": lambda: bilevel_first_order.reg6(problems),
        "sampling1d": lambda: bilevel_first_order.sampling1d(problems),
        "hypergradient": lambda: bilevel_hypergradient.hypergradient(problems),
        "certificates": bilevel_certificates.certificates,
        "square": lambda: bilevel_first_order.square(problems),
        "tv25": lambda: bilevel_first_order.tv25(problems),
        "patterns": lambda: bilevel_sampling.compare(folder, bilevel_sampling.POINTS, "test"),
        "greedy_lines": lambda: bilevel_greedy.compare_lines(folder, "test"),
        "greedy_points": lambda: bilevel_greedy.compare_points(folder, "test"),
        "ridge": lambda: bilevel_experts.ridge_over_tv(folder),
        "operators": lambda: bilevel_operators.races(folder),
        "operator_cases": lambda: (bilevel_operator_cases.violations()
                                   | bilevel_operator_cases.hypergradient_error()),
    }  # fmt: skip
    return functions[part]()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", choices=PARTS, action="append", help="default: all of them")
    arguments = parser.parse_args()
    if not (arguments.data / "bilevel").is_dir():
        parser.error(f"{arguments.data} has no folder 'bilevel'; expected the reference problems.")
    torch.set_num_threads(1)
    one = torch.ones(1)  # the first derivatives import more of torch, once: a second
    torch.func.vjp(torch.exp, one)[1](one)
    torch.func.jvp(torch.exp, (one,), (one,))
    print(json.dumps(timing.machine()), flush=True)
    numbers, violations = {}, []
    for part in arguments.part or PARTS:
        found = measure(part, arguments.data)
        print(part, json.dumps(found), flush=True)
        violations += [value for name, value in found.items() if name == "certificate_violations"]
        numbers |= found
    if violations:
        numbers["certificate_violations"] = sum(violations)
    print(json.dumps(numbers))


if __name__ == "__main__":
    main()
