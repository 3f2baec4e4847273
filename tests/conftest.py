"""Shared set-up: one torch thread, so that shared machines do not spin, and a fixed generator."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import numpy as np
import pytest
import torch

import odl_learned  # noqa: F401  (imports odl before scipy and applies the repairs)

torch.set_num_threads(1)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
