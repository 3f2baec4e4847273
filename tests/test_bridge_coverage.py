"""Which classes of ODL the bridge lowers by a rule of their own, and that none falls back silently.

Every class that ODL exports is in exactly one of three lists. Rules that the table of instances
does not reach are compared with ODL here.
"""

import inspect
import itertools

import instances
import numpy as np
import odl
import pytest
import pywt
import scipy.sparse
import torch
from odl.core.discr.diff_ops import _SUPPORTED_PAD_MODES
from odl.functionals.functional import FunctionalDefaultConvexConjugate

from odl_learned.bridge import as_module, lower
from odl_learned.bridge.generic import GenericLinear, GenericNonlinear
from odl_learned.bridge.layout import layout_of
from odl_learned.bridge.lowering import generic
from odl_learned.bridge.nested import each
from odl_learned.conformance.modules import as_tensor, entries, stack
from odl_learned.conformance.sampling import flat, sample
from odl_learned.functionals import TotalGeneralizedVariation
from odl_learned.operators import operator_norm, random_element

F = odl.functionals
X, XC, V = instances.X, instances.XC, instances.V

NATIVE = {
    "ComplexEmbedding", "ComplexModulus", "ComplexModulusSquared", "ConstantOperator",
    "DistOperator", "Divergence", "FlatteningOperator", "Gradient", "IdentityOperator", "ImagPart",
    "InnerProductOperator", "Laplacian", "LinCombOperator", "MatrixOperator", "MultiplyOperator",
    "NormOperator", "PartialDerivative", "PointwiseInner", "PointwiseNorm", "PointwiseSum",
    "PowerOperator", "RealPart", "ResizingOperator", "SamplingOperator", "ScalingOperator",
    "WeightedSumSamplingOperator", "ZeroOperator", "RayTransform", "DiscreteFourierTransform",
    "DiscreteFourierTransformInverse", "FourierTransform", "FourierTransformInverse",
    "WaveletTransform", "WaveletTransformInverse", "ConstantFunctional", "GroupL1Norm", "Huber",
    "IdentityFunctional", "IndicatorBox", "IndicatorGroupL1UnitBall", "IndicatorLpUnitBall",
    "IndicatorNonnegativity", "IndicatorNuclearNormUnitBall", "IndicatorSimplex",
    "IndicatorSumConstraint", "IndicatorZero", "KullbackLeibler", "KullbackLeiblerCrossEntropy",
    "L1Norm", "L2Norm", "L2NormSquared", "LpNorm", "NuclearNorm", "QuadraticForm",
    "ScalingFunctional", "ZeroFunctional",
}  # fmt: skip

STRUCTURAL = {
    "BroadcastOperator", "ComponentProjection", "ComponentProjectionAdjoint", "DiagonalOperator",
    "FunctionalLeftVectorMult", "OperatorComp", "OperatorLeftScalarMult", "OperatorLeftVectorMult",
    "OperatorPointwiseProduct", "OperatorRightScalarMult", "OperatorRightVectorMult", "OperatorSum",
    "OperatorVectorSum", "ProductSpaceOperator", "ReductionOperator", "BregmanDistance",
    "FunctionalComp", "FunctionalLeftScalarMult", "FunctionalProduct", "FunctionalQuadraticPerturb",
    "FunctionalQuotient", "FunctionalRightScalarMult", "FunctionalRightVectorMult",
    "FunctionalScalarSum", "FunctionalSum", "FunctionalTranslation", "InfimalConvolution",
    "MoreauEnvelope", "SeparableSum",
}  # fmt: skip

GENERIC = {
    "Operator": "abstract: the rule for everything without a rule of its own",
    "Functional": "abstract: the rule for everything without a rule of its own",
    "Resampling": "interpolates in numpy; ODL's adjoint of it is only an approximation",
    "LinDeformFixedDisp": "interpolates in numpy; ODL's adjoint of it is only an approximation",
    "LinDeformFixedTempl": "interpolates in numpy; its derivative uses another interpolation",
    "NumericalDerivative": "a difference quotient, which autograd makes superfluous",
    "NumericalGradient": "a difference quotient, which autograd makes superfluous",
    "RosenbrockFunctional": "an example for optimization in a few variables, not for images",
}


def exported():
    """Every operator class that ODL exports, by name."""
    rooms = odl, odl.functionals, odl.trafos, odl.applications.tomo
    return {name: cls for room in rooms for name, cls in vars(room).items()
            if inspect.isclass(cls) and issubclass(cls, odl.Operator)}


def fallbacks(module):
    """Names of the generic modules inside a module."""
    return [type(part).__name__ for part in module.modules()
            if isinstance(part, (GenericLinear, GenericNonlinear))]


def nodes(op):
    """An expression and everything inside it."""
    yield op
    for value in vars(op).values():
        for child in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(child, odl.Operator):
                yield from nodes(child)


def compare(op, x, tolerance=1e-12):
    """The module against ODL, for a batch of the element and its double."""
    module = as_module(op)
    both = module(stack(as_tensor(op, x), as_tensor(op, 2 * x)))
    for i, point in enumerate((x, 2 * x)):
        expected = flat(op(point))
        got = entries(each(lambda part: part[i], both))
        scale = max(1.0, np.abs(expected[np.isfinite(expected)]).max(initial=0.0))
        np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * scale)
    assert not fallbacks(module), f"{op} falls back to {fallbacks(module)}"


REALS = odl.RealNumbers()
#: Instances that the checks of operators do not fit: with values or arguments in a field, without
#: an adjoint in ODL, or without a value.
MORE = {
    "InnerProductOperator": lambda: odl.InnerProductOperator(instances.element(X)),
    "InnerProductOperator complex": lambda: odl.InnerProductOperator(instances.element(XC)),
    "NormOperator": lambda: odl.NormOperator(instances.RA),
    "NormOperator of pairs": lambda: odl.NormOperator(instances.PAIR),
    "DistOperator": lambda: odl.DistOperator(instances.element(X)),
    "LinCombOperator": lambda: odl.LinCombOperator(X, 2.0, -3.0),
    "LinCombOperator of vectors": lambda: odl.LinCombOperator(instances.PAIR, 2.0, -3.0),
    "MultiplyOperator from a field": lambda: odl.MultiplyOperator(
        instances.element(X), domain=REALS),
    "MultiplyOperator by a number": lambda: odl.MultiplyOperator(2.5, domain=X),
    "ScalingFunctional": lambda: F.ScalingFunctional(REALS, 2.5),
    "IdentityFunctional": lambda: F.IdentityFunctional(REALS),
    "FunctionalLeftVectorMult": lambda: odl.FunctionalLeftVectorMult(
        F.L2NormSquared(X), instances.element(instances.R)),
    "LpNorm, p = 0": lambda: F.LpNorm(X, 0),
    "LpNorm, p = inf, complex": lambda: F.LpNorm(XC, np.inf),
    "ConstantFunctional": lambda: F.ConstantFunctional(X, 1.5),
    "PointwiseNorm, p = inf": lambda: odl.PointwiseNorm(V, exponent=np.inf),
    "PointwiseNorm, p = 1, weights": lambda: odl.PointwiseNorm(V, 1, weighting=[2.0, 3.0]),
    "PointwiseNorm, p = 2, weights": lambda: odl.PointwiseNorm(V, 2, weighting=[2.0, 3.0]),
}


@pytest.mark.parametrize("name", MORE)
def test_more_operators_agree_with_odl(name):
    op = MORE[name]()
    rng = np.random.default_rng(0)
    x = rng.standard_normal() if isinstance(op.domain, odl.Field) else random_element(
        op.domain, rng)
    if isinstance(op.domain, odl.Field):
        y = as_module(op)(torch.tensor([x, 2 * x], dtype=torch.float64))
        for i in (0, 1):
            np.testing.assert_allclose(entries(y[i]), flat(op((i + 1) * x)), rtol=1e-14)
        assert not fallbacks(as_module(op))
    else:
        compare(op, x)


def test_every_exported_class_is_in_exactly_one_list():
    classes = exported()
    assert len(classes) > 90
    lists = NATIVE, STRUCTURAL, set(GENERIC)
    for name in classes:
        found = sum(name in names for names in lists)
        assert found == 1, f"{name} is in {found} of the lists; put it in one"
    assert set().union(*lists) == set(classes), "a list names a class that ODL does not export"
    for name, cls in classes.items():
        has_rule = lower.dispatch(cls) is not generic
        assert has_rule == (name not in GENERIC), f"{name}: a rule {has_rule}"


def test_no_instance_falls_back():
    """Nor does any expression of the conformance suite, so that every derivative exists.

    The value of TGV is a minimization sample by sample, and has no second derivative.
    """
    seen = set()
    for name, make in [*instances.OPERATORS.items(), *instances.FUNCTIONALS.items()]:
        op = make()
        if isinstance(op, TotalGeneralizedVariation):
            continue
        assert not fallbacks(as_module(op)), f"{name} falls back to {fallbacks(as_module(op))}"
        seen |= {type(node).__name__ for node in nodes(op)}
    seen |= {type(node).__name__ for make in MORE.values() for node in nodes(make())}
    seen |= {"MoreauEnvelope", "InfimalConvolution"}  # no value in ODL; below
    assert not (NATIVE | STRUCTURAL) - seen, f"no instance of {(NATIVE | STRUCTURAL) - seen}"


@pytest.mark.parametrize("pad_mode", _SUPPORTED_PAD_MODES)
def test_finite_differences_with_every_method_and_padding(pad_mode):
    X = instances.plane((8, 9))  # order 2 reaches three entries from either side
    V, rng = X**2, np.random.default_rng(0)
    x, v = random_element(X, rng), random_element(V, rng)
    for method in ("forward", "backward", "central"):
        ops = [odl.Gradient(X, method=method, pad_mode=pad_mode),
               odl.Divergence(V, method=method, pad_mode=pad_mode),
               odl.PartialDerivative(X, 1, method=method, pad_mode=pad_mode)]
        if method == "forward" and pad_mode in LAPLACIAN_PADDINGS:
            ops.append(odl.Laplacian(X, pad_mode=pad_mode))
        for op in ops:
            compare(op, v if op.domain == V else x, 1e-11)
            y = random_element(op.range, rng)
            layout = layout_of(op.range)
            _, transpose = torch.func.vjp(as_module(op), as_tensor(op, op.domain.zero()))
            got = layout_of(op.domain).unweigh(transpose(layout.weigh(layout.to_tensor(y)))[0])
            expected = flat(op.adjoint(y))
            scale = np.abs(expected).max()
            np.testing.assert_allclose(entries(got), expected, rtol=0, atol=1e-12 * scale)


LAPLACIAN_PADDINGS = [mode for mode in _SUPPORTED_PAD_MODES if "order1" not in mode
                      and "order2" not in mode]


def test_finite_differences_with_a_constant_outside():
    x = instances.element(X)
    for method in ("forward", "backward", "central"):
        compare(odl.Gradient(X, method=method, pad_mode="constant", pad_const=2.0), x, 1e-11)


@pytest.mark.parametrize("pad_mode", ["constant", "symmetric", "periodic", "order0", "order1"])
def test_resizing_with_every_padding(pad_mode):
    for shape, offset in (((8, 9), (1, 2)), ((8, 6), (3, 1)), ((3, 7), (2, 0)), ((5, 8), (0, 1))):
        for space in (X, XC):
            op = odl.ResizingOperator(space, ran_shp=shape, offset=offset, pad_mode=pad_mode)
            compare(op, instances.element(space))
            compare(op.adjoint, instances.element(op.range))


WAVELET_PADDINGS = ["constant", "pywt_periodic", "periodic", "symmetric", "order0", "order1",
                    "reflect", "antireflect", "antisymmetric"]


@pytest.mark.parametrize("pad_mode", WAVELET_PADDINGS)
def test_wavelets_with_every_padding(pad_mode):
    for wavelet in ("haar", "db3", "bior2.2"):
        for shape, axes in (((20, 27), None), ((27, 20), [1]), ((20, 20), [1, 0])):
            op = odl.trafos.WaveletTransform(
                instances.plane(shape), wavelet, nlevels=2, pad_mode=pad_mode, axes=axes)
            compare(op, instances.element(op.domain))
            compare(op.inverse, instances.element(op.range))


def test_an_orthogonal_wavelet_transform_is_an_isometry():
    for wavelet, pad_mode, n in itertools.product(("db2", "sym4"), ("constant", "pywt_periodic"),
                                                  (32,)):
        space = odl.uniform_discr(0, 1, n)
        levels = pywt.dwt_max_level(n, pywt.Wavelet(wavelet).dec_len)
        op = odl.trafos.WaveletTransform(space, wavelet, nlevels=levels, pad_mode=pad_mode)
        matrix = torch.func.jacrev(as_module(op))(torch.zeros(n, dtype=torch.float64))
        np.testing.assert_allclose(matrix.mT @ matrix, np.eye(n), atol=1e-10)


def test_wavelets_without_levels():
    op = odl.trafos.WaveletTransform(X, "haar", nlevels=0)
    compare(op, instances.element(X))
    compare(op.inverse, instances.element(op.range))


def test_sparse_matrices_of_scipy_and_torch():
    dense = np.array([[0, 2.0, 0, -1.0], [3.0, 0, 0, 0], [0, 0, 0, 1.5]])
    x = torch.randn(2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = x @ torch.from_numpy(dense).mT
    for matrix in (scipy.sparse.coo_matrix(dense), torch.from_numpy(dense).to_sparse()):
        op = odl.MatrixOperator(matrix)
        assert op.is_sparse
        module = as_module(op)
        torch.testing.assert_close(module(x), expected, rtol=0, atol=1e-14)
        adjoint = as_module(op.adjoint)(expected)
        torch.testing.assert_close(adjoint, expected @ torch.from_numpy(dense), rtol=0, atol=1e-13)
        point = x.clone().requires_grad_()
        assert torch.autograd.gradcheck(module, point)
        assert torch.autograd.gradgradcheck(module, point)
        assert not fallbacks(module)


def test_samples_of_complex_images():
    """ODL cannot add complex samples up; autograd transposes what it can, the sampling."""
    points = [[0, 4, 0], [1, 6, 1]]
    g = np.array([1 + 2j, 3j, -1.0])
    expected = np.zeros((5, 7), complex)
    np.add.at(expected, tuple(points), g)
    op = odl.WeightedSumSamplingOperator(XC, points)
    np.testing.assert_array_equal(as_module(op)(torch.from_numpy(g)), expected)
    sampled = as_module(odl.SamplingOperator(XC, points))
    _, transpose = torch.func.vjp(sampled, torch.zeros(5, 7, dtype=torch.complex128))
    np.testing.assert_array_equal(transpose(torch.from_numpy(g))[0], expected)


def test_indicators_of_points_inside_and_outside():
    r, matrices = instances.R, instances.MATRICES
    cases = [
        (F.IndicatorZero(X, 1.5), X.zero()),
        (F.IndicatorZero(instances.PAIR), instances.PAIR.zero()),
        (F.IndicatorSimplex(r, 2.0), r.element([0.5, 1.0, 0.0, 0.5])),
        (F.IndicatorSimplex(r, 2.0), r.element([-0.5, 2.0, 0.0, 0.5])),
        (F.IndicatorSumConstraint(X, 2.0), 2 / 35 * X.one()),
        (F.IndicatorLpUnitBall(X, 1), 0.4 * X.one()),
        (F.IndicatorLpUnitBall(X, 2), 0.6 * X.one()),
        (F.IndicatorLpUnitBall(X, np.inf), 0.9 * X.one()),
        (F.IndicatorGroupL1UnitBall(V), 0.6 * V.one()),
        (F.IndicatorBox(X, -0.5, 1.0), 0.9 * X.one()),
        (F.IndicatorNonnegativity(X), X.one()),
        (F.IndicatorNuclearNormUnitBall(matrices, np.inf, 2), 0.3 * matrices.one()),
    ]
    for f, x in cases:
        compare(f, x)
    assert sum(np.isfinite(f(x)) for f, x in cases) == len(cases) - 1


GRADIENTS = {
    "L1": lambda: F.L1Norm(X).gradient,
    "L2": lambda: F.L2Norm(X).gradient,
    "group L1": lambda: F.GroupL1Norm(V).gradient,
    "Huber": lambda: F.Huber(X, 0.3).gradient,
    "Kullback-Leibler": lambda: F.KullbackLeibler(X, prior=2 * X.one()).gradient,
    "Kullback-Leibler conjugate": lambda: F.KullbackLeibler(X).convex_conj.gradient,
    "cross entropy": lambda: F.KullbackLeiblerCrossEntropy(X, prior=2 * X.one()).gradient,
    "cross entropy conjugate": lambda: F.KullbackLeiblerCrossEntropy(X).convex_conj.gradient,
    "composition": lambda: (F.Huber(V, 0.1) @ instances.GRAD).gradient,
    "composition on one space": lambda: (
        F.Huber(X, 0.1) @ (instances.GRAD.adjoint @ instances.GRAD)).gradient,
    "product": lambda: F.FunctionalProduct(F.L2NormSquared(X), F.Huber(X, 0.3)).gradient,
    "quotient": lambda: F.FunctionalQuotient(F.Huber(X, 0.3), F.L2NormSquared(X)).gradient,
    "array weights": lambda: F.L2Norm(instances.RA).gradient,
    "sum": lambda: (F.L2NormSquared(X) + 0.3 * F.L1Norm(X)).gradient,
    "in an expression": lambda: instances.GRAD @ F.Huber(X, 0.3).gradient,
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient_operators_are_native(name):
    op = GRADIENTS[name]()
    x = sample(F.KullbackLeibler(X), np.random.default_rng(0)) if op.domain == X \
        else random_element(op.domain, np.random.default_rng(0))
    compare(op, 0.3 * x, 1e-11)


def test_gradient_operators_have_derivatives():
    """Second derivatives of the energy, through the operator that ODL calls its gradient."""
    op = (F.Huber(V, 1000.0) @ instances.GRAD).gradient
    module, x = as_module(op), as_tensor(op, instances.element(X))
    _, got = torch.func.jvp(module, (x,), (x,))
    expected = (instances.GRAD.adjoint @ instances.GRAD)(instances.element(X)) / 1000.0
    np.testing.assert_allclose(got, expected.data, atol=1e-12 * np.abs(expected.data).max())


def test_moreau_envelopes_have_values():
    """The envelope of the L1 norm is the Huber function, that of ``c |x|^2`` is a square again."""
    x = stack(as_tensor(F.L1Norm(X), instances.element(X)))
    cases = [
        (F.MoreauEnvelope(F.L1Norm(X), 0.4), F.Huber(X, 0.4)),
        (F.MoreauEnvelope(3.0 * F.L2NormSquared(X), 0.4), 3 / (1 + 2.4) * F.L2NormSquared(X)),
        (F.InfimalConvolution(F.L1Norm(X), 1.25 * F.L2NormSquared(X)), F.Huber(X, 0.4)),
        (F.InfimalConvolution(1.25 * F.L2NormSquared(X), F.L1Norm(X)), F.Huber(X, 0.4)),
    ]
    for f, expected in cases:
        torch.testing.assert_close(as_module(f)(x), as_module(expected)(x), rtol=1e-12, atol=0)
        grads = [torch.func.grad(lambda x, g=g: as_module(g)(x).sum())(x) for g in (f, expected)]
        torch.testing.assert_close(*grads, rtol=0, atol=1e-12)
        assert not fallbacks(as_module(f))
    y = as_tensor(F.L1Norm(XC), instances.element(XC))
    value = as_module(F.MoreauEnvelope(F.L1Norm(XC), 0.4))(y)
    r = y.abs()
    expected = torch.where(r < 0.4, r**2 / 0.8, r - 0.2).sum() * float(XC.weighting.const)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)


def test_what_has_no_value_says_so():
    with pytest.raises(NotImplementedError, match="L1Norm and L1Norm.*expected one side"):
        as_module(F.InfimalConvolution(F.L1Norm(X), F.L1Norm(X)))
    with pytest.raises(NotImplementedError, match="conjugate of NuclearNorm.*as_proximal_module"):
        as_module(FunctionalDefaultConvexConjugate(F.NuclearNorm(instances.MATRICES)))


def test_a_network_in_an_expression_is_not_looped():
    """What ``as_functional`` brought down is lowered as the module it was."""
    from odl_learned.bridge import as_functional

    generator = torch.Generator().manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(35, 3), torch.nn.Tanh())
    network.double()
    scale = operator_norm(instances.GRAD) ** 2  # so that the hyperbolic tangent is not saturated
    torch.nn.init.normal_(network[1].weight, std=0.2 / scale, generator=generator)
    torch.nn.init.normal_(network[1].bias, generator=generator)

    class Value(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, x):
            return self.network(x).square().sum(-1)

    f = 2.0 * as_functional(Value(), X) @ instances.GRAD.adjoint @ instances.GRAD
    module = as_module(f)
    assert not fallbacks(module) and any(part is network for part in module.modules())
    x = torch.randn(2, 3, 5, 7, generator=generator, dtype=torch.float64)
    assert module(x).shape == (2, 3)
    np.testing.assert_allclose(module(x)[1, 2].item(), f(X.element(x[1, 2].numpy())), rtol=1e-12)
    hessian = torch.func.hessian(module)(x[0, 0])
    assert hessian.shape == (5, 7, 5, 7) and hessian.abs().max() > 0.01


def test_a_change_of_backend_inside_an_expression_is_the_identity():
    matrix = torch.from_numpy(instances.MATRIX)
    op = odl.MatrixOperator(matrix, domain=odl.rn(4, impl="pytorch"))
    module = as_module(op @ odl.ArrayBackendChange("numpy", "pytorch"))
    assert not fallbacks(module)
    x = torch.ones(2, 4, dtype=torch.float64)
    torch.testing.assert_close(module(x), x @ matrix.mT, rtol=0, atol=1e-14)
