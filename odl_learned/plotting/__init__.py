"""Figures: reconstructions next to the truth, and curves of learning."""

from odl_learned.plotting.compared import comparison
from odl_learned.plotting.curves import learning_curves

__all__ = ["comparison", "learning_curves"]
