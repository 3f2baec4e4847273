"""Loops along rays: projections, backprojections, and products with their matrices."""
