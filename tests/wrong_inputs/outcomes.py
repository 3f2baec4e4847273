"""What comes back from a wrong input: a clear error, an unclear one, an answer, or none in time."""

import ast
import functools
import signal
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path

import odl_learned

PACKAGE = str(Path(odl_learned.__file__).resolve().parent)
SECONDS = 5


@dataclass(frozen=True)
class Outcome:
    """``verdict`` is clear, unclear, answer or late; ``detail`` says what came back."""

    verdict: str
    detail: str


class TooLate(BaseException):
    """No answer in time; not an Exception, so that no handler swallows it."""


def outcome(function, arguments):
    """Call and judge."""

    def ring(signum, frame):
        raise TooLate

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = function(**arguments)
            if hasattr(answer, "send"):  # a generator function has done nothing yet
                next(answer, None)
    except TooLate:
        return Outcome("late", f"no answer in {SECONDS} s")
    except Exception as error:
        signal.alarm(0)
        return Outcome("clear" if is_clear(error) else "unclear", _where(error))
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return Outcome("answer", f"{type(answer).__name__}")


def is_clear(error):
    """Whether a ``raise`` of the package says what is wrong.

    The innermost frame is a raise statement in our own sources and the message is a sentence that
    names a value and an expectation, not the bare error of an attribute, an index or a library.
    """
    frame = traceback.extract_tb(error.__traceback__)[-1]
    if not frame.filename.startswith(PACKAGE):
        return False
    return len(str(error)) > 25 and frame.lineno in _raises(frame.filename)


@functools.cache
def _raises(filename):
    """The lines of the raise statements of a source."""
    tree = ast.parse(Path(filename).read_text())
    return {line for node in ast.walk(tree) if isinstance(node, ast.Raise)
            for line in range(node.lineno, node.end_lineno + 1)}


def _where(error):
    frame = traceback.extract_tb(error.__traceback__)[-1]
    ours = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(PACKAGE)]
    inside = f"{Path(ours[-1].filename).relative_to(PACKAGE)}:{ours[-1].lineno}" if ours else "-"
    text = " ".join(str(error).split())[:160]
    outside = f"{Path(frame.filename).name}:{frame.lineno}"
    return f"{type(error).__name__} at {outside} in {inside}: {text}"
