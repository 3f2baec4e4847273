"""Minimizers of energies in autograd: constants, and the derivative of the limit.

A model has ``solve(data)``, ``energy(data)`` with ``gradient(x)`` and ``hessian(x)``, and
``derivative``, such as `regularized.RegularizedLeastSquares`.
"""

import torch

from odl_learned.reconstruction.tensor_maps import require_data_of
from odl_learned.solvers import conjugate_gradient


class Energy:
    """``E`` for the data of some samples."""

    def __init__(self, model, data, regularizer):
        self.model, self.data, self.regularizer = model, data, regularizer
        self.back = model.adjoint_op(data)

    def gradient(self, x):
        """Return ``A^* (A x - y) + alpha grad R(x)``."""
        model = self.model
        simulated = model.forward_op(x)
        require_data_of(simulated, self.data, x)
        return (model.adjoint_op(simulated) - self.back
                + model.alpha * self.regularizer.gradient(x))  # fmt: skip

    def hessian(self, x):
        """Return ``E''(x)``."""
        return _Hessian(self, x)

    def take(self, index):
        """Return the same for some of the samples."""
        return Energy(self.model, self.data[index], self.regularizer)


class Minimizer(torch.autograd.Function):
    """The minimizers as constants: what the functional transforms of torch see of them."""

    @staticmethod
    def forward(data, model):
        return model.solve(data).x

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx, slope):
        return None, None

    @staticmethod
    def jvp(ctx, ddata, dmodel):
        return None


class Inverse(torch.autograd.Function):
    """``g -> 0``, next to the zero ``g``, with the derivative ``H^-1``, which is symmetric."""

    @staticmethod
    def forward(g, x, data, model):
        return torch.zeros_like(g)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, x, data, ctx.model = inputs
        ctx.save_for_backward(x, data)
        ctx.save_for_forward(x, data)

    @staticmethod
    def backward(ctx, slope):
        return _Solved.apply(slope, *ctx.saved_tensors, ctx.model), None, None, None

    @staticmethod
    def jvp(ctx, dg, dx, ddata, dmodel):
        return _Solved.apply(dg, *ctx.saved_tensors, ctx.model)


class _Solved(torch.autograd.Function):
    """``H^-1 g`` by conjugate gradients; it has no derivative."""

    @staticmethod
    def forward(g, x, data, model):
        rule = model.derivative
        accuracy = rule.accuracy * g.flatten(1).norm(dim=1).clamp_min(
            torch.finfo(g.dtype).tiny)  # fmt: skip
        return conjugate_gradient(model.energy(data).hessian(x), g, torch.zeros_like(g),
                                  accuracy.cpu().numpy(), rule.maxiter).x  # fmt: skip

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, g):
        raise NotImplementedError(
            "a second derivative of a minimizer was asked for, expected first ones only; for "
            "RegularizedLeastSquares, differentiate LastSteps instead.")


class _Hessian:
    """``v -> E''(x) v``, in closed form where the regularizer has one; it is symmetric."""

    is_linear = True

    def __init__(self, energy, x):
        self.energy, self.x = energy, x.detach()
        closed = getattr(energy.regularizer, "curvature", None)
        self.curvature = self._by_backward() if closed is None or x.is_complex() else closed(self.x)

    def _by_backward(self):
        with torch.enable_grad():
            x = self.x.requires_grad_()
            slope = self.energy.regularizer.gradient(x)
        return lambda v: torch.autograd.grad(slope, x, v, retain_graph=True)[0]

    def __call__(self, v):
        model = self.energy.model
        product = model.adjoint_op(model.forward_op(v)) + model.alpha * self.curvature(v)
        return product.detach()

    @property
    def adjoint(self):
        """Itself."""
        return self

    def take(self, index):
        """Return the same for some of the samples."""
        return _Hessian(self.energy.take(index), self.x.detach()[index])
