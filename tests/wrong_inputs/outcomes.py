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
#: Of the processor, compiling included; a busy machine takes longer by the clock.
SECONDS = 10
PATIENCE = 120


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

    bells = {signal.SIGPROF: (signal.ITIMER_PROF, SECONDS),
             signal.SIGALRM: (signal.ITIMER_REAL, PATIENCE)}  # fmt: skip
    before = {bell: signal.signal(bell, ring) for bell in bells}
    for timer, seconds in bells.values():
        signal.setitimer(timer, seconds)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = function(**arguments)
            if hasattr(answer, "send"):  # a generator function has done nothing yet
                next(answer, None)
    except TooLate:
        return Outcome("late", f"no answer in {SECONDS} s of the processor or {PATIENCE} s")
    except Exception as error:
        silence(bells)
        return Outcome("clear" if is_clear(error) else "unclear", _where(error))
    finally:
        silence(bells)
        for bell, handler in before.items():
            signal.signal(bell, handler)
    return Outcome("answer", f"{type(answer).__name__}")


def silence(bells):
    """Stop all timers."""
    for timer, _ in bells.values():
        signal.setitimer(timer, 0)


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
