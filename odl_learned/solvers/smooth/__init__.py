"""Solvers of smooth problems: accelerated gradients, Newton's method, and preconditioners of both.

`weakly_convex` finds stationary points, the others minimizers with a bound of their distance.
"""
