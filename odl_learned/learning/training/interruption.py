"""Interruptions that wait until a training step is complete."""

import signal
import threading
from contextlib import contextmanager


class Interruption:
    """Whether SIGINT (Ctrl-C) or SIGTERM has come in; the second one no longer waits."""

    def __init__(self):
        self._number = None

    def _receive(self, number, frame):
        if self._number is not None:
            raise KeyboardInterrupt("interrupted twice")
        self._number = number

    def raise_pending(self):
        """Raise KeyboardInterrupt if a signal has come in, else do nothing."""
        if self._number is not None:
            raise KeyboardInterrupt(f"stopped by {signal.Signals(self._number).name}")


@contextmanager
def deferred_interruption():
    """Hold SIGINT and SIGTERM back, as a context that gives an `Interruption`.

    Within the context the first signal is only noted, for `Interruption.raise_pending` to raise
    as KeyboardInterrupt where the program is in order; a second signal raises it at once. At the
    end a pending one is raised and the earlier handlers are put back. Outside of the main thread,
    where Python delivers no signals, and for signals that are ignored, nothing changes.
    """
    interruption = Interruption()
    earlier = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) not in (None, signal.SIG_IGN):
                earlier[number] = signal.signal(number, interruption._receive)
    try:
        yield interruption
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
    interruption.raise_pending()
