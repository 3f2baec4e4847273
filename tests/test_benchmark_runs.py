"""All races by one command: runs add up, an interrupted one goes on, and the table is right."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "benchmarks"))

import records  # noqa: E402

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def command(*words, cwd=ROOT):
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=cwd,
                          env=ENVIRONMENT)


def kept(race, numbers, others, start="a"):
    return {"start": start, "race": race, "numbers": numbers, "others": others}


def test_table_gives_medians_and_spread_of_quiet_and_busy_runs_apart():
    runs = [kept("tv", {"ratio": value, "missing": None}, 0.1) for value in (0.3, 0.1, 0.2)]
    runs.append(kept("tv", {"ratio": 0.7}, 1.5))
    rows = records.table(runs, {"ratio": 0.5}).splitlines()
    assert rows[2:] == ["| tv | ratio | 0.5 | 0.2 (0.1 to 0.3, 3 runs) | 0.7 (1 run) |"]


def test_line_that_was_cut_off_is_left_out(tmp_path):
    path = tmp_path / "runs.jsonl"
    records.append(path, kept("tv", {"ratio": 1.0}, 0.0))
    with open(path, "a") as file:
        file.write('{"start": "a", "race": "br')
    assert [record["race"] for record in records.load(path)] == ["tv"]
    assert records.load(tmp_path / "none.jsonl") == []


def test_run_goes_on_where_it_was_interrupted(tmp_path):
    others = ("bridge", "peers", "sweeps", "volumes", "scaling")
    for race in others:
        records.append(tmp_path / "runs_tiny.jsonl", kept(race, {f"{race}_ratio": 0.5}, 0.0))
    done = command("-m", "benchmarks", "--size", "tiny", "--continue", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    runs = records.load(tmp_path / "runs_tiny.jsonl")
    assert [(run["start"], run["race"]) for run in runs[len(others):]] == [("a", "tv")]
    text = (tmp_path / "table_tiny.md").read_text()
    assert "| tv | tgv_vs_odl |" in text and "| peers | peers_ratio |  | 0.5 (1 run) |  |" in text


def test_costs_over_pixels_are_measured_and_drawn(tmp_path):
    done = command("benchmarks/scaling.py", "--size", "tiny", "--only", "conjugate_gradient",
                   "--only", "mri", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    numbers = json.loads(done.stdout.splitlines()[-1])
    assert set(numbers) == {"conjugate_gradient", "mri"}
    assert {"odl_learned", "SciPy"} == set(numbers["conjugate_gradient"])
    for contestants in numbers.values():
        for times in contestants.values():
            assert list(times) == ["16", "32"] and min(times.values()) > 0
    assert (tmp_path / "scaling.png").stat().st_size > 10_000


@pytest.mark.slow
def test_all_races_run(tmp_path):
    done = command("-m", "benchmarks", "--size", "tiny", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    races = [run["race"] for run in records.load(tmp_path / "runs_tiny.jsonl")]
    assert races == ["tv", "bridge", "peers", "sweeps", "volumes", "scaling"]
    assert (tmp_path / "scaling.png").exists()
