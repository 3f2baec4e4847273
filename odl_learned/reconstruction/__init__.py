"""Reconstruction maps ``Phi_theta: data -> image`` as torch modules.

They take the forward operator as maps of tensors, ``bridge.as_module(A)``, and come back as ODL
operators by ``bridge.as_operator(model, A.range, A.domain)``. `Postprocessing` puts a network
behind a known reconstruction. `LearnedProximalGradient` unrolls gradient steps, `GradientStep` and
`MemoryStep`; `LearnedPrimalDual` steps on both sides, `StateStep` and `DataResidual`.
"""

from odl_learned.reconstruction.postprocessing import Postprocessing
from odl_learned.reconstruction.primal_dual import DataResidual, LearnedPrimalDual, StateStep
from odl_learned.reconstruction.unrolled import (
    GradientStep,
    LearnedProximalGradient,
    LearnedStepSize,
    MemoryStep,
)

__all__ = [
    "DataResidual",
    "GradientStep",
    "LearnedPrimalDual",
    "LearnedProximalGradient",
    "LearnedStepSize",
    "MemoryStep",
    "Postprocessing",
    "StateStep",
]
