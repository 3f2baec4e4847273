"""Plug and play: a denoiser in the place of a proximal, in four splitting methods and in descent.

`proximal_gradient`, `half_quadratic`, `douglas_rachford` and `admm` take a data term and anything
with a proximal: ODL's functionals, ours, and `bridge.ImplicitRegularizer` for a denoiser.
`descent` takes a functional with a gradient in its place, such as that of a gradient-step denoiser.
They stop at a fixed-point residual, or at a `Below` or `solvers.Discrepancy`, sample by sample.

The `Answer` says what is proven: `Convergence` for proximals of convex functionals and for a
`CertifiedDenoiser`, `Monotone` for `descent`, and `NoGuarantee` for the rest. What diverged is no
image.
"""

from odl_learned.reconstruction.plug_and_play.answers import (
    Answer,
    Convergence,
    Guarantee,
    Monotone,
    NoGuarantee,
)
from odl_learned.reconstruction.plug_and_play.convex import is_convex
from odl_learned.reconstruction.plug_and_play.denoisers import CertifiedDenoiser
from odl_learned.reconstruction.plug_and_play.descent import descent
from odl_learned.reconstruction.plug_and_play.forward_backward import (
    half_quadratic,
    proximal_gradient,
)
from odl_learned.reconstruction.plug_and_play.reflections import admm, douglas_rachford
from odl_learned.reconstruction.plug_and_play.stopping import Below

__all__ = [
    "Answer",
    "Below",
    "CertifiedDenoiser",
    "Convergence",
    "Guarantee",
    "Monotone",
    "NoGuarantee",
    "admm",
    "descent",
    "douglas_rachford",
    "half_quadratic",
    "is_convex",
    "proximal_gradient",
]
