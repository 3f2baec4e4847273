"""Races of the bridge with ODL, ASTRA and deepinv; the last line printed is one JSON object.

    python benchmarks/bridge.py                          all parts at full size
    python benchmarks/bridge.py --size tiny              all parts, in seconds
    python benchmarks/bridge.py --part ct --part mri     some of the parts

Every number is our CPU time over that of the other, on one thread, median of rounds in which the
contestants take turns; below 1 we are faster. Each part checks that all contestants compute the
same. deepinv is optional: without it, its numbers are null.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import timing

PARTS = ("ct", "smoothed_tv", "smoothed_tv_operator_module", "mri", "overhead")
UNPATCHED = {"smoothed_tv_operator_module"}  # compared with ODL as it is, in a process of its own


def measure(part, size):
    """Return the numbers of one part as a dict."""
    if part in UNPATCHED and os.environ.get("ODL_LEARNED_FIXES") != "0":
        return measure_unpatched(part, size)
    import bridge_ct
    import bridge_mri
    import bridge_overhead
    import bridge_tv

    functions = {
        "ct": bridge_ct.measure,
        "smoothed_tv": bridge_tv.measure,
        "smoothed_tv_operator_module": bridge_tv.measure_operator_module,
        "mri": bridge_mri.measure,
        "overhead": bridge_overhead.measure,
    }
    return functions[part](size)


def measure_unpatched(part, size):
    """The same in a new process in which ODL is left as it is."""
    command = [sys.executable, Path(__file__), "--size", size, "--part", part]
    done = subprocess.run(command, env={**os.environ, "ODL_LEARNED_FIXES": "0"}, text=True,
                          stdout=subprocess.PIPE)
    lines = done.stdout.splitlines()
    print("\n".join(lines[:-1]), flush=True)
    if done.returncode:
        raise RuntimeError(f"part {part!r} failed in its own process; see the error above.")
    return json.loads(lines[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=("tiny", "full"), default="full")
    parser.add_argument("--part", choices=PARTS, action="append", help="default: all of them")
    arguments = parser.parse_args()
    print(json.dumps(timing.machine()))
    numbers = {}
    for part in arguments.part or PARTS:
        numbers.update(measure(part, arguments.size))
    print(json.dumps({name: value if value is None else float(f"{value:.4g}")
                      for name, value in numbers.items()}))


if __name__ == "__main__":
    main()
