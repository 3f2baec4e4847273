r"""The proximal of least squares: conjugate gradients, with implicit derivatives of every order.

With ``M = I + sigma N`` and ``N = A* A`` it is ``u = M^-1 b`` for ``b = x + sigma A* y``, so that

    du = M^-1 (db - d sigma  N u) ,

whose transpose solves the same equation: ``W M^-1 W^-1`` is the transpose of ``M^-1``.
"""

import torch
from torch import nn

from odl_learned.bridge.batches.batch_space import BatchSpace
from odl_learned.bridge.batches.stacking import select
from odl_learned.bridge.forward_mode import jvp_rule
from odl_learned.bridge.layouts.layout import TensorLayout, layout_of
from odl_learned.bridge.layouts.nested import Held
from odl_learned.bridge.lowering import lower
from odl_learned.bridge.proximals.lowering import column, lower_proximal, opaque, rows
from odl_learned.functionals import LeastSquares
from odl_learned.functionals.fidelities.least_squares import settled
from odl_learned.solvers import conjugate_gradient


class LeastSquaresStep(nn.Module):
    """``(x, sigma) -> (I + sigma A* A)^-1 (x + sigma A* y)``."""

    def __init__(self, f):
        super().__init__()
        self.space, self.layout = BatchSpace(f.domain), layout_of(f.domain)
        self.accuracy, self.maxiter = f.accuracy, f.maxiter
        self.normal = lower(f.normal)
        self.back = Held(self.layout.to_tensor(f.back))

    def forward(self, x, sigma):
        b = x + column(sigma, x) * self.back()
        if not b.numel():
            return b
        steps = sigma.expand(self.layout.batch_shape(b))
        shape = b.shape[b.ndim - self.layout.ndim :]
        flat = (b.reshape(-1, *shape), steps.reshape(-1).to(b.real.dtype))
        return Inverse.apply(*flat, x.detach().reshape(-1, *shape), self).reshape(b.shape)

    def inverse(self, b, sigma, start):
        """``(I + sigma N)^-1 b`` of batches ``(B, *shape)``, without derivatives."""
        size = self.space.norm(b).clamp_min(torch.finfo(b.dtype).tiny)
        target = self.accuracy * size.cpu().numpy()
        return settled(conjugate_gradient(System(self.normal, sigma, self.space), b, start, target,
                                          self.maxiter, lower_bound=1.0))  # fmt: skip


class System:
    """``u -> u + sigma N u`` with one step for each sample."""

    def __init__(self, normal, sigma, space):
        self.normal, self.sigma, self.domain = normal, sigma, space

    def __call__(self, u):
        return u + rows(self.sigma, u) * self.normal(u)

    def take(self, index):
        """The system of some of the samples."""
        index = torch.as_tensor(index, device=self.sigma.device)
        return System(select(self.normal, index), self.sigma[index], self.domain)


class Inverse(torch.autograd.Function):
    """``(b, sigma) -> (I + sigma N)^-1 b``, whose derivatives are maps of the same kind."""

    @staticmethod
    def forward(b, sigma, start, step):
        return step.inverse(b.detach(), sigma.detach(), start)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, sigma, _, ctx.step = inputs
        ctx.save_for_backward(output, sigma)
        ctx.save_for_forward(output, sigma)

    @staticmethod
    def backward(ctx, g):
        (u, sigma), step = ctx.saved_tensors, ctx.step
        h = step.layout.unweigh(g)
        w = step.layout.weigh(Inverse.apply(h, sigma, torch.zeros_like(h), step))
        slope = -(w.conj() * step.normal(u)).real.flatten(1).sum(1)
        return w, slope, None, None

    @staticmethod
    @jvp_rule
    def jvp(ctx, saved, db, dsigma, *_):
        (u, sigma), step = saved, ctx.step
        change = torch.zeros_like(u) if db is None else db
        if dsigma is not None:
            change = change - rows(dsigma, u) * step.normal(u)
        return Inverse.apply(change, sigma, torch.zeros_like(u), step)

    @staticmethod
    def vmap(info, in_dims, b, sigma, start, step):
        """Maps over one axis of images are one larger batch."""
        size = info.batch_size
        b, sigma, start = (t.expand(size, *t.shape) if dim is None else t.movedim(dim, 0)
                           for t, dim in zip((b, sigma, start), in_dims))
        flat = (t.reshape(-1, *t.shape[2:]) for t in (b, sigma, start))
        return Inverse.apply(*flat, step).reshape(b.shape), 0


@lower_proximal.register
def _(f: LeastSquares):
    return LeastSquaresStep(f) if isinstance(layout_of(f.domain), TensorLayout) else opaque(f)
