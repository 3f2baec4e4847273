"""Proximals of total variation and its generalization: certified iterations on the whole batch.

They have no derivative: where the gradient of the solution vanishes, the derivative is that of a
constrained problem, which is as hard to solve as the proximal itself.
"""

import functools

import torch
from torch import nn

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.proximals.lowering import column, lower_proximal
from odl_learned.functionals import TotalGeneralizedVariation, TotalVariation
from odl_learned.solvers import rof, tgv_denoising


class Denoising(nn.Module):
    """``(x, sigma) -> x_hat`` by a solver of batches."""

    def __init__(self, solver, ndim, name):
        super().__init__()
        self.solver, self.ndim, self.name = solver, ndim, name

    def forward(self, x, sigma):
        if isinstance(sigma, tuple):
            column(sigma, x)
        return Denoised.apply(x, sigma.expand(x.shape[: x.ndim - self.ndim]), self)


class Denoised(torch.autograd.Function):
    """The solution, without derivatives."""

    @staticmethod
    def forward(x, sigma, module):
        batch = x.detach().reshape(-1, *x.shape[x.ndim - module.ndim :])
        steps = sigma.detach().reshape(-1)
        return module.solver(batch, steps).x.reshape(x.shape) if len(batch) else x.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.name = inputs[2].name

    @staticmethod
    def backward(ctx, g):
        raise NotImplementedError(_no_derivative(ctx.name))

    @staticmethod
    def jvp(ctx, *tangents):
        raise NotImplementedError(_no_derivative(ctx.name))

    @staticmethod
    def vmap(info, in_dims, x, sigma, module):
        x, sigma = (t.expand(info.batch_size, *t.shape) if dim is None else t.movedim(dim, 0)
                    for t, dim in zip((x, sigma), in_dims))
        return Denoised.apply(x, sigma, module), 0


@lower_proximal.register
def _(f: TotalVariation):
    solver = functools.partial(rof, accuracy=f.accuracy, maxiter=f.maxiter, exponent=f.exponent,
                               cell_sides=f.domain.cell_sides)  # fmt: skip
    return Denoising(solver, layout_of(f.domain).ndim, "TotalVariation")


@lower_proximal.register
def _(f: TotalGeneralizedVariation):
    solver = functools.partial(tgv_denoising, beta=f.beta, accuracy=f.accuracy,
                               maxiter=f.maxiter, cell_sides=f.domain.cell_sides)  # fmt: skip
    return Denoising(solver, layout_of(f.domain).ndim, "TotalGeneralizedVariation")


def _no_derivative(name):
    return (
        f"the proximal of {name} is computed by iterations without derivatives. Detach its input, "
        "or use functionals.SmoothedTV, which has derivatives of every order."
    )
