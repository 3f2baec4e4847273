"""Which classes of ODL the bridge lowers by a rule of their own, and that none falls back silently.

Every class that ODL exports is in exactly one of three lists. Rules that the table of instances
does not reach are compared with ODL here.
"""

import inspect

import instances
import numpy as np
import odl
import pytest
import scipy.sparse
import torch
from bridge_comparison import compare, fallbacks, nodes
from instances.spaces import GRAD, MATRIX, PAIR, RA, XC, F, R, V, X, element

from odl_learned.bridge import as_module, lower
from odl_learned.bridge.lowering import generic
from odl_learned.conformance.sampling import flat
from odl_learned.conformance.tensors import entries
from odl_learned.functionals import TotalGeneralizedVariation
from odl_learned.operators import operator_norm, random_element
from odl_learned.reconstruction import ConformalBands

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


REALS = odl.RealNumbers()
#: Instances that the checks of operators do not fit: with values or arguments in a field, without
#: an adjoint in ODL, or without a value.
MORE = {
    "InnerProductOperator": lambda: odl.InnerProductOperator(element(X)),
    "InnerProductOperator complex": lambda: odl.InnerProductOperator(element(XC)),
    "NormOperator": lambda: odl.NormOperator(RA),
    "NormOperator of pairs": lambda: odl.NormOperator(PAIR),
    "DistOperator": lambda: odl.DistOperator(element(X)),
    "LinCombOperator": lambda: odl.LinCombOperator(X, 2.0, -3.0),
    "LinCombOperator of vectors": lambda: odl.LinCombOperator(PAIR, 2.0, -3.0),
    "MultiplyOperator from a field": lambda: odl.MultiplyOperator(
        element(X), domain=REALS),
    "MultiplyOperator by a number": lambda: odl.MultiplyOperator(2.5, domain=X),
    "ScalingFunctional": lambda: F.ScalingFunctional(REALS, 2.5),
    "IdentityFunctional": lambda: F.IdentityFunctional(REALS),
    "FunctionalLeftVectorMult": lambda: odl.FunctionalLeftVectorMult(
        F.L2NormSquared(X), element(R)),
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

    The value of TGV is a minimization sample by sample, and has no second derivative; conformal
    bands have no derivative.
    """
    seen = set()
    for name, make in [*instances.OPERATORS.items(), *instances.FUNCTIONALS.items()]:
        op = make()
        if any(isinstance(node, TotalGeneralizedVariation | ConformalBands) for node in nodes(op)):
            continue
        assert not fallbacks(as_module(op)), f"{name} falls back to {fallbacks(as_module(op))}"
        seen |= {type(node).__name__ for node in nodes(op)}
    seen |= {type(node).__name__ for make in MORE.values() for node in nodes(make())}
    seen |= {"MoreauEnvelope", "InfimalConvolution"}  # no value in ODL; below
    assert not (NATIVE | STRUCTURAL) - seen, f"no instance of {(NATIVE | STRUCTURAL) - seen}"


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


def test_a_network_in_an_expression_is_not_looped():
    """What ``as_functional`` brought down is lowered as the module it was."""
    from odl_learned.bridge import as_functional

    generator = torch.Generator().manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(35, 3), torch.nn.Tanh())
    network.double()
    scale = operator_norm(GRAD) ** 2  # so that the hyperbolic tangent is not saturated
    torch.nn.init.normal_(network[1].weight, std=0.2 / scale, generator=generator)
    torch.nn.init.normal_(network[1].bias, generator=generator)

    class Value(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, x):
            return self.network(x).square().sum(-1)

    f = 2.0 * as_functional(Value(), X) @ GRAD.adjoint @ GRAD
    module = as_module(f)
    assert not fallbacks(module) and any(part is network for part in module.modules())
    x = torch.randn(2, 3, 5, 7, generator=generator, dtype=torch.float64)
    assert module(x).shape == (2, 3)
    np.testing.assert_allclose(module(x)[1, 2].item(), f(X.element(x[1, 2].numpy())), rtol=1e-12)
    hessian = torch.func.hessian(module)(x[0, 0])
    assert hessian.shape == (5, 7, 5, 7) and hessian.abs().max() > 0.01


def test_a_change_of_backend_inside_an_expression_is_the_identity():
    matrix = torch.from_numpy(MATRIX)
    op = odl.MatrixOperator(matrix, domain=odl.rn(4, impl="pytorch"))
    module = as_module(op @ odl.ArrayBackendChange("numpy", "pytorch"))
    assert not fallbacks(module)
    x = torch.ones(2, 4, dtype=torch.float64)
    torch.testing.assert_close(module(x), x @ matrix.mT, rtol=0, atol=1e-14)
