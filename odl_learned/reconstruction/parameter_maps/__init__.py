"""Regularization parameters that a network chooses for every pixel, in certified solvers."""
