"""The command line beside the demonstration: figures with their claims, checks, and the doctor."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from odl_learned.__main__ import main
from odl_learned.commands import doctor, report, runs, scripts
from odl_learned.odl_fixes import registry

ROOT = Path(__file__).resolve().parent.parent
HOLDS = '''"""A square.

Claims: it is {size}.
"""
import argparse, os, pathlib, shutil
SIZES = {{"smoke": 1, "paper": 2}}
parser = argparse.ArgumentParser()
parser.add_argument("size"); parser.add_argument("--out", type=pathlib.Path)
{more}
arguments = parser.parse_args()
shutil.copy(os.environ["SQUARE"], arguments.out / "square.png")
print("side", SIZES[arguments.size])
assert {claim}, "the claim does not hold <b>"
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Examples of three scripts, one of which needs data, and a module that they share."""
    examples = tmp_path / "examples"
    (examples / "figures" / "paper1").mkdir(parents=True)
    square = tmp_path / "square.png"
    Figure(figsize=(0.2, 0.2)).savefig(square)
    monkeypatch.setenv("SQUARE", str(square))
    data = 'parser.add_argument("--data")'
    (examples / "holds.py").write_text(HOLDS.format(size="small", claim="True", more=""))
    (examples / "figures" / "paper1" / "first.py").write_text(
        HOLDS.format(size="large", claim="arguments.data == 'here'", more=data))
    (examples / "figures" / "paper1" / "shared_part.py").write_text('"""Shared."""\n')
    return examples


def figures(*arguments, folder):
    return main(["figures", *arguments, "--examples", str(folder)])


def records(capsys):
    return json.loads(capsys.readouterr().out)


def test_all_scripts_of_the_repository_are_listed_with_their_claims(capsys):
    assert figures("list", "--json", folder=ROOT / "examples") == 0
    listed = records(capsys)
    files = {path.relative_to(ROOT / "examples").with_suffix("").as_posix()
             for path in (ROOT / "examples").rglob("*.py") if "SIZES = " in path.read_text()}
    assert {each["name"] for each in listed} == files
    assert all(each["title"] and each["claim"] for each in listed)
    assert all(set(each["sizes"]) == {"smoke", "paper"} for each in listed)
    takes_data = {each["name"] for each in listed if each["takes_data"]}
    assert "walnut_tv_pdhg" in takes_data and "ct_tv_pdhg" not in takes_data


def test_claims_that_hold_are_told_with_pictures_and_kept(folder, tmp_path, capsys):
    out = ["--out", str(tmp_path / "out")]
    assert figures("run", "holds", *out, "--json", folder=folder) == 0
    (record,) = records(capsys)["records"]
    assert record["outcome"] == runs.HELD and record["printed"] == "side 1"
    page = (tmp_path / "out" / "report.html").read_text()
    assert "1 of 1 claims held" in page and "it is small." in page and "image/png;base64," in page
    assert "src=\"http" not in page and "href=\"http" not in page
    # again: the same record, without running; with another script, or if told so, it runs
    assert figures("run", "holds", *out, folder=folder) == 0
    assert "kept" in capsys.readouterr().out
    assert figures("run", "holds", *out, "--again", folder=folder) == 0
    assert "kept" not in capsys.readouterr().out
    with (folder / "holds.py").open("a") as file:
        file.write("# changed\n")
    assert figures("run", "holds", *out, folder=folder) == 0
    assert "kept" not in capsys.readouterr().out


def test_a_planted_violation_turns_the_report_red(folder, tmp_path, capsys):
    (folder / "fails.py").write_text(HOLDS.format(size="x", claim="False", more=""))
    (folder / "breaks.py").write_text(HOLDS.format(size="x", claim="1 / 0", more=""))
    out = tmp_path / "out"
    assert figures("run", "--out", str(out), "--jobs", "2", "--data", "here", "--json",
                   folder=folder) == 1
    found = records(capsys)
    assert (found["held"], found["of"]) == (2, 4)
    assert {each["name"]: each["outcome"] for each in found["records"]} == {
        "holds": runs.HELD, "figures/paper1/first": runs.HELD,
        "fails": runs.NOT_HELD, "breaks": runs.BROKEN}  # fmt: skip
    page = (out / "report.html").read_text()
    assert '<h1 class="failure">2 of 4 claims held' in page and 'class="bad"' in page
    assert "&lt;b&gt;" in page and "<b>" not in page
    # what did not hold is run again, what held is not
    assert figures("run", "--out", str(out), "--data", "here", folder=folder) == 1
    assert capsys.readouterr().out.count("kept") == 2


def test_without_its_data_a_claim_does_not_hold_and_names_choose(folder, tmp_path, capsys):
    out = ["--out", str(tmp_path / "out")]
    assert figures("run", "paper1", *out, folder=folder) == 1
    assert "the claim does not hold" in capsys.readouterr().out
    assert figures("list", "first", folder=folder) == 0
    assert "takes --data" in capsys.readouterr().out


@pytest.mark.parametrize("arguments, told", [
    (["list", "secnd"], "no figure is called 'secnd'"),
    (["run", "--jobs", "0"], "--jobs is 0"),
])  # fmt: skip
def test_what_cannot_be_run_is_told(arguments, told, folder, capsys):
    assert figures(*arguments, folder=folder) == 2
    assert told in capsys.readouterr().err


def test_a_folder_without_scripts_is_told(tmp_path, capsys):
    assert figures("list", folder=tmp_path) == 2
    assert "they come with the repository" in capsys.readouterr().err


def test_an_interruption_ends_the_processes_and_keeps_the_records(folder, tmp_path):
    (folder / "waits.py").write_text(HOLDS.format(
        size="x", claim="True", more="import time; print(os.getpid(), flush=True); time.sleep(60)"))
    runner = runs.Runner(tmp_path / "out", "smoke", None, 2, False)
    chosen = scripts.chosen(scripts.find_scripts(folder), ["holds", "waits"])
    with pytest.raises(KeyboardInterrupt):
        for record, _ in runner.run(chosen):
            assert record.name == "holds"
            raise KeyboardInterrupt
    assert not runner._running
    assert runs.read_record(tmp_path / "out" / "holds").outcome == runs.HELD


def test_records_that_are_damaged_are_not_believed(tmp_path):
    (tmp_path / "record.json").write_text('{"name": "x"')
    assert runs.read_record(tmp_path) is None and runs.read_record(tmp_path / "none") is None


def test_a_report_that_is_not_complete_says_so(tmp_path):
    record = runs.Record("a/b", "T", "", runs.HELD, "", "", 1.0, "python", {}, {})
    assert "1 still to run" in report.render([record], tmp_path, 2)


OPERATORS = '''
import odl, torch
space = odl.rn(3)
good = odl.ScalingOperator(space, 2.0)
def make(): return odl.IdentityOperator(space)
def needs(n): return n
number = 3
class Wrong(odl.Operator):
    def __init__(self): super().__init__(space, space, linear=True)
    def _call(self, x): return 2 * x
    @property
    def adjoint(self): return odl.ScalingOperator(space, 3.0)
wrong = Wrong()
net = torch.nn.Linear(2, 2)
'''


@pytest.fixture
def own_operators(tmp_path, monkeypatch):
    (tmp_path / "own_operators.py").write_text(OPERATORS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_operators", raising=False)


def test_checks_of_own_operators(own_operators, capsys):
    assert main(["check", "own_operators:good"]) == 0
    assert "own_operators:good: " in capsys.readouterr().out
    assert main(["check", "own_operators:make", "--json"]) == 0
    assert records(capsys)["failed"] == 0
    assert main(["check", "own_operators:wrong", "--json"]) == 1
    found = {each["check"]: each for each in records(capsys)["checks"]}
    assert not found["adjoint"]["holds"] and found["linear"]["holds"]
    told = found["module gradients"]["failure"]
    assert "numerical" in told and "analytical" in told and len(told) < 300, told  # no matrices
    assert main(["check", "own_operators:net", "--example", "2"]) == 0


@pytest.mark.parametrize("arguments, told", [
    (["own_operators"], "names no object"),
    (["own_operators:"], "names no object"),
    (["no_such_module:x"], "cannot be imported"),
    (["own_operators:god"], "own_operators has no 'god'; it has Wrong, good"),
    (["own_operators:number"], "is of type int; expected an ODL operator"),
    (["own_operators:needs"], "called without arguments"),
    (["own_operators:net"], "add --example"),
    (["own_operators:good", "--example", "3"], "is for torch modules"),
])  # fmt: skip
def test_what_cannot_be_checked_is_told(arguments, told, own_operators, capsys):
    assert main(["check", *arguments]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("source, told", [
    ("import odl\nop = odl.NoSuchOperator(3)", "no attribute 'NoSuchOperator'"),
    ("one = 1\none / 0", "ZeroDivisionError: division by zero (failing_module.py, line 2)"),
    ("def f(:", "SyntaxError: invalid syntax (failing_module.py, line 1)"),
])  # fmt: skip
def test_modules_that_fail_on_import_are_what_cannot_be_done(
        source, told, tmp_path, monkeypatch, capsys):
    (tmp_path / "failing_module.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["check", "failing_module:f"]) == 2
    assert told in capsys.readouterr().err


def test_the_doctor_finds_no_faults_here_and_those_that_there_are(capsys, monkeypatch):
    assert main(["doctor", "--json"]) == 0
    found = records(capsys)
    assert found["faults"] == [] and found["cores"] == len(os.sched_getaffinity(0))
    monkeypatch.setattr(doctor, "REQUIRED", (*doctor.REQUIRED, "no-such-package"))
    monkeypatch.setattr(registry, "applied", {})
    assert main(["doctor"]) == 1
    told = capsys.readouterr().out
    assert "fault: no-such-package is not installed" in told
    assert "fault: not all repairs of ODL are in place" in told


def test_commands_wait_with_torch_until_they_run():
    """So that the help comes at once where they take long to load."""
    code = ("import sys; sys.modules['torch'] = sys.modules['matplotlib'] = None\n"
            "from odl_learned.commands import COMMANDS; print(len(COMMANDS))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and done.stdout.strip() == "5", done.stderr
