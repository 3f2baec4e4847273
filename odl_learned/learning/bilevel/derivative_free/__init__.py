"""Bilevel learning without derivatives, for a few parameters.

`dynamic_accuracy` solves the lower level only as accurately as each decision needs;
`fixed_accuracy` and `bobyqa` solve it always alike, to compare with. The upper level is a sum of
squares of residuals: of pixels, `PixelResiduals`, or one for each image, `ImageResiduals`.
"""

from odl_learned.learning.bilevel.derivative_free.dynamic_accuracy import dynamic_accuracy
from odl_learned.learning.bilevel.derivative_free.fixed_accuracy import bobyqa, fixed_accuracy
from odl_learned.learning.bilevel.derivative_free.residuals import ImageResiduals, PixelResiduals

__all__ = [
    "ImageResiduals",
    "PixelResiduals",
    "bobyqa",
    "dynamic_accuracy",
    "fixed_accuracy",
]
