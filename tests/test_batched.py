"""Twins of ODL objects on batches against ODL itself, one sample at a time."""

import numpy as np
import odl
import pytest
import torch
from instances import FUNCTIONALS, OPERATORS

from odl_learned import functionals, variational
from odl_learned.bridge import as_batch, as_functional
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.conformance import sample
from odl_learned.operators import SampledFourier, gradient, mask_operator, random_element

X = odl.uniform_discr([0, 0], [1, 2], (5, 4))
XC = odl.uniform_discr([0, 0], [1, 2], (5, 4), dtype="complex128")
F = odl.functionals


def join(space, elements):
    """Elements as a batch."""
    layout = layout_of(space)
    tensors = [layout.to_tensor(x) for x in elements]
    if isinstance(tensors[0], tuple):
        return tuple(torch.stack(parts) for parts in zip(*tensors, strict=True))
    return torch.stack(tensors)


def close(batch, space, elements, rtol=1e-10):
    """Whether a batch holds these elements."""
    expected = join(space, elements)
    pairs = [(batch, expected)] if torch.is_tensor(batch) else zip(batch, expected, strict=True)
    for got, want in pairs:
        assert got.dtype == want.dtype
        scale = float(want.abs().max()) if want.numel() else 1.0
        np.testing.assert_allclose(got, want, rtol=0, atol=rtol * max(scale, 1e-300))


def tolerance(space):
    while isinstance(space, odl.ProductSpace):
        space = space[0]
    return 1e-4 if str(space.dtype_identifier) in ("float32", "complex64") else 1e-9


LINEAR = [name for name, make in OPERATORS.items() if (op := make()).is_linear
          and not isinstance(op.domain, odl.core.set.sets.Field)
          and not isinstance(op.range, odl.core.set.sets.Field)]


@pytest.mark.parametrize("name", LINEAR)
def test_operators_and_adjoints(name, rng):
    op = OPERATORS[name]()
    L, tol = as_batch(op), tolerance(op.domain)
    x = [random_element(op.domain, rng) for _ in range(3)]
    y = [random_element(op.range, rng) for _ in range(3)]
    close(L(join(op.domain, x)), op.range, [op(part) for part in x], tol)
    close(L.adjoint(join(op.range, y)), op.domain, [op.adjoint(part) for part in y], tol)
    assert join(op.domain, x) in L.domain and join(op.range, y) in L.range


@pytest.mark.parametrize("name", FUNCTIONALS)
def test_functionals_gradients_and_proximals(name, rng):
    f = FUNCTIONALS[name]()
    if f.is_linear or isinstance(f.domain, odl.core.set.sets.Field):
        pytest.skip("a linear form has neither gradient nor proximal to speak of")
    twin, tol = as_batch(f), tolerance(f.domain)
    points = [sample(f, rng) for _ in range(3)]
    x = join(f.domain, points)
    try:
        expected = [float(np.real(f(p))) for p in points]
    except NotImplementedError:
        expected = None
    if expected is not None:
        np.testing.assert_allclose(twin(x), expected, rtol=100 * tol)
        np.testing.assert_allclose(twin.precise(x), expected, rtol=100 * tol)
    assert twin.grad_lipschitz == pytest.approx(f.grad_lipschitz, nan_ok=True)
    try:
        slopes = [f.gradient(p) for p in points]
    except (NotImplementedError, ValueError):
        slopes = None
    if slopes is not None:
        close(twin.gradient(x), f.domain, slopes, 100 * tol)
    try:
        moved = [f.proximal(s)(p) for s, p in zip((0.3, 0.7, 2.0), points)]
    except (NotImplementedError, TypeError, ValueError):
        return
    if moved[0] is not None:
        close(twin.proximal(np.array([0.3, 0.7, 2.0]))(x), f.domain, moved, 1e-3)


def test_conjugates_and_steps_per_summand(rng):
    f = F.SeparableSum(functionals.l2_fidelity(random_element(X, rng)), 0.3 * F.L1Norm(X))
    twin = as_batch(f)
    points = [random_element(f.domain, rng) for _ in range(2)]
    x = join(f.domain, points)
    conjugate = [f.convex_conj.proximal(0.5)(p) for p in points]
    close(twin.convex_conj.proximal(0.5)(x), f.domain, conjugate)
    apart = [f.domain.element([f[0].proximal(0.5)(p[0]), f[1].proximal(t)(p[1])])
             for p, t in zip(points, (0.1, 2.0))]
    close(twin.proximal([0.5, np.array([0.1, 2.0])])(x), f.domain, apart)


def test_spaces(rng):
    space = as_batch(gradient(XC)).range
    points = [random_element(XC**2, rng) for _ in range(4)]
    x, y = join(XC**2, points[:2]), join(XC**2, points[2:])
    expected = [points[i].inner(points[i + 2]).real for i in range(2)]
    np.testing.assert_allclose(space.inner(x, y), expected)
    np.testing.assert_allclose(space.norm(x), [p.norm() for p in points[:2]])
    assert x in space and x[0] not in space and x.real not in space and None not in space
    assert space.zero(3).shape == (3, 2, 5, 4)
    with pytest.raises(ValueError, match="zero\\(batch\\)"):
        space.zero()
    assert as_batch([F.L1Norm(X)] * 3).domain.zero().shape == (3, 5, 4)


# Lists: one object per sample


def test_lists_of_functionals_stack_their_data(rng):
    priors = [sample(F.KullbackLeibler(X), rng) for _ in range(3)]
    datas = [random_element(X, rng) for _ in range(3)]
    families = [
        [functionals.l2_fidelity(d) for d in datas],
        [functionals.KullbackLeiblerFidelity(p, p) for p in priors],
        [0.5 * F.L1Norm(X).translated(d) for d in datas],
        [functionals.l2_fidelity(d) * 2.0 for d in datas],
        [F.SeparableSum(functionals.l2_fidelity(d), F.L2Norm(X)) for d in datas],
    ]
    for family in families:
        domain = family[0].domain
        points = [sample(f, rng) for f in family]
        x, twin, steps = join(domain, points), as_batch(family), np.array([0.2, 1.0, 3.0])
        values = [f(p) for f, p in zip(family, points)]
        np.testing.assert_allclose(twin(x), values)
        moved = [f.proximal(s)(p) for f, s, p in zip(family, steps, points)]
        close(twin.proximal(steps)(x), domain, moved)
        conjugate = [f.convex_conj.proximal(s)(p) for f, s, p in zip(family, steps, points)]
        close(twin.convex_conj.proximal(steps)(x), domain, conjugate)
        some = twin.take([2, 0])
        few = join(domain, [points[2], points[0]])
        np.testing.assert_allclose(some(few), twin(x)[[2, 0]], rtol=1e-13)
        close(some.convex_conj.proximal(steps[[2, 0]])(few), domain, [conjugate[2], conjugate[0]])
        close(as_batch([family[0]]).proximal(0.2)(join(domain, points[:1])), domain, moved[:1])


@pytest.mark.parametrize("make", [
    lambda rng: mask_operator(X, rng.random(X.shape) < 0.5),
    lambda rng: SampledFourier(XC, rng.random(XC.shape)),
    lambda rng: odl.BroadcastOperator(2.0 * SampledFourier(XC, rng.random(XC.shape)), gradient(XC)),
])
def test_lists_of_operators_stack_their_weights(make, rng):
    ops = [make(rng) for _ in range(3)]
    points = [random_element(ops[0].domain, rng) for _ in range(3)]
    L = as_batch(ops)
    y = L(join(ops[0].domain, points))
    close(y, ops[0].range, [op(p) for op, p in zip(ops, points)])
    images = [op.adjoint(op(p)) for op, p in zip(ops, points)]
    close(L.adjoint(y), ops[0].domain, images)
    assert not L.is_shared and as_batch([ops[0]] * 3).is_shared


def test_what_is_common_is_lowered_once(rng):
    op = mask_operator(X, rng.random(X.shape) < 0.5)
    L = as_batch([2.0 * op] * 2 + [2.0 * op])
    assert L.is_shared
    tensor = next(L.module("value", torch.device("cpu")).buffers())
    assert tensor.shape == X.shape


WRONG = [
    ("empty", [], ValueError, "the list is empty; expected one object per sample"),
    ("number", [F.L1Norm(X), 2.0], ValueError, "sample 1 is float"),
    ("array", np.ones(3), TypeError, "cannot batch ndarray"),
    ("nonlinear", odl.PowerOperator(X, 2), TypeError, "cannot batch PowerOperator.*linear"),
    ("spaces", [F.L1Norm(X), F.L1Norm(XC)], ValueError, "sample 1 is L1Norm.*spaces of sample 0"),
    ("structure", [F.L1Norm(X), F.L1Norm(X), F.L2Norm(X)], ValueError,
     "sample 2 differs from sample 0"),
    ("factor", [F.L1Norm(X), 2.0 * F.L1Norm(X)], ValueError, "sample 1 differs from sample 0"),
    ("coefficient", [functionals.SmoothedTV(X, a, 0.1, 0.1) for a in (3.0, 2.0)], ValueError,
     "sample 1 differs.*: 2.0 in place of 3.0.*data and in factors.*another batch"),
    ("bounds", [functionals.BoxConstraint(X, 0, u) for u in (1, 2)], ValueError,
     "sample 1 differs from sample 0"),
]


@pytest.mark.parametrize("name, wrong, error, message", WRONG, ids=[w[0] for w in WRONG])
def test_errors(name, wrong, error, message):
    with pytest.raises(error, match=message):
        twin = as_batch(wrong)
        twin(torch.zeros(len(wrong), *X.shape, dtype=torch.float64))


def test_batches_of_another_size_are_refused(rng):
    twin = as_batch([functionals.l2_fidelity(random_element(X, rng)) for _ in range(3)])
    with pytest.raises(ValueError, match="2 samples, expected 3"):
        twin(torch.zeros(2, *X.shape, dtype=torch.float64))
    with pytest.raises(ValueError, match="2 samples, expected 3"):
        twin.proximal(1.0)(torch.zeros(2, *X.shape, dtype=torch.float64))


def test_a_problem_with_and_one_without_constraint_are_no_batch(rng):
    A, D = odl.IdentityOperator(X), functionals.l2_fidelity(random_element(X, rng))
    free = variational.tv_problem(A, D, 0.1)
    bound = variational.tv_problem(A, D, 0.1, functionals.BoxConstraint(X, 0, 1))
    with pytest.raises(ValueError, match="different forms"):
        as_batch([free, bound])


def test_values_of_single_precision_are_summed_in_double(rng):
    space = odl.uniform_discr([0, 0], [1, 1], (64, 64), dtype="float32")
    d = random_element(space, rng)
    x = d + 1e-3 * random_element(space, rng)
    twin = as_batch(functionals.l2_fidelity(d))
    difference = np.asarray(x.data, np.float64) - np.asarray(d.data, np.float64)
    expected = 0.5 * space.weighting.const * np.sum(difference**2)
    np.testing.assert_allclose(twin.precise(join(space, [x])), expected, rtol=1e-13)


def test_precise_values_of_what_learns_follow_its_parameters(rng):
    """In single precision the parameters are copied to double precision, at each call."""
    space = odl.rn(4, dtype="float32")
    layer = torch.nn.Sequential(torch.nn.Linear(4, 1), torch.nn.Tanh(), torch.nn.Flatten(0))
    f = as_functional(layer, space)
    twin = as_batch(f)
    x = torch.from_numpy(rng.standard_normal((3, 4)).astype("float32"))
    for _ in range(2):
        W, b = (p.detach().double() for p in layer.parameters())
        expected = torch.tanh(x.double() @ W[0] + b)
        assert twin.precise(x).dtype == np.float64
        np.testing.assert_allclose(twin.precise(x), expected, rtol=1e-14)
        with torch.no_grad():
            layer[0].weight.add_(1.0)
