"""Iterations with networks inside, a fixed number of steps."""
