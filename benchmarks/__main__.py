"""All races of the package with its peers: `python -m benchmarks`, about a quarter of an hour.

    python -m benchmarks                      one run; table and plot in results/benchmarks
    python -m benchmarks --continue           what the last run left out, after an interruption
    python -m benchmarks --only tv            one race
    python -m benchmarks --before ../before   also against a worktree of an earlier commit
    python -m benchmarks --size tiny          in a minute: does it run?

Runs add up: the table gives medians over all that are in the folder, quiet and busy machines apart,
with their spread. Three runs are a measurement.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))  # for processes and tests alike: its scripts import each other

import records  # noqa: E402

#: Races that measure time, in CPU seconds of one thread. Others of this folder measure quality.
RACES = {
    "tv": ["tv.py"],
    "bridge": ["bridge.py"],
    "peers": ["speed.py", "--part", "peers", "--part", "memory"],
    "sweeps": ["speed.py", "--part", "sweeps"],
    "before": ["speed.py", "--part", "before", "--part", "threads"],
    "volumes": ["speed.py", "--part", "volumes"],
    "scaling": ["scaling.py"],
}
#: The largest values that are asked for.
MARKS = {
    "tv_vs_deepinv": 0.015, "tv_vs_skimage": 0.08, "tv_cpu_vs_before": 0.5,
    "tv_wall_vs_before": 0.3, "tgv_cpu_vs_before": 0.5, "tgv_wall_vs_before": 0.3,
    "hessian_vs_before": 0.35, "newton_vs_before": 0.5, "primal_dual_vs_before": 0.4,
    "primal_dual_vs_pdhg": 1.0, "primal_dual_arrays": 15, "pdhg_ct_vs_before": 0.45,
    "mlem_vs_numpy": 1.1, "cg64_vs_scipy": 2.0, "cg256_vs_scipy": 1.2, "lsqr64_vs_scipy": 2.0,
    "lsqr256_vs_scipy": 1.2, "ct_forward_vs_astra": 0.06, "ct_transpose_vs_astra": 0.06,
    "cone_forward_seconds": 3.0, "cone_adjoint_seconds": 3.0,
    "cone_forward_vs_mbirjax": 1.0, "cone_adjoint_vs_mbirjax": 1.0,
    "proximal_gradient_overhead_us": 150, "growth_exponent_max": 1.05,
}  # fmt: skip


def run(name, size, before, out):
    """Run one race in a process of its own; return its numbers and what others did meanwhile."""
    command = [sys.executable, str(FOLDER / RACES[name][0]), *RACES[name][1:], "--size", size]
    if before is not None and RACES[name][0] == "speed.py":
        command += ["--before", str(before)]
    if name == "scaling":
        command += ["--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(FOLDER.parent)}
    busy, began, children = _busy(), time.perf_counter(), os.times()
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    wall, after = time.perf_counter() - began, os.times()
    own = (after.children_user - children.children_user
           + after.children_system - children.children_system)
    *lines, last = done.stdout.splitlines() or [""]
    print("\n".join(lines), flush=True)
    if done.returncode:
        raise RuntimeError(f"the race {name!r} failed with exit code {done.returncode}; see above.")
    others = None if busy is None else max(0.0, (_busy() - busy - own) / wall)
    return {"race": name, "numbers": json.loads(last), "others": others or 0.0,
            "seconds": round(wall, 1)}


def _busy():
    """CPU seconds that all processes of this machine have used, or None where it does not say."""
    try:
        fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _, _, irq, softirq = map(int, fields[:7])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks",
                                     description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=("tiny", "full"), default="full")
    parser.add_argument("--only", choices=RACES, action="append", help="default: all of them")
    parser.add_argument("--before", type=Path, help="a worktree of an earlier commit")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks"))
    parser.add_argument("--continue", dest="again", action="store_true",
                        help="the races that the last run in the folder did not finish")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / f"runs_{arguments.size}.jsonl"
    known = records.load(path)
    start, done = datetime.datetime.now().isoformat(timespec="seconds"), set()
    if arguments.again and known:
        start = known[-1]["start"]
        done = {record["race"] for record in known if record["start"] == start}
    chosen = arguments.only or [name for name in RACES
                                if name != "before" or arguments.before is not None]
    for name in chosen:
        if name in done:
            continue
        print(f"\n=== {name}", flush=True)
        record = {"start": start, **run(name, arguments.size, arguments.before, arguments.out)}
        records.append(path, record)
        print(f"=== {name}: {record['seconds']:.0f} s, others used {record['others']:.1f} "
              "processors", flush=True)
    text = records.table(records.load(path), MARKS)
    (arguments.out / f"table_{arguments.size}.md").write_text(text, encoding="utf-8")
    print(f"\n{text}\n{path.parent}: table, runs and plot")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted; what was measured is kept: go on with --continue")
