"""Reconstruction maps ``Phi_theta: data -> image`` as torch modules.

They take the forward operator as maps of tensors, ``bridge.as_module(A)``, and come back as ODL
operators by ``bridge.as_operator(model, A.range, A.domain)``. `Postprocessing` puts a network
behind a known reconstruction. `LearnedProximalGradient` unrolls gradient steps: `GradientStep`,
`MemoryStep`, `FlowStep` along a learned regularizer, and `VariationalStep` of the variational
network. `LearnedPrimalDual` has steps on both sides, `StateStep` and `DataResidual`;
`LearnedShrinkage`, for sparse coefficients, `CoupledShrinkage` or `FreeShrinkage`.
`DeepEquilibrium` is the limit of a step; `Checkpointed` saves the memory of one.
`RegularizedLeastSquares` minimizes a data term and a learned regularizer, with `LastSteps` or
`ImplicitDerivative`, in training from a `WarmStart`. `AUTOMAP` knows no forward operator.

What they begin with, and are compared with: `Tikhonov`, `LeastSquares` and `Landweber`, with their
derivatives; `LearnedLandweber` stops by the discrepancy principle, with `PositiveFilter` in a
direction for which that is proven.
`LearnedSampling` is a pattern that is learned together with a map, `KeptRows` what a map may see of
split data; both change the rows of its operator, `WeighedRows`.

`plug_and_play` is a room of its own: denoisers in splitting methods, with what is proven of them.
`diffusion` is another one: samples of posteriors from a denoiser that is told the noise level.

`stability_report` says how far to trust any of them, and solvers beside them; `tv_map` is total
variation for it. `conformal_bands` puts bands around any of them that hold as many pixels as is
asked, calibrated on other patients; `missed_pixels` or `missed_images` is what may happen rarely,
and `edge_width`, `network_width` or `sample_deviation` a guess where bands are wide.
"""

from odl_learned.reconstruction import diffusion, plug_and_play
from odl_learned.reconstruction.classical import Landweber, LeastSquares
from odl_learned.reconstruction.fully_learned import AUTOMAP
from odl_learned.reconstruction.implicit_maps.equilibrium import DeepEquilibrium
from odl_learned.reconstruction.implicit_maps.regularized import (
    ImplicitDerivative,
    LastSteps,
    RegularizedLeastSquares,
)
from odl_learned.reconstruction.implicit_maps.tikhonov import Tikhonov
from odl_learned.reconstruction.implicit_maps.warm_start import WarmStart
from odl_learned.reconstruction.learned_sampling import (
    LearnedSampling,
    sampling_lines,
    sampling_points,
)
from odl_learned.reconstruction.parameter_maps.adaptive_tgv import AdaptiveTGV
from odl_learned.reconstruction.parameter_maps.adaptive_tv import AdaptiveTV
from odl_learned.reconstruction.parameter_maps.positive_maps import PositiveMaps
from odl_learned.reconstruction.postprocessing import Postprocessing
from odl_learned.reconstruction.sampled import (
    KeptRows,
    SampledReconstruction,
    WeighedRows,
    WeighedRowsAdjoint,
)
from odl_learned.reconstruction.total_variation import tv_map
from odl_learned.reconstruction.trust.conformal import ConformalBands, conformal_bands
from odl_learned.reconstruction.trust.lipschitz import local_lipschitz
from odl_learned.reconstruction.trust.perturbations import WorstPerturbation, worst_perturbation
from odl_learned.reconstruction.trust.risks import missed_images, missed_pixels
from odl_learned.reconstruction.trust.stability import Stability, StabilityReport, stability_report
from odl_learned.reconstruction.trust.structures import small_disc, small_letter
from odl_learned.reconstruction.trust.widths import edge_width, network_width, sample_deviation
from odl_learned.reconstruction.unrolled.checkpointed import Checkpointed
from odl_learned.reconstruction.unrolled.early_stopping import LearnedLandweber
from odl_learned.reconstruction.unrolled.filters import PositiveFilter
from odl_learned.reconstruction.unrolled.gradient_flow import FlowStep
from odl_learned.reconstruction.unrolled.primal_dual import (
    DataResidual,
    LearnedPrimalDual,
    StateStep,
)
from odl_learned.reconstruction.unrolled.proximal_gradient import (
    GradientStep,
    LearnedProximalGradient,
    LearnedStepSize,
    MemoryStep,
)
from odl_learned.reconstruction.unrolled.sparse_coding import (
    CoupledShrinkage,
    FreeShrinkage,
    LearnedShrinkage,
)
from odl_learned.reconstruction.unrolled.variational_network import VariationalStep

__all__ = [
    "AUTOMAP",
    "AdaptiveTGV",
    "AdaptiveTV",
    "Checkpointed",
    "ConformalBands",
    "CoupledShrinkage",
    "DataResidual",
    "DeepEquilibrium",
    "FreeShrinkage",
    "FlowStep",
    "GradientStep",
    "ImplicitDerivative",
    "KeptRows",
    "Landweber",
    "LastSteps",
    "LearnedLandweber",
    "LearnedPrimalDual",
    "LearnedProximalGradient",
    "LearnedSampling",
    "LearnedShrinkage",
    "LearnedStepSize",
    "LeastSquares",
    "MemoryStep",
    "PositiveFilter",
    "PositiveMaps",
    "Postprocessing",
    "RegularizedLeastSquares",
    "SampledReconstruction",
    "Stability",
    "StabilityReport",
    "StateStep",
    "Tikhonov",
    "VariationalStep",
    "WarmStart",
    "WeighedRows",
    "WeighedRowsAdjoint",
    "WorstPerturbation",
    "conformal_bands",
    "diffusion",
    "edge_width",
    "local_lipschitz",
    "missed_images",
    "missed_pixels",
    "network_width",
    "plug_and_play",
    "sample_deviation",
    "sampling_lines",
    "sampling_points",
    "small_disc",
    "small_letter",
    "stability_report",
    "tv_map",
    "worst_perturbation",
]
