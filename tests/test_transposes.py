"""The transpose of an operator as a module: dense matrices, and torch's own backward pass."""

import numpy as np
import odl
import pytest
import torch
from instances import OPERATORS
from instances.spaces import MATRIX, PAIR, RA, X, many_weights, mask
from test_conformance import KNOWN_FAILURES

from odl_learned import operators
from odl_learned.bridge import as_module, as_transpose_module
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import each

# Where ODL's own adjoint is wrong, so is the transpose that is made of it.
LINEAR = sorted(name for name, make in OPERATORS.items()
                if (name, "check_adjoint") not in KNOWN_FAILURES and make().is_linear)


def random(layout, seed):
    """A batch of two random elements."""
    source = torch.Generator().manual_seed(seed)

    def draw(zeros):
        return torch.randn(zeros.shape, dtype=zeros.dtype, generator=source)

    return each(draw, layout.zeros((2,), "cpu"))


def flat(x):
    parts = x if isinstance(x, tuple) else (x,)
    return [leaf for part in parts for leaf in (flat(part) if isinstance(part, tuple) else [part])]


@pytest.mark.parametrize("name", LINEAR)
def test_it_is_the_backward_pass_of_the_operator(name):
    op = OPERATORS[name]()
    x = each(lambda part: part.requires_grad_(), random(layout_of(op.domain), 0))
    value, target = as_module(op)(x), layout_of(op.range)
    y = each(lambda part, like: part.to(like.dtype), random(target, 1), value)
    product = sum((v * w.conj()).real.sum() for v, w in zip(flat(value), flat(y)))
    expected = [None] * len(flat(x))
    if product.requires_grad:
        expected = torch.autograd.grad(product, flat(x), allow_unused=True)
    y = each(lambda part, like: part.to(like.dtype), y, target.zeros((), "cpu"))
    eps = max(torch.finfo(part.dtype).eps for part in flat(y) + flat(x))
    found = flat(as_transpose_module(op)(y))
    size = max(float(part.abs().max()) for part in found)
    for a, b in zip(found, expected):
        b = torch.zeros_like(a) if b is None else b
        assert a.shape == b.shape and (a - b).abs().max() <= 1e3 * eps * size


@pytest.mark.parametrize("domain", [RA, odl.rn(4, weighting=3.0), odl.cn(4, weighting=0.5)])
def test_it_is_the_conjugate_transpose_of_the_matrix(domain):
    matrix = MATRIX if domain.field == odl.RealNumbers() else MATRIX + 1j * MATRIX[::-1]
    weighted = odl.tensor_space(3, domain.dtype_identifier, weighting=[1.0, 2.0, 5.0])
    op = odl.MatrixOperator(matrix, domain=domain, range=weighted)
    transpose = as_transpose_module(op)
    dense = transpose(torch.eye(3, dtype=layout_of(op.range).dtype)).numpy().T
    np.testing.assert_allclose(dense, matrix.conj().T, atol=1e-14)
    assert transpose.is_linear


def test_components_and_factors_have_their_weights():
    projection = odl.ComponentProjection(odl.ProductSpace(*PAIR, weighting=[2.0, 5.0]), 1)
    y = torch.ones(3, *X.shape, dtype=torch.float64)
    first, second = as_transpose_module(projection)(y)
    assert first.abs().max() == 0 and torch.allclose(second, y, rtol=1e-14)
    multiple = operators.mask_operator(many_weights(), mask(X.shape))
    expected = torch.from_numpy(mask(X.shape)).double().expand(3, *X.shape)
    assert torch.allclose(as_transpose_module(multiple)(y), expected, rtol=1e-14)


def test_what_has_no_transpose_is_refused():
    with pytest.raises(TypeError, match="derivative"):
        as_transpose_module(odl.PowerOperator(X, 2))
    with pytest.raises(TypeError, match="linear ODL operator"):
        as_transpose_module(as_module(odl.IdentityOperator(X)))
