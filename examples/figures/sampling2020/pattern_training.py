"""The images that sampling patterns are learned from, and the method that learns.

Source: F. Sherry et al., Learning the sampling pattern for MRI, IEEE Trans. Med. Imaging 39 (2020).
"""

import numpy as np
import odl
import torch

from odl_learned import data
from odl_learned.learning.bilevel.first_order import lbfgsb
from odl_learned.learning.bilevel.hypergradients import Implicit
from odl_learned.learning.bilevel.lower import Newton


def bodies(n, count, rng):
    """Return phantoms ``(count, n, n)``."""
    space = odl.uniform_discr([0, 0], [n, n], (n, n))
    return np.stack([data.random_body(space, rng).data for _ in range(count)])


def images(split, n, count, rng, folder):
    """Return phantoms, or real slices of ``folder/mri_brain_256.npz``, ``(count, n, n)``."""
    if folder is not None:
        return data.read_slices(folder / "mri_brain_256.npz", split, count, 256 // n)
    return bodies(n, count, rng)


def tuned(problem, start, maxiter, ftol=1e-4):
    """Return what L-BFGS learns."""
    return lbfgsb(problem, torch.as_tensor(start, dtype=torch.float64), Implicit(), Newton(),
                  gtol=1e-9, ftol=ftol, maxiter=maxiter)  # fmt: skip
