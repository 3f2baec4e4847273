"""``torch.compile`` of lowered modules: the same values and gradients as in eager mode.

With the backend "eager" only the tracing is tested; with "inductor", where there is a C++ compiler,
the code that it writes.
"""

import os
import shutil

import numpy as np
import odl
import pytest
import torch

from odl_learned import functionals, operators
from odl_learned.bridge import as_module

#: Sums of at most 64 terms in single precision may be taken in another order.
ROUNDING = 64 * torch.finfo(torch.float32).eps

SPACE = odl.uniform_discr([0, 0], [1, 2], (6, 8), dtype="float32")
COMPLEX = odl.uniform_discr([0, 0], [1, 2], (6, 8), dtype="complex64")
SQUARE = odl.uniform_discr([-1, -1], [1, 1], (8, 8), dtype="float32")


def ray_transform():
    return operators.parallel_ray_transform(SQUARE, 5)


def tomography():
    forward_op = ray_transform()
    fidelity = functionals.l2_fidelity(forward_op.range.one())
    return fidelity @ forward_op + functionals.SmoothedTV(SQUARE, 0.7, 0.1, 0.01)


class Cube(odl.Operator):
    """``x -> x^3`` without a native rule, which asserts that it is not traced."""

    def __init__(self, space):
        super().__init__(space, space)

    def _call(self, x):
        assert not torch.compiler.is_compiling()
        return x * x * x

    def derivative(self, point):
        return odl.MultiplyOperator(3.0 * point * point, self.domain, self.domain)


#: Name: operator, and the number of graphs into which it may fall: one where nothing is opaque.
CASES = {
    "gradient": (lambda: operators.gradient(SPACE), 1),
    "smoothed TV": (lambda: functionals.SmoothedTV(SPACE, 0.7, 0.1, 0.01), 1),
    "sampled Fourier": (lambda: operators.SampledFourier(COMPLEX, np.eye(6, 8) < 0.5), 1),
    "ray transform": (ray_transform, 2),
    "back projection": (lambda: ray_transform().adjoint, 2),
    "tomography": (tomography, 3),
    "generic": (lambda: 2.0 * Cube(SPACE), 2),
    "generic, linear": (lambda: odl.trafos.WaveletTransform(
        SQUARE, "haar", 1, pad_mode="pywt_periodic"), 2),
}


def values_and_gradients(module, x):
    y = module(x)
    w = torch.linspace(0.5, 2.0, y.numel()).reshape(y.shape)
    (gradient,) = torch.autograd.grad((w * y).real.sum(), x)
    return y.detach(), gradient


def assert_same(compiled, module, x):
    for got, expected in zip(values_and_gradients(compiled, x), values_and_gradients(module, x)):
        assert got.shape == expected.shape and got.dtype == expected.dtype
        assert float((got - expected).abs().max()) <= ROUNDING * float(expected.abs().max())


def batch(op):
    generator = torch.Generator().manual_seed(0)
    dtype = torch.complex64 if op.domain.is_complex else torch.float32
    return torch.randn(3, *op.domain.shape, dtype=dtype, generator=generator).requires_grad_()


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()


@pytest.mark.parametrize("name", CASES)
def test_traced_module(name):
    build, graphs = CASES[name]
    op = build()
    module, x = as_module(op), batch(op)
    assert_same(torch.compile(module, backend="eager"), module, x)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= graphs
    reasons = list(torch._dynamo.utils.counters["graph_break"])
    if graphs == 1:
        assert reasons == []
    assert all("compiler" in reason or "`disable`" in reason for reason in reasons), reasons


def test_a_network_around_an_operator():
    op = ray_transform()
    module = torch.nn.Sequential(torch.nn.Linear(8, 8), as_module(op), torch.nn.Tanh())
    compiled, x = torch.compile(module, backend="eager"), batch(op)
    assert_same(compiled, module, x)
    assert_same(compiled, module, x[:2])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None,
                    reason="inductor needs a C++ compiler; set CXX or install g++")
@pytest.mark.parametrize("name", ["gradient", "smoothed TV", "sampled Fourier", "ray transform",
                                  "tomography"])
def test_compiled_module(name):
    op = CASES[name][0]()
    module, x = as_module(op), batch(op)
    assert_same(torch.compile(module), module, x)
