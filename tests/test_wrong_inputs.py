"""Wrong inputs to every public function: an answer in time, and errors that say what is wrong.

The ordinary run tries every eighth wrong value, ``-m slow`` all of them.
"""

import importlib.util
from collections import Counter

import pytest
import torch
from wrong_inputs.calls import all_calls
from wrong_inputs.kinds import wrong_values
from wrong_inputs.outcomes import is_clear, outcome
from wrong_inputs.public_names import WITHOUT_CALLS, public_names

from odl_learned.validation import require_count

#: Share of the wrong values whose errors are those of torch, numpy or Python.
UNCLEAR = 0.02


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """All calls, in a folder of their own, where words are files."""
    monkeypatch.chdir(tmp_path)
    torch.func.grad(lambda x: x**2)(torch.ones(()))  # imports what torch imports the first time
    return all_calls(tmp_path)


def mistakes(calls):
    for name, (function, arguments) in calls.items():
        for argument, valid in arguments().items():
            for kind, value in wrong_values(valid).items():
                yield (name, argument, kind), function, arguments() | {argument: value}


def judged(calls, every, first=0):
    """Count the verdicts, and collect what was late or unclear."""
    verdicts, found = Counter(), []
    for i, (place, function, arguments) in enumerate(mistakes(calls)):
        if i % every == first:
            result = outcome(function, arguments)
            verdicts[result.verdict] += 1
            if result.verdict in ("late", "unclear"):
                found.append((*place, result))
    return verdicts, found


def require_answers(calls, every, first=0):
    verdicts, found = judged(calls, every, first)
    total = sum(verdicts.values())
    assert total > 4000 // every and verdicts["clear"] > 0.8 * total
    assert [place for *place, result in found if result.verdict == "late"] == []
    assert verdicts["unclear"] <= UNCLEAR * total, found


def test_every_public_name_has_a_call_or_a_reason(calls):
    called, public = {name.rpartition(".")[2] for name in calls}, public_names()
    assert public - called - set(WITHOUT_CALLS) == set()
    assert set(WITHOUT_CALLS) - public == set() == set(WITHOUT_CALLS) & called


def test_valid_calls_are_valid(calls):
    failed = {name: result for name, (function, arguments) in calls.items()
              if (result := outcome(function, arguments())).verdict != "answer"}  # fmt: skip
    if importlib.util.find_spec("nibabel") is None:
        assert "install" in failed.pop("data.read_nifti").detail
    assert failed == {}


def test_every_eighth_wrong_value_has_a_clear_error_in_time(calls):
    require_answers(calls, 8)


@pytest.mark.slow
def test_all_wrong_values_have_clear_errors_in_time(calls):
    require_answers(calls, 1)


def test_the_judge_knows_clear_errors_from_others():
    def error_of(function):
        with pytest.raises(Exception) as caught:
            function()
        return caught.value

    assert is_clear(error_of(lambda: require_count("n", -3)))
    assert not is_clear(error_of(lambda: (None).shape))
    assert not is_clear(error_of(lambda: torch.ones(2) @ torch.ones(3)))
    assert outcome(lambda n: iter(int, 1).__length_hint__(), {"n": 1}).verdict == "unclear"

    def endless(n):
        while True:
            n += 1

    assert outcome(endless, {"n": 1}).verdict == "late"
