"""Races between implementations of one computation, in CPU seconds of one thread.

Contestants take turns, so that a burst of load on a shared machine meets all of them, and the
median over the rounds is reported. Import this module before torch.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import platform
import statistics
import time

import torch

torch.set_num_threads(1)

#: Repeats a contestant within one round until this many CPU seconds have passed.
SHORTEST = 0.02


def race(title, contestants, rounds):
    """Return the median CPU seconds per call of every contestant, and print them.

    Parameters
    ----------
    title : str
        What is computed.
    contestants : dict of str to callable
        Functions without arguments; the first one is the reference of the printed ratios.
    rounds : int
        Number of turns of each contestant, after one that does not count.

    Returns
    -------
    seconds : dict of str to float
    """
    calls = {}
    for name, function in contestants.items():
        function()
        begin = time.process_time()
        function()
        calls[name] = max(1, round(SHORTEST / max(time.process_time() - begin, 1e-6)))
    samples = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, function in contestants.items():
            begin = time.process_time()
            for _ in range(calls[name]):
                function()
            samples[name].append((time.process_time() - begin) / calls[name])
    seconds = {name: statistics.median(values) for name, values in samples.items()}
    first = next(iter(seconds.values()))
    print(f"\n{title} (load {os.getloadavg()[0]:.1f}, {rounds} rounds)")
    for name, value in seconds.items():
        print(f"  {name:42s} {1e3 * value:10.2f} ms   {value / first:7.3f}", flush=True)
    return seconds


def require_close(name, value, reference, tolerance):
    """Raise AssertionError if the relative distance of two tensors is above the tolerance."""
    value, reference = (v.detach().to(torch.complex128) for v in (value, reference))
    error = float((value - reference).norm() / reference.norm())
    if not error <= tolerance:
        raise AssertionError(f"{name} is {error:.1e} away from the reference, expected at most "
                             f"{tolerance:.0e}; the race would compare different computations.")


def without_gradients(function):
    """The function under ``torch.no_grad``."""
    def run():
        with torch.no_grad():
            return function()

    return run


def machine():
    """What the numbers depend on, as a dict."""
    return {"python": platform.python_version(), "torch": torch.__version__,
            "threads": torch.get_num_threads(), "machine": platform.machine()}
