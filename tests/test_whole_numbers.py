"""Spaces of whole numbers, in which factors and filters become zeros, are refused at every door."""

import numpy as np
import odl
import pytest

from odl_learned import functionals as F
from odl_learned import operators as ops
from odl_learned import variational

REAL = odl.uniform_discr([0, 0], [1, 1], (4, 4))
SPACES = [odl.uniform_discr([0, 0], [1, 1], (4, 4), dtype=kind) for kind in ("int32", "uint8")]
MASK, KERNEL = np.arange(16).reshape(4, 4) % 2 == 0, np.full((3, 3), 0.1)
DOORS = {
    "PeriodicConvolution": lambda X: ops.PeriodicConvolution(X, KERNEL),
    "ZeroConvolution": lambda X: ops.ZeroConvolution(X, KERNEL),
    "ReflectingConvolution": lambda X: ops.ReflectingConvolution(X, KERNEL),
    "FilterBank": lambda X: ops.FilterBank(X, KERNEL[None]),
    "OrthogonalWavelet": lambda X: ops.OrthogonalWavelet(X, "haar", 1),
    "gradient": ops.gradient,
    "SymmetrizedGradient": lambda X: ops.SymmetrizedGradient(X**2),
    "Translation": lambda X: ops.Translation(X, [0.1, 0.2]),
    "Rotation": lambda X: ops.Rotation(X, 0.2),
    "mask_operator": lambda X: ops.mask_operator(X, MASK),
    "BlockProduct": lambda X: ops.BlockProduct(odl.ProductSpace(X, X)),
    "PointwiseExponential": ops.PointwiseExponential,
    "emission_operator": lambda X: ops.emission_operator(odl.IdentityOperator(X), MASK, 0.5),
    "SmoothedTV": lambda X: F.SmoothedTV(X, 1.0, 0.1, 0.1),
    "H1Seminorm": F.H1Seminorm,
    "TotalVariation": F.TotalVariation,
    "BoxConstraint": lambda X: F.BoxConstraint(X, 0, 1),
    "MagnitudeBound": lambda X: F.MagnitudeBound(X, 1.0),
    "WaveletL1": lambda X: F.WaveletL1(X, "haar", 1),
    "weighted_l1": lambda X: F.weighted_l1(X**2, [0.5, 0.5]),
    "l2_fidelity": lambda X: F.l2_fidelity(X.one()),
    "KullbackLeiblerFidelity": lambda X: F.KullbackLeiblerFidelity(X.one()),
    "problem": lambda X: variational.tikhonov_problem(
        odl.MultiplyOperator(REAL.one(), domain=X, range=REAL), F.l2_fidelity(REAL.one()), 0.1),
}


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.dtype.name)
@pytest.mark.parametrize("name", DOORS)
def test_whole_numbers_are_refused(name, space):
    with pytest.raises(TypeError, match="expected .*(real|float)"):
        DOORS[name](space)
    assert name == "problem" or DOORS[name](REAL) is not None


@pytest.mark.parametrize("mistake", [
    lambda: ops.Translation(REAL, [0.1 + 1j, 0]), lambda: ops.gaussian_kernel(REAL, 0.1 + 1j),
    lambda: ops.Shear(REAL, 0, 1j), lambda: ops.Rotation(REAL, 1j),
    lambda: ops.FilterBank(REAL, 1j * KERNEL[None]), lambda: ops.mask_operator(REAL, 1j * MASK),
    lambda: F.SmoothedTV(REAL, 1j, 0.1, 0.1), lambda: F.BoxConstraint(REAL, 0, 1j),
    lambda: F.weighted_l1(REAL**2, [1j, 1])])  # fmt: skip
def test_imaginary_parts_are_not_dropped(mistake):
    with pytest.raises((TypeError, ValueError), match="expected"):
        mistake()
