"""Data fidelities."""

import numpy as np
import odl
from odl.core.set.space import LinearSpaceElement

from odl_learned.odl_validation import require_array_spaces
from odl_learned.validation import require_finite


def l2_fidelity(data: LinearSpaceElement) -> odl.functionals.Functional:
    r"""Return half the squared distance to the data, in the norm of their space.

    .. math:: D(y) = \tfrac12 |y - \text{data}|_Y^2 .

    It has a gradient, a proximal and a convex conjugate
    :math:`D^*(p) = \frac12 |p|^2 + \langle p, \text{data} \rangle`, also on complex spaces, and is
    the negative log-likelihood of white Gaussian noise, up to factors.

    Parameters
    ----------
    data : element of an ODL space
        Measurement, real or complex.

    Returns
    -------
    fidelity : odl.functionals.Functional
        ODL expression on ``data.space``.

    Raises
    ------
    TypeError
        If the data are not an element of a space of real or complex numbers.
    ValueError
        If they are not finite.
    """
    if not isinstance(data, odl.core.set.space.LinearSpaceElement):
        raise TypeError(
            f"data is of type {type(data).__name__}, expected an element of the range of the "
            "forward operator; pass forward_op.range.element(array)."
        )
    require_array_spaces("data.space", data.space)
    _require_finite_parts(data)
    return 0.5 * odl.functionals.L2NormSquared(data.space).translated(data)


def _require_finite_parts(data):
    if isinstance(data.space, odl.ProductSpace):
        for part in data:
            _require_finite_parts(part)
    else:
        require_finite("data", np.asarray(data.data))
