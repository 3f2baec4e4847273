"""Problems and methods of comparisons, in a module of their own, so that processes find them."""

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from odl_learned.comparison import Simulated, compare, grid


def simulate(cell):
    """Five images, a multiple of them, and noise that belongs to the cell."""
    rng = np.random.default_rng(int(1000 * cell["noise"]))
    truth = np.random.default_rng(1).standard_normal((5, 4, 6))
    data = cell["gain"] * truth + cell["noise"] * rng.standard_normal(truth.shape)
    return Simulated(cell["gain"], data, cell["noise"], truth)


def never_alike(cell):
    """The same with noise of its own in each call."""
    simulated = simulate(cell)
    noise = np.random.default_rng().standard_normal(simulated.data.shape)
    return simulated._replace(data=simulated.data + cell["noise"] * noise)


def divided(gain, data, noise_level):
    """The images, and their noise."""
    return data / gain


def shrunken(gain, data, noise_level):
    """The best multiple of that, for images of variance one."""
    return data * gain / (gain**2 + noise_level**2)


def fragile(gain, data, noise_level):
    """A method that fails where the noise is large."""
    if noise_level > 0.5:
        raise ZeroDivisionError("too much noise")
    return divided(gain, data, noise_level)


def dying(gain, data, noise_level):
    """A method that ends its process where the noise is large."""
    if noise_level > 0.5:
        os._exit(3)
    return divided(gain, data, noise_level)


def minus_error(images, truth):
    """Minus the mean squared error of each image."""
    return -((images - truth) ** 2).mean((1, 2))


def one_number(images, truth):
    """No score of each image."""
    return -((images - truth) ** 2).mean()


def waiting(gain, data, noise_level):
    """A method that takes for ever where the noise is large."""
    if noise_level > 0.5:
        time.sleep(600)
    return divided(gain, data, noise_level)


if __name__ == "__main__":  # to be interrupted in the last of three cells, which waits
    with ProcessPoolExecutor(1) as pool:
        compare(simulate, {"divided": waiting}, grid({"gain": (2,), "noise": (0.1, 0.2, 0.9)}),
                minus_error, folder=Path(sys.argv[1]), executor=pool, progress=False)  # fmt: skip
