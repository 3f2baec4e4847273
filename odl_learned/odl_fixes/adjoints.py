"""Repairs of adjoints, which take the weights of their spaces for cell volumes, or leave them out.

With ``M`` the matrix of an operator from ``X`` to ``Y`` and ``W`` the weights of inner products,
the adjoint is ``W_X^-1 M^H W_Y``. ODL returns ``s M^H`` with a number ``s`` of each class: right
where all entries of ``X`` have one weight, all entries of ``Y`` have one, and ``s`` is their ratio.
A multiplication within one space is diagonal, and its weights cancel, as those of the entries do
in projections of products onto their factors.
"""

from odl.applications.tomo import RayTransform
from odl.core.discr.diff_ops import Divergence, Gradient, Laplacian, PartialDerivative
from odl.core.discr.discr_ops import ResizingOperator
from odl.core.operator import (
    ComponentProjection,
    ComponentProjectionAdjoint,
    MultiplyOperator,
    Operator,
)
from odl.core.operator.tensor_ops import (
    FlatteningOperator,
    MatrixOperator,
    SamplingOperator,
    WeightedSumSamplingOperator,
)
from odl.trafos import WaveletTransform, WaveletTransformInverse

from odl_learned.odl_fixes.registry import cures
from odl_learned.weights import (
    component_weights,
    single_weight,
    unweigh,
    weigh,
    weighting_constant,
)


class WeightedAdjoint(Operator):
    r"""The adjoint of an operator, from a multiple of the conjugate transpose of its matrix.

    .. math:: A^* y = W_X^{-1} M^H W_Y y

    Parameters
    ----------
    op : odl.Operator
        The linear operator ``A``, from ``X`` to ``Y``, with the matrix ``M``.
    multiple : odl.Operator
        ``s M^H``, from ``Y`` to ``X``.
    scale : float
        The number ``s``.
    """

    def __init__(self, op, multiple, scale):
        super().__init__(op.range, op.domain, linear=True)
        self.forward_op, self.multiple, self.scale = op, multiple, scale

    def _call(self, y):
        weighted = weigh(y)
        return unweigh(self.multiple(weighted if self.scale == 1 else weighted / self.scale))

    @property
    def adjoint(self):
        """The operator."""
        return self.forward_op


def weighted_adjoint(op, multiple, scale):
    """Return the adjoint of an operator: what ODL says where it is right, or what it should say.

    Parameters as for `WeightedAdjoint`. Where a space has no inner product that is a weighted sum,
    there is nothing to repair.
    """
    try:
        of_domain, of_range = single_weight(op.domain), single_weight(op.range)
    except TypeError:
        return multiple
    if of_domain is not None and of_range is not None:
        if abs(of_range / of_domain / scale - 1) < 1e-12:
            return multiple
    return WeightedAdjoint(op, multiple, scale)


@cures("Adjoints of matrices, differences, resizing, sampling, wavelets and rays miss the weights.")
def weighted_adjoints():
    scales = {
        MatrixOperator: _one,
        MultiplyOperator: lambda op: None if op.domain == op.range else 1.0,
        PartialDerivative: _one,
        Gradient: _one,
        Divergence: _one,
        Laplacian: _one,
        ResizingOperator: _one,
        SamplingOperator: lambda op: 1 / _cell_volume(op.domain),
        WeightedSumSamplingOperator: lambda op: _cell_volume(op.range),
        FlatteningOperator: lambda op: 1 / _cell_volume(op.domain),
        WaveletTransform: lambda op: 1 / _cell_volume(op.domain),
        WaveletTransformInverse: lambda op: _cell_volume(op.range),
        RayTransform: _of_rays,
        ComponentProjection: lambda op: _of_product(op.domain),
        ComponentProjectionAdjoint: lambda op: _of_product(op.range),
    }
    for cls, scale in scales.items():
        yield cls, "adjoint", property(_repaired(cls.adjoint.fget, scale))
    yield FlatteningOperator, "inverse", property(_unflattening(FlatteningOperator.inverse.fget))


def _repaired(original, scale):
    def adjoint(self):
        multiple, number = original(self), scale(self)
        return multiple if number is None else weighted_adjoint(self, multiple, number)

    return adjoint


def _unflattening(original):
    # ODL makes the class of the inverse anew for each operator.
    def inverse(self):
        unflatten = original(self)
        cls, volume = type(unflatten), _cell_volume(self.domain)
        cls.adjoint = property(_repaired(cls.adjoint.fget, lambda _: volume))
        return unflatten

    return inverse


def _one(op):
    return 1.0


def _cell_volume(space):
    return float(getattr(space, "cell_volume", 1.0))


def _of_product(space):
    """One where the factors have weights; without any, those of their entries cancel."""
    try:
        return None if set(component_weights(space)) == {1.0} else 1.0
    except TypeError:
        return None


def _of_rays(op):
    """The ratio of the constants of the weightings, which ODL takes for all there is."""
    of_range, of_domain = weighting_constant(op.range), weighting_constant(op.domain)
    return None if of_range is None or of_domain is None else of_range / of_domain
