"""Functionals of a user, without a native rule: Hessians by ODL's derivative of the gradient."""

import copy

import numpy as np
import odl
import pytest
import torch
from instances.spaces import GRAD, RA, XC, F, X
from mistakes import Quartic, Square
from test_errors_bridge import ORDERS

from odl_learned.bridge import as_functional, as_gradient_module, as_module
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import each
from odl_learned.conformance.sampling import flat
from odl_learned.conformance.tensors import as_tensor, entries
from odl_learned.operators import random_element
from odl_learned.weights import weigh

EDGES = odl.uniform_discr([0, 0], [1, 2], (5, 7), nodes_on_bdry=True)
PAIR = odl.ProductSpace(X, RA, weighting=[2.0, 3.0])


class ComplexQuartic(odl.functionals.Functional):
    """``sum_j w_j |x_j|^4``: gradient ``4 |x|^2 x``, Hessian ``4 |x|^2 h + 8 Re(conj(x) h) x``."""

    def __init__(self, space):
        super().__init__(space)

    def _call(self, x):
        return float(np.real((x * x).inner(x * x)))

    @property
    def gradient(self):
        return ComplexQuarticGradient(self.domain)


class ComplexQuarticGradient(odl.Operator):
    def __init__(self, space):
        super().__init__(space, space)

    def _call(self, x):
        return self.range.element(4 * np.abs(x.data) ** 2 * x.data)

    def derivative(self, x):
        return ComplexQuarticHessian(x)


class ComplexQuarticHessian(odl.Operator):
    def __init__(self, x):
        super().__init__(x.space, x.space, linear=True)
        self.x = x.data.copy()

    def _call(self, h):
        x = self.x
        return self.range.element(
            4 * np.abs(x) ** 2 * h.data + 8 * np.real(x.conj() * h.data) * x)

    @property
    def adjoint(self):
        return self


@pytest.mark.parametrize("order", ORDERS[:3], ids=lambda order: order.__name__)
@pytest.mark.parametrize("f", [Quartic(X), Quartic(RA), Quartic(EDGES), ComplexQuartic(XC),
                               Quartic(PAIR)], ids=["X", "array", "edges", "complex", "pair"])
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_hessian_of_a_functional_without_a_rule(f, order, rng):
    """Euclidean: ``W H(x) x``, and for the quartics ``H(x) x = 3 grad f(x)``."""
    x = random_element(f.domain, rng)
    point = as_tensor(f, x)
    expected = flat(weigh(3 * f.gradient(x)))
    if order.__name__ == "forward_over_forward":  # <x, W H(x) x>
        expected = np.vdot(flat(x), expected).real
    _, product = got = order(as_module(f), point), order(as_module(f), point)
    product = got[0][1] if order.__name__ != "reverse_over_forward" else got[0]
    np.testing.assert_allclose(entries(product), expected, rtol=1e-12)


@pytest.mark.parametrize("f", [Quartic(X), Quartic(RA), Quartic(EDGES), ComplexQuartic(XC)],
                         ids=["X", "array", "edges", "complex"])
def test_gradient_module_is_differentiable(f, rng):
    """Its Jacobian is ``H``, and backward the transpose ``W H W^-1`` of that."""
    x, h = (random_element(f.domain, rng) for _ in range(2))
    module, point = as_gradient_module(f), as_tensor(f, x)
    y, product = torch.func.jvp(module, (point,), (as_tensor(f, h),))
    np.testing.assert_allclose(entries(y), flat(f.gradient(x)), rtol=1e-13)
    hessian = f.gradient.derivative(x)
    np.testing.assert_allclose(entries(product), flat(hessian(h)), rtol=1e-12)
    batch = torch.stack([point, 2 * point]).requires_grad_()
    (back,) = torch.autograd.grad(module(batch), batch, as_tensor(f, h).expand(batch.shape))
    layout = layout_of(f.domain)
    over = layout.unweigh(as_tensor(f, h))
    expected = weigh(hessian(f.domain.element(over.numpy())))
    np.testing.assert_allclose(entries(back[0]), flat(expected), rtol=1e-11)
    np.testing.assert_allclose(entries(back[1]), 4 * flat(expected), rtol=1e-11)


def test_sums_and_compositions_have_hessians(rng):
    """``2 f(grad x) + |x|^2``, against its second difference."""
    f = 2.0 * Quartic(GRAD.range) @ GRAD + F.L2NormSquared(X)
    x = as_tensor(f, random_element(X, rng)).requires_grad_()
    module = as_module(f)
    assert torch.autograd.gradcheck(module, x, fast_mode=True)
    assert torch.autograd.gradgradcheck(module, x, fast_mode=True)
    assert torch.autograd.gradcheck(as_gradient_module(f), x, fast_mode=True)
    down = as_functional(module, X)
    point, h = (random_element(X, rng) for _ in range(2))
    hessian = down.gradient.derivative(point)(h)
    t = 1e-4
    quotient = (1 / (2 * t)) * (f.gradient(point + t * h) - f.gradient(point - t * h))
    assert (hessian - quotient).norm() <= 1e-6 * quotient.norm()


def test_a_gradient_of_odl_expressions_has_derivatives_of_every_order(rng):
    """Where the gradient has a rule, nothing of it is looped."""

    class Energy(odl.functionals.Functional):
        def __init__(self):
            super().__init__(X)

        def _call(self, x):
            return 0.25 * (x * x).inner(x * x)

        @property
        def gradient(self):
            return odl.PowerOperator(X, 3.0)

    x, h = (as_tensor(Energy(), random_element(X, rng)) for _ in range(2))
    module = as_module(Energy())

    def along(function):
        return lambda z: torch.func.jvp(function, (z,), (h,))[1]

    third = along(along(along(module)))(x)
    weight = float(X.weighting.const)
    torch.testing.assert_close(third, weight * (6 * x * h**3).sum(), rtol=1e-12, atol=0)


def test_third_derivatives_and_gradients_without_derivative_are_errors():
    class Plain(Quartic):
        @property
        def gradient(self):
            return Square(self.domain)  # no derivative; as a gradient it is wrong, too

    x = torch.ones(5, 7, dtype=torch.float64)
    hessian = torch.func.grad(lambda z: torch.func.grad(as_module(Quartic(X)))(z).sum())
    torch.testing.assert_close(hessian(x), 12 * float(X.weighting.const) * x)
    with pytest.raises(NotImplementedError, match="QuarticGradient.*lower.register"):
        torch.func.grad(lambda z: hessian(z).sum())(x)
    with pytest.raises(NotImplementedError, match="Square cannot be differentiated"):
        torch.func.grad(lambda z: torch.func.grad(as_module(Plain(X)))(z).sum())(x)


def test_gradients_of_odl_without_a_rule_are_looped_themselves():
    """The gradient of such a functional is not lowered by way of its functional, in a circle."""
    f = F.RosenbrockFunctional(odl.rn(4), scale=2.0)
    x = torch.tensor([0.3, -0.2, 0.5, 1.0], dtype=torch.float64)
    np.testing.assert_allclose(
        as_gradient_module(f)(x), f.gradient(f.domain.element(x.numpy())).data, rtol=1e-14)
    gradient = torch.func.grad(as_module(f))
    h = torch.tensor([1.0, 2.0, -1.0, 0.5], dtype=torch.float64)
    product = torch.func.jvp(gradient, (x,), (h,))[1]
    quotient = (gradient(x + 1e-5 * h) - gradient(x - 1e-5 * h)) / 2e-5
    torch.testing.assert_close(product, quotient, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("linear", [True, False])
def test_products_of_products_without_a_rule(linear, rng):
    """``((x, y), z) -> ((2 x, 2 y), 2 z)``, looped over tuples of tuples."""

    class Double(odl.Operator):
        def __init__(self, space):
            super().__init__(space, space, linear=linear)

        def _call(self, x):
            return 2 * x

        def derivative(self, x):
            return odl.ScalingOperator(self.domain, 2.0)

        @property
        def adjoint(self):
            return self

    space = odl.ProductSpace(PAIR, X)
    x = as_tensor(Double(space), random_element(space, rng))
    batch = each(lambda part: torch.stack([part, -part]), x)
    y, transpose = torch.func.vjp(as_module(Double(space)), batch)
    np.testing.assert_array_equal(entries(y), 2 * entries(batch))
    np.testing.assert_allclose(entries(transpose(batch)[0]), 2 * entries(batch), rtol=1e-15)


def test_copies_of_lowered_modules_share_no_memory():
    """Also not their empty-looking buffers, whose addresses are compared by other tools."""
    module = as_module(GRAD.adjoint @ GRAD + odl.IdentityOperator(X))
    pointers = [{t.data_ptr() for t in m.buffers()} for m in (module, copy.deepcopy(module))]
    assert pointers[0] and 0 not in pointers[0] and not pointers[0] & pointers[1]
