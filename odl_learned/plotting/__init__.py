"""Figures: reconstructions next to the truth and of perturbed data, and curves of learning."""

from odl_learned.plotting.compared import comparison
from odl_learned.plotting.curves import learning_curves
from odl_learned.plotting.l_curve import l_curve
from odl_learned.plotting.perturbed import perturbations
from odl_learned.plotting.volumes import volume_comparison

__all__ = ["comparison", "l_curve", "learning_curves", "perturbations", "volume_comparison"]
