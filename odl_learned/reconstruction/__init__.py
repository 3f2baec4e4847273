"""Reconstruction maps ``Phi_theta: data -> image`` as torch modules."""

from odl_learned.reconstruction.unrolled import (
    GradientStep,
    LearnedProximalGradient,
    LearnedStepSize,
    MemoryStep,
)

__all__ = ["GradientStep", "LearnedProximalGradient", "LearnedStepSize", "MemoryStep"]
