"""How the parameters of regularizers and reconstruction maps are found, and kept in files."""

from odl_learned.learning.checkpoint import read_checkpoint
from odl_learned.learning.record import History
from odl_learned.learning.saved import (
    SavedReconstruction,
    load_reconstruction,
    save_reconstruction,
)
from odl_learned.learning.supervised import mean_squared_error, train

__all__ = [
    "History",
    "SavedReconstruction",
    "load_reconstruction",
    "mean_squared_error",
    "read_checkpoint",
    "save_reconstruction",
    "train",
]
