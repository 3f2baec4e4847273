"""Norms of operators: in closed form by rules, and bounds from a few applications."""
