"""Generative regularizers: images as what a generator makes, and a deviation from it.

`precision` is the model of the deviation: a Gaussian with a sparse factor of its precision for
every image, which costs a few multiply-adds per pixel.
"""

from odl_learned.regularizers.generative import precision

__all__ = ["precision"]
