"""An objective that learns itself: a linear critic tells truths from reconstructions."""

import torch

from odl_learned.learning import Objective


class LinearCritic(Objective):
    r"""``max_w <w, E x - E Phi(y)> - |w|^2 / 2``, approximated by steps of an optimizer.

    The maximum is at ``w = E x - E Phi(y)`` and is half of its squared norm, the maximum mean
    discrepancy of a linear kernel; gradient ascent with a step of one is there at once.
    """

    def __init__(self, size, make_optimizer, steps=1):
        self.weights = torch.nn.Parameter(torch.zeros(size))
        self.optimizer, self.steps = make_optimizer([self.weights]), steps

    def prepare(self, model, batch):
        with torch.no_grad():
            difference = (batch.truth - batch.images(model)).flatten(1)
        for _ in range(self.steps):
            distance = difference @ self.weights - self.weights.square().sum() / 2
            batch.descend(-distance.mean(), self.optimizer)

    def __call__(self, model, batch):
        difference = (batch.truth - batch.images(model)).flatten(1)
        weights = self.weights.detach()
        return (difference @ weights - weights.square().sum() / 2).mean()

    def state_dict(self):
        return {"weights": self.weights.detach(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state):
        with torch.no_grad():
            self.weights.copy_(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
