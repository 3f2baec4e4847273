"""How the parameters of regularizers and reconstruction maps are found."""

from odl_learned.learning.checkpoint import read_checkpoint
from odl_learned.learning.record import History
from odl_learned.learning.supervised import mean_squared_error, train

__all__ = ["History", "mean_squared_error", "read_checkpoint", "train"]
