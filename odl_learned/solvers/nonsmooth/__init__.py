"""Solvers of nonsmooth problems: proximal gradients and the primal-dual hybrid gradient method.

`steps` are the step rules of the latter, `forward_backward` is the loop of the former.
"""
