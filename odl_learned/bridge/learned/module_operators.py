"""The ODL operators and functionals that evaluate and differentiate a torch module.

With ``J`` the Jacobian of the module and ``W`` the weights of the inner products, ODL's notions are

    derivative   F'(x) h   = J h,                 by forward-mode differentiation (jvp),
    adjoint      F'(x)* y  = W_X^-1 J^H W_Y y,    by reverse-mode differentiation (vjp),
    gradient     grad f(x) = W_X^-1 (Euclidean gradient).
"""

import odl
import torch

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import each


class ModuleOperator(odl.Operator):
    """A torch module as an ODL operator; see `to_odl.as_operator`."""

    def __init__(self, module, domain, range):
        super().__init__(domain, range, linear=bool(getattr(module, "is_linear", False)))
        self.module = module
        self.source, self.target = layout_of(domain), layout_of(range)

    def evaluate(self, x):
        """The module on one tensor ``domain.shape`` without batch axes."""
        y = _on_one(self.module, x)
        name = f"output of {type(self.module).__name__}"
        self.target.check(y, name)
        if tuple(self.target.batch_shape(y)) != (1,):
            raise ValueError(
                f"{name} has the batch axes {tuple(self.target.batch_shape(y))}, expected (1,) for "
                "a batch of one; keep the batch axis in the module."
            )
        return each(lambda part: part.squeeze(0), y)

    def to_tensor(self, x):
        """An element of the domain as a tensor on the device of the module."""
        device = next((t.device for t in _tensors(self.module)), torch.device("cpu"))
        # A copy: modules may return their input, or write into it.
        return each(lambda part: part.to(device, copy=True), self.source.to_tensor(x))

    def _call(self, x):
        with torch.no_grad():
            return self.target.to_element(self.evaluate(self.to_tensor(x)))

    def derivative(self, point):
        """The linear operator ``h -> J(point) h``."""
        return self if self.is_linear else ModuleDerivative(self, point)

    @property
    def adjoint(self):
        """The adjoint of a linear module, ``y -> W_X^-1 J^H W_Y y``."""
        if not self.is_linear:
            raise odl.OpNotImplementedError(
                f"{type(self.module).__name__} is nonlinear and has no adjoint; expected a linear "
                "one. Use op.derivative(x).adjoint."
            )
        return ModuleDerivative(self, self.domain.zero()).adjoint


class ModuleDerivative(odl.Operator):
    """``h -> J(point) h``, by jvp."""

    def __init__(self, operator, point):
        super().__init__(operator.domain, operator.range, linear=True)
        self.operator, self.point = operator, self.domain.element(point).copy()

    def _call(self, h):
        op = self.operator
        x, direction = op.to_tensor(self.point), op.to_tensor(h)
        _, y = torch.func.jvp(op.evaluate, (x,), (direction,))
        return op.target.to_element(y)

    @property
    def adjoint(self):
        """``y -> W_X^-1 J^H W_Y y``."""
        return ModuleDerivativeAdjoint(self)


class ModuleDerivativeAdjoint(odl.Operator):
    """``y -> W_X^-1 J(point)^H W_Y y``, by vjp."""

    def __init__(self, derivative):
        super().__init__(derivative.range, derivative.domain, linear=True)
        self.forward_op = derivative

    def _call(self, y):
        op = self.forward_op.operator
        x = op.to_tensor(self.forward_op.point)
        g = op.target.weigh(op.target.to_tensor(y))
        _, transpose = torch.func.vjp(op.evaluate, x)
        (z,) = transpose(each(lambda part: part.to(_first(x).device), g))
        return op.source.to_element(op.source.unweigh(z))

    @property
    def adjoint(self):
        """The derivative of which this is the adjoint."""
        return self.forward_op


class ModuleFunctional(odl.functionals.Functional):
    """A torch module with one real value per sample as an ODL functional."""

    weak_convexity: float  # where it is known

    def __init__(self, module, domain):
        super().__init__(domain, linear=False)
        self.module, self.source = module, layout_of(domain)

    def evaluate(self, x):
        """The value at one tensor ``domain.shape`` without batch axes, a tensor of shape ``()``."""
        value = _on_one(self.module, x)
        if not isinstance(value, torch.Tensor):
            raise TypeError(
                f"{type(self.module).__name__} returned a {type(value).__name__}, expected a "
                "tensor of shape (1,) for a batch of one; compute with torch, without .item()."
            )
        if value.shape != (1,) or value.is_complex():
            raise ValueError(
                f"{type(self.module).__name__} returned {value.dtype} of shape "
                f"{tuple(value.shape)} for a batch of one, expected one real number per sample, "
                "of shape (1,). Sum over all axes but the first."
            )
        return value.squeeze(0)

    to_tensor = ModuleOperator.to_tensor

    def _call(self, x):
        with torch.no_grad():
            return self.evaluate(self.to_tensor(x)).item()

    @property
    def gradient(self):
        """The operator ``x -> W_X^-1 (Euclidean gradient)``."""
        return ModuleGradient(self)


class ModuleGradient(odl.Operator):
    """Riesz representative of the derivative of a :class:`ModuleFunctional`."""

    def __init__(self, functional):
        super().__init__(functional.domain, functional.domain, linear=False)
        self.functional = functional

    def euclidean(self, x):
        """Euclidean gradient at one tensor."""
        return torch.func.grad(self.functional.evaluate)(x)

    def _call(self, x):
        f = self.functional
        return f.source.to_element(f.source.unweigh(self.euclidean(f.to_tensor(x))))

    def derivative(self, point):
        """The Hessian at a point, ``h -> W_X^-1 H h``; it is its own adjoint."""
        return ModuleHessian(self, point)


class ModuleHessian(odl.Operator):
    """``h -> W_X^-1 H(point) h``, by forward over reverse differentiation."""

    def __init__(self, gradient, point):
        super().__init__(gradient.domain, gradient.domain, linear=True)
        self.gradient, self.point = gradient, self.domain.element(point).copy()

    def _call(self, h):
        f = self.gradient.functional
        x, direction = f.to_tensor(self.point), f.to_tensor(h)
        _, product = torch.func.jvp(self.gradient.euclidean, (x,), (direction,))
        return f.source.to_element(f.source.unweigh(product))

    @property
    def adjoint(self):
        """The Hessian is self-adjoint."""
        return self


def _on_one(module, x):
    """The module on a batch of one tensor, or tuple of tensors."""
    try:
        return module(each(lambda part: part.unsqueeze(0), x))
    except (NotImplementedError, torch.OutOfMemoryError):
        raise
    except RuntimeError as error:
        raise RuntimeError(
            f"{type(module).__name__} failed on {_described(x)}: {error}. Expected a module that "
            "maps (*batch, *domain.shape) in the dtype of the domain; convert one of them, for "
            "example with module.to(dtype)."
        ) from error


def _described(x):
    if isinstance(x, tuple):
        return ", ".join(map(_described, x))
    return f"a tensor of shape {(1, *x.shape)} and {x.dtype}"


def _tensors(module):
    yield from module.parameters()
    yield from module.buffers()


def _first(x):
    return _first(x[0]) if isinstance(x, tuple) else x
