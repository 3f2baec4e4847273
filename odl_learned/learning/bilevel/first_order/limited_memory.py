"""Descent directions from the last steps (L-BFGS), for parameters in a box."""

import torch


class LimitedMemory:
    r"""The last pairs ``s = theta' - theta``, ``y = grad f(theta') - grad f(theta)``.

    Parameters
    ----------
    size : int
        Number of pairs that are kept.
    """

    def __init__(self, size):
        self.size, self.pairs = size, []

    def update(self, s, y):
        """Keep a pair, if the function is curved upward along it."""
        if float(s @ y) > 1e-8 * float(s.norm() * y.norm()):
            self.pairs = [*self.pairs, (s, y)][-self.size :]

    def clear(self):
        """Forget all pairs."""
        self.pairs = []

    @property
    def stretch(self):
        """The largest inverse curvature along the pairs, zero without any."""
        return max((float(s @ s) / float(s @ y) for s, y in self.pairs), default=0.0)

    def direction(self, gradient, free):
        r"""Return ``-H g`` on the free parameters, and ``-c g`` on the others.

        The inverse Hessian ``H`` of the free parameters is that of the pairs restricted to them (J.
        Nocedal and S. J. Wright, Numerical Optimization, Algorithm 7.4); pairs without curvature
        there are left out. The number ``c`` is its initial multiple of the identity.

        Parameters
        ----------
        gradient : tensor ``(P,)``
        free : bool tensor ``(P,)``
        """
        pairs, scale = [], 1.0
        for s, y in self.pairs:
            s, y = s * free, y * free
            product = float(s @ y)
            if product > 1e-8 * float(s.norm() * y.norm()):
                pairs.append((s, y, product))
        q = gradient * free
        weights = []
        for s, y, product in reversed(pairs):
            weights.append(float(s @ q) / product)
            q = q - weights[-1] * y
        if pairs:
            s, y, product = pairs[-1]
            scale = product / float(y @ y)
        q = scale * q
        for (s, y, product), weight in zip(pairs, reversed(weights), strict=True):
            q = q + (weight - float(y @ q) / product) * s
        return -torch.where(free, q, scale * gradient)

    def state(self):
        """Return what a checkpoint may hold."""
        return [list(pair) for pair in self.pairs]

    def restore(self, state):
        """Put a state back."""
        self.pairs = [tuple(pair) for pair in state]


def free_parameters(params, gradient, lower, upper):
    """Return which parameters are not held at a bound by the gradient, a bool tensor ``(P,)``.

    A little before the bound they count as held (D. P. Bertsekas, Projected Newton methods for
    optimization problems with simple constraints, SIAM J. Control Optim. 20, 1982).
    """
    step = torch.minimum(torch.maximum(params - gradient, lower), upper) - params
    near = min(1e-6, float(step.norm()))
    held = ((params <= lower + near) & (gradient > 0)) | ((params >= upper - near) & (gradient < 0))
    return ~held
