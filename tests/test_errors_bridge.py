"""Bad input to the bridge and its batches; and what looks like a mistake but is none."""

import numpy as np
import odl
import pytest
import torch
from mistakes import (
    BOX,
    FIDELITY,
    ONE,
    PAIR,
    PROBLEM,
    RAY,
    SMALL,
    TV,
    TWO,
    A,
    C,
    Double,
    Map,
    SmoothSquare,
    Square,
    T,
    Value,
    X,
    check_message,
    rows,
)
from torch import nn

from odl_learned import operators
from odl_learned.bridge import as_batch, as_functional, as_module, as_operator


def backward(op, x=T):
    x = x.clone().requires_grad_()
    as_module(op)(x).sum().backward()


BRIDGE = [
    ("module of a module", lambda: as_module(nn.Identity()), TypeError,
     "expected an ODL operator.*got Identity.*as_operator"),
    ("module of an array", lambda: as_module(ONE), TypeError,
     "expected an ODL operator.*got ndarray"),
    ("space without inner product", lambda: as_module(odl.IdentityOperator(
        odl.rn(3, exponent=1))), TypeError, "exponent 1.*expected 2.*exponent=2"),
    ("array into a module", lambda: as_module(A)(ONE), TypeError,
     r"input is a ndarray, expected one tensor.*\*batch, 4, 4.*torch.from_numpy"),
    ("element into a module", lambda: as_module(A)(X.one()), TypeError,
     "DiscretizedSpaceElement, expected one tensor.*operator itself"),
    ("wrong shape", lambda: as_module(A)(torch.ones(4, 5)), ValueError,
     r"shape \(4, 5\), expected \(\*batch, 4, 4\).*reshape"),
    ("too few axes", lambda: as_module(A)(torch.ones(4)), ValueError,
     r"shape \(4,\), expected \(\*batch, 4, 4\).*reshape"),
    ("wrong dtype", lambda: as_module(A)(T.double()), TypeError,
     r"float64 on cpu, expected torch.float32 on cpu.*\.to"),
    ("complex into a real module", lambda: as_module(A)(T + 0j), TypeError,
     "complex64 on cpu, expected torch.float32"),
    ("wrong device", lambda: as_module(A)(T.to("meta")), TypeError,
     r"float32 on meta, expected torch.float32 on cpu.*\.to"),
    ("module moved away", lambda: as_module(A).to("meta")(T), TypeError,
     "on cpu, expected torch.float32 on meta"),
    ("tensor for a pair", lambda: as_module(odl.IdentityOperator(PAIR))(T), TypeError,
     "input is a Tensor, expected a tuple of 2.*Pass"),
    ("half a pair", lambda: as_module(odl.IdentityOperator(PAIR))((T,)), TypeError,
     "tuple of 1 entries, expected a tuple of 2.*Pass"),
    ("wrong part of a pair", lambda: as_module(odl.IdentityOperator(PAIR))((T, T)), ValueError,
     r"input\[1\] has shape \(4, 4\), expected \(\*batch, 3, 3\)"),
    ("unequal batches", lambda: as_module(odl.IdentityOperator(PAIR))(
        (torch.ones(2, 4, 4), torch.ones(1, 3, 3))), ValueError,
     r"batch axes \[\(2,\), \(1,\)\], expected the same.*expand"),
    ("no derivative", lambda: backward(Square(X)), NotImplementedError,
     "Square cannot be differentiated.*derivative.*lower.register.*no_grad"),
    ("no gradient", lambda: backward(Value(X)), NotImplementedError,
     "Value cannot be differentiated.*gradient.*lower.register.*no_grad"),
    ("no adjoint", lambda: backward(Double(X)), NotImplementedError,
     "Double cannot be differentiated.*adjoint.*lower.register.*no_grad"),
    ("operator of an operator", lambda: as_operator(A, X, X), TypeError,
     "expected a torch.nn.Module, got MultiplyOperator.*as_module"),
    ("operator of a function", lambda: as_operator(abs, X, X), TypeError,
     "expected a torch.nn.Module, got builtin"),
    ("functional of a functional", lambda: as_functional(TV, X), TypeError,
     "expected a torch.nn.Module, got SmoothedTV.*as_module"),
    ("shape for a domain", lambda: as_operator(nn.Identity(), (4, 4), X), TypeError,
     r"domain is \(4, 4\), expected an ODL space.*uniform_discr"),
    ("none for a range", lambda: as_operator(nn.Identity(), X, None), TypeError,
     "range is None, expected an ODL space.*uniform_discr"),
    ("number for a domain", lambda: as_functional(Map(), 3), TypeError,
     "domain is 3, expected an ODL space"),
    ("output of another shape", lambda: as_operator(nn.Identity(), X, SMALL)(X.one()),
     ValueError, r"output of Identity has shape \(1, 4, 4\), expected \(\*batch, 3, 3\)"),
    ("output without batch axis", lambda: as_operator(Map(lambda x: x[0]), X, X)(X.one()),
     ValueError, r"batch axes \(\), expected \(1,\).*keep the batch axis"),
    ("no output", lambda: as_operator(Map(lambda x: None), X, X)(X.one()), TypeError,
     "output of Map is a NoneType, expected one tensor"),
    ("complex output in a real space", lambda: as_operator(Map(), C, X)(C.one()), TypeError,
     r"complex64, expected real ones.*x\.real"),
    ("weights of another dtype", lambda: as_operator(nn.Linear(4, 4).double(), X, X)(X.one()),
     RuntimeError, r"Linear failed on a tensor of shape \(1, 4, 4\).*float32.*Expected.*\.to"),
    ("adjoint of a nonlinear module", lambda: as_operator(Map(), X, X).adjoint,
     NotImplementedError, r"Map is nonlinear.*expected a linear.*derivative\(x\)\.adjoint"),
    ("element of another space", lambda: as_operator(Map(), X, X)(SMALL.one()),
     odl.OpDomainError, r"element of the domain uniform_discr\(\[-1"),
    ("many values for a functional", lambda: as_functional(Map(), X)(X.one()), ValueError,
     r"shape \(1, 4, 4\) for a batch of one, expected one real number.*Sum"),
    ("complex value", lambda: as_functional(Map(lambda x: x.sum((1, 2))), C)(C.one()),
     ValueError, "complex64.*expected one real number"),
    ("float for a value", lambda: as_functional(Map(lambda x: 3.0), X)(X.one()), TypeError,
     r"returned a float, expected a tensor.*\.item"),
]

BATCHES = [
    ("empty batch of problems", lambda: as_batch([]), ValueError, "the list is empty; expected"),
    ("nothing to batch", lambda: as_batch(None), TypeError,
     "cannot batch NoneType.*expected a functional"),
    ("element to batch", lambda: as_batch(X.one()), TypeError, "an element becomes a tensor"),
    ("operator among functionals", lambda: as_batch([FIDELITY, A]), ValueError,
     "sample 1 is MultiplyOperator.*expected one between the spaces of sample 0"),
    ("functional among problems", lambda: as_batch([PROBLEM, FIDELITY]), TypeError,
     "one of the objects is a FunctionalLeftScalarMult, expected problems only"),
    ("batch of another dtype", lambda: as_batch(A)(TWO.double()), TypeError,
     r"the batch is of shape \(2, 4, 4\) and dtype torch.float64, expected batches.*\.to"),
    ("batch of another shape", lambda: as_batch(A)(TWO[:, :3]), TypeError,
     r"the batch is of shape \(2, 3, 4\).*expected batches"),
    ("element for a batch", lambda: as_batch(A)(X.one()), TypeError,
     "the batch is DiscretizedSpaceElement, expected batches.*for the operator itself"),
    ("negative step of a batch", lambda: as_batch(BOX).proximal(-1.0)(TWO), ValueError,
     "sigma is -1.0; expected"),
    ("steps of three for two", lambda: as_batch(BOX).proximal(np.ones(3))(TWO), ValueError,
     r"shape \(3,\), expected real steps of shape \(\) or \(2,\)"),
]


@rows(BRIDGE + BATCHES)
def test_mistake(mistake, error, pattern):
    check_message(mistake, error, pattern)


@pytest.mark.parametrize("op", [A, RAY, RAY.adjoint, operators.gradient(X), SmoothSquare(X), TV,
                                Double(X), operators.SampledFourier(C, ONE)], ids=repr)
def test_empty_batches_are_valid(op):
    module = as_module(op)
    dtype = torch.complex64 if op.domain == C else torch.float32
    x = torch.ones(0, *op.domain.shape, dtype=dtype)
    target = getattr(op.range, "shape", ())
    assert module(x).shape == (0, *target)
    assert module(x[None].expand(2, *x.shape)).shape == (2, 0, *target)


@pytest.mark.parametrize("op", [A, RAY, operators.gradient(X), SmoothSquare(X), TV], ids=repr)
def test_nan_is_never_hidden(op):
    """Modules do not look at their values; NaN in one sample stays in it and shows."""
    x = torch.ones(2, 4, 4)
    x[1] = torch.nan
    y = as_module(op)(x)
    assert y[0].isfinite().all() and y[1].isnan().any()


def test_values_need_no_derivative():
    """Operators that know no derivative can be evaluated, also where gradients are recorded."""
    x = torch.full((2, 4, 4), 3.0)
    for op, expected in ((Square(X), 9.0), (Double(X), 6.0)):
        assert torch.equal(as_module(op)(x), torch.full((2, 4, 4), expected))
        assert as_module(op)(x.requires_grad_()).requires_grad
    torch.testing.assert_close(as_module(Value(X))(x), torch.full((2,), 6.0))  # |X.one()| = 2


def forward_over_reverse(f, x):
    return torch.func.jvp(torch.func.grad(f), (x,), (x,))


def reverse_over_forward(f, x):
    return torch.func.grad(lambda z: torch.func.jvp(f, (z,), (x,))[1])(x)


def forward_over_forward(f, x):
    return torch.func.jvp(lambda z: torch.func.jvp(f, (z,), (x,))[1], (x,), (x,))


def reverse_over_reverse(f, x):
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(f(x), x, create_graph=True)
    slope.square().sum().backward()


ORDERS = (forward_over_reverse, reverse_over_forward, forward_over_forward, reverse_over_reverse)


@pytest.mark.parametrize("second", ORDERS, ids=lambda order: order.__name__)
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_second_derivatives_without_a_rule_are_an_error_and_never_zero(second):
    module = as_module(SmoothSquare(X))
    torch.func.grad(lambda x: module(x).sum())(T)  # the first derivative is known
    with pytest.raises(NotImplementedError, match="SmoothSquare.*lower.register"):
        second(lambda x: module(x).sum(), T)
