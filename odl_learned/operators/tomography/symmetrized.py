r"""Quarter turns of tomographic data, and a ray transform that commutes with them to the last bit.

If the set of rays maps to itself, a quarter turn R of the image permutes the data, ``A R = P A``.
ASTRA computes the entries of A in single precision, so that this holds up to 1e-5 to 1e-3, more for
more pixels. Any linear map has a part that commutes exactly: its mean over the group.
"""

import math

import numpy as np
import odl
from odl.applications import tomo

from odl_learned.odl_validation import shown
from odl_learned.operators.group import QuarterTurn, require_square
from odl_learned.operators.tomography.projectors.stacked import is_stacked, plane_of
from odl_learned.operators.tomography.projectors.turned import turned_views
from odl_learned.operators.tomography.ray import require_even_angles
from odl_learned.weights import constant_weight

#: Relative error of ``A R = P A`` above which P is not what a turn does to the data. That of the
#: entries of ASTRA grows with the number of pixels, to 3e-4 for 128 x 128; a detector that is off
#: by a hundredth of a bin leaves more.
LARGEST_ERROR = 1e-2


class SinogramTurn(odl.Operator):
    r"""What ``k`` quarter turns of the image counterclockwise do to its tomographic data.

    For parallel beams with V views, equally spaced on half a circle,

    .. math:: (P y)(\varphi, s) = y(\varphi - \pi / 2, s), \qquad
              y(\varphi - \pi, s) = y(\varphi, -s),

    and for fan beams on a full circle ``(P y)(phi, s) = y(phi - pi / 2, s)``. Exact: it only
    permutes the data, so that its adjoint is its inverse, the turn by ``-k``; ``k`` counts modulo
    4.

    Parameters
    ----------
    forward_op : odl.applications.tomo.RayTransform
        Parallel beams with an even number of views, in the plane or of stacked slices, or fan beams
        with a multiple of four.
    k : int
        Number of quarter turns.

    Raises
    ------
    TypeError
        If this is no ray transform in the plane or of stacked slices, or ``k`` no integer.
    ValueError
        If views are missing or not equally spaced.
    """

    def __init__(self, forward_op: tomo.RayTransform, k: int) -> None:
        if not isinstance(k, (int, np.integer)):
            raise TypeError(f"k is {shown(k)}; expected an integer, the number of quarter turns.")
        require_symmetric_views(forward_op)
        constant_weight("forward_op.range", forward_op.range)
        super().__init__(forward_op.range, forward_op.range, linear=True)
        self.forward_op, self.k = forward_op, int(k) % 4
        self.flips = isinstance(plane_of(forward_op).geometry, tomo.Parallel2dGeometry)

    def _call(self, y, out=None):
        turned = turned_views(y.data, self.k, self.flips)
        if out is None:
            return self.range.element(turned)
        out.data[...] = turned

    @property
    def adjoint(self) -> "SinogramTurn":
        """The turn back."""
        return SinogramTurn(self.forward_op, -self.k)

    @property
    def inverse(self) -> "SinogramTurn":
        """The turn back."""
        return self.adjoint


def require_symmetric_views(forward_op):
    """Raise unless the views are equally spaced and a quarter turn permutes them."""
    is_ray = isinstance(forward_op, tomo.RayTransform)
    if not is_ray or (forward_op.domain.ndim != 2 and not is_stacked(forward_op)):
        raise TypeError(f"forward_op is {shown(forward_op)}; expected a ray transform in the "
                        "plane or of stacked slices, such as parallel_ray_transform(space, "
                        "num_angles); multiply afterwards.")
    require_even_angles(forward_op)
    geometry = plane_of(forward_op).geometry
    angles = np.asarray(geometry.angles)
    parallel = isinstance(geometry, tomo.Parallel2dGeometry)
    step = (math.pi if parallel else 2 * math.pi) / len(angles)
    if np.abs(np.diff(angles) - step).max(initial=0) > 1e-6:
        circle = "half a circle" if parallel else "a circle"
        raise ValueError(
            f"forward_op has views that are not {step:.4g} apart, expected equal distances on "
            f"{circle}: a quarter turn must map the set of views to itself. Build it with "
            "parallel_ray_transform(space, num_angles).")


class SymmetrizedRayTransform(odl.Operator):
    r"""The mean of a ray transform over quarter turns, which commutes with them exactly.

    .. math:: S = \frac14 \sum_{k=0}^{3} P^{-k} A R^k, \qquad S R = P S,

    with the turns R of images (`QuarterTurn`) and P of data (`SinogramTurn`). ``S* S`` commutes
    with R up to the rounding of sums, where ``A* A`` does up to 5e-5 for 64 x 64 pixels; S and A
    differ by as little. Here it costs four projections, in torch, where the mean of the matrices
    is formed once, one.

    Parameters
    ----------
    forward_op : odl.applications.tomo.RayTransform
        A, on a square domain centered at the origin, or of square slices; parallel beams with an
        even number of views, or fan beams with a multiple of four, a symmetric detector.

    Raises
    ------
    TypeError
        If this is no ray transform in the plane or of stacked slices.
    ValueError
        If the domain is not square or views are missing, or if a turn does not permute the data,
        because domain, detector or axis of rotation are off center.

    Source: the projection onto equivariant maps, Serre, Linear Representations of Finite Groups
    (1977), section 2.2.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import operators
    >>> X = odl.uniform_discr([-1, -1], [1, 1], (8, 8), dtype="float32")
    >>> A = operators.parallel_ray_transform(X, num_angles=4)
    >>> S = operators.SymmetrizedRayTransform(A)
    >>> turn, turned_data = operators.QuarterTurn(X, 1), operators.SinogramTurn(A, 1)
    >>> u = odl.phantom.shepp_logan(X)
    >>> print((S(turn(u)) - turned_data(S(u))).norm() == 0)  # of A itself, only nearly
    True
    >>> isinstance(S.adjoint, operators.SymmetrizedRayTransformAdjoint)
    True
    """

    def __init__(self, forward_op: tomo.RayTransform) -> None:
        require_symmetric_views(forward_op)
        require_square(forward_op.domain, ndims=(2, 3))
        super().__init__(forward_op.domain, forward_op.range, linear=True)
        self.forward_op = forward_op
        _require_turns(forward_op)

    def _call(self, u, out=None):
        terms = (SinogramTurn(self.forward_op, -k)(self.forward_op(QuarterTurn(self.domain, k)(u)))
                 for k in range(4))  # fmt: skip
        return _mean(terms, self.range, out)

    @property
    def geometry(self) -> tomo.Geometry:
        """That of the ray transform."""
        return self.forward_op.geometry

    @property
    def adjoint(self) -> "SymmetrizedRayTransformAdjoint":
        """``1/4 sum_k R^{-k} A* P^k``, the symmetrized back projection."""
        return SymmetrizedRayTransformAdjoint(self)


class SymmetrizedRayTransformAdjoint(odl.Operator):
    r"""The adjoint of `SymmetrizedRayTransform`, ``S* = 1/4 sum_k R^{-k} A^* P^k``.

    Parameters
    ----------
    symmetrized : SymmetrizedRayTransform
    """

    def __init__(self, symmetrized: SymmetrizedRayTransform) -> None:
        if not isinstance(symmetrized, SymmetrizedRayTransform):
            raise TypeError(f"symmetrized is {shown(symmetrized)}; expected a "
                            "SymmetrizedRayTransform.")
        super().__init__(symmetrized.range, symmetrized.domain, linear=True)
        self.adjoint_op = symmetrized

    def _call(self, y, out=None):
        forward_op = self.adjoint_op.forward_op
        back = forward_op.adjoint
        terms = (QuarterTurn(self.range, -k)(back(SinogramTurn(forward_op, k)(y)))
                 for k in range(4))  # fmt: skip
        return _mean(terms, self.range, out)

    @property
    def adjoint(self) -> SymmetrizedRayTransform:
        """The symmetrized ray transform."""
        return self.adjoint_op


def _mean(terms, space, out):
    """The mean of four elements, summed in double precision, so that their order is no matter."""
    total = sum(term.data.astype(np.result_type(term.data, np.float64)) for term in terms) / 4
    if out is None:
        return space.element(total.astype(space.dtype))
    out.data[...] = total


def _require_turns(forward_op):
    """Raise ValueError unless a turn of an image permutes its data."""
    rng = np.random.default_rng(0)
    u = forward_op.domain.element(rng.standard_normal(forward_op.domain.shape))
    expected = SinogramTurn(forward_op, 1)(forward_op(u))
    error = (forward_op(QuarterTurn(forward_op.domain, 1)(u)) - expected).norm()
    if not error <= LARGEST_ERROR * expected.norm():
        raise ValueError(
            f"forward_op does not map quarter turns of the image to those of the data: they "
            f"differ by {float(error / expected.norm()):.2g} of the data, expected at most "
            f"{LARGEST_ERROR:g}. Choose a domain with the origin in its center, a detector that is "
            "symmetric about its own, and no translation of the geometry.")
