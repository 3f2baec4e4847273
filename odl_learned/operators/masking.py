"""Masking, the forward operator of inpainting."""

import numpy as np
import odl
from numpy.typing import ArrayLike
from odl.core.set.space import LinearSpace
from odl.core.space.base_tensors import TensorSpace

from odl_learned.odl_validation import require_array_space
from odl_learned.validation import require_finite, require_real, require_shape


def mask_operator(space: TensorSpace, mask: ArrayLike) -> odl.MultiplyOperator:
    r"""Return the pointwise multiplication by a mask, its own adjoint.

    .. math:: (A u)_j = m_j u_j, \qquad m_j \in \{0, 1\}.

    Parameters
    ----------
    space : ``uniform_discr``, ``rn`` or ``cn`` space
        Images, real or complex.
    mask : array of bool (or of zeros and ones), shape ``space.shape``
        True where the image is measured.

    Returns
    -------
    forward_op : odl.MultiplyOperator
        Linear operator from ``space`` to itself.

    Raises
    ------
    TypeError
        If the space is none, or the mask is complex.
    ValueError
        If its shape differs from that of the space, or it holds anything but zeros and ones.
    """
    if not isinstance(space, LinearSpace):
        raise TypeError(
            f"space is {space!r}; expected a uniform_discr, rn or cn space, such as "
            "odl.uniform_discr(min_pt, max_pt, mask.shape)."
        )
    require_array_space("space", space)
    mask = np.asarray(mask)
    require_shape("mask", mask, space.shape, "It needs one entry per point of `space`.")
    require_real("mask", mask)
    require_finite("mask", mask)
    other = np.count_nonzero((mask != 0) & (mask != 1))
    if other:
        raise ValueError(
            f"mask holds {other} values that are neither 0 nor 1; expected a boolean mask. "
            "For weights, use odl.MultiplyOperator(space.element(weights))."
        )
    return odl.MultiplyOperator(space.element(mask.astype(space.dtype)))
