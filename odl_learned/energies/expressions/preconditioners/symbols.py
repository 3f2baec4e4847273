r"""Circulant averages of normal operators ``M^H M``: one number for every frequency."""

import math

import numpy as np
import odl
import torch
from odl.applications.tomo import RayTransform
from odl.core.operator.operator import (
    OperatorComp,
    OperatorLeftScalarMult,
    OperatorRightScalarMult,
)

from odl_learned.bridge import as_transpose_module
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.lowering import lower
from odl_learned.dispatch import rules_by_class
from odl_learned.odl_validation import require_operator
from odl_learned.operators import (
    MultiCoilFourier,
    SampledFourier,
    SymmetrizedRayTransform,
    Translation,
)
from odl_learned.operators.transforms.fourier_multiplier import FourierMultiplier


@rules_by_class(odl.Operator, "_call")
def normal_symbol(op: odl.Operator) -> torch.Tensor | None:
    r"""Return ``s >= 0`` with ``F^* s F`` near ``M^H M``, zero frequency first, or None.

    ``M`` is the matrix of the operator, without weights of inner products. A
    `functools.singledispatch` function.

    Parameters
    ----------
    op : linear odl.Operator
        From images.

    Returns
    -------
    symbol : tensor of the shape of images, in double precision, or None without a rule

    Examples
    --------
    >>> import odl
    >>> from odl_learned import operators
    >>> from odl_learned.energies.expressions import preconditioners
    >>> X = odl.uniform_discr([0, 0], [4, 4], (4, 4))
    >>> blur = operators.PeriodicConvolution(X, operators.gaussian_kernel(X, 1.0))
    >>> print(preconditioners.normal_symbol(blur)[0, 0])  # constants keep their value
    tensor(1., dtype=torch.float64)
    """
    require_operator("op", op)
    return None


@normal_symbol.register(FourierMultiplier)
@normal_symbol.register(Translation)
@normal_symbol.register(SampledFourier)
@normal_symbol.register(RayTransform)
@normal_symbol.register(SymmetrizedRayTransform)
def impulse_symbol(op):
    """Return the symbol from the image of the unit impulse in the middle.

    It tells all where ``M^H M`` is circulant, or, for ray transforms, nearly so where all rays
    through a pixel are measured.
    """
    layout = layout_of(op.domain)
    middle = tuple(n // 2 for n in layout.shape)
    impulse = torch.zeros((1, *layout.shape), dtype=layout.dtype)
    impulse[(0, *middle)] = 1
    response = as_transpose_module(op).native(lower(op)(impulse))[0]
    axes = tuple(range(response.ndim))
    response = torch.roll(response, tuple(-m for m in middle), axes)
    return torch.fft.fftn(response.to(torch.complex128)).real.clamp_min(0)


@normal_symbol.register
def _(op: MultiCoilFourier):
    # sum_c S_c^H F^H w F S_c has sum_j w_j p(j - k) on the diagonal of the basis of frequencies.
    maps = torch.tensor(np.asarray(op.sensitivities), dtype=torch.complex128)
    axes = tuple(range(1, maps.ndim))
    weights = torch.tensor(np.abs(np.asarray(op.weights)).astype(float) ** 2)
    weights = torch.fft.ifftshift(weights)
    spectra = torch.fft.fftn(maps, dim=axes).abs().square().sum(0)
    correlation = torch.fft.fftn(spectra / math.prod(weights.shape) ** 2)
    return torch.fft.ifftn(torch.fft.fftn(weights) * correlation.conj()).real.clamp_min(0)


@normal_symbol.register(OperatorLeftScalarMult)
@normal_symbol.register(OperatorRightScalarMult)
def _(op):
    symbol = normal_symbol(op.operator)
    return None if symbol is None else float(abs(op.scalar)) ** 2 * symbol


@normal_symbol.register
def _(op: OperatorComp):
    # What a mask leaves, on average, of an operator that is circulant.
    if not isinstance(op.left, odl.MultiplyOperator) or not hasattr(op.left.multiplicand, "space"):
        return None
    symbol, factor = normal_symbol(op.right), layout_of(op.left.domain)
    if symbol is None or not hasattr(factor, "shape"):
        return None
    return float(factor.to_tensor(op.left.multiplicand).abs().double().square().mean()) * symbol
