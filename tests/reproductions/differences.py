"""Reproduction for the repair of differences, by the name of the repair."""

import numpy as np
import odl

from reproductions.elements import close


def single_points():
    for impl in ("numpy", "pytorch"):
        space = odl.uniform_discr([0, 0], [1, 3], (1, 3), impl=impl)
        D = odl.Gradient(space, method="forward", pad_mode="symmetric")
        across, along = D(space.element([[1.0, 2.0, 5.0]]))
        close(np.asarray(across.asarray()), np.zeros((1, 3)))
        close(np.asarray(along.asarray()), [[1.0, 3.0, 0.0]])
