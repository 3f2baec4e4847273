"""Shared set-up: one torch thread, so that shared machines do not spin, and a fixed generator.

The environment variable ``ODL_LEARNED_TEST_THREADS`` asks for more threads (`make test-kernels`).
"""

import os
import signal

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import numpy as np
import pytest
import torch

import odl_learned  # noqa: F401  (imports odl before scipy and applies the repairs)

torch.set_num_threads(int(os.environ.get("ODL_LEARNED_TEST_THREADS", "1")))
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in jobs that a shell runs behind
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
