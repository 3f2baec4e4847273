"""Scripts run one by one or side by side, each with a record that survives an interruption."""

import concurrent.futures
import dataclasses
import json
import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path

from odl_learned.commands.doctor import available_cores, version_of
from odl_learned.commands.scripts import Script

#: What an outcome is called: the claim holds, does not hold, or the script ended otherwise.
HELD, NOT_HELD, BROKEN = "held", "not held", "did not run"


@dataclasses.dataclass(frozen=True)
class Record:
    """What one run gave, as it is kept in ``record.json`` beside the pictures.

    ``outcome`` is `HELD`, `NOT_HELD` or `BROKEN`; ``printed`` what the script said, ``failure`` its
    last line of errors; ``identity`` all that a run depends on, so that it is not run again.
    """

    name: str
    title: str
    claim: str
    outcome: str
    printed: str
    failure: str
    seconds: float
    command: str
    versions: dict
    identity: dict


class Runner:
    """Runs scripts in processes of their own, at most so many at once.

    Parameters
    ----------
    out : Path
        Each script gets a folder of its name in it.
    size : str
    data : Path or None
        Given to the scripts that read measurements.
    jobs : int
        Processes at once; they share the cores.
    again : bool
        Whether scripts run also where their record is there already.
    """

    def __init__(self, out: Path, size: str, data: Path | None, jobs: int, again: bool):
        self.out, self.size, self.data, self.jobs, self.again = out, size, data, jobs, again
        self.versions = {"python": platform.python_version()} | {
            name: version_of(name) for name in ("odl_learned", "odl", "torch", "numpy", "scipy")}
        self._running: set[subprocess.Popen] = set()
        self._lock, self._stopped = threading.Lock(), False

    def run(self, scripts: list[Script]):
        """Yield ``(record, fresh)`` as they end; on an interruption, processes are ended first."""
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            futures = [pool.submit(self._one, script) for script in scripts]
            try:
                for future in concurrent.futures.as_completed(futures):
                    yield future.result()
            except BaseException:
                self._stop()
                pool.shutdown(cancel_futures=True)
                raise

    def _one(self, script):
        folder = self.out / script.name
        identity = {"digest": script.digest(), "size": self.size, "versions": self.versions,
                    "data": str(self.data) if script.takes_data and self.data else None}
        kept = None if self.again else read_record(folder)
        if kept is not None and kept.identity == identity and kept.outcome == HELD:
            return kept, False
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.png"):
            old.unlink()
        options = [self.size, "--out", str(folder)]
        if identity["data"]:
            options += ["--data", identity["data"]]
        environment = os.environ | {"OMP_NUM_THREADS": os.environ.get(
            "OMP_NUM_THREADS", str(max(1, available_cores() // self.jobs))), "MPLBACKEND": "agg"}
        began = time.perf_counter()
        status, printed, errors = self._execute([sys.executable, str(script.path), *options],
                                                environment)
        seconds = time.perf_counter() - began
        lines = [line for line in errors.strip().splitlines() if line.strip()]
        failure = "" if status == 0 else lines[-1] if lines else f"exit status {status}"
        outcome = (HELD if status == 0 else
                   NOT_HELD if failure.startswith("AssertionError") else BROKEN)
        record = Record(script.name, script.title, script.claim, outcome, printed.strip(), failure,
                        seconds, " ".join(["python", f"examples/{script.name}.py", self.size]),
                        self.versions, identity)  # fmt: skip
        write_record(folder, record)
        return record, True

    def _execute(self, command, environment):
        with self._lock:
            if self._stopped:
                return 130, "", "interrupted"
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       text=True, env=environment)
            self._running.add(process)
        try:
            printed, errors = process.communicate()
        finally:
            with self._lock:
                self._running.discard(process)
        return process.returncode, printed, errors

    def _stop(self):
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.terminate()


def write_record(folder: Path, record: Record):
    """Write a record in one step, so that none is half there."""
    unfinished = folder / "record.json.new"
    unfinished.write_text(json.dumps(dataclasses.asdict(record), indent=2), encoding="utf-8")
    unfinished.replace(folder / "record.json")


def read_record(folder: Path) -> Record | None:
    """Return the record of a folder, None if there is none that can be read."""
    try:
        return Record(**json.loads((folder / "record.json").read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError):
        return None
