"""Objectives of training beside supervised losses: they compare data, and need no truth.

Each is a value for ``learning.train(model, pairs, loss=...)``, where the items of `pairs` may be
data alone; `learning.WeightedSum` adds them up. `Adversarial` is for regularizers, which it teaches
to tell truths from naive reconstructions. `Autoencoding`, `EvidenceLowerBound` and `Wasserstein`
are for generative models, `networks.generative`, and their data are images.
`DenoisingScoreMatching`, over noise levels such as `LogUniformLevels` with a weight such as
`BalancedWeight`, is for denoisers of `reconstruction.diffusion`.
"""

from odl_learned.learning.objectives.adversarial import Adversarial
from odl_learned.learning.objectives.direct import Direct
from odl_learned.learning.objectives.energy_gap import EnergyGap
from odl_learned.learning.objectives.equivariance import Equivariance
from odl_learned.learning.objectives.generative import Autoencoding, EvidenceLowerBound
from odl_learned.learning.objectives.measured import DataConsistency, Noise2Noise
from odl_learned.learning.objectives.noise import SURE, Recorrupted
from odl_learned.learning.objectives.score_matching import (
    BalancedWeight,
    DenoisingScoreMatching,
    LogUniformLevels,
)
from odl_learned.learning.objectives.splits import (
    Noise2Inverse,
    PointSplit,
    SelfSupervisedSplit,
    ViewSplit,
    normalized_losses,
)
from odl_learned.learning.objectives.wasserstein import Wasserstein

__all__ = [
    "Adversarial",
    "Autoencoding",
    "BalancedWeight",
    "SURE",
    "DataConsistency",
    "DenoisingScoreMatching",
    "Direct",
    "EnergyGap",
    "Equivariance",
    "EvidenceLowerBound",
    "LogUniformLevels",
    "Noise2Inverse",
    "Noise2Noise",
    "PointSplit",
    "Recorrupted",
    "SelfSupervisedSplit",
    "ViewSplit",
    "Wasserstein",
    "normalized_losses",
]
