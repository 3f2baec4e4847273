"""How the parameters of regularizers and reconstruction maps are found, and kept in files."""

from odl_learned.learning.batch import Batch
from odl_learned.learning.best import Best
from odl_learned.learning.files.checkpoint import read_checkpoint
from odl_learned.learning.files.saved import (
    SavedReconstruction,
    load_reconstruction,
    save_reconstruction,
)
from odl_learned.learning.files.saved_regularizers import (
    CONVEX_RIDGE,
    CT_DENOISER,
    DEEP_VARIATION,
    WEAKLY_CONVEX_RIDGE,
    load_regularizer,
    save_regularizer,
)
from odl_learned.learning.group import processes
from odl_learned.learning.losses import mean_squared_error
from odl_learned.learning.objective import Objective, Supervised, WeightedSum
from odl_learned.learning.precision import MixedPrecision
from odl_learned.learning.ridge_start import search_scale
from odl_learned.learning.staged import Stage, adam_with_cosine, train_in_stages
from odl_learned.learning.supervised import train
from odl_learned.learning.training.loading import Workers
from odl_learned.learning.training.record import History

__all__ = [
    "Batch",
    "Best",
    "CONVEX_RIDGE",
    "CT_DENOISER",
    "DEEP_VARIATION",
    "History",
    "MixedPrecision",
    "Objective",
    "SavedReconstruction",
    "Stage",
    "Supervised",
    "WEAKLY_CONVEX_RIDGE",
    "WeightedSum",
    "Workers",
    "adam_with_cosine",
    "load_reconstruction",
    "load_regularizer",
    "mean_squared_error",
    "processes",
    "read_checkpoint",
    "save_reconstruction",
    "save_regularizer",
    "search_scale",
    "train",
    "train_in_stages",
]
