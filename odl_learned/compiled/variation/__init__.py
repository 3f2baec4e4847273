"""Loops over neighboring pixels: total variation, its generalization, differences."""
