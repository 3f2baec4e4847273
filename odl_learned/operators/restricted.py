"""Some rows of a forward operator: operators of the parts of data that are split."""

import numpy as np
import odl
from odl.applications import tomo

from odl_learned.odl_validation import require_operator, shown
from odl_learned.operators.tomography.projectors.implementation import with_views
from odl_learned.operators.transforms.fourier import SampledFourier
from odl_learned.operators.transforms.multicoil import MultiCoilFourier


def kept_rows(op: odl.Operator, kept: np.ndarray) -> odl.Operator:
    r"""Return the operator that measures some of the data; the others are zero.

    .. math:: (A_\Theta u)_k = (A u)_k \text{ for } k \in \Theta, \quad 0 \text{ elsewhere,}
              \qquad A_\Theta^* y = A^* (M_\Theta y) .

    The range is that of A, so that data of one part are ``kept * data``. Sampled Fourier transforms
    of one or several coils, and multiples of them, stay what they are.

    Parameters
    ----------
    op : linear odl.Operator
        A; its range is a space of arrays, or that of `MultiCoilFourier`.
    kept : bool array
        Theta, of a shape that broadcasts to that of the data, as ``(views, 1)`` for whole views; of
        the shape of the image, the same for all coils, for `MultiCoilFourier`.

    Returns
    -------
    restricted : odl.Operator
        With an exact adjoint.

    Raises
    ------
    TypeError
        If the operator is not linear, its range has no arrays, or the mask is not boolean.
    ValueError
        If the mask does not fit the data.

    Source: Yaman et al., Self-supervised learning of physics-guided reconstruction neural networks
    without fully sampled reference data (2020), the operators of the sets Theta and Lambda.

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> from odl_learned import operators
    >>> X = odl.rn(3)
    >>> A = operators.kept_rows(odl.ScalingOperator(X, 2.0), np.array([True, False, True]))
    >>> print(A([1, 2, 3]))
    [2., 0., 6.]
    """
    require_operator("op", op)
    if not op.is_linear:
        raise TypeError(f"op is {shown(op)}, expected a linear operator; linearize it, "
                        "op.derivative(x).")
    kept = _boolean("kept", kept)
    if isinstance(op, odl.OperatorLeftScalarMult):
        return op.scalar * kept_rows(op.operator, kept)
    if isinstance(op, SampledFourier):
        return SampledFourier(op.domain, op.weights * _filled(kept, op.domain.shape), op.range)
    if isinstance(op, MultiCoilFourier):
        weights = op.weights * _filled(kept, op.domain.shape)
        return MultiCoilFourier(op.domain, weights, op.sensitivities, op.range)
    if isinstance(op.range, odl.ProductSpace) or not hasattr(op.range, "shape"):
        raise TypeError(f"the range of op is {shown(op.range)}, expected a space of arrays; split "
                        "its parts, odl.ComponentProjection(op.range, i) * op.")
    mask = _filled(kept, op.range.shape).astype(op.range.dtype)
    return odl.MultiplyOperator(op.range.element(mask)) @ op


def kept_views(ray_transform: tomo.RayTransform, kept: np.ndarray) -> tomo.RayTransform:
    """Return the ray transform of some of the views, whose data are ``data[kept]``.

    Its filtered backprojection, ``operators.fbp``, weighs views by the part of the circle that each
    stands for, so that a split by `learning.objectives.ViewSplit` reconstructs from any part.

    Parameters
    ----------
    ray_transform : odl.applications.tomo.RayTransform
    kept : bool array, shape (views,)
        At least two are true.

    Raises
    ------
    TypeError
        If the operator is no ray transform or the mask not boolean.
    ValueError
        If the mask has another shape, or fewer than two views are kept.

    Source: Hendriksen, Pelt, Batenburg, Noise2Inverse (2020): subsets of the views.

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> from odl_learned import operators
    >>> X = odl.uniform_discr([-1, -1], [1, 1], (8, 8), dtype="float32")
    >>> A = operators.parallel_ray_transform(X, num_angles=6)
    >>> kept = np.arange(6) % 2 == 0
    >>> B = operators.kept_views(A, kept)
    >>> u = odl.phantom.shepp_logan(X)
    >>> print(B.range.shape[0], np.array_equal(B(u).data, A(u).data[kept]))
    3 True
    """
    require_operator("ray_transform", ray_transform, tomo.RayTransform,
                     "Take the views before scaling.")
    kept, views = _boolean("kept", kept), len(ray_transform.geometry.angles)
    if kept.shape != (views,) or np.count_nonzero(kept) < 2:
        raise ValueError(f"kept has shape {kept.shape} and {np.count_nonzero(kept)} views, expected"
                         f" shape ({views},), one entry for each view, and at least two of them.")
    return with_views(ray_transform, np.flatnonzero(kept).tolist())


def _boolean(name, kept):
    kept = np.asarray(kept)
    if kept.dtype != bool:
        raise TypeError(f"{name} has dtype {kept.dtype}, expected bool, true where data are kept; "
                        "compare with zero, values != 0.")
    return kept


def _filled(kept, shape):
    try:
        return np.broadcast_to(kept, shape)
    except ValueError as error:
        raise ValueError(f"kept has shape {kept.shape}, expected one that broadcasts to "
                         f"{tuple(shape)}, that of the data.") from error
