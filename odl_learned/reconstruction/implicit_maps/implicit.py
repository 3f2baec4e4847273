r"""Derivatives of a fixed point by the implicit function theorem, for all of torch's modes.

With ``u = T(u, y, p)`` and the Jacobian ``J`` of T in u,

.. math:: du = (I - J)^{-1} \, dT, \qquad g \mapsto (\partial T)^T w, \quad w = g + J^T w .

`differentiable_limit` returns ``u + S (T(u) - u)``, where ``T(u) - u``, next to zero, depends on
data and parameters as T does, u held fixed, and ``S`` is the identity with the derivative
``(I - J)^-1``. Both linear equations are fixed points and are solved as such.
"""

import warnings

import torch

from odl_learned.solvers import DivergenceError, fixed_point


def differentiable_limit(model, data):
    """Return the fixed points of a `DeepEquilibrium`, ``(B, *Y.shape) -> (B, *X.shape)``."""
    u = _Limit.apply(data, model)
    rest = model.image(u, data) - u
    return u + _Resolvent.apply(rest, u, data, model)


class _Limit(torch.autograd.Function):
    """The fixed point as a constant: what the functional transforms of torch see of it."""

    @staticmethod
    def forward(data, model):
        solution = model.solve(data)
        _warn("the equilibrium", solution, model.accuracy)
        return solution.x

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx, g):
        return None, None

    @staticmethod
    def jvp(ctx, ddata, dmodel):
        return None


class _Resolvent(torch.autograd.Function):
    """The identity, with the derivative ``(I - J)^-1`` at a fixed point."""

    @staticmethod
    def forward(rest, u, data, model):
        return rest.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, u, data, ctx.model = inputs
        ctx.save_for_backward(u, data)
        ctx.save_for_forward(u, data)

    @staticmethod
    def backward(ctx, g):
        return _Solved.apply(g, *ctx.saved_tensors, ctx.model, True), None, None, None

    @staticmethod
    def jvp(ctx, drest, du, ddata, dmodel):
        return _Solved.apply(drest, *ctx.saved_tensors, ctx.model, False)


class _Solved(torch.autograd.Function):
    """``(I - J)^-1 g``, or with the transpose of J, as a fixed point; it has no derivative."""

    @staticmethod
    def forward(g, u, data, model, transposed):
        products = (_Transposed if transposed else _Products)(model, u, data, g)
        try:
            solution = fixed_point(products, g.clone(), model.backward_accuracy, model.maxiter,
                                   model.memory)  # fmt: skip
        except DivergenceError as error:
            raise DivergenceError(
                f"the derivative of the equilibrium diverges ({error}) The step is expansive at "
                "the fixed point, so that there is no derivative of a limit."
            ) from error
        _warn("the derivative of the equilibrium", solution, model.backward_accuracy)
        return solution.x

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, g):
        raise NotImplementedError(
            "a second derivative of a deep equilibrium was asked for, expected first ones only; "
            "unroll the step by LearnedProximalGradient for it."
        )


class _Transposed:
    """``w -> g + J^T w`` at fixed points ``u``."""

    def __init__(self, model, u, data, g):
        self.model, self.u, self.data, self.g = model, u, data, g
        with torch.enable_grad():
            self.point = u.detach().requires_grad_()
            self.image = model.image(self.point, data.detach())

    def __call__(self, w):
        (product,) = torch.autograd.grad(self.image, self.point, w, retain_graph=True)
        return self.g + product

    def take(self, index):
        return type(self)(self.model, self.u[index], self.data[index], self.g[index])


class _Products(_Transposed):
    """``v -> g + J v``: the derivative of ``w -> J^T w``, which is linear, is ``v -> J v``."""

    def __init__(self, model, u, data, g):
        super().__init__(model, u, data, g)
        with torch.enable_grad():
            self.dual = torch.zeros_like(self.image, requires_grad=True)
            (self.slope,) = torch.autograd.grad(self.image, self.point, self.dual,
                                                create_graph=True)  # fmt: skip

    def __call__(self, v):
        (product,) = torch.autograd.grad(self.slope, self.dual, v, retain_graph=True)
        return self.g + product


def _warn(what, solution, accuracy):
    missed = solution.reason != "accuracy"
    if missed.any():
        warnings.warn(
            f"{what} was not reached in {missed.sum()} of {len(missed)} samples after "
            f"{solution.niter.max()} iterations: the largest residual |T(u) - u| is "
            f"{solution.residual[missed].max():.3g}, expected {accuracy:.1e} times |T(u)|. Pass a "
            "larger maxiter; if it does not help, the step is no contraction.",
            RuntimeWarning,
            stacklevel=2,
        )
